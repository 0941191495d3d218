//! What the arguments of a binding ask of the headers of a message (B4.12).

use crate::exchange::term::Term;
use crate::protocol::{AmqpError, FieldTable, FieldValue, ReplyCode};

const X_MATCH: &str = "x-match";

/// How many of a binding's conditions have to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantity {
    All,
    Any,
}

/// The argument `x-match`, taken apart.
#[derive(Clone, Copy)]
pub(super) struct XMatch {
    pub(super) quantity: Quantity,
    /// Whether arguments whose name starts with `x-` are conditions like others.
    with_x: bool,
}

impl XMatch {
    pub(super) fn parse(arguments: &FieldTable) -> Result<Self, AmqpError> {
        let (quantity, with_x) = match arguments.get(X_MATCH) {
            None => (Quantity::All, false),
            Some(FieldValue::LongString(text)) => match text.as_slice() {
                b"all" => (Quantity::All, false),
                b"any" => (Quantity::Any, false),
                b"all-with-x" => (Quantity::All, true),
                b"any-with-x" => (Quantity::Any, true),
                _ => return Err(invalid_value(text)),
            },
            Some(other) => return Err(invalid_type(other)),
        };
        Ok(Self { quantity, with_x })
    }

    /// The arguments that are conditions. Of two under one name the first counts.
    pub(super) fn conditions(self, arguments: &FieldTable) -> impl Iterator<Item = (&str, Wanted)> {
        let mut seen: Vec<&str> = Vec::new();
        arguments.iter().filter_map(move |(name, value)| {
            let is_skipped = if self.with_x { name == X_MATCH } else { name.starts_with("x-") };
            if is_skipped || seen.contains(&name) {
                return None;
            }
            seen.push(name);
            Some((name, Wanted::from(value)))
        })
    }
}

/// What a condition wants of its header.
#[derive(Debug)]
pub(super) enum Wanted {
    /// Written as void: any value will do.
    Presence,
    Value(FieldValue),
}

impl From<&FieldValue> for Wanted {
    fn from(value: &FieldValue) -> Self {
        match value {
            FieldValue::Void => Self::Presence,
            value => Self::Value(value.clone()),
        }
    }
}

fn invalid_value(text: &[u8]) -> AmqpError {
    let text = Term(text);
    let text =
        format!("Invalid x-match field value {text}; expected all, any, all-with-x, or any-with-x");
    AmqpError::new(ReplyCode::PreconditionFailed, text)
}

fn invalid_type(value: &FieldValue) -> AmqpError {
    let type_name = value.type_name();
    let text = format!("Invalid x-match field type {type_name} (value {value}); expected longstr");
    AmqpError::new(ReplyCode::PreconditionFailed, text)
}
