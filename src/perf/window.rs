//! Which messages of one channel the broker has not confirmed yet, and since when they are under way.

use std::collections::VecDeque;

use super::clock::Moment;

/// At most so many messages without a confirm.
pub struct Window {
    limit: usize,
    /// From the oldest unconfirmed message on; `None` for those confirmed before their turn.
    sent: VecDeque<Option<Moment>>,
    /// The delivery tag of the first of them.
    first: u64,
    open: usize,
}

/// A confirm for something that is not under way.
#[derive(Debug, PartialEq, Eq)]
pub struct Unknown;

impl Window {
    pub fn new(limit: usize) -> Self {
        // A broker that confirms in order needs no more than the limit, and none needs it at once.
        let sent = VecDeque::with_capacity(limit.min(65_536));
        Self { limit, sent, first: 1, open: 0 }
    }

    /// How many more messages may be sent now.
    pub fn room(&self) -> usize {
        self.limit.saturating_sub(self.open)
    }

    /// How many messages are not confirmed.
    pub fn open(&self) -> usize {
        self.open
    }

    /// The next message is sent, due at this moment.
    pub fn push(&mut self, at: Moment) {
        self.sent.push_back(Some(at));
        self.open += 1;
    }

    /// The broker settled a message, or all up to it (0: all there are): each is shown to `settled`.
    /// What is settled a second time by `multiple` is passed over, as it must be.
    pub fn settle(
        &mut self,
        delivery_tag: u64,
        multiple: bool,
        mut settled: impl FnMut(Moment),
    ) -> Result<(), Unknown> {
        let last = self.first + self.sent.len() as u64 - 1;
        let tag = if multiple && delivery_tag == 0 { last } else { delivery_tag };
        if tag > last {
            return Err(Unknown);
        }
        if multiple {
            while self.first <= tag {
                let Some(at) = self.sent.pop_front() else { break };
                self.first += 1;
                if let Some(at) = at {
                    self.open -= 1;
                    settled(at);
                }
            }
        } else {
            let index = tag.checked_sub(self.first).ok_or(Unknown)?;
            let index = usize::try_from(index).map_err(|_| Unknown)?;
            let at = self.sent.get_mut(index).and_then(Option::take).ok_or(Unknown)?;
            self.open -= 1;
            settled(at);
        }
        while self.sent.front().is_some_and(Option::is_none) {
            self.sent.pop_front();
            self.first += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settle(window: &mut Window, tag: u64, multiple: bool) -> Result<Vec<u64>, Unknown> {
        let mut settled = Vec::new();
        window.settle(tag, multiple, |at| settled.push(at.0)).map(|()| settled)
    }

    fn window(limit: usize, messages: u64) -> Window {
        let mut window = Window::new(limit);
        (1..=messages).for_each(|tag| window.push(Moment(tag * 10)));
        window
    }

    #[test]
    fn confirms_in_order_one_by_one_and_many_at_once() {
        let mut window = window(5, 5);
        assert_eq!((window.room(), window.open()), (0, 5));
        assert_eq!(settle(&mut window, 1, false), Ok(vec![10]));
        assert_eq!(settle(&mut window, 4, true), Ok(vec![20, 30, 40]));
        assert_eq!((window.room(), window.open()), (4, 1));
        window.push(Moment(60));
        assert_eq!(settle(&mut window, 6, true), Ok(vec![50, 60]));
        assert_eq!((window.room(), window.open()), (5, 0));
    }

    #[test]
    fn confirms_out_of_order_count_once() {
        let mut window = window(10, 4);
        assert_eq!(settle(&mut window, 3, false), Ok(vec![30]));
        assert_eq!(settle(&mut window, 2, false), Ok(vec![20]));
        assert_eq!(window.room(), 8);
        assert_eq!(settle(&mut window, 4, true), Ok(vec![10, 40]));
        assert_eq!(window.open(), 0);
    }

    #[test]
    fn zero_and_multiple_is_everything() {
        let mut window = window(10, 3);
        assert_eq!(settle(&mut window, 0, true), Ok(vec![10, 20, 30]));
        assert_eq!(settle(&mut window, 0, true), Ok(vec![]));
    }

    #[test]
    fn confirms_of_nothing_are_noticed() {
        let mut window = window(10, 3);
        assert_eq!(settle(&mut window, 4, true), Err(Unknown));
        assert_eq!(settle(&mut window, 0, false), Err(Unknown));
        assert_eq!(settle(&mut window, 2, false), Ok(vec![20]));
        assert_eq!(settle(&mut window, 2, false), Err(Unknown));
        assert_eq!(settle(&mut window, 1, false), Ok(vec![10]));
        assert_eq!(settle(&mut window, 1, false), Err(Unknown));
        assert_eq!(window.open(), 1);
    }
}
