//! One value of a field table, owned.

use std::fmt;

use super::{FieldTable, encode_table};
use crate::protocol::wire::put;

/// The types of behaviour B1.9, which are those clients really send, not those of the
/// specification's text.
#[derive(Clone, PartialEq, Debug)]
pub enum FieldValue {
    Bool(bool),
    I8(i8),
    U8(u8),
    I16(i16),
    U16(u16),
    I32(i32),
    U32(u32),
    I64(i64),
    F32(f32),
    F64(f64),
    /// `value` divided by ten to the power of `scale`.
    Decimal {
        scale: u8,
        value: u32,
    },
    /// Octets that need not be text.
    LongString(Vec<u8>),
    Array(Vec<Self>),
    /// Seconds since 1970.
    Timestamp(u64),
    Table(FieldTable),
    Void,
    Binary(Vec<u8>),
}

impl FieldValue {
    /// The type's name in RabbitMQ's error texts.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "bool",
            Self::I8(_) => "byte",
            Self::U8(_) => "unsignedbyte",
            Self::I16(_) => "short",
            Self::U16(_) => "unsignedshort",
            Self::I32(_) => "signedint",
            Self::U32(_) => "unsignedint",
            Self::I64(_) => "long",
            Self::F32(_) => "float",
            Self::F64(_) => "double",
            Self::Decimal { .. } => "decimal",
            Self::LongString(_) => "longstr",
            Self::Array(_) => "array",
            Self::Timestamp(_) => "timestamp",
            Self::Table(_) => "table",
            Self::Void => "void",
            Self::Binary(_) => "binary",
        }
    }

    /// The number in an integer of any width. A timestamp is not an integer.
    pub fn as_int(&self) -> Option<i64> {
        Some(match *self {
            Self::I8(value) => value.into(),
            Self::U8(value) => value.into(),
            Self::I16(value) => value.into(),
            Self::U16(value) => value.into(),
            Self::I32(value) => value.into(),
            Self::U32(value) => value.into(),
            Self::I64(value) => value,
            _ => return None,
        })
    }

    /// The number in a float of either width.
    pub fn as_float(&self) -> Option<f64> {
        match *self {
            Self::F32(value) => Some(value.into()),
            Self::F64(value) => Some(value),
            _ => None,
        }
    }

    /// The text of a longstr that is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(self.as_bytes()?).ok()
    }

    /// The octets of a longstr.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::LongString(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub fn as_bool(&self) -> Option<bool> {
        match *self {
            Self::Bool(value) => Some(value),
            _ => None,
        }
    }

    pub fn as_table(&self) -> Option<&FieldTable> {
        match self {
            Self::Table(table) => Some(table),
            _ => None,
        }
    }

    /// Equal as the check of a second declare sees it (B5.4): the width of a number does not
    /// matter, any other difference of type does.
    pub fn equivalent(&self, other: &Self) -> bool {
        if let (Some(ours), Some(theirs)) = (self.as_int(), other.as_int()) {
            return ours == theirs;
        }
        if let (Some(ours), Some(theirs)) = (self.as_float(), other.as_float()) {
            return ours == theirs;
        }
        self == other
    }

    /// Appends letter and value.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Bool(value) => fixed(out, b't', [u8::from(*value)]),
            Self::I8(value) => fixed(out, b'b', value.to_be_bytes()),
            Self::U8(value) => fixed(out, b'B', value.to_be_bytes()),
            Self::I16(value) => fixed(out, b's', value.to_be_bytes()),
            Self::U16(value) => fixed(out, b'u', value.to_be_bytes()),
            Self::I32(value) => fixed(out, b'I', value.to_be_bytes()),
            Self::U32(value) => fixed(out, b'i', value.to_be_bytes()),
            Self::I64(value) => fixed(out, b'l', value.to_be_bytes()),
            Self::F32(value) => fixed(out, b'f', value.to_be_bytes()),
            Self::F64(value) => fixed(out, b'd', value.to_be_bytes()),
            Self::Timestamp(value) => fixed(out, b'T', value.to_be_bytes()),
            Self::Void => fixed(out, b'V', []),
            Self::Decimal { scale, value } => {
                fixed(out, b'D', [*scale]);
                put::long(out, value);
            }
            Self::LongString(bytes) => {
                out.push(b'S');
                put::longstr(out, bytes);
            }
            Self::Binary(bytes) => {
                out.push(b'x');
                put::longstr(out, bytes);
            }
            Self::Table(table) => {
                out.push(b'F');
                encode_table(out, table);
            }
            Self::Array(values) => {
                out.push(b'A');
                put::counted(out, |out| values.iter().for_each(|value| value.encode(out)));
            }
        }
    }
}

fn fixed<const N: usize>(out: &mut Vec<u8>, letter: u8, octets: [u8; N]) {
    out.push(letter);
    out.extend_from_slice(&octets);
}

/// The value as RabbitMQ shows it in `inequivalent arg` texts.
impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::F32(value) => write!(f, "{value:?}"),
            Self::F64(value) => write!(f, "{value:?}"),
            Self::Decimal { scale, value } => write!(f, "{{{scale},{value}}}"),
            Self::LongString(bytes) | Self::Binary(bytes) => {
                f.write_str(&String::from_utf8_lossy(bytes))
            }
            Self::Timestamp(seconds) => write!(f, "{seconds}"),
            Self::Void => f.write_str("undefined"),
            Self::Array(values) => list(f, values.iter()),
            Self::Table(table) => {
                list(f, table.iter().map(|(key, value)| format!("{key}={value}")))
            }
            integer => write!(f, "{}", integer.as_int().unwrap_or_default()),
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, items: impl Iterator<Item: fmt::Display>) -> fmt::Result {
    f.write_str("[")?;
    for (index, item) in items.enumerate() {
        let comma = if index == 0 { "" } else { "," };
        write!(f, "{comma}{item}")?;
    }
    f.write_str("]")
}

macro_rules! from {
    ($($type:ty => $variant:ident),*) => {
        $(impl From<$type> for FieldValue {
            fn from(value: $type) -> Self {
                Self::$variant(value.into())
            }
        })*
    };
}

from!(
    bool => Bool, i8 => I8, u8 => U8, i16 => I16, u16 => U16, i32 => I32, u32 => U32, i64 => I64,
    f32 => F32, f64 => F64, &str => LongString, String => LongString, &[u8] => LongString,
    Vec<FieldValue> => Array, FieldTable => Table
);
