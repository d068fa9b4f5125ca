//! Values in the form that nearly all of them have, read from their text at once: strings without escapes,
//! whole numbers of a few digits. Whoever gets `None` asks a JSON reader. The texts are values of a scan.

use super::lexer::Lexer;

/// Decimal digits of which every number lies within ±(2⁵³ − 1).
const SAFE_DIGITS: usize = 15;

/// The text of a string without escapes.
pub(crate) fn plain_text(value: &str) -> Option<&str> {
    let text = value.strip_prefix('"')?.strip_suffix('"')?;
    (!text.as_bytes().contains(&b'\\')).then_some(text)
}

/// A number from 0 on in digits alone.
pub(crate) fn plain_natural(value: &str) -> Option<u64> {
    if value.is_empty() || value.len() > SAFE_DIGITS {
        return None;
    }
    value
        .bytes()
        .try_fold(0, |number: u64, byte| byte.is_ascii_digit().then(|| number * 10 + u64::from(byte - b'0')))
}

/// A whole number without fraction and exponent. Not `-0`, which JSON readers take for a double.
pub(crate) fn plain_whole(value: &str) -> Option<i64> {
    match value.strip_prefix('-') {
        Some(digits) => plain_natural(digits).filter(|number| *number != 0).map(|number| -(number as i64)),
        None => plain_natural(value).map(|number| number as i64),
    }
}

/// Any number, as the nearest double.
pub(crate) fn plain_number(value: &str) -> Option<f64> {
    match plain_whole(value) {
        Some(whole) => Some(whole as f64),
        None if value.starts_with(|first: char| first == '-' || first.is_ascii_digit()) => value.parse().ok(),
        None => None,
    }
}

/// The texts of an array's elements, if none of them is an array or object.
pub(crate) fn plain_elements(value: &str) -> Option<Vec<&str>> {
    let mut lexer = Lexer::new(value);
    let mut elements = Vec::new();
    lexer.expect(b'[').ok()?;
    lexer.skip_space();
    if lexer.peek() == Some(b']') {
        return Some(elements);
    }
    loop {
        lexer.skip_space();
        let from = lexer.at;
        lexer.scalar().ok()?;
        elements.push(&value[from..lexer.at]);
        lexer.skip_space();
        match lexer.bump()? {
            b',' => {}
            b']' => return Some(elements),
            _ => return None,
        }
    }
}
