//! `leveret ctl connections`, `channels` and `consumers`.

use clap::Subcommand;
use hyper::Method;
use serde_json::Value;

use super::Ctl;
use super::error::CtlError;
use super::list::{self, List, ListOptions};
use super::output::{rows_of, text_of};
use super::thing::Thing;

#[derive(Subcommand)]
pub enum ConnectionCommand {
    List(ListOptions),
    /// All about one connection
    Show {
        connection: String,
    },
    /// Close one, by the name that list shows
    Close {
        connection: String,
        /// What the client is told
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Close all of a virtual host, of a user, or of the broker
    CloseAll {
        /// Only those of this user
        #[arg(long, value_name = "USER")]
        of_user: Option<String>,
        /// What the clients are told
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}

#[derive(Subcommand)]
pub enum ChannelCommand {
    List(ListOptions),
}

#[derive(Subcommand)]
pub enum ConsumerCommand {
    List(ListOptions),
}

const CONNECTIONS: [&str; 8] =
    ["name", "user", "vhost", "state", "channels", "ssl", "received_rate", "sent_rate"];

const SHOWN: [&str; 20] = [
    "name",
    "user_provided_name",
    "user",
    "vhost",
    "state",
    "protocol",
    "auth_mechanism",
    "ssl",
    "peer_host",
    "peer_port",
    "host",
    "port",
    "connected_at",
    "channels",
    "channel_max",
    "frame_max",
    "timeout",
    "memory",
    "received_rate",
    "sent_rate",
];

const CHANNELS: [&str; 9] = [
    "name",
    "user",
    "vhost",
    "state",
    "consumer_count",
    "prefetch_count",
    "unacked",
    "unconfirmed",
    "confirm",
];

const CONSUMERS: List = List {
    path: "consumers",
    columns: &[
        "queue.vhost",
        "queue.name",
        "consumer_tag",
        "connection",
        "ack_required",
        "prefetch_count",
        "active",
    ],
    by_vhost: true,
};

/// Where connections or channels are listed.
fn place(vhost: Option<&str>, noun: &str) -> Thing {
    match vhost {
        Some(vhost) => Thing::vhost(vhost).below([noun]),
        None => Thing::at([noun]),
    }
}

pub async fn run(ctl: &mut Ctl, command: ConnectionCommand) -> Result<(), CtlError> {
    match command {
        ConnectionCommand::List(options) => {
            let thing = place(ctl.vhost.as_deref(), "connections");
            list::show_of(ctl, &thing, &CONNECTIONS, options).await
        }
        ConnectionCommand::Show { connection } => {
            let shown = ctl.client.get(&named(&connection)).await?;
            ctl.out.object(&shown, &SHOWN);
            Ok(())
        }
        ConnectionCommand::Close { connection, reason } => {
            ctl.confirm(&format!("close the connection '{connection}'"))?;
            close(ctl, &connection, reason.as_deref()).await?;
            ctl.out.done(&format!("connection '{connection}' is closed"));
            Ok(())
        }
        ConnectionCommand::CloseAll { of_user, reason } => {
            let vhost = ctl.vhost.clone();
            let names = names(ctl, vhost.as_deref(), of_user.as_deref()).await?;
            if !names.is_empty() {
                ctl.confirm(&format!("close {} connections", names.len()))?;
            }
            let closed = close_all(ctl, &names, reason.as_deref()).await?;
            ctl.out.done(&format!("{closed} connections are closed"));
            Ok(())
        }
    }
}

fn named(connection: &str) -> Thing {
    Thing::at(["connections", connection]).called(format!("connection '{connection}'"))
}

pub async fn close(ctl: &Ctl, connection: &str, reason: Option<&str>) -> Result<(), CtlError> {
    let thing = named(connection);
    let answer = ctl.client.send(Method::DELETE, &thing, None, reason).await?;
    match answer.status.is_success() {
        true => Ok(()),
        false => Err(ctl.client.refusal(&thing, &answer)),
    }
}

/// Names of the connections of a virtual host, of a user, or all.
pub async fn names(
    ctl: &Ctl,
    vhost: Option<&str>,
    user: Option<&str>,
) -> Result<Vec<String>, CtlError> {
    let all = place(vhost, "connections").with(&[("columns", "name,user")]);
    let all = ctl.client.get(&all).await?;
    let is_theirs = |row: &&Value| user.is_none_or(|user| text_of(row, "user") == user);
    let rows = rows_of(&all).iter().filter(is_theirs);
    Ok(rows.map(|row| text_of(row, "name").to_owned()).collect())
}

/// How many there were. Who is gone meanwhile is no matter.
pub async fn close_all(
    ctl: &Ctl,
    names: &[String],
    reason: Option<&str>,
) -> Result<usize, CtlError> {
    let mut closed = 0;
    for name in names {
        match close(ctl, name, reason).await {
            Ok(()) => closed += 1,
            Err(CtlError::Data(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(closed)
}

pub async fn channels(ctl: &mut Ctl, command: ChannelCommand) -> Result<(), CtlError> {
    let ChannelCommand::List(options) = command;
    let thing = place(ctl.vhost.as_deref(), "channels");
    list::show_of(ctl, &thing, &CHANNELS, options).await
}

pub async fn consumers(ctl: &mut Ctl, command: ConsumerCommand) -> Result<(), CtlError> {
    let ConsumerCommand::List(options) = command;
    list::show(ctl, &CONSUMERS, options).await
}
