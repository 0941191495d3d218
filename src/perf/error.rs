//! What ends a run before its time. Each displays as one line.

use std::io;
use std::path::PathBuf;

use crate::transport::tls::TlsError;

#[derive(Debug, thiserror::Error)]
pub enum PerfError {
    #[error("cannot connect to {address}: {cause}")]
    Unreachable { address: String, cause: io::Error },
    #[error("no answer from {address} within {seconds} s")]
    NoAnswer { address: String, seconds: u64 },
    #[error("{address} does not speak AMQP 0-9-1")]
    NotAmqp { address: String },
    #[error("{address} closed the connection{when}")]
    Lost { address: String, when: &'static str },
    #[error("{address}: {cause}")]
    Socket { address: String, cause: io::Error },
    #[error("{address} said nothing for {seconds} s, two heartbeats")]
    Silent { address: String, seconds: u64 },
    /// `connection.close` or `channel.close`: the text begins with the code's name.
    #[error("the broker closed the {scope}: {code} {text}{of}", of = of(*.class, *.method))]
    Closed { scope: &'static str, code: u16, text: String, class: u16, method: u16 },
    #[error("{address} allows {allowed} channels on a connection, not {wanted}")]
    Channels { address: String, wanted: u64, allowed: u16 },
    #[error("the broker cancelled the consumer {0}")]
    Cancelled(String),
    /// Something that no broker should send.
    #[error("the broker broke the protocol: {0}")]
    Protocol(String),
    #[error("{0}")]
    Certificates(#[from] TlsError),
    #[error("cannot write {}: {cause}", path.display())]
    Write { path: PathBuf, cause: io::Error },
    #[error("cannot read {}: {cause}", path.display())]
    Read { path: PathBuf, cause: String },
    #[error("cannot start: {0}")]
    Runtime(io::Error),
}

/// The method that was at fault, where the broker names one.
fn of(class: u16, method: u16) -> String {
    if class == 0 { String::new() } else { format!(" (method {class}.{method})") }
}
