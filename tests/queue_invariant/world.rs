//! A queue, the connections around it, and where every message has to be.
//!
//! The model does not foretell which consumer gets a message. It follows what is seen in the outboxes
//! and judges it: order, limits, deadlines, and that nothing waits while somebody has room.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use leveret::delivery::{ChannelLimit, Outbox, Outgoing, SourceId};
use leveret::message::{Message, Position, Queued, Traits};
use leveret::protocol::FieldTable;
use leveret::queue::{
    Arrival, Budget, Declaration, Effects, Got, Incoming, NotDeleted, Options, Overflow, Paging,
    Queue, Reason, Refused, Settled, Subscription, SubscriptionId,
};
use leveret::storage::segment::HeldPager;
use leveret::time::Time;

#[derive(Clone, Debug)]
pub struct Setup {
    pub options: Options,
    pub auto_delete: bool,
    pub outbox_bytes_high: usize,
    /// How much stays in memory; the rest goes through a pager, which is quick.
    pub budget: Option<Budget>,
}

/// Indices are taken modulo what there is.
#[derive(Clone, Debug)]
pub enum Op {
    /// One batch of priorities and body sizes.
    Publish(Vec<(u8, usize)>),
    Subscribe {
        connection: usize,
        channel: usize,
        prefetch: u16,
        no_ack: bool,
        exclusive: bool,
        priority: i64,
    },
    Cancel(usize),
    /// A connection empties its outbox.
    Take(usize),
    Ack {
        holder: usize,
        count: usize,
    },
    Requeue {
        holder: usize,
        count: usize,
        newest: bool,
    },
    Reject {
        holder: usize,
        count: usize,
    },
    Get {
        no_ack: bool,
    },
    /// What becomes of a message got.
    Return {
        index: usize,
        how: Returned,
    },
    Purge,
    /// A connection ends: consumer by consumer as a session does it, or its outbox is closed first
    /// and its consumers are removed when others have met the closed outbox.
    Die {
        connection: usize,
        abrupt: bool,
    },
    Limit {
        connection: usize,
        channel: usize,
        limit: u16,
    },
    /// Milliseconds.
    Pass(u64),
    Delete {
        if_unused: bool,
        if_empty: bool,
    },
}

#[derive(Clone, Copy, Debug)]
pub enum Returned {
    Ack,
    Requeue,
    Reject,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Ready,
    /// In its connection's outbox, for this consumer.
    Outbox(usize),
    /// In the client's hands.
    Unacked(usize),
    Got,
    Gone,
}

#[derive(Debug)]
struct Known {
    place: Place,
    /// The line it stands in: its priority, as far as the queue has that many.
    line: u8,
    weight: usize,
    body: usize,
    deadline: Time,
    redelivered: bool,
}

struct Connection {
    outbox: Arc<Outbox>,
    limits: [Arc<ChannelLimit>; 2],
    closed: bool,
    /// Its outbox was full since it was last emptied: those who were passed over wait for that.
    was_full: bool,
}

struct Consumer {
    connection: usize,
    channel: usize,
    source: SourceId,
    /// `None` when it is cancelled, or its queue is gone.
    id: Option<SubscriptionId>,
    prefetch: usize,
    no_ack: bool,
    exclusive: bool,
    priority: i64,
    /// Oldest first.
    held: Vec<Queued>,
}

pub struct World {
    queue: Arc<Queue>,
    pager: Arc<HeldPager>,
    setup: Setup,
    now: Time,
    effects: Effects,
    known: BTreeMap<u64, Known>,
    /// What each line has taken.
    taken: [u64; 256],
    connections: Vec<Connection>,
    consumers: Vec<Consumer>,
    got: Vec<Queued>,
    /// With a single active consumer: who that is, and who waits.
    active: Option<usize>,
    waiting: Vec<usize>,
    deleted: bool,
}

