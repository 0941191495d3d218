//! The headers exchange: a binding's arguments are conditions on the headers of a message (B4.12).
//!
//! What the arguments mean is in `rule`. Here the conditions are indexed, so that a message meets the
//! bindings that it may match and not all of them: a binding that needs all its conditions is filed
//! under one of them, a binding that needs any is filed under each (`anchors`). A message looks its
//! headers up and checks in full what it finds there.
//!
//! The headers stay encoded. A route walks them once and keeps those that some binding names.

mod anchors;
mod rule;

#[cfg(test)]
mod tests;

use std::hash::Hash;
use std::sync::Arc;

use ahash::AHashMap;
use smallvec::SmallVec;

use self::anchors::{Anchor, Anchors};
use self::rule::{Quantity, Wanted, XMatch};
use super::destinations::Destinations;
use super::vocabulary::{Vocabulary, WordNumber};
use super::{Binding, ExchangeType, RoutingView};
use crate::names::RoutingKey;
use crate::protocol::{AmqpError, FieldTable, RawValue, TableReader};

pub(super) struct Headers<D> {
    /// Every binding with a condition.
    rules: AHashMap<Binding<D>, Arc<Rule<D>>>,
    anchors: Anchors<Rule<D>>,
    /// The names in conditions.
    names: Vocabulary,
    /// Destinations of the bindings that need all of no conditions, and so match everything.
    unconditional: Destinations<D>,
}

struct Rule<D> {
    destination: D,
    quantity: Quantity,
    conditions: Box<[Condition]>,
    /// Where the rule is filed.
    anchors: SmallVec<[Anchor; 1]>,
}

struct Condition {
    name: WordNumber,
    wanted: Wanted,
}

impl<D: Clone + Eq + Hash + Send + Sync> ExchangeType<D> for Headers<D> {
    fn validate(&self, _key: &RoutingKey, arguments: &FieldTable) -> Result<(), AmqpError> {
        XMatch::parse(arguments).map(|_| ())
    }

    fn bind(&mut self, binding: &Binding<D>) {
        let Ok(x_match) = XMatch::parse(&binding.arguments) else {
            debug_assert!(false, "a binding is validated before it is made");
            return;
        };
        let conditions = x_match.conditions(&binding.arguments);
        let conditions: Box<[_]> = conditions
            .map(|(name, wanted)| Condition { name: self.names.acquire(name.as_bytes()), wanted })
            .collect();
        let destination = binding.destination.clone();
        match x_match.quantity {
            Quantity::All if conditions.is_empty() => self.unconditional.add(&destination),
            quantity => {
                let anchors = self.anchors_for(quantity, &conditions);
                let rule = Arc::new(Rule { destination, quantity, conditions, anchors });
                for anchor in &rule.anchors {
                    self.anchors.file(*anchor, &rule);
                }
                self.rules.insert(binding.clone(), rule);
            }
        }
    }

    fn unbind(&mut self, binding: &Binding<D>) {
        let Ok(x_match) = XMatch::parse(&binding.arguments) else {
            return;
        };
        for (name, _) in x_match.conditions(&binding.arguments) {
            self.names.release(name.as_bytes());
        }
        match self.rules.remove(binding) {
            Some(rule) => {
                for anchor in &rule.anchors {
                    self.anchors.remove(*anchor, &rule);
                }
            }
            None => self.unconditional.remove(&binding.destination),
        }
    }

    fn route(&self, message: &RoutingView<'_>, found: &mut dyn FnMut(&D)) {
        self.unconditional.each(found);
        let Some(headers) = message.properties.headers.filter(|_| !self.rules.is_empty()) else {
            return;
        };
        let present = Present::read(headers, &self.names);
        for header in &present.by_name {
            let presence = self.anchors.of_presence(header.name);
            let value = self.anchors.of_value(header.name, header.value);
            for rule in self.anchors.at(presence).iter().chain(self.anchors.at(value)) {
                if rule.holds(&present) {
                    found(&rule.destination);
                }
            }
        }
    }

    /// The key is never looked at, the headers always.
    fn by_key_only(&self) -> bool {
        false
    }
}

impl<D> Headers<D> {
    /// Of conditions that all have to hold, one is enough to find the rule by: the one that fewest
    /// other rules are filed under, so that few messages check it in vain.
    fn anchors_for(&self, quantity: Quantity, conditions: &[Condition]) -> SmallVec<[Anchor; 1]> {
        let anchors = conditions
            .iter()
            .map(|condition| self.anchors.of_condition(condition.name, &condition.wanted));
        match quantity {
            Quantity::Any => anchors.collect(),
            Quantity::All => {
                anchors.min_by_key(|anchor| self.anchors.at(*anchor).len()).into_iter().collect()
            }
        }
    }
}

impl<D> Default for Headers<D> {
    fn default() -> Self {
        Self {
            rules: AHashMap::new(),
            anchors: Anchors::default(),
            names: Vocabulary::default(),
            unconditional: Destinations::default(),
        }
    }
}

impl<D> Rule<D> {
    fn holds(&self, present: &Present<'_>) -> bool {
        let mut conditions = self.conditions.iter();
        match self.quantity {
            Quantity::All => conditions.all(|condition| condition.holds(present)),
            Quantity::Any => conditions.any(|condition| condition.holds(present)),
        }
    }
}

impl Condition {
    fn holds(&self, present: &Present<'_>) -> bool {
        present.value(self.name).is_some_and(|value| match &self.wanted {
            Wanted::Presence => true,
            Wanted::Value(wanted) => value.equivalent(wanted),
        })
    }
}

/// The headers of one message that some condition names: sorted by name, each name once. Only a
/// message with more of these than fit inline costs an allocation.
struct Present<'a> {
    by_name: SmallVec<[Header<'a>; 16]>,
}

struct Header<'a> {
    name: WordNumber,
    position: usize,
    value: RawValue<'a>,
}

impl<'a> Present<'a> {
    fn read(headers: &'a [u8], names: &Vocabulary) -> Self {
        let numbered = TableReader::new(headers).enumerate().filter_map(|(position, pair)| {
            let (name, value) = pair;
            names.number(name).map(|name| Header { name, position, value })
        });
        let mut by_name: SmallVec<[Header<'a>; 16]> = numbered.collect();
        // Of two headers with one name the first counts (B1.9).
        by_name.sort_unstable_by_key(|header| (header.name, header.position));
        by_name.dedup_by_key(|header| header.name);
        Self { by_name }
    }

    fn value(&self, name: WordNumber) -> Option<RawValue<'a>> {
        let at = self.by_name.binary_search_by_key(&name, |header| header.name).ok()?;
        self.by_name.get(at).map(|header| header.value)
    }
}
