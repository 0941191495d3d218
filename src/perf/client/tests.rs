//! Connections without a socket: what a broker would say goes in, what is written comes out.

use super::*;
use crate::perf::consumer::Consuming;
use crate::perf::content::{Content, Sizes, Stamp, Writer};
use crate::perf::pace::Pace;
use crate::protocol::frame::{write_body, write_header};
use crate::protocol::{FieldTable, OwnedProperties};

const CHANNEL: ChannelNumber = ChannelNumber(1);
const FRAME_MAX: u32 = 4096;

fn at(micros: u64) -> Moment {
    Moment(1_000_000_000_000 + micros * 1000)
}

struct Scene {
    client: Client,
    out: Vec<u8>,
    sample: Sample,
}

fn scene(role: Role) -> Scene {
    let agreed = Agreed { frame_max: FRAME_MAX, heartbeat_seconds: 2, ..Agreed::default() };
    let mut client = Client::new("amqp://host".to_owned(), agreed, vec![role], at(0));
    let mut out = Vec::new();
    client.begin(at(0), &mut out);
    Scene { client, out, sample: Sample::default() }
}

fn producer(pace: Option<Pace>, window: Option<usize>, messages: Option<u64>) -> Scene {
    let content = Content {
        exchange: String::new(),
        routing_keys: vec!["q".to_owned()],
        mandatory: false,
        properties: OwnedProperties::default(),
        sizes: Sizes::InTurn(vec![12]),
        stamp: Stamp::Body,
    };
    let writer = Writer::new(&content, CHANNEL, FRAME_MAX, 0);
    scene(Role::Producer(Producer::new(writer, pace, window, messages)))
}

fn consumer(change: impl FnOnce(&mut Consuming)) -> Scene {
    let mut consuming = Consuming {
        queue: "q".to_owned(),
        arguments: FieldTable::new(),
        no_ack: false,
        ack_every: 1,
        nack_share: 0.0,
        requeue: false,
        think: 0,
        poll: None,
        stamp: Stamp::None,
        messages: None,
    };
    change(&mut consuming);
    scene(Role::Consumer(Consumer::new(consuming, CHANNEL)))
}

impl Scene {
    fn fill(&mut self, micros: u64) {
        self.client.fill(at(micros), &mut self.out, &mut self.sample);
    }

    /// How many messages are due or allowed now.
    fn published(&mut self, micros: u64) -> u64 {
        let before = self.sample.counts.sent;
        self.out.clear();
        self.fill(micros);
        self.sample.counts.sent - before
    }

    fn hears<'m>(&mut self, micros: u64, method: impl Into<Method<'m>>) -> Result<(), PerfError> {
        let mut input = Vec::new();
        write_method(&mut input, CHANNEL, &method.into());
        self.reads(micros, &input)
    }

    fn reads(&mut self, micros: u64, input: &[u8]) -> Result<(), PerfError> {
        let taken = self.client.receive(input, at(micros), &mut self.out, &mut self.sample)?;
        assert_eq!(taken, input.len());
        Ok(())
    }

    fn delivery(&mut self, micros: u64, delivery_tag: u64) {
        let mut input = Vec::new();
        let deliver = basic::Deliver { delivery_tag, ..basic::Deliver::default() };
        write_method(&mut input, CHANNEL, &deliver.into());
        write_header(&mut input, CHANNEL, 5, &[0, 0]);
        write_body(&mut input, CHANNEL, b"hel");
        write_body(&mut input, CHANNEL, b"lo");
        self.reads(micros, &input).unwrap();
    }

    /// What was written since the last time: tags, with `+` for multiple and `-` for a refusal.
    fn answers(&mut self) -> Vec<String> {
        let out = std::mem::take(&mut self.out);
        let (mut rest, mut answers) = (&out[..], Vec::new());
        while let Some((frame, behind)) = parse_frame(rest, FRAME_MAX).unwrap() {
            answers.push(match Method::decode(frame.payload).unwrap() {
                Method::Basic(basic::Method::Ack(ack)) => {
                    format!("{}{}", ack.delivery_tag, if ack.multiple { "+" } else { "" })
                }
                Method::Basic(basic::Method::Nack(nack)) => format!("{}-", nack.delivery_tag),
                Method::Basic(basic::Method::Get(_)) => "get".to_owned(),
                Method::Basic(basic::Method::Consume(_)) => "consume".to_owned(),
                other => panic!("{other:?}"),
            });
            rest = behind;
        }
        answers
    }
}

