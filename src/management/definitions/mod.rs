//! All that is configured, as one document: to be kept, compared, and brought to another broker.
//!
//! `export` writes it as RabbitMQ does. `read` takes those of RabbitMQ 3.x and 4.x and of LavinMQ, and
//! checks the whole of it before anything changes: what is left for `apply` is to do it. What is there
//! already is kept where it cannot change (queues, exchanges) and replaced where it can.

mod apply;
pub(super) mod export;
mod read;

pub(super) use apply::apply;
pub(super) use read::{Document, check_component, set_limits};
