//! Headers and key in, destinations out.
//!
//! An exchange is its bindings, arranged so that a message finds the matching ones fast. What a
//! destination is, a queue or another exchange, is the caller's business: everything here is generic
//! in it. The caller also owns the lock, keeps each binding only once, and makes the result a set
//! (behaviour B4.9). A new type of exchange is one more file and one more `ExchangeKind`.
//!
//! Invariant: pure. No I/O, no clock, no lock, and routing cannot fail.

mod binding;
mod consistent_hash;
mod destinations;
mod digest;
mod direct;
mod fanout;
mod headers;
mod kind;
mod modulus_hash;
mod ordered;
mod random;
mod term;
mod topic;
mod vocabulary;

#[cfg(test)]
mod tests;

pub use self::binding::Binding;
pub use self::digest::{Target, digest, mix};
pub use self::kind::ExchangeKind;

use crate::names::RoutingKey;
use crate::protocol::{AmqpError, FieldTable, Properties};

/// What a message shows to an exchange.
#[derive(Clone, Copy, Debug)]
pub struct RoutingView<'a> {
    pub routing_key: &'a [u8],
    /// The codec has checked that the headers among them are well formed.
    pub properties: &'a Properties<'a>,
    /// Any number, another one for each message and exchange: all chance comes from here.
    pub random: u64,
}

/// The behaviour of one exchange together with the bindings it routes by.
pub trait ExchangeType<D>: Send + Sync {
    /// Checks a binding before it is made; the error names what the client has to change.
    fn validate(
        &self,
        _routing_key: &RoutingKey,
        _arguments: &FieldTable,
    ) -> Result<(), AmqpError> {
        Ok(())
    }

    /// Adds a binding. The caller has validated it and guarantees that it is new.
    fn bind(&mut self, binding: &Binding<D>);

    /// Takes a binding away. The caller guarantees that it is there.
    fn unbind(&mut self, binding: &Binding<D>);

    /// Calls `found` for each destination of the message, for some perhaps several times.
    fn route(&self, message: &RoutingView<'_>, found: &mut dyn FnMut(&D));

    /// Whether messages with the same key always go the same way, so that the way may be cached.
    fn by_key_only(&self) -> bool;

    /// Whether each message goes to one destination at most, out of several that it might go to. Then
    /// only its first routing key counts.
    fn is_choice(&self) -> bool {
        false
    }
}
