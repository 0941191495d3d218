//! The command line. Values stay text here: [`Settings::set`](super::Settings) reads them as it reads
//! those of every other source.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};

use super::error::{ConfigError, Origin};
use super::source::{Assignment, Value};

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    Serve,
    /// Say what the settings are, and whether they are right.
    Check,
    /// Print a file of LavinMQ as one of ours.
    Convert,
}

/// The sub-commands and flags of the program, but for what is below `ctl` and `perf`.
pub fn command_line() -> clap::Command {
    CommandLine::command()
}

pub(super) fn parse(args: impl Iterator<Item = OsString>) -> Result<super::Command, ConfigError> {
    let command_line = CommandLine::try_parse_from(args).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            ConfigError::Help(error.to_string().trim_end().to_owned())
        }
        _ => ConfigError::CommandLine(one_line(&error)),
    })?;
    Ok(match command_line.command {
        Some(Command::Perf | Command::Ctl) | None => command_line.serve.task(Task::Serve),
        Some(Command::Serve(serve)) => serve.task(Task::Serve),
        Some(Command::Config { command: ConfigCommand::Check(serve) }) => serve.task(Task::Check),
        Some(Command::Config { command: ConfigCommand::Convert { file } }) => {
            super::Command { task: Task::Convert, config: Some(file), assignments: Vec::new() }
        }
    })
}

const AFTER_HELP: &str = "\
Flags win over variables (LEVERET_DATA_DIR for --data-dir), variables over the file (data_dir).
docs/configuration.md lists every setting.";

/// An AMQP 0-9-1 message broker.
#[derive(Parser)]
#[command(
    name = "leveret",
    bin_name = "leveret",
    version,
    args_conflicts_with_subcommands = true,
    after_help = AFTER_HELP
)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Subcommand)]
enum Command {
    /// Run the broker; what happens without a command, too
    #[command(after_help = AFTER_HELP)]
    Serve(Serve),
    /// Look at the configuration without starting anything
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Load an AMQP 0-9-1 broker and measure it
    // Only for the list of commands: `main` has run it before anybody looks at the settings.
    Perf,
    /// Look after a running broker, over its HTTP API
    // The same.
    Ctl,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Print every setting and where it comes from; exit code 78 if one is wrong
    Check(Serve),
    /// Print a lavinmq.ini as a leveret.toml; what has no counterpart becomes a comment
    Convert {
        #[arg(value_name = "lavinmq.ini")]
        file: String,
    },
}

#[derive(Args)]
struct Serve {
    /// Accept AMQP clients here; may be repeated [default: 127.0.0.1:5672]
    #[arg(long, value_name = "ADDR:PORT")]
    amqp: Vec<String>,
    /// The same over TLS; needs the settings tls_certificate_file and tls_key_file
    #[arg(long, value_name = "ADDR:PORT")]
    amqps: Vec<String>,
    /// Serve the HTTP API here, or "none" [default: 127.0.0.1:15672]
    #[arg(long, value_name = "ADDR:PORT")]
    http: Option<String>,
    /// The same over TLS [default: none]
    #[arg(long, value_name = "ADDR:PORT")]
    https: Option<String>,
    /// Keep everything that survives a restart here [default: ./data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Read settings from this file: TOML, or RabbitMQ's rabbitmq.conf; or "none"
    #[arg(long, value_name = "FILE")]
    config: Option<String>,
    /// Write the log as lines of text or of JSON [default: text]
    #[arg(long, value_name = "text|json")]
    log_format: Option<String>,
}

impl Serve {
    fn task(self, task: Task) -> super::Command {
        let one = |text: Option<String>| text.map(Value::Text);
        let several = |texts: Vec<String>| {
            (!texts.is_empty()).then(|| Value::List(texts.into_iter().map(Value::Text).collect()))
        };
        let given = [
            ("--amqp", "amqp", several(self.amqp)),
            ("--amqps", "amqps", several(self.amqps)),
            ("--http", "http", one(self.http)),
            ("--https", "https", one(self.https)),
            ("--data-dir", "data_dir", one(self.data_dir)),
            ("--log-format", "log_format", one(self.log_format)),
        ];
        super::Command {
            task,
            config: self.config,
            assignments: given
                .into_iter()
                .filter_map(|(flag, key, value)| {
                    Some(Assignment { origin: Origin::Flag(flag), key, value: value? })
                })
                .collect(),
        }
    }
}

/// clap explains itself in several paragraphs; the mistake and the tip are worth keeping.
fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let parts: Vec<_> = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .filter(|line| !line.is_empty())
        .collect();
    let text = parts.join("; ");
    text.strip_prefix("error: ").unwrap_or(&text).to_owned()
}

/// The flags of `serve`, for the test that compares them with the document.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = String> {
    let command = Serve::augment_args(clap::Command::new("serve"));
    let names: Vec<_> = command
        .get_arguments()
        .filter_map(|argument| argument.get_long().map(str::to_owned))
        .collect();
    names.into_iter()
}
