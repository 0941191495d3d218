//! `leveret ctl policies`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Ctl;
use super::error::CtlError;
use super::list::{self, List, ListOptions};
use super::thing::Thing;
use super::value::object;

#[derive(Subcommand)]
pub enum PolicyCommand {
    List {
        #[command(flatten)]
        list: ListOptions,
        /// Operator policies, which set limits that others cannot lift
        #[arg(long)]
        operator: bool,
    },
    /// Make or replace a policy
    Set(SetOptions),
    /// Delete a policy
    Clear {
        name: String,
        #[arg(long)]
        operator: bool,
    },
}

#[derive(Args)]
pub struct SetOptions {
    name: String,
    /// A regular expression for names of queues and exchanges
    pattern: String,
    /// max-length=1000,overflow=reject-publish, or JSON
    definition: String,
    /// Of several policies that match, the highest counts
    #[arg(long, value_name = "N", default_value = "0", allow_negative_numbers = true)]
    priority: i64,
    /// all, queues, exchanges, classic_queues, quorum_queues, streams
    #[arg(long, value_name = "WHAT", default_value = "all")]
    apply_to: String,
    #[arg(long)]
    operator: bool,
}

pub const COLUMNS: [&str; 6] = ["vhost", "name", "pattern", "apply-to", "priority", "definition"];

pub const LIST: List = List { path: "policies", columns: &COLUMNS, by_vhost: true };
pub const OPERATOR_LIST: List =
    List { path: "operator-policies", columns: &COLUMNS, by_vhost: true };

pub fn list_of(operator: bool) -> &'static List {
    if operator { &OPERATOR_LIST } else { &LIST }
}

pub fn named(operator: bool, vhost: &str, name: &str) -> Thing {
    let kind = if operator { "operator policy" } else { "policy" };
    let called = format!("{kind} '{name}' in vhost '{vhost}'");
    Thing::at([list_of(operator).path, vhost, name]).called(called)
}

pub async fn run(ctl: &mut Ctl, command: PolicyCommand) -> Result<(), CtlError> {
    match command {
        PolicyCommand::List { list, operator } => list::show(ctl, list_of(operator), list).await,
        PolicyCommand::Set(options) => {
            let definition = object(&options.definition, "the definition")?;
            let SetOptions { name, pattern, priority, apply_to, operator, .. } = options;
            set(ctl, operator, &name, &pattern, definition, priority, &apply_to).await?;
            ctl.out.done(&format!("{} is set", named(operator, ctl.vhost(), &name).name()));
            Ok(())
        }
        PolicyCommand::Clear { name, operator } => {
            let thing = named(operator, ctl.vhost(), &name);
            ctl.confirm(&format!("delete {}", thing.name()))?;
            ctl.client.delete(&thing).await?;
            ctl.out.done(&format!("{} is deleted", thing.name()));
            Ok(())
        }
    }
}

pub async fn set(
    ctl: &Ctl,
    operator: bool,
    name: &str,
    pattern: &str,
    definition: Value,
    priority: i64,
    apply_to: &str,
) -> Result<(), CtlError> {
    let thing =
        named(operator, ctl.vhost(), name).called(format!("virtual host '{}'", ctl.vhost()));
    let body = json!({
        "pattern": pattern,
        "definition": definition,
        "priority": priority,
        "apply-to": apply_to,
    });
    ctl.client.put(&thing, body).await.map(drop)
}
