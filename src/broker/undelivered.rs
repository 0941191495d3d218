//! Dead letters that have to arrive: at-least-once (behaviour B13.7).
//!
//! Such a letter is published to every queue it is routed to, and leaves the one where it died, as one
//! record. Where that is not possible, because it leads nowhere or a queue has no room for it, it moves
//! into a queue behind the one where it died (`queue::Undelivered`) and is tried again: when the topology
//! changes, when there is room, and after a while anyway. The queues that have got it already are
//! noted in it, so that none gets it twice, and it is through when all of them have.
//!
//! Letters for one queue keep their order: where one found no room, those behind it are not tried.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::dead_letter::{LastWay, Shares, share};
use super::death::{Death, is_cycle};
use super::delay::Entering;
use super::kept::{End, Kept};
use super::publish::{UNCONFIRMED, add_stored};
use super::schedule::Timed;
use super::vhost::Vhost;
use crate::message::{Message, Positions, Queued};
use crate::queue::{Arrival, Dead, Effects, Got, Incoming, Options, Queue, Room, Undelivered};
use crate::storage::{Group, Stored};
use crate::time::Time;

/// Letters that are tried again at a time; what comes behind them waits until one is through. RabbitMQ
/// holds as many (`dead_letter_worker_consumer_prefetch`).
const WINDOW: usize = 32;

/// Times that a window is tried in one go, as long as any of its letters gets on.
const ROUNDS_MAX: usize = 16;

/// When letters are tried again though nothing has changed
/// (RabbitMQ: `dead_letter_worker_publisher_confirm_timeout`).
const RETRY: Duration = Duration::from_secs(180);

/// A letter, and what became of it.
struct Trial {
    kept: Kept,
    /// Where it is: in the queue behind, or still where it died.
    at: At,
    /// Those that take it now.
    taking: Vec<End>,
    /// Somebody who has to get it did not.
    is_left: bool,
}

enum At {
    Behind(Queued),
    Died { queued: Queued, is_stored: bool },
}

/// A queue that letters go to in this round.
struct Target {
    queue: Arc<Queue>,
    room: Room,
    /// The size of the first letter that found no room.
    refused: Option<usize>,
}

/// What one round publishes.
#[derive(Default)]
struct Round {
    stored: Vec<Message>,
    shares: Shares,
    entering: Vec<Entering>,
    targets: Vec<Target>,
    lacks_route: bool,
    /// Of the topology.
    generation: u64,
}

/// Whether this letter has to arrive.
pub(super) fn must_arrive(dead: &Dead) -> bool {
    dead.options.at_least_once() && dead.queue.undelivered().is_some()
}

impl Vhost {
    /// Publishes what has just died, or lays it aside.
    pub(super) fn bring_all(
        self: &Arc<Self>,
        mut dead: Vec<Dead>,
        now: Time,
        effects: &mut Effects,
    ) {
        while let Some(first) = dead.first() {
            let (queue, options) = (Arc::clone(&first.queue), Arc::clone(&first.options));
            let is_alike =
                |dead: &mut Dead| Arc::ptr_eq(&dead.queue, &queue) && dead.options == options;
            let alike = dead.extract_if(.., is_alike).collect();
            self.bring(alike, now, effects);
        }
    }

    /// What died in one queue.
    fn bring(self: &Arc<Self>, dead: Vec<Dead>, now: Time, effects: &mut Effects) {
        let Some(first) = dead.first() else { return };
        let (source, options) = (Arc::clone(&first.queue), Arc::clone(&first.options));
        let Some(undelivered) = source.undelivered() else { return };
        let trials = dead.into_iter().filter_map(|dead| {
            let letter = Death::of(&dead, now)?.letter(&dead.queued.message);
            let is_stored = dead.is_stored();
            Some(Trial::new(Kept::new(letter), At::Died { queued: dead.queued, is_stored }))
        });
        let mut trials: Vec<Trial> = trials.collect();
        let mut round = Round::default();
        if undelivered.figures().0 == 0 {
            self.plan(&source, &options, &mut trials, &mut round, now, effects);
        } else {
            // Not past those that wait.
            trials.iter_mut().for_each(|trial| trial.is_left = true);
            effects.deadlines.push((Time(0), Arc::clone(&undelivered.queue)));
        }
        self.carry_out(&source, undelivered, trials, round, now, effects);
    }

