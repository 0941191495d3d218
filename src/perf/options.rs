//! The flags of `leveret perf`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

const AFTER_HELP: &str = "\
Examples:
  leveret perf --auto-ack --duration 10
  leveret perf --producers 2 --consumers 4 --rate 1000 --prefetch 100 --duration 60 --html run.html
  leveret perf --persistent --confirm 1000 --size 1024 --messages 100000 --consumers 0 --keep
  leveret perf report before.json after.json -o report.html

A number N may be written 20k or 1M. docs/perf.md explains what is measured, and how.";

/// Load an AMQP 0-9-1 broker and measure it
#[derive(Parser, Debug)]
#[command(
    name = "leveret perf",
    bin_name = "leveret perf",
    version,
    after_help = AFTER_HELP,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub struct CommandLine {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub options: Options,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Put the JSON files of several runs side by side on one page
    Report {
        /// What runs wrote with --json
        #[arg(required = true, value_name = "JSON")]
        files: Vec<PathBuf>,
        /// Write the page here
        #[arg(short, long, value_name = "HTML")]
        output: PathBuf,
    },
}

#[derive(Args, Debug, Clone)]
pub struct Options {
    /// The broker; several share the connections in turn
    #[arg(long, value_name = "URI", default_value = "amqp://guest:guest@127.0.0.1:5672")]
    pub uri: Vec<String>,
    /// With amqps: trust who signed with the certificates in this PEM file
    #[arg(long, value_name = "FILE", help_heading = "Connections")]
    pub cacert: Option<PathBuf>,
    /// With amqps: trust everybody
    #[arg(long, help_heading = "Connections", conflicts_with = "cacert")]
    pub insecure: bool,
    /// Seconds between heartbeats, 0 for none [default: what the broker wishes]
    #[arg(long, value_name = "SECS", help_heading = "Connections")]
    pub heartbeat: Option<u16>,
    /// What connections and reports are called
    #[arg(long, default_value = "leveret-perf", help_heading = "Connections")]
    pub name: String,

    /// Connections that publish
    #[arg(short = 'x', long, value_name = "N", default_value = "1", value_parser = count, help_heading = "Producers")]
    pub producers: u64,
    /// Channels on each of them; each is a producer
    #[arg(short = 'X', long, value_name = "N", default_value = "1", value_parser = count, help_heading = "Producers")]
    pub producer_channels: u64,
    /// Bytes of a body: one size, some in turn (16,1024), or any between two (100-5000)
    #[arg(short, long, default_value = "16", help_heading = "Producers")]
    pub size: String,
    /// Messages each producer sends a second [default: as many as it can]
    #[arg(short, long, value_name = "N", value_parser = rate, help_heading = "Producers")]
    pub rate: Option<f64>,
    /// Rates that follow one another again and again: RATE:SECS,RATE:SECS
    #[arg(long, value_name = "STEPS", conflicts_with = "rate", help_heading = "Producers")]
    pub variable_rate: Option<String>,
    /// Ask for confirms, with at most so many messages unconfirmed on a channel
    #[arg(short, long, value_name = "N", value_parser = count, help_heading = "Producers")]
    pub confirm: Option<u64>,
    /// Have messages returned that go to no queue
    #[arg(long, help_heading = "Producers")]
    pub mandatory: bool,
    /// delivery-mode 2
    #[arg(short, long, help_heading = "Producers")]
    pub persistent: bool,
    /// A property, such as content-type=text/plain or priority=5; may be repeated
    #[arg(long, value_name = "NAME=VALUE", help_heading = "Producers")]
    pub property: Vec<String>,
    /// Headers of the messages
    #[arg(long, value_name = "K=V,...", help_heading = "Producers")]
    pub headers: Option<String>,
    /// Where messages carry the time: body, header, none [default: body where it is 12 bytes long,
    /// otherwise header]
    #[arg(long, value_name = "WHERE", help_heading = "Producers")]
    pub stamp: Option<String>,

