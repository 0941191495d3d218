//! The broker over real sockets: lapin, amqprs, and bytes no client would send.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail")]

#[path = "../support/certificates.rs"]
mod certificates;
#[path = "../support/key_server.rs"]
mod key_server;
#[path = "../support/process.rs"]
mod process;
#[path = "../support/server.rs"]
mod server;
#[path = "../support/socket.rs"]
mod socket;
#[path = "../support/token.rs"]
mod token;

mod alarms;

mod amqprs;
mod audit;
mod bad_input;
mod lapin;
mod logins;
mod memory;
mod oauth2;
mod perf;
mod permissions;
mod proxy;
mod rates;
mod slow_clients;
mod tls;
