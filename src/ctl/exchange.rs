//! `leveret ctl exchanges`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Ctl;
use super::error::CtlError;
use super::list::{self, List, ListOptions};
use super::terminal::contents;
use super::thing::Thing;
use super::value::pairs;

#[derive(Subcommand)]
pub enum ExchangeCommand {
    List(ListOptions),
    /// All about one exchange
    Show {
        exchange: String,
    },
    /// Make an exchange; durable unless it is said otherwise
    Declare(DeclareOptions),
    Delete {
        exchange: String,
        /// Only if nothing is bound to it
        #[arg(long)]
        if_unused: bool,
    },
    /// Publish a message; exit code 1 if it goes to no queue
    Publish(PublishOptions),
}

#[derive(Args)]
pub struct DeclareOptions {
    exchange: String,
    /// direct, fanout, topic, headers, x-consistent-hash, …
    #[arg(long = "type", default_value = "direct")]
    kind: String,
    /// It ends with the broker
    #[arg(long)]
    transient: bool,
    /// It ends with its last binding
    #[arg(long)]
    auto_delete: bool,
    /// Only other exchanges publish to it
    #[arg(long)]
    internal: bool,
    /// An argument, such as alternate-exchange=other; may be repeated
    #[arg(long, short, value_name = "NAME=VALUE")]
    argument: Vec<String>,
}

#[derive(Args)]
pub struct PublishOptions {
    /// "" is the default exchange, whose routing keys are names of queues
    exchange: String,
    #[arg(short = 'k', long, default_value = "")]
    routing_key: String,
    /// The message
    #[arg(long, conflicts_with = "file")]
    body: Option<String>,
    /// A file with the message, - for the input [default]
    #[arg(long)]
    file: Option<String>,
    /// Such as content_type=text/plain or priority=5; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    property: Vec<String>,
    /// May be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    header: Vec<String>,
    /// It survives a restart, in a durable queue
    #[arg(long)]
    persistent: bool,
}

const LIST: List = List {
    path: "exchanges",
    columns: &[
        "vhost",
        "name",
        "type",
        "durable",
        "auto_delete",
        "internal",
        "in_rate",
        "out_rate",
    ],
    by_vhost: true,
};

const SHOWN: [&str; 10] = [
    "name",
    "vhost",
    "type",
    "durable",
    "auto_delete",
    "internal",
    "arguments",
    "policy",
    "in_rate",
    "out_rate",
];

pub async fn run(ctl: &mut Ctl, command: ExchangeCommand) -> Result<(), CtlError> {
    match command {
        ExchangeCommand::List(options) => list::show(ctl, &LIST, options).await,
        ExchangeCommand::Show { exchange } => {
            let shown = ctl.client.get(&Thing::exchange(ctl.vhost(), &exchange)).await?;
            ctl.out.object(&shown, &SHOWN);
            Ok(())
        }
        ExchangeCommand::Declare(options) => {
            let body = json!({
                "type": options.kind,
                "durable": !options.transient,
                "auto_delete": options.auto_delete,
                "internal": options.internal,
                "arguments": Value::Object(pairs(&options.argument)?),
            });
            let thing = Thing::exchange(ctl.vhost(), &options.exchange);
            // Only the virtual host can be missing.
            let missing = thing.clone().called(format!("virtual host '{}'", ctl.vhost()));
            let made = ctl.client.put(&missing, body).await?;
            let outcome = if made { "is made" } else { "was there" };
            ctl.out.done(&format!("{} {outcome}", thing.name()));
            Ok(())
        }
        ExchangeCommand::Delete { exchange, if_unused } => {
            let thing = Thing::exchange(ctl.vhost(), &exchange);
            ctl.confirm(&format!("delete {}", thing.name()))?;
            let condition = if if_unused { "true" } else { "" };
            ctl.client.delete(&thing.with(&[("if-unused", condition)])).await?;
            ctl.out.done(&format!("{} is deleted", thing.name()));
            Ok(())
        }
        ExchangeCommand::Publish(options) => publish(ctl, options).await,
    }
}

async fn publish(ctl: &Ctl, options: PublishOptions) -> Result<(), CtlError> {
    let bytes = match options.body {
        Some(body) => body.into_bytes(),
        None => contents(options.file.as_deref().unwrap_or("-"))?,
    };
    let (payload, encoding) = match String::from_utf8(bytes) {
        Ok(text) => (text, "string"),
        Err(error) => (STANDARD.encode(error.as_bytes()), "base64"),
    };
    let mut properties = pairs(&options.property)?;
    if !options.header.is_empty() {
        properties.insert("headers".to_owned(), pairs(&options.header)?.into());
    }
    if options.persistent {
        properties.insert("delivery_mode".to_owned(), 2.into());
    }
    let body = json!({
        "routing_key": options.routing_key,
        "properties": properties,
        "payload": payload,
        "payload_encoding": encoding,
    });
    let thing = Thing::exchange(ctl.vhost(), &options.exchange);
    let answer = ctl.client.post(&thing.below(["publish"]), body).await?;
    if answer.get("routed") != Some(&Value::Bool(true)) {
        let key = &options.routing_key;
        let reason = format!("no queue got it: {} leads nowhere with key '{key}'", thing.name());
        return Err(CtlError::Failed(reason));
    }
    ctl.out.done("published");
    Ok(())
}
