//! Time passes for what waits: buckets are opened, and what is due is routed.
//!
//! A turn does a bounded piece of work and says when the next one is needed. Nothing in it waits: where
//! the next message is still on disk, the pager calls for another turn; where the store has too much to
//! write, the store does.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::wheel::{self, Bucket, Key};
use super::{Delays, header};
use crate::broker::publish::{UNCONFIRMED, add_stored};
use crate::broker::topology::Routing;
use crate::broker::vhost::Vhost;
use crate::message::{Message, Position, Positions, Queued};
use crate::queue::{Arrival, Effects, Got, Incoming, Queue, Settled};
use crate::storage::{Group, Pager, Stored};
use crate::time::Time;

/// Messages that a turn moves, and as many that it routes.
const TURN_MAX: usize = 1024;

/// Bytes of messages that are kept in memory to be sorted.
const FRONT_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of messages, about, that are moved in one group.
const GROUP_BYTES: usize = 4 * 1024 * 1024;

/// While the store has this much to write, it is not given more.
const PRESSURE_MAX: usize = 16 * 1024 * 1024;

/// Messages in memory: by time, then in the order in which they came out of their buckets. Each with
/// the bucket whose queue still has it.
#[derive(Default)]
pub(super) struct Front {
    entries: BTreeMap<(Time, u64), (Key, Queued)>,
    bytes: usize,
    taken: u64,
}

impl Front {
    fn push(&mut self, key: Key, queued: Queued) {
        self.taken += 1;
        self.bytes += queued.message.weight();
        self.entries.insert((header::due_of(&queued.message), self.taken), (key, queued));
    }

    fn pop(&mut self) -> Option<(Key, Queued)> {
        let (_, (key, queued)) = self.entries.pop_first()?;
        self.bytes -= queued.message.weight();
        Some((key, queued))
    }

    fn first_due(&self) -> Time {
        self.entries.first_key_value().map_or(Time::NEVER, |((due, _), _)| *due)
    }
}

/// What to do with an open bucket.
enum Step {
    Load(Key, Arc<Queue>),
    Deal(Key, Arc<Queue>),
}

/// What one group of records moves: out of buckets, into queues.
#[derive(Default)]
struct Move {
    stored: Vec<Message>,
    shares: Vec<(Arc<Queue>, Vec<Incoming>)>,
    left: Vec<(Arc<Queue>, Vec<Queued>)>,
}

impl Delays {
    pub(in crate::broker) fn turn(
        self: &Arc<Self>,
        vhost: &Arc<Vhost>,
        now: Time,
        effects: &mut Effects,
    ) {
        let Some(mut front) = self.state.lock().front.take() else {
            // Somebody else's turn, who may have looked before there was what we were called for.
            return self.wake(Time(now.0.saturating_add(1)));
        };
        for queue in std::mem::take(&mut *self.attention.lock()) {
            queue.look(now, effects);
            let mut state = self.state.lock();
            let mut buckets = state.buckets.values_mut();
            if let Some(bucket) = buckets.find(|bucket| Arc::ptr_eq(&bucket.queue, &queue)) {
                bucket.from_disk = false;
            }
        }
        let is_pressed = self.messages.pressure() > PRESSURE_MAX;
        if !is_pressed {
            let mut left = TURN_MAX;
            while left > 0
                && let Some(step) = self.next_step(&front, now)
            {
                left -= match step {
                    Step::Load(key, queue) => {
                        self.load(key, &queue, &mut front, left, now, effects)
                    }
                    Step::Deal(key, queue) => {
                        self.deal(key, &queue, &mut front, left, now, effects)
                    }
                };
            }
            self.route_due(vhost, &mut front, now, effects);
        }
        let next = self.next_turn(&front, now);
        self.sweep(now, effects);
        self.state.lock().front = Some(front);
        if is_pressed {
            let this = Arc::clone(self);
            self.messages.when_relieved(Box::new(move || this.wake(Time(0))));
        } else if next != Time::NEVER {
            self.wake(next.max(now));
        }
    }