    /// Tries again what waits in `letters`, which stands behind `source`.
    pub(super) fn retry(
        self: &Arc<Self>,
        letters: &Arc<Queue>,
        source: &Arc<Queue>,
        now: Time,
        effects: &mut Effects,
    ) {
        let Some(undelivered) = source.undelivered() else { return };
        let Some(mut window) = undelivered.take_window() else {
            // Somebody else is at it, who may have looked before there was what we were called for.
            effects.deadlines.push((Time(now.0.saturating_add(1)), Arc::clone(letters)));
            return;
        };
        for round in 0.. {
            let options = source.options();
            if source.is_deleted() {
                window.clear();
                break;
            }
            if !options.at_least_once() {
                let dropped = undelivered.drop_all(&window, now, effects);
                window.clear();
                let queue = &source.name;
                tracing::info!(%queue, dropped, "dead letters that waited were dropped");
                break;
            }
            if round == ROUNDS_MAX {
                effects.deadlines.push((now, Arc::clone(letters)));
                break;
            }
            while window.len() < WINDOW
                && let Got::Message { queued, .. } = letters.get(false, now, effects)
            {
                window.push(queued);
            }
            let before = window.len();
            if before == 0 {
                break;
            }
            let tried = window.drain(..).map(|queued| {
                let kept = Kept::read(&queued.message);
                Trial::new(kept.addressed(&options), At::Behind(queued))
            });
            let (mut trials, mut round) = (tried.collect::<Vec<_>>(), Round::default());
            self.plan(source, &options, &mut trials, &mut round, now, effects);
            window = self.carry_out(source, undelivered, trials, round, now, effects);
            if window.len() == before {
                break;
            }
        }
        let any = undelivered.figures().0 > 0 && !source.is_deleted();
        undelivered.put_window(window);
        if any {
            effects.deadlines.push((now + RETRY, Arc::clone(letters)));
        }
        source.undelivered_left(effects);
    }

    /// Finds out who takes which letter.
    fn plan(
        &self,
        source: &Arc<Queue>,
        options: &Options,
        trials: &mut [Trial],
        round: &mut Round,
        now: Time,
        effects: &mut Effects,
    ) {
        let Some(exchange) = &options.dead_letter_exchange else { return };
        let mut last: Option<LastWay> = None;
        round.generation = self.generation();
        for (token, trial) in (0..).zip(trials) {
            let letter = &trial.kept.letter;
            let Some(way) = self.way(source, exchange, letter, now, &mut last) else { continue };
            let (mut stored, mut is_stored) = (Incoming::NOT_STORED, false);
            for queue in &way.queues {
                let end = End::Queue(queue.name.clone());
                let is_cycle = || is_cycle(&letter.message, queue.name.as_bytes());
                if trial.kept.has_reached(&end) || is_cycle() {
                    continue;
                }
                if !round.target(queue, now, effects).takes(&letter.message) {
                    trial.is_left = true;
                    continue;
                }
                if queue.keeps.includes(&letter.message) && !std::mem::replace(&mut is_stored, true)
                {
                    stored = add_stored(&mut round.stored, &letter.message);
                }
                let stored = match queue.keeps.includes(&letter.message) {
                    true => stored,
                    false => Incoming::NOT_STORED,
                };
                let message = letter.message.clone();
                share(&mut round.shares, queue, Incoming { message, token, stored });
                trial.taking.push(end);
            }
            for delays in &way.delays {
                let end = End::Exchange(delays.exchange().clone());
                if trial.kept.has_reached(&end) {
                    continue;
                }
                let Some(entry) = delays.enter(&letter.message, now) else { continue };
                let message = entry.message.clone();
                let stored = match entry.queue.keeps.includes(&message) {
                    true => add_stored(&mut round.stored, &message),
                    false => Incoming::NOT_STORED,
                };
                let incoming = Incoming { message, token: UNCONFIRMED, stored };
                share(&mut round.shares, &entry.queue, incoming);
                round.entering.push(entry);
                trial.taking.push(end);
            }
            // Nobody at all: it does not count as delivered. Somebody once is enough where the others are
            // gone by now.
            let nobody = trial.taking.is_empty() && !trial.is_left && trial.kept.is_nowhere();
            if nobody {
                trial.is_left = true;
                round.lacks_route = true;
            }
        }
    }

