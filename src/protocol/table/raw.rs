//! Tables as they stand on the wire, read in place.

use super::{FieldTable, FieldValue, NESTING_MAX, table_from_content};
use crate::protocol::wire::{Fault, Taken, take};

/// A value that is still encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RawValue<'a> {
    /// The letter of behaviour B1.9.
    pub tag: u8,
    /// What follows the letter, without the length in front of strings, arrays and tables.
    pub bytes: &'a [u8],
}

impl<'a> RawValue<'a> {
    /// Takes letter and value off the front; does not look inside arrays and tables.
    #[inline]
    fn take(input: &'a [u8]) -> Taken<'a, Self> {
        let (input, tag) = take::octet(input)?;
        let (rest, bytes) = match tag {
            b'V' => take::exactly(input, 0),
            b't' | b'b' | b'B' => take::exactly(input, 1),
            b's' | b'u' => take::exactly(input, 2),
            b'I' | b'i' | b'f' => take::exactly(input, 4),
            b'D' => take::exactly(input, 5),
            b'l' | b'L' | b'd' | b'T' => take::exactly(input, 8),
            b'S' | b'x' | b'A' | b'F' => take::longstr(input),
            _ => Fault::Table.err(),
        }?;
        Ok((rest, Self { tag, bytes }))
    }

    /// Fails only for values inside which something is malformed.
    pub fn decode(&self) -> Result<FieldValue, Fault> {
        self.decode_within(NESTING_MAX)
    }

    pub(super) fn decode_within(&self, depth: usize) -> Result<FieldValue, Fault> {
        let bytes = self.bytes;
        Ok(match self.tag {
            b't' => FieldValue::Bool(u8::from_be_bytes(fixed(bytes)?) != 0),
            b'b' => FieldValue::I8(i8::from_be_bytes(fixed(bytes)?)),
            b'B' => FieldValue::U8(u8::from_be_bytes(fixed(bytes)?)),
            b's' => FieldValue::I16(i16::from_be_bytes(fixed(bytes)?)),
            b'u' => FieldValue::U16(u16::from_be_bytes(fixed(bytes)?)),
            b'I' => FieldValue::I32(i32::from_be_bytes(fixed(bytes)?)),
            b'i' => FieldValue::U32(u32::from_be_bytes(fixed(bytes)?)),
            b'l' | b'L' => FieldValue::I64(i64::from_be_bytes(fixed(bytes)?)),
            b'f' => FieldValue::F32(f32::from_be_bytes(fixed(bytes)?)),
            b'd' => FieldValue::F64(f64::from_be_bytes(fixed(bytes)?)),
            b'D' => {
                let [scale, v3, v2, v1, v0] = fixed(bytes)?;
                FieldValue::Decimal { scale, value: u32::from_be_bytes([v3, v2, v1, v0]) }
            }
            b'S' => FieldValue::LongString(bytes.to_vec()),
            b'x' => FieldValue::Binary(bytes.to_vec()),
            b'T' => FieldValue::Timestamp(u64::from_be_bytes(fixed(bytes)?)),
            b'A' => FieldValue::Array(array(bytes, deeper(depth)?)?),
            b'F' => FieldValue::Table(table_from_content(bytes, deeper(depth)?)?),
            b'V' => FieldValue::Void,
            _ => return Err(Fault::Table),
        })
    }

    /// [`FieldValue::equivalent`] without decoding what is commonly compared.
    pub fn equivalent(&self, other: &FieldValue) -> bool {
        match (self.tag, other) {
            (b'S', FieldValue::LongString(bytes)) | (b'x', FieldValue::Binary(bytes)) => {
                self.bytes == &bytes[..]
            }
            (b'S' | b'x', _) => false,
            _ => self.decode().is_ok_and(|value| value.equivalent(other)),
        }
    }

    /// The number in an integer of any width.
    pub fn as_int(&self) -> Option<i64> {
        match self.tag {
            b'b' | b'B' | b's' | b'u' | b'I' | b'i' | b'l' | b'L' => self.decode().ok()?.as_int(),
            _ => None,
        }
    }

    /// The octets of a longstr.
    pub fn as_bytes(&self) -> Option<&'a [u8]> {
        (self.tag == b'S').then_some(self.bytes)
    }

