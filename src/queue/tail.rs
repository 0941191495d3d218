//! What comes back to a quorum queue without a delivery limit: it goes to the tail (behaviour B6.13).
//!
//! Positions rise along a line, segments and recovery rely on it; so it gets a new one. To the store it
//! is another message, which enters there and leaves the old place in one group: whenever a crash comes,
//! it is at one of them.

use std::iter;

use super::Queue;
use super::effects::Effects;
use super::log;
use super::state::{State, time_to_live_millis};
use crate::message::{Position, Positions, Queued};
use crate::time::Time;

/// Where a message was, and since when it counts as being in the queue.
struct Before {
    position: Position,
    since: Time,
}

impl State {
    /// Takes out what clients gave back, and puts it at the tail in the order in which it is given. Does
    /// nothing in other queues.
    pub(super) fn return_to_tail(
        &mut self,
        queue: &Queue,
        items: &mut Vec<Queued>,
        now: Time,
        effects: &mut Effects,
    ) {
        if !self.ready.returned_last() {
            return;
        }
        // What no client ever had keeps its place.
        let returned = items.extract_if(.., |queued| queued.delivery_count > 0);
        let mut returned: Vec<Queued> = returned.collect();
        if returned.is_empty() {
            return;
        }
        self.ready.note_time(now);
        let before: Vec<Before> =
            returned.iter_mut().map(|queued| self.give_new_position(queued, now)).collect();
        tell_moved(queue, &returned, &before, effects);
        returned.into_iter().for_each(|queued| self.ready.push(queued));
    }

    fn give_new_position(&mut self, queued: &mut Queued, now: Time) -> Before {
        let position = queued.position;
        // A restart counts the time to live from there, and has to come to the same deadline.
        let since = match time_to_live_millis(&queued.message, &self.options) {
            Some(ttl) if queued.deadline != Time::NEVER => {
                Time(queued.deadline.0.saturating_sub(ttl))
            }
            _ => self.ready.since(position).unwrap_or(now),
        };
        queued.position = self.ready.next_position(&queued.message);
        if let Some(duplicates) = &mut self.duplicates {
            duplicates.moved(position, queued.position);
        }
        Before { position, since }
    }
}

/// Tells the store of messages that have got new positions.
fn tell_moved(queue: &Queue, moved: &[Queued], before: &[Before], effects: &mut Effects) {
    let Some(log) = &queue.log else { return };
    let pager = queue.paging.as_ref().map(|paging| &paging.pager);
    let (mut held, mut left) = (Vec::new(), Vec::new());
    for (queued, before) in moved.iter().zip(before).filter(|(queued, _)| queued.kept) {
        let stored = log.store.store(&mut iter::once(&queued.message), before.since);
        log::add(&mut effects.runs, queued.position, stored.first);
        held.push(stored);
        left.push(before.position);
    }
    if left.is_empty() {
        return;
    }
    left.sort_unstable();
    let left: Positions = left.into_iter().collect();
    if let Some(pager) = pager {
        pager.begin_group();
    }
    let group = log.store.new_group();
    log.enqueued(group, &mut effects.runs);
    log.settled(group, &left);
    let end = log.store.end_group(group);
    if let Some(pager) = pager {
        pager.end_group(end);
    }
}