    /// Publishes, settles and lays aside, all of it in one record. Returns the letters from the queue
    /// behind that got on in no way.
    fn carry_out(
        self: &Arc<Self>,
        source: &Arc<Queue>,
        undelivered: &Undelivered,
        mut trials: Vec<Trial>,
        round: Round,
        now: Time,
        effects: &mut Effects,
    ) -> Vec<Queued> {
        let Round { stored, shares, entering, mut targets, lacks_route, generation } = round;
        let mut awaits_topology = lacks_route;
        let is_idle = |trial: &Trial| trial.is_left && trial.taking.is_empty();
        let all_idle = trials.iter().all(is_idle);
        let mut unmoved = Vec::new();
        if all_idle && trials.iter().all(|trial| matches!(trial.at, At::Behind(_))) {
            unmoved = trials.into_iter().filter_map(Trial::behind).collect();
        } else {
            let group = self.begin_group();
            let mut arrival = Arrival { comes_back: true, ..Arrival::of(group, now) };
            // Held until the last queue has taken its share.
            let held = self.store(&stored, now);
            arrival.first_stored = held.as_ref().map_or(0, |held| held.first);
            let mut refused = Vec::new();
            for (queue, mut incoming) in shares {
                let tokens: Vec<u32> = incoming.iter().map(|incoming| incoming.token).collect();
                queue.publish(&mut incoming, arrival, &mut refused, effects);
                if queue.is_deleted() {
                    // It may have been before it took anything.
                    refused = tokens;
                    awaits_topology = true;
                }
                let end = End::Queue(queue.name.clone());
                for token in refused.drain(..) {
                    let Some(trial) = trials.get_mut(token as usize) else { continue };
                    trial.is_left = true;
                    trial.taking.retain(|other| *other != end);
                    // Others were faster.
                    let size = trial.kept.letter.message.body_size();
                    let target = targets.iter_mut().find(|other| Arc::ptr_eq(&other.queue, &queue));
                    target.into_iter().for_each(|target| _ = target.refused.get_or_insert(size));
                }
            }
            drop(entering);
            self.lay_aside(source, undelivered, trials, group, &mut unmoved, now, effects);
            self.end_group(group);
        }
        for Target { queue, refused, .. } in &targets {
            if let Some(bytes) = refused {
                queue.await_room(&undelivered.queue, *bytes, effects);
            }
        }
        if lacks_route && !undelivered.set_lacks_route(true) {
            let (queue, vhost) = (&source.name, &self.name);
            tracing::warn!(
                %queue, %vhost,
                "dead letters that have to arrive lead to no queue: they wait until they do"
            );
        } else if undelivered.figures().0 == 0 {
            undelivered.set_lacks_route(false);
        }
        if awaits_topology {
            self.await_topology(undelivered, generation);
        }
        unmoved
    }

    fn store(&self, messages: &[Message], now: Time) -> Option<Stored> {
        (!messages.is_empty()).then(|| self.messages.store(&mut messages.iter(), now))
    }

