//! One strict pass over a JSON object: its members as they stand in the text, and the first thing in it
//! that two JSON readers could understand differently. Nothing recurses, so no nesting exhausts the stack.

use std::borrow::Cow;
use std::ops::Range;

use super::lexer::{Finding, JsonError, Lexer, shorten};
use crate::code::Fault;
use crate::limits::MAX_NESTING;

/// A key of an object and its value's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<'a> {
    /// The key, unescaped.
    pub key: Cow<'a, str>,
    /// The value as it stands in the text.
    pub value: &'a str,
    /// Of a member of the outermost object: where its value's members stand in `Scanned::inner`.
    inner: Range<u32>,
}

/// A JSON object whose grammar is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned<'a> {
    /// The members of the outermost object, in the order of the text, duplicates included.
    pub members: Vec<Member<'a>>,
    /// The members of the objects that are values of these.
    inner: Vec<Member<'a>>,
    /// The first ambiguity: a duplicate key, U+0000 or a lone surrogate, a number that not every platform
    /// keeps, too deep a nesting.
    pub finding: Option<Finding>,
}

impl<'a> Scanned<'a> {
    /// The members of the object that is `member`'s value; `None` where the value is no object. `member` is
    /// one of [`Self::members`].
    pub fn inner(&self, member: &Member<'a>) -> Option<&[Member<'a>]> {
        let Range { start, end } = member.inner;
        if member.value.starts_with('{') { self.inner.get(start as usize..end as usize) } else { None }
    }
}

/// Scans a text that must be one JSON object (RFC 8259) and nothing else.
pub fn scan_object(text: &str) -> Result<Scanned<'_>, JsonError> {
    let mut scanner = Scanner {
        lexer: Lexer::new(text),
        keys: Vec::with_capacity(16),
        open: Vec::with_capacity(4),
        inner: Vec::with_capacity(8),
        inner_value: None,
    };
    let members = scanner.outermost_object()?;
    Ok(Scanned { members, inner: scanner.inner, finding: scanner.lexer.finding })
}

/// An array, or an object whose keys stand in `Scanner::keys` from the index on.
enum Container {
    Array,
    Object { keys_from: usize },
}

struct Scanner<'a> {
    lexer: Lexer<'a>,
    keys: Vec<Cow<'a, str>>,
    open: Vec<Container>,
    inner: Vec<Member<'a>>,
    /// Where the value of the last of `inner` begins, until it has ended.
    inner_value: Option<usize>,
}

impl<'a> Scanner<'a> {
    fn outermost_object(&mut self) -> Result<Vec<Member<'a>>, JsonError> {
        let mut members = Vec::with_capacity(8);
        self.lexer.skip_space();
        self.lexer.expect(b'{')?;
        self.open(Container::Object { keys_from: 0 });
        self.lexer.skip_space();
        if self.lexer.peek() == Some(b'}') {
            self.lexer.at += 1;
        } else {
            loop {
                members.push(self.member()?);
                self.lexer.skip_space();
                match self.lexer.bump() {
                    Some(b',') => {}
                    Some(b'}') => break,
                    _ => return Err(self.lexer.error()),
                }
            }
        }
        self.close();
        self.lexer.skip_space();
        if self.lexer.at == self.lexer.text.len() { Ok(members) } else { Err(self.lexer.error()) }
    }

    /// A member of the outermost object.
    fn member(&mut self) -> Result<Member<'a>, JsonError> {
        self.key()?;
        let key = self.keys.last().cloned().unwrap_or_default();
        self.lexer.skip_space();
        let (from, inner_from) = (self.lexer.at, self.inner.len() as u32);
        self.value()?;
        let value = &self.lexer.text[from..self.lexer.at];
        Ok(Member { key, value, inner: inner_from..self.inner.len() as u32 })
    }

    /// One value, with everything in it.
    fn value(&mut self) -> Result<(), JsonError> {
        let outer = self.open.len();
        loop {
            self.lexer.skip_space();
            match self.lexer.peek() {
                Some(b'{') => {
                    self.lexer.at += 1;
                    self.open(Container::Object { keys_from: self.keys.len() });
                    self.lexer.skip_space();
                    if self.lexer.peek() != Some(b'}') {
                        self.nested_key()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    self.lexer.at += 1;
                    self.open(Container::Array);
                    self.lexer.skip_space();
                    if self.lexer.peek() != Some(b']') {
                        continue;
                    }
                }
                _ => self.lexer.scalar()?,
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
            self.end_inner_value();
            self.lexer.skip_space();
            match (self.lexer.bump(), self.open.last()) {
                (Some(b'}'), Some(Container::Object { .. })) | (Some(b']'), Some(Container::Array)) => {
                    self.close();
                }
                (Some(b','), Some(Container::Array)) => return Ok(false),
                (Some(b','), Some(Container::Object { .. })) => {
                    self.nested_key()?;
                    return Ok(false);
                }
                _ => return Err(self.lexer.error()),
            }
        }
        Ok(true)
    }

    fn open(&mut self, container: Container) {
        self.open.push(container);
        if self.open.len() == MAX_NESTING + 1 {
            self.lexer.found(Fault::TooDeep, || format!("nested deeper than {MAX_NESTING} levels"));
        }
    }

    fn close(&mut self) {
        if let Some(Container::Object { keys_from }) = self.open.pop() {
            if let Some(key) = duplicate(&mut self.keys[keys_from..]) {
                let detail = format!("the key `{}` stands twice in one object", shorten(&key));
                self.lexer.found(Fault::DuplicateKey, || detail);
            }
            self.keys.truncate(keys_from);
        }
    }

    /// A key and its colon; the key is pushed to `keys`.
    fn key(&mut self) -> Result<(), JsonError> {
        self.lexer.skip_space();
        let from = self.lexer.at;
        let escaped = self.lexer.string()?;
        let quoted = &self.lexer.text[from..self.lexer.at];
        let plain = &quoted[1..quoted.len() - 1];
        // An escape that is no character (a lone surrogate) was found already; the raw text then names it.
        let key = match escaped.then(|| serde_json::from_str::<String>(quoted)) {
            Some(Ok(unescaped)) => Cow::Owned(unescaped),
            Some(Err(_)) | None => Cow::Borrowed(plain),
        };
        self.keys.push(key);
        self.lexer.skip_space();
        self.lexer.expect(b':')
    }

    /// A key of an object within the outermost one.
    fn nested_key(&mut self) -> Result<(), JsonError> {
        self.key()?;
        if self.open.len() == INNER_DEPTH {
            self.lexer.skip_space();
            self.inner_value = Some(self.lexer.at);
            let key = self.keys.last().cloned().unwrap_or_default();
            self.inner.push(Member { key, value: "", inner: 0..0 });
        }
        Ok(())
    }

    /// Behind a value: if it is one of `inner`, notes its text.
    fn end_inner_value(&mut self) {
        if self.open.len() == INNER_DEPTH
            && let (Some(from), Some(member)) = (self.inner_value.take(), self.inner.last_mut())
        {
            member.value = &self.lexer.text[from..self.lexer.at];
        }
    }
}

/// Open containers at a member of an inner object.
const INNER_DEPTH: usize = 2;

/// A key that stands twice. Many keys are sorted first, so that no object costs quadratic time.
fn duplicate<'a>(keys: &mut [Cow<'a, str>]) -> Option<Cow<'a, str>> {
    if keys.len() > 16 {
        keys.sort_unstable();
        return keys.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0].clone());
    }
    let twice = (1..keys.len()).find(|&index| keys[..index].contains(&keys[index]))?;
    Some(keys[twice].clone())
}

#[cfg(test)]
mod tests;
