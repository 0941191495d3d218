//! The topic exchange: binding keys are patterns over the words of the routing key (B4.11).
//!
//! The matching is in `trie`; which words there are is in `words`.

mod trie;
mod words;

#[cfg(test)]
mod tests;

use std::hash::Hash;

use self::trie::Trie;
use super::{Binding, ExchangeType, RoutingView};

pub(super) struct Topic<D> {
    trie: Trie<D>,
}

impl<D: Clone + Eq + Hash + Send + Sync> ExchangeType<D> for Topic<D> {
    fn bind(&mut self, binding: &Binding<D>) {
        self.trie.insert(binding.routing_key.as_bytes(), &binding.destination);
    }

    fn unbind(&mut self, binding: &Binding<D>) {
        self.trie.remove(binding.routing_key.as_bytes(), &binding.destination);
    }

    fn route(&self, message: &RoutingView<'_>, found: &mut dyn FnMut(&D)) {
        self.trie.matches(message.routing_key, found);
    }

    fn by_key_only(&self) -> bool {
        true
    }
}

impl<D> Default for Topic<D> {
    fn default() -> Self {
        Self { trie: Trie::default() }
    }
}