    /// The first open bucket, unless there is something else to be routed before it that makes room.
    fn next_step(&self, front: &Front, now: Time) -> Option<Step> {
        let mut state = self.state.lock();
        let first_instant = wheel::first_instant(&state.buckets);
        let routed_next = front.first_due().min(first_instant.map_or(Time::NEVER, |key| key.start));
        let is_open = |(key, bucket): &(&Key, &mut Bucket)| {
            let moves = key.level() > 0 && bucket.ready > 0 && !bucket.from_disk;
            moves && bucket.opens(key) <= now
        };
        let (key, bucket) = state.buckets.iter_mut().find(is_open)?;
        let fits =
            front.entries.len() + bucket.ready <= self.in_memory_max && front.bytes < FRONT_BYTES;
        if fits && !bucket.deals {
            return Some(Step::Load(*key, Arc::clone(&bucket.queue)));
        }
        if routed_next <= now && routed_next < key.start {
            return None;
        }
        bucket.deals = true;
        Some(Step::Deal(*key, Arc::clone(&bucket.queue)))
    }

    /// Takes messages into memory, up to `max`. Says how much of that this has used up.
    fn load(
        &self,
        key: Key,
        queue: &Arc<Queue>,
        front: &mut Front,
        max: usize,
        now: Time,
        effects: &mut Effects,
    ) -> usize {
        let max = self.ready(key).min(max);
        let (taken, got) = take(queue, max, now, effects);
        let count = taken.len();
        taken.into_iter().for_each(|queued| front.push(key, queued));
        self.taken(key, got, 0, |bucket| {
            bucket.ready -= count;
            bucket.out += count;
        });
        count.max(1)
    }

    /// Moves messages into buckets of the level below, up to `max`. Into memory rather than nowhere, if
    /// all queues of that level are in use.
    fn deal(
        &self,
        key: Key,
        queue: &Arc<Queue>,
        front: &mut Front,
        max: usize,
        now: Time,
        effects: &mut Effects,
    ) -> usize {
        let max = self.ready(key).min(max);
        let (taken, got) = take(queue, max, now, effects);
        let count = taken.len();
        let mut shares: BTreeMap<Key, usize> = BTreeMap::new();
        let mut moved = Move::default();
        let mut left = Vec::with_capacity(count);
        let mut state = self.state.lock();
        for queued in taken {
            let due = header::due_of(&queued.message);
            let below = wheel::place_below(&state.buckets, due, key.level());
            let prepared = self.prepare(&mut state, below);
            match prepared.and_then(|()| state.buckets.get(&below)) {
                Some(bucket) => {
                    moved.enter([&bucket.queue], &queued.message);
                    *shares.entry(below).or_default() += 1;
                    left.push(queued);
                }
                None => front.push(key, queued),
            }
        }
        drop(state);
        let held = count - left.len();
        moved.leave(queue, left);
        self.carry_out(moved, now, effects);
        let mut state = self.state.lock();
        for (below, count) in shares {
            if let Some(bucket) = state.buckets.get_mut(&below) {
                bucket.ready += count;
            }
        }
        drop(state);
        // Only now, because until then a message of the same time has to stand behind them here.
        self.taken(key, got, 0, |bucket| {
            bucket.ready -= count;
            bucket.out += held;
        });
        count.max(1)
    }