fn ack(delivery_tag: u64, multiple: bool) -> basic::Ack {
    basic::Ack { delivery_tag, multiple }
}

#[test]
fn producers_keep_to_their_window() {
    let mut scene = producer(None, Some(3), Some(5));
    assert_eq!(scene.published(0), 0, "not before the start");
    scene.client.start(at(10));
    assert_eq!((scene.published(10), scene.published(20)), (3, 0));
    assert_eq!(scene.client.wake(), None, "it is for the broker to say something");
    scene.hears(30, ack(2, false)).unwrap();
    assert_eq!(scene.published(40), 1);
    scene.hears(50, basic::Nack { delivery_tag: 1, ..basic::Nack::default() }).unwrap();
    assert_eq!((scene.published(60), scene.client.is_done()), (1, false));
    scene.hears(70, ack(5, true)).unwrap();
    assert_eq!((scene.published(80), scene.client.is_done()), (0, true));
    let counts = scene.sample.counts;
    assert_eq!((counts.sent, counts.confirmed, counts.nacked), (5, 4, 1));
    assert_eq!(scene.sample.confirm_latency.len(), 4);
    assert!(scene.hears(90, ack(9, false)).is_err());
}

#[test]
fn late_messages_count_from_when_they_were_due() {
    // One each millisecond, and nobody could send for ten.
    let mut scene = producer(Some(Pace::steady(1000.0, 0.0)), Some(100), None);
    scene.client.start(at(0));
    assert_eq!(scene.published(0), 1);
    assert_eq!(scene.client.wake(), Some(at(1000)));
    assert_eq!(scene.published(10_000), 10);
    scene.hears(10_000, ack(11, true)).unwrap();
    let latency = &scene.sample.confirm_latency;
    // 10, 9, 8 … 0 milliseconds, though ten of them were sent just now.
    assert!(latency.value_at_percentile(50.0).abs_diff(5_000_000) < 10_000);
    assert_eq!(scene.published(10_999), 0);
    scene.client.stop_producing();
    assert_eq!((scene.published(20_000), scene.client.is_done()), (0, true));
}

#[test]
fn output_is_made_in_portions() {
    let mut scene = producer(None, None, None);
    scene.client.start(at(0));
    scene.fill(0);
    assert!((OUTPUT_HIGH..OUTPUT_HIGH + 200).contains(&scene.out.len()), "{}", scene.out.len());
}

#[test]
fn consumers_acknowledge_every_few_and_the_rest_after_a_pause() {
    let mut scene = consumer(|how| how.ack_every = 3);
    assert_eq!(scene.answers(), ["consume"]);
    assert!(!scene.client.is_ready());
    scene.hears(0, basic::ConsumeOk { consumer_tag: "t" }).unwrap();
    assert!(scene.client.is_ready());
    (1..=4).for_each(|tag| scene.delivery(tag, tag));
    scene.fill(10);
    assert_eq!(scene.answers(), ["3+"]);
    assert_eq!(scene.client.wake(), Some(at(4).after(100_000_000)));
    scene.fill(100_004);
    assert_eq!(scene.answers(), ["4"]);
    scene.delivery(100_005, 5);
    scene.client.stop_consuming(&mut scene.out);
    assert_eq!(scene.answers(), ["5"]);
    scene.delivery(100_006, 6);
    assert_eq!((scene.sample.counts.received, scene.client.is_done()), (5, true));
    assert_eq!(scene.sample.counts.received_bytes, 25);
}

#[test]
fn consumers_end_after_so_many_messages() {
    let mut scene = consumer(|how| (how.messages, how.ack_every) = (Some(3), 10));
    (1..=5).for_each(|tag| scene.delivery(tag, tag));
    assert_eq!(scene.answers(), ["consume", "3+"]);
    assert_eq!((scene.sample.counts.received, scene.client.is_done()), (3, true));
}

