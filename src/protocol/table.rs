//! Field tables: owned ones for arguments, borrowed views of raw ones for message headers.
//!
//! A method's argument table is decoded into a [`FieldTable`]. The headers of a message are never
//! decoded as a whole: they are validated once ([`validate_table`]), read through [`TableReader`],
//! and edited as bytes ([`Headers`]), so that what nobody changed stays byte-identical (B1.9).
//!
//! Invariant: what one path accepts the other accepts; the letters are known in one place, `raw`.

mod headers;
mod raw;
mod value;

pub use headers::Headers;
pub use raw::{RawValue, TableReader, validate_table};
pub use value::FieldValue;

use super::wire::{Fault, Taken, put, take};

/// Tables and arrays inside one another. Real ones have two or three levels (x-death); without a
/// limit the peer would choose the depth of our stack.
pub const NESTING_MAX: usize = 64;

/// Names and values in the order of the wire. A name may occur twice; the first one counts.
/// Names are text here: octets that are not UTF-8 became U+FFFD.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct FieldTable(pub Vec<(Box<str>, FieldValue)>);

impl FieldTable {
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `key`, in its old place when there is one.
    pub fn insert(&mut self, key: &str, value: impl Into<FieldValue>) {
        let value = value.into();
        match self.0.iter_mut().find(|(name, _)| &**name == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key.into(), value)),
        }
    }

    /// Removes `key` wherever it occurs and returns the value that counted.
    pub fn remove(&mut self, key: &str) -> Option<FieldValue> {
        let at = self.0.iter().position(|(name, _)| &**name == key)?;
        let (_, value) = self.0.remove(at);
        self.0.retain(|(name, _)| &**name != key);
        Some(value)
    }

    pub fn get(&self, key: &str) -> Option<&FieldValue> {
        self.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &FieldValue)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Into<Box<str>>, V: Into<FieldValue>> FromIterator<(K, V)> for FieldTable {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

/// Takes a table with its length in front.
pub fn decode_table(input: &[u8]) -> Taken<'_, FieldTable> {
    let (rest, content) = take::longstr(input)?;
    match table_from_content(content, NESTING_MAX) {
        Ok(table) => Ok((rest, table)),
        Err(fault) => fault.err(),
    }
}

/// Appends a table with its length in front.
pub fn encode_table(out: &mut Vec<u8>, table: &FieldTable) {
    put::counted(out, |out| {
        for (name, value) in table.iter() {
            put::shortstr(out, name);
            value.encode(out);
        }
    });
}

/// Decodes what stands behind a table's length. `depth` levels may still be opened.
fn table_from_content(content: &[u8], depth: usize) -> Result<FieldTable, Fault> {
    let mut pairs = Vec::new();
    let mut reader = TableReader::new(content);
    for (name, value) in &mut reader {
        // Replacing bad octets can make a name longer than a shortstr; it has to fit again.
        let name = String::from_utf8_lossy(name);
        pairs.push((put::cut(&name, 255).into(), value.decode_within(depth)?));
    }
    if reader.is_malformed() { Err(Fault::Table) } else { Ok(FieldTable(pairs)) }
}

#[cfg(test)]
mod tests;
