//! `leveret ctl parameters`.

use clap::Subcommand;
use serde_json::json;

use super::Ctl;
use super::error::CtlError;
use super::list::{self, ListOptions};
use super::thing::Thing;
use super::value::json as parse_json;

#[derive(Subcommand)]
pub enum ParameterCommand {
    List {
        #[command(flatten)]
        list: ListOptions,
        /// Those of no virtual host
        #[arg(long)]
        global: bool,
    },
    /// Set a parameter: COMPONENT NAME JSON; with --global NAME JSON
    Set {
        #[arg(value_name = "COMPONENT|NAME|JSON", num_args = 2..=3, required = true)]
        words: Vec<String>,
        #[arg(long)]
        global: bool,
    },
    /// Delete a parameter: COMPONENT NAME; with --global NAME
    Clear {
        #[arg(value_name = "COMPONENT|NAME", num_args = 1..=2, required = true)]
        words: Vec<String>,
        #[arg(long)]
        global: bool,
    },
}

pub const COLUMNS: [&str; 4] = ["component", "vhost", "name", "value"];

pub fn named(vhost: &str, component: &str, name: &str) -> Thing {
    let called = format!("parameter '{name}' of component '{component}' in vhost '{vhost}'");
    Thing::at(["parameters", component, vhost, name]).called(called)
}

pub fn global(name: &str) -> Thing {
    Thing::at(["global-parameters", name]).called(format!("global parameter '{name}'"))
}

fn usage(how: &str) -> CtlError {
    CtlError::Usage(format!("write {how}"))
}

pub async fn run(ctl: &mut Ctl, command: ParameterCommand) -> Result<(), CtlError> {
    match command {
        ParameterCommand::List { list, global: true } => {
            list::show_of(ctl, &Thing::at(["global-parameters"]), &["name", "value"], list).await
        }
        ParameterCommand::List { list, global: false } => {
            let mut thing = Thing::at(["parameters"]);
            if let Some(vhost) = &ctl.vhost {
                // The API has lists of a virtual host only below a component.
                ctl.client.get(&Thing::vhost(vhost)).await?;
                thing = thing.in_vhost(vhost);
            }
            list::show_of(ctl, &thing, &COLUMNS, list).await
        }
        ParameterCommand::Set { words, global: is_global } => {
            let (thing, value) = match (&words[..], is_global) {
                ([component, name, value], false) => (named(ctl.vhost(), component, name), value),
                ([name, value], true) => (global(name), value),
                (_, false) => return Err(usage("COMPONENT NAME JSON")),
                (_, true) => return Err(usage("NAME JSON")),
            };
            let value = parse_json(value, "the value")?;
            ctl.client.put(&thing, json!({ "value": value })).await?;
            ctl.out.done(&format!("{} is set", thing.name()));
            Ok(())
        }
        ParameterCommand::Clear { words, global: is_global } => {
            let thing = match (&words[..], is_global) {
                ([component, name], false) => named(ctl.vhost(), component, name),
                ([name], true) => global(name),
                (_, false) => return Err(usage("COMPONENT NAME")),
                (_, true) => return Err(usage("NAME")),
            };
            ctl.confirm(&format!("delete {}", thing.name()))?;
            ctl.client.delete(&thing).await?;
            ctl.out.done(&format!("{} is deleted", thing.name()));
            Ok(())
        }
    }
}
