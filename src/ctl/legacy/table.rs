//! All commands of RabbitMQ's tools.

mod access;
mod node;
mod refused;
mod topology;

use super::Tool;
use super::list::OldList;

/// A command. Arguments end in `?` if they may be left out, and in `...` if there may be any number;
/// options end in `=` if they have a value, and may have a short name before a `|`.
pub struct Old {
    pub name: &'static str,
    /// c, d, q, p: rabbitmqctl, rabbitmq-diagnostics, rabbitmq-queues, rabbitmq-plugins.
    tools: &'static str,
    pub arguments: &'static [&'static str],
    pub options: &'static [&'static str],
    pub banner: &'static str,
    pub what: What,
}

pub enum What {
    List(OldList),
    /// Something changes.
    Action,
    /// What the broker says of itself.
    Status,
    /// A health check.
    Check,
    Plugins,
    /// There is nothing to do; what is said instead.
    Nothing(&'static str),
    /// It cannot be had; why, and what to do instead.
    Refused(&'static str),
}

impl Old {
    /// `leveret ctl` and rabbitmqctl know what rabbitmq-diagnostics and rabbitmq-queues do, too.
    pub fn is_of(&self, tool: Tool) -> bool {
        let letters: &[char] = match tool {
            Tool::Ctl => &['c', 'd', 'q'],
            Tool::Diagnostics => &['d'],
            Tool::Queues => &['q'],
            Tool::Plugins => &['p'],
        };
        self.tools.contains(letters)
    }
}

/// In the order in which they are shown.
pub fn all() -> impl Iterator<Item = &'static Old> {
    [access::COMMANDS, topology::COMMANDS, node::COMMANDS, refused::COMMANDS].into_iter().flatten()
}

pub fn find(tool: Tool, name: &str) -> Option<&'static Old> {
    all().find(|old| old.name == name && old.is_of(tool))
}

const fn old(
    name: &'static str,
    tools: &'static str,
    arguments: &'static [&'static str],
    options: &'static [&'static str],
    banner: &'static str,
    what: What,
) -> Old {
    Old { name, tools, arguments, options, banner, what }
}

const fn action(
    name: &'static str,
    arguments: &'static [&'static str],
    options: &'static [&'static str],
    banner: &'static str,
) -> Old {
    old(name, "c", arguments, options, banner, What::Action)
}

const fn check(
    name: &'static str,
    arguments: &'static [&'static str],
    banner: &'static str,
) -> Old {
    old(name, "d", arguments, &[], banner, What::Check)
}

const fn list(
    name: &'static str,
    tools: &'static str,
    arguments: &'static [&'static str],
    banner: &'static str,
    list: OldList,
) -> Old {
    old(name, tools, arguments, &["online", "offline", "local"], banner, What::List(list))
}

const fn nothing(name: &'static str, tools: &'static str, done: &'static str) -> Old {
    old(name, tools, &["argument..."], &[], "", What::Nothing(done))
}

const fn refused(name: &'static str, tools: &'static str, why: &'static str) -> Old {
    old(
        name,
        tools,
        &["argument..."],
        &["offline", "ram", "mode=", "force"],
        "",
        What::Refused(why),
    )
}
