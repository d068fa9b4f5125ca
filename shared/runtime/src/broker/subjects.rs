//! Every subject of the product. None names a user: streams carry a slot, so that the broker's subject index
//! stays small however many spaces there are.

/// The subjects of one installation.
#[derive(Debug, Clone)]
pub struct Subjects {
    prefix: String,
}

impl Subjects {
    /// `prefix` is the first token of each subject.
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// A batch on its way to the log; stream PUSH.
    pub fn push(&self, slot: u16) -> String {
        format!("{}.push.{slot}", self.prefix)
    }

    /// All of PUSH.
    pub fn push_all(&self) -> String {
        format!("{}.push.*", self.prefix)
    }

    /// A committed segment; stream LOG.
    pub fn log(&self, slot: u16) -> String {
        format!("{}.log.{slot}", self.prefix)
    }

    /// All of LOG.
    pub fn log_all(&self) -> String {
        format!("{}.log.*", self.prefix)
    }

    /// A hint, not stored: the head of a space in this slot has moved.
    pub fn head(&self, slot: u16) -> String {
        format!("{}.head.{slot}", self.prefix)
    }

    /// All of these.
    pub fn head_all(&self) -> String {
        format!("{}.head.*", self.prefix)
    }

    /// A hint, not stored: who is present in a space in this slot.
    pub fn presence(&self, slot: u16) -> String {
        format!("{}.presence.{slot}", self.prefix)
    }

    /// All of these.
    pub fn presence_all(&self) -> String {
        format!("{}.presence.*", self.prefix)
    }

    /// A hint, not stored: a batch was committed; for the gateway `instance` that published it.
    pub fn receipts(&self, instance: &str) -> String {
        format!("{}.receipts.{instance}", self.prefix)
    }

    /// A hint, not stored: PUSH is nearly full.
    pub fn trim(&self) -> String {
        format!("{}.trim", self.prefix)
    }

    /// A hint, not stored: facts about devices.
    pub fn devices(&self) -> String {
        format!("{}.devices", self.prefix)
    }

    /// A hint, not stored: a device was named, revoked or restored.
    pub fn profiles(&self) -> String {
        format!("{}.profiles", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_as_documented() {
        let subjects = Subjects::new("tidelog");
        let cases = [
            (subjects.push(0), "tidelog.push.0"),
            (subjects.push_all(), "tidelog.push.*"),
            (subjects.log(1023), "tidelog.log.1023"),
            (subjects.log_all(), "tidelog.log.*"),
            (subjects.head(7), "tidelog.head.7"),
            (subjects.head_all(), "tidelog.head.*"),
            (subjects.presence(7), "tidelog.presence.7"),
            (subjects.presence_all(), "tidelog.presence.*"),
            (subjects.receipts("g-1"), "tidelog.receipts.g-1"),
            (subjects.trim(), "tidelog.trim"),
            (subjects.devices(), "tidelog.devices"),
            (subjects.profiles(), "tidelog.profiles"),
        ];
        for (subject, expected) in cases {
            assert_eq!(subject, expected);
        }
    }
}
