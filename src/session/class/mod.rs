//! What each method does: check, call the broker, answer. One file per class or concern, in the
//! order of the specification.
//!
//! A handler gets the connection's [`Context`](super::context::Context) and its channel, and returns
//! an error for the one place that turns it into a close (`open`). Everything gathered before is
//! flushed when a handler runs, except in `publish` and `settle`, which do the gathering.

pub mod confirm;
pub mod consume;
pub mod exchange;
pub mod get;
pub mod publish;
pub mod queue;
pub mod settle;
pub mod tx;