pub fn message(priority: u8, body: usize) -> Message {
    let mut header = vec![0, 60, 0, 0];
    header.extend_from_slice(&(body as u64).to_be_bytes());
    header.extend_from_slice(&[0, 0]);
    let traits = Traits { priority, ..Traits::default() };
    Message::with_inline_body(b"\0\x01q", &header, &vec![7; body], traits, &mut Vec::new())
}

pub fn queue(options: Options, auto_delete: bool, paging: Option<Paging>) -> Arc<Queue> {
    let declaration = Declaration {
        durable: false,
        auto_delete,
        owner: None,
        arguments: FieldTable::default(),
        options: Arc::new(options),
    };
    Queue::new("q".into(), declaration, None, paging.map(Arc::new))
}

impl World {
    pub fn new(setup: Setup) -> Self {
        let pager = Arc::new(HeldPager::default());
        let paging = setup.budget.map(|budget| Paging {
            pager: Arc::clone(&pager) as _,
            budget,
            // Whoever has the pager work looks at the queue afterwards.
            attention: Box::new(|_| {}),
            patient: AtomicUsize::new(0),
        });
        let queue = queue(setup.options.clone(), setup.auto_delete, paging);
        let connections = (0..3).map(|_| connection(&setup)).collect();
        Self {
            queue,
            pager,
            setup,
            now: Time(1000),
            effects: Effects::default(),
            known: BTreeMap::new(),
            taken: [0; 256],
            connections,
            consumers: Vec::new(),
            got: Vec::new(),
            active: None,
            waiting: Vec::new(),
            deleted: false,
        }
    }

    pub fn act(&mut self, op: &Op) {
        self.expire_behind_the_head();
        match op {
            Op::Publish(batch) => self.publish(batch),
            Op::Subscribe { connection, channel, prefetch, no_ack, exclusive, priority } => {
                let wanted = (*connection, *channel, *prefetch);
                self.subscribe(wanted, *no_ack, *exclusive, *priority);
            }
            Op::Cancel(index) => {
                let live = self.consumers_where(|consumer| consumer.id.is_some());
                if let Some(consumer) = pick(&live, *index) {
                    self.cancel(consumer);
                    self.resume_channel(consumer);
                }
            }
            Op::Take(connection) => self.take(*connection),
            Op::Ack { holder, count } => self.with_held(*holder, |world, consumer| {
                let taken = world.take_held(consumer, *count, false);
                world.forget(&taken);
                let (id, count) = (world.consumers[consumer].id, taken.len() as u32);
                world.queue.settle(&Settled::count(id, count), world.now, &mut world.effects);
                world.observe(Call::Other);
            }),
            Op::Requeue { holder, count, newest } => self.with_held(*holder, |world, consumer| {
                let taken = world.take_held(consumer, *count, *newest);
                world.give_back(taken, world.consumers[consumer].id);
            }),
            Op::Reject { holder, count } => self.with_held(*holder, |world, consumer| {
                let taken = world.take_held(consumer, *count, false);
                let id = world.consumers[consumer].id;
                world.reject(taken, id);
            }),
            Op::Get { no_ack } => self.get(*no_ack),
            Op::Return { index, how } => self.return_got(*index, *how),
            Op::Purge => {
                let expected = self.alive_in_order().len();
                assert_eq!(self.queue.purge(self.now, &mut self.effects), Some(expected));
                self.ready_is_gone();
                self.observe(Call::Other);
            }
            Op::Die { connection, abrupt } => self.die(*connection, *abrupt),
            Op::Limit { connection, channel, limit } => {
                self.connections[*connection].limits[*channel].set(*limit);
                self.resume(*connection, *channel);
            }
            // The queue is not told, as nobody tells it when time passes.
            Op::Pass(millis) => return self.now = Time(self.now.0 + millis),
            Op::Delete { if_unused, if_empty } => self.delete(*if_unused, *if_empty),
        }
        self.observe(Call::Other);
        self.nobody_starves();
    }

