//! What was sent, confirmed, delivered and settled, written down outside the broker, and what is wrong
//! about it.
//!
//! The rules rest on how the load works: a publisher sends every sequence once, and never again what
//! was not confirmed; every queue has one consumer at a time, and the next one comes when the broker has seen
//! that the one before is gone. Between two kills lies an era.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A message, for those who look from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id {
    pub publisher: u32,
    pub sequence: u64,
}

struct Sent {
    era: usize,
    confirmed: bool,
}

enum Event {
    Delivered {
        id: Id,
        era: usize,
        redelivered: bool,
    },
    /// Something that was published after the acknowledgement on the same channel was confirmed.
    Settled(Id),
    /// The consumer is gone, and what was on its way to it goes back. By publisher, how much had been
    /// sent before the broker saw it.
    Left(HashMap<u32, u64>),
}

#[derive(Default)]
pub struct Ledger {
    /// The queues that a publisher's messages go to.
    routes: HashMap<u32, Vec<&'static str>>,
    /// Queues whose consumer sends some back, so that what comes is in order only the first time.
    requeues: BTreeSet<&'static str>,
    /// Quorum queues, where what goes back more than once comes in the order of its return
    /// (behaviour B6.13).
    returns_apart: BTreeSet<&'static str>,
    sent: BTreeMap<u32, Vec<Sent>>,
    events: BTreeMap<&'static str, Vec<Event>>,
}

/// How much there was of everything.
#[derive(Debug, Default, PartialEq)]
pub struct Figures {
    pub sent: usize,
    pub confirmed: usize,
    pub deliveries: usize,
    pub redelivered: usize,
    pub settled_for_certain: usize,
}

impl Ledger {
    pub fn route(&mut self, publisher: u32, queues: &[&'static str]) {
        self.routes.insert(publisher, queues.to_vec());
    }

    pub fn expect_requeues(&mut self, queue: &'static str) {
        self.requeues.insert(queue);
    }

    pub fn expect_returns_apart(&mut self, queue: &'static str) {
        self.returns_apart.insert(queue);
    }

    pub fn sends_back(&self, queue: &str) -> bool {
        self.requeues.contains(queue)
    }

    /// The next message of a publisher, which is about to be sent.
    pub fn send(&mut self, publisher: u32, era: usize) -> Id {
        let sent = self.sent.entry(publisher).or_default();
        sent.push(Sent { era, confirmed: false });
        Id { publisher, sequence: sent.len() as u64 - 1 }
    }

    pub fn confirm(&mut self, id: Id) {
        let sent = self.sent.get_mut(&id.publisher).unwrap();
        sent[id.sequence as usize].confirmed = true;
    }

    pub fn deliver(&mut self, queue: &'static str, id: Id, era: usize, redelivered: bool) {
        let events = self.events.entry(queue).or_default();
        events.push(Event::Delivered { id, era, redelivered });
    }

    pub fn settle(&mut self, queue: &'static str, ids: impl IntoIterator<Item = Id>) {
        self.events.entry(queue).or_default().extend(ids.into_iter().map(Event::Settled));
    }

    pub fn left(&mut self, queue: &'static str) {
        let sent = self.sent.iter().map(|(publisher, sent)| (*publisher, sent.len() as u64));
        let sent = sent.collect();
        self.events.entry(queue).or_default().push(Event::Left(sent));
    }

    pub fn figures(&self) -> Figures {
        let mut figures = Figures::default();
        for sent in self.sent.values().flatten() {
            figures.sent += 1;
            figures.confirmed += usize::from(sent.confirmed);
        }
        for event in self.events.values().flatten() {
            match event {
                Event::Delivered { redelivered, .. } => {
                    figures.deliveries += 1;
                    figures.redelivered += usize::from(*redelivered);
                }
                Event::Settled(_) => figures.settled_for_certain += 1,
                Event::Left(_) => {}
            }
        }
        figures
    }

    /// Everything that is wrong once all queues have been drained.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let none = Vec::new();
        let queues: BTreeSet<&str> =
            self.routes.values().flatten().chain(self.events.keys()).copied().collect();
        for queue in queues {
            let events = self.events.get(queue).unwrap_or(&none);
            let seen = self.check_queue(queue, events, &mut problems);
            for (publisher, sent) in &self.sent {
                if !self.goes_to(*publisher, queue) {
                    continue;
                }
                for (sequence, _) in (0..).zip(sent).filter(|(_, sent)| sent.confirmed) {
                    let id = Id { publisher: *publisher, sequence };
                    if !seen.contains(&id) {
                        problems.push(format!("{queue}: {id:?} was confirmed and is lost"));
                    }
                }
            }
        }
        problems
    }

    fn goes_to(&self, publisher: u32, queue: &str) -> bool {
        self.routes.get(&publisher).is_some_and(|queues| queues.contains(&queue))
    }

