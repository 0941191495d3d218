//! The messages of a queue: taken, looked at, moved, deleted.

use std::io::Write;

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use super::Ctl;
use super::error::CtlError;
use super::output::{Format, count_of, rows_of, text_of};
use super::thing::Thing;

/// Bytes of a body that are shown where nobody said how many.
const SHOWN_BYTES: usize = 200;

/// Messages of one answer.
const PAGE: usize = 500;

#[derive(Args)]
pub struct GetOptions {
    queue: String,
    #[arg(short, long, value_name = "N", default_value = "1")]
    count: u32,
    /// What becomes of them
    #[arg(long, value_enum, default_value_t)]
    ack_mode: AckMode,
    #[command(flatten)]
    body: BodyOptions,
}

#[derive(Clone, Copy, Default, ValueEnum)]
pub enum AckMode {
    /// They are put back, marked as redelivered
    #[default]
    Requeue,
    /// They are gone
    Ack,
    /// They become dead letters, or are gone where there is nowhere to go
    Reject,
}

impl AckMode {
    fn of_api(self) -> &'static str {
        match self {
            Self::Requeue => "ack_requeue_true",
            Self::Ack => "ack_requeue_false",
            Self::Reject => "reject_requeue_false",
        }
    }
}

#[derive(Args)]
pub struct BodyOptions {
    /// Bytes of each body that are shown [default: 200 in a table, otherwise all]
    #[arg(long, value_name = "BYTES")]
    truncate: Option<usize>,
    /// Write nothing but the bodies, as they are, one after the other
    #[arg(long)]
    raw: bool,
}

#[derive(Args)]
pub struct PeekOptions {
    queue: String,
    /// Messages to show
    #[arg(short, long, value_name = "N", default_value = "10")]
    count: usize,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    body: BodyOptions,
    /// What to show
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    columns: Vec<String>,
}

/// Messages are wanted that have all of this.
#[derive(Args, Default)]
pub struct Filter {
    /// With this text in the routing key
    #[arg(long, value_name = "TEXT")]
    key: Option<String>,
    /// With this text in the body
    #[arg(long, value_name = "TEXT")]
    body: Option<String>,
    /// With this header
    #[arg(long, value_name = "NAME[:VALUE]")]
    header: Option<String>,
    /// That died last for this: rejected, expired, maxlen, delivery_limit
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    /// That died last in this queue
    #[arg(long, value_name = "QUEUE")]
    from: Option<String>,
}

impl Filter {
    fn parameters(&self) -> Vec<(&'static str, &str)> {
        let given = [
            ("routing_key", &self.key),
            ("body", &self.body),
            ("header", &self.header),
            ("reason", &self.reason),
            ("from", &self.from),
        ];
        given.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?))).collect()
    }
}

/// Which messages a change is about: those at some positions, those of a filter, or all.
#[derive(Args, Default)]
pub struct Which {
    #[command(flatten)]
    filter: Filter,
    /// What peek calls them: 7,10-20
    #[arg(long, value_name = "POSITIONS")]
    positions: Option<String>,
    /// Every ready message
    #[arg(long)]
    all: bool,
}

impl Which {
    fn body(&self) -> Result<Map<String, Value>, CtlError> {
        let filter: Map<String, Value> = self
            .filter
            .parameters()
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.into()))
            .collect();
        let mut body = Map::new();
        match (&self.positions, filter.is_empty(), self.all) {
            (Some(text), true, false) => body.insert("positions".to_owned(), positions(text)?),
            (None, false, false) => body.insert("filter".to_owned(), filter.into()),
            (None, true, true) => body.insert("all".to_owned(), true.into()),
            _ => {
                let how = "say which messages: --positions, a filter (--key, --body, --header, --reason, --from), or --all";
                return Err(CtlError::Usage(how.to_owned()));
            }
        };
        Ok(body)
    }

    fn words(&self) -> &'static str {
        if self.all { "all messages" } else { "those messages" }
    }
}

/// `7,10-20` as the API has it.
fn positions(text: &str) -> Result<Value, CtlError> {
    let wrong = || CtlError::Usage(format!("'{text}' are no positions; write 7,10-20"));
    let number = |text: &str| text.trim().parse::<u64>().map_err(|_| wrong());
    let one = |part: &str| match part.split_once('-') {
        Some((first, last)) => Ok(json!([number(first)?, number(last)?])),
        None => Ok(json!(number(part)?)),
    };
    text.split(',').map(one).collect()
}

#[derive(Args)]
pub struct MoveOptions {
    queue: String,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    to: To,
    /// With --to-exchange: the key that they get [default: the one that they have]
    #[arg(long, value_name = "KEY", requires = "to_exchange")]
    routing_key: Option<String>,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct To {
    #[arg(long, value_name = "QUEUE")]
    to_queue: Option<String>,
    #[arg(long, value_name = "EXCHANGE")]
    to_exchange: Option<String>,
    /// Back to the queues in which they died
    #[arg(long)]
    to_origin: bool,
}

const TAKEN: [&str; 6] =
    ["exchange", "routing_key", "redelivered", "message_count", "payload_bytes", "payload"];
const PEEKED: [&str; 6] =
    ["position", "exchange", "routing_key", "redelivered", "payload_bytes", "payload"];

impl BodyOptions {
    fn truncate(&self, format: Format) -> Option<usize> {
        let short = format == Format::Table && !self.raw;
        self.truncate.or_else(|| short.then_some(SHOWN_BYTES))
    }

