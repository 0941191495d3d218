//! What ties a destination to an exchange.

use std::hash::{Hash, Hasher};

use crate::names::RoutingKey;
use crate::protocol::FieldTable;

/// A binding, seen from its exchange.
///
/// Two bindings are equal when the protocol takes them for one (behaviour B4.8): same destination,
/// same key, and the same arguments in any order, types included. Arguments are compared as they
/// would be encoded, because that tells `1` as a short from `1` as a long, and because a float that
/// is not a number has to be equal to itself, or its binding could never be removed.
#[derive(Clone, Debug)]
pub struct Binding<D> {
    pub routing_key: RoutingKey,
    pub arguments: FieldTable,
    pub destination: D,
}

impl<D: PartialEq> PartialEq for Binding<D> {
    fn eq(&self, other: &Self) -> bool {
        self.routing_key == other.routing_key
            && self.destination == other.destination
            && self.arguments.len() == other.arguments.len()
            && sorted(&self.arguments) == sorted(&other.arguments)
    }
}

impl<D: Eq> Eq for Binding<D> {}

impl<D: Hash> Hash for Binding<D> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.routing_key.hash(state);
        self.destination.hash(state);
        sorted(&self.arguments).hash(state);
    }
}

/// The arguments by name, each value encoded. Without arguments this owns no memory.
fn sorted(arguments: &FieldTable) -> Vec<(&str, Vec<u8>)> {
    let encoded = arguments.iter().map(|(name, value)| {
        let mut bytes = Vec::new();
        value.encode(&mut bytes);
        (name, bytes)
    });
    let mut sorted: Vec<_> = encoded.collect();
    // Stable, so that of two values under one name the first stays the one that counts.
    sorted.sort_by_key(|(name, _)| *name);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::FieldValue;

    fn binding(key: &str, arguments: Vec<(&str, FieldValue)>, destination: u32) -> Binding<u32> {
        let arguments = arguments.into_iter().collect();
        Binding { routing_key: RoutingKey::from(key), arguments, destination }
    }

    fn check(left: &Binding<u32>, right: &Binding<u32>, equal: bool) {
        assert_eq!(left == right, equal, "{left:?} and {right:?}");
        let state = ahash::RandomState::with_seeds(1, 2, 3, 4);
        assert!(!equal || state.hash_one(left) == state.hash_one(right));
    }

    #[test]
    fn identity_is_destination_key_and_arguments_in_any_order() {
        let one_two = || vec![("a", FieldValue::I32(1)), ("b", FieldValue::from("2"))];
        let two_one = || one_two().into_iter().rev().collect();
        check(&binding("k", one_two(), 1), &binding("k", two_one(), 1), true);
        check(&binding("k", one_two(), 1), &binding("k", one_two(), 2), false);
        check(&binding("k", one_two(), 1), &binding("l", one_two(), 1), false);
        check(&binding("k", one_two(), 1), &binding("k", vec![], 1), false);
    }

    #[test]
    fn arguments_of_another_type_make_another_binding() {
        let with = |value| binding("", vec![("a", value)], 1);
        check(&with(FieldValue::I32(1)), &with(FieldValue::I64(1)), false);
        check(&with(FieldValue::F64(1.0)), &with(FieldValue::I64(1)), false);
        check(&with(FieldValue::F64(f64::NAN)), &with(FieldValue::F64(f64::NAN)), true);
    }
}
