//! `leveret ctl permissions`.

use clap::Subcommand;
use serde_json::{Value, json};

use super::Ctl;
use super::error::CtlError;
use super::list::{self, ListOptions};
use super::thing::Thing;

#[derive(Subcommand)]
pub enum PermissionCommand {
    List {
        #[command(flatten)]
        list: ListOptions,
        /// Only those of this user
        #[arg(long, value_name = "USER")]
        of_user: Option<String>,
        /// For routing keys of topic exchanges
        #[arg(long)]
        topic: bool,
    },
    /// Let a user in, with regular expressions for what may be declared, published to, consumed from
    Set {
        user: String,
        /// CONFIGURE WRITE READ; with --topic WRITE READ
        #[arg(value_name = "REGEX", num_args = 2..=3, required = true)]
        patterns: Vec<String>,
        /// For routing keys of this exchange
        #[arg(long, value_name = "EXCHANGE")]
        topic: Option<String>,
    },
    /// Take all of it away
    Clear {
        user: String,
        /// For routing keys of this exchange; "" for those of all exchanges
        #[arg(long, value_name = "EXCHANGE")]
        topic: Option<String>,
    },
}

pub const COLUMNS: [&str; 5] = ["vhost", "user", "configure", "write", "read"];
pub const TOPIC_COLUMNS: [&str; 5] = ["vhost", "user", "exchange", "write", "read"];

/// Where permissions are listed: all, those in a virtual host, or those of a user.
pub fn place(topic: bool, vhost: Option<&str>, user: Option<&str>) -> Thing {
    let noun = if topic { "topic-permissions" } else { "permissions" };
    match (vhost, user) {
        (_, Some(user)) => Thing::user(user).below([noun]),
        (Some(vhost), None) => Thing::vhost(vhost).below([noun]),
        (None, None) => Thing::at([noun]),
    }
}

fn of(topic: bool, vhost: &str, user: &str) -> Thing {
    let noun = if topic { "topic-permissions" } else { "permissions" };
    let called = format!("permission of user '{user}' in vhost '{vhost}'");
    Thing::at([noun, vhost, user]).called(called)
}

pub async fn run(ctl: &mut Ctl, command: PermissionCommand) -> Result<(), CtlError> {
    match command {
        PermissionCommand::List { list, of_user, topic } => {
            let thing = place(topic, ctl.vhost.as_deref(), of_user.as_deref());
            let columns = if topic { TOPIC_COLUMNS } else { COLUMNS };
            list::show_of(ctl, &thing, &columns, list).await
        }
        PermissionCommand::Set { user, patterns, topic } => {
            match (&patterns[..], &topic) {
                ([configure, write, read], None) => set(ctl, &user, configure, write, read).await?,
                ([write, read], Some(exchange)) => {
                    set_topic(ctl, &user, exchange, write, read).await?;
                }
                _ => {
                    let how = "write CONFIGURE WRITE READ, or --topic EXCHANGE WRITE READ";
                    return Err(CtlError::Usage(how.to_owned()));
                }
            }
            ctl.out.done(&format!("user '{user}' may do that in vhost '{}'", ctl.vhost()));
            Ok(())
        }
        PermissionCommand::Clear { user, topic } => {
            let vhost = ctl.vhost();
            ctl.confirm(&format!("take permissions away from user '{user}' in vhost '{vhost}'"))?;
            match topic {
                None => clear(ctl, &user).await?,
                Some(exchange) => {
                    clear_topic(ctl, &user, Some(&*exchange).filter(|it| !it.is_empty())).await?;
                }
            }
            ctl.out.done(&format!("user '{user}' may no longer do that in vhost '{vhost}'"));
            Ok(())
        }
    }
}

pub async fn set(
    ctl: &Ctl,
    user: &str,
    configure: &str,
    write: &str,
    read: &str,
) -> Result<(), CtlError> {
    let body = json!({ "configure": configure, "write": write, "read": read });
    put(ctl, false, user, body).await
}

pub async fn set_topic(
    ctl: &Ctl,
    user: &str,
    exchange: &str,
    write: &str,
    read: &str,
) -> Result<(), CtlError> {
    let body = json!({ "exchange": exchange, "write": write, "read": read });
    put(ctl, true, user, body).await
}

/// The API does not say which of the two is missing.
async fn put(ctl: &Ctl, topic: bool, user: &str, body: Value) -> Result<(), CtlError> {
    match ctl.client.put(&of(topic, ctl.vhost(), user), body).await {
        Err(CtlError::Data(why)) if why == "vhost_or_user_not_found" => {
            ctl.client.get(&Thing::user(user)).await?;
            Err(CtlError::Data(format!("Virtual host {} does not exist", ctl.vhost())))
        }
        result => result.map(drop),
    }
}

pub async fn clear(ctl: &Ctl, user: &str) -> Result<(), CtlError> {
    ctl.client.delete(&of(false, ctl.vhost(), user)).await
}

pub async fn clear_topic(ctl: &Ctl, user: &str, exchange: Option<&str>) -> Result<(), CtlError> {
    let thing = of(true, ctl.vhost(), user);
    ctl.client.delete(&thing.below(exchange)).await
}