    fn show(&self, ctl: &Ctl, messages: &[Value], usual: &[&str]) -> Result<(), CtlError> {
        if !self.raw {
            ctl.out.list(messages, usual);
            return Ok(());
        }
        let mut out = std::io::stdout().lock();
        for message in messages {
            // Whoever listened no longer does.
            if out.write_all(&body(message)?).is_err() {
                break;
            }
        }
        let _ = out.flush();
        Ok(())
    }
}

/// The bytes of a message.
fn body(message: &Value) -> Result<Vec<u8>, CtlError> {
    use base64::Engine;
    let payload = text_of(message, "payload");
    if text_of(message, "payload_encoding") != "base64" {
        return Ok(payload.as_bytes().to_vec());
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(payload);
    decoded.map_err(|error| CtlError::Software(format!("the broker sent no base64: {error}")))
}

pub async fn get(ctl: &Ctl, options: GetOptions) -> Result<(), CtlError> {
    let thing = Thing::queue(ctl.vhost(), &options.queue);
    match options.ack_mode {
        AckMode::Requeue => {}
        AckMode::Ack => ctl.confirm(&format!("take messages out of {}", thing.name()))?,
        AckMode::Reject => ctl.confirm(&format!("reject messages of {}", thing.name()))?,
    }
    let mut body = json!({
        "count": options.count,
        "ackmode": options.ack_mode.of_api(),
        "encoding": "auto",
    });
    if let (Some(truncate), Some(body)) =
        (options.body.truncate(ctl.out.format), body.as_object_mut())
    {
        body.insert("truncate".to_owned(), truncate.into());
    }
    let messages = ctl.client.post(&thing.below(["get"]), body).await?;
    options.body.show(ctl, rows_of(&messages), &TAKEN)
}

pub async fn peek(ctl: &mut Ctl, options: PeekOptions) -> Result<(), CtlError> {
    let messages = Thing::queue(ctl.vhost(), &options.queue).below(["messages"]);
    let truncate = options.body.truncate(ctl.out.format);
    let truncate = truncate.map(|bytes| bytes.to_string()).unwrap_or_default();
    let (mut found, mut after) = (Vec::new(), String::new());
    while found.len() < options.count {
        let count = (options.count - found.len()).min(PAGE).to_string();
        let mut parameters = options.filter.parameters();
        parameters.extend([("count", &*count), ("truncate", &*truncate), ("after", &*after)]);
        let page = ctl.client.get(&messages.with(&parameters)).await?;
        found.extend_from_slice(page.get("messages").map(rows_of).unwrap_or_default());
        match page.get("next").and_then(Value::as_str) {
            Some(next) => after = next.to_owned(),
            None => break,
        }
    }
    ctl.out.columns = (!options.columns.is_empty()).then_some(options.columns);
    let columns = ctl.out.columns(&PEEKED).into_iter().map(str::to_owned).collect::<Vec<_>>();
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    options.body.show(ctl, &found, &columns)
}

pub async fn relocate(ctl: &Ctl, options: MoveOptions) -> Result<(), CtlError> {
    let MoveOptions { queue, which, to, routing_key } = options;
    // As it is called in paths.
    let exchange =
        to.to_exchange.map(|name| if name == "amq.default" { String::new() } else { name });
    let to = match (to.to_queue, exchange) {
        (Some(queue), _) => json!({ "queue": queue }),
        (None, Some(exchange)) => match routing_key {
            Some(key) => json!({ "exchange": exchange, "routing_key": key }),
            None => json!({ "exchange": exchange }),
        },
        (None, None) => json!({ "origin": true }),
    };
    move_to(ctl, &queue, &which, to).await
}

pub async fn replay(ctl: &Ctl, queue: &str, which: &Which) -> Result<(), CtlError> {
    move_to(ctl, queue, which, json!({ "origin": true })).await
}

async fn move_to(ctl: &Ctl, queue: &str, which: &Which, to: Value) -> Result<(), CtlError> {
    let thing = Thing::queue(ctl.vhost(), queue);
    let mut body = which.body()?;
    ctl.confirm(&format!("move {} of {}", which.words(), thing.name()))?;
    body.insert("to".to_owned(), to);
    let moved = ctl.client.post(&thing.below(["messages", "move"]), body.into()).await?;
    let (count, kept) = (count_of(&moved, "moved"), count_of(&moved, "kept"));
    let kept = match kept {
        0 => String::new(),
        kept => format!(", {kept} kept: nothing took them"),
    };
    ctl.out.answer(&moved, &format!("{count} moved{kept}"));
    Ok(())
}

pub async fn delete(ctl: &Ctl, queue: &str, which: &Which) -> Result<(), CtlError> {
    let thing = Thing::queue(ctl.vhost(), queue);
    let body = which.body()?;
    ctl.confirm(&format!("delete {} of {}", which.words(), thing.name()))?;
    let deleted = ctl.client.post(&thing.below(["messages", "delete"]), body.into()).await?;
    ctl.out.answer(&deleted, &format!("{} deleted", count_of(&deleted, "deleted")));
    Ok(())
}

pub async fn dead_letters(ctl: &Ctl, queue: &str) -> Result<(), CtlError> {
    let thing = Thing::queue(ctl.vhost(), queue).below(["messages", "groups"]);
    let found = ctl.client.get(&thing).await?;
    ctl.out
        .list(found.get("groups").map(rows_of).unwrap_or_default(), &["reason", "queue", "count"]);
    if found.get("complete") == Some(&Value::Bool(false)) {
        let scanned = count_of(&found, "scanned");
        super::output::warn(&format!("only the first {scanned} messages were counted"));
    }
    Ok(())
}