    /// Routes what is due, in order, up to a limit.
    fn route_due(&self, vhost: &Arc<Vhost>, front: &mut Front, now: Time, effects: &mut Effects) {
        let mut due: Vec<(Key, Queued)> = Vec::new();
        let mut instants: BTreeMap<Key, usize> = BTreeMap::new();
        let mut bytes = 0;
        while due.len() < TURN_MAX && bytes < GROUP_BYTES {
            let state = self.state.lock();
            let limit = wheel::limit(&state.buckets);
            let unseen = state.buckets.iter().find_map(|(key, bucket)| {
                let seen = instants.get(key).copied().unwrap_or(0);
                let is_next = key.level() == 0 && bucket.ready > seen && !bucket.from_disk;
                is_next.then(|| (*key, bucket.ready - seen, Arc::clone(&bucket.queue)))
            });
            drop(state);
            // Of what is due at the same time, what is in memory came first.
            let instant = unseen.as_ref().map_or(Time::NEVER, |(key, ..)| key.start);
            let taken = due.len();
            while due.len() < TURN_MAX
                && bytes < GROUP_BYTES
                && front.first_due() <= now.min(instant)
                && front.first_due() < limit
                && let Some((key, queued)) = front.pop()
            {
                bytes += queued.message.weight();
                due.push((key, queued));
            }
            let Some((key, ready, queue)) = unseen.filter(|_| instant <= now && instant < limit)
            else {
                break;
            };
            if due.len() > taken {
                continue;
            }
            let max = ready.min(TURN_MAX - due.len());
            let (taken, got) = take(&queue, max, now, effects);
            *instants.entry(key).or_default() += taken.len();
            let is_short = taken.len() < max;
            bytes += taken.iter().map(|queued| queued.message.weight()).sum::<usize>();
            due.extend(taken.into_iter().map(|queued| (key, queued)));
            if is_short {
                let seen = instants.get(&key).copied().unwrap_or(0);
                self.taken(key, got, seen, |_| {});
                break;
            }
        }
        if due.is_empty() {
            return;
        }
        self.route(vhost, &due, now, effects);
        let mut state = self.state.lock();
        state.count = state.count.saturating_sub(due.len());
        for (key, _) in due {
            if let Some(bucket) = state.buckets.get_mut(&key) {
                let place = if key.level() == 0 { &mut bucket.ready } else { &mut bucket.out };
                *place = place.saturating_sub(1);
            }
        }
    }

    /// As a publish at this moment: what leads nowhere is dropped.
    fn route(&self, vhost: &Arc<Vhost>, due: &[(Key, Queued)], now: Time, effects: &mut Effects) {
        let mut moved = Move::default();
        let mut by_bucket: BTreeMap<Key, Vec<Queued>> = BTreeMap::new();
        for (key, queued) in due {
            let message = header::released(&queued.message);
            let properties = message.parsed_properties().unwrap_or_default();
            let mut keys = vec![message.routing_key()];
            keys.extend(header::extra_keys(&message, &properties));
            let (keys, properties) = (&keys[..], &properties);
            let (random, arrives) = (rand::random(), Some(now));
            let routing = Routing { keys, properties, random, arrives, has_waited: true };
            let way = vhost.read(|topology| topology.route(self.exchange.as_str(), &routing));
            if let Ok(way) = way {
                moved.enter(&way.queues, &message);
            }
            by_bucket.entry(*key).or_default().push(queued.clone());
        }
        let state = self.state.lock();
        for (key, taken) in by_bucket {
            if let Some(bucket) = state.buckets.get(&key) {
                moved.leave(&bucket.queue, taken);
            }
        }
        drop(state);
        self.carry_out(moved, now, effects);
    }

    fn carry_out(&self, moved: Move, now: Time, effects: &mut Effects) {
        let Move { stored, shares, left } = moved;
        let group = self.messages.new_group();
        if let Some(pager) = &self.pager {
            pager.begin_group();
        }
        // Held until the last queue has taken its share.
        let held: Option<Stored> =
            (!stored.is_empty()).then(|| self.messages.store(&mut stored.iter(), now));
        let first_stored = held.as_ref().map_or(0, |held| held.first);
        let arrival = Arrival { first_stored, ..Arrival::of(group, now) };
        let mut refused = Vec::new();
        for (queue, mut incoming) in shares {
            queue.publish(&mut incoming, arrival, &mut refused, effects);
        }
        for (queue, taken) in left {
            settle(&queue, &taken, group, now, effects);
        }
        let end = self.messages.end_group(group);
        if let Some(pager) = &self.pager {
            pager.end_group(end);
        }
    }

    fn ready(&self, key: Key) -> usize {
        self.state.lock().buckets.get(&key).map_or(0, |bucket| bucket.ready)
    }

