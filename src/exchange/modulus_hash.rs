//! The modulus hash exchange: each message goes to one binding, by a hash of its key modulo their
//! number (B4.17). A binding more or less moves most keys; `consistent_hash` does not do that.

use super::digest::{Target, digest};
use super::ordered::Ordered;
use super::{Binding, ExchangeType, RoutingView};

pub(super) struct ModulusHash<D> {
    bindings: Ordered<D>,
}

impl<D: Target> ExchangeType<D> for ModulusHash<D> {
    fn bind(&mut self, binding: &Binding<D>) {
        self.bindings.add(&binding.destination);
    }

    fn unbind(&mut self, binding: &Binding<D>) {
        self.bindings.remove(&binding.destination);
    }

    fn route(&self, message: &RoutingView<'_>, found: &mut dyn FnMut(&D)) {
        let hash = digest(b'k', message.routing_key);
        if let Some(place) = hash.checked_rem(self.bindings.len() as u64) {
            self.bindings.get(place as usize).into_iter().for_each(found);
        }
    }

    fn by_key_only(&self) -> bool {
        true
    }

    fn is_choice(&self) -> bool {
        true
    }
}

impl<D> Default for ModulusHash<D> {
    fn default() -> Self {
        Self { bindings: Ordered::default() }
    }
}
