//! The random exchange: each message goes to one binding, chosen by chance, whatever its key (B4.17).
//!
//! `x-local-random` is the same for a broker that is one node; its bindings must not have a key.

use super::digest::{Target, place};
use super::ordered::Ordered;
use super::{Binding, ExchangeType, RoutingView};
use crate::names::RoutingKey;
use crate::protocol::{AmqpError, FieldTable, ReplyCode};

pub(super) struct Random<D> {
    bindings: Ordered<D>,
    takes_keys: bool,
}

impl<D> Random<D> {
    /// `x-random`.
    pub(super) fn new() -> Self {
        Self { bindings: Ordered::default(), takes_keys: true }
    }

    /// `x-local-random`.
    pub(super) fn local() -> Self {
        Self { takes_keys: false, ..Self::new() }
    }
}

impl<D: Target> ExchangeType<D> for Random<D> {
    fn validate(&self, key: &RoutingKey, _arguments: &FieldTable) -> Result<(), AmqpError> {
        if self.takes_keys || key.as_str().is_empty() {
            return Ok(());
        }
        let text = format!("Non empty binding '{key}' key not permitted");
        Err(AmqpError::new(ReplyCode::PreconditionFailed, text))
    }

    fn bind(&mut self, binding: &Binding<D>) {
        self.bindings.add(&binding.destination);
    }

    fn unbind(&mut self, binding: &Binding<D>) {
        self.bindings.remove(&binding.destination);
    }

    fn route(&self, message: &RoutingView<'_>, found: &mut dyn FnMut(&D)) {
        let place = place(message.random, self.bindings.len());
        self.bindings.get(place).into_iter().for_each(found);
    }

    fn by_key_only(&self) -> bool {
        false
    }

    fn is_choice(&self) -> bool {
        true
    }
}
