//! From the schema's names to Rust's: the same words in Rust's cases, no two alike, keywords escaped.

use std::collections::BTreeSet;

/// Keywords of every edition, reserved ones included.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn", "else",
    "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro",
    "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "static", "struct", "trait",
    "true", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// Keywords that cannot be escaped.
const KEYWORDS_FOR_EVER: &[&str] = &["crate", "self", "super"];

/// The words of a name, in lower case: those of `bestPace`, `BEST_PACE` and `best_pace` are the same.
fn words(name: &str) -> Vec<String> {
    let letters: Vec<char> = name.chars().collect();
    let mut words = vec![String::new()];
    for (index, letter) in letters.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| letters[before]);
        let behind = letters.get(index + 1);
        // A capital begins a word behind a small letter or a digit; behind another capital it does so if a small
        // letter follows: `HTTPServer` is `http server`.
        let begins = letter.is_ascii_uppercase()
            && before.is_some_and(|before| {
                !before.is_ascii_uppercase() || behind.is_some_and(char::is_ascii_lowercase)
            });
        if begins || *letter == '_' {
            words.push(String::new());
        }
        if *letter != '_'
            && let Some(word) = words.last_mut()
        {
            word.push(letter.to_ascii_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// `best_pace`.
pub(super) fn snake_case(name: &str) -> String {
    words(name).join("_")
}

/// `BestPace`.
pub(super) fn camel_case(name: &str) -> String {
    let capitalised = |word: String| {
        let (first, rest) = word.split_at(1);
        first.to_ascii_uppercase() + rest
    };
    words(name).into_iter().map(capitalised).collect()
}

/// The name as an identifier.
pub(super) fn escaped(name: &str) -> String {
    if KEYWORDS.contains(&name) {
        format!("r#{name}")
    } else if KEYWORDS_FOR_EVER.contains(&name) {
        format!("{name}_")
    } else {
        name.to_owned()
    }
}

/// Names that are given away, each to one thing.
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// Those may not be given to anything.
    pub(super) fn without(names: &[&str]) -> Self {
        Self(names.iter().map(|name| (*name).to_owned()).collect())
    }

    /// The wanted name or, where something else has it, the name with the suffix and, if need be, a number.
    pub(super) fn claim(&mut self, wanted: String, suffix: &str) -> String {
        let numbered = (2_u64..).map(|number| format!("{wanted}{suffix}{number}"));
        let mut candidates = [wanted.clone(), format!("{wanted}{suffix}")].into_iter().chain(numbered);
        candidates.find(|name| self.0.insert(name.clone())).unwrap_or(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_words_in_either_case() {
        let check = |name: &str, snake: &str, camel: &str| {
            assert_eq!((snake_case(name), camel_case(name)), (snake.to_owned(), camel.to_owned()), "{name}");
        };
        check("workout", "workout", "Workout");
        check("bestPace", "best_pace", "BestPace");
        check("TRACK_POINT_RECORDED", "track_point_recorded", "TrackPointRecorded");
        check("HTTPServer", "http_server", "HttpServer");
        check("maxVO2", "max_vo2", "MaxVo2");
        check("zone2Minutes", "zone2_minutes", "Zone2Minutes");
        check("STEP_2_DONE", "step_2_done", "Step2Done");
        check("a__b_", "a_b", "AB");
        check("X", "x", "X");
    }

    #[test]
    fn keywords_are_escaped() {
        let check = |name: &str, expect: &str| assert_eq!(escaped(name), expect);
        check("name", "name");
        check("type", "r#type");
        check("self", "self_");
        check("union", "union");
    }

    #[test]
    fn a_name_is_given_once() {
        let mut names = Names::without(&["Option"]);
        let mut check =
            |wanted: &str, expect: &str| assert_eq!(names.claim(wanted.to_owned(), "Event"), expect);
        check("Lap", "Lap");
        check("Option", "OptionEvent");
        check("Lap", "LapEvent");
        check("Lap", "LapEvent2");
        check("Lap", "LapEvent3");
    }
}
