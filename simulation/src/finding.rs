//! What a simulation has found to be wrong, and why it could not go on.

use serde::{Serialize, Serializer};
use tidelog_events::id::{DeviceId, Position};

/// What sort of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Wrong {
    /// An event is nowhere that must be in the log or in quarantine.
    Lost,
    /// An event is twice in the log or in quarantine, or in both.
    Twice,
    /// Two who must say the same do not; or an event is not what was recorded.
    Divergent,
    /// Positions have a gap, or stamps do not increase.
    Disordered,
    /// A phone does not come to an end with its sync.
    Stuck,
    /// A phone's store failed, or forgot what it had said.
    Store,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What sort of thing.
    pub wrong: Wrong,
    /// What, in a sentence.
    pub what: String,
    /// The first event that it is about.
    pub event: Option<Culprit>,
}

/// The event that a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Culprit {
    /// Its line, as the log or else a phone has it.
    pub line: String,
    /// The device that it was recorded under.
    #[serde(serialize_with = "as_text")]
    pub device: DeviceId,
    /// Its position, if it is in the log.
    pub position: Option<Position>,
}

impl Finding {
    /// Something wrong that is about no event alone.
    pub fn new(wrong: Wrong, what: impl Into<String>) -> Self {
        Self { wrong, what: what.into(), event: None }
    }

    /// Something wrong with an event.
    pub fn of_event(wrong: Wrong, what: impl Into<String>, event: Culprit) -> Self {
        Self { wrong, what: what.into(), event: Some(event) }
    }
}

/// Why the simulation itself could not go on.
#[derive(Debug, thiserror::Error)]
pub enum SimulationError {
    /// The phones' folder failed.
    #[error("the simulation's folder failed")]
    Files(#[from] std::io::Error),
    /// The server could not be looked at.
    #[error("the server cannot be looked at: {0}")]
    Server(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The example schema or an id was refused: a defect of the simulation.
    #[error("the simulation is wrong: {0}")]
    Own(String),
}

/// Why a user's run ended early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Something is wrong.
    Found(Box<Finding>),
    /// The simulation itself could not go on.
    Failed(SimulationError),
}

impl From<Finding> for Stop {
    fn from(finding: Finding) -> Self {
        Self::Found(Box::new(finding))
    }
}

impl<E: Into<SimulationError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

pub(crate) fn server_error<E: std::error::Error + Send + Sync + 'static>(error: E) -> SimulationError {
    SimulationError::Server(Box::new(error))
}

fn as_text<S: Serializer>(device: &DeviceId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(device.as_str())
}