    /// Connections that consume
    #[arg(short = 'y', long, value_name = "N", default_value = "1", value_parser = count, help_heading = "Consumers")]
    pub consumers: u64,
    /// Channels on each of them; each is a consumer
    #[arg(short = 'Y', long, value_name = "N", default_value = "1", value_parser = count, help_heading = "Consumers")]
    pub consumer_channels: u64,
    /// Messages delivered ahead of their acknowledgement, 0 for no limit
    #[arg(short = 'q', long, value_name = "N", default_value = "0", value_parser = count, help_heading = "Consumers")]
    pub prefetch: u64,
    /// Consume without acknowledgements
    #[arg(short, long, help_heading = "Consumers")]
    pub auto_ack: bool,
    /// Acknowledge so many messages at once
    #[arg(short = 'A', long, value_name = "N", default_value = "1", value_parser = count, conflicts_with = "auto_ack", help_heading = "Consumers")]
    pub multi_ack: u64,
    /// The part of the messages that consumers refuse, 0 to 1
    #[arg(
        long,
        value_name = "SHARE",
        default_value = "0",
        conflicts_with = "auto_ack",
        help_heading = "Consumers"
    )]
    pub nack: f64,
    /// Have what is refused put back into the queue
    #[arg(long, help_heading = "Consumers")]
    pub requeue: bool,
    /// Microseconds for which each message keeps its consumer busy
    #[arg(long, value_name = "MICROS", default_value = "0", value_parser = count, help_heading = "Consumers")]
    pub think: u64,
    /// Ask with basic.get instead of subscribing
    #[arg(long, help_heading = "Consumers")]
    pub poll: bool,
    /// Microseconds until an empty queue is asked again
    #[arg(long, value_name = "MICROS", default_value = "1000", value_parser = count, help_heading = "Consumers")]
    pub poll_interval: u64,
    /// Arguments of basic.consume
    #[arg(long, value_name = "K=V,...", help_heading = "Consumers")]
    pub consumer_args: Option<String>,

    /// The queue; %d is its number where there are several
    #[arg(short = 'u', long, default_value = "leveret-perf", help_heading = "Queues and exchange")]
    pub queue: String,
    /// How many queues; producers and consumers share them in turn
    #[arg(short = 'Q', long, value_name = "N", default_value = "1", value_parser = count, help_heading = "Queues and exchange")]
    pub queues: u64,
    /// Arguments of queue.declare, such as x-max-length=1000,x-queue-type=quorum
    #[arg(long, value_name = "K=V,...", help_heading = "Queues and exchange")]
    pub queue_args: Option<String>,
    /// Declare queues and exchange that a restart ends [default: durable]
    #[arg(long, help_heading = "Queues and exchange")]
    pub transient: bool,
    /// Declare queues for the connection that consumes from them alone
    #[arg(long, help_heading = "Queues and exchange")]
    pub exclusive: bool,
    /// Declare queues that end with their last consumer
    #[arg(long, help_heading = "Queues and exchange")]
    pub auto_delete: bool,
    /// The exchange to publish to [default: the default exchange, or "leveret-perf" with --kind]
    #[arg(short, long, help_heading = "Queues and exchange")]
    pub exchange: Option<String>,
    /// Its type: direct, fanout, topic, headers, or another one that the broker knows
    #[arg(short = 't', long, help_heading = "Queues and exchange")]
    pub kind: Option<String>,
    /// Arguments of exchange.declare
    #[arg(long, value_name = "K=V,...", help_heading = "Queues and exchange")]
    pub exchange_args: Option<String>,
    /// What to publish with, in turn; %d counts to --routing-key-count [default: the queue's name]
    #[arg(short = 'k', long, value_name = "KEY", help_heading = "Queues and exchange")]
    pub routing_key: Vec<String>,
    #[arg(long, value_name = "N", default_value = "1", value_parser = count, hide_short_help = true, help_heading = "Queues and exchange")]
    pub routing_key_count: u64,
    /// What to bind every queue with; %d counts to --binding-key-count, %q is the queue's name
    /// [default: the routing keys]
    #[arg(long, value_name = "KEY", help_heading = "Queues and exchange")]
    pub binding_key: Vec<String>,
    #[arg(long, value_name = "N", default_value = "1", value_parser = count, hide_short_help = true, help_heading = "Queues and exchange")]
    pub binding_key_count: u64,
    /// Arguments of queue.bind
    #[arg(long, value_name = "K=V,...", help_heading = "Queues and exchange")]
    pub binding_args: Option<String>,
    /// Declare nothing: queues, exchange and bindings are there
    #[arg(long, help_heading = "Queues and exchange")]
    pub predeclared: bool,
    /// Empty the queues before the start
    #[arg(long, help_heading = "Queues and exchange")]
    pub purge: bool,
    /// Leave queues and exchange there. Without, those that this run made are deleted
    #[arg(long, help_heading = "Queues and exchange")]
    pub keep: bool,

    /// Seconds until the end
    #[arg(short, long, value_name = "SECS", value_parser = seconds, help_heading = "Start and end")]
    pub duration: Option<f64>,
    /// Messages after which each producer stops
    #[arg(short = 'C', long, value_name = "N", value_parser = count, help_heading = "Start and end")]
    pub messages: Option<u64>,
    /// Messages after which each consumer stops
    #[arg(short = 'D', long, value_name = "N", value_parser = count, help_heading = "Start and end")]
    pub consume: Option<u64>,
    /// Consume until the queues are empty, after --duration too
    #[arg(long, help_heading = "Start and end")]
    pub drain: bool,
    /// Seconds at the beginning that are not counted
    #[arg(short, long, value_name = "SECS", default_value = "0", value_parser = seconds, help_heading = "Start and end")]
    pub warm_up: f64,

    /// Write a line every second, also where stderr is no terminal
    #[arg(long, help_heading = "Results")]
    pub progress: bool,
    /// Write all results here, for programs and for `leveret perf report`
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub json: Option<PathBuf>,
    /// Write a line for each second here
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub csv: Option<PathBuf>,
    /// Write a page with plots here
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub html: Option<PathBuf>,
}

