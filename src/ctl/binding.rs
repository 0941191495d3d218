//! `leveret ctl bindings`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Ctl;
use super::error::CtlError;
use super::list::{self, List, ListOptions};
use super::output::{field, rows_of, text_of};
use super::thing::Thing;
use super::value::pairs;

#[derive(Subcommand)]
pub enum BindingCommand {
    List {
        #[command(flatten)]
        list: ListOptions,
        /// Only those of this exchange
        #[arg(long, value_name = "EXCHANGE", conflicts_with = "queue")]
        source: Option<String>,
        /// Only those that lead to this queue
        #[arg(long)]
        queue: Option<String>,
    },
    /// Bind a queue, or an exchange, to an exchange
    Declare(Binding),
    Delete(Binding),
}

#[derive(Args)]
pub struct Binding {
    /// The exchange that messages come from
    source: String,
    /// The queue that they go to
    destination: String,
    #[arg(short = 'k', long, default_value = "")]
    routing_key: String,
    /// The destination is an exchange
    #[arg(long)]
    to_exchange: bool,
    /// An argument, such as x-match=any; may be repeated
    #[arg(long, short, value_name = "NAME=VALUE")]
    argument: Vec<String>,
}

const LIST: List = List {
    path: "bindings",
    columns: &["vhost", "source", "destination_type", "destination", "routing_key", "arguments"],
    by_vhost: true,
};

impl Binding {
    fn between(&self, vhost: &str) -> Thing {
        let kind = if self.to_exchange { "e" } else { "q" };
        let source = if self.source.is_empty() { "amq.default" } else { &self.source };
        let path = ["bindings", vhost, "e", source, kind, &self.destination];
        Thing::at(path).called(self.to_string())
    }
}

impl std::fmt::Display for Binding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { source, destination, routing_key, .. } = self;
        write!(f, "binding from '{source}' to '{destination}' with key '{routing_key}'")
    }
}

pub async fn run(ctl: &mut Ctl, command: BindingCommand) -> Result<(), CtlError> {
    match command {
        BindingCommand::List { list, source, queue } => {
            let thing = match (source, queue) {
                (Some(source), _) => {
                    Thing::exchange(ctl.vhost(), &source).below(["bindings", "source"])
                }
                (None, Some(queue)) => Thing::queue(ctl.vhost(), &queue).below(["bindings"]),
                (None, None) => LIST.thing(ctl.vhost.as_deref()),
            };
            list::show_of(ctl, &thing, LIST.columns, list).await
        }
        BindingCommand::Declare(binding) => {
            let arguments = Value::Object(pairs(&binding.argument)?);
            let body = json!({ "routing_key": binding.routing_key, "arguments": arguments });
            ctl.client.post(&binding.between(ctl.vhost()), body).await?;
            ctl.out.done(&format!("{binding} is made"));
            Ok(())
        }
        BindingCommand::Delete(binding) => delete(ctl, &binding).await,
    }
}

/// The API calls a binding by its key and a digest of its arguments, so it is looked for first.
async fn delete(ctl: &Ctl, binding: &Binding) -> Result<(), CtlError> {
    let between = binding.between(ctl.vhost());
    let arguments = Value::Object(pairs(&binding.argument)?);
    let all = ctl.client.get(&between).await?;
    let is_it = |row: &&Value| {
        text_of(row, "routing_key") == binding.routing_key
            && field(row, "arguments") == Some(&arguments)
    };
    let found = rows_of(&all).iter().find(is_it).ok_or_else(|| between.missing())?;
    ctl.confirm(&format!("delete the {binding}"))?;
    ctl.client.delete(&between.below([text_of(found, "properties_key")])).await?;
    ctl.out.done(&format!("{binding} is deleted"));
    Ok(())
}
