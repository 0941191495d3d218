//! What holds for kinds of exchange behind the trait.

use super::*;

fn binding(key: &str, destination: u32) -> Binding<u32> {
    Binding { routing_key: RoutingKey::from(key), arguments: FieldTable::default(), destination }
}

fn with_argument(key: &str, destination: u32) -> Binding<u32> {
    let arguments = [("argument", 1)].into_iter().collect();
    Binding { arguments, ..binding(key, destination) }
}

fn check(exchange: &dyn ExchangeType<u32>, key: impl AsRef<[u8]>, expected: &[u32]) {
    let mut found = Vec::new();
    let routing_key = key.as_ref();
    let message = RoutingView { routing_key, properties: &Properties::default(), random: 0 };
    exchange.route(&message, &mut |destination| found.push(*destination));
    found.sort_unstable();
    assert_eq!(found, expected, "{}", routing_key.escape_ascii());
}

#[test]
fn direct_wants_the_key_byte_for_byte() {
    let mut exchange = ExchangeKind::Direct.router(&FieldTable::default());
    for (key, destination) in [("a", 1), ("a", 2), ("a.b", 3), ("", 4), ("#", 5), ("*", 6)] {
        exchange.bind(&binding(key, destination));
    }
    check(&*exchange, "a", &[1, 2]);
    check(&*exchange, "a.b", &[3]);
    check(&*exchange, "", &[4]);
    check(&*exchange, "#", &[5]);
    for key in ["A", "a.", "b", "a.b.c"] {
        check(&*exchange, key, &[]);
    }
    check(&*exchange, b"a\xff", &[]);
    exchange.unbind(&binding("a", 1));
    check(&*exchange, "a", &[2]);
    exchange.unbind(&binding("a", 2));
    check(&*exchange, "a", &[]);
    check(&*exchange, "a.b", &[3]);
}

#[test]
fn fanout_reaches_a_destination_once_until_its_last_binding_goes() {
    let mut exchange = ExchangeKind::Fanout.router(&FieldTable::default());
    exchange.bind(&binding("one", 1));
    exchange.bind(&binding("two", 1));
    exchange.bind(&binding("", 2));
    check(&*exchange, "any", &[1, 2]);
    exchange.unbind(&binding("one", 1));
    check(&*exchange, "one", &[1, 2]);
    exchange.unbind(&binding("two", 1));
    check(&*exchange, "two", &[2]);
    exchange.unbind(&binding("", 2));
    check(&*exchange, "", &[]);
}

#[test]
fn bindings_that_differ_only_in_arguments_are_unbound_one_by_one() {
    for kind in [ExchangeKind::Direct, ExchangeKind::Fanout, ExchangeKind::Topic] {
        let mut exchange = kind.router(&FieldTable::default());
        exchange.bind(&binding("a", 1));
        exchange.bind(&with_argument("a", 1));
        check(&*exchange, "a", &[1]);
        exchange.unbind(&binding("a", 1));
        check(&*exchange, "a", &[1]);
        exchange.unbind(&with_argument("a", 1));
        check(&*exchange, "a", &[]);
    }
}

#[test]
fn every_kind_is_found_by_its_name() {
    for kind in ExchangeKind::ALL {
        assert_eq!(ExchangeKind::parse(kind.as_str()), Some(kind));
    }
    for name in ["", "Direct", "x-match", "topic ", "random"] {
        assert_eq!(ExchangeKind::parse(name), None);
    }
}

#[test]
fn ways_that_headers_or_chance_decide_are_not_to_be_remembered() {
    let by_more = [ExchangeKind::Headers, ExchangeKind::Random, ExchangeKind::LocalRandom];
    for kind in ExchangeKind::ALL {
        let by_key_only = kind.router::<u32>(&FieldTable::default()).by_key_only();
        assert_eq!(by_key_only, !by_more.contains(&kind), "{kind}");
    }
    let by_header = [("hash-header", "h")].into_iter().collect();
    assert!(!ExchangeKind::ConsistentHash.router::<u32>(&by_header).by_key_only());
}