    /// The text of a longstr that is UTF-8.
    pub fn as_str(&self) -> Option<&'a str> {
        std::str::from_utf8(self.as_bytes()?).ok()
    }

    /// The values of an array, each still encoded.
    pub fn items(&self) -> Option<impl Iterator<Item = RawValue<'a>> + use<'a>> {
        let mut rest = (self.tag == b'A').then_some(self.bytes)?;
        Some(std::iter::from_fn(move || {
            let (behind, value) = RawValue::take(rest).ok()?;
            rest = behind;
            Some(value)
        }))
    }

    /// A table inside the table.
    pub fn table(&self) -> Option<TableReader<'a>> {
        (self.tag == b'F').then(|| TableReader::new(self.bytes))
    }

    fn is_valid(&self, depth: usize) -> bool {
        match self.tag {
            b'F' | b'A' if depth == 0 => false,
            b'F' => content_is_valid(self.bytes, depth - 1),
            b'A' => {
                let mut rest = self.bytes;
                while !rest.is_empty() {
                    match RawValue::take(rest) {
                        Ok((behind, value)) if value.is_valid(depth - 1) => rest = behind,
                        _ => return false,
                    }
                }
                true
            }
            _ => true,
        }
    }
}

/// Names and encoded values of a table, without its length in front, in the order of the wire.
/// Ends early at the first pair that cannot be read; a validated table has none.
#[derive(Clone, Debug)]
pub struct TableReader<'a> {
    rest: &'a [u8],
    malformed: bool,
}

impl<'a> TableReader<'a> {
    pub fn new(content: &'a [u8]) -> Self {
        Self { rest: content, malformed: false }
    }

    /// The value of `key`; the first one when there are several.
    pub fn find(mut self, key: &[u8]) -> Option<RawValue<'a>> {
        self.find_map(|(name, value)| (name == key).then_some(value))
    }

    /// Whether reading ended because of a pair that cannot be read.
    pub fn is_malformed(&self) -> bool {
        self.malformed
    }

    /// The octets not read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn pair(input: &'a [u8]) -> Taken<'a, (&'a [u8], RawValue<'a>)> {
        let (input, name) = take::short_bytes(input)?;
        let (rest, value) = RawValue::take(input)?;
        Ok((rest, (name, value)))
    }
}

impl<'a> Iterator for TableReader<'a> {
    type Item = (&'a [u8], RawValue<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match Self::pair(self.rest) {
            Ok((rest, pair)) => {
                self.rest = rest;
                Some(pair)
            }
            Err(_) => {
                self.malformed = true;
                self.rest = &[];
                None
            }
        }
    }
}

/// Whether `content`, a table without its length, can be read to the end at every level.
pub fn validate_table(content: &[u8]) -> bool {
    content_is_valid(content, NESTING_MAX)
}

fn content_is_valid(content: &[u8], depth: usize) -> bool {
    let mut reader = TableReader::new(content);
    reader.all(|(_, value)| value.is_valid(depth)) && !reader.is_malformed()
}

fn array(content: &[u8], depth: usize) -> Result<Vec<FieldValue>, Fault> {
    let mut values = Vec::new();
    let mut rest = content;
    while !rest.is_empty() {
        let (behind, value) = RawValue::take(rest).map_err(|_| Fault::Table)?;
        values.push(value.decode_within(depth)?);
        rest = behind;
    }
    Ok(values)
}

fn deeper(depth: usize) -> Result<usize, Fault> {
    depth.checked_sub(1).ok_or(Fault::TooDeep)
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Fault> {
    bytes.try_into().map_err(|_| Fault::Table)
}

impl TryFrom<TableReader<'_>> for FieldTable {
    type Error = Fault;

    fn try_from(reader: TableReader<'_>) -> Result<Self, Fault> {
        table_from_content(reader.rest, NESTING_MAX)
    }
}
