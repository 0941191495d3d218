//! The argument table of `queue.declare`: checked, and read into [`Options`] (behaviour B5.6).

mod stream;

use super::deduplication::DEDUPLICATION_HEADER;
use super::kind::{DELIVERY_LIMIT_DEFAULT, QueueKind};
use super::stream::StreamOptions;
use crate::protocol::{AmqpError, FieldTable, FieldValue, ReplyCode};

/// Ten years: the longest time to live RabbitMQ takes.
pub const TTL_MAX_MILLIS: i64 = 315_360_000_000;

/// What happens to a publish that would exceed a length limit (behaviour B8.9).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Overflow {
    #[default]
    DropHead,
    RejectPublish,
    RejectPublishDlx,
}

impl Overflow {
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "drop-head" => Some(Self::DropHead),
            "reject-publish" => Some(Self::RejectPublish),
            "reject-publish-dlx" => Some(Self::RejectPublishDlx),
            _ => None,
        }
    }
}

/// What becomes of a delivery that a client does not settle in time (behaviour B6.16).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TimeoutAction {
    /// The channel is closed, and everything on it comes back.
    #[default]
    Close,
    /// The delivery comes back; the consumer stays.
    Requeue,
}

impl TimeoutAction {
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "close" => Some(Self::Close),
            "requeue" => Some(Self::Requeue),
            _ => None,
        }
    }
}

/// The arguments that change how a queue behaves.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Options {
    pub kind: QueueKind,
    pub message_ttl_millis: Option<u64>,
    /// The queue ends when it has not been used for so long (behaviour B8.4).
    pub expires_millis: Option<u64>,
    pub max_length: Option<u64>,
    pub max_length_bytes: Option<u64>,
    /// `None` is [`Overflow::DropHead`], unless a policy says otherwise.
    pub overflow: Option<Overflow>,
    pub dead_letter_exchange: Option<String>,
    pub dead_letter_routing_key: Option<String>,
    pub max_priority: Option<u8>,
    pub single_active_consumer: bool,
    /// The header whose value no two messages in the queue have in common.
    pub deduplication_header: Option<String>,
    /// How long clients may have a delivery without settling it; 0 is as long as they like, `None`
    /// as long as the broker's setting says.
    pub consumer_timeout_millis: Option<u64>,
    pub consumer_timeout_action: Option<TimeoutAction>,
    /// As it was said; see [`delivery_limit`](Self::delivery_limit).
    pub delivery_limit: Option<i64>,
    /// A dead letter that cannot be delivered is kept (behaviour B13.7).
    pub dead_letter_at_least_once: Option<bool>,
    pub stream: StreamOptions,
}

/// Arguments that the equivalence check of a redeclare looks at, in RabbitMQ's order (behaviour B5.4).
/// All others are stored and shown, and ignored.
const COMPARED: [&str; 23] = [
    "x-expires",
    "x-message-ttl",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-priority",
    "x-overflow",
    "x-delivery-limit",
    "x-quorum-initial-group-size",
    "x-max-in-memory-length",
    "x-max-in-memory-bytes",
    "x-queue-mode",
    "x-queue-version",
    "x-single-active-consumer",
    "x-consumer-timeout",
    "x-consumer-timeout-action",
    "x-max-age",
    "x-stream-max-segment-size-bytes",
    "x-stream-filter-size-bytes",
    "x-initial-cluster-size",
    "x-queue-type",
];

