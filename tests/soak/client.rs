//! Publishers and consumers that die and are replaced until it is over or the broker is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties};
use rand::RngExt;
use rand::rngs::SmallRng;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::load::{Book, Consumer, Publisher};
use crate::process::Broker;
use crate::relay::Relay;

/// What is published: exchange, key, and the queues that get it.
pub const ROUTES: [(&str, &str, &[&str]); 6] = [
    ("", "work.a", &["work.a"]),
    ("", "work.a", &["work.a"]),
    ("", "work.b", &["work.b"]),
    ("", "work.q", &["work.q"]),
    ("audit", "", &["audit.1", "audit.2"]),
    ("audit", "", &["audit.1", "audit.2"]),
];

/// How many there have been.
static PUBLISHERS: AtomicU32 = AtomicU32::new(0);

/// What the clients of an era share.
pub struct Work {
    pub amqp: String,
    pub http: String,
    pub over: watch::Sender<bool>,
    era: usize,
    book: Arc<Book>,
    deaths: AtomicU32,
    changes: AtomicU32,
}

/// Where it listens: AMQP and HTTP.
pub fn addresses(broker: &Broker) -> (String, String) {
    let (amqp, http) = broker.address.split_once(", http ").unwrap();
    (amqp.to_owned(), http.to_owned())
}

pub async fn channel(address: &str) -> lapin::Result<Channel> {
    let uri = format!("amqp://guest:guest@{address}/%2f");
    Connection::connect(&uri, ConnectionProperties::default()).await?.create_channel().await
}

impl Work {
    pub fn new(broker: &Broker, era: usize, book: Arc<Book>) -> Self {
        let (amqp, http) = addresses(broker);
        let (over, deaths, changes) = Default::default();
        Self { amqp, http, over, era, book, deaths, changes }
    }

    pub fn deaths(&self) -> u32 {
        self.deaths.load(Ordering::Relaxed)
    }

    pub fn changes(&self) -> u32 {
        self.changes.load(Ordering::Relaxed)
    }

    pub fn changed(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    pub async fn channel(&self) -> lapin::Result<Channel> {
        channel(&self.amqp).await
    }

    /// One that was never there before: what a dead one had on its way may come behind what its
    /// successor sends.
    pub fn publisher(
        &self,
        exchange: &'static str,
        key: &'static str,
        queues: &[&'static str],
    ) -> Publisher {
        let number = PUBLISHERS.fetch_add(1, Ordering::Relaxed);
        self.book.ledger.lock().route(number, queues);
        Publisher { number, exchange, key }
    }

    /// Runs a client on a connection of its own, for a while. False when it was its last one.
    async fn live<W: Future<Output = ()>>(
        &self,
        random: &mut SmallRng,
        client: impl FnOnce(Channel) -> W,
    ) -> bool {
        let relay = Relay::to(self.amqp.clone()).await;
        let Ok(channel) = channel(&relay.address).await else { return false };
        let client = client(channel);
        tokio::pin!(client);
        let mut over = self.over.subscribe();
        let is_over = tokio::select! {
            () = &mut client => return false,
            _ = over.wait_for(|over| *over) => true,
            () = sleep(Duration::from_millis(random.random_range(100..5_000))) => false,
        };
        drop(relay);
        client.await;
        self.deaths.fetch_add(1, Ordering::Relaxed);
        !is_over
    }

    pub async fn publish(self: Arc<Self>, route: usize, mut random: SmallRng) {
        let (exchange, key, queues) = ROUTES[route];
        loop {
            let publisher = self.publisher(exchange, key, queues);
            let window = [1, 10, 100][random.random_range(0..3)];
            let book = Arc::clone(&self.book);
            let client = |channel| publisher.run(book, channel, self.era, window);
            if !self.live(&mut random, client).await {
                return;
            }
        }
    }

    pub async fn consume(self: Arc<Self>, queue: &'static str, mut random: SmallRng) {
        loop {
            let prefetch = random.random_range(1..200);
            let receipts = self.publisher("", "receipts", &["receipts"]);
            let receipts = (queue != "receipts").then_some(receipts);
            let consumer = Consumer { queue, prefetch, receipts, last: None };
            let (book, own) = (Arc::clone(&self.book), rand::make_rng());
            let client = |channel| consumer.run(book, channel, self.era, own);
            let goes_on = self.live(&mut random, client).await;
            if self.left(queue).await.is_err() || !goes_on {
                return;
            }
        }
    }

    /// Returns when the broker has seen that the consumer is gone.
    async fn left(&self, queue: &'static str) -> lapin::Result<()> {
        let channel = self.channel().await?;
        let passive = QueueDeclareOptions { passive: true, ..Default::default() };
        while channel
            .queue_declare(queue.into(), passive, FieldTable::default())
            .await?
            .consumer_count()
            > 0
        {
            tokio::task::yield_now().await;
        }
        self.book.ledger.lock().left(queue);
        Ok(())
    }
}
