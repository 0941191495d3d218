//! What of a message is hashed: the arguments of the exchange's declaration (B4.16).

use crate::exchange::RoutingView;
use crate::exchange::digest::digest;
use crate::protocol::{AmqpError, FieldTable, RawValue, ReplyCode};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum HashOn {
    #[default]
    RoutingKey,
    Header(Box<str>),
    CorrelationId,
    MessageId,
    Timestamp,
}

impl HashOn {
    /// `resource` is the exchange, as texts name it.
    pub(super) fn parse(arguments: &FieldTable, resource: &str) -> Result<Self, AmqpError> {
        let text = |name: &str| match arguments.get(name) {
            None => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or_else(|| {
                let kind = value.type_name();
                precondition(format!("invalid type '{kind}' for arg '{name}' in {resource}"))
            }),
        };
        match (text("hash-header")?, text("hash-property")?) {
            (None, None) => Ok(Self::RoutingKey),
            (Some(_), Some(_)) => {
                Err(precondition("hash-header and hash-property are mutually exclusive".to_owned()))
            }
            (Some(header), None) => Ok(Self::Header(header.into())),
            (None, Some("correlation_id")) => Ok(Self::CorrelationId),
            (None, Some("message_id")) => Ok(Self::MessageId),
            (None, Some("timestamp")) => Ok(Self::Timestamp),
            (None, Some(other)) => Err(precondition(format!("Unsupported property: {other}"))),
        }
    }

    /// Messages that lack what is hashed have all the same digest.
    pub(super) fn digest(&self, message: &RoutingView<'_>) -> u64 {
        let properties = message.properties;
        let text = |text: Option<&[u8]>| text.map(|text| digest(b'S', text));
        let digest = match self {
            Self::RoutingKey => text(Some(message.routing_key)),
            Self::Header(name) => properties.header_entries().find(name.as_bytes()).map(of_value),
            Self::CorrelationId => text(properties.correlation_id),
            Self::MessageId => text(properties.message_id),
            Self::Timestamp => properties.timestamp.map(|time| digest(b'T', &time.to_be_bytes())),
        };
        digest.unwrap_or_default()
    }
}

/// Clients write one number in several widths; it is still one number.
fn of_value(value: RawValue<'_>) -> u64 {
    match value.as_int() {
        Some(number) => digest(b'l', &number.to_be_bytes()),
        None => digest(value.tag, value.bytes),
    }
}

fn precondition(text: String) -> AmqpError {
    AmqpError::new(ReplyCode::PreconditionFailed, text)
}
