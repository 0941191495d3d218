//! The direct exchange: a message goes where its routing key is bound, byte for byte (B4.10).

use std::hash::Hash;

use ahash::AHashMap;

use super::destinations::Destinations;
use super::{Binding, ExchangeType, RoutingView};

pub(super) struct Direct<D> {
    /// Keyed by bytes, because the key of a publish need not be UTF-8 and is looked up as it came.
    keys: AHashMap<Box<[u8]>, Destinations<D>>,
}

impl<D: Clone + Eq + Hash + Send + Sync> ExchangeType<D> for Direct<D> {
    fn bind(&mut self, binding: &Binding<D>) {
        let key = Box::from(binding.routing_key.as_bytes());
        self.keys.entry(key).or_default().add(&binding.destination);
    }

    fn unbind(&mut self, binding: &Binding<D>) {
        let key = binding.routing_key.as_bytes();
        let Some(destinations) = self.keys.get_mut(key) else {
            debug_assert!(false, "a binding is unbound only where it was bound");
            return;
        };
        destinations.remove(&binding.destination);
        if destinations.is_empty() {
            self.keys.remove(key);
        }
    }

    fn route(&self, message: &RoutingView<'_>, found: &mut dyn FnMut(&D)) {
        if let Some(destinations) = self.keys.get(message.routing_key) {
            destinations.each(found);
        }
    }

    fn by_key_only(&self) -> bool {
        true
    }
}

impl<D> Default for Direct<D> {
    fn default() -> Self {
        Self { keys: AHashMap::new() }
    }
}
