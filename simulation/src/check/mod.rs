//! What must hold: after every step on the phone that took it, and at the end of everybody.

mod culprit;
mod log;
mod phone;
mod replay;
mod shown;
mod stamps;

pub(crate) use log::{Ending, Logged, check_log};
pub(crate) use phone::{PhoneEnding, Truth, check_phone, check_read_model};
pub(crate) use replay::Replay;
pub(crate) use shown::{Shadow, Showing, check_shown};
pub(crate) use stamps::check_stamps;

#[cfg(test)]
mod tests;
