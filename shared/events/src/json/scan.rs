//! One strict pass over a JSON object: its members as they stand in the text, and the first thing in it
//! that two JSON readers could understand differently. Nothing recurses, so no nesting exhausts the stack.

use std::borrow::Cow;

use crate::code::Fault;
use crate::limits::{MAX_NESTING, MAX_SAFE_INTEGER};

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

/// A key of the outermost object and its value's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<'a> {
    /// The key, unescaped.
    pub key: Cow<'a, str>,
    /// The value as it stands in the text.
    pub value: &'a str,
}

/// A JSON object whose grammar is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned<'a> {
    /// The members of the outermost object, in the order of the text, duplicates included.
    pub members: Vec<Member<'a>>,
    /// The first ambiguity: a duplicate key, U+0000 or a lone surrogate, a number that not every platform
    /// keeps, too deep a nesting.
    pub finding: Option<Finding>,
}

impl<'a> Scanned<'a> {
    /// The value of `key`, if all its occurrences agree.
    pub fn unambiguous(&self, key: &str) -> Option<&'a str> {
        let mut values = self.members.iter().filter(|member| member.key == key).map(|member| member.value);
        let first = values.next()?;
        values.all(|value| value == first).then_some(first)
    }
}

/// Scans a text that must be one JSON object (RFC 8259) and nothing else.
pub fn scan_object(text: &str) -> Result<Scanned<'_>, JsonError> {
    let mut scanner = Scanner { text, at: 0, finding: None, keys: Vec::new(), open: Vec::new() };
    let members = scanner.outermost_object()?;
    Ok(Scanned { members, finding: scanner.finding })
}

/// An array, or an object whose keys stand in `Scanner::keys` from the index on.
enum Container {
    Array,
    Object { keys_from: usize },
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    finding: Option<Finding>,
    keys: Vec<Cow<'a, str>>,
    open: Vec<Container>,
}

impl<'a> Scanner<'a> {
    fn outermost_object(&mut self) -> Result<Vec<Member<'a>>, JsonError> {
        let mut members = Vec::with_capacity(8);
        self.skip_space();
        self.expect(b'{')?;
        self.open(Container::Object { keys_from: 0 });
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
        } else {
            loop {
                self.key()?;
                let key = self.keys.last().cloned().unwrap_or_default();
                self.skip_space();
                let from = self.at;
                self.value()?;
                members.push(Member { key, value: &self.text[from..self.at] });
                self.skip_space();
                match self.bump() {
                    Some(b',') => {}
                    Some(b'}') => break,
                    _ => return Err(self.error()),
                }
            }
        }
        self.close();
        self.skip_space();
        if self.at == self.text.len() { Ok(members) } else { Err(self.error()) }
    }

    /// One value, with everything in it.
    fn value(&mut self) -> Result<(), JsonError> {
        let outer = self.open.len();
        loop {
            self.skip_space();
            match self.peek() {
                Some(b'{') => {
                    self.at += 1;
                    self.open(Container::Object { keys_from: self.keys.len() });
                    self.skip_space();
                    if self.peek() != Some(b'}') {
                        self.key()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    self.at += 1;
                    self.open(Container::Array);
                    self.skip_space();
                    if self.peek() != Some(b']') {
                        continue;
                    }
                }
                _ => self.scalar()?,
            }
            if self.close_ended(outer)? {
                return Ok(());
            }
        }
    }

    /// Behind a value or an opening bracket: closes what ends here. True when the value that began with
    /// `outer` open containers is complete; false when another one follows.
    fn close_ended(&mut self, outer: usize) -> Result<bool, JsonError> {
        while self.open.len() > outer {
            self.skip_space();
            match (self.bump(), self.open.last()) {
                (Some(b'}'), Some(Container::Object { .. })) | (Some(b']'), Some(Container::Array)) => {
                    self.close();
                }
                (Some(b','), Some(Container::Array)) => return Ok(false),
                (Some(b','), Some(Container::Object { .. })) => {
                    self.key()?;
                    return Ok(false);
                }
                _ => return Err(self.error()),
            }
        }
        Ok(true)
    }

    fn open(&mut self, container: Container) {
        self.open.push(container);
        if self.open.len() == MAX_NESTING + 1 {
            self.found(Fault::TooDeep, || format!("nested deeper than {MAX_NESTING} levels"));
        }
    }

    fn close(&mut self) {
        if let Some(Container::Object { keys_from }) = self.open.pop() {
            if let Some(key) = duplicate(&mut self.keys[keys_from..]) {
                let detail = format!("the key `{}` stands twice in one object", shorten(&key));
                self.found(Fault::DuplicateKey, || detail);
            }
            self.keys.truncate(keys_from);
        }
    }

    /// A key and its colon; the key is pushed to `keys`.
    fn key(&mut self) -> Result<(), JsonError> {
        self.skip_space();
        let from = self.at;
        let escaped = self.string()?;
        let quoted = &self.text[from..self.at];
        let plain = &quoted[1..quoted.len() - 1];
        // An escape that is no character (a lone surrogate) was found already; the raw text then names it.
        let key = match escaped.then(|| serde_json::from_str::<String>(quoted)) {
            Some(Ok(unescaped)) => Cow::Owned(unescaped),
            Some(Err(_)) | None => Cow::Borrowed(plain),
        };
        self.keys.push(key);
        self.skip_space();
        self.expect(b':')
    }

    fn scalar(&mut self) -> Result<(), JsonError> {
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
    fn string(&mut self) -> Result<bool, JsonError> {
        self.expect(b'"')?;
        let mut escaped = false;
        loop {
            match self.bump() {
                Some(b'"') => return Ok(escaped),
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(0x20..) => {}
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
        let whole = self.digits()?;
        if whole.len() > 1 && whole.starts_with('0') {
            return Err(self.error());
        }
        let mut integer = true;
        if self.skip_one(b'.') {
            integer = false;
            self.digits()?;
        }
        if self.skip_one(b'e') || self.skip_one(b'E') {
            integer = false;
            let _ = self.skip_one(b'+') || self.skip_one(b'-');
            self.digits()?;
        }
        let keeps = if integer {
            whole.len() < 16 || whole.parse::<u64>().is_ok_and(|number| number <= MAX_SAFE_INTEGER)
        } else {
            self.text[from..self.at].parse::<f64>().is_ok_and(f64::is_finite)
        };
        if !keeps {
            let number = shorten(&self.text[from..self.at]).into_owned();
            self.found(Fault::NumberOutOfRange, || {
                format!("the number {number} is not kept by every platform")
            });
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<&'a str, JsonError> {
        let from = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == from { Err(self.error()) } else { Ok(&self.text[from..self.at]) }
    }

    fn found(&mut self, fault: Fault, detail: impl FnOnce() -> String) {
        if self.finding.is_none() {
            self.finding = Some(Finding::new(fault, detail()));
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn bump(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.bump() == Some(byte) { Ok(()) } else { Err(self.error()) }
    }

    fn skip_one(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn error(&self) -> JsonError {
        JsonError { at: self.at }
    }
}

/// A key that stands twice. Many keys are sorted first, so that no object costs quadratic time.
fn duplicate<'a>(keys: &mut [Cow<'a, str>]) -> Option<Cow<'a, str>> {
    if keys.len() > 16 {
        keys.sort_unstable();
        return keys.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0].clone());
    }
    let twice = (1..keys.len()).find(|&index| keys[..index].contains(&keys[index]))?;
    Some(keys[twice].clone())
}

/// At most 60 characters of a user's text, for a detail.
fn shorten(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(60) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests;
