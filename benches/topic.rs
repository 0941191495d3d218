//! What one route costs in a topic exchange with 10 000 bindings, beside a direct exchange with as
//! many. These are the costs of a miss in the route cache; design section 6 asks for microseconds.
//!
//! `cargo bench --bench topic`

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use leveret::exchange::{Binding, ExchangeKind, ExchangeType, RoutingView};
use leveret::names::RoutingKey;
use leveret::protocol::{FieldTable, Properties};

const BINDINGS: u32 = 10_000;

fn exchange(kind: ExchangeKind, key: impl Fn(u32) -> String) -> Box<dyn ExchangeType<u32>> {
    let mut exchange = kind.router(&FieldTable::default());
    for destination in 0..BINDINGS {
        exchange.bind(&binding(&key(destination), destination));
    }
    exchange
}

fn binding(key: &str, destination: u32) -> Binding<u32> {
    Binding { routing_key: RoutingKey::from(key), arguments: FieldTable::default(), destination }
}

fn literal(number: u32) -> String {
    format!("region{}.device{number}.status", number % 50)
}

/// The shapes that people use, evenly mixed.
fn mixed(number: u32) -> String {
    let (region, device) = (number % 50, number);
    match number % 5 {
        0 => literal(number),
        1 => format!("region{region}.device{device}.*"),
        2 => format!("*.device{device}.status"),
        3 => format!("region{region}.device{device}.#"),
        _ => format!("#.device{device}.#"),
    }
}

fn routes(criterion: &mut Criterion) {
    let literal_keys = exchange(ExchangeKind::Topic, literal);
    let mixed_keys = exchange(ExchangeKind::Topic, mixed);
    let one_subtree = exchange(ExchangeKind::Topic, |number| format!("a.*.{}.#", number / 100));
    let direct = exchange(ExchangeKind::Direct, literal);

    let cases = [
        ("direct, hit", &direct, "region17.device5017.status", 1),
        ("direct, miss", &direct, "region17.device5018.status", 0),
        ("literal patterns, hit", &literal_keys, "region17.device5017.status", 1),
        (
            "literal patterns, miss at the first word",
            &literal_keys,
            "elsewhere.device5017.status",
            0,
        ),
        ("literal patterns, miss at the last word", &literal_keys, "region17.device5017.alarm", 0),
        ("mixed patterns, literal hit", &mixed_keys, "region0.device5000.status", 1),
        ("mixed patterns, `*` hit", &mixed_keys, "region2.device5002.status", 1),
        ("mixed patterns, `#` hit", &mixed_keys, "region3.device5003.x.y.z", 1),
        ("mixed patterns, `#.word.#` hit", &mixed_keys, "p.q.device5004.status", 1),
        ("mixed patterns, miss with known words", &mixed_keys, "region1.device5000.alarm", 0),
        ("mixed patterns, miss with unknown words", &mixed_keys, "m.n.o.p.q.r.s.t", 0),
        ("100 destinations behind one `#`", &one_subtree, "a.b.42.c", 100),
    ];
    let mut group = criterion.benchmark_group("topic");
    for (name, exchange, key, expected) in cases {
        let message = RoutingView {
            routing_key: key.as_bytes(),
            properties: &Properties::default(),
            random: 0,
        };
        let route = || {
            let mut found = 0;
            exchange.route(black_box(&message), &mut |destination| {
                black_box(destination);
                found += 1;
            });
            found
        };
        assert_eq!(route(), expected, "{name}: {key}");
        group.bench_function(name, |bencher| bencher.iter(route));
    }

    // One key again and again stays in the processor's caches; all of them in turn do not.
    let keys: Vec<String> = (0..BINDINGS).map(literal).collect();
    for (name, exchange) in [("direct", &direct), ("mixed patterns", &mixed_keys)] {
        let mut keys = keys.iter().cycle();
        group.bench_function(format!("{name}, 10 000 keys in turn"), |bencher| {
            bencher.iter(|| {
                let routing_key = keys.next().map_or(&[][..], |key| key.as_bytes());
                let message =
                    RoutingView { routing_key, properties: &Properties::default(), random: 0 };
                exchange.route(&message, &mut |destination| {
                    black_box(destination);
                });
            });
        });
    }
    group.finish();
}

fn changes(criterion: &mut Criterion) {
    let mut exchange = exchange(ExchangeKind::Topic, mixed);
    let binding = binding("region17.*.device99999.#", BINDINGS);
    criterion.bench_function("topic/bind and unbind one among 10 000", |bencher| {
        bencher.iter(|| {
            exchange.bind(black_box(&binding));
            exchange.unbind(black_box(&binding));
        });
    });
}

criterion_group!(benches, routes, changes);
criterion_main!(benches);
