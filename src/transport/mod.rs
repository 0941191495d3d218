//! What lies between a TCP socket and what is spoken over it: TLS, for AMQP and HTTP alike.
//!
//! Invariant: no listener, no task, and nothing of what the bytes inside mean.

pub mod tls;