impl Options {
    /// Reads the table for `resource` (`queue 'q' in vhost '/'`). Errors are CH 406 with RabbitMQ's
    /// words.
    pub fn parse(arguments: &FieldTable, resource: &str) -> Result<Self, AmqpError> {
        let reader = ArgumentReader { arguments, resource };
        let kind = reader.queue_type()?;
        if kind == QueueKind::Stream {
            return reader.stream();
        }
        let options = Self {
            kind,
            message_ttl_millis: reader.integer("x-message-ttl", 0, TTL_MAX_MILLIS)?,
            expires_millis: reader.integer("x-expires", 1, TTL_MAX_MILLIS)?,
            max_length: reader.integer("x-max-length", 0, i64::MAX)?,
            max_length_bytes: reader.integer("x-max-length-bytes", 0, i64::MAX)?,
            overflow: reader.overflow()?,
            dead_letter_exchange: reader.dead_letter_exchange()?,
            dead_letter_routing_key: reader.dead_letter_routing_key()?,
            max_priority: reader.max_priority()?,
            single_active_consumer: reader.boolean("x-single-active-consumer")?,
            deduplication_header: reader.deduplication_header()?,
            consumer_timeout_millis: reader.integer("x-consumer-timeout", 0, i64::MAX)?,
            consumer_timeout_action: reader.timeout_action()?,
            delivery_limit: arguments.get("x-delivery-limit").and_then(FieldValue::as_int),
            dead_letter_at_least_once: reader.dead_letter_strategy(kind)?,
            stream: StreamOptions::default(),
        };
        reader.one_of("x-queue-mode", "mode", &["default", "lazy"])?;
        reader.queue_version()?;
        reader.without_effect(kind)?;
        kind.check_foreign(arguments, resource)?;
        Ok(options)
    }

    /// How often a message may come back; with the next time it dies (behaviour B13.4). `None` is as
    /// often as it likes.
    pub fn delivery_limit(&self) -> Option<u32> {
        match (self.kind, self.delivery_limit.unwrap_or(DELIVERY_LIMIT_DEFAULT)) {
            (QueueKind::Classic | QueueKind::Stream, _) | (_, ..0) => None,
            (QueueKind::Quorum, limit) => Some(u32::try_from(limit).unwrap_or(u32::MAX)),
        }
    }

    pub fn overflow(&self) -> Overflow {
        match (self.kind, self.overflow.unwrap_or_default()) {
            // Behaviour B13.6.
            (QueueKind::Quorum, Overflow::RejectPublishDlx) => Overflow::DropHead,
            (_, overflow) => overflow,
        }
    }

    /// Dead letters have to arrive, and wait until they can. That was asked for, and what it takes is
    /// there: a queue that drops its head could not keep them (behaviour B13.7).
    pub fn at_least_once(&self) -> bool {
        self.dead_letter_at_least_once == Some(true) && self.why_at_most_once().is_none()
    }

    /// What keeps dead letters from being delivered at least once.
    pub(super) fn why_at_most_once(&self) -> Option<&'static str> {
        if self.kind != QueueKind::Quorum {
            return Some("it is no quorum queue");
        }
        if self.dead_letter_exchange.is_none() {
            return Some("it has no dead letter exchange");
        }
        (self.overflow() != Overflow::RejectPublish).then_some("its overflow is not reject-publish")
    }

    pub fn has_limits(&self) -> bool {
        self.max_length.is_some() || self.max_length_bytes.is_some()
    }

    /// Messages and body bytes that may be ready.
    pub fn limits(&self) -> (usize, usize) {
        let size = |limit: Option<u64>| {
            limit.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX))
        };
        (size(self.max_length), size(self.max_length_bytes))
    }
}

/// Compares the arguments of a redeclare with those the queue has: the first difference is CH 406
/// (behaviour B5.4).
pub fn check_equivalent_arguments(
    received: &FieldTable,
    current: &FieldTable,
    resource: &str,
) -> Result<(), AmqpError> {
    let classic = FieldValue::LongString(b"classic".to_vec());
    let kind = QueueKind::of(current);
    for name in COMPARED.into_iter().filter(|name| kind.knows(name)) {
        let (new, old) = (received.get(name), current.get(name));
        if name == "x-queue-type" && new.unwrap_or(&classic).equivalent(old.unwrap_or(&classic)) {
            continue;
        }
        check_equivalent(name, new, old, resource)?;
    }
    Ok(())
}

