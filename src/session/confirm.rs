//! Publisher confirms of one channel (behaviour B7.1 to B7.3).
//!
//! Publishes are numbered; a whole read is answered with one cumulative ack once its messages are as
//! safe as they were asked to be. Answers go out in order, so a `multiple` ack can never cover a
//! number that is about to be refused.

use std::collections::VecDeque;

use crate::broker::{ChannelStats, ConnectionStats};
use crate::protocol::Method;
use crate::protocol::method::basic;
use crate::storage::LogPosition;
use crate::time::Time;

#[derive(Debug, Default)]
pub struct Confirms {
    /// The number of the last publish.
    published: u64,
    /// Everything up to here is answered.
    answered: u64,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    upto: u64,
    log: LogPosition,
    rejected: Vec<u64>,
    since: Time,
}

/// Who counts the answers that are given now.
#[derive(Debug)]
pub struct Answered<'a> {
    now: Time,
    connection: &'a ConnectionStats,
    channel: &'a ChannelStats,
}

impl<'a> Answered<'a> {
    pub fn new(now: Time, connection: &'a ConnectionStats, channel: &'a ChannelStats) -> Self {
        Self { now, connection, channel }
    }

    fn count(&self, since: Time, count: u64) {
        self.channel.confirm.add(count);
        self.connection.count_confirm_time(self.now.since(since), count);
    }
}

impl Confirms {
    /// Numbers the next publish.
    #[inline]
    pub fn number(&mut self) -> u64 {
        self.published += 1;
        self.published
    }

    /// Everything published so far has reached its queues. What went to durable ones is safe once the
    /// store is durable up to `log`; `rejected` are the numbers a queue refused.
    pub fn arrived(&mut self, log: Option<LogPosition>, rejected: Vec<u64>, now: Time) {
        if self.waiting.back().map_or(self.answered, |last| last.upto) == self.published {
            return;
        }
        // What needs no log waits only for those before it.
        let log = log.or_else(|| self.waiting.back().map(|last| last.log)).unwrap_or_default();
        self.waiting.push_back(Waiting { upto: self.published, log, rejected, since: now });
    }

    /// Publishes that are not answered yet.
    pub fn unanswered(&self) -> u64 {
        self.published - self.answered
    }

    /// Where the store has to get to before the next answer can be given.
    pub fn waits_for(&self) -> Option<LogPosition> {
        self.waiting.front().map(|waiting| waiting.log)
    }

    /// Answers what is safe now that the store is durable up to `durable`.
    pub fn answer(
        &mut self,
        durable: LogPosition,
        answered: &mut Answered<'_>,
        mut send: impl FnMut(Method<'static>),
    ) {
        let ack = |from: u64, upto: u64, send: &mut dyn FnMut(Method<'static>)| {
            if upto > from {
                let ack = basic::Ack { delivery_tag: upto, multiple: upto - from > 1 };
                send(Method::Basic(basic::Method::Ack(ack)));
            }
        };
        let mut acked = self.answered;
        while let Some(waiting) = self.waiting.front_mut() {
            if waiting.log > durable {
                break;
            }
            waiting.rejected.sort_unstable();
            waiting.rejected.dedup();
            let refused = waiting.rejected.len() as u64;
            let count = (waiting.upto - acked).saturating_sub(refused);
            if count > 0 {
                answered.count(waiting.since, count);
            }
            for tag in waiting.rejected.drain(..) {
                ack(self.answered, tag - 1, &mut send);
                let nack = basic::Nack { delivery_tag: tag, multiple: false, requeue: false };
                send(Method::Basic(basic::Method::Nack(nack)));
                self.answered = tag;
            }
            acked = waiting.upto;
            self.waiting.pop_front();
        }
        ack(self.answered, acked, &mut send);
        self.answered = self.answered.max(acked);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(confirms: &mut Confirms, durable: u64) -> Vec<String> {
        let mut out = Vec::new();
        let (connection, channel) = (ConnectionStats::default(), ChannelStats::default());
        let mut answered = Answered::new(Time(0), &connection, &channel);
        confirms.answer(LogPosition(durable), &mut answered, |method| {
            out.push(match method {
                Method::Basic(basic::Method::Ack(ack)) => {
                    format!("ack {}{}", ack.delivery_tag, if ack.multiple { "+" } else { "" })
                }
                Method::Basic(basic::Method::Nack(nack)) => format!("nack {}", nack.delivery_tag),
                other => format!("{other:?}"),
            });
        });
        out
    }

    fn publish(confirms: &mut Confirms, count: usize) {
        (0..count).for_each(|_| {
            confirms.number();
        });
    }

    #[test]
    fn a_read_is_answered_with_one_ack() {
        let mut confirms = Confirms::default();
        publish(&mut confirms, 3);
        confirms.arrived(None, vec![], Time(0));
        assert_eq!(answers(&mut confirms, 0), ["ack 3+"]);
        publish(&mut confirms, 1);
        confirms.arrived(None, vec![], Time(0));
        assert_eq!(answers(&mut confirms, 0), ["ack 4"]);
        assert!(answers(&mut confirms, 0).is_empty(), "every number is answered once");
    }

    #[test]
    fn nothing_is_confirmed_before_it_is_durable_nor_out_of_turn() {
        let mut confirms = Confirms::default();
        publish(&mut confirms, 2);
        confirms.arrived(Some(LogPosition(7)), vec![], Time(0));
        publish(&mut confirms, 1);
        confirms.arrived(None, vec![], Time(0));
        assert!(answers(&mut confirms, 6).is_empty());
        assert_eq!(confirms.waits_for(), Some(LogPosition(7)));
        assert_eq!(answers(&mut confirms, 7), ["ack 3+"]);
        assert_eq!(confirms.waits_for(), None);
    }

    #[test]
    fn a_refusal_is_never_covered_by_a_multiple_ack() {
        let mut confirms = Confirms::default();
        publish(&mut confirms, 6);
        confirms.arrived(None, vec![5, 3, 5], Time(0));
        assert_eq!(answers(&mut confirms, 0), ["ack 2+", "nack 3", "ack 4", "nack 5", "ack 6"]);
    }

    #[test]
    fn refusals_at_the_edges() {
        let mut confirms = Confirms::default();
        publish(&mut confirms, 2);
        confirms.arrived(None, vec![1, 2], Time(0));
        assert_eq!(answers(&mut confirms, 0), ["nack 1", "nack 2"]);
    }
}
