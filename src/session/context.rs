//! What all channels of an open connection share, and what happens at the end of a batch of frames.

use std::sync::Arc;

use super::channel::{Answer, Channel, Channels, Parked};
use super::confirm::Answered;
use super::output::Output;
use super::rights::{Resource, Rights};
use super::secret::WaitingSecret;
use super::source::Sources;
use super::throttle::Throttle;
use super::{Capabilities, Peer, Services, who};
use crate::auth::Access;
use crate::broker::{Connected, ConnectionStats, Publisher, Vhost};
use crate::delivery::{Outbox, SourceId};
use crate::message::{Positions, Queued};
use crate::names::UserName;
use crate::protocol::method::connection;
use crate::protocol::{AmqpError, ChannelNumber, Method, ReplyCode};
use crate::queue::{ConnectionId, Effects, Queue, Settled, Weights};
use crate::storage::{Commit, Group, LogPosition, StoreError};
use crate::time::Time;

/// Bytes on their way to the disk at which publishers are not read any more.
const PRESSURE_MAX: usize = 8 * 1024 * 1024;

/// Deliveries of one source that are done with.
#[derive(Debug)]
pub struct Settlement {
    pub source: SourceId,
    /// Those that were to be acknowledged.
    pub count: u32,
    /// Where those stood that the store knows of.
    pub positions: Positions,
    /// Where all of them stood, if their queue wants to know.
    pub left: Positions,
    pub weights: Weights,
}

/// The settlement of a source in this batch, made if need be.
#[inline]
pub fn settlement_of(settled: &mut Vec<Settlement>, source: SourceId) -> &mut Settlement {
    let near = settled.len().saturating_sub(4);
    let known = settled.iter().skip(near).position(|settlement| settlement.source == source);
    let index = known.map_or(settled.len(), |index| near + index);
    if index == settled.len() {
        let (positions, left) = (Positions::default(), Positions::default());
        let weights = Weights::default();
        settled.push(Settlement { source, count: 0, positions, left, weights });
    }
    #[expect(clippy::indexing_slicing, reason = "found or pushed above")]
    &mut settled[index]
}

pub struct Context {
    pub services: Arc<Services>,
    pub id: ConnectionId,
    pub user: UserName,
    pub peer: Peer,
    pub rights: Rights,
    pub capabilities: Capabilities,
    pub vhost: Arc<Vhost>,
    pub outbox: Arc<Outbox>,
    pub stats: Arc<ConnectionStats>,
    /// Sources whose deliveries nobody has been told of.
    pub uncounted: Vec<SourceId>,
    /// What others know of this connection, and may ask.
    pub connected: Arc<Connected>,
    pub output: Output,
    pub frame_max: u32,
    pub channel_max: u16,
    pub publisher: Publisher,
    pub sources: Sources,
    pub effects: Effects,
    /// Exclusive queues that end with this connection.
    pub owned: Vec<Arc<Queue>>,
    /// Acknowledged in this batch and not yet told to the queues.
    pub settled: Vec<Settlement>,
    /// Channels with confirms to give in this batch.
    pub confirming: Vec<ChannelNumber>,
    /// Some channel has confirms that wait for the store.
    pub awaiting_store: bool,
    /// The store is behind with what this connection published: it is not read until that has changed.
    pub is_congested: bool,
    /// It published while there was an alarm: it is not read until all are over (behaviour B11.2).
    pub is_blocked: bool,
    pub blocked_since: Time,
    /// What limits the rate of its messages; `None` where nothing does.
    pub throttle: Option<Box<Throttle>>,
    /// The generation of the vhost's limits that was looked at.
    pub limits_generation: u64,
    /// A buffer to build messages in.
    pub scratch: Vec<u8>,
    /// Requests that were or will be answered later, over all channels.
    pub tickets: u64,
    /// When to look whether the client has had a delivery for too long; `NEVER` while it has none.
    pub look_for_overdue: Time,
    /// Decides who is first where a channel's limit has room.
    pub turn: u64,
    /// A new token that cannot be judged yet.
    pub(super) waiting_secret: Option<Box<WaitingSecret>>,
    /// What the client logged in with is good until then.
    pub expires: Time,
    pub now: Time,
}