/// The rendering of B4.3, shared by queues and exchanges.
pub fn check_equivalent(
    name: &str,
    new: Option<&FieldValue>,
    old: Option<&FieldValue>,
    resource: &str,
) -> Result<(), AmqpError> {
    let same = match (new, old) {
        (None, None) => true,
        (Some(new), Some(old)) => new.equivalent(old),
        _ => false,
    };
    if same {
        return Ok(());
    }
    let render = |value: Option<&FieldValue>, both: bool| match value {
        None => "none".to_owned(),
        Some(value) if both => format!("'{value}'"),
        Some(value) => format!("the value '{value}' of type '{}'", value.type_name()),
    };
    let both = new.is_some() && old.is_some();
    let text = format!(
        "inequivalent arg '{name}' for {resource}: received {} but current is {}",
        render(new, both),
        render(old, both)
    );
    Err(AmqpError::new(ReplyCode::PreconditionFailed, text))
}

/// Reads arguments of a queue or of a consumer. Errors are CH 406 with RabbitMQ's words.
#[derive(Clone, Copy, Debug)]
pub struct ArgumentReader<'a> {
    pub arguments: &'a FieldTable,
    /// `queue 'q' in vhost '/'`.
    pub resource: &'a str,
}

impl ArgumentReader<'_> {
    fn invalid<T>(&self, name: &str, reason: &str) -> Result<T, AmqpError> {
        let text = format!("invalid arg '{name}' for {}: {reason}", self.resource);
        Err(AmqpError::new(ReplyCode::PreconditionFailed, text))
    }

    pub fn integer(&self, name: &str, min: i64, max: i64) -> Result<Option<u64>, AmqpError> {
        let Some(value) = self.arguments.get(name) else {
            return Ok(None);
        };
        let Some(number) = value.as_int() else {
            return self.invalid(name, &format!("\"expected integer, got {}\"", value.type_name()));
        };
        if number < 0 {
            return self.invalid(name, &format!("{{value_negative,{number}}}"));
        }
        if number < min {
            return self.invalid(name, &format!("{{value_zero,{number}}}"));
        }
        if number > max {
            return self.invalid(name, &format!("{{value_too_large,{number}}}"));
        }
        Ok(u64::try_from(number).ok())
    }

    fn max_priority(&self) -> Result<Option<u8>, AmqpError> {
        match self.integer("x-max-priority", 0, i64::MAX)? {
            None => Ok(None),
            Some(number) => match u8::try_from(number) {
                Ok(max) => Ok(Some(max)),
                Err(_) => {
                    self.invalid("x-max-priority", &format!("{{max_value_exceeded,{number}}}"))
                }
            },
        }
    }

    fn string(&self, name: &str) -> Result<Option<&str>, AmqpError> {
        let Some(value) = self.arguments.get(name) else {
            return Ok(None);
        };
        match value.as_str() {
            Some(text) => Ok(Some(text)),
            None => self.invalid(name, &format!("{{unacceptable_type,{}}}", value.type_name())),
        }
    }

    fn boolean(&self, name: &str) -> Result<bool, AmqpError> {
        match self.arguments.get(name) {
            None => Ok(false),
            Some(FieldValue::Bool(value)) => Ok(*value),
            Some(other) => {
                self.invalid(name, &format!("{{unacceptable_type,{}}}", other.type_name()))
            }
        }
    }

    fn overflow(&self) -> Result<Option<Overflow>, AmqpError> {
        let Some(word) = self.string("x-overflow")? else {
            return Ok(None);
        };
        match Overflow::parse(word) {
            Some(overflow) => Ok(Some(overflow)),
            None => self.invalid("x-overflow", "invalid_overflow"),
        }
    }

    /// leveret's own: what to do with deliveries that are not settled in time.
    pub fn timeout_action(&self) -> Result<Option<TimeoutAction>, AmqpError> {
        let name = "x-consumer-timeout-action";
        let Some(word) = self.string(name)? else {
            return Ok(None);
        };
        match TimeoutAction::parse(word) {
            Some(action) => Ok(Some(action)),
            None => self.invalid(name, "invalid_consumer_timeout_action"),
        }
    }

    /// Differs in wording from all other arguments (behaviour B5.1).
    fn dead_letter_exchange(&self) -> Result<Option<String>, AmqpError> {
        let name = "x-dead-letter-exchange";
        let Some(value) = self.arguments.get(name) else {
            return Ok(None);
        };
        match value.as_str() {
            Some(exchange) => Ok(Some(exchange.to_owned())),
            None => {
                let kind = value.type_name();
                let text = format!("invalid type '{kind}' for arg '{name}' in {}", self.resource);
                Err(AmqpError::new(ReplyCode::PreconditionFailed, text))
            }
        }
    }

    fn dead_letter_routing_key(&self) -> Result<Option<String>, AmqpError> {
        let name = "x-dead-letter-routing-key";
        let key = self.string(name)?.map(str::to_owned);
        if key.is_some() && self.arguments.get("x-dead-letter-exchange").is_none() {
            return self.invalid(name, "routing_key_but_no_dlx_defined");
        }
        Ok(key)
    }

    /// The name of the header alone switches nothing on.
    fn deduplication_header(&self) -> Result<Option<String>, AmqpError> {
        let header = self.string(DEDUPLICATION_HEADER)?.unwrap_or(DEDUPLICATION_HEADER);
        Ok(self.boolean("x-message-deduplication")?.then(|| header.to_owned()))
    }

    fn one_of(&self, name: &str, noun: &str, known: &[&str]) -> Result<(), AmqpError> {
        match self.string(name)? {
            Some(other) if !known.contains(&other) => {
                self.invalid(name, &format!("\"unsupported queue {noun} '{other}'\""))
            }
            _ => Ok(()),
        }
    }

    fn queue_version(&self) -> Result<(), AmqpError> {
        match self.integer("x-queue-version", 0, i64::MAX)? {
            None | Some(1 | 2) => Ok(()),
            Some(other) => {
                self.invalid("x-queue-version", &format!("\"unsupported queue version '{other}'\""))
            }
        }
    }

    fn queue_type(&self) -> Result<QueueKind, AmqpError> {
        let name = "x-queue-type";
        match self.string(name)? {
            None | Some("classic") => Ok(QueueKind::Classic),
            Some("quorum") => Ok(QueueKind::Quorum),
            Some("stream") => Ok(QueueKind::Stream),
            Some(other) => self.invalid(name, &format!("\"unsupported queue type '{other}'\"")),
        }
    }

    /// Whether `at-least-once` was asked for.
    fn dead_letter_strategy(&self, kind: QueueKind) -> Result<Option<bool>, AmqpError> {
        // On other types it is refused whatever it says.
        if kind != QueueKind::Quorum {
            return Ok(None);
        }
        match self.string("x-dead-letter-strategy")? {
            None => Ok(None),
            Some("at-most-once") => Ok(Some(false)),
            Some("at-least-once") => Ok(Some(true)),
            Some(_) => self.invalid("x-dead-letter-strategy", "invalid_dlx_strategy"),
        }
    }

    /// Of a quorum queue: what is checked and means nothing on one node.
    fn without_effect(&self, kind: QueueKind) -> Result<(), AmqpError> {
        if kind != QueueKind::Quorum {
            return Ok(());
        }
        self.integer("x-quorum-initial-group-size", 1, i64::MAX)?;
        self.integer("x-max-in-memory-length", 0, i64::MAX)?;
        self.integer("x-max-in-memory-bytes", 0, i64::MAX)?;
        self.integer("x-consumer-disconnected-timeout", 0, i64::MAX)?;
        self.leader_locator()
    }

    /// Where RabbitMQ's clusters may put the leader. There is one place here.
    fn leader_locator(&self) -> Result<(), AmqpError> {
        let name = "x-queue-leader-locator";
        match self.string(name)? {
            None | Some("client-local" | "balanced" | "random" | "least-leaders") => Ok(()),
            Some(_) => self.invalid(name, "invalid_queue_locator_arg"),
        }
    }
}
