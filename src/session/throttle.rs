//! Publishers that are limited to so many messages a second, each or together with others: who is over
//! the limit is not read for a while. Nothing is lost, and nothing is said.
//!
//! A connection has one of these only while its user or its vhost has such a limit.

use std::sync::Arc;
use std::time::Duration;

use super::Services;
use crate::broker::{Bucket, Vhost, Whose, take_all};
use crate::names::UserName;
use crate::time::Time;

/// Not woken for every single message: what comes together in this time is taken at once.
const PAUSE_MIN: Duration = Duration::from_millis(10);

/// Limits may change meanwhile, so it is looked again after this.
const PAUSE_MAX: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Throttle {
    user: Option<Arc<Bucket>>,
    vhost: Option<Arc<Bucket>>,
    /// Nothing is read until then; `NEVER` while it may be.
    until: Time,
}

impl Throttle {
    /// What limits a user in a vhost now, if anything does.
    pub fn of(services: &Services, user: &UserName, vhost: &Vhost, now: Time) -> Option<Box<Self>> {
        let rates = &services.broker.message_rates;
        let limits = services.authenticator.users().find(user).map(|user| user.limits);
        let bucket = |whose: Whose, rate| rates.bucket(whose, rate, now);
        let of_user = limits.and_then(|limits| limits.message_rate_max);
        let of_user = of_user.map(|rate| bucket(Whose::User(user.clone()), rate));
        let of_vhost = vhost.metadata().message_rate_max;
        let of_vhost = of_vhost.map(|rate| bucket(Whose::Vhost(vhost.name.clone()), rate));
        if of_user.is_none() && of_vhost.is_none() {
            return None;
        }
        Some(Box::new(Self { user: of_user, vhost: of_vhost, until: Time::NEVER }))
    }

    /// Whether one more message may be taken. If not, [`is_closed`](Self::is_closed) for a while.
    pub fn take(&mut self, now: Time) -> bool {
        let buckets = self.user.iter().chain(&self.vhost).map(|bucket| &**bucket);
        match take_all(&buckets.collect::<smallvec::SmallVec<[_; 2]>>(), now) {
            Ok(()) => true,
            Err(when) => {
                self.until = when.clamp(now + PAUSE_MIN, now + PAUSE_MAX);
                false
            }
        }
    }

    pub fn is_closed(&self) -> bool {
        self.until != Time::NEVER
    }

    /// When to [`look`](Self::look).
    pub fn deadline(&self) -> Time {
        self.until
    }

    /// Time has passed.
    pub fn look(&mut self, now: Time) {
        if now >= self.until {
            self.until = Time::NEVER;
        }
    }
}