    /// Everybody leaves; then what is ready comes out in order, and nothing is counted as out.
    pub fn end(mut self) {
        for connection in 0..self.connections.len() {
            self.die(connection, false);
        }
        let got = std::mem::take(&mut self.got);
        self.give_back(got, None);
        let counts = self.queue.counts(self.now, &mut self.effects);
        assert_eq!((counts.unacked, counts.consumers), (0, 0));
        self.observe(Call::Other);
        while self.count(|known| known.place == Place::Ready) > 0 {
            self.get(true);
        }
        let got = self.queue.get(true, self.now, &mut self.effects);
        assert!(matches!(got, Got::Empty));
        self.work_pager();
        assert!(self.pager.files().is_empty(), "what is consumed is not kept");
    }

    /// What has expired on disk is found when it reaches the head.
    fn expire_behind_the_head(&mut self) {
        while self.setup.budget.is_some() {
            self.observe(Call::Other);
            if !self.pager.is_asked() {
                break;
            }
        }
    }

    /// The pager does all it was asked for, and the queue finds it done.
    fn work_pager(&mut self) {
        while self.pager.step() {
            while self.pager.step() {}
            self.queue.look(self.now, &mut self.effects);
        }
    }

    fn publish(&mut self, batch: &[(u8, usize)]) {
        let options = self.setup.options.clone();
        let (length, bytes) = options.limits();
        // What has expired at the head does not count towards a limit any more.
        let alive = self.alive_in_order();
        let ready = alive.len();
        let ready_bytes: usize = alive.iter().map(|position| self.known[position].body).sum();
        let mut incoming = Vec::new();
        let mut taken = Vec::new();
        for (token, (priority, body)) in (0..).zip(batch) {
            let message = message(*priority, *body);
            if !self.deleted {
                let ttl = options.message_ttl_millis;
                let known = Known {
                    place: Place::Ready,
                    line: options.max_priority.map_or(0, |max| *priority.min(&max)),
                    weight: message.weight(),
                    body: *body,
                    deadline: ttl.map_or(Time::NEVER, |ttl| Time(self.now.0 + ttl)),
                    redelivered: false,
                };
                taken.push((token, known));
            }
            incoming.push(Incoming::new(message, token));
        }
        let mut rejected = Vec::new();
        self.queue.publish(&mut incoming, Arrival::at(self.now), &mut rejected, &mut self.effects);
        assert!(incoming.is_empty());
        // What is refused takes no position.
        for (token, known) in taken {
            if !rejected.contains(&token) {
                // Each line numbers its own, and says in a position which line that is.
                let taken = &mut self.taken[usize::from(known.line)];
                *taken += 1;
                self.known.insert((u64::from(known.line) << 56) + *taken, known);
            }
        }
        if options.overflow() == Overflow::DropHead || self.deleted {
            assert!(rejected.is_empty());
        } else if let [(_, body)] = batch {
            let full = ready >= length || ready_bytes + body > bytes;
            assert_eq!(!rejected.is_empty(), full, "{ready} of {length}, {ready_bytes} of {bytes}");
        }
        if options.overflow() == Overflow::RejectPublishDlx {
            // The refused are reported dead, though they were never in the queue.
            for _ in &rejected {
                let dead = &self.effects.dead;
                let at = dead.iter().position(|dead| dead.queued.position == Position::NOWHERE);
                self.effects.dead.remove(at.expect("the refused is dead-lettered"));
            }
        }
        self.observe(if options.has_limits() { Call::OneByOne } else { Call::Publish });
    }

