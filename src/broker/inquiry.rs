//! What an open connection is like, told by itself.
//!
//! Only the connection's own task knows its channels and consumers, and it keeps no second copy of them
//! for the rare one who wants to know: that one asks, and is answered when the task comes by, which it
//! does at once when its outbox is rung.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::delivery::SourceId;
use crate::names::QueueName;
use crate::protocol::FieldTable;

/// A connection at one moment.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// RabbitMQ's word for what it does.
    pub state: &'static str,
    pub channels: Vec<ChannelReport>,
}

#[derive(Clone, Debug, Default)]
pub struct ChannelReport {
    pub number: u16,
    /// Its close is not answered yet.
    pub is_closing: bool,
    pub confirms: bool,
    pub is_transactional: bool,
    /// Of consumers to come.
    pub prefetch: u16,
    /// Of all consumers together; 0 is no limit.
    pub global_prefetch: u32,
    pub unacked: usize,
    pub unconfirmed: u64,
    /// Published and acknowledged in a transaction.
    pub uncommitted: usize,
    pub acks_uncommitted: usize,
    pub consumers: Vec<ConsumerReport>,
}

#[derive(Clone, Debug)]
pub struct ConsumerReport {
    pub tag: String,
    /// None for one of direct replies.
    pub queue: Option<QueueName>,
    /// What the queue knows it by, together with the outbox.
    pub source: SourceId,
    pub no_ack: bool,
    pub prefetch: u16,
    pub exclusive: bool,
    pub arguments: FieldTable,
    /// How long it may have a delivery without settling it; 0 is as long as it likes.
    pub timeout_millis: u64,
}

type Answer = Box<dyn FnOnce(Report) + Send>;

/// Those who want to know. An answer that is dropped says that the connection has ended.
#[derive(Default)]
pub struct Inquiries {
    waiting: Mutex<Vec<Answer>>,
    /// There are some: all that a connection looks at while there are none.
    is_asked: AtomicBool,
}

impl Inquiries {
    /// To be followed by a ring of the connection's outbox.
    pub fn ask(&self, answer: Answer) {
        self.waiting.lock().push(answer);
        self.is_asked.store(true, Ordering::Release);
    }

    #[inline]
    pub fn is_asked(&self) -> bool {
        self.is_asked.load(Ordering::Acquire)
    }

    /// For the connection: tells everybody who waits.
    pub fn answer(&self, report: &Report) {
        self.is_asked.store(false, Ordering::Release);
        let waiting = std::mem::take(&mut *self.waiting.lock());
        for answer in waiting {
            answer(report.clone());
        }
    }

    /// The connection has ended.
    pub fn drop_all(&self) {
        self.waiting.lock().clear();
    }
}

impl fmt::Debug for Inquiries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} inquiries", self.waiting.lock().len())
    }
}
