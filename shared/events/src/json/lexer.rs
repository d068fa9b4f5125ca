//! The tokens of a JSON text, and the first thing in them that two JSON readers could understand differently.

use std::borrow::Cow;

use crate::code::Fault;
use crate::limits::MAX_SAFE_INTEGER;

/// The text is not one JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON object (at byte {at})")]
pub struct JsonError {
    /// Byte offset at which reading stopped.
    pub at: usize,
}

/// Why an event is quarantined: a code, and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The code.
    pub fault: Fault,
    /// A sentence that names the place.
    pub detail: String,
}

impl Finding {
    /// A finding of that code.
    pub fn new(fault: Fault, detail: impl Into<String>) -> Self {
        Self { fault, detail: detail.into() }
    }
}

/// Reads tokens from `at` on.
pub(super) struct Lexer<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    pub(super) finding: Option<Finding>,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, finding: None }
    }

    pub(super) fn scalar(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'"') => self.string().map(|_| ()),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            _ => Err(self.error()),
        }
    }

    fn literal(&mut self, word: &str) -> Result<(), JsonError> {
        if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(())
        } else {
            Err(self.error())
        }
    }

    /// A string; says whether it has escapes.
    pub(super) fn string(&mut self) -> Result<bool, JsonError> {
        self.expect(b'"')?;
        let mut escaped = false;
        loop {
            self.at += plain_bytes(&self.text.as_bytes()[self.at..]);
            match self.bump() {
                Some(b'"') => return Ok(escaped),
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                _ => return Err(self.error()),
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        match self.bump() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(()),
            Some(b'u') => {
                let unit = self.hex4()?;
                match unit {
                    0 => self.found(Fault::TextInvalid, || "U+0000 in a text".to_owned()),
                    0xD800..=0xDBFF if self.low_surrogate_follows() => self.at += 6,
                    0xD800..=0xDFFF => {
                        self.found(Fault::TextInvalid, || format!("lone surrogate \\u{unit:04x}"));
                    }
                    _ => {}
                }
                Ok(())
            }
            _ => Err(self.error()),
        }
    }

    fn low_surrogate_follows(&self) -> bool {
        matches!(self.text.as_bytes().get(self.at..self.at + 6),
            Some([b'\\', b'u', b'd' | b'D', b'c'..=b'f' | b'C'..=b'F', a, b])
                if a.is_ascii_hexdigit() && b.is_ascii_hexdigit())
    }

    fn hex4(&mut self) -> Result<u16, JsonError> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.bump().and_then(|byte| char::from(byte).to_digit(16)).ok_or(self.error())?;
            unit = unit << 4 | digit as u16;
        }
        Ok(unit)
    }

    fn number(&mut self) -> Result<(), JsonError> {
        let from = self.at;
        self.skip_one(b'-');
        let whole_from = self.at;
        let whole_digits = self.digits()?;
        if whole_digits > 1 && self.text.as_bytes()[whole_from] == b'0' {
            return Err(self.error());
        }
        let (mut integer, mut exponent) = (true, false);
        if self.skip_one(b'.') {
            integer = false;
            self.digits()?;
        }
        if self.skip_one(b'e') || self.skip_one(b'E') {
            (integer, exponent) = (false, true);
            let _ = self.skip_one(b'+') || self.skip_one(b'-');
            self.digits()?;
        }
        let keeps = if integer {
            let whole = || self.text[whole_from..self.at].parse::<u64>();
            whole_digits < 16 || whole().is_ok_and(|number| number <= MAX_SAFE_INTEGER)
        } else {
            // Only an exponent, or hundreds of digits, lead beyond the doubles.
            (!exponent && whole_digits < 300)
                || self.text[from..self.at].parse::<f64>().is_ok_and(f64::is_finite)
        };
        if !keeps {
            let number = shorten(&self.text[from..self.at]).into_owned();
            self.found(Fault::NumberOutOfRange, || {
                format!("the number {number} is not kept by every platform")
            });
        }
        Ok(())
    }

    /// At least one digit; says how many.
    fn digits(&mut self) -> Result<usize, JsonError> {
        let from = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == from { Err(self.error()) } else { Ok(self.at - from) }
    }

    pub(super) fn found(&mut self, fault: Fault, detail: impl FnOnce() -> String) {
        if self.finding.is_none() {
            self.finding = Some(Finding::new(fault, detail()));
        }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn bump(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    pub(super) fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.bump() == Some(byte) { Ok(()) } else { Err(self.error()) }
    }

    fn skip_one(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    pub(super) fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    pub(super) fn error(&self) -> JsonError {
        JsonError { at: self.at }
    }
}

/// How many bytes stand before the first quote, backslash or control character: eight at a time, since
/// nearly all of a line lies inside strings.
fn plain_bytes(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let stops = stops(u64::from_le_bytes(*word));
        if stops != 0 {
            return index * 8 + stops.trailing_zeros() as usize / 8;
        }
    }
    let stop = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1F));
    bytes.len() - rest.len() + stop.unwrap_or(rest.len())
}

/// The high bit of each byte of `word` that ends a plain run. Borrows may set bits above the lowest of them,
/// never below it, so the lowest is right. After "Bit Twiddling Hacks", haszero and hasless
/// (<https://graphics.stanford.edu/~seander/bithacks.html#ZeroInWord>).
fn stops(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    let below = |word: u64, bound: u8| word.wrapping_sub(ONES * u64::from(bound)) & !word;
    let control = below(word, 0x20);
    let quote = below(word ^ (ONES * u64::from(b'"')), 1);
    let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
    (control | quote | backslash) & (ONES << 7)
}

/// At most 60 characters of a user's text, for a detail.
pub(super) fn shorten(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(60) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::plain_bytes;

    proptest! {
        #[test]
        fn a_plain_run_ends_at_the_first_quote_backslash_or_control_character(
            bytes in prop::collection::vec(
                prop_oneof![1 => any::<u8>(), 1 => 0x1E..0x24_u8, 1 => Just(b'\\'), 9 => 0x7E..0xA4_u8],
                0..40,
            )
        ) {
            let first = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\') || *byte < 0x20);
            prop_assert_eq!(plain_bytes(&bytes), first.unwrap_or(bytes.len()));
        }
    }
}