    fn subscribe(
        &mut self,
        (connection, channel, prefetch): (usize, usize, u16),
        no_ack: bool,
        exclusive: bool,
        priority: i64,
    ) {
        let source = SourceId(self.consumers.len() as u32);
        let to = &self.connections[connection];
        let subscription = Subscription {
            outbox: Arc::clone(&to.outbox),
            source,
            limit: Arc::clone(&to.limits[channel]),
            prefetch,
            no_ack,
            exclusive,
            priority,
            stream: None,
        };
        let live = self.consumers_where(|consumer| consumer.id.is_some());
        let single = self.setup.options.single_active_consumer;
        let taken = live.iter().any(|other| self.consumers[*other].exclusive);
        let expected = if self.deleted {
            Some(Refused::Deleted)
        } else if taken || (exclusive && (single || !live.is_empty())) {
            Some(Refused::ExclusiveUse)
        } else {
            None
        };
        let result = self.queue.subscribe(subscription, self.now, &mut self.effects);
        assert_eq!(result.as_ref().err(), expected.as_ref());
        let Ok(id) = result else { return };
        if single {
            match self.active {
                None => self.active = Some(self.consumers.len()),
                Some(_) => self.waiting.push(self.consumers.len()),
            }
        }
        self.consumers.push(Consumer {
            connection,
            channel,
            source,
            id: Some(id),
            prefetch: usize::from(prefetch),
            no_ack,
            exclusive,
            priority,
            held: Vec::new(),
        });
        self.observe(Call::Other);
    }

    /// As `basic.cancel`: what was delivered stays with the client.
    fn cancel(&mut self, consumer: usize) {
        if let Some(id) = self.consumers[consumer].id.take() {
            self.no_longer_active(consumer);
            let last = self.consumers.iter().all(|consumer| consumer.id.is_none());
            let ends = self.queue.cancel(id, self.now, &mut self.effects);
            assert_eq!(ends, last && self.setup.auto_delete && !self.deleted);
            if ends {
                self.deleted = true;
                self.ready_is_gone();
            }
            self.observe(Call::Other);
        }
        let Consumer { connection, channel, source, no_ack, .. } = self.consumers[consumer];
        let outbox = &self.connections[connection].outbox;
        let withdrawn = outbox.withdraw(|other| other == source);
        let withdrawn: Vec<Queued> =
            withdrawn.into_iter().map(|delivery| delivery.queued).collect();
        self.forget(&withdrawn);
        if no_ack {
            self.put_back(withdrawn, &[]);
        } else {
            let count = withdrawn.len() as u32;
            self.connections[connection].limits[channel].release(count);
            self.put_back(withdrawn, &[(None, count)]);
        }
    }

    fn no_longer_active(&mut self, consumer: usize) {
        self.waiting.retain(|waiting| *waiting != consumer);
        if self.active != Some(consumer) {
            return;
        }
        // The highest priority, then the longest waiting.
        let key = |index: &&usize| Reverse(self.consumers[**index].priority);
        self.active = self.waiting.iter().min_by_key(key).copied();
        self.waiting.retain(|waiting| Some(*waiting) != self.active);
    }

    fn take(&mut self, connection: usize) {
        let (mut entries, mut starved) = (Vec::new(), Vec::new());
        self.connections[connection].outbox.take(&mut entries, &mut starved);
        self.connections[connection].was_full = false;
        for entry in entries {
            match entry {
                Outgoing::Delivery(delivery) => {
                    let consumer = delivery.source.0 as usize;
                    let position = delivery.queued.position.0;
                    let known = self.known.get_mut(&position).unwrap();
                    assert_eq!(known.place, Place::Outbox(consumer), "message {position}");
                    assert_eq!(delivery.queued.redelivered, known.redelivered);
                    assert_eq!(delivery.queued.deadline, known.deadline);
                    if self.consumers[consumer].no_ack {
                        known.place = Place::Gone;
                    } else {
                        known.place = Place::Unacked(consumer);
                        self.consumers[consumer].held.push(delivery.queued);
                    }
                }
                Outgoing::Cancelled(source) => {
                    assert!(self.deleted && self.consumers[source.0 as usize].id.is_none());
                }
                other => panic!("a queue does not send {other:?}"),
            }
        }
        for source in starved {
            if let Some(id) = self.consumers[source.0 as usize].id {
                self.queue.resume(id, self.now, &mut self.effects);
                self.observe(Call::Other);
            }
        }
    }

