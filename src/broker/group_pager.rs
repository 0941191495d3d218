//! A pager that writes nothing that a crash might take back.
//!
//! A message moves in a group: it leaves one queue and enters another, or neither. What is in a
//! segment is there after a restart whatever the journal says, so a segment with a message of a group
//! must not be written before the group is durable, or the message would be in both queues.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::message::Queued;
use crate::storage::range_map::RangeSet;
use crate::storage::{
    LogPosition, MessageStore, OnRead, OnRemoved, OnWritten, Owner, Pager, Segment, SegmentStats,
    StoreError,
};

pub(super) struct GroupPager {
    inner: Arc<dyn Pager>,
    messages: Arc<dyn MessageStore>,
    writes: Arc<Mutex<Writes>>,
}

/// In the order in which they were asked for.
#[derive(Default)]
struct Writes {
    waiting: VecDeque<Write>,
    /// Groups that have not ended.
    open: usize,
    /// Where the last one ended.
    last_end: LogPosition,
}

struct Write {
    owner: Owner,
    messages: Arc<Vec<Queued>>,
    done: OnWritten,
    /// What the store has to get to before; `None` while its group is open.
    after: Option<LogPosition>,
}

impl GroupPager {
    pub(super) fn new(inner: Arc<dyn Pager>, messages: Arc<dyn MessageStore>) -> Self {
        Self { inner, messages, writes: Arc::default() }
    }

    fn write_after(&self, position: LogPosition) {
        let (inner, writes) = (Arc::clone(&self.inner), Arc::clone(&self.writes));
        let write = move || {
            // Handed on under the lock, for two that are called at once must not change the order.
            let mut writes = writes.lock();
            let is_safe = |write: &Write| write.after.is_some_and(|after| after <= position);
            while writes.waiting.front().is_some_and(is_safe)
                && let Some(write) = writes.waiting.pop_front()
            {
                inner.write(write.owner, write.messages, write.done);
            }
        };
        self.messages.when_durable(position, Box::new(write));
    }
}

impl Pager for GroupPager {
    fn write(&self, owner: Owner, messages: Arc<Vec<Queued>>, done: OnWritten) {
        let mut writes = self.writes.lock();
        let position = writes.last_end;
        let after = (writes.open == 0).then_some(position);
        if writes.waiting.is_empty() && after.is_some_and(|after| after <= self.messages.durable())
        {
            return self.inner.write(owner, messages, done);
        }
        writes.waiting.push_back(Write { owner, messages, done, after });
        drop(writes);
        if after.is_some() {
            self.write_after(position);
        }
    }

    fn read(&self, segment: &Segment, done: OnRead) {
        self.inner.read(segment, done);
    }

    fn read_now(&self, segment: &Segment) -> Result<Vec<Queued>, StoreError> {
        self.inner.read_now(segment)
    }

    fn rewrite(&self, segment: &Segment, live: RangeSet) {
        self.inner.rewrite(segment, live);
    }

    fn remove(&self, segment: &Segment, done: OnRemoved) {
        self.inner.remove(segment, done);
    }

    fn stats(&self) -> SegmentStats {
        self.inner.stats()
    }

    fn pressure(&self) -> usize {
        self.inner.pressure()
    }

    fn when_relieved(&self, wake: Box<dyn FnOnce() + Send>) {
        self.inner.when_relieved(wake);
    }

    fn begin_group(&self) {
        self.writes.lock().open += 1;
    }

    fn end_group(&self, end: LogPosition) {
        let mut writes = self.writes.lock();
        writes.open -= 1;
        writes.last_end = writes.last_end.max(end);
        if writes.open > 0 {
            return;
        }
        let end = writes.last_end;
        let open = writes.waiting.iter_mut().filter(|write| write.after.is_none());
        let any = open.map(|write| write.after = Some(end)).count() > 0;
        drop(writes);
        if any {
            self.write_after(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Message, Position, Traits};
    use crate::storage::memory::HeldStore;
    use crate::storage::segment::HeldPager;
    use crate::time::Time;

    fn batch() -> Arc<Vec<Queued>> {
        let header = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let message =
            Message::with_inline_body(b"\0\x01q", &header, b"", Traits::default(), &mut vec![]);
        Arc::new(vec![Queued {
            message,
            position: Position(1),
            deadline: Time::NEVER,
            redelivered: false,
            kept: true,
            delivery_count: 0,
        }])
    }

    #[test]
    fn what_a_group_may_have_put_there_waits_for_the_group() {
        let (store, held) = (Arc::new(HeldStore::default()), Arc::new(HeldPager::default()));
        let pager = GroupPager::new(Arc::clone(&held) as _, Arc::clone(&store) as _);
        let write = || pager.write(Owner::Nobody, batch(), Box::new(|_| {}));
        write();
        assert!(held.step() && !held.is_asked(), "without a group at once");
        let group = store.new_group();
        pager.begin_group();
        write();
        assert!(!held.is_asked(), "the group is open");
        pager.end_group(store.end_group(group));
        assert!(!held.is_asked(), "it is not durable");
        write();
        assert!(!held.is_asked(), "nor may a later one be written first");
        store.sync();
        assert!(held.step() && held.step() && !held.is_asked());
        write();
        assert!(held.is_asked());
    }
}
