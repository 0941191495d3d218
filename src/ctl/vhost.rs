//! `leveret ctl vhosts`, and limits of virtual hosts and users.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::Ctl;
use super::error::CtlError;
use super::list::{self, List, ListOptions};
use super::output::{field, rows_of};
use super::thing::Thing;

#[derive(Subcommand)]
pub enum VhostCommand {
    List(ListOptions),
    /// Make a virtual host, or change what is said of it
    Add {
        name: String,
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        #[arg(long, value_delimiter = ',')]
        tags: Option<Vec<String>>,
        /// The type of queues that are declared without one: classic, quorum, stream
        #[arg(long, value_name = "TYPE")]
        default_queue_type: Option<String>,
    },
    /// Delete a virtual host with all that is in it
    Delete {
        name: String,
    },
    /// Show, set and clear what a virtual host may have of something
    Limits {
        name: Option<String>,
        #[command(flatten)]
        limits: LimitOptions,
        #[arg(long, value_name = "N")]
        max_queues: Option<i64>,
    },
}

/// A negative number lifts a limit.
#[derive(Args)]
#[command(allow_negative_numbers = true)]
pub struct LimitOptions {
    #[arg(long, value_name = "N")]
    max_connections: Option<i64>,
    /// New connections a second
    #[arg(long, value_name = "N")]
    max_connection_rate: Option<i64>,
    /// Messages published a second
    #[arg(long, value_name = "N")]
    max_message_rate: Option<i64>,
    /// Lift all limits
    #[arg(long)]
    pub clear: bool,
}

impl LimitOptions {
    pub fn given(&self) -> Vec<(&'static str, i64)> {
        let all = [
            ("max-connections", self.max_connections),
            ("max-connection-rate", self.max_connection_rate),
            ("max-message-rate", self.max_message_rate),
        ];
        all.into_iter().filter_map(|(name, max)| Some((name, max?))).collect()
    }
}

const LIST: List = List {
    path: "vhosts",
    columns: &["name", "description", "tags", "default_queue_type", "messages"],
    by_vhost: false,
};

pub async fn run(ctl: &mut Ctl, command: VhostCommand) -> Result<(), CtlError> {
    match command {
        VhostCommand::List(options) => list::show(ctl, &LIST, options).await,
        VhostCommand::Add { name, description, tags, default_queue_type } => {
            let mut body = Map::new();
            let tags = tags.map(|tags| tags.join(","));
            for (key, value) in [
                ("description", description),
                ("tags", tags),
                ("default_queue_type", default_queue_type),
            ] {
                body.extend(value.map(|value| (key.to_owned(), value.into())));
            }
            let made = ctl.client.put(&Thing::vhost(&name), body.into()).await?;
            let outcome = if made { "is made" } else { "was there" };
            ctl.out.done(&format!("virtual host '{name}' {outcome}"));
            Ok(())
        }
        VhostCommand::Delete { name } => {
            ctl.confirm(&format!("delete virtual host '{name}' with all its queues"))?;
            ctl.client.delete(&Thing::vhost(&name)).await?;
            ctl.out.done(&format!("virtual host '{name}' is deleted"));
            Ok(())
        }
        VhostCommand::Limits { name, limits: options, max_queues } => {
            let mut set = options.given();
            set.extend(max_queues.map(|max| ("max-queues", max)));
            let name = name.or_else(|| ctl.vhost.clone());
            limits(ctl, "vhost", name.as_deref(), &set, options.clear).await
        }
    }
}

fn place(kind: &str) -> Thing {
    Thing::at([format!("{kind}-limits")])
}

/// What limits there are: objects with the name under `kind`, and `value`.
pub async fn limits_of(ctl: &Ctl, kind: &str, name: Option<&str>) -> Result<Vec<Value>, CtlError> {
    let mut thing = place(kind).below(name);
    if let Some(name) = name {
        thing = thing.called(format!("{kind} '{name}'"));
    }
    Ok(rows_of(&ctl.client.get(&thing).await?).to_vec())
}

/// Sets limits of a `vhost` or `user`; negative numbers lift them.
pub async fn set_limits(
    ctl: &Ctl,
    kind: &str,
    name: &str,
    limits: &[(&str, i64)],
) -> Result<(), CtlError> {
    for (limit, max) in limits {
        let thing = place(kind).below([name, limit]).called(format!("{kind} '{name}'"));
        ctl.client.put(&thing, json!({ "value": max })).await?;
    }
    Ok(())
}

pub async fn clear_limits(ctl: &Ctl, kind: &str, name: &str) -> Result<(), CtlError> {
    for row in limits_of(ctl, kind, Some(name)).await? {
        let known = field(&row, "value").and_then(Value::as_object);
        for limit in known.into_iter().flat_map(Map::keys) {
            ctl.client.delete(&place(kind).below([name, limit])).await?;
        }
    }
    Ok(())
}

/// Shows limits where none is set or cleared.
pub async fn limits(
    ctl: &Ctl,
    kind: &str,
    name: Option<&str>,
    set: &[(&str, i64)],
    clear: bool,
) -> Result<(), CtlError> {
    if set.is_empty() && !clear {
        ctl.out.list(&limits_of(ctl, kind, name).await?, &[kind, "value"]);
        return Ok(());
    }
    let whose = || CtlError::Usage(format!("say which {kind}"));
    let name = name.ok_or_else(whose)?;
    if clear {
        clear_limits(ctl, kind, name).await?;
    }
    set_limits(ctl, kind, name, set).await?;
    ctl.out.done(&format!("the limits of {kind} '{name}' are changed"));
    Ok(())
}
