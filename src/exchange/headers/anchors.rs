//! Where bindings are filed, so that a header leads to those that may want it.
//!
//! An anchor is a hash of a name and, unless presence is enough, of the value. Values that are equal
//! in the sense of the protocol share an anchor, some that differ do too, and two anchors may
//! collide: whoever looks here checks what it finds.

use std::sync::Arc;

use ahash::{AHashMap, RandomState};
use smallvec::SmallVec;

use super::rule::Wanted;
use crate::exchange::vocabulary::WordNumber;
use crate::protocol::{FieldValue, RawValue};

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Anchor(u64);

pub(super) struct Anchors<R> {
    filed: AHashMap<Anchor, SmallVec<[Arc<R>; 1]>>,
    hasher: RandomState,
}

impl<R> Anchors<R> {
    pub(super) fn file(&mut self, anchor: Anchor, rule: &Arc<R>) {
        self.filed.entry(anchor).or_default().push(Arc::clone(rule));
    }

    pub(super) fn remove(&mut self, anchor: Anchor, rule: &Arc<R>) {
        let Some(filed) = self.filed.get_mut(&anchor) else {
            return;
        };
        filed.retain(|other| !Arc::ptr_eq(other, rule));
        if filed.is_empty() {
            self.filed.remove(&anchor);
        }
    }

    pub(super) fn at(&self, anchor: Anchor) -> &[Arc<R>] {
        self.filed.get(&anchor).map_or(&[], SmallVec::as_slice)
    }

    /// Where a condition is filed. A message finds it under `of_presence` or `of_value`.
    pub(super) fn of_condition(&self, name: WordNumber, wanted: &Wanted) -> Anchor {
        match wanted {
            Wanted::Presence => self.of_presence(name),
            Wanted::Value(value) => self.anchor(name, &Shape::of(value)),
        }
    }

    pub(super) fn of_presence(&self, name: WordNumber) -> Anchor {
        self.anchor(name, &Shape::Any)
    }

    pub(super) fn of_value(&self, name: WordNumber, value: RawValue<'_>) -> Anchor {
        self.anchor(name, &Shape::of_raw(value))
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.filed.is_empty()
    }

    fn anchor(&self, name: WordNumber, shape: &Shape<'_>) -> Anchor {
        Anchor(self.hasher.hash_one((name, shape)))
    }
}

impl<R> Default for Anchors<R> {
    fn default() -> Self {
        Self { filed: AHashMap::new(), hasher: RandomState::new() }
    }
}

/// What of a value goes into its anchor. The types that headers are commonly matched by are told
/// apart by value; the rest is left to the full check.
#[derive(Hash)]
enum Shape<'a> {
    Any,
    Int(i64),
    Text(&'a [u8]),
    Other,
}

impl<'a> Shape<'a> {
    fn of(value: &'a FieldValue) -> Self {
        match value.as_int() {
            Some(int) => Self::Int(int),
            None => value.as_bytes().map_or(Self::Other, Self::Text),
        }
    }

    fn of_raw(value: RawValue<'a>) -> Self {
        match value.as_int() {
            Some(int) => Self::Int(int),
            None => value.as_bytes().map_or(Self::Other, Self::Text),
        }
    }
}
