//! Shares, what moves when bindings change, and what is hashed. The hash has no seed, so what holds
//! once holds always.

use super::*;
use crate::protocol::{FieldValue, Headers, Properties};

const MESSAGES: u32 = 20_000;

fn binding(key: &str, destination: u32) -> Binding<u32> {
    Binding { routing_key: RoutingKey::from(key), arguments: FieldTable::default(), destination }
}

fn exchange(weights: &[(u32, u32)]) -> ConsistentHash<u32> {
    let mut exchange = ConsistentHash::new(&FieldTable::default());
    for (destination, weight) in weights {
        exchange.bind(&binding(&weight.to_string(), *destination));
    }
    exchange
}

fn route(exchange: &ConsistentHash<u32>, key: &[u8], properties: &Properties<'_>) -> Option<u32> {
    let mut found = Vec::new();
    let message = RoutingView { routing_key: key, properties, random: 0 };
    exchange.route(&message, &mut |destination| found.push(*destination));
    assert!(found.len() <= 1, "{found:?}");
    found.first().copied()
}

/// Where each of many keys goes.
fn routes(exchange: &ConsistentHash<u32>) -> Vec<u32> {
    let none = Properties::default();
    let key = |n: u32| format!("order.{n}");
    (0..MESSAGES).map(|n| route(exchange, key(n).as_bytes(), &none).unwrap()).collect()
}

fn share(routes: &[u32], destination: u32) -> f64 {
    routes.iter().filter(|found| **found == destination).count() as f64 / routes.len() as f64
}

#[track_caller]
fn check_shares(exchange: &ConsistentHash<u32>, expected: &[(u32, f64)]) {
    let routes = routes(exchange);
    for (destination, expected) in expected {
        let share = share(&routes, *destination);
        // Five standard deviations.
        let tolerance = 5.0 * (expected * (1.0 - expected) / f64::from(MESSAGES)).sqrt();
        assert!((share - expected).abs() <= tolerance, "{destination}: {share}, not {expected}");
    }
}

#[test]
fn destinations_get_their_weights_worth() {
    check_shares(&exchange(&[(1, 1)]), &[(1, 1.0)]);
    check_shares(&exchange(&[(1, 7), (2, 7)]), &[(1, 0.5), (2, 0.5)]);
    let many: Vec<_> = (0..10).map(|n| (n, 1)).collect();
    let even: Vec<_> = (0..10).map(|n| (n, 0.1)).collect();
    check_shares(&exchange(&many), &even);
    check_shares(
        &exchange(&[(1, 1), (2, 2), (3, 2), (4, 5)]),
        &[(1, 0.1), (2, 0.2), (3, 0.2), (4, 0.5)],
    );
    check_shares(&exchange(&[(1, u32::MAX), (2, u32::MAX / 3)]), &[(1, 0.75), (2, 0.25)]);
}

#[test]
fn a_new_destination_takes_its_share_and_nothing_else_moves() {
    for weights in [&[(1, 1), (2, 1), (3, 1)][..], &[(1, 1), (2, 5), (3, 2), (7, 2)]] {
        let mut exchange = exchange(weights);
        let before = routes(&exchange);
        exchange.bind(&binding("2", 9));
        let after = routes(&exchange);
        let moved = before.iter().zip(&after).filter(|(before, after)| before != after);
        assert!(moved.clone().all(|(_, after)| *after == 9));
        let total: u32 = weights.iter().map(|(_, weight)| weight).sum();
        let expected = 2.0 / f64::from(total + 2);
        assert!((moved.count() as f64 / f64::from(MESSAGES) - expected).abs() < 0.02);
        exchange.unbind(&binding("2", 9));
        assert_eq!(routes(&exchange), before);
    }
}

#[test]
fn the_order_of_bindings_does_not_matter() {
    let weights = [(1, 1), (2, 5), (3, 2), (4, 2), (5, 1)];
    let mut backwards = weights;
    backwards.reverse();
    assert_eq!(routes(&exchange(&weights)), routes(&exchange(&backwards)));
}

#[test]
fn of_several_bindings_of_a_destination_the_first_counts() {
    let mut exchange = exchange(&[(1, 1), (2, 1), (2, 9)]);
    check_shares(&exchange, &[(1, 0.5), (2, 0.5)]);
    exchange.unbind(&binding("9", 2));
    check_shares(&exchange, &[(1, 0.5), (2, 0.5)]);
    exchange.bind(&binding("3", 2));
    exchange.unbind(&binding("1", 2));
    check_shares(&exchange, &[(1, 0.25), (2, 0.75)]);
    exchange.unbind(&binding("3", 2));
    check_shares(&exchange, &[(1, 1.0)]);
    exchange.unbind(&binding("1", 1));
    assert_eq!(route(&exchange, b"k", &Properties::default()), None);
    assert!(exchange.weights.is_empty() && exchange.groups.is_empty());
}

