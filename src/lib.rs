//! leveret: an AMQP 0-9-1 message broker.
//!
//! ```text
//! bytes → frames → methods → session → exchange → queue → delivery → bytes
//! ```

pub mod auth;
pub mod config;
pub mod exchange;
pub mod names;
pub mod protocol;
