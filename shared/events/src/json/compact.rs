//! White space outside texts, taken out: an event inside a JSON document becomes one line.

use std::borrow::Cow;

/// A valid JSON text without line feeds and carriage returns; unchanged where it has none. All other bytes stay.
pub fn single_line(json: &str) -> Cow<'_, str> {
    if !json.contains(['\n', '\r']) {
        return Cow::Borrowed(json);
    }
    // Inside a text a line feed can only stand escaped, so every raw one is white space between tokens.
    Cow::Owned(json.chars().filter(|&c| c != '\n' && c != '\r').collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_go_and_everything_else_stays() {
        let pretty = "{\r\n  \"a\": \"x\\ny  z\",\n  \"n\": 1.50\n}";
        assert_eq!(single_line(pretty), "{  \"a\": \"x\\ny  z\",  \"n\": 1.50}");
        assert_eq!(single_line("{\"a\": 1}"), "{\"a\": 1}");
    }
}
