//! Tidelog's pure core: what an event is, how a batch is judged, and the formats that travel between
//! device, server and log. No I/O, no clock, no randomness: everything comes in as an argument.

pub mod admit;
pub mod clock;
pub mod code;
pub mod command;
pub mod event;
pub mod fold;
pub mod frame;
pub mod id;
pub mod json;
pub mod limits;
pub mod live;
pub mod protocol;
pub mod report;
pub mod schema;
pub mod stamp;
