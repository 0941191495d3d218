//! The commands of rabbitmqctl, rabbitmq-diagnostics, rabbitmq-queues and rabbitmq-plugins: their
//! arguments, output and exit codes, as scripts expect them.
//!
//! `table` has all of them in one table: lists say which fields of the API they show, the others name
//! an action, or say why there is none. `format` writes what was found as rabbitmqctl does.

mod action;
mod check;
mod format;
mod list;
mod plugin;
mod status;
mod table;

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use self::format::Printer;
use self::table::{Old, What};
use super::Ctl;
use super::error::CtlError;
use super::escape::escaped;
use super::options::Global;

pub use self::format::Formatter;

/// RabbitMQ's programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    Ctl,
    Diagnostics,
    Queues,
    Plugins,
}

impl Tool {
    const NAMES: [(Self, &'static str); 4] = [
        (Self::Ctl, "rabbitmqctl"),
        (Self::Diagnostics, "rabbitmq-diagnostics"),
        (Self::Queues, "rabbitmq-queues"),
        (Self::Plugins, "rabbitmq-plugins"),
    ];

    /// By what the program was called as.
    pub fn named(program: &OsStr) -> Option<Self> {
        let name = Path::new(program).file_name()?;
        Self::NAMES.iter().find(|(_, known)| name == OsStr::new(known)).map(|(tool, _)| *tool)
    }

    fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(tool, _)| *tool == self).map_or("", |(_, name)| name)
    }
}

/// A tool's commands. Those of all tools are known to rabbitmqctl here: no two mean different things.
pub fn commands(tool: Tool) -> impl Iterator<Item = Command> {
    table::all().filter(move |old| old.is_of(tool)).map(parser)
}

fn parser(old: &Old) -> Command {
    let mut command = Command::new(old.name);
    for name in old.arguments {
        command = command.arg(match (name.strip_suffix('?'), name.strip_suffix("...")) {
            (Some(name), _) => Arg::new(name),
            (_, Some(name)) => Arg::new(name).num_args(0..).action(ArgAction::Append),
            _ => Arg::new(*name).required(true),
        });
    }
    for option in old.options {
        let (short, name) = option.split_once('|').unwrap_or(("", option));
        let arg = match name.strip_suffix('=') {
            Some(name) => Arg::new(name).long(name).allow_negative_numbers(true),
            None => Arg::new(name).long(name).action(ArgAction::SetTrue),
        };
        command = command.arg(match short.chars().next() {
            Some(short) => arg.short(short),
            None => arg,
        });
    }
    command
}

/// What a command was called with.
struct Call<'a> {
    old: &'a Old,
    matches: &'a ArgMatches,
    /// What the node is called; it makes no difference.
    node: String,
}

impl Call<'_> {
    /// The argument, or the option, of that name.
    fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.matches.try_get_one::<String>(name).ok().flatten().map(String::as_str)
    }

    fn all(&self, name: &str) -> Vec<String> {
        let found = self.matches.try_get_many::<String>(name).ok().flatten();
        found.into_iter().flatten().cloned().collect()
    }

    /// Those that are asked for, also with commas between them.
    fn columns(&self) -> Vec<String> {
        let asked = self.all("column");
        let asked = asked.iter().flat_map(|columns| columns.split([',', ' ']));
        asked.filter(|column| !column.is_empty()).map(str::to_owned).collect()
    }

    fn flag(&self, name: &str) -> bool {
        self.matches.try_get_one::<bool>(name).ok().flatten().copied().unwrap_or_default()
    }

    /// What is said before anything happens. `{name}` stands for an argument or an option.
    fn banner(&self, vhost: &str) -> String {
        let mut banner = self.old.banner.replace("{vhost}", vhost).replace("{node}", &self.node);
        let names = self.old.arguments.iter().chain(self.old.options);
        for name in names.map(|name| name.trim_end_matches(['?', '.', '='])) {
            let place = format!("{{{name}}}");
            if banner.contains(&place) {
                banner = banner.replace(&place, &self.all(name).join(", "));
            }
        }
        banner
    }
}

/// Runs the program as one of the tools.
pub fn main(tool: Tool, args: &[OsString]) -> ExitCode {
    let command = Command::new(tool.name())
        .bin_name(tool.name())
        .version(env!("CARGO_PKG_VERSION"))
        .about("RabbitMQ's commands for leveret; docs/ctl.md lists them")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(commands(tool));
    match Global::augment_args(command).try_get_matches_from(args) {
        Ok(matches) => run(tool, &matches),
        Err(error) => misunderstood(&error),
    }
}