    /// What is left moves behind, with a note of who has it; what is through, or moved, is settled.
    #[expect(clippy::too_many_arguments, reason = "it is the second half of one piece of work")]
    fn lay_aside(
        self: &Arc<Self>,
        source: &Arc<Queue>,
        undelivered: &Undelivered,
        trials: Vec<Trial>,
        group: Group,
        unmoved: &mut Vec<Queued>,
        now: Time,
        effects: &mut Effects,
    ) {
        let (mut moved, mut through, mut died) = (Vec::new(), Vec::new(), Positions::default());
        for trial in trials {
            let Trial { mut kept, at, taking, is_left } = trial;
            match at {
                At::Behind(queued) if is_left && taking.is_empty() => {
                    unmoved.push(queued);
                    continue;
                }
                At::Behind(queued) => through.push(queued),
                At::Died { queued, is_stored } if is_stored => died.push(queued.position),
                At::Died { .. } => {}
            }
            if is_left {
                kept.note(taking);
                moved.push(kept.message());
            }
        }
        if !moved.is_empty() {
            let held = self.store(&moved, now);
            let first_stored = held.as_ref().map_or(0, |held| held.first);
            let arrival = Arrival { first_stored, ..Arrival::of(group, now) };
            let bytes = moved.iter().map(Message::body_size).sum();
            // Before they are there, for whoever takes them out counts them off.
            undelivered.add(moved.len(), bytes);
            let moved = moved.into_iter().zip(0..);
            let incoming =
                moved.map(|(message, stored)| Incoming { message, token: UNCONFIRMED, stored });
            let letters = &undelivered.queue;
            letters.publish(&mut incoming.collect(), arrival, &mut Vec::new(), effects);
            effects.deadlines.push((now + RETRY, Arc::clone(letters)));
        }
        undelivered.settle(&through, group, now, effects);
        if let Some(log) = &source.log {
            log.settled(group, &died);
        }
    }

    /// A change of the topology may help, from the one that was looked at.
    fn await_topology(&self, undelivered: &Undelivered, generation: u64) {
        let mut awaiting = self.awaiting_topology.lock();
        let letters = Arc::downgrade(&undelivered.queue);
        if !awaiting.iter().any(|other| other.ptr_eq(&letters)) {
            awaiting.push(letters);
        }
        drop(awaiting);
        if self.generation() != generation {
            self.topology_changed();
        }
    }

    /// What led nowhere is tried again. To be called after a change, without the topology's lock.
    pub(super) fn topology_changed(&self) {
        let mut awaiting = self.awaiting_topology.lock();
        if awaiting.is_empty() {
            return;
        }
        let letters = std::mem::take(&mut *awaiting);
        drop(awaiting);
        let Some(this) = self.this.upgrade() else { return };
        for letters in letters.iter().filter_map(Weak::upgrade) {
            self.schedule.add(Time(0), &this, &Timed::Queue(letters));
        }
    }
}

impl Trial {
    fn new(kept: Kept, at: At) -> Self {
        Self { kept, at, taking: Vec::new(), is_left: false }
    }

    fn behind(self) -> Option<Queued> {
        match self.at {
            At::Behind(queued) => Some(queued),
            At::Died { .. } => None,
        }
    }
}

impl Round {
    fn target(&mut self, queue: &Arc<Queue>, now: Time, effects: &mut Effects) -> &mut Target {
        let index = match self.targets.iter().position(|other| Arc::ptr_eq(&other.queue, queue)) {
            Some(index) => index,
            None => {
                let (queue, room) = (Arc::clone(queue), queue.room(now, effects));
                self.targets.push(Target { queue, room, refused: None });
                self.targets.len() - 1
            }
        };
        #[expect(clippy::indexing_slicing, reason = "it was found or pushed above")]
        &mut self.targets[index]
    }
}

impl Target {
    /// There is room for a letter, and it is taken.
    fn takes(&mut self, letter: &Message) -> bool {
        if self.refused.is_some() || !self.room.takes(letter) {
            self.refused.get_or_insert_with(|| letter.body_size());
            return false;
        }
        self.room = self.room.without(letter);
        true
    }
}