impl Context {
    pub fn send(&mut self, channel: ChannelNumber, method: &Method<'_>) {
        self.output.method(channel, method);
    }

    /// Answers a request, unless it said nowait.
    pub fn reply(&mut self, channel: ChannelNumber, nowait: bool, method: &Method<'_>) {
        if !nowait {
            self.output.method(channel, method);
        }
    }

    /// Answers a request that changes definitions: now, or when the change is durable. `change` gets
    /// what makes the callback for the latter.
    pub fn reply_after(
        &mut self,
        channel: &mut Channel,
        nowait: bool,
        method: &Method<'_>,
        commit: Commit,
    ) {
        match commit {
            Commit::Now => self.reply(channel.number, nowait, method),
            Commit::Later => {
                let mut payload = Vec::new();
                method.encode(&mut payload);
                self.park(channel, Answer::Method((!nowait).then_some(payload)));
            }
        }
    }

    /// Makes the callback for a change that the next ticket stands for.
    pub fn completion(
        &self,
        channel: &Channel,
    ) -> impl Fn() -> Box<dyn FnOnce(Result<(), StoreError>) + Send> + use<> {
        let outbox = Arc::clone(&self.outbox);
        let (number, ticket) = (channel.number.0, self.tickets + 1);
        move || Vhost::completion(&outbox, number, ticket)
    }

    /// Parks a channel until what the next ticket stands for has happened.
    pub fn park(&mut self, channel: &mut Channel, answer: Answer) {
        self.tickets += 1;
        channel.parked = Some(Parked::new(self.tickets, answer));
    }

    /// Does what the work so far left to be done: dead letters find their way, deadlines are noted.
    #[inline]
    pub fn act(&mut self) {
        self.vhost.act(self.now, &mut self.effects);
    }

    /// Hands gathered publishes to their queues, and records what there is to confirm.
    pub fn flush_publishes(&mut self, channels: &mut Channels) {
        if !self.publisher.has_gathered() && self.confirming.is_empty() {
            self.publisher.tell_exchanges();
            return;
        }
        let flushed = self.publisher.flush(Group::ALONE, self.now, &mut self.effects);
        self.look_for_congestion();
        let store = Arc::clone(self.services.broker.message_store());
        let mut waits = None;
        for number in std::mem::take(&mut self.confirming) {
            let Some(channel) = channels.get_mut(number) else {
                continue;
            };
            let Some(confirms) = channel.confirms.as_mut() else {
                continue;
            };
            let rejected = flushed.rejected.iter().filter(|(rejected, _)| *rejected == number.0);
            let rejected = rejected.map(|(_, sequence)| *sequence).collect();
            confirms.arrived(flushed.log, rejected, self.now);
            let mut answered = Answered::new(self.now, &self.stats, &channel.stats);
            confirms.answer(store.durable(), &mut answered, |answer| {
                self.output.method(number, &answer);
            });
            waits = waits.max(confirms.waits_for());
            channel.show();
        }
        if let Some(position) = waits {
            self.await_store(position);
        }
    }

    /// Stops reading a publisher that is faster than the disk.
    #[inline]
    pub fn look_for_congestion(&mut self) {
        let store = self.services.broker.message_store();
        self.is_congested = store.pressure() > PRESSURE_MAX;
        if self.is_congested {
            let outbox = Arc::clone(&self.outbox);
            store.when_relieved(Box::new(move || outbox.ring()));
        }
    }

    /// Something was published while there is an alarm: nothing more is read until it is over, and
    /// clients that want to know are told (behaviour B11.3).
    pub fn block(&mut self) {
        let broker = &self.services.broker;
        let Some(reason) = broker.alarms.wait(self.id, &self.outbox) else { return };
        self.is_blocked = true;
        self.blocked_since = self.now;
        tracing::info!(connection = self.id.0, reason, "publisher blocked");
        if self.capabilities.connection_blocked {
            let blocked = connection::Method::Blocked(connection::Blocked { reason });
            self.send(ChannelNumber::CONNECTION, &Method::Connection(blocked));
        }
    }

