//! Messages that an operator moves to another place.
//!
//! They leave the one queue in the same record of the store in which they enter the others, so a crash
//! finds each of them on one side. What nobody takes goes back to its place.

use std::sync::Arc;

use super::dead_letter::{Shares, share};
use super::death::LastDeath;
use super::publish::add_stored;
use super::topology::{Routing, Way};
use super::vhost::Vhost;
use crate::message::{Message, Queued, write_address};
use crate::queue::{Arrival, Effects, Incoming, Queue};
use crate::time::Time;

/// Where to.
#[derive(Clone, Debug)]
pub enum Relocation {
    /// Published to an exchange, with another routing key or the one it has.
    Exchange { name: String, routing_key: Option<String> },
    /// Straight into a queue, as it is.
    Queue(Arc<Queue>),
    /// Back to the queue in which it died last, and as it came there; its history stays.
    Origin,
}

impl Vhost {
    /// Moves messages that were [taken](Queue::take) from a queue, in order. Those that are not routed, or
    /// that every target refuses, are given back. Returns how many were moved.
    pub fn relocate(
        self: &Arc<Self>,
        from: &Arc<Queue>,
        taken: Vec<Queued>,
        to: &Relocation,
        now: Time,
        effects: &mut Effects,
    ) -> usize {
        let (mut shares, mut stored, mut entering) = (Shares::new(), Vec::new(), Vec::new());
        // How many places each has found.
        let mut accepted = vec![0_u32; taken.len()];
        for (index, (queued, accepted)) in taken.iter().zip(&mut accepted).enumerate() {
            let Some((message, way)) = self.destination(&queued.message, to, now) else { continue };
            let token = u32::try_from(index).unwrap_or(u32::MAX);
            let is_kept = way.queues.iter().any(|queue| queue.keeps.includes(&message));
            let place = match is_kept {
                true => add_stored(&mut stored, &message),
                false => Incoming::NOT_STORED,
            };
            for target in &way.queues {
                let message = message.clone();
                share(&mut shares, target, Incoming { message, token, stored: place });
                *accepted += 1;
            }
            for delays in &way.delays {
                let Some(entry) = delays.enter(&message, now) else { continue };
                let message = entry.message.clone();
                let stored = match entry.queue.keeps.includes(&message) {
                    true => add_stored(&mut stored, &message),
                    false => Incoming::NOT_STORED,
                };
                share(&mut shares, &entry.queue, Incoming { message, token, stored });
                entering.push(entry);
                *accepted += 1;
            }
        }
        let group = self.begin_group();
        let mut arrival = Arrival { comes_back: true, ..Arrival::of(group, now) };
        // Held until the last queue has taken its share.
        let held = (!stored.is_empty()).then(|| self.messages.store(&mut stored.iter(), now));
        if let Some(held) = &held {
            arrival.first_stored = held.first;
        }
        let mut refused = Vec::new();
        for (queue, mut incoming) in shares {
            queue.publish(&mut incoming, arrival, &mut refused, effects);
        }
        drop(entering);
        for token in refused {
            if let Some(accepted) = accepted.get_mut(token as usize) {
                *accepted -= 1;
            }
        }
        let (mut moved, mut back) = (Vec::new(), Vec::new());
        for (queued, accepted) in taken.into_iter().zip(accepted) {
            if accepted > 0 { moved.push(queued) } else { back.push(queued) }
        }
        from.settle_taken(group, &moved);
        self.end_group(group);
        if !back.is_empty() {
            from.requeue(back, &[], now, effects);
        }
        moved.len()
    }

    /// The message as it arrives, and where.
    fn destination(&self, message: &Message, to: &Relocation, now: Time) -> Option<(Message, Way)> {
        match to {
            Relocation::Queue(queue) => {
                let way = Way { queues: vec![Arc::clone(queue)], ..Way::default() };
                Some((message.clone(), way))
            }
            Relocation::Origin => {
                let LastDeath { queue, exchange, routing_key, .. } = LastDeath::of(message)?;
                let queue = self.read(|topology| topology.queue(&queue)).ok()?;
                let message = addressed(message, exchange.as_bytes(), routing_key.as_bytes());
                Some((message, Way { queues: vec![queue], ..Way::default() }))
            }
            Relocation::Exchange { name, routing_key } => {
                let key = routing_key
                    .as_ref()
                    .map_or_else(|| message.routing_key(), |key| key.as_bytes());
                let message = addressed(message, name.as_bytes(), key);
                let properties = message.parsed_properties().unwrap_or_default();
                let (keys, properties) = (&[message.routing_key()][..], &properties);
                let (random, arrives) = (rand::random(), Some(now));
                let routing = Routing { keys, properties, random, arrives, has_waited: false };
                let way = self.read(|topology| topology.route(name, &routing)).ok()?;
                Some((message.clone(), way))
            }
        }
    }
}

fn addressed(message: &Message, exchange: &[u8], routing_key: &[u8]) -> Message {
    let mut address = Vec::new();
    write_address(&mut address, exchange, routing_key);
    message.readdressed(&address, message.properties(), message.extra_keys(), message.traits())
}