/// A command that is none, and the one that is most like it.
pub fn unknown_command(error: &clap::Error) -> Option<(String, Option<String>)> {
    let said = |kind| match error.get(kind) {
        Some(ContextValue::String(name)) => Some(name.clone()),
        // The last one is the most similar.
        Some(ContextValue::Strings(names)) => names.last().cloned(),
        _ => None,
    };
    let name = said(ContextKind::InvalidSubcommand)?;
    (error.kind() == ErrorKind::InvalidSubcommand)
        .then(|| (name, said(ContextKind::SuggestedSubcommand)))
}

fn misunderstood(error: &clap::Error) -> ExitCode {
    let Some((name, known)) = unknown_command(error) else { return super::usage(error) };
    complain(&format!("\nCommand '{name}' not found. "));
    if let Some(known) = known {
        complain(&format!("Did you mean '{known}'? "));
    }
    ExitCode::from(64)
}

/// Lines that are kept apart are safe one by one.
fn complain(text: &str) {
    for line in text.split('\n') {
        // Where nobody listens nothing is said.
        let _ = writeln!(std::io::stderr(), "{}", escaped(line));
    }
}

/// Runs the command that was found.
pub fn run(tool: Tool, matches: &ArgMatches) -> ExitCode {
    let found = matches.subcommand();
    let found = found.and_then(|(name, matches)| Some((table::find(tool, name)?, matches)));
    let global = Global::from_arg_matches(matches);
    let (Some((old, matches)), Ok(global)) = (found, global) else {
        complain("Error: that is no command");
        return ExitCode::from(64);
    };
    let node = global.node.clone().unwrap_or_else(|| "rabbit".to_owned());
    let call = Call { old, matches, node };
    match serve(&global, &call) {
        Ok(code) => code,
        Err(error) => {
            let code = exit_code(old, &error);
            complain(&format!("Error:\n{}", message(&error)));
            ExitCode::from(code)
        }
    }
}

fn message(error: &CtlError) -> String {
    match error {
        CtlError::NoUser(user) => {
            let name = user.strip_prefix("user '").and_then(|name| name.strip_suffix('\''));
            format!("User \"{}\" does not exist", name.unwrap_or(user))
        }
        CtlError::Unreachable(cause) => {
            format!("unable to perform an operation on the broker: {cause}")
        }
        other => other.to_string(),
    }
}

/// rabbitmqctl calls most of what a broker refuses "unavailable".
fn exit_code(old: &Old, error: &CtlError) -> u8 {
    match (error, old.name) {
        (CtlError::Data(_), "delete_queue") => 64,
        (CtlError::Data(_), "delete_vhost" | "authenticate_user" | "import_definitions") => 65,
        (CtlError::Io(_), "import_definitions") => 65,
        (CtlError::Data(_) | CtlError::Failed(_), _) => 69,
        (error, _) => error.exit_code(),
    }
}

fn serve(global: &Global, call: &Call<'_>) -> Result<ExitCode, CtlError> {
    let printer = Printer::new(global)?;
    let vhost = global.vhost.as_deref().unwrap_or("/");
    if let What::Refused(why) = call.old.what {
        return Err(CtlError::Failed(format!("'{}' is not supported: {why}", call.old.name)));
    }
    if let What::List(list) = &call.old.what {
        list.check(call)?;
    }
    printer.banner(&call.banner(vhost));
    if let What::Nothing(done) = call.old.what {
        printer.say(done);
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CtlError::Io(format!("cannot start: {error}")))?;
    let ctl = Ctl { yes: true, ..Ctl::new(global)? };
    runtime.block_on(async {
        match &call.old.what {
            What::List(list) => list::show(&ctl, call, list, &printer).await?,
            What::Action => action::run(&ctl, call, &printer).await?,
            What::Status => status::show(&ctl, call, &printer).await?,
            What::Check => check::run(&ctl, call, &printer).await?,
            What::Plugins => plugin::run(call, &printer)?,
            What::Refused(_) | What::Nothing(_) => {}
        }
        Ok(ExitCode::SUCCESS)
    })
}