    /// Settles something that a consumer holds, and resumes its channel as a session does.
    fn with_held(&mut self, index: usize, settle: impl FnOnce(&mut Self, usize)) {
        let holders = self.consumers_where(|consumer| !consumer.held.is_empty());
        if let Some(consumer) = pick(&holders, index) {
            settle(self, consumer);
            self.resume_channel(consumer);
        }
    }

    fn take_held(&mut self, consumer: usize, count: usize, newest: bool) -> Vec<Queued> {
        let Consumer { connection, channel, ref mut held, .. } = self.consumers[consumer];
        let count = count.min(held.len());
        let from = if newest { held.len() - count } else { 0 };
        let taken: Vec<Queued> = held.drain(from..from + count).collect();
        self.connections[connection].limits[channel].release(count as u32);
        taken
    }

    fn resume_channel(&mut self, consumer: usize) {
        let Consumer { connection, channel, .. } = self.consumers[consumer];
        if self.connections[connection].limits[channel].is_set() {
            self.resume(connection, channel);
        }
    }

    fn resume(&mut self, connection: usize, channel: usize) {
        let all = self.consumers_where(|consumer| {
            (consumer.connection, consumer.channel) == (connection, channel)
        });
        for consumer in all {
            if let Some(id) = self.consumers[consumer].id {
                self.queue.resume(id, self.now, &mut self.effects);
                self.observe(Call::Other);
            }
        }
    }

    /// Messages that a client had in its hands.
    fn give_back(&mut self, mut items: Vec<Queued>, from: Option<SubscriptionId>) {
        for queued in &mut items {
            queued.redelivered = true;
        }
        let count = items.len() as u32;
        self.put_back(items, &[(from, count)]);
        self.observe(Call::Other);
    }

    fn put_back(&mut self, items: Vec<Queued>, released: &[(Option<SubscriptionId>, u32)]) {
        for queued in &items {
            let known = self.known.get_mut(&queued.position.0).unwrap();
            known.place = if self.deleted { Place::Gone } else { Place::Ready };
            known.redelivered = queued.redelivered;
        }
        self.queue.requeue(items, released, self.now, &mut self.effects);
        self.observe(Call::Other);
    }

    fn reject(&mut self, items: Vec<Queued>, from: Option<SubscriptionId>) {
        let positions: Vec<u64> = items.iter().map(|queued| queued.position.0).collect();
        self.forget(&items);
        self.queue.reject(from, items, self.now, &mut self.effects);
        // They are dead-lettered, behind whatever died during the call.
        let expected = if self.deleted { 0 } else { positions.len() };
        let dead = &mut self.effects.dead;
        let at = dead.iter().position(|dead| dead.reason == Reason::Rejected);
        let rejected = dead.split_off(at.unwrap_or(dead.len()));
        assert_eq!(rejected.len(), expected);
        assert!(rejected.iter().zip(positions).all(|(dead, position)| {
            dead.reason == Reason::Rejected && dead.queued.position.0 == position
        }));
        self.observe(Call::Other);
    }

    fn get(&mut self, no_ack: bool) {
        let alive = self.alive_in_order();
        let mut got = self.queue.get(no_ack, self.now, &mut self.effects);
        while matches!(got, Got::OnItsWay) {
            self.work_pager();
            got = self.queue.get(no_ack, self.now, &mut self.effects);
        }
        let Got::Message { queued, remaining } = got else {
            return assert_eq!(alive.first(), None);
        };
        assert_eq!(Some(&queued.position.0), alive.first(), "get takes the head");
        let known = self.known.get_mut(&queued.position.0).unwrap();
        assert_eq!(queued.redelivered, known.redelivered);
        known.place = if no_ack { Place::Gone } else { Place::Got };
        if !no_ack {
            self.got.push(queued);
        }
        assert_eq!(remaining, alive.len() - 1);
        self.observe(Call::Other);
    }