    /// It is not blocked any more.
    pub fn count_blocked(&self) {
        let blocked = self.now.since(self.blocked_since);
        self.stats.blocked_millis.add(u64::try_from(blocked.as_millis()).unwrap_or(u64::MAX));
    }

    /// The alarms may be over.
    pub fn look_for_unblocking(&mut self) {
        let alarms = &self.services.broker.alarms;
        if alarms.any() {
            return;
        }
        alarms.forget(self.id);
        self.count_blocked();
        self.is_blocked = false;
        tracing::info!(connection = self.id.0, "publisher unblocked");
        if self.capabilities.connection_blocked {
            let unblocked = connection::Method::Unblocked(connection::Unblocked {});
            self.send(ChannelNumber::CONNECTION, &Method::Connection(unblocked));
        }
    }

    fn await_store(&mut self, position: LogPosition) {
        self.awaiting_store = true;
        let outbox = Arc::clone(&self.outbox);
        let store = self.services.broker.message_store();
        store.when_durable(position, Box::new(move || outbox.ring()));
    }

    /// The store may have moved on: gives the confirms that it allows.
    pub fn answer_confirms(&mut self, channels: &mut Channels) {
        if !std::mem::take(&mut self.awaiting_store) {
            return;
        }
        let store = Arc::clone(self.services.broker.message_store());
        let mut waits = None;
        for channel in channels.iter_mut() {
            let number = channel.number;
            if let Some(confirms) = channel.confirms.as_mut()
                && confirms.waits_for().is_some()
            {
                let mut answered = Answered::new(self.now, &self.stats, &channel.stats);
                confirms.answer(store.durable(), &mut answered, |answer| {
                    self.output.method(number, &answer);
                });
                waits = waits.max(confirms.waits_for());
                channel.show();
            }
        }
        if let Some(position) = waits {
            self.await_store(position);
        }
    }

    /// Notes that a delivery of a source is done with.
    #[inline]
    pub fn acknowledge(&mut self, id: SourceId, queued: &Queued) {
        let deduplicates = self.sources.deduplicate(id);
        let settlement = settlement_of(&mut self.settled, id);
        settlement.count += 1;
        settlement.weights.add(queued);
        if queued.kept {
            settlement.positions.push(queued.position);
        }
        if deduplicates {
            settlement.left.push(queued.position);
        }
    }

    /// Tells the queues what was acknowledged.
    pub fn flush_settlements(&mut self, channels: &mut Channels) {
        let mut settled = std::mem::take(&mut self.settled);
        for settlement in settled.drain(..) {
            let number = self.sources.get(settlement.source).map(|source| source.channel);
            if let Some(channel) = number.and_then(|number| channels.get_mut(number)) {
                self.settle(&settlement, Group::ALONE, channel);
            }
        }
        self.settled = settled;
    }

    /// The same for a channel that is being worked on, whose settlements count with `group`.
    pub fn settle_with(&mut self, group: Group, channel: &Channel) {
        for settlement in std::mem::take(&mut self.settled) {
            self.settle(&settlement, group, channel);
        }
    }

    fn settle(&mut self, settlement: &Settlement, group: Group, channel: &Channel) {
        let Settlement { source: id, count, positions, left, weights } = settlement;
        self.count_acks(*id, *count, channel);
        self.release(*id, *count, channel);
        // Before its own queue is told, or one that always has messages would keep all of the room.
        self.resume_if_limited(channel);
        let Some(source) = self.sources.get(*id) else { return };
        if let Some(queue) = &source.queue {
            let (positions, left) = (Some(positions), Some(left));
            let id = source.subscription;
            let (count, weights, acknowledged) = (*count, *weights, *count > 0);
            let settled = Settled { id, count, positions, left, group, weights, acknowledged };
            queue.settle(&settled, self.now, &mut self.effects);
        }
        self.sources.remove_if_over(*id);
    }

    fn count_acks(&self, id: SourceId, count: u32, channel: &Channel) {
        let source = self.sources.get(id);
        if let Some(queue) = source.and_then(|source| source.queue.as_ref()) {
            channel.stats.deliveries.ack.add(count.into());
            channel.show();
            self.stats.kind(queue.kind()).ack.add(count.into());
        }
    }

