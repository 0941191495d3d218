//! Dead letters of a quorum queue that have to arrive and could not yet (behaviour B13.7).
//!
//! They wait in an ordinary queue that nobody can see, which stands behind the one in which they died.
//! So they survive what that one survives, lie on disk when they are many, and leave in the record in
//! which they enter another queue. The broker tries them from the front, a window of them at a time;
//! here is what both sides have to know.
//!
//! Invariant: nobody locks the one queue while the other one is locked; figures are all they share.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::effects::Effects;
use super::log::{Keeps, QueueLog};
use super::paging::Paging;
use super::stats::Weights;
use super::{Content, Counts, Declaration, Queue, Settled};
use crate::message::{Positions, Queued};
use crate::names::QueueName;
use crate::protocol::FieldTable;
use crate::storage::{Group, QueueId};
use crate::time::Time;

/// What waits behind a quorum queue.
#[derive(Debug)]
pub struct Undelivered {
    /// Where it waits, each letter as it is to be published.
    pub queue: Arc<Queue>,
    messages: AtomicUsize,
    /// Of bodies.
    bytes: AtomicUsize,
    /// The letters that are tried next, oldest first; away while somebody tries them.
    window: Mutex<Option<Vec<Queued>>>,
    /// Some of them lead nowhere, and somebody was told.
    lacks_route: AtomicBool,
}

impl Undelivered {
    fn new(
        name: &QueueName,
        source: Weak<Queue>,
        log: QueueLog,
        paging: Option<Arc<Paging>>,
    ) -> Self {
        let declaration = Declaration {
            durable: true,
            auto_delete: false,
            owner: None,
            arguments: FieldTable::default(),
            // First in, first out, without limits.
            options: Arc::default(),
        };
        let name = QueueName::from(format!("{name} (dead letters)"));
        let queue = Queue {
            keeps: Keeps::Everything,
            source: Some(source),
            ..Queue::build(name, declaration, Some(log), paging)
        };
        Self {
            queue: Arc::new(queue),
            messages: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            window: Mutex::new(Some(Vec::new())),
            lacks_route: AtomicBool::new(false),
        }
    }

    /// By which number the store knows them.
    pub fn id(&self) -> Option<QueueId> {
        self.queue.log.as_ref().map(|log| log.id)
    }

    /// How many wait, and the bytes of their bodies.
    pub fn figures(&self) -> (usize, usize) {
        (self.messages.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }

    /// So many more wait.
    pub fn add(&self, messages: usize, bytes: usize) {
        self.messages.fetch_add(messages, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Letters of the window are through: the store hears of it with `group`.
    pub fn settle(&self, letters: &[Queued], group: Group, now: Time, effects: &mut Effects) {
        if letters.is_empty() {
            return;
        }
        let mut positions: Vec<_> = letters.iter().map(|letter| letter.position).collect();
        positions.sort_unstable();
        let positions: Positions = positions.into_iter().collect();
        let count = u32::try_from(letters.len()).unwrap_or(u32::MAX);
        let settled = Settled {
            positions: Some(&positions),
            group,
            weights: Weights::of(letters),
            ..Settled::count(None, count)
        };
        self.queue.settle(&settled, now, effects);
        self.messages.fetch_sub(letters.len(), Ordering::Relaxed);
        let bytes: usize = letters.iter().map(|letter| letter.message.body_size()).sum();
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Drops all that wait, the window included, which the caller has. Says how many that were.
    pub fn drop_all(&self, window: &[Queued], now: Time, effects: &mut Effects) -> usize {
        self.settle(window, Group::ALONE, now, effects);
        let (messages, bytes) = self.queue.purge_figures(now, effects).unwrap_or_default();
        self.messages.fetch_sub(messages, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        window.len() + messages
    }

    /// The letters to be tried; `None` while somebody else tries them.
    pub fn take_window(&self) -> Option<Vec<Queued>> {
        self.window.lock().take()
    }

    pub fn put_window(&self, window: Vec<Queued>) {
        *self.window.lock() = Some(window);
    }

    /// Notes whether some lead nowhere, and says what was noted before.
    pub fn set_lacks_route(&self, lacks_route: bool) -> bool {
        self.lacks_route.swap(lacks_route, Ordering::Relaxed)
    }

    /// The queue was filled by a restart. Says how many wait.
    pub fn restored(&self) -> usize {
        let (messages, bytes) = self.queue.ready_figures();
        self.add(messages, bytes);
        messages
    }
}

impl Queue {
    /// A quorum queue; `letters` is what the queue tells the store in which its dead letters wait.
    pub fn quorum(
        name: QueueName,
        declaration: Declaration,
        log: QueueLog,
        letters: QueueLog,
        paging: Option<Arc<Paging>>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| {
            let undelivered = Undelivered::new(&name, Weak::clone(this), letters, paging.clone());
            let undelivered = Some(Box::new(undelivered));
            Self { undelivered, ..Self::build(name, declaration, Some(log), paging) }
        })
    }

    pub fn undelivered(&self) -> Option<&Undelivered> {
        self.undelivered.as_deref()
    }

    /// Of a queue in which dead letters wait: where they died. `Some(None)` when that queue is no more.
    pub fn source(&self) -> Option<Option<Arc<Self>>> {
        self.source.as_ref().map(Weak::upgrade)
    }

    /// Says in the log when dead letters were to be delivered at least once and cannot be.
    pub fn warn_of_strategy(&self) {
        let options = self.options();
        if options.dead_letter_at_least_once == Some(true)
            && let Some(why) = options.why_at_most_once()
        {
            let queue = &self.name;
            tracing::warn!(%queue, why, "dead letters are delivered at most once");
        }
    }

    /// Dead letters that wait have left: there may be room for others.
    pub fn undelivered_left(self: &Arc<Self>, effects: &mut Effects) {
        if let Content::Queue(state) = &self.content {
            state.lock().report_deadline(self, effects);
        }
    }

    /// How many dead letters wait, and the bytes of their bodies.
    #[inline]
    pub(super) fn undelivered_figures(&self) -> (usize, usize) {
        self.undelivered.as_ref().map_or((0, 0), |undelivered| undelivered.figures())
    }

    pub(super) fn with_dead_letters(&self, counts: Counts) -> Counts {
        Counts { dead_letters: self.undelivered_figures().0, ..counts }
    }

    pub(super) fn retry_undelivered(&self, effects: &mut Effects) {
        if let Some(undelivered) = self.undelivered()
            && undelivered.figures().0 > 0
        {
            effects.deadlines.push((Time(0), Arc::clone(&undelivered.queue)));
        }
    }

    /// They go with the queue. To be called without its lock.
    pub(super) fn delete_undelivered(&self, now: Time, effects: &mut Effects) {
        if let Some(undelivered) = self.undelivered() {
            // Without conditions it is never refused.
            let _ = undelivered.queue.delete(false, false, now, effects);
        }
    }

    /// How many are ready, and the bytes of their bodies.
    fn ready_figures(&self) -> (usize, usize) {
        match &self.content {
            Content::Queue(state) => {
                let state = state.lock();
                (state.ready.len(), state.ready.bytes())
            }
            Content::Stream(_) => (0, 0),
        }
    }
}
