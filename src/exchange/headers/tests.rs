//! Headers matching as rows of data, and against a naive model.

use proptest::prelude::*;

use super::*;
use crate::protocol;
use crate::protocol::FieldValue::{self, *};
use crate::protocol::Properties;

type Pairs<'a> = &'a [(&'a str, FieldValue)];

fn table(pairs: Pairs<'_>) -> FieldTable {
    FieldTable(pairs.iter().map(|(name, value)| ((*name).into(), value.clone())).collect())
}

fn encoded(pairs: Pairs<'_>) -> Vec<u8> {
    encoded_table(&table(pairs))
}

/// As a message shows it: without the length in front.
fn encoded_table(table: &FieldTable) -> Vec<u8> {
    protocol::Headers::from(table).as_bytes().to_vec()
}

fn binding(arguments: Pairs<'_>, destination: u32) -> Binding<u32> {
    Binding { routing_key: RoutingKey::from(""), arguments: table(arguments), destination }
}

fn route(exchange: &Headers<u32>, headers: Option<&[u8]>) -> Vec<u32> {
    let mut found = Vec::new();
    let properties = Properties { headers, ..Properties::default() };
    let message = RoutingView { routing_key: b"any key", properties: &properties, random: 0 };
    exchange.route(&message, &mut |destination| found.push(*destination));
    found.sort_unstable();
    found.dedup();
    found
}

fn is_pristine(exchange: &Headers<u32>) -> bool {
    exchange.rules.is_empty() && exchange.anchors.is_empty() && exchange.names.is_empty()
}

fn check(arguments: Pairs<'_>, matching: &[Option<Pairs<'_>>], other: &[Option<Pairs<'_>>]) {
    let mut exchange = Headers::default();
    let binding = binding(arguments, 1);
    exchange.validate(&binding.routing_key, &binding.arguments).unwrap();
    exchange.bind(&binding);
    for headers in matching {
        let found = route(&exchange, headers.map(encoded).as_deref());
        assert_eq!(found, [1], "{arguments:?} has to match {headers:?}");
    }
    for headers in other {
        let found = route(&exchange, headers.map(encoded).as_deref());
        assert!(found.is_empty(), "{arguments:?} must not match {headers:?}");
    }
    exchange.unbind(&binding);
    assert!(route(&exchange, None).is_empty());
    assert!(is_pristine(&exchange));
}

fn text(text: &str) -> FieldValue {
    FieldValue::from(text)
}

#[test]
fn all_needs_every_condition_and_is_the_default() {
    let both: Pairs<'_> = &[("a", I32(1)), ("b", text("x"))];
    let matching: &[Option<Pairs<'_>>] =
        &[Some(both), Some(&[("c", Void), ("b", text("x")), ("a", I32(1)), ("x-d", I32(1))])];
    let other: &[Option<Pairs<'_>>] = &[
        None,
        Some(&[]),
        Some(&[("a", I32(1))]),
        Some(&[("a", I32(1)), ("b", text("y"))]),
        Some(&[("a", I32(2)), ("b", text("x"))]),
        Some(&[("A", I32(1)), ("b", text("x"))]),
    ];
    check(both, matching, other);
    check(&[("x-match", text("all")), both[0].clone(), both[1].clone()], matching, other);
    check(&[both[0].clone(), both[1].clone(), ("x-match", text("all"))], matching, other);
}

#[test]
fn any_needs_one_condition() {
    check(
        &[("x-match", text("any")), ("a", I32(1)), ("b", text("x"))],
        &[
            Some(&[("a", I32(1))]),
            Some(&[("b", text("x"))]),
            Some(&[("a", I32(2)), ("b", text("x"))]),
            Some(&[("a", I32(1)), ("b", text("x"))]),
        ],
        &[None, Some(&[]), Some(&[("a", I32(2)), ("b", text("y"))]), Some(&[("c", I32(1))])],
    );
}

#[test]
fn without_conditions_all_matches_everything_and_any_nothing() {
    let messages: &[Option<Pairs<'_>>] =
        &[None, Some(&[]), Some(&[("a", I32(1))]), Some(&[("x-a", I32(1))])];
    let all: &[Pairs<'_>] = &[
        &[],
        &[("x-match", text("all"))],
        &[("x-match", text("all-with-x"))],
        &[("x-a", I32(7))],
        &[("x-match", text("all")), ("x-a", I32(7)), ("x-", Void)],
    ];
    let any: &[Pairs<'_>] = &[
        &[("x-match", text("any"))],
        &[("x-match", text("any-with-x"))],
        &[("x-match", text("any")), ("x-a", I32(1))],
    ];
    all.iter().for_each(|arguments| check(arguments, messages, &[]));
    any.iter().for_each(|arguments| check(arguments, &[], messages));
}

#[test]
fn arguments_with_the_x_prefix_count_only_when_asked() {
    let (good, bad): (Pairs<'_>, Pairs<'_>) =
        (&[("a", I32(1)), ("x-b", I32(2))], &[("a", I32(1)), ("x-b", I32(3))]);
    let (a, x_b) = (("a", I32(1)), ("x-b", I32(2)));
    check(&[("x-match", text("all")), a.clone(), x_b.clone()], &[Some(good), Some(bad)], &[None]);
    check(&[("x-match", text("all-with-x")), a.clone(), x_b.clone()], &[Some(good)], &[Some(bad)]);
    let only_x_b: Pairs<'_> = &[("x-b", I32(2))];
    check(&[("x-match", text("any")), a.clone(), x_b.clone()], &[Some(bad)], &[Some(only_x_b)]);
    check(&[("x-match", text("any-with-x")), a, x_b.clone()], &[Some(bad), Some(only_x_b)], &[]);
    // A header called x-match is no condition, not even then.
    check(
        &[("x-match", text("all-with-x")), x_b],
        &[Some(only_x_b)],
        &[Some(&[("x-match", Void)])],
    );
}

#[test]
fn a_void_condition_wants_presence_only() {
    let values = [Void, I32(0), Bool(false), text(""), Table(FieldTable::default())];
    for value in values {
        let headers = [("a", value)];
        check(&[("a", Void)], &[Some(&headers)], &[None, Some(&[]), Some(&[("b", Void)])]);
        check(&[("x-match", text("any")), ("a", Void)], &[Some(&headers)], &[None]);
    }
    // The other way round, a void header is a value like others.
    check(&[("a", I32(1))], &[], &[Some(&[("a", Void)])]);
}

#[test]
fn values_are_equal_by_type_and_value_but_integers_by_value_alone() {
    let ones = [I8(1), U8(1), I16(1), U16(1), I32(1), U32(1), I64(1)];
    let not_one = [
        F32(1.0),
        F64(1.0),
        text("1"),
        Bool(true),
        Timestamp(1),
        Binary(b"1".to_vec()),
        Decimal { scale: 0, value: 1 },
        Array(vec![I32(1)]),
        I64(-1),
        I8(2),
        Void,
    ];
    for wanted in &ones {
        for value in &ones {
            check(&[("a", wanted.clone())], &[Some(&[("a", value.clone())])], &[]);
        }
        for value in &not_one {
            check(&[("a", wanted.clone())], &[], &[Some(&[("a", value.clone())])]);
        }
    }
    for (at, wanted) in not_one.iter().enumerate().filter(|(_, wanted)| **wanted != Void) {
        for (other_at, value) in not_one.iter().enumerate() {
            let headers: Pairs<'_> = &[("a", value.clone())];
            // The two floats are one number in two widths, which the reference leaves open.
            if at.max(other_at) > 1 || at == other_at {
                let (matching, other) = if at == other_at { (1, 0) } else { (0, 1) };
                let headers = [Some(headers)];
                check(&[("a", wanted.clone())], &headers[..matching], &headers[..other]);
            }
        }
    }
    check(&[("a", text("x"))], &[], &[Some(&[("a", Binary(b"x".to_vec()))])]);
}

#[test]
fn the_first_of_two_headers_with_one_name_counts() {
    let first: Pairs<'_> = &[("a", I32(1)), ("b", Void), ("a", I32(2))];
    check(&[("a", I32(1))], &[Some(first)], &[]);
    check(&[("a", I32(2))], &[], &[Some(first)]);
    check(&[("x-match", text("any")), ("a", I32(2))], &[], &[Some(first)]);
    check(&[("a", I32(1)), ("a", I32(2))], &[Some(&[("a", I32(1))])], &[Some(&[("a", I32(2))])]);
}

#[test]
fn more_headers_than_fit_inline_are_still_seen() {
    let names: Vec<String> = (0..100).map(|number| format!("h{number}")).collect();
    let headers: Vec<(&str, FieldValue)> =
        names.iter().enumerate().map(|(at, name)| (name.as_str(), I32(at as i32))).collect();
    check(&headers, &[Some(&headers)], &[Some(&headers[..99]), Some(&headers[1..])]);
}

#[test]
fn bindings_that_differ_only_in_key_are_two() {
    let mut exchange = Headers::default();
    for arguments in [table(&[("a", I32(1))]), table(&[])] {
        let with = |key: &str| Binding {
            routing_key: RoutingKey::from(key),
            arguments: arguments.clone(),
            destination: 1,
        };
        exchange.bind(&with("one"));
        exchange.bind(&with("two"));
        exchange.unbind(&with("one"));
        assert_eq!(route(&exchange, Some(&encoded(&[("a", I32(1))]))), [1]);
        exchange.unbind(&with("two"));
        assert!(route(&exchange, Some(&encoded(&[("a", I32(1))]))).is_empty());
    }
    assert!(is_pristine(&exchange));
}

#[test]
fn an_invalid_x_match_is_refused_in_the_words_of_rabbitmq() {
    let check = |value: FieldValue, expected: &str| {
        let exchange = Headers::<u32>::default();
        let arguments = table(&[("x-match", value)]);
        let error = exchange.validate(&RoutingKey::from(""), &arguments).unwrap_err();
        assert_eq!(error.reply_text(), format!("PRECONDITION_FAILED - Invalid x-match {expected}"));
    };
    let expectation = "expected all, any, all-with-x, or any-with-x";
    check(text("foo"), &format!("field value <<\"foo\">>; {expectation}"));
    check(text("ALL"), &format!("field value <<\"ALL\">>; {expectation}"));
    check(text(""), &format!("field value <<>>; {expectation}"));
    check(LongString(vec![1, 255]), &format!("field value <<1,255>>; {expectation}"));
    check(I32(1), "field type signedint (value 1); expected longstr");
    check(Bool(true), "field type bool (value true); expected longstr");
}

/// The rules of B4.12 read off one by one, without an index.
fn naive(arguments: &FieldTable, headers: Option<&FieldTable>) -> bool {
    let x_match = arguments.get("x-match").and_then(FieldValue::as_str).unwrap_or("all");
    let mut conditions = arguments.iter().filter(|(name, _)| match x_match {
        "all" | "any" => !name.starts_with("x-"),
        _ => *name != "x-match",
    });
    let holds = |(name, wanted): (&str, &FieldValue)| {
        let header = headers.and_then(|headers| headers.get(name));
        header.is_some_and(|value| *wanted == Void || wanted.equivalent(value))
    };
    if x_match.starts_with("all") { conditions.all(holds) } else { conditions.any(holds) }
}

/// Few names and few values, so that they meet.
fn some_table() -> impl Strategy<Value = FieldTable> {
    let value =
        prop::sample::select(vec![I32(1), I64(1), I32(2), text("1"), F64(1.0), Bool(true), Void]);
    prop::collection::btree_map(prop::sample::select(vec!["a", "b", "c", "x-d"]), value, 0..4)
        .prop_map(|pairs| pairs.into_iter().collect())
}

fn some_arguments() -> impl Strategy<Value = FieldTable> {
    let modes = vec!["", "all", "any", "all-with-x", "any-with-x"];
    (some_table(), prop::sample::select(modes)).prop_map(|(mut arguments, mode)| {
        if !mode.is_empty() {
            arguments.insert("x-match", mode);
        }
        arguments
    })
}

proptest! {
    #[test]
    fn the_index_agrees_with_the_naive_rules(
        arguments in prop::collection::vec(some_arguments(), 0..12),
        unbound in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        messages in prop::collection::vec(prop::option::of(some_table()), 1..12),
    ) {
        let mut exchange = Headers::default();
        let mut bound: Vec<Binding<u32>> = Vec::new();
        for (destination, arguments) in arguments.into_iter().enumerate() {
            let routing_key = RoutingKey::from("");
            bound.push(Binding { routing_key, arguments, destination: destination as u32 });
        }
        bound.iter().for_each(|binding| exchange.bind(binding));
        for at in unbound {
            if !bound.is_empty() {
                exchange.unbind(&bound.swap_remove(at.index(bound.len())));
            }
        }
        bound.sort_by_key(|binding| binding.destination);
        for message in messages {
            let matching = bound.iter().filter(|binding| naive(&binding.arguments, message.as_ref()));
            let expected: Vec<_> = matching.map(|binding| binding.destination).collect();
            let headers = message.as_ref().map(encoded_table);
            prop_assert_eq!(route(&exchange, headers.as_deref()), expected);
        }
        bound.iter().for_each(|binding| exchange.unbind(binding));
        prop_assert!(is_pristine(&exchange) && route(&exchange, None).is_empty());
    }
}
