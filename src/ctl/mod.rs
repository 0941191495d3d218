//! `leveret ctl`: operations against a running broker, over its HTTP API.
//!
//! ```text
//! arguments → a command → requests (client) → answers → a table, JSON, CSV, or a sentence (output)
//! ```
//!
//! There is a file for each noun, with its commands and what they ask the API. `legacy` has the
//! commands of rabbitmqctl and its sisters, with their output and exit codes. `doctor` and `top` look
//! at many things at once.
//!
//! Invariant: what comes from the broker is shown with control characters escaped.

mod binding;
mod client;
mod completions;
mod connection;
mod definitions;
mod doctor;
mod error;
mod escape;
mod exchange;
mod legacy;
mod list;
mod message;
mod node;
mod options;
mod output;
mod parameter;
mod permission;
mod policy;
mod queue;
mod table;
mod terminal;
mod thing;
mod top;
mod user;
mod value;
mod vhost;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::{Command, CommandFactory, FromArgMatches};

use self::client::Client;
use self::error::CtlError;
use self::escape::{escaped, is_unsafe};
use self::legacy::Tool;
use self::options::{CommandLine, Commands, Global};
use self::output::Output;

/// What a command works with.
struct Ctl {
    client: Client,
    out: Output,
    /// If one was named.
    vhost: Option<String>,
    /// Nobody is asked before something is destroyed.
    yes: bool,
}

impl Ctl {
    fn new(global: &Global) -> Result<Self, CtlError> {
        let client = Client::new(global.target()?, global.cacert.clone(), global.timeout())?;
        let out = Output {
            format: global.format,
            columns: None,
            headers: !global.no_headers,
            quiet: global.quiet || global.silent,
        };
        Ok(Self { client, out, vhost: global.vhost.clone(), yes: global.yes })
    }

    /// The one that was named, or the one that everybody uses.
    fn vhost(&self) -> &str {
        self.vhost.as_deref().unwrap_or("/")
    }

    /// Returns if it may be done.
    fn confirm(&self, what: &str) -> Result<(), CtlError> {
        match self.yes || !terminal::is_attended() || terminal::agrees(&format!("{what}?")) {
            true => Ok(()),
            false => Err(CtlError::Failed("nothing was done".to_owned())),
        }
    }
}

/// Whether a program of this name is one of RabbitMQ's.
pub fn is_tool(program: Option<&OsString>) -> bool {
    program.and_then(|program| Tool::named(program)).is_some()
}

/// Runs the sub-command. `args` begins with the program's name and `ctl`, or with the name of one of
/// RabbitMQ's tools. Exit codes are those of `sysexits.h` as rabbitmqctl uses them; `doctor` and checks
/// that come out badly have 1.
pub fn main(args: Vec<OsString>) -> ExitCode {
    match args.first().and_then(|program| Tool::named(program)) {
        Some(tool) => legacy::main(tool, &args),
        // One word for clap: "leveret ctl".
        None => ctl(args.get(1..).unwrap_or_default()),
    }
}

/// All commands, new ones to be seen and old ones not.
fn parser() -> Command {
    let old = legacy::commands(Tool::Ctl);
    let new = CommandLine::command();
    // What is spelled the same in both means the new one here.
    let known: Vec<String> = new.get_subcommands().map(|it| it.get_name().to_owned()).collect();
    let is_new = |command: &Command| known.iter().any(|name| name == command.get_name());
    new.subcommands(old.filter(|command| !is_new(command)).map(|command| command.hide(true)))
}

fn ctl(args: &[OsString]) -> ExitCode {
    let matches = match parser().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) => return usage(&error),
    };
    if let Some((name, _)) = matches.subcommand()
        && CommandLine::command().find_subcommand(name).is_none()
    {
        return legacy::run(Tool::Ctl, &matches);
    }
    let CommandLine { global, command } = match CommandLine::from_arg_matches(&matches) {
        Ok(command_line) => command_line,
        Err(error) => return usage(&error),
    };
    finish(run(&global, command))
}

/// What is wrong with the arguments, or the help that was asked for.
fn usage(error: &clap::Error) -> ExitCode {
    if let Some((name, known)) = legacy::unknown_command(error) {
        let hint = known.map(|known| format!("; did you mean '{known}'?")).unwrap_or_default();
        let line = format!("there is no command '{name}'{hint}");
        return finish(Err(CtlError::Usage(line)));
    }
    // It quotes what was typed, or pasted.
    let text = error.to_string();
    // When nobody listens nothing is said.
    let _ = match text.contains(|c| c != '\n' && is_unsafe(c)) {
        true => text.lines().try_for_each(|line| writeln!(std::io::stderr(), "{}", escaped(line))),
        false => error.print(),
    };
    if error.use_stderr() { ExitCode::from(64) } else { ExitCode::SUCCESS }
}

fn finish(result: Result<ExitCode, CtlError>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "leveret ctl: {}", escaped(&error.to_string()));
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(global: &Global, command: Commands) -> Result<ExitCode, CtlError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CtlError::Io(format!("cannot start: {error}")))?;
    runtime.block_on(answer(Ctl::new(global)?, command))
}

async fn answer(mut ctl: Ctl, command: Commands) -> Result<ExitCode, CtlError> {
    match command {
        Commands::Status => node::status(&ctl).await?,
        Commands::Overview => node::overview(&ctl).await?,
        Commands::Version => node::version(&ctl).await?,
        Commands::Ping => node::ping(&ctl).await?,
        Commands::AwaitStartup => node::await_startup(&ctl).await?,
        Commands::Health { checks } => return node::health(&ctl, &checks).await,
        Commands::Queues { command } => queue::run(&mut ctl, command).await?,
        Commands::Exchanges { command } => exchange::run(&mut ctl, command).await?,
        Commands::Bindings { command } => binding::run(&mut ctl, command).await?,
        Commands::Connections { command } => connection::run(&mut ctl, command).await?,
        Commands::Channels { command } => connection::channels(&mut ctl, command).await?,
        Commands::Consumers { command } => connection::consumers(&mut ctl, command).await?,
        Commands::Users { command } => user::run(&mut ctl, command).await?,
        Commands::Permissions { command } => permission::run(&mut ctl, command).await?,
        Commands::Vhosts { command } => vhost::run(&mut ctl, command).await?,
        Commands::Policies { command } => policy::run(&mut ctl, command).await?,
        Commands::Parameters { command } => parameter::run(&mut ctl, command).await?,
        Commands::Definitions { command } => definitions::run(&ctl, command).await?,
        // `main` has run it.
        Commands::Config => {}
        Commands::Doctor(options) => return doctor::run(&ctl, &options).await,
        Commands::Top(options) => top::run(&ctl, options).await?,
        Commands::Completions { shell } => completions::write_for(shell, CommandLine::command()),
    }
    Ok(ExitCode::SUCCESS)
}
