//! A live connection, as a device knows it: the log comes in messages, and little is said in return.

use std::convert::Infallible;

use tidelog_events::live::{LiveCall, LiveNotice};

use super::{Refused, Unreachable};

/// Why there is no live connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotLive {
    /// The transport, the server, or something between has none: the device polls. Why, for people.
    Unavailable(String),
    /// The server refused, as it would refuse a pull.
    Refused(Refused),
    /// No answer.
    Unreachable(Unreachable),
}

/// What comes on a live connection.
#[derive(Debug, Clone, PartialEq)]
pub enum LiveMessage {
    /// Decoded lines of the log: first the hello, then what a pull has behind it, for ever.
    Log(String),
    /// Something else.
    Notice(LiveNotice),
}

/// How a live connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LiveEnd {
    /// The gateway closed it, with this close code (`docs/live.md`); 1005 where it named none.
    Closed(u16),
    /// It broke off, or nothing was heard for too long.
    Lost(Unreachable),
}

/// An open live connection. Dropping it ends it.
pub trait LiveStream: Send {
    /// The next message. What was received is not lost where the caller stops waiting.
    fn next(&mut self) -> impl Future<Output = Result<LiveMessage, LiveEnd>> + Send;

    /// A message that has come already, if there is one.
    fn ready(&mut self) -> Option<Result<LiveMessage, LiveEnd>>;

    /// Says something. A caller that stops waiting must not go on with the connection.
    fn say(&mut self, call: &LiveCall) -> impl Future<Output = Result<(), LiveEnd>> + Send;
}

/// The live connection of a transport that has none.
#[derive(Debug)]
pub struct NeverLive(Infallible);

impl LiveStream for NeverLive {
    async fn next(&mut self) -> Result<LiveMessage, LiveEnd> {
        match self.0 {}
    }

    fn ready(&mut self) -> Option<Result<LiveMessage, LiveEnd>> {
        match self.0 {}
    }

    async fn say(&mut self, _call: &LiveCall) -> Result<(), LiveEnd> {
        match self.0 {}
    }
}
