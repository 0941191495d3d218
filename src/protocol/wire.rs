//! The primitive types of AMQP 0-9-1, one name for each of their three sides.
//!
//! `kind::shortstr` is the Rust type, `take::shortstr` the nom parser, `put::shortstr` the writer.
//! The names are the specification's, so the method layouts in `method/` read like its tables.
//! Every parser borrows from its input and is complete: input that ends early is a [`Fault`],
//! since whoever calls it holds a whole frame.
//!
//! Invariant: nothing here allocates while reading, except `take::table`.

use nom::IResult;
use nom::error::{ErrorKind, ParseError};

/// Why bytes could not be understood. Which reply code that becomes is for the caller to say:
/// the same short input is 501 in a method and 502 in content properties.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    #[error("input ends early")]
    Short,
    #[error("input goes on after the end")]
    Trailing,
    #[error("Malformed UTF-8 in shortstr")]
    NotUtf8,
    #[error("malformed field table")]
    Table,
    #[error("field table nested too deeply")]
    TooDeep,
    #[error("unknown method")]
    UnknownMethod,
}

/// What a parser returns: the rest of the input and the value.
pub type Taken<'a, T> = IResult<&'a [u8], T, Fault>;

impl Fault {
    #[cold]
    pub(crate) fn err<T>(self) -> Result<T, nom::Err<Self>> {
        Err(nom::Err::Error(self))
    }

    /// Unwraps nom's error, which tells kinds apart that complete parsers do not have.
    pub(crate) fn of(error: nom::Err<Self>) -> Self {
        match error {
            nom::Err::Error(fault) | nom::Err::Failure(fault) => fault,
            nom::Err::Incomplete(_) => Self::Short,
        }
    }
}

impl<I> ParseError<I> for Fault {
    fn from_error_kind(_: I, kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Eof => Self::Trailing,
            _ => Self::Short,
        }
    }

    fn append(_: I, _: ErrorKind, other: Self) -> Self {
        other
    }
}

/// The Rust types.
#[allow(non_camel_case_types)]
pub mod kind {
    pub type octet = u8;
    pub type short = u16;
    pub type long = u32;
    pub type longlong = u64;
    /// A shortstr of a method without content, which must be UTF-8 (B1.10).
    pub type shortstr<'a> = &'a str;
    /// A shortstr that may hold any bytes: names in content methods, properties, table keys.
    pub type short_bytes<'a> = &'a [u8];
    pub type longstr<'a> = &'a [u8];
    pub type table = crate::protocol::table::FieldTable;
    /// Two adjacent shortstrs seen as one slice, length octets included. See [`super::take::names`].
    pub type names<'a> = &'a [u8];
}

/// The parsers.
pub mod take {
    use super::{Fault, Taken};
    pub use crate::protocol::table::decode_table as table;

    // nom's own `be_u16` and friends loop over the input's iterator; reading an array is one
    // bounds check and one load, and these run several times for every message.
    macro_rules! integer {
        ($name:ident, $type:ty) => {
            #[inline]
            pub fn $name(input: &[u8]) -> Taken<'_, $type> {
                match input.split_first_chunk() {
                    Some((octets, rest)) => Ok((rest, <$type>::from_be_bytes(*octets))),
                    None => Fault::Short.err(),
                }
            }
        };
    }

    integer!(octet, u8);
    integer!(short, u16);
    integer!(long, u32);
    integer!(longlong, u64);

    #[inline]
    pub fn short_bytes(input: &[u8]) -> Taken<'_, &[u8]> {
        let (input, length) = octet(input)?;
        exactly(input, usize::from(length))
    }

    #[inline]
    pub fn shortstr(input: &[u8]) -> Taken<'_, &str> {
        let (rest, bytes) = short_bytes(input)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok((rest, text)),
            Err(_) => Fault::NotUtf8.err(),
        }
    }

    #[inline]
    pub fn longstr(input: &[u8]) -> Taken<'_, &[u8]> {
        let (input, length) = long(input)?;
        // A length that does not fit a usize cannot be there in full either.
        exactly(input, usize::try_from(length).unwrap_or(usize::MAX))
    }

    /// Looks at the two shortstrs that follow without consuming them: the broker keeps exchange
    /// and routing key of a publish together, in exactly these bytes.
    #[inline]
    pub fn names(input: &[u8]) -> Taken<'_, &[u8]> {
        let (rest, _) = short_bytes(input)?;
        let (rest, _) = short_bytes(rest)?;
        match input.split_at_checked(input.len() - rest.len()) {
            Some((names, _)) => Ok((input, names)),
            None => Fault::Short.err(),
        }
    }

    #[inline]
    pub fn exactly(input: &[u8], length: usize) -> Taken<'_, &[u8]> {
        match input.split_at_checked(length) {
            Some((taken, rest)) => Ok((rest, taken)),
            None => Fault::Short.err(),
        }
    }
}

/// The writers: each appends to `out`.
pub mod put {
    use std::borrow::Borrow;

    pub use crate::protocol::table::encode_table as table;

    // `impl Borrow` takes both a value and a reference to one, so generated code, which only has
    // references, and written code, which has values, call the same function.
    macro_rules! integer {
        ($name:ident, $type:ty) => {
            #[inline]
            pub fn $name(out: &mut Vec<u8>, value: impl Borrow<$type>) {
                out.extend_from_slice(&value.borrow().to_be_bytes());
            }
        };
    }

    integer!(octet, u8);
    integer!(short, u16);
    integer!(long, u32);
    integer!(longlong, u64);

    /// Text longer than a shortstr can carry is cut to the last whole character that fits.
    #[inline]
    pub fn shortstr(out: &mut Vec<u8>, text: &str) {
        short_bytes(out, cut(text, usize::from(u8::MAX)).as_bytes());
    }

    /// Bytes beyond the 255th are cut off; nothing that was read from the wire has any.
    #[inline]
    pub fn short_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
        let length = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
        let bytes = bytes.get(..usize::from(length)).unwrap_or(bytes);
        out.push(length);
        out.extend_from_slice(bytes);
    }

    #[inline]
    pub fn longstr(out: &mut Vec<u8>, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        debug_assert_eq!(u64::from(length), bytes.len() as u64, "a longstr over 4 GiB");
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(bytes);
    }

    /// Writes nothing: the two names are written as fields of their own.
    #[inline]
    pub fn names(_: &mut Vec<u8>, _: &[u8]) {}

    /// Writes a u32 byte length followed by whatever `content` appends.
    pub fn counted(out: &mut Vec<u8>, content: impl FnOnce(&mut Vec<u8>)) {
        let at = out.len();
        out.extend_from_slice(&[0; 4]);
        content(out);
        let length = u32::try_from(out.len() - at - 4).unwrap_or(u32::MAX);
        if let Some(place) = out.get_mut(at..at + 4) {
            place.copy_from_slice(&length.to_be_bytes());
        }
    }

    /// The longest front of `text` that has at most `limit` bytes and whole characters.
    pub fn cut(text: &str, limit: usize) -> &str {
        let mut end = text.len().min(limit);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.get(..end).unwrap_or(text)
    }
}