    fn return_got(&mut self, index: usize, how: Returned) {
        if self.got.is_empty() {
            return;
        }
        let queued = self.got.remove(index % self.got.len());
        match how {
            Returned::Ack => {
                self.forget(&[queued]);
                self.queue.settle(&Settled::count(None, 1), self.now, &mut self.effects);
                self.observe(Call::Other);
            }
            Returned::Requeue => self.give_back(vec![queued], None),
            Returned::Reject => self.reject(vec![queued], None),
        }
    }

    fn die(&mut self, connection: usize, abrupt: bool) {
        let all = self.consumers_where(|consumer| consumer.connection == connection);
        if abrupt {
            let withdrawn = self.connections[connection].outbox.close();
            self.connections[connection].closed = true;
            let mut released = Vec::new();
            let mut back = Vec::new();
            for delivery in withdrawn {
                let Consumer { channel, no_ack, id, .. } =
                    self.consumers[delivery.source.0 as usize];
                if !no_ack {
                    self.connections[connection].limits[channel].release(1);
                    released.push((id, 1));
                }
                back.push(delivery.queued);
            }
            self.put_back(back, &released);
            // Others work on while the dead one's consumers are still there.
            self.publish(&[(0, 1), (1, 2)]);
            self.nobody_starves();
        }
        for consumer in &all {
            self.cancel(*consumer);
        }
        let mut back = Vec::new();
        let mut count = 0;
        for consumer in all {
            let held = self.consumers[consumer].held.len();
            count += held as u32;
            back.extend(self.take_held(consumer, held, false));
        }
        self.forget(&back);
        for queued in &mut back {
            queued.redelivered = true;
        }
        self.put_back(back, &[(None, count)]);
        let dead =
            std::mem::replace(&mut self.connections[connection], self::connection(&self.setup));
        assert!(dead.outbox.close().is_empty(), "every consumer withdrew its own");
        assert!(dead.limits.iter().all(|limit| limit.in_use() == 0));
        // Nothing of it is looked at again.
        for consumer in &mut self.consumers {
            if consumer.connection == connection {
                consumer.connection = usize::MAX;
            }
        }
    }

    fn delete(&mut self, if_unused: bool, if_empty: bool) {
        let ready = self.alive_in_order().len();
        let used = self.consumers.iter().any(|consumer| consumer.id.is_some());
        let expected = if if_empty && ready > 0 {
            Err(NotDeleted::NotEmpty)
        } else if if_unused && used {
            Err(NotDeleted::InUse)
        } else {
            Ok(ready)
        };
        let result = self.queue.delete(if_unused, if_empty, self.now, &mut self.effects);
        assert_eq!(result, expected);
        if result.is_ok() {
            self.deleted = true;
            self.ready_is_gone();
            self.consumers.iter_mut().for_each(|consumer| consumer.id = None);
            (self.active, self.waiting) = (None, Vec::new());
        }
        self.observe(Call::Other);
    }

    /// Compares the places of all messages with what there is to see, after each call of the queue.
    fn observe(&mut self, call: Call) {
        self.work_pager();
        let before = self.in_order();
        let mut removed = self.dead(call);
        removed.extend(self.delivered(call));
        self.removed_in_order(&before, &removed, call);
        let counts = self.queue.counts(self.now, &mut self.effects);
        let before = self.in_order();
        let expired = self.dead(Call::Other);
        self.removed_in_order(&before, &expired, Call::Other);

        let out = |known: &Known| match known.place {
            Place::Outbox(consumer) => !self.consumers[consumer].no_ack,
            Place::Unacked(_) | Place::Got => true,
            Place::Ready | Place::Gone => false,
        };
        assert_eq!(counts.ready, self.count(|known| known.place == Place::Ready), "ready");
        assert_eq!(counts.unacked, self.count(out), "unacked");
        let consumers = self.consumers.iter().filter(|consumer| consumer.id.is_some()).count();
        assert_eq!(counts.consumers, consumers, "consumers");
        self.limits_hold();
    }

