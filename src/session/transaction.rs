//! What a channel in transaction mode holds back until it commits (behaviour B7.4).

use super::unacked::Held;
use crate::broker::Destinations;
use crate::message::Message;

#[derive(Debug, Default)]
pub struct Transaction {
    /// Validated and routed when they were published; enqueued at the commit.
    pub publishes: Vec<Publish>,
    /// In the order they were asked for. Their tags count as used until a rollback.
    pub settlements: Vec<Settlement>,
}

#[derive(Debug)]
pub struct Publish {
    pub message: Message,
    pub destinations: Destinations,
    /// Mandatory and going nowhere: it comes back during the commit.
    pub returned: bool,
}

#[derive(Debug)]
pub struct Settlement {
    pub tag: u64,
    pub held: Held,
    pub kind: Kind,
}

/// What a client does with a delivery.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Ack,
    Reject,
    Requeue,
}
