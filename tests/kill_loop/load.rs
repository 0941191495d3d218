//! Publishers and consumers that work until the broker is gone, and write down what they saw.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, PublisherConfirm};
use rand::rngs::SmallRng;
use rand::{Rng, RngExt};
use tokio::sync::watch;

use crate::ledger::{Id, Ledger};

/// What all of them share.
pub struct Book {
    pub ledger: parking_lot::Mutex<Ledger>,
    /// Confirms so far, to be waited for.
    pub confirms: watch::Sender<u64>,
}

impl Book {
    pub fn new() -> Self {
        Self { ledger: parking_lot::Mutex::default(), confirms: watch::Sender::new(0) }
    }

    fn confirm(&self, id: Id) {
        self.ledger.lock().confirm(id);
        self.confirms.send_modify(|confirms| *confirms += 1);
    }
}

/// Publishes to one exchange under one key.
#[derive(Clone, Copy)]
pub struct Publisher {
    pub number: u32,
    pub exchange: &'static str,
    pub key: &'static str,
}

impl Publisher {
    /// Sends the next message; nothing when the broker is gone.
    pub async fn send(
        self,
        book: &Book,
        channel: &Channel,
        era: usize,
    ) -> Option<(Id, PublisherConfirm)> {
        let id = book.ledger.lock().send(self.number, era);
        let (exchange, key) = (self.exchange.into(), self.key.into());
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let (persistent, body) = (BasicProperties::default().with_delivery_mode(2), body(id));
        let sent = channel.basic_publish(exchange, key, options, &body, persistent);
        Some((id, sent.await.ok()?))
    }

    /// Keeps `window` messages on their way until the broker is gone.
    pub async fn run(self, book: Arc<Book>, channel: Channel, era: usize, window: usize) {
        if channel.confirm_select(ConfirmSelectOptions::default()).await.is_err() {
            return;
        }
        let mut open = FuturesUnordered::new();
        let mut alive = true;
        while alive || !open.is_empty() {
            while alive && open.len() < window {
                let sent = self.send(&book, &channel, era).await;
                alive = sent.is_some();
                open.extend(sent.map(|(id, confirm)| async move { (id, confirm.await) }));
            }
            if let Some((id, answer)) = open.next().await {
                alive &= answered(&book, id, answer);
            }
        }
    }
}

/// Whether it is confirmed. Refused it must never be.
pub fn answered(book: &Book, id: Id, answer: lapin::Result<Confirmation>) -> bool {
    match answer {
        Ok(Confirmation::Ack(None)) => book.confirm(id),
        Ok(other) => panic!("{id:?} was answered with {other:?}"),
        Err(_) => return false,
    }
    true
}

/// Consumes one queue.
pub struct Consumer {
    pub queue: &'static str,
    pub prefetch: u16,
    /// Publishes, now and then, a message after its acknowledgements: when that is confirmed, they are
    /// known to be kept.
    pub receipts: Option<Publisher>,
    /// Ends when it has acknowledged this, and acknowledges each for itself.
    pub last: Option<Id>,
}

impl Consumer {
    pub async fn run(self, book: Arc<Book>, channel: Channel, era: usize, mut random: SmallRng) {
        let _ = self.work(&book, &channel, era, &mut random).await;
    }

    async fn work(
        &self,
        book: &Book,
        channel: &Channel,
        era: usize,
        random: &mut SmallRng,
    ) -> lapin::Result<()> {
        channel.basic_qos(self.prefetch, BasicQosOptions::default()).await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let (name, options) = (self.queue.into(), BasicConsumeOptions::default());
        let consuming = channel.basic_consume(name, "".into(), options, FieldTable::default());
        let mut deliveries = consuming.await?;
        let mut open = FuturesUnordered::new();
        let (mut held, mut acked) = (Vec::new(), Vec::new());
        let mut batch = 1;
        loop {
            let delivery = tokio::select! {
                delivery = deliveries.next() => delivery,
                Some(()) = open.next() => continue,
            };
            let Some(Ok(delivery)) = delivery else { break };
            let id = read(&delivery);
            book.ledger.lock().deliver(self.queue, id, era, delivery.redelivered);
            held.push((id, delivery.delivery_tag));
            if self.last.is_some() {
                channel.basic_ack(delivery.delivery_tag, BasicAckOptions::default()).await?;
                if self.last == Some(id) {
                    break;
                }
                continue;
            }
            if held.len() < batch {
                continue;
            }
            if self.settle(book, channel, &mut held, &mut acked, random).await.is_err() {
                break;
            }
            batch = random.random_range(1..=self.prefetch.min(20)).into();
            if let Some(receipts) = self.receipts.filter(|_| random.random_ratio(1, 4)) {
                let Some((id, confirm)) = receipts.send(book, channel, era).await else { break };
                let before = std::mem::take(&mut acked);
                open.push(async move {
                    if answered(book, id, confirm.await) {
                        book.ledger.lock().settle(self.queue, before);
                    }
                });
            }
        }
        while open.next().await.is_some() {}
        Ok(())
    }

    /// Acknowledges what it holds, or all but one, which goes back.
    async fn settle(
        &self,
        book: &Book,
        channel: &Channel,
        held: &mut Vec<(Id, u64)>,
        acked: &mut Vec<Id>,
        random: &mut SmallRng,
    ) -> lapin::Result<()> {
        let sends_back = book.ledger.lock().sends_back(self.queue);
        if sends_back && random.random_ratio(1, 4) {
            let (_, tag) = held.swap_remove(random.random_range(0..held.len()));
            let options = BasicNackOptions { requeue: true, ..Default::default() };
            channel.basic_nack(tag, options).await?;
        }
        let multiple = random.next_u32().is_multiple_of(2);
        if multiple && let Some(tag) = held.iter().map(|(_, tag)| *tag).max() {
            channel.basic_ack(tag, BasicAckOptions { multiple }).await?;
        }
        for (id, tag) in held.drain(..) {
            if !multiple {
                channel.basic_ack(tag, BasicAckOptions { multiple }).await?;
            }
            acked.push(id);
        }
        Ok(())
    }
}

/// Says which message it is; mostly short, sometimes of many frames, and different in each.
fn body(id: Id) -> Vec<u8> {
    let Id { publisher, sequence } = id;
    let length = match sequence % 101 {
        100 => 300_000,
        n => (n * n) as usize,
    };
    let mut body = format!("{publisher} {sequence} ").into_bytes();
    body.extend((0..length).map(|n| (sequence as usize + n) as u8));
    body
}

fn read(delivery: &Delivery) -> Id {
    let mut numbers = delivery.data.split(|byte| *byte == b' ');
    let mut number = || std::str::from_utf8(numbers.next()?).ok()?.parse::<u64>().ok();
    let (publisher, sequence) = number().zip(number()).expect("a message of this test");
    let id = Id { publisher: publisher as u32, sequence };
    assert_eq!(delivery.properties.delivery_mode(), &Some(2), "{id:?}");
    assert!(delivery.data == body(id), "{id:?} is not what it was");
    id
}
