//! leveret: an AMQP 0-9-1 message broker.
//!
//! ```text
//! bytes → frames → methods → session → exchange → queue → delivery → bytes
//!                                          ↘ storage ↗
//! ```
//!
//! The rooms, in the order in which the data moves:
//!
//! - [`names`], [`time`], [`message`]: what travels through all of them.
//! - [`protocol`]: bytes to frames to methods, and back. No I/O, no clock, no broker.
//! - [`session`]: what frames mean, for one client. No socket, no task, no clock.
//! - [`exchange`]: headers and key in, destinations out. Pure.
//! - [`queue`]: messages waiting, and who gets the next one. Never awaits, never touches a file.
//! - [`delivery`]: hand-over from a queue to a connection.
//! - [`broker`]: names to things, and the rules that span rooms; the lock order is written there.
//! - [`storage`]: what survives a restart.
//! - [`auth`]: users, passwords, mechanisms.
//! - [`config`]: typed settings from defaults, file, environment and flags.
//! - [`transport`]: what lies between a TCP socket and what is spoken over it: TLS, the PROXY
//!   protocol.
//! - [`log`]: what the others tell, as lines.
//! - [`management`]: what operators and their tools ask for, over HTTP.
//! - [`server`]: sockets, and the one task per connection.
//! - [`ctl`]: operations against a running broker, over its HTTP API.
//! - [`process`]: what the system is told and asked: systemd, signals, limits.
//! - [`perf`]: a load generator for any broker; it shares only the codec with this one.

pub mod names;
pub mod time;

pub mod protocol;

pub mod message;

pub mod session;

pub mod exchange;

pub mod queue;

pub mod delivery;

pub mod broker;

pub mod storage;

pub mod auth;
pub mod config;
pub mod log;
pub mod management;
pub mod process;
pub mod server;
pub mod transport;

pub mod ctl;
pub mod perf;
