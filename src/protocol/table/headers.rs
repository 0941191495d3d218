//! The headers of a message, kept as bytes and edited as bytes.
//!
//! Decoding a table to add one entry and encoding it again would lose what a [`FieldTable`] does
//! not hold: which letter a number came with, and names that are not UTF-8. So an edit copies
//! the other entries as they stand (B1.9).

use super::{FieldTable, FieldValue, RawValue, TableReader};
use crate::protocol::wire::put;

/// The content of a header table, without the length in front of it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Headers(Vec<u8>);

impl Headers {
    /// Takes bytes that [`super::validate_table`] has accepted, as those of a parsed message are.
    pub fn from_raw(content: impl Into<Vec<u8>>) -> Self {
        Self(content.into())
    }

    /// Sets `key` in its old place, or at the end.
    pub fn set(&mut self, key: &str, value: &FieldValue) {
        let mut edited = Vec::with_capacity(self.0.len() + key.len() + 16);
        let mut is_set = false;
        self.copy_others(key, &mut edited, |out| {
            if !std::mem::replace(&mut is_set, true) {
                put_pair(out, key, value);
            }
        });
        if !is_set {
            put_pair(&mut edited, key, value);
        }
        self.0 = edited;
    }

    /// Removes `key` wherever it occurs; whether it did.
    pub fn remove(&mut self, key: &str) -> bool {
        let mut edited = Vec::with_capacity(self.0.len());
        let mut is_removed = false;
        self.copy_others(key, &mut edited, |_| is_removed = true);
        self.0 = edited;
        is_removed
    }

    pub fn find(&self, key: &str) -> Option<RawValue<'_>> {
        self.reader().find(key.as_bytes())
    }

    pub fn reader(&self) -> TableReader<'_> {
        TableReader::new(&self.0)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Copies every entry not named `key` and calls `instead` where one was.
    fn copy_others(&self, key: &str, out: &mut Vec<u8>, mut instead: impl FnMut(&mut Vec<u8>)) {
        let mut reader = self.reader();
        let mut before = reader.rest();
        while let Some((name, _)) = reader.next() {
            let length = before.len() - reader.rest().len();
            match before.split_at_checked(length) {
                Some((entry, _)) if name != key.as_bytes() => out.extend_from_slice(entry),
                _ => instead(out),
            }
            before = reader.rest();
        }
    }
}

fn put_pair(out: &mut Vec<u8>, key: &str, value: &FieldValue) {
    put::shortstr(out, key);
    value.encode(out);
}

impl From<&FieldTable> for Headers {
    fn from(table: &FieldTable) -> Self {
        let mut content = Vec::new();
        table.iter().for_each(|(key, value)| put_pair(&mut content, key, value));
        Self(content)
    }
}
