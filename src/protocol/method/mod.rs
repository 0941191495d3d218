//! Methods: what a method frame says. One file per class, one struct per method, with the
//! specification's names; RabbitMQ's extensions are among them (behaviour B1.13).
//!
//! Everything but tables borrows from the payload. Decoding a publish, a deliver or an ack
//! allocates nothing.

pub mod access;
pub mod basic;
pub mod channel;
pub mod confirm;
pub mod connection;
pub mod exchange;
mod layout;
pub mod queue;
pub mod tx;

use super::reply::{AmqpError, MethodId, Octets, ReplyCode};
use super::wire::{Fault, Taken, put, take};

#[derive(Clone, PartialEq, Debug)]
pub enum Method<'a> {
    Connection(connection::Method<'a>),
    Channel(channel::Method<'a>),
    Access(access::Method<'a>),
    Exchange(exchange::Method<'a>),
    Queue(queue::Method<'a>),
    Basic(basic::Method<'a>),
    Confirm(confirm::Method),
    Tx(tx::Method),
}

impl<'a> Method<'a> {
    /// Decodes the payload of a method frame, all of it.
    ///
    /// The methods that come once per message are asked for first. That is not about the order of
    /// comparisons: here they are built in the caller's frame, whereas on the general way each of
    /// the nested results they pass through costs a copy of a whole method.
    #[inline]
    pub fn decode(payload: &'a [u8]) -> Result<Self, AmqpError> {
        if let Some((head, args)) = payload.split_first_chunk() {
            match head {
                [0, 60, 0, 40] => {
                    if let Ok(([], publish)) = basic::Publish::take(args) {
                        return Ok(Self::Basic(basic::Method::Publish(publish)));
                    }
                }
                [0, 60, 0, 60] => {
                    if let Ok(([], deliver)) = basic::Deliver::take(args) {
                        return Ok(Self::Basic(basic::Method::Deliver(deliver)));
                    }
                }
                [0, 60, 0, 80] => {
                    if let Ok(([], ack)) = basic::Ack::take(args) {
                        return Ok(Self::Basic(basic::Method::Ack(ack)));
                    }
                }
                _ => {}
            }
        }
        Self::decode_any(payload)
    }

    #[inline(never)]
    fn decode_any(payload: &'a [u8]) -> Result<Self, AmqpError> {
        match Self::take(payload) {
            Ok(([], method)) => Ok(method),
            Ok(_) => Err(refused(payload, Fault::Trailing)),
            Err(error) => Err(refused(payload, Fault::of(error))),
        }
    }

    fn take(payload: &'a [u8]) -> Taken<'a, Self> {
        let (input, class) = take::short(payload)?;
        let (args, number) = take::short(input)?;
        match class {
            basic::CLASS => within(basic::Method::take(number, args), Self::Basic),
            connection::CLASS => within(connection::Method::take(number, args), Self::Connection),
            channel::CLASS => within(channel::Method::take(number, args), Self::Channel),
            access::CLASS => within(access::Method::take(number, args), Self::Access),
            exchange::CLASS => within(exchange::Method::take(number, args), Self::Exchange),
            queue::CLASS => within(queue::Method::take(number, args), Self::Queue),
            confirm::CLASS => within(confirm::Method::take(number, args), Self::Confirm),
            tx::CLASS => within(tx::Method::take(number, args), Self::Tx),
            _ => Fault::UnknownMethod.err(),
        }
    }

    /// Appends the payload of a method frame: both numbers, then the arguments.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let id = self.id();
        put::short(out, id.class);
        put::short(out, id.method);
        match self {
            Self::Connection(method) => method.put(out),
            Self::Channel(method) => method.put(out),
            Self::Access(method) => method.put(out),
            Self::Exchange(method) => method.put(out),
            Self::Queue(method) => method.put(out),
            Self::Basic(method) => method.put(out),
            Self::Confirm(method) => method.put(out),
            Self::Tx(method) => method.put(out),
        }
    }

    pub fn id(&self) -> MethodId {
        match self {
            Self::Connection(method) => method.id(),
            Self::Channel(method) => method.id(),
            Self::Access(method) => method.id(),
            Self::Exchange(method) => method.id(),
            Self::Queue(method) => method.id(),
            Self::Basic(method) => method.id(),
            Self::Confirm(method) => method.id(),
            Self::Tx(method) => method.id(),
        }
    }

    /// Whether a content header follows.
    pub fn has_content(&self) -> bool {
        matches!(
            self,
            Self::Basic(
                basic::Method::Publish(_)
                    | basic::Method::Return(_)
                    | basic::Method::Deliver(_)
                    | basic::Method::GetOk(_)
            )
        )
    }
}

#[inline]
fn within<'a, M>(taken: Taken<'a, M>, wrap: impl Fn(M) -> Method<'a>) -> Taken<'a, Method<'a>> {
    taken.map(|(rest, method)| (rest, wrap(method)))
}

/// Which exception a payload deserves (B1.9, B1.10, B1.12).
#[cold]
fn refused(payload: &[u8], fault: Fault) -> AmqpError {
    let id = match (take::short(payload), payload.get(2..).map(take::short)) {
        (Ok((_, class)), Some(Ok((_, method)))) => MethodId::new(class, method),
        _ => MethodId::default(),
    };
    match fault {
        Fault::NotUtf8 => AmqpError::new(ReplyCode::FrameError, fault.to_string()),
        Fault::Table | Fault::TooDeep => {
            AmqpError::new(ReplyCode::SyntaxError, fault.to_string()).at(id)
        }
        Fault::UnknownMethod if is_class(id.class) => {
            AmqpError::new(ReplyCode::NotImplemented, format!("unknown method {id}")).at(id)
        }
        Fault::UnknownMethod => {
            AmqpError::new(ReplyCode::CommandInvalid, format!("unknown class of method {id}"))
                .at(id)
        }
        Fault::Short | Fault::Trailing => {
            let args = Octets(payload.get(4..).unwrap_or_default());
            AmqpError::new(ReplyCode::FrameError, format!("cannot decode {args}")).at(id)
        }
    }
}

fn is_class(class: u16) -> bool {
    matches!(
        class,
        connection::CLASS
            | channel::CLASS
            | access::CLASS
            | exchange::CLASS
            | queue::CLASS
            | basic::CLASS
            | confirm::CLASS
            | tx::CLASS
    )
}

#[cfg(test)]
mod tests;
