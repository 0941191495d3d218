//! What queues leave to be done: the dead are published again, deadlines are scheduled.
//!
//! A dead letter may be the end of another message, where it makes a full queue overflow. So this is a
//! loop in rounds, with no lock held between them: all that died in one round is published in the
//! next, each queue getting its share at once. The rounds end because a message that dies without a
//! client's doing never enters the same queue twice (behaviour B8.8).

use std::sync::Arc;

use super::death::{Death, Letter, is_cycle};
use super::delay::{Delays, Entering};
use super::publish::{UNCONFIRMED, add_stored};
use super::schedule::Timed;
use super::topology::{Routing, Way};
use super::undelivered::must_arrive;
use super::vhost::Vhost;
use crate::message::{Message, Positions};
use crate::queue::{Arrival, Dead, Effects, Incoming, Queue, Reason};
use crate::storage::Group;
use crate::time::Time;

/// What one round publishes, by queue.
pub(super) type Shares = Vec<(Arc<Queue>, Vec<Incoming>)>;

pub(super) fn share(shares: &mut Shares, queue: &Arc<Queue>, incoming: Incoming) {
    match shares.iter_mut().find(|(other, _)| Arc::ptr_eq(other, queue)) {
        Some((_, share)) => share.push(incoming),
        None => shares.push((Arc::clone(queue), vec![incoming])),
    }
}

/// Where the last letter went. Mostly a whole round comes from one queue and goes to another, so the
/// exchanges are asked once.
pub(super) struct LastWay {
    from: Arc<Queue>,
    routing_key: Box<[u8]>,
    /// The routing key alone decided.
    is_by_key: bool,
    pub(super) queues: Vec<Arc<Queue>>,
    pub(super) delays: Vec<Arc<Delays>>,
}

impl Vhost {
    /// Does what a batch of work left to be done. To be called after every use of queues, without a
    /// lock, and before the wakes are rung.
    #[inline]
    pub fn act(self: &Arc<Self>, now: Time, effects: &mut Effects) {
        if !effects.dead.is_empty() || !effects.deadlines.is_empty() {
            self.act_on(now, effects);
        }
        if !effects.stirred.is_empty() {
            self.stats.stirred(&mut effects.stirred);
        }
    }

    fn act_on(self: &Arc<Self>, now: Time, effects: &mut Effects) {
        while !effects.dead.is_empty() {
            let mut dead = std::mem::take(&mut effects.dead);
            if dead.iter().any(must_arrive) {
                let certain = dead.extract_if(.., |dead| must_arrive(dead)).collect();
                self.bring_all(certain, now, effects);
                if dead.is_empty() {
                    continue;
                }
            }
            let (shares, entering, stored) = self.shares(&dead, now);
            let logged = |dead: &Dead| dead.queue.log.is_some() && dead.is_stored();
            let group = match !stored.is_empty() || dead.iter().any(logged) {
                true => self.begin_group(),
                false => Group::ALONE,
            };
            let mut arrival = Arrival::of(group, now);
            // Held until the last queue has taken its share.
            let held = (!stored.is_empty()).then(|| self.messages.store(&mut stored.iter(), now));
            if let Some(held) = &held {
                arrival.first_stored = held.first;
            }
            // Nobody is told whether a queue refused one (behaviour B8.6).
            let mut refused = Vec::new();
            for (queue, mut incoming) in shares {
                queue.publish(&mut incoming, arrival, &mut refused, effects);
            }
            drop(entering);
            // A dead letter leaves the one queue in the same record as it enters the others.
            for dead in dead.iter().filter(|dead| logged(dead)) {
                if let Some(log) = &dead.queue.log {
                    let positions = Positions::from_iter([dead.queued.position]);
                    log.settled(group, &positions);
                }
            }
            if group != Group::ALONE {
                self.end_group(group);
            }
        }
        for (at, queue) in effects.deadlines.drain(..) {
            self.schedule.add(at, self, &Timed::Queue(queue));
        }
    }

    /// What to publish, and which of it the store has to know.
    fn shares(&self, dead: &[Dead], now: Time) -> (Shares, Vec<Entering>, Vec<Message>) {
        let (mut shares, mut entering) = (Shares::new(), Vec::new());
        let mut stored = Vec::new();
        let mut last = None;
        for dead in dead {
            let Dead { queue, queued, reason, .. } = dead;
            let Some(death) = Death::of(dead, now) else { continue };
            let letter = death.letter(&queued.message);
            let way = self.way(queue, death.exchange, &letter, now, &mut last);
            let Some(way) = way else { continue };
            let targets = &way.queues;
            let kept = targets.iter().any(|target| target.keeps.includes(&letter.message));
            let place = match kept {
                true => add_stored(&mut stored, &letter.message),
                false => Incoming::NOT_STORED,
            };
            for target in targets {
                // Rejecting is a client's decision; it may go round as often as clients like (B8.8).
                if *reason != Reason::Rejected && is_cycle(&letter.message, target.name.as_bytes())
                {
                    continue;
                }
                let message = letter.message.clone();
                let incoming = Incoming { message, token: UNCONFIRMED, stored: place };
                share(&mut shares, target, incoming);
            }
            for delays in &way.delays {
                let Some(entry) = delays.enter(&letter.message, now) else { continue };
                let message = entry.message.clone();
                let stored = match entry.queue.keeps.includes(&message) {
                    true => add_stored(&mut stored, &message),
                    false => Incoming::NOT_STORED,
                };
                let incoming = Incoming { message, token: UNCONFIRMED, stored };
                share(&mut shares, &entry.queue, incoming);
                entering.push(entry);
            }
        }
        (shares, entering, stored)
    }

    /// Where a letter goes: nowhere when the exchange is missing (behaviour B8.6). No
    /// permission is asked for, and internal exchanges are as good as others.
    pub(super) fn way<'a>(
        &self,
        from: &Arc<Queue>,
        exchange: &str,
        letter: &Letter,
        now: Time,
        last: &'a mut Option<LastWay>,
    ) -> Option<&'a LastWay> {
        let routing_key = letter.message.routing_key();
        let is_same = |last: &LastWay| {
            last.is_by_key
                && Arc::ptr_eq(&last.from, from)
                && *last.routing_key == *routing_key
                && letter.extra_keys.is_empty()
        };
        if !last.as_ref().is_some_and(is_same) {
            let mut keys = vec![routing_key];
            keys.extend(letter.extra_keys.iter().map(|key| &**key));
            let properties = letter.message.parsed_properties().unwrap_or_default();
            let (keys, properties) = (&keys[..], &properties);
            let (random, arrives) = (rand::random(), Some(now));
            let routing = Routing { keys, properties, random, arrives, has_waited: false };
            let way = self.read(|topology| topology.route(exchange, &routing));
            let way = way.unwrap_or(Way { cacheable: true, ..Way::default() });
            *last = Some(LastWay {
                from: Arc::clone(from),
                routing_key: routing_key.into(),
                is_by_key: way.cacheable && letter.extra_keys.is_empty(),
                queues: way.queues,
                delays: way.delays,
            });
        }
        last.as_ref()
    }
}