/// A number, perhaps of thousands (k) or millions (M).
fn count(text: &str) -> Result<u64, String> {
    let (digits, factor) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1000),
        None => text.strip_suffix('M').map_or((text, 1), |digits| (digits, 1_000_000)),
    };
    let number: u64 = digits.replace('_', "").parse().map_err(|_| "not a number".to_owned())?;
    number.checked_mul(factor).ok_or_else(|| "too large".to_owned())
}

pub fn rate(text: &str) -> Result<f64, String> {
    let rate = match count(text) {
        Ok(rate) => rate as f64,
        Err(_) => text.parse().map_err(|_| "not a number".to_owned())?,
    };
    if rate.is_finite() && (0.0..=1e9).contains(&rate) {
        Ok(rate)
    } else {
        Err("out of range".to_owned())
    }
}

pub fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    let range = 0.0..=1e7;
    if range.contains(&seconds) { Ok(seconds) } else { Err("out of range".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_suffixes() {
        for (text, expected) in
            [("0", Some(0)), ("20k", Some(20_000)), ("1M", Some(1_000_000)), ("1_000", Some(1000))]
        {
            assert_eq!(count(text).ok(), expected, "{text}");
        }
        for text in ["", "k", "-1", "1.5", "1G", "99999999999999999999", "99999999999999999M"] {
            assert!(count(text).is_err(), "{text}");
        }
        assert_eq!((rate("0.5"), rate("2k")), (Ok(0.5), Ok(2000.0)));
        assert!(rate("NaN").is_err() && rate("-1").is_err() && rate("inf").is_err());
        assert!(seconds("-1").is_err() && seconds("NaN").is_err() && seconds("0.5").is_ok());
    }
}
