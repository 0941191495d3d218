//! Hand-over from a queue to a connection.
//!
//! A queue decides who gets a message and puts it into that connection's [`Outbox`]; the connection's
//! task takes the outbox as a whole, numbers, encodes and writes. In between stand [`Wakes`]: the
//! connections touched during one batch of work, each rung once when the batch is done, and
//! [`ChannelLimit`], the prefetch limit that all consumers of a channel share.
//!
//! Invariant: a message lies in exactly one outbox, and leaves it to the connection or back to its
//! queue. The outbox lock is the last in the lock order: nothing is called while it is held.

mod limit;
mod outbox;
mod wakes;

pub use limit::ChannelLimit;
pub use outbox::{Delivery, Outbox, Outgoing, SourceId, Withdrawn};
pub use wakes::Wakes;
