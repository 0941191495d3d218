//! The consistent hash exchange: each message goes to one destination, by a hash of its key, of a
//! header or of a property; the key of a binding is the weight of its destination (B4.16).
//!
//! This is weighted rendezvous hashing. Every destination draws a number from the message's hash and
//! its own name, and the best one wins. So a new destination takes from each of the others a share of
//! what they had, one that goes leaves what it had to all of them, nothing else moves, and the order
//! of the bindings does not matter. Among destinations of one weight the draws themselves can be
//! compared, which are integers; only the best of each weight has to be weighed.

mod hash_on;
mod weight;

#[cfg(test)]
mod tests;

use ahash::AHashMap;
use smallvec::SmallVec;

use self::hash_on::HashOn;
use self::weight::Weight;
use super::digest::{Target, mix};
use super::{Binding, ExchangeType, RoutingView};
use crate::names::RoutingKey;
use crate::protocol::{AmqpError, FieldTable};

pub(super) struct ConsistentHash<D> {
    hash_on: HashOn,
    /// The weights of each destination's bindings, in the order in which they were made. The first
    /// one counts.
    weights: AHashMap<D, SmallVec<[Weight; 1]>>,
    /// The destinations by the weight that counts.
    groups: Vec<Group<D>>,
}

struct Group<D> {
    weight: Weight,
    members: Vec<(u64, D)>,
}

/// Checks the arguments of a declaration.
pub(super) fn validate(arguments: &FieldTable, resource: &str) -> Result<(), AmqpError> {
    HashOn::parse(arguments, resource).map(|_| ())
}

impl<D> ConsistentHash<D> {
    /// The arguments have been validated.
    pub(super) fn new(arguments: &FieldTable) -> Self {
        let hash_on = HashOn::parse(arguments, "").unwrap_or_default();
        Self { hash_on, weights: AHashMap::new(), groups: Vec::new() }
    }
}

impl<D: Target> ExchangeType<D> for ConsistentHash<D> {
    fn validate(&self, key: &RoutingKey, _arguments: &FieldTable) -> Result<(), AmqpError> {
        Weight::parse(key).map(|_| ())
    }

    fn bind(&mut self, binding: &Binding<D>) {
        let Ok(weight) = Weight::parse(&binding.routing_key) else {
            debug_assert!(false, "a binding is validated before it is made");
            return;
        };
        let weights = self.weights.entry(binding.destination.clone()).or_default();
        weights.push(weight);
        if weights.len() == 1 {
            self.enter(&binding.destination, weight);
        }
    }

    fn unbind(&mut self, binding: &Binding<D>) {
        let destination = &binding.destination;
        let (Ok(weight), Some(weights)) =
            (Weight::parse(&binding.routing_key), self.weights.get_mut(destination))
        else {
            debug_assert!(false, "a binding is unbound only where it was bound");
            return;
        };
        let Some(place) = weights.iter().position(|other| *other == weight) else {
            return;
        };
        weights.remove(place);
        let next = weights.first().copied();
        if next.is_none() {
            self.weights.remove(destination);
        }
        if place == 0 && next != Some(weight) {
            self.leave(destination, weight);
            if let Some(next) = next {
                self.enter(destination, next);
            }
        }
    }

    fn route(&self, message: &RoutingView<'_>, found: &mut dyn FnMut(&D)) {
        let hash = self.hash_on.digest(message);
        let winners = self.groups.iter().filter_map(|group| {
            let draws = group.members.iter().map(|(digest, member)| (mix(hash ^ digest), member));
            let (draw, member) = draws.max_by_key(|(draw, _)| *draw)?;
            Some((group.weight, draw, member))
        });
        let best =
            winners.reduce(
                |one, other| {
                    if other.0.weigh(other.1) > one.0.weigh(one.1) { other } else { one }
                },
            );
        if let Some((_, _, destination)) = best {
            found(destination);
        }
    }

    fn by_key_only(&self) -> bool {
        self.hash_on == HashOn::RoutingKey
    }

    fn is_choice(&self) -> bool {
        true
    }
}

impl<D: Target> ConsistentHash<D> {
    fn enter(&mut self, destination: &D, weight: Weight) {
        let member = (destination.digest(), destination.clone());
        match self.groups.iter_mut().find(|group| group.weight == weight) {
            Some(group) => group.members.push(member),
            None => self.groups.push(Group { weight, members: vec![member] }),
        }
    }

    fn leave(&mut self, destination: &D, weight: Weight) {
        if let Some(group) = self.groups.iter_mut().find(|group| group.weight == weight) {
            group.members.retain(|(_, member)| member != destination);
        }
        self.groups.retain(|group| !group.members.is_empty());
    }
}