#[test]
fn consumers_refuse_their_share() {
    let mut scene = consumer(|how| (how.nack_share, how.ack_every) = (0.25, 3));
    (1..=9).for_each(|tag| scene.delivery(tag, tag));
    assert_eq!(scene.answers(), ["consume", "3+", "4-", "7+", "8-"]);
    assert_eq!(scene.sample.counts.rejected, 2);
}

#[test]
fn consumers_that_think_take_one_after_another() {
    let mut scene = consumer(|how| how.think = 1_000_000);
    scene.delivery(0, 1);
    scene.delivery(0, 2);
    scene.fill(0);
    assert_eq!((scene.sample.counts.received, scene.client.wake()), (1, Some(at(1000))));
    assert_eq!(scene.answers(), ["consume"]);
    scene.fill(1000);
    assert_eq!((scene.sample.counts.received, scene.client.wake()), (2, Some(at(2000))));
    assert_eq!(scene.answers(), ["1"]);
    scene.client.stop_consuming(&mut scene.out);
    assert_eq!(scene.answers(), ["2"]);
}

#[test]
fn polling_asks_again_at_once_or_after_a_pause() {
    let mut scene = consumer(|how| how.poll = Some(500_000));
    scene.fill(0);
    assert_eq!(scene.answers(), ["get"]);
    scene.fill(10);
    assert!(scene.answers().is_empty(), "one at a time");
    let mut input = Vec::new();
    write_method(
        &mut input,
        CHANNEL,
        &basic::GetOk { delivery_tag: 1, ..basic::GetOk::default() }.into(),
    );
    write_header(&mut input, CHANNEL, 0, &[0, 0]);
    scene.reads(20, &input).unwrap();
    scene.fill(20);
    assert_eq!(scene.answers(), ["1", "get"]);
    scene.hears(30, basic::GetEmpty {}).unwrap();
    scene.fill(30);
    assert!(scene.answers().is_empty());
    assert_eq!(scene.client.wake(), Some(at(530)));
    scene.fill(530);
    assert_eq!((scene.answers(), scene.sample.counts.empty_gets), (vec!["get".to_owned()], 1));
}

#[test]
fn heartbeats_are_sent_and_missed() {
    let mut scene = producer(None, None, Some(0));
    scene.client.beat(at(999_999), &mut scene.out).unwrap();
    assert!(scene.out.is_empty());
    assert_eq!(scene.client.next_beat(), Some(at(1_000_000)));
    scene.client.beat(at(1_000_000), &mut scene.out).unwrap();
    assert_eq!(scene.out, [8, 0, 0, 0, 0, 0, 0, 0xCE]);
    scene.client.beat(at(4_000_000), &mut scene.out).unwrap();
    let error = scene.client.beat(at(4_000_001), &mut scene.out).expect_err("silence");
    assert_eq!(error.to_string(), "amqp://host said nothing for 4 s, two heartbeats");
    scene.reads(4_000_002, &[8, 0, 0, 0, 0, 0, 0, 0xCE]).unwrap();
    scene.client.beat(at(5_000_000), &mut scene.out).unwrap();
}

#[test]
fn what_no_broker_should_send_is_an_error() {
    for input in
        [&[1, 0, 1, 0, 0, 0, 4, 0, 60, 0, 99, 0xCE][..], &[7; 20], &[3, 0, 9, 0, 0, 0, 0, 0xCE]]
    {
        let mut scene = consumer(|_| ());
        let error = scene.reads(0, input).expect_err("a fault");
        assert!(error.to_string().starts_with("the broker broke the protocol: "), "{error}");
    }
    let mut scene = consumer(|_| ());
    let error = scene.hears(0, basic::Cancel { consumer_tag: "t", nowait: true });
    assert_eq!(
        error.expect_err("an end").to_string(),
        "the broker cancelled the consumer of queue \"q\""
    );
    let close = channel::Close {
        reply_code: 404,
        reply_text: "NOT_FOUND - q",
        class_id: 60,
        method_id: 40,
    };
    let error = scene.hears(0, close).expect_err("an end").to_string();
    assert_eq!(error, "the broker closed the channel: 404 NOT_FOUND - q (method 60.40)");
}
