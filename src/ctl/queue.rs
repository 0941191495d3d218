//! `leveret ctl queues`.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::Ctl;
use super::error::CtlError;
use super::list::{self, List, ListOptions};
use super::message::{self, GetOptions, MoveOptions, PeekOptions, Which};
use super::thing::Thing;
use super::value::pairs;

#[derive(Subcommand)]
pub enum QueueCommand {
    List(ListOptions),
    /// All about one queue
    Show {
        queue: String,
        /// Only these fields
        #[arg(value_name = "COLUMN")]
        columns: Vec<String>,
    },
    /// Make a queue; durable unless it is said otherwise
    Declare(DeclareOptions),
    Delete {
        queue: String,
        /// Only if there are no messages in it
        #[arg(long)]
        if_empty: bool,
        /// Only if there are no consumers
        #[arg(long)]
        if_unused: bool,
    },
    /// Delete all ready messages
    Purge {
        queue: String,
    },
    /// Take messages out, as a consumer does; they are put back unless it is said otherwise
    Get(GetOptions),
    /// Look at messages without disturbing them
    Peek(PeekOptions),
    /// Move messages to another queue, to an exchange, or back to where they died
    Move(MoveOptions),
    /// Bring dead letters back to the queues in which they died; the same as `move --to-origin`
    Replay {
        queue: String,
        #[command(flatten)]
        which: Which,
    },
    /// Delete some messages
    Drop {
        queue: String,
        #[command(flatten)]
        which: Which,
    },
    /// Count messages by why and in which queue they died
    DeadLetters {
        queue: String,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub enum QueueType {
    Classic,
    Quorum,
    Stream,
}

#[derive(Args)]
pub struct DeclareOptions {
    queue: String,
    /// [default: the virtual host's]
    #[arg(long = "type", value_enum)]
    kind: Option<QueueType>,
    /// It ends with the broker
    #[arg(long)]
    transient: bool,
    /// It ends with its last consumer
    #[arg(long)]
    auto_delete: bool,
    /// An argument, such as x-max-length=1000; may be repeated. NAME:=JSON for what is no number,
    /// boolean or text
    #[arg(long, short, value_name = "NAME=VALUE")]
    argument: Vec<String>,
}

const LIST: List = List {
    path: "queues",
    columns: &[
        "vhost",
        "name",
        "type",
        "ready",
        "unacked",
        "messages",
        "consumers",
        "publish_rate",
        "deliver_rate",
    ],
    by_vhost: true,
};

const SHOWN: [&str; 25] = [
    "name",
    "vhost",
    "type",
    "durable",
    "auto_delete",
    "exclusive",
    "arguments",
    "policy",
    "operator_policy",
    "effective_policy_definition",
    "state",
    "messages_ready",
    "messages_unacknowledged",
    "messages",
    "messages_dlx",
    "message_bytes",
    "messages_ram",
    "memory",
    "consumers",
    "single_active_consumer_tag",
    "head_message_timestamp",
    "idle_since",
    "publish_rate",
    "deliver_rate",
    "ack_rate",
];

pub async fn run(ctl: &mut Ctl, command: QueueCommand) -> Result<(), CtlError> {
    match command {
        QueueCommand::List(options) => list::show(ctl, &LIST, options).await,
        QueueCommand::Show { queue, columns } => {
            let shown = ctl.client.get(&Thing::queue(ctl.vhost(), &queue)).await?;
            ctl.out.columns = (!columns.is_empty()).then_some(columns);
            ctl.out.object(&shown, &SHOWN);
            Ok(())
        }
        QueueCommand::Declare(options) => declare(ctl, options).await,
        QueueCommand::Delete { queue, if_empty, if_unused } => {
            let thing = Thing::queue(ctl.vhost(), &queue);
            ctl.confirm(&format!("delete {} and its messages", thing.name()))?;
            let said = |wanted: bool| if wanted { "true" } else { "" };
            let conditions = [("if-empty", said(if_empty)), ("if-unused", said(if_unused))];
            ctl.client.delete(&thing.with(&conditions)).await?;
            ctl.out.done(&format!("{} is deleted", thing.name()));
            Ok(())
        }
        QueueCommand::Purge { queue } => {
            let thing = Thing::queue(ctl.vhost(), &queue);
            ctl.confirm(&format!("delete all ready messages of {}", thing.name()))?;
            ctl.client.delete(&thing.below(["contents"])).await?;
            ctl.out.done(&format!("{} is empty", thing.name()));
            Ok(())
        }
        QueueCommand::Get(options) => message::get(ctl, options).await,
        QueueCommand::Peek(options) => message::peek(ctl, options).await,
        QueueCommand::Move(options) => message::relocate(ctl, options).await,
        QueueCommand::Replay { queue, which } => message::replay(ctl, &queue, &which).await,
        QueueCommand::Drop { queue, which } => message::delete(ctl, &queue, &which).await,
        QueueCommand::DeadLetters { queue } => message::dead_letters(ctl, &queue).await,
    }
}

async fn declare(ctl: &Ctl, options: DeclareOptions) -> Result<(), CtlError> {
    let mut arguments = pairs(&options.argument)?;
    if let Some(kind) = options.kind.and_then(|kind| kind.to_possible_value()) {
        arguments.insert("x-queue-type".to_owned(), kind.get_name().into());
    }
    let body = json!({
        "durable": !options.transient,
        "auto_delete": options.auto_delete,
        "arguments": Value::Object(arguments),
    });
    let thing = Thing::queue(ctl.vhost(), &options.queue);
    // Only the virtual host can be missing.
    let missing = thing.clone().called(format!("virtual host '{}'", ctl.vhost()));
    let made = ctl.client.put(&missing, body).await?;
    ctl.out.done(&format!("{} {}", thing.name(), if made { "is made" } else { "was there" }));
    Ok(())
}