    /// Goes through what happened to a queue, and returns what came from it.
    fn check_queue(
        &self,
        queue: &str,
        events: &[Event],
        problems: &mut Vec<String>,
    ) -> BTreeSet<Id> {
        let (mut seen, mut settled) = (BTreeSet::new(), BTreeSet::new());
        let mut newest: HashMap<u32, u64> = HashMap::new();
        let mut latest: HashMap<(u32, usize), u64> = HashMap::new();
        let mut before_left = &HashMap::new();
        for event in events {
            let (id, era, redelivered) = match event {
                Event::Delivered { id, era, redelivered } => (*id, *era, *redelivered),
                Event::Settled(id) => {
                    settled.insert(*id);
                    continue;
                }
                Event::Left(sent) => {
                    before_left = sent;
                    latest.clear();
                    continue;
                }
            };
            let mut wrong = |what: &str| {
                problems.push(format!("{queue}: in era {era}, {id:?} {what}"));
            };
            let sent = self.sent.get(&id.publisher).and_then(|sent| sent.get(id.sequence as usize));
            let Some(sent) = sent.filter(|_| self.goes_to(id.publisher, queue)) else {
                wrong("came, which nobody sent there");
                continue;
            };
            if settled.contains(&id) {
                wrong("came again after it was settled for good");
            }
            let Id { publisher, sequence } = id;
            let was_on_its_way = before_left.get(&publisher).is_some_and(|sent| sequence < *sent);
            let in_order = !(was_on_its_way && self.returns_apart.contains(queue));
            if seen.insert(id) {
                // After a kill the broker cannot know that it was never delivered.
                match (sent.era < era, redelivered) {
                    (true, false) => wrong("came back from before a kill without the flag"),
                    (false, true) if !was_on_its_way => wrong("is new and has the flag"),
                    _ => {}
                }
                let newest = newest.entry(publisher).or_default();
                if std::mem::replace(newest, sequence.max(*newest)) > sequence && in_order {
                    wrong("came for the first time behind a later one");
                }
            } else if !redelivered {
                wrong("came again without the flag");
            }
            let before = latest.insert((publisher, era), sequence);
            if in_order
                && !self.sends_back(queue)
                && before.is_some_and(|before| before >= sequence)
            {
                wrong("came out of order");
            }
        }
        seen
    }
}

mod tests {
    use super::*;

    /// Publisher 1 sends five confirmed messages to `q` before a kill, and a sixth that is not confirmed.
    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        ledger.route(1, &["q"]);
        for _ in 0..5 {
            let id = ledger.send(1, 0);
            ledger.confirm(id);
        }
        ledger.send(1, 0);
        ledger
    }

    fn id(sequence: u64) -> Id {
        Id { publisher: 1, sequence }
    }

    /// Deliveries as (sequence, era, flag), after which exactly this is wrong.
    fn expect(deliveries: &[(u64, usize, bool)], wrong: &[&str]) {
        let mut ledger = ledger();
        for &(sequence, era, redelivered) in deliveries {
            ledger.deliver("q", id(sequence), era, redelivered);
        }
        let problems = ledger.problems();
        assert_eq!(problems.len(), wrong.len(), "{problems:?}");
        for (problem, wrong) in problems.iter().zip(wrong) {
            assert!(problem.contains(wrong), "{problem}");
        }
    }

    const GOOD: [(u64, usize, bool); 6] =
        [(0, 0, false), (1, 0, false), (1, 1, true), (2, 1, true), (3, 1, true), (4, 1, true)];

    #[test]
    fn checker_passes_what_is_right() {
        expect(&GOOD, &[]);
        // The unconfirmed one may be there as well.
        expect(&[GOOD.as_slice(), &[(5, 1, true)]].concat(), &[]);
    }

    #[test]
    fn checker_finds_what_is_wrong() {
        expect(&GOOD[..5], &["sequence: 4 } was confirmed and is lost"]);
        expect(&[GOOD.as_slice(), &[(6, 1, true)]].concat(), &["nobody sent"]);
        expect(&[GOOD.as_slice(), &[(4, 2, false)]].concat(), &["came again without the flag"]);
        let mut deliveries = GOOD;
        deliveries[3].2 = false;
        expect(&deliveries, &["sequence: 2 } came back from before a kill without the flag"]);
        let mut deliveries = GOOD;
        deliveries[0].2 = true;
        expect(&deliveries, &["sequence: 0 } is new and has the flag"]);
        let mut deliveries = GOOD;
        deliveries.swap(3, 4);
        expect(&deliveries, &["sequence: 2 } came for the first time behind", "out of order"]);
        let mut deliveries = GOOD;
        deliveries.swap(2, 3);
        expect(&deliveries, &["sequence: 1 } came out of order"]);
    }

    #[test]
    fn checker_finds_what_comes_again_or_goes_astray() {
        let mut ledger = ledger();
        GOOD.iter().for_each(|&(sequence, era, flag)| ledger.deliver("q", id(sequence), era, flag));
        ledger.settle("q", [id(2)]);
        assert_eq!(ledger.problems(), Vec::<String>::new());
        ledger.deliver("q", id(2), 2, true);
        ledger.deliver("other", id(2), 2, true);
        let problems = ledger.problems();
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].contains("other: ") && problems[0].contains("nobody sent there"));
        assert!(problems[1].contains("settled for good"), "{problems:?}");
    }

    #[test]
    fn what_a_consumer_had_that_left_comes_again() {
        let mut ledger = ledger();
        ledger.deliver("q", id(0), 0, false);
        ledger.deliver("q", id(1), 0, false);
        ledger.left("q");
        let after = ledger.send(1, 0);
        (0..5).for_each(|sequence| ledger.deliver("q", id(sequence), 0, true));
        assert_eq!(ledger.problems(), Vec::<String>::new());
        ledger.deliver("q", after, 0, true);
        let problems = ledger.problems();
        assert!(problems.len() == 1 && problems[0].contains("is new and has the flag"));
    }

    /// Both went back, the second one first; a later one was not on its way to anybody.
    #[test]
    fn what_went_back_may_come_in_the_order_of_its_return() {
        let mut ledger = ledger();
        ledger.left("q");
        [1, 0].into_iter().for_each(|sequence| ledger.deliver("q", id(sequence), 0, true));
        assert_eq!(ledger.problems().len(), 5, "two for 0, and three that are lost");
        ledger.expect_returns_apart("q");
        assert_eq!(ledger.problems().len(), 3);
    }
}