#[test]
fn binding_keys_are_positive_integers() {
    let check = |key: &str, refused: Option<&str>| {
        let result = exchange(&[]).validate(&RoutingKey::from(key), &FieldTable::default());
        assert_eq!(result.err().map(|error| error.text), refused.map(str::to_owned), "{key:?}");
    };
    for key in ["1", "10", "+7", "007", "4294967295"] {
        check(key, None);
    }
    for (key, term) in
        [("abc", "<<\"abc\">>"), ("", "<<>>"), ("1.5", "<<\"1.5\">>"), (" 1", "<<\" 1\">>")]
    {
        check(key, Some(&format!("The binding key must be an integer: {term}")));
    }
    for key in ["0", "-1", "-0", "000"] {
        check(key, Some("The binding key must be greater than 0"));
    }
    for key in ["4294967296", "99999999999999999999999"] {
        check(key, Some("The binding key must not exceed 4294967295"));
    }
}

#[test]
fn arguments_say_what_is_hashed() {
    let check = |pairs: &[(&str, FieldValue)], refused: Option<&str>| {
        let arguments: FieldTable = pairs.iter().cloned().collect();
        let result = validate(&arguments, "exchange 'x' in vhost '/'");
        assert_eq!(result.err().map(|error| error.text), refused.map(str::to_owned), "{pairs:?}");
    };
    let header = ("hash-header", FieldValue::from("user"));
    let property = |name: &str| ("hash-property", FieldValue::from(name));
    check(&[], None);
    check(std::slice::from_ref(&header), None);
    for name in ["correlation_id", "message_id", "timestamp"] {
        check(&[property(name)], None);
    }
    check(&[property("app_id")], Some("Unsupported property: app_id"));
    check(
        &[header, property("app_id")],
        Some("hash-header and hash-property are mutually exclusive"),
    );
    check(
        &[("hash-header", FieldValue::I32(1))],
        Some("invalid type 'signedint' for arg 'hash-header' in exchange 'x' in vhost '/'"),
    );
}

fn hashing(name: &str, value: &str) -> ConsistentHash<u32> {
    let arguments = [(name, value)].into_iter().collect();
    let mut exchange = ConsistentHash::new(&arguments);
    (0..8).for_each(|destination| exchange.bind(&binding("1", destination)));
    exchange
}

/// Routes one message with each of several keys.
type Routing<'a> = dyn FnMut(&Properties<'_>) + 'a;

/// Messages alike in what is hashed stay together, others spread.
#[track_caller]
fn check_hashed(exchange: &ConsistentHash<u32>, with: &dyn Fn(u32, &mut Routing<'_>)) {
    assert!(!exchange.by_key_only());
    let mut seen = std::collections::HashSet::new();
    for n in 0..100 {
        let mut found = Vec::new();
        for key in ["a", "b", "c"] {
            with(n, &mut |properties| found.push(route(exchange, key.as_bytes(), properties)));
        }
        found.dedup();
        assert_eq!(found.len(), 1, "the key does not matter");
        seen.extend(found);
    }
    assert_eq!(seen.len(), 8);
}

#[test]
fn headers_and_properties_are_hashed_instead_of_the_key() {
    check_hashed(&hashing("hash-property", "correlation_id"), &|n, route| {
        let id = n.to_string();
        route(&Properties { correlation_id: Some(id.as_bytes()), ..Properties::default() });
    });
    check_hashed(&hashing("hash-property", "message_id"), &|n, route| {
        let id = n.to_string();
        route(&Properties { message_id: Some(id.as_bytes()), ..Properties::default() });
    });
    check_hashed(&hashing("hash-property", "timestamp"), &|n, route| {
        route(&Properties { timestamp: Some(n.into()), ..Properties::default() });
    });
    check_hashed(&hashing("hash-header", "user"), &|n, route| {
        let table = [("other", FieldValue::I32(7)), ("user", n.to_string().into())];
        let headers = Headers::from(&table.into_iter().collect::<FieldTable>());
        route(&Properties { headers: Some(headers.as_bytes()), ..Properties::default() });
    });
}

#[test]
fn a_number_is_the_same_in_every_width() {
    let exchange = hashing("hash-header", "user");
    let routed = |value: FieldValue| {
        let headers = Headers::from(&[("user", value)].into_iter().collect::<FieldTable>());
        let properties = Properties { headers: Some(headers.as_bytes()), ..Properties::default() };
        route(&exchange, b"", &properties)
    };
    for n in 0..50i8 {
        let expected = routed(FieldValue::I8(n));
        assert_eq!(routed(FieldValue::I64(n.into())), expected);
        assert_eq!(routed(FieldValue::I32(n.into())), expected);
    }
}

#[test]
fn what_lacks_the_hashed_part_goes_all_to_one_destination() {
    let none = Properties::default();
    for (name, value) in [("hash-header", "user"), ("hash-property", "message_id")] {
        let exchange = hashing(name, value);
        let found: std::collections::HashSet<_> =
            (0..50).map(|n| route(&exchange, n.to_string().as_bytes(), &none)).collect();
        assert_eq!(found.len(), 1);
        assert!(!found.contains(&None));
    }
}
