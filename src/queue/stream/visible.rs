//! How far a stream may be read: nobody sees a message that a crash could take back.
//!
//! A consumer remembers offsets. Had it been given a message that was lost, another one would get that
//! offset after the restart, and the consumer would never ask for it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::message::Position;
use crate::queue::paging::Paging;
use crate::queue::{Queue, QueueLog};
use crate::storage::{Group, LogPosition};

#[derive(Debug)]
pub(super) struct Visible {
    end: Position,
    /// What was taken in since: when it is safe, and where it ends.
    pending: VecDeque<(Until, Position)>,
    /// The store will call.
    is_awaited: bool,
}

#[derive(Debug)]
enum Until {
    Log(LogPosition),
    /// The group that it is part of is durable when this is set.
    Group(Arc<AtomicBool>),
}

impl Until {
    fn is_over(&self, durable: LogPosition) -> bool {
        match self {
            Self::Log(position) => *position <= durable,
            Self::Group(is_durable) => is_durable.load(Ordering::Acquire),
        }
    }
}

impl Visible {
    pub(super) fn until(end: Position) -> Self {
        Self { end, pending: VecDeque::new(), is_awaited: false }
    }

    /// The first position that may not be read.
    pub(super) fn end(&self) -> Position {
        self.end
    }

    /// Messages before `next` were taken in, and the store was told so with `group`. Where nobody can be
    /// called when they are safe, they count at once.
    pub(super) fn taken(
        &mut self,
        queue: &Arc<Queue>,
        group: Group,
        log: Option<LogPosition>,
        next: Position,
    ) {
        let (Some(position), Some(store), Some(paging)) = (log, &queue.log, &queue.paging) else {
            return *self = Self::until(next);
        };
        let until = if group == Group::ALONE {
            Until::Log(position)
        } else {
            let is_durable = Arc::new(AtomicBool::new(false));
            let (flag, call) = (Arc::clone(&is_durable), attention(queue, paging));
            let wake = move || {
                flag.store(true, Ordering::Release);
                call();
            };
            store.store.when_group_durable(group, Box::new(wake));
            Until::Group(is_durable)
        };
        self.pending.push_back((until, next));
        self.refresh(queue);
    }

    /// Looks how far the store has got, and asks it to call when there is more to wait for. True when
    /// there is more to read than before.
    pub(super) fn refresh(&mut self, queue: &Arc<Queue>) -> bool {
        let (Some(QueueLog { store, .. }), Some(paging)) = (&queue.log, &queue.paging) else {
            return false;
        };
        if self.pending.is_empty() {
            return false;
        }
        let before = self.end;
        let durable = store.durable();
        while let Some((until, next)) = self.pending.front()
            && until.is_over(durable)
        {
            self.end = *next;
            self.pending.pop_front();
            self.is_awaited = false;
        }
        if let Some((Until::Log(position), _)) = self.pending.front()
            && !self.is_awaited
        {
            self.is_awaited = true;
            store.when_durable(*position, Box::new(attention(queue, paging)));
        }
        before != self.end
    }
}

fn attention(queue: &Arc<Queue>, paging: &Arc<Paging>) -> impl FnOnce() + Send + use<> {
    let (queue, paging) = (Arc::downgrade(queue), Arc::clone(paging));
    move || {
        if let Some(queue) = queue.upgrade() {
            (paging.attention)(&queue);
        }
    }
}