    /// What the queue reported dead, now gone.
    fn dead(&mut self, call: Call) -> Vec<u64> {
        let mut removed = Vec::new();
        for dead in std::mem::take(&mut self.effects.dead) {
            let position = dead.queued.position.0;
            let known = self.known.get_mut(&position).unwrap();
            assert_eq!(known.place, Place::Ready, "message {position} died {:?}", dead.reason);
            match dead.reason {
                Reason::Expired => assert!(known.deadline <= self.now),
                Reason::MaxLength => assert!(self.setup.options.has_limits()),
                Reason::DeliveryLimit => panic!("a classic queue has no such limit"),
                Reason::Rejected => panic!("nobody rejected message {position} in {call:?}"),
            }
            known.place = Place::Gone;
            removed.push(position);
        }
        removed
    }

    /// What has appeared in the outboxes, now there. Nothing may have vanished from them.
    fn delivered(&mut self, call: Call) -> Vec<u64> {
        let mut delivered = Vec::new();
        for index in 0..self.consumers.len() {
            let consumer = &self.consumers[index];
            let Some(connection) = self.connections.get(consumer.connection) else { continue };
            let mut here = connection.outbox.positions(consumer.source);
            let expected = self.count(|known| known.place == Place::Outbox(index));
            let new = here.split_off(expected.min(here.len()));
            for Position(position) in here {
                assert_eq!(self.known[&position].place, Place::Outbox(index), "{position}");
            }
            for Position(position) in &new {
                let known = self.known.get_mut(position).unwrap();
                assert_eq!(known.place, Place::Ready, "message {position} was delivered");
                known.place = Place::Outbox(index);
                // Right after a publish a time to live of 0 means now or never.
                let alive = known.deadline > self.now
                    || (known.deadline == self.now && call != Call::Other);
                assert!(alive, "message {position} was delivered after it had expired");
            }
            let new: Vec<u64> = new.into_iter().map(|position| position.0).collect();
            if call != Call::OneByOne && !self.somebody_is_closed() {
                let mut sorted = new.clone();
                sorted.sort_by_key(|position| self.key(*position));
                assert_eq!(new, sorted, "delivered in order");
            }
            delivered.extend(new);
        }
        delivered
    }

    /// What leaves a queue leaves it at the front: of the queue, or of each priority's line when the
    /// messages of a batch were handled one by one.
    fn removed_in_order(&self, before: &[u64], removed: &[u64], call: Call) {
        if self.somebody_is_closed() {
            // What a closed outbox refused went back, while later ones were taken elsewhere.
            return;
        }
        let is_front = |order: &[u64], removed: &[u64]| {
            order.iter().take(removed.len()).all(|position| removed.contains(position))
        };
        if call != Call::OneByOne {
            assert!(is_front(before, removed), "{removed:?} left before the rest of {before:?}");
            return;
        }
        for line in 0..=u8::MAX {
            let of_line = |positions: &[u64]| -> Vec<u64> {
                let all = positions.iter().copied();
                all.filter(|position| self.known[position].line == line).collect()
            };
            let (before, removed) = (of_line(before), of_line(removed));
            assert!(is_front(&before, &removed), "{removed:?} before the rest of {before:?}");
        }
    }

    fn limits_hold(&mut self) {
        for connection in &mut self.connections {
            connection.was_full |= connection.outbox.room() == 0;
        }
        for (index, consumer) in self.consumers.iter().enumerate() {
            let out = self.out(index);
            let bounded = consumer.prefetch > 0 && !consumer.no_ack;
            assert!(!bounded || out <= consumer.prefetch, "{out} of {}", consumer.prefetch);
        }
        for (number, connection) in self.connections.iter().enumerate() {
            for (channel, limit) in connection.limits.iter().enumerate() {
                let mine = self.consumers.iter().enumerate().filter(|(_, consumer)| {
                    (consumer.connection, consumer.channel) == (number, channel) && !consumer.no_ack
                });
                let out: usize = mine.map(|(index, _)| self.out(index)).sum();
                assert_eq!(limit.in_use() as usize, out, "channel limit");
            }
            let waiting = self.known.values().filter(|known| {
                matches!(known.place, Place::Outbox(consumer) if self.consumers[consumer].connection == number)
            });
            let bytes: usize = waiting.map(|known| known.weight).sum();
            let room = self.setup.outbox_bytes_high.saturating_sub(bytes);
            assert_eq!(connection.outbox.room(), room, "outbox room");
        }
        let options = &self.setup.options;
        if options.overflow() == Overflow::DropHead {
            let (length, bytes) = options.limits();
            assert!(self.count(|known| known.place == Place::Ready) <= length);
            assert!(self.ready().map(|(_, known)| known.body).sum::<usize>() <= bytes);
        }
    }

