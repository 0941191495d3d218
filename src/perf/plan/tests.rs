use clap::Parser;

use super::*;
use crate::perf::options::CommandLine;

fn plan(flags: &str) -> Result<Plan, String> {
    let args = ["perf"].into_iter().chain(flags.split_whitespace());
    let command_line = CommandLine::try_parse_from(args).map_err(|error| error.to_string())?;
    Plan::new(command_line.options)
}

#[track_caller]
fn keys(flags: &str, expected: &[&[&str]]) {
    let plan = plan(flags).unwrap();
    let keys: Vec<Vec<String>> =
        (0..plan.producer_count()).map(|index| plan.content(index).routing_keys).collect();
    assert_eq!(keys, expected, "{flags}");
}

#[test]
fn every_queue_has_a_producer() {
    keys("", &[&["leveret-perf"]]);
    keys("-u q", &[&["q"]]);
    keys("-u q -Q 2 -x 3", &[&["q-1"], &["q-2"], &["q-1"]]);
    keys("-u q%d! -Q 3", &[&["q1!", "q2!", "q3!"]]);
    keys("-u q -Q 5 -x 2", &[&["q-1", "q-3", "q-5"], &["q-2", "q-4"]]);
    keys("-u q -Q 2 -x 1 -X 2", &[&["q-1"], &["q-2"]]);
    keys("-k a -k b%d --routing-key-count 2 -x 2", &[&["a", "b1", "b2"], &["a", "b1", "b2"]]);
}

#[test]
fn queues_are_bound_with_what_is_published() {
    for (flags, exchange, expected) in [
        ("", "", &["q"][..]),
        ("-t direct", "leveret-perf", &["q"]),
        ("-t direct -e x -k a -k b", "x", &["a", "b"]),
        ("-t topic -k a --binding-key #", "leveret-perf", &["#"]),
        ("-t topic --binding-key w%d.%q --binding-key-count 2", "leveret-perf", &["w1.q", "w2.q"]),
    ] {
        let plan = plan(flags).unwrap();
        assert_eq!(plan.exchange, exchange, "{flags}");
        assert_eq!(plan.keys_of("q"), expected, "{flags}");
    }
}

#[test]
fn sizes_and_where_the_time_stands() {
    for (flags, sizes, stamp) in [
        ("", Sizes::InTurn(vec![16]), Stamp::Body),
        ("-s 11", Sizes::InTurn(vec![11]), Stamp::Header),
        ("-s 12,100", Sizes::InTurn(vec![12, 100]), Stamp::Body),
        ("-s 0-100", Sizes::Between(0, 100), Stamp::Header),
        ("-s 0 --stamp none", Sizes::InTurn(vec![0]), Stamp::None),
        ("--stamp header", Sizes::InTurn(vec![16]), Stamp::Header),
    ] {
        let plan = plan(flags).unwrap();
        assert_eq!((plan.sizes, plan.stamp), (sizes, stamp), "{flags}");
    }
}

#[test]
fn arguments_have_the_types_they_look_like() {
    let plan = plan("--queue-args a=1,b=true,c=text,d=\"5\",e=99999999999,f=,g=-2").unwrap();
    let expected: Vec<(&str, FieldValue)> = vec![
        ("a", FieldValue::I32(1)),
        ("b", true.into()),
        ("c", "text".into()),
        ("d", "5".into()),
        ("e", FieldValue::I64(99_999_999_999)),
        ("f", "".into()),
        ("g", FieldValue::I32(-2)),
    ];
    assert_eq!(plan.queue_args, expected.into_iter().collect());
}

#[test]
fn properties_are_those_of_the_specification() {
    let plan = plan("-p --headers k=v --property priority=5 --property content-type=a=b").unwrap();
    let properties = plan.content(0).properties;
    assert_eq!((properties.delivery_mode, properties.priority), (Some(2), Some(5)));
    assert_eq!(properties.content_type.as_deref(), Some(&b"a=b"[..]));
    let value = properties.headers.as_ref().unwrap().find("k").unwrap().decode().unwrap();
    assert_eq!(value.as_str(), Some("v"));
}

#[test]
fn slips_are_named() {
    for (flags, part) in [
        ("--uri http://x", "--uri: an AMQP URI begins"),
        ("--size x", "--size: \"x\" is no number"),
        ("--size 5-3", "--size: 5 > 3"),
        ("--size 999999999999", "--size"),
        ("--stamp body -s 3", "--stamp: a body needs 12"),
        ("--stamp foot", "--stamp: \"foot\""),
        ("--rate 0", "--rate: more than 0"),
        ("--rate=-5", "--rate"),
        ("--variable-rate 5", "--variable-rate: 5: not RATE:SECS"),
        ("--variable-rate 0:5", "--variable-rate: less than a message"),
        ("--variable-rate 5:0", "--variable-rate: a step lasts"),
        ("--variable-rate 5:1 --rate 5", "cannot be used with"),
        ("--multi-ack 10 --prefetch 5", "--multi-ack: at most"),
        ("--multi-ack 10 --auto-ack", "cannot be used with"),
        ("--nack 1.5", "--nack: 0 to 1"),
        ("--nack NaN", "--nack: 0 to 1"),
        ("--prefetch 70k", "--prefetch: at most 65535"),
        ("--confirm 0", "--confirm: at least 1"),
        ("-x 0 -y 0", "nothing to do"),
        ("-w 5 -d 5", "--warm-up: less than"),
        ("--exclusive -y 0", "--exclusive"),
        ("--queue-args a", "--queue-args: \"a\" has no ="),
        ("--property colour=red", "--property: \"colour=red\": no such property"),
        ("--property priority=300", "at most 255"),
        ("-t fanout --exchange=", "--kind: the default exchange"),
        ("report", "required"),
    ] {
        let error = plan(flags).err().unwrap_or_else(|| panic!("{flags} is accepted"));
        assert!(error.contains(part), "{flags}: {error}");
    }
}
