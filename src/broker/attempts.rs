//! Attempts to log in since the start, or since an operator had them forgotten: how many, and from where
//! and as whom.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;

/// Sources that are remembered; then the one that was seen first is forgotten. Names of users are the
/// client's own words, at most 255 bytes.
const SOURCES_MAX: usize = 4096;

#[derive(Debug, Default)]
pub struct Attempts(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    by_protocol: [AttemptCounts; LoginProtocol::ALL.len()],
    by_source: HashMap<Source, AttemptCounts>,
    /// By when they were first seen.
    order: VecDeque<Source>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LoginProtocol {
    Amqp,
    Http,
}

/// Who tried.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    pub protocol: LoginProtocol,
    /// Where the client is, without its port.
    pub host: String,
    pub user: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttemptCounts {
    pub succeeded: u64,
    pub failed: u64,
}

impl LoginProtocol {
    pub const ALL: [Self; 2] = [Self::Amqp, Self::Http];

    /// RabbitMQ's name for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Amqp => "amqp091",
            Self::Http => "http",
        }
    }
}

impl AttemptCounts {
    fn add(&mut self, succeeded: bool) {
        *if succeeded { &mut self.succeeded } else { &mut self.failed } += 1;
    }
}

impl Attempts {
    pub fn count(&self, source: Source, succeeded: bool) {
        let Inner { by_protocol, by_source, order } = &mut *self.0.lock();
        if let Some(counts) = by_protocol.get_mut(source.protocol as usize) {
            counts.add(succeeded);
        }
        if let Some(counts) = by_source.get_mut(&source) {
            return counts.add(succeeded);
        }
        if order.len() == SOURCES_MAX
            && let Some(first) = order.pop_front()
        {
            by_source.remove(&first);
        }
        order.push_back(source.clone());
        by_source.entry(source).or_default().add(succeeded);
    }

    pub fn by_protocol(&self) -> [(LoginProtocol, AttemptCounts); LoginProtocol::ALL.len()] {
        let inner = self.0.lock();
        let of = |protocol| inner.by_protocol.get(protocol as usize).copied().unwrap_or_default();
        LoginProtocol::ALL.map(|protocol| (protocol, of(protocol)))
    }

    /// In the order in which they were first seen.
    pub fn by_source(&self) -> Vec<(Source, AttemptCounts)> {
        let inner = self.0.lock();
        let of = |source: &Source| {
            (source.clone(), inner.by_source.get(source).copied().unwrap_or_default())
        };
        inner.order.iter().map(of).collect()
    }

    pub fn forget(&self) {
        *self.0.lock() = Inner::default();
    }

    /// What is known of sources alone.
    pub fn forget_sources(&self) {
        let mut inner = self.0.lock();
        inner.by_source.clear();
        inner.order.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(host: usize) -> Source {
        let protocol = LoginProtocol::Amqp;
        Source { protocol, host: host.to_string(), user: "hare".to_owned() }
    }

    #[test]
    fn attempts_are_counted_and_only_so_many_sources_remembered() {
        let attempts = Attempts::default();
        attempts.count(source(0), true);
        attempts.count(source(0), false);
        let counts = AttemptCounts { succeeded: 1, failed: 1 };
        assert_eq!(attempts.by_source(), [(source(0), counts)]);
        for host in 1..=SOURCES_MAX {
            attempts.count(source(host), false);
        }
        let known = attempts.by_source();
        assert_eq!((known.len(), &known[0].0), (SOURCES_MAX, &source(1)));
        let all = AttemptCounts { succeeded: 1, failed: 1 + SOURCES_MAX as u64 };
        let none = AttemptCounts::default();
        let expected = [(LoginProtocol::Amqp, all), (LoginProtocol::Http, none)];
        assert_eq!(attempts.by_protocol(), expected);
        attempts.forget_sources();
        assert_eq!((attempts.by_source().len(), attempts.by_protocol()), (0, expected));
        attempts.forget();
        assert_eq!(attempts.by_protocol()[0].1, none);
    }
}
