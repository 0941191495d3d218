//! The broker as a client's bytes and the time meet it: scripted peers, no sockets, a virtual clock.
//!
//! One program, since each test program links the whole broker.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail")]

#[path = "../support/mod.rs"]
mod support;
#[path = "../support/token.rs"]
mod token;

mod alarms;
mod at_least_once;
mod binding;
mod channel;
mod choice;
mod confirms;
mod connection;
mod consume;
mod consumer_timeout;
mod content;
mod dead_letter;
mod deduplication;
mod default_queue_type;
mod definitions;
mod delay;
mod dispatch;
mod errors;
mod exchange;
mod expiry;
mod handshake;
mod limits;
mod logins;
mod oauth2;
mod parked;
mod permissions;
mod policy;
mod priority;
mod publish;
mod qos;
mod queue;
mod queue_arguments;
mod queue_declare;
mod quorum;
mod races;
mod rates;
mod relocate;
mod reply_to;
mod restart;
mod return_to_tail;
mod settle;
mod stats;
mod stream_model;
mod streams;
mod take_over;
mod tx;
mod vhosts;
mod wire;
