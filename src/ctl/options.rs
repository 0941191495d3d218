//! The arguments of `leveret ctl`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use super::binding::BindingCommand;
use super::client::Target;
use super::connection::{ChannelCommand, ConnectionCommand, ConsumerCommand};
use super::definitions::DefinitionsCommand;
use super::doctor::DoctorOptions;
use super::error::CtlError;
use super::exchange::ExchangeCommand;
use super::output::Format;
use super::parameter::ParameterCommand;
use super::permission::PermissionCommand;
use super::policy::PolicyCommand;
use super::queue::QueueCommand;
use super::top::TopOptions;
use super::user::UserCommand;
use super::vhost::VhostCommand;

const AFTER_HELP: &str = "\
Examples:
  leveret ctl queues list --sort messages --reverse
  leveret ctl queues peek orders --count 5
  leveret ctl users add carol --tag monitoring <password.txt
  leveret ctl doctor

The commands of rabbitmqctl, rabbitmq-diagnostics, rabbitmq-queues and rabbitmq-plugins work, too, also
through links of these names to leveret. docs/ctl.md has the whole map, and the exit codes.";

/// Look after a running broker, over its HTTP API
#[derive(Parser)]
#[command(
    name = "leveret ctl",
    bin_name = "leveret ctl",
    version,
    after_help = AFTER_HELP,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct CommandLine {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Commands,
}

#[derive(Args)]
#[command(next_help_heading = "For all commands")]
pub struct Global {
    /// Where the broker's HTTP API is: http[s]://user:password@host:port. CTL_USER and CTL_PASSWORD
    /// count before what stands there
    #[arg(
        long,
        global = true,
        value_name = "URI",
        env = "CTL_URI",
        hide_env_values = true,
        default_value = "http://guest:guest@127.0.0.1:15672",
        hide_default_value = true
    )]
    uri: String,
    /// With https: trust who signed with the certificates in this PEM file
    #[arg(long, global = true, value_name = "FILE", env = "CTL_CACERT")]
    pub cacert: Option<PathBuf>,
    /// The virtual host [default: / for one thing, all for lists]
    #[arg(short = 'p', long, global = true, value_name = "NAME")]
    pub vhost: Option<String>,
    /// How to show what was found
    #[arg(long, global = true, value_enum, default_value_t, hide_default_value = true)]
    pub format: Format,
    /// Without the names of the columns
    #[arg(long, global = true)]
    pub no_headers: bool,
    /// Do not ask before something is destroyed
    #[arg(short = 'y', long, global = true)]
    pub yes: bool,
    /// Do not say what was done
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Seconds that an answer may take
    #[arg(
        short,
        long,
        global = true,
        value_name = "SECS",
        default_value = "60",
        value_parser = seconds,
        hide_default_value = true
    )]
    timeout: f64,
    // What rabbitmqctl has for all of its commands.
    #[arg(short, long, global = true, hide = true)]
    pub silent: bool,
    #[arg(short, long, global = true, hide = true)]
    pub node: Option<String>,
    #[arg(short = 'l', long, global = true, hide = true)]
    longnames: bool,
    #[arg(long, global = true, hide = true, value_enum)]
    pub formatter: Option<super::legacy::Formatter>,
    #[arg(long, global = true, hide = true)]
    pub no_table_headers: bool,
    #[arg(long, global = true, hide = true)]
    pub erlang_cookie: Option<String>,
}

impl Global {
    pub fn target(&self) -> Result<Target, CtlError> {
        let mut target = Target::parse(&self.uri)?;
        for (variable, place) in
            [("CTL_USER", &mut target.user), ("CTL_PASSWORD", &mut target.password)]
        {
            if let Some(value) = std::env::var_os(variable) {
                *place = value.to_string_lossy().into_owned();
            }
        }
        Ok(target)
    }

    pub fn timeout(&self) -> Duration {
        Duration::from_secs_f64(self.timeout)
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    // rabbitmqctl's word for very long.
    let seconds: f64 = match text {
        "infinity" => 1e7,
        text => text.parse().map_err(|_| "not a number of seconds".to_owned())?,
    };
    let range = 0.0..=1e7;
    if range.contains(&seconds) { Ok(seconds) } else { Err("out of range".to_owned()) }
}

#[derive(Subcommand)]
pub enum Commands {
    /// Version, uptime, memory, disk, files, alarms, listeners
    Status,
    /// Messages, rates and counts of the whole broker
    Overview,
    /// Versions of this program and of the broker
    Version,
    /// Exit code 0 if the broker answers; it needs no password, and is made for container health checks
    Ping,
    /// Wait until clients can connect, for --timeout seconds
    AwaitStartup,
    /// Health checks; exit code 1 if one fails
    Health {
        /// alarms, local-alarms, virtual-hosts, is-in-service, ready-to-serve-clients, below-node-connection-limit,
        /// port-listener/5672, protocol-listener/amqps, certificate-expiration/1/months …
        /// [default: those that need no parameter]
        #[arg(value_name = "CHECK")]
        checks: Vec<String>,
    },
    /// Queues and their messages
    Queues {
        #[command(subcommand)]
        command: QueueCommand,
    },
    Exchanges {
        #[command(subcommand)]
        command: ExchangeCommand,
    },
    Bindings {
        #[command(subcommand)]
        command: BindingCommand,
    },
    Connections {
        #[command(subcommand)]
        command: ConnectionCommand,
    },
    Channels {
        #[command(subcommand)]
        command: ChannelCommand,
    },
    Consumers {
        #[command(subcommand)]
        command: ConsumerCommand,
    },
    Users {
        #[command(subcommand)]
        command: UserCommand,
    },
    /// Who may do what in a virtual host
    Permissions {
        #[command(subcommand)]
        command: PermissionCommand,
    },
    /// Virtual hosts
    Vhosts {
        #[command(subcommand)]
        command: VhostCommand,
    },
    Policies {
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// Parameters of components, and global ones
    Parameters {
        #[command(subcommand)]
        command: ParameterCommand,
    },
    /// All that is configured in the broker, as a file
    Definitions {
        #[command(subcommand)]
        command: DefinitionsCommand,
    },
    /// The same as `leveret config`: check the settings of this machine
    Config,
    /// One page about what is wrong, and what to do; exit code 1 if something is
    Doctor(DoctorOptions),
    /// Watch queues or connections by their rates
    Top(TopOptions),
    /// Write completions for a shell
    Completions { shell: Shell },
}
