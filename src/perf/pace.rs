//! When the messages of one producer are due.
//!
//! The schedule is fixed before the first message is sent and does not wait for anybody: a message that
//! could not be sent when it was due is late, and its latency counts from when it was due. Measuring
//! from when it was sent would leave out exactly the time that a slow broker makes others wait
//! (coordinated omission).

/// So many messages a second, for so long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    pub rate: f64,
    pub nanos: u64,
}

/// The moments at which messages are due, in nanoseconds since the start, one after another.
#[derive(Clone, Debug)]
pub struct Pace {
    steps: Vec<Step>,
    /// The step that the next message falls into, and when that began.
    step: usize,
    begin: f64,
    /// When the first message of this step is due, and how many of it there were.
    first: f64,
    count: u64,
}

impl Pace {
    /// The steps follow one another again and again; one of them at least has a rate and a length.
    /// `phase` from 0 to 1 is the part of a message that is missing at the start: it keeps producers
    /// of the same rate from sending at the same moments.
    pub fn new(steps: Vec<Step>, phase: f64) -> Self {
        debug_assert!(steps.iter().any(|step| step.rate > 0.0 && step.nanos > 0));
        let mut pace = Self { steps, step: 0, begin: 0.0, first: 0.0, count: 0 };
        pace.enter(phase);
        pace
    }

    /// The same number of messages a second for ever.
    pub fn steady(rate: f64, phase: f64) -> Self {
        Self::new(vec![Step { rate, nanos: u64::MAX }], phase)
    }

    /// When the next message is due.
    pub fn due(&self) -> u64 {
        let Step { rate, .. } = self.current();
        (self.first + self.count as f64 * 1e9 / rate) as u64
    }

    /// The next message was sent.
    pub fn advance(&mut self) {
        self.count += 1;
        let Step { rate, nanos } = self.current();
        let due = self.first + self.count as f64 * 1e9 / rate;
        let end = self.begin + nanos as f64;
        if due >= end {
            let missing = (due - end) / 1e9 * rate;
            self.next_step();
            self.enter(missing);
        }
    }

    /// Finds the step in which the missing part of a message comes together, from this one on.
    fn enter(&mut self, mut missing: f64) {
        loop {
            let Step { rate, nanos } = self.current();
            let within = rate * nanos as f64 / 1e9;
            if within > missing {
                self.first = self.begin + missing / rate * 1e9;
                self.count = 0;
                return;
            }
            missing -= within;
            self.next_step();
        }
    }

    fn next_step(&mut self) {
        self.begin += self.current().nanos as f64;
        self.step = (self.step + 1) % self.steps.len();
    }

    fn current(&self) -> Step {
        self.steps.get(self.step).copied().unwrap_or(Step { rate: 1.0, nanos: u64::MAX })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[track_caller]
    fn check(mut pace: Pace, expected_millis: &[u64]) {
        let due: Vec<u64> = expected_millis
            .iter()
            .map(|_| {
                let due = pace.due();
                pace.advance();
                (due + 500) / 1_000_000
            })
            .collect();
        assert_eq!(due, expected_millis);
    }

    fn step(rate: f64, seconds: u64) -> Step {
        Step { rate, nanos: seconds * SECOND }
    }

    #[test]
    fn steady_rate() {
        check(Pace::steady(10.0, 0.0), &[0, 100, 200, 300]);
        check(Pace::steady(10.0, 0.5), &[50, 150, 250]);
        check(Pace::steady(0.5, 0.0), &[0, 2000, 4000]);
    }

    #[test]
    fn steps_follow_one_another_and_begin_again() {
        let pace = Pace::new(vec![step(2.0, 1), step(4.0, 1)], 0.0);
        check(pace, &[0, 500, 1000, 1250, 1500, 1750, 2000, 2500, 3000]);
    }

    #[test]
    fn a_pause_is_a_step_without_messages() {
        check(Pace::new(vec![step(0.0, 3), step(2.0, 1)], 0.0), &[3000, 3500, 7000, 7500, 11_000]);
    }

    #[test]
    fn steps_shorter_than_a_message_add_up() {
        // A third of a message in each second, nothing in every other one.
        check(
            Pace::new(vec![step(1.0 / 3.0, 1), step(0.0, 1)], 0.999_999),
            &[5000 - 1, 11_000 - 1, 17_000 - 1],
        );
    }

    #[test]
    fn many_messages_do_not_drift() {
        let mut pace = Pace::steady(30_000.0, 0.0);
        for _ in 0..3_000_000 {
            pace.advance();
        }
        assert!(pace.due().abs_diff(100 * SECOND) < 1000, "{}", pace.due());
    }
}
