//! Where the last messages went.
//!
//! A publisher sends to few addresses many times. Each connection remembers, by the very bytes the
//! client sent (exchange and routing key), which queues they lead to; a hit takes no lock and looks
//! nothing up. Any change of the vhost's topology makes the whole cache worthless, which one
//! comparison of generations notices.

use ahash::AHashMap;
use smallvec::SmallVec;

use std::sync::Arc;

use super::stats::ExchangeStats;
use crate::queue::{Keeps, Queue};

/// Addresses remembered; one more and the cache starts anew.
const ROUTES_MAX: usize = 4096;

#[derive(Debug)]
pub(super) struct Route {
    address: Box<[u8]>,
    pub(super) queues: SmallVec<[Arc<Queue>; 1]>,
    /// What the store has to know for some of the queues.
    pub(super) keeps: Keeps,
    /// Where each queue's messages are gathered in batch number `epoch`.
    pub(super) groups: SmallVec<[u32; 1]>,
    pub(super) epoch: u64,
    pub(super) exchange: Arc<ExchangeStats>,
    /// Messages that went this way and `exchange` has not been told of.
    pub(super) uncounted: u32,
}

#[derive(Debug, Default)]
pub(super) struct RouteCache {
    generation: u64,
    routes: Vec<Route>,
    by_address: AHashMap<Box<[u8]>, usize>,
    last: usize,
}

impl RouteCache {
    /// The number of the route for `address`, if it was stored under this `generation`.
    #[inline]
    pub(super) fn find(&mut self, address: &[u8], generation: u64) -> Option<usize> {
        if self.generation != generation {
            self.clear();
            self.generation = generation;
            return None;
        }
        if self.routes.get(self.last).is_some_and(|route| *route.address == *address) {
            return Some(self.last);
        }
        self.last = *self.by_address.get(address)?;
        Some(self.last)
    }

    /// Remembers a route that was computed under `generation`, unless that is over by now.
    pub(super) fn store(
        &mut self,
        address: &[u8],
        generation: u64,
        queues: &[Arc<Queue>],
        exchange: &Arc<ExchangeStats>,
    ) -> Option<usize> {
        if self.generation != generation {
            return None;
        }
        if self.routes.len() >= ROUTES_MAX {
            self.clear();
        }
        let address: Box<[u8]> = address.into();
        self.last = self.routes.len();
        self.by_address.insert(address.clone(), self.last);
        let keeps = queues.iter().map(|queue| queue.keeps).max().unwrap_or_default();
        let queues = queues.iter().cloned().collect();
        self.routes.push(Route {
            address,
            queues,
            keeps,
            groups: SmallVec::new(),
            epoch: 0,
            exchange: Arc::clone(exchange),
            uncounted: 0,
        });
        Some(self.last)
    }

    /// What it holds is void.
    #[inline]
    pub(super) fn is_older_than(&self, generation: u64) -> bool {
        self.generation != generation
    }

    #[inline]
    pub(super) fn route_mut(&mut self, index: usize) -> Option<&mut Route> {
        self.routes.get_mut(index)
    }

    fn clear(&mut self) {
        self.routes.clear();
        self.by_address.clear();
        self.last = 0;
    }
}