    /// Tells everybody who counts of the deliveries that were written since the last time.
    pub fn count_deliveries(&mut self, channels: &mut Channels) {
        for id in self.uncounted.drain(..) {
            let Some(source) = self.sources.get_mut(id) else { continue };
            let count = u64::from(std::mem::take(&mut source.delivered));
            let redelivered = u64::from(std::mem::take(&mut source.redelivered));
            // Direct replies come from no queue, and nobody counts them.
            let Some(queue) = &source.queue else { continue };
            queue.delivered(source.no_ack, count, redelivered, &mut self.effects);
            self.stats.kind(queue.kind()).count_deliveries(source.no_ack, count, redelivered);
            if let Some(channel) = channels.get_mut(source.channel) {
                channel.stats.deliveries.count_deliveries(source.no_ack, count, redelivered);
                channel.show();
            }
        }
    }

    /// Counts deliveries of a source as no longer outstanding, here and in its channel's limit.
    pub fn release(&mut self, id: SourceId, count: u32, channel: &Channel) {
        let Some(source) = self.sources.get_mut(id) else {
            return;
        };
        source.unacked = source.unacked.saturating_sub(count);
        // `basic.get` is not subject to the limit (B6.6).
        if source.is_consumer() {
            channel.limit.release(count);
        }
    }

    /// Where a channel-wide limit gave room, consumers of other queues may go on.
    pub fn resume_if_limited(&mut self, channel: &Channel) {
        if channel.limit.is_set() {
            self.resume(channel);
        }
    }

    /// Lets every consumer of a channel try again, beginning with another one each time.
    pub fn resume(&mut self, channel: &Channel) {
        let count = channel.consumers.len();
        // Not just the next one: two channels by turns would find the same one first for ever.
        self.turn = self.turn.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        let first = (self.turn >> 33) as usize % count.max(1);
        for id in channel.consumers.values().cycle().skip(first).take(count) {
            if let Some(source) = self.sources.get(*id)
                && let (Some(queue), Some(subscription)) = (&source.queue, source.subscription)
            {
                queue.resume(subscription, self.now, &mut self.effects);
            }
        }
    }

    /// A queue for a method that names one: an empty name means the channel's last (B5.8).
    /// The user must be allowed to read it, whether it exists or not (behaviour B10.5).
    pub fn readable_queue(
        &mut self,
        channel: &Channel,
        name: &str,
    ) -> Result<Arc<Queue>, AmqpError> {
        let name = queue_name(channel, name)?;
        self.rights.check(Access::Read, Resource::Queue(&name))?;
        self.vhost.queue(&name, self.id)
    }

    /// Permissions may have changed since the last batch: then nothing that was found under the old
    /// ones counts.
    #[inline]
    pub fn look_for_changed_rights(&mut self) {
        if self.rights.renew(&self.services.authenticator) {
            self.publisher.forget_ways();
            self.look_for_throttle();
        } else if self.vhost.limits_generation() != self.limits_generation {
            self.look_for_throttle();
        }
    }

    /// Limits may have changed.
    #[cold]
    pub fn look_for_throttle(&mut self) {
        self.limits_generation = self.vhost.limits_generation();
        self.throttle = Throttle::of(&self.services, &self.user, &self.vhost, self.now);
    }

    /// Who is to be named in the audit log for what is done from here on.
    pub fn who(&self) -> tracing::Span {
        who(&self.peer, self.user.as_str())
    }

    /// It is over the limit, and not read until then; `NEVER` if it is not.
    pub fn throttled_until(&self) -> Time {
        self.throttle.as_ref().map_or(Time::NEVER, |throttle| throttle.deadline())
    }
}

/// The name that a method means by an empty one (B5.8).
pub fn queue_name(channel: &Channel, name: &str) -> Result<String, AmqpError> {
    if !name.is_empty() {
        return Ok(clean(name));
    }
    let none = || AmqpError::new(ReplyCode::NotFound, "no previously declared queue");
    channel.last_queue.as_ref().map(ToString::to_string).ok_or_else(none)
}

/// Names lose their line breaks (B4.2).
pub fn clean(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '\r' | '\n')).collect()
}
