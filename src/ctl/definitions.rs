//! `leveret ctl definitions`.

use std::io::Write;

use clap::Subcommand;
use serde_json::Value;

use super::Ctl;
use super::error::CtlError;
use super::escape::escaped_json;
use super::output::{rows_of, say_json};
use super::terminal::contents;
use super::thing::Thing;

#[derive(Subcommand)]
pub enum DefinitionsCommand {
    /// Write users, virtual hosts, permissions, policies, queues, exchanges and bindings as JSON; with
    /// --vhost what is in that one
    Export {
        /// - for the output
        #[arg(default_value = "-")]
        file: String,
    },
    /// Make and replace what a file says; nothing is deleted
    Import {
        /// - for the input
        file: String,
    },
    /// Ask the broker whether it would take a file, and change nothing
    Validate {
        /// - for the input
        file: String,
    },
}

/// All, or those of one virtual host.
fn place(vhost: Option<&str>) -> Thing {
    below(Thing::at(["definitions"]), vhost)
}

fn below(all: Thing, vhost: Option<&str>) -> Thing {
    match vhost {
        Some(vhost) => all.below([vhost]).called(format!("virtual host '{vhost}'")),
        None => all,
    }
}

pub async fn run(ctl: &Ctl, command: DefinitionsCommand) -> Result<(), CtlError> {
    match command {
        DefinitionsCommand::Export { file } if file == "-" => {
            say_json(&exported(ctl, ctl.vhost.as_deref()).await?);
        }
        DefinitionsCommand::Export { file } => {
            export(ctl, ctl.vhost.as_deref(), &file).await?;
            ctl.out.done(&format!("definitions are in {file}"));
        }
        DefinitionsCommand::Import { file } => {
            ctl.confirm("import definitions, replacing what has the same name")?;
            import(ctl, ctl.vhost.as_deref(), &file).await?;
            ctl.out.done("definitions are imported");
        }
        DefinitionsCommand::Validate { file } => {
            let document = read(&file)?;
            let all = Thing::at(["validate", "definitions"]);
            ctl.client.post(&below(all, ctl.vhost.as_deref()), document.clone()).await?;
            ctl.out.done(&format!("the broker would take it: {}", counted(&document)));
        }
    }
    Ok(())
}

/// How many there are of each kind.
fn counted(document: &Value) -> String {
    let kinds = ["vhosts", "users", "permissions", "policies", "exchanges", "queues", "bindings"];
    let counts = kinds.iter().filter_map(|kind| {
        let count = document.get(*kind).map(rows_of).unwrap_or_default().len();
        (count > 0).then(|| format!("{count} {kind}"))
    });
    let counts = counts.collect::<Vec<_>>().join(", ");
    if counts.is_empty() { "nothing is in it".to_owned() } else { counts }
}

pub async fn exported(ctl: &Ctl, vhost: Option<&str>) -> Result<Value, CtlError> {
    ctl.client.get(&place(vhost)).await
}

/// The file has password hashes in it: nobody else may read one that is made.
pub async fn export(ctl: &Ctl, vhost: Option<&str>, file: &str) -> Result<(), CtlError> {
    use std::os::unix::fs::OpenOptionsExt;
    let document = exported(ctl, vhost).await?;
    let text = escaped_json(&serde_json::to_string_pretty(&document).unwrap_or_default());
    let mut options = std::fs::OpenOptions::new();
    let written = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| CtlError::Io(format!("cannot write {file}: {error}")))
}

fn read(file: &str) -> Result<Value, CtlError> {
    let wrong = |error| CtlError::Data(format!("{file} is no JSON: {error}"));
    serde_json::from_slice(&contents(file)?).map_err(wrong)
}

pub async fn import(ctl: &Ctl, vhost: Option<&str>, file: &str) -> Result<(), CtlError> {
    ctl.client.post(&place(vhost), read(file)?).await.map(drop)
}
