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
    let message = RoutingView { routing_key, properties: &Properties::default() };
    exchange.route(&message, &mut |destination| found.push(*destination));
    found.sort_unstable();
    assert_eq!(found, expected, "{}", routing_key.escape_ascii());
}

#[test]
fn direct_wants_the_key_byte_for_byte() {
    let mut exchange = ExchangeKind::Direct.router();
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
    let mut exchange = ExchangeKind::Fanout.router();
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
        let mut exchange = kind.router();
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
fn every_kind_is_found_by_its_name_and_only_headers_looks_past_the_key() {
    for kind in ExchangeKind::ALL {
        assert_eq!(ExchangeKind::parse(kind.as_str()), Some(kind));
        let by_key_only = kind.router::<u32>().by_key_only();
        assert_eq!(by_key_only, kind != ExchangeKind::Headers, "{kind}");
    }
    for name in ["", "Direct", "x-match", "topic "] {
        assert_eq!(ExchangeKind::parse(name), None);
    }
}

#[test]
fn only_headers_looks_at_the_arguments_of_a_binding() {
    let arguments = [("x-match", "nonsense")].into_iter().collect();
    for kind in ExchangeKind::ALL {
        let valid = kind.router::<u32>().validate(&RoutingKey::from(""), &arguments);
        assert_eq!(valid.is_ok(), kind != ExchangeKind::Headers, "{kind}");
    }
}
