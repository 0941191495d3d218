//! What a publisher may say in a message's properties, whoever it is: more routing keys, and a time to
//! live (behaviour B6.2, B6.3).

use smallvec::SmallVec;

use crate::protocol::{AmqpError, FieldValue, Properties, RawValue, ReplyCode};

/// The longest time to live: ten years (behaviour B6.2).
const EXPIRATION_MAX_MILLIS: u64 = 315_360_000_000;

/// Routing keys from the CC and BCC headers.
#[derive(Debug, Default)]
pub struct ExtraKeys<'a> {
    pub keys: SmallVec<[&'a [u8]; 4]>,
    /// All of them as the content of an array, where there is a BCC header. Consumers must not see that
    /// one; a dead letter can still be routed by this (behaviour B8.6).
    pub hidden: Option<Vec<u8>>,
}

impl<'a> ExtraKeys<'a> {
    pub fn of(properties: &Properties<'a>) -> Result<Self, AmqpError> {
        let mut keys = SmallVec::new();
        if properties.headers.is_none() {
            return Ok(Self::default());
        }
        let cc = properties.header_entries().find(b"CC");
        let bcc = properties.header_entries().find(b"BCC");
        add_keys(&mut keys, "CC", cc)?;
        add_keys(&mut keys, "BCC", bcc)?;
        let hidden = bcc.is_some().then(|| {
            let mut array = Vec::new();
            for key in &keys {
                FieldValue::from(*key).encode(&mut array);
            }
            array
        });
        Ok(Self { keys, hidden })
    }
}

/// CC and BCC are arrays; what in them is not a string is ignored (behaviour B6.2, B6.3).
fn add_keys<'a>(
    keys: &mut SmallVec<[&'a [u8]; 4]>,
    name: &str,
    value: Option<RawValue<'a>>,
) -> Result<(), AmqpError> {
    let Some(value) = value else { return Ok(()) };
    let Some(items) = value.items() else {
        let kind = value.decode().map_or("unknown", |value| value.type_name());
        let text = format!("invalid message: {{unacceptable_type_in_header,\"{name}\",{kind}}}");
        return Err(precondition(text));
    };
    let texts = items.filter(|item| matches!(item.decode(), Ok(FieldValue::LongString(_))));
    keys.extend(texts.filter_map(|item| item.as_bytes()));
    Ok(())
}

/// Behaviour B6.2.
pub fn check_expiration(expiration: &[u8]) -> Result<(), AmqpError> {
    let text = String::from_utf8_lossy(expiration);
    let refuse = |why: String| Err(precondition(format!("invalid expiration '{text}': {why}")));
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(&text);
    let digits = unsigned.len() - unsigned.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    if digits == 0 {
        return refuse("no_integer".to_owned());
    }
    let (_, rest) = unsigned.split_at(digits);
    if !rest.is_empty() {
        return refuse(format!("{{leftover_string,\"{rest}\"}}"));
    }
    // What RabbitMQ shows is the number, not how it was written.
    let number = unsigned.trim_start_matches('0');
    if text.starts_with('-') && !number.is_empty() {
        return refuse(format!("{{value_negative,-{number}}}"));
    }
    // A shortstr can hold more digits than any integer type.
    if number.is_empty() || number.parse().is_ok_and(|millis: u64| millis <= EXPIRATION_MAX_MILLIS)
    {
        return Ok(());
    }
    refuse(format!("{{value_too_large,{number}}}"))
}

#[cold]
fn precondition(text: impl Into<String>) -> AmqpError {
    AmqpError::new(ReplyCode::PreconditionFailed, text)
}
