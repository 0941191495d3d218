//! The keys that are known at this moment, and who waits for newer ones.
//!
//! Fetching is done elsewhere, in the background. Who meets a key that is not known asks for it with
//! [`want`](KeyStore::want), and is called when the next fetch has ended, however it did. Keys stay in use until a
//! fetch brings others: that the server of the keys is down keeps nobody out whose key is known.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use atomic_waker::AtomicWaker;
use parking_lot::Mutex;

use super::key_set::KeySet;
use crate::time::Time;

/// So long nothing is fetched on behalf of unknown keys after a fetch: anybody can make up a key's name.
pub const FETCH_PAUSE: Duration = Duration::from_secs(10);

/// Called once, when a fetch has ended.
pub type OnFetched = Box<dyn FnOnce() + Send>;

#[derive(Default)]
pub struct KeyStore {
    /// From files; they never change.
    fixed: KeySet,
    state: Mutex<State>,
    fetcher: AtomicWaker,
}

#[derive(Default)]
struct State {
    fetched: Arc<KeySet>,
    /// There is somebody who fetches.
    has_source: bool,
    /// A fetch is asked for or under way.
    is_fetching: bool,
    /// When the last one ended.
    last: Option<Time>,
    waiting: Vec<OnFetched>,
}

impl KeyStore {
    /// `has_source`: keys come from a server as well, and the first fetch is about to begin.
    pub fn new(fixed: KeySet, has_source: bool) -> Self {
        let state = State { has_source, is_fetching: has_source, ..State::default() };
        Self { fixed, state: Mutex::new(state), fetcher: AtomicWaker::new() }
    }

    pub(super) fn fixed(&self) -> &KeySet {
        &self.fixed
    }

    pub(super) fn fetched(&self) -> Arc<KeySet> {
        Arc::clone(&self.state.lock().fetched)
    }

    /// Asks for keys newer than those that are known. False: there are none to be had now, and
    /// `on_fetched` is never called.
    pub fn want(&self, now: Time, on_fetched: OnFetched) -> bool {
        let mut state = self.state.lock();
        let rests = state.last.is_some_and(|last| now < last + FETCH_PAUSE);
        if !state.has_source || (rests && !state.is_fetching) {
            return false;
        }
        state.is_fetching = true;
        state.waiting.push(on_fetched);
        drop(state);
        self.fetcher.wake();
        true
    }

    pub fn is_fetching(&self) -> bool {
        self.state.lock().is_fetching
    }

    /// For the one who fetches: ready when there is somebody to fetch for.
    pub fn poll_wanted(&self, context: &Context<'_>) -> Poll<()> {
        self.fetcher.register(context.waker());
        if self.is_fetching() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// A fetch begins, for whatever reason.
    pub fn fetch_begins(&self) {
        self.state.lock().is_fetching = true;
    }

    /// A fetch ended: with keys, which replace those of the last one, or without any.
    pub fn fetch_ended(&self, keys: Option<KeySet>, now: Time) {
        let mut state = self.state.lock();
        if let Some(keys) = keys {
            state.fetched = Arc::new(keys);
        }
        state.is_fetching = false;
        state.last = Some(now);
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(|on_fetched| on_fetched());
    }
}
