//! The fanout exchange: every message goes to every destination, whatever its key (B4.10).

use std::hash::Hash;

use super::destinations::Destinations;
use super::{Binding, ExchangeType, RoutingView};

pub(super) struct Fanout<D> {
    destinations: Destinations<D>,
}

impl<D: Clone + Eq + Hash + Send + Sync> ExchangeType<D> for Fanout<D> {
    fn bind(&mut self, binding: &Binding<D>) {
        self.destinations.add(&binding.destination);
    }

    fn unbind(&mut self, binding: &Binding<D>) {
        self.destinations.remove(&binding.destination);
    }

    fn route(&self, _message: &RoutingView<'_>, found: &mut dyn FnMut(&D)) {
        self.destinations.each(found);
    }

    /// True, and more: the key does not matter either.
    fn by_key_only(&self) -> bool {
        true
    }
}

impl<D> Default for Fanout<D> {
    fn default() -> Self {
        Self { destinations: Destinations::default() }
    }
}