#[test]
fn only_headers_looks_at_the_arguments_of_a_binding() {
    let arguments = [("x-match", "nonsense")].into_iter().collect();
    for kind in ExchangeKind::ALL {
        // A key that every kind takes.
        let key = if kind == ExchangeKind::ConsistentHash { "1" } else { "" };
        let router = kind.router::<u32>(&FieldTable::default());
        let valid = router.validate(&RoutingKey::from(key), &arguments);
        assert_eq!(valid.is_ok(), kind != ExchangeKind::Headers, "{kind}");
    }
}

fn chosen(exchange: &dyn ExchangeType<u32>, key: &[u8], random: u64) -> Option<u32> {
    let mut found = Vec::new();
    let message = RoutingView { routing_key: key, properties: &Properties::default(), random };
    exchange.route(&message, &mut |destination| found.push(*destination));
    assert!(found.len() <= 1, "{found:?}");
    found.first().copied()
}

/// How often each destination is chosen.
fn tally(chosen: impl Iterator<Item = u32>) -> Vec<(u32, u32)> {
    let mut counts = std::collections::BTreeMap::new();
    chosen.for_each(|destination| *counts.entry(destination).or_default() += 1);
    counts.into_iter().collect()
}

#[test]
fn random_chooses_every_binding_alike_by_the_given_chance_alone() {
    for kind in [ExchangeKind::Random, ExchangeKind::LocalRandom] {
        let mut exchange = kind.router(&FieldTable::default());
        assert_eq!(chosen(&*exchange, b"", 5), None);
        for destination in [1, 2, 3] {
            exchange.bind(&binding("", destination));
        }
        // The second binding of one destination counts as much as the first of another.
        exchange.bind(&with_argument("", 3));
        let step = u64::MAX / 4000 + 1;
        let choices = || (0..4000).map(|n| chosen(&*exchange, b"any", n * step).unwrap());
        assert_eq!(tally(choices()), [(1, 1000), (2, 1000), (3, 2000)]);
        assert!(choices().eq(choices()));
        exchange.unbind(&binding("", 3));
        exchange.unbind(&binding("", 1));
        let choices = (0..4000).map(|n| chosen(&*exchange, b"any", n * step).unwrap());
        assert_eq!(tally(choices), [(2, 2000), (3, 2000)]);
    }
}

#[test]
fn local_random_takes_no_binding_keys() {
    let none = FieldTable::default();
    let router = ExchangeKind::LocalRandom.router::<u32>(&none);
    assert!(router.validate(&RoutingKey::from(""), &none).is_ok());
    let refused = router.validate(&RoutingKey::from("k"), &none).unwrap_err();
    assert_eq!(refused.text, "Non empty binding 'k' key not permitted");
    let router = ExchangeKind::Random.router::<u32>(&none);
    assert!(router.validate(&RoutingKey::from("k"), &none).is_ok());
}

#[test]
fn modulus_hash_spreads_keys_and_keeps_each_at_its_place() {
    let mut exchange = ExchangeKind::ModulusHash.router(&FieldTable::default());
    assert_eq!(chosen(&*exchange, b"k", 0), None);
    let mut backwards = ExchangeKind::ModulusHash.router(&FieldTable::default());
    (0..5).for_each(|destination| exchange.bind(&binding("", destination)));
    (0..5).rev().for_each(|destination| backwards.bind(&binding("", destination)));
    let route = |exchange: &dyn ExchangeType<u32>, n: u64| {
        chosen(exchange, format!("key {n}").as_bytes(), n).unwrap()
    };
    let counts = tally((0..5000).map(|n| route(&*exchange, n)));
    // The hash has no seed, so this holds always; 5 standard deviations are 141.
    assert!(counts.iter().all(|(_, count)| count.abs_diff(1000) < 141), "{counts:?}");
    assert!((0..5000).all(|n| route(&*exchange, n) == route(&*backwards, n)));
}
