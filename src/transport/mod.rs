//! What lies between a TCP socket and what is spoken over it, for AMQP and HTTP alike: what a proxy
//! says in front, and TLS.
//!
//! Invariant: no listener, no task, and nothing of what the bytes inside mean.

pub mod proxy;
pub mod tls;
