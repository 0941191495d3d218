//! `leveret ctl users`.

use clap::Subcommand;
use serde_json::{Value, json};

use super::Ctl;
use super::client::Client;
use super::error::CtlError;
use super::list::{self, List, ListOptions};
use super::output::{field, say, text_of};
use super::terminal;
use super::thing::Thing;
use super::vhost::{self, LimitOptions};
use crate::auth::PasswordHash;
use hyper::Method;

#[derive(Subcommand)]
pub enum UserCommand {
    List(ListOptions),
    /// Make a user, who may do nothing yet
    Add {
        name: String,
        /// Without, it is the first line of the input, or asked for
        password: Option<String>,
        /// administrator, monitoring, policymaker, management; may be repeated
        #[arg(long = "tag", value_name = "TAG", value_delimiter = ',')]
        tags: Vec<String>,
        /// What is stored instead of a password, as hash-password writes it
        #[arg(long, value_name = "HASH", conflicts_with = "password")]
        password_hash: Option<String>,
    },
    Delete {
        name: String,
    },
    /// Change a password
    Passwd {
        name: String,
        /// Without, it is the first line of the input, or asked for
        password: Option<String>,
    },
    /// Replace a user's tags
    SetTags {
        name: String,
        /// None to take all away
        tags: Vec<String>,
    },
    /// Exit code 0 if the password is right, 65 if not
    Authenticate {
        name: String,
        /// Without, it is the first line of the input, or asked for
        password: Option<String>,
    },
    /// Write the hash of a password, for definitions; no broker is asked
    HashPassword {
        /// Without, it is the first line of the input, or asked for
        password: Option<String>,
    },
    /// Show, set and clear what a user may have of something
    Limits {
        name: Option<String>,
        #[command(flatten)]
        limits: LimitOptions,
        #[arg(long, value_name = "N")]
        max_channels: Option<i64>,
    },
}

const LIST: List = List { path: "users", columns: &["name", "tags", "limits"], by_vhost: false };

fn given(password: Option<String>) -> Result<String, CtlError> {
    password.map_or_else(|| terminal::password("Password"), Ok)
}

pub async fn run(ctl: &mut Ctl, command: UserCommand) -> Result<(), CtlError> {
    match command {
        UserCommand::List(options) => list::show(ctl, &LIST, options).await,
        UserCommand::Add { name, password, tags, password_hash } => {
            let secret = match password_hash {
                Some(hash) => ("password_hash", hash),
                None => ("password", given(password)?),
            };
            match add(ctl, &name, secret, &tags).await? {
                true => ctl.out.done(&format!("user '{name}' is made")),
                false => return Err(CtlError::Software(format!("user '{name}' is there already"))),
            }
            Ok(())
        }
        UserCommand::Delete { name } => {
            ctl.confirm(&format!("delete user '{name}'"))?;
            ctl.client.delete(&Thing::user(&name)).await?;
            ctl.out.done(&format!("user '{name}' is deleted"));
            Ok(())
        }
        UserCommand::Passwd { name, password } => {
            change_password(ctl, &name, &given(password)?).await?;
            ctl.out.done(&format!("user '{name}' has another password"));
            Ok(())
        }
        UserCommand::SetTags { name, tags } => {
            set_tags(ctl, &name, &tags).await?;
            ctl.out.done(&format!("user '{name}' has the tags [{}]", tags.join(", ")));
            Ok(())
        }
        UserCommand::Authenticate { name, password } => {
            match authenticates(&ctl.client, &name, &given(password)?).await? {
                true => ctl.out.done("that is the password"),
                false => return Err(CtlError::Data(format!("user '{name}': wrong password"))),
            }
            Ok(())
        }
        UserCommand::HashPassword { password } => {
            say(&PasswordHash::new(&given(password)?).to_string());
            Ok(())
        }
        UserCommand::Limits { name, limits, max_channels } => {
            let mut set = limits.given();
            set.extend(max_channels.map(|max| ("max-channels", max)));
            vhost::limits(ctl, "user", name.as_deref(), &set, limits.clear).await
        }
    }
}

/// `false` if there is one of that name, who stays as he is. `secret`: a password or its hash.
pub async fn add(
    ctl: &Ctl,
    name: &str,
    secret: (&str, String),
    tags: &[String],
) -> Result<bool, CtlError> {
    let thing = Thing::user(name);
    match ctl.client.get(&thing).await {
        Ok(_) => return Ok(false),
        Err(CtlError::NoUser(_)) => {}
        Err(error) => return Err(error),
    }
    let body = json!({ secret.0: secret.1, "tags": tags.join(",") });
    ctl.client.put(&thing, body).await.map(|_| true)
}

/// The tags stay.
pub async fn change_password(ctl: &Ctl, name: &str, password: &str) -> Result<(), CtlError> {
    let thing = Thing::user(name);
    let user = ctl.client.get(&thing).await?;
    let body = json!({ "password": password, "tags": field(&user, "tags") });
    ctl.client.put(&thing, body).await.map(drop)
}

/// No password fits any more.
pub async fn clear_password(ctl: &Ctl, name: &str) -> Result<(), CtlError> {
    let thing = Thing::user(name);
    let user = ctl.client.get(&thing).await?;
    let body = json!({ "password_hash": "", "tags": field(&user, "tags") });
    ctl.client.put(&thing, body).await.map(drop)
}

/// The password stays.
pub async fn set_tags(ctl: &Ctl, name: &str, tags: &[String]) -> Result<(), CtlError> {
    let thing = Thing::user(name);
    let user = ctl.client.get(&thing).await?;
    let body = json!({
        "password_hash": text_of(&user, "password_hash"),
        "hashing_algorithm": field(&user, "hashing_algorithm"),
        "tags": tags.join(","),
    });
    ctl.client.put(&thing, body).await.map(drop)
}

/// Whether the password is right, whatever the user may do.
pub async fn authenticates(client: &Client, name: &str, password: &str) -> Result<bool, CtlError> {
    let client = client.as_user(name, password);
    let whoami = Thing::at(["whoami"]);
    let answer = client.send(Method::GET, &whoami, None, None).await?;
    let error = answer.body.get("error").and_then(Value::as_str).unwrap_or_default();
    match answer.status.as_u16() {
        200 => Ok(true),
        // Known, and without a tag.
        401 => Ok(error == "not_authorised"),
        _ => Err(client.refusal(&whoami, &answer)),
    }
}
