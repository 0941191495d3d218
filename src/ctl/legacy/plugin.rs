//! rabbitmq-plugins: what is a plugin of RabbitMQ is a part of leveret, or there is none of it. No
//! broker is asked: images call it before there is one.

use serde_json::Value;

use super::Call;
use super::format::Printer;
use crate::ctl::error::CtlError;

const BUILT_IN: [&str; 11] = [
    "rabbitmq_auth_backend_oauth2",
    "rabbitmq_auth_mechanism_ssl",
    "rabbitmq_consistent_hash_exchange",
    "rabbitmq_delayed_message_exchange",
    "rabbitmq_management",
    "rabbitmq_management_agent",
    "rabbitmq_message_deduplication",
    "rabbitmq_prometheus",
    "rabbitmq_random_exchange",
    "rabbitmq_sharding",
    "rabbitmq_web_dispatch",
];

pub fn run(call: &Call<'_>, printer: &Printer) -> Result<(), CtlError> {
    let plugins: Vec<String> = call
        .all("plugin")
        .iter()
        .flat_map(|plugins| plugins.split([',', ' ']))
        .filter(|plugin| !plugin.is_empty())
        .map(str::to_owned)
        .collect();
    let unknown: Vec<&str> =
        plugins.iter().map(String::as_str).filter(|it| !BUILT_IN.contains(it)).collect();
    let none = || CtlError::Software(format!("leveret has nothing like {}", unknown.join(", ")));
    match call.old.name {
        "list" => list(call, printer),
        "disable" => {
            for plugin in &plugins {
                printer.say(&match BUILT_IN.contains(&plugin.as_str()) {
                    true => format!("{plugin} is built in and stays as it is"),
                    false => format!("{plugin} is not there"),
                });
            }
            Ok(())
        }
        _ if plugins.is_empty() && !call.flag("all") => {
            Err(CtlError::Usage("not enough arguments: name a plugin".to_owned()))
        }
        "is_enabled" if !unknown.is_empty() => {
            Err(CtlError::Failed(format!("leveret has nothing like {}", unknown.join(", "))))
        }
        _ if !unknown.is_empty() => Err(none()),
        _ => {
            for plugin in &plugins {
                printer.say(&format!("{plugin} is built in and always enabled"));
            }
            Ok(())
        }
    }
}

fn list(call: &Call<'_>, printer: &Printer) -> Result<(), CtlError> {
    let pattern = regex::Regex::new(call.get("pattern").unwrap_or(".*"));
    let pattern = pattern.map_err(|error| CtlError::Usage(error.to_string()))?;
    let known = BUILT_IN.into_iter().filter(|plugin| pattern.is_match(plugin));
    let rows: Vec<Vec<Value>> =
        known.map(|plugin| vec![plugin.into(), "built in".into()]).collect();
    let minimal = call.flag("minimal");
    printer.rows(if minimal { &["name"] } else { &["name", "state"] }, &rows);
    Ok(())
}
