//! The kinds of faults that a simulation has, by name.

use std::fmt;
use std::str::FromStr;

macro_rules! faults {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Something that goes wrong with a phone, on the way, or at the server.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        pub enum Fault {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Fault {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name, as `--faults` takes it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

faults! {
    /// A phone has no network for minutes to weeks.
    Offline = "offline",
    /// A phone has no network for more than two weeks, with events of its own, while the others go on; then it comes back.
    Away = "away",
    /// A request is cut off before the server hears of it.
    CutBefore = "cut-before",
    /// A request is cut off halfway.
    CutDuring = "cut-during",
    /// A request is cut off after the server has acted on it.
    CutAfter = "cut-after",
    /// An answer comes twice.
    Duplicated = "duplicated",
    /// An answer comes several syncs later.
    Delayed = "delayed",
    /// An answer comes after that to a later request.
    Reordered = "reordered",
    /// The app is killed between two storage steps, and opened again.
    Killed = "killed",
    /// A phone's file becomes an older copy of itself.
    Restored = "restored",
    /// A phone's file is copied to another phone, and both go on.
    Cloned = "cloned",
    /// A wall clock jumps by minutes to years, either way.
    ClockJump = "clock-jump",
    /// Another user logs in on the phone, and is refused; the first one comes back.
    OtherUser = "other-user",
    /// An older version of the app records what the server's schema does not know.
    OlderApp = "older-app",
    /// The server refuses with 429 or 503.
    Refused = "refused",
    /// A push is in the broker only, and committed later.
    CommittedLate = "committed-late",
    /// A push is in the broker only, and lost there.
    LostInBroker = "lost-in-broker",
    /// The log is pruned, so that whoever is behind gets a snapshot.
    Pruned = "pruned",
    /// The server is restored to an older state.
    ServerRestored = "server-restored",
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no fault's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no fault `{0}`; there are: {names}", names = Fault::ALL.iter().map(|fault| fault.name()).collect::<Vec<_>>().join(", "))]
pub struct UnknownFault(String);

/// Which faults a plan may have.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct FaultSet(Vec<Fault>);

impl FaultSet {
    /// All of them.
    pub fn all() -> Self {
        Self(Fault::ALL.to_vec())
    }

    /// None: phones that are always well and on line.
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// These.
    pub fn of(faults: impl IntoIterator<Item = Fault>) -> Self {
        let mut faults: Vec<_> = faults.into_iter().collect();
        faults.sort_unstable();
        faults.dedup();
        Self(faults)
    }

    /// Whether the set has this one.
    pub fn has(&self, fault: Fault) -> bool {
        self.0.contains(&fault)
    }

    /// Those of `faults` that the set has.
    pub fn among(&self, faults: &[Fault]) -> Vec<Fault> {
        faults.iter().copied().filter(|&fault| self.has(fault)).collect()
    }
}

impl FromStr for FaultSet {
    type Err = UnknownFault;

    /// Reads `all`, `none`, or names with commas between them.
    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        let fault = |name: &str| {
            let known = Fault::ALL.iter().copied().find(|fault| fault.name() == name);
            known.ok_or_else(|| UnknownFault(name.to_owned()))
        };
        match text {
            "all" => Ok(Self::all()),
            "none" => Ok(Self::none()),
            names => {
                names.split(',').map(|name| fault(name.trim())).collect::<Result<Vec<_>, _>>().map(Self::of)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_read_from_names() {
        let named: FaultSet = "cloned, cut-after,cloned".parse().unwrap();
        assert_eq!(named, FaultSet::of([Fault::CutAfter, Fault::Cloned]));
        assert_eq!("all".parse(), Ok(FaultSet::all()));
        assert_eq!("none".parse(), Ok(FaultSet::none()));
        assert_eq!("cloned,rain".parse::<FaultSet>(), Err(UnknownFault("rain".into())));
    }
}