    /// Enters in the books what was taken out of a bucket, and why it was not more. `seen` of those that
    /// count as ready are out already.
    fn taken(&self, key: Key, got: Short, seen: usize, count: impl FnOnce(&mut Bucket)) {
        let mut state = self.state.lock();
        let Some(bucket) = state.buckets.get_mut(&key) else { return };
        count(bucket);
        match got {
            Short::No => {}
            Short::OnItsWay => bucket.from_disk = true,
            Short::Lost => {
                // A segment could not be read, which was reported.
                let lost = bucket.ready.saturating_sub(seen);
                bucket.ready -= lost;
                state.count = state.count.saturating_sub(lost);
            }
        }
    }

    /// When there is something to do again.
    fn next_turn(&self, front: &Front, now: Time) -> Time {
        let state = self.state.lock();
        let limit = wheel::limit(&state.buckets);
        let mut next = Some(front.first_due()).filter(|due| *due < limit).unwrap_or(Time::NEVER);
        for (key, bucket) in &state.buckets {
            let within = key.level() > 0 || key.start < limit;
            if bucket.ready > 0 && !bucket.from_disk && within {
                next = next.min(bucket.opens(key));
            }
        }
        if next == Time::NEVER { next } else { next.max(now) }
    }

    /// Gives up buckets that are over.
    fn sweep(&self, now: Time, effects: &mut Effects) {
        let mut state = self.state.lock();
        let over = state.buckets.iter().filter(|(_, bucket)| bucket.is_over());
        let over: Vec<Key> = over.map(|(key, _)| *key).collect();
        for key in over {
            let Some(bucket) = state.buckets.remove(&key) else { continue };
            // It is empty; this gives back the memory it has used.
            bucket.queue.purge(now, effects);
            if let Some(spare) = state.spare.get_mut(key.level()) {
                spare.queues.push((bucket.place, Some(bucket.queue)));
            }
        }
    }
}

impl Move {
    fn enter<'a>(&mut self, queues: impl IntoIterator<Item = &'a Arc<Queue>>, message: &Message) {
        let mut place = None;
        for queue in queues {
            let stored = match queue.keeps.includes(message) {
                true => *place.get_or_insert_with(|| add_stored(&mut self.stored, message)),
                false => Incoming::NOT_STORED,
            };
            let incoming = Incoming { message: message.clone(), token: UNCONFIRMED, stored };
            match self.shares.iter_mut().find(|(share, _)| Arc::ptr_eq(share, queue)) {
                Some((_, share)) => share.push(incoming),
                None => self.shares.push((Arc::clone(queue), vec![incoming])),
            }
        }
    }

    fn leave(&mut self, queue: &Arc<Queue>, taken: Vec<Queued>) {
        self.left.push((Arc::clone(queue), taken));
    }
}

/// Why less was there than was asked for.
#[derive(Clone, Copy, PartialEq)]
enum Short {
    No,
    OnItsWay,
    Lost,
}

fn take(queue: &Arc<Queue>, max: usize, now: Time, effects: &mut Effects) -> (Vec<Queued>, Short) {
    let (mut taken, mut bytes) = (Vec::new(), 0);
    while taken.len() < max && bytes < GROUP_BYTES {
        match queue.get(false, now, effects) {
            Got::Message { queued, .. } => {
                bytes += queued.message.weight();
                taken.push(queued);
            }
            Got::OnItsWay => return (taken, Short::OnItsWay),
            Got::Empty | Got::NotSupported => return (taken, Short::Lost),
        }
    }
    (taken, Short::No)
}

/// Tells a bucket's queue that messages are gone from it.
fn settle(queue: &Arc<Queue>, gone: &[Queued], group: Group, now: Time, effects: &mut Effects) {
    let kept = gone.iter().filter(|queued| queued.kept);
    let mut positions: Vec<Position> = kept.map(|queued| queued.position).collect();
    positions.sort_unstable();
    let positions = Positions::from_iter(positions);
    let count = u32::try_from(gone.len()).unwrap_or(u32::MAX);
    let positions = Some(&positions);
    let settled = Settled { positions, group, ..Settled::count(None, count) };
    queue.settle(&settled, now, effects);
}
