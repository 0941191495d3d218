//! `leveret ctl`, and RabbitMQ's tools by their names: the real binary, run against a broker in this
//! process.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/certificates.rs"]
mod certificates;
#[path = "support/server.rs"]
mod server;

#[path = "ctl/broker.rs"]
mod broker;
#[path = "ctl/commands.rs"]
mod commands;
#[path = "ctl/failures.rs"]
mod failures;
#[path = "ctl/legacy.rs"]
mod legacy;
#[path = "ctl/messages.rs"]
mod messages;
#[path = "ctl/terminal.rs"]
mod terminal;
#[path = "ctl/watch.rs"]
mod watch;
