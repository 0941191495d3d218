//! The types of queue, and what sets them apart before there is a message (behaviour B5.6, B5.7).

use crate::protocol::{AmqpError, FieldTable, FieldValue, ReplyCode};

/// `x-queue-type`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub enum QueueKind {
    #[default]
    Classic,
    /// Durable whatever is in it, and it counts how often a message came back.
    Quorum,
    /// Messages stay when they are read.
    Stream,
}

/// Deliveries that fail before a message is given up, where nothing else is said (behaviour B14.15).
pub const DELIVERY_LIMIT_DEFAULT: i64 = 20;

/// All but streams.
const QUEUES: &[QueueKind] = &[QueueKind::Classic, QueueKind::Quorum];

/// Arguments that belong to some types only, and to which.
const OWNED: [(&str, &[QueueKind]); 23] = [
    ("x-message-ttl", QUEUES),
    ("x-expires", QUEUES),
    ("x-max-length", QUEUES),
    ("x-overflow", QUEUES),
    ("x-dead-letter-exchange", QUEUES),
    ("x-dead-letter-routing-key", QUEUES),
    ("x-single-active-consumer", QUEUES),
    ("x-consumer-timeout", QUEUES),
    ("x-consumer-timeout-action", QUEUES),
    ("x-max-priority", &[QueueKind::Classic]),
    ("x-queue-mode", &[QueueKind::Classic]),
    ("x-queue-version", &[QueueKind::Classic]),
    ("x-queue-master-locator", &[QueueKind::Classic]),
    ("x-delivery-limit", &[QueueKind::Quorum]),
    ("x-dead-letter-strategy", &[QueueKind::Quorum]),
    ("x-quorum-initial-group-size", &[QueueKind::Quorum]),
    ("x-max-in-memory-length", &[QueueKind::Quorum]),
    ("x-max-in-memory-bytes", &[QueueKind::Quorum]),
    ("x-consumer-disconnected-timeout", &[QueueKind::Quorum]),
    ("x-max-age", &[QueueKind::Stream]),
    ("x-stream-max-segment-size-bytes", &[QueueKind::Stream]),
    ("x-stream-filter-size-bytes", &[QueueKind::Stream]),
    ("x-initial-cluster-size", &[QueueKind::Stream]),
];

/// Arguments of consumers that streams alone know.
const STREAM_CONSUMER: [&str; 3] =
    ["x-stream-offset", "x-stream-filter", "x-stream-match-unfiltered"];

impl QueueKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Quorum => "quorum",
            Self::Stream => "stream",
        }
    }

    /// The one of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Classic, Self::Quorum, Self::Stream].into_iter().find(|kind| kind.as_str() == name)
    }

    /// Whether it can have queues with these flags (behaviour B5.7).
    pub fn allows(self, durable: bool, exclusive: bool, auto_delete: bool) -> bool {
        self.check_flags(durable, exclusive, auto_delete, "").is_ok()
    }

    /// RabbitMQ's name for it in texts.
    pub fn module(self) -> &'static str {
        match self {
            Self::Classic => "rabbit_classic_queue",
            Self::Quorum => "rabbit_quorum_queue",
            Self::Stream => "rabbit_stream_queue",
        }
    }

    /// `x-queue-type` of a queue that exists.
    pub(super) fn of(arguments: &FieldTable) -> Self {
        match arguments.get("x-queue-type").and_then(FieldValue::as_str) {
            Some("quorum") => Self::Quorum,
            Some("stream") => Self::Stream,
            _ => Self::Classic,
        }
    }

    /// The argument is not one of other types.
    pub(super) fn knows(self, name: &str) -> bool {
        OWNED.iter().all(|(owned, kinds)| *owned != name || kinds.contains(&self))
    }

    /// Refuses arguments of a queue that are known and of other types.
    pub fn check_foreign(self, arguments: &FieldTable, resource: &str) -> Result<(), AmqpError> {
        let is_foreign =
            |(name, _): &&(&str, _)| !self.knows(name) && arguments.get(name).is_some();
        OWNED.iter().find(is_foreign).map_or(Ok(()), |(name, _)| self.foreign(name, resource))
    }

    /// The same for a consumer.
    pub fn check_foreign_consumer(
        self,
        arguments: &FieldTable,
        resource: &str,
    ) -> Result<(), AmqpError> {
        let foreign: &[&str] = match self {
            Self::Classic | Self::Quorum => &STREAM_CONSUMER,
            Self::Stream => &["x-priority"],
        };
        let foreign = foreign.iter().find(|name| arguments.get(name).is_some());
        foreign.map_or(Ok(()), |name| self.foreign(name, resource))
    }

    fn foreign(self, name: &str, resource: &str) -> Result<(), AmqpError> {
        let module = self.module();
        Err(refused(format!("invalid arg '{name}' for {resource} of queue type {module}")))
    }

    /// What the flags of a declare must be (behaviour B5.7).
    pub fn check_flags(
        self,
        durable: bool,
        exclusive: bool,
        auto_delete: bool,
        resource: &str,
    ) -> Result<(), AmqpError> {
        if self == Self::Classic {
            return Ok(());
        }
        let wrong = [
            (auto_delete, "auto-delete"),
            (exclusive, "exclusive-owner"),
            (!durable, "non-durable"),
        ];
        match wrong.iter().find(|(wrong, _)| *wrong) {
            None => Ok(()),
            Some((_, what)) => Err(refused(format!("invalid property '{what}' for {resource}"))),
        }
    }
}

fn refused(text: String) -> AmqpError {
    AmqpError::new(ReplyCode::PreconditionFailed, text)
}