    /// Where messages are ready, nobody who may have one has room.
    fn nobody_starves(&self) {
        if self.ready().next().is_none() {
            return;
        }
        for (index, consumer) in self.consumers.iter().enumerate() {
            if consumer.id.is_none() || self.active.is_some_and(|active| active != index) {
                continue;
            }
            let connection = &self.connections[consumer.connection];
            let limit = &connection.limits[consumer.channel];
            let by_prefetch = consumer.prefetch == 0 || self.out(index) < consumer.prefetch;
            let probe = limit.acquire(1);
            limit.release(probe);
            let has_room = (consumer.no_ack || (by_prefetch && probe == 1))
                && !connection.was_full
                && !connection.closed;
            assert!(!has_room, "consumer {index} has room and {:?} wait", self.in_order());
        }
    }

    fn somebody_is_closed(&self) -> bool {
        self.connections.iter().any(|connection| connection.closed)
    }

    fn out(&self, consumer: usize) -> usize {
        let at = [Place::Outbox(consumer), Place::Unacked(consumer)];
        self.count(|known| at.contains(&known.place))
    }

    fn count(&self, which: impl Fn(&Known) -> bool) -> usize {
        self.known.values().filter(|known| which(known)).count()
    }

    fn ready(&self) -> impl Iterator<Item = (u64, &Known)> {
        let all = self.known.iter().map(|(position, known)| (*position, known));
        all.filter(|(_, known)| known.place == Place::Ready)
    }

    /// What is ready, in the order in which it will be delivered.
    fn in_order(&self) -> Vec<u64> {
        let mut all: Vec<u64> = self.ready().map(|(position, _)| position).collect();
        all.sort_by_key(|position| self.key(*position));
        all
    }

    /// The same without what has expired by now, which goes as soon as it is at the head.
    fn alive_in_order(&self) -> Vec<u64> {
        let expired = |position: &u64| self.known[position].deadline <= self.now;
        self.in_order().into_iter().skip_while(expired).collect()
    }

    fn key(&self, position: u64) -> (Reverse<u8>, u64) {
        (Reverse(self.known[&position].line), position)
    }

    fn forget(&mut self, items: &[Queued]) {
        for queued in items {
            self.known.get_mut(&queued.position.0).unwrap().place = Place::Gone;
        }
    }

    /// But for what expired before.
    fn ready_is_gone(&mut self) {
        self.dead(Call::Other);
        for known in self.known.values_mut().filter(|known| known.place == Place::Ready) {
            known.place = Place::Gone;
        }
    }

    fn consumers_where(&self, which: impl Fn(&Consumer) -> bool) -> Vec<usize> {
        let all = self.consumers.iter().enumerate();
        all.filter(|(_, consumer)| which(consumer)).map(|(index, _)| index).collect()
    }
}

/// What the queue was asked, as far as the order of what happens depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Call {
    /// The whole batch first, then the dispatch.
    Publish,
    /// Each message is handed out or dropped before the next one is looked at.
    OneByOne,
    Other,
}

fn connection(setup: &Setup) -> Connection {
    Connection {
        outbox: Arc::new(Outbox::new(setup.outbox_bytes_high)),
        limits: [Arc::default(), Arc::default()],
        closed: false,
        was_full: false,
    }
}

fn pick(from: &[usize], index: usize) -> Option<usize> {
    from.get(index % from.len().max(1)).copied()
}
