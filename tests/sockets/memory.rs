//! A publisher that is faster than everybody, on the binary with little memory: it is the one that waits.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use leveret::protocol::method::basic;

use crate::process::Broker;
use crate::server::soon;
use crate::socket::{Socket, publish};

const WATERMARK: u64 = 128 << 20;
/// What comes in between two looks at the memory, and what is in hand then.
const BEYOND: u64 = 48 << 20;
const BODY: usize = 32 * 1024;
/// Three times what may be there.
const MESSAGES: usize = 3 * WATERMARK as usize / BODY;

/// The highest that the resident memory of a process has been, while this lives.
struct Watch {
    stop: Arc<AtomicBool>,
    highest: Arc<AtomicU64>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Watch {
    fn of(broker: Arc<Broker>) -> Self {
        let (stop, highest) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (until, seen) = (Arc::clone(&stop), Arc::clone(&highest));
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                seen.fetch_max(broker.resident(), Ordering::Relaxed);
                std::thread::park_timeout(Duration::from_millis(2));
            }
        });
        Self { stop, highest, thread: Some(thread) }
    }

    fn end(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        self.highest.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn publisher_that_outruns_everybody_waits_and_memory_stays_bounded() {
    let data = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_leveret"));
    command.args(["--amqp", "127.0.0.1:0", "--http", "none", "--data-dir"]).arg(data.path());
    // Nothing of it goes to disk, which would be another way to bound it.
    command.env("LEVERET_QUEUE_MEMORY", "1 GiB");
    command.env("LEVERET_MEMORY_HIGH_WATERMARK", WATERMARK.to_string());
    let (broker, mut lines) = Broker::spawn(&mut command);
    let address = broker.address.parse().unwrap();
    let broker = Arc::new(broker);
    let watch = Watch::of(Arc::clone(&broker));
    let (said, mut hears) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        while let Some(Ok(line)) = lines.next() {
            if line.contains("memory resource limit alarm") {
                let _ = said.send(line);
            }
        }
    });

    let mut consumer = Socket::open(address).await;
    consumer.declare("q").await;
    let publishing = async {
        let mut publisher = Socket::open(address).await;
        for number in 0..MESSAGES as u64 {
            let mut body = number.to_be_bytes().to_vec();
            body.resize(BODY, 0);
            publisher.send_patiently(&publish("q", &body)).await;
        }
        publisher
    };
    let consuming = async {
        // Nobody takes anything, until there is an alarm.
        assert!(soon(hears.recv()).await.unwrap().contains("alarm set"));
        let qos = basic::Qos { prefetch_count: 100, ..Default::default() };
        consumer.call(1, qos, basic::QosOk {}).await;
        consumer.consume("q", false).await;
        for number in 0..MESSAGES as u64 {
            let (delivery_tag, body) = consumer.message().await;
            assert_eq!(body[..8], number.to_be_bytes());
            consumer.say(1, basic::Ack { delivery_tag, multiple: false }).await;
        }
    };
    let (_publisher, ()) = tokio::join!(publishing, consuming);
    // It was cleared as often as it was set, all by itself.
    let mut is_on = true;
    while is_on || !hears.is_empty() || broker.resident() > WATERMARK {
        is_on = soon(hears.recv()).await.unwrap().contains("alarm set");
    }
    let highest = watch.end();
    assert!(highest > WATERMARK && highest < WATERMARK + BEYOND, "{} MiB", highest >> 20);
}
