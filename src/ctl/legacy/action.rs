//! Commands that change something, and lists that are no plain tables.

use serde_json::{Map, Value, json};

use super::Call;
use super::format::Printer;
use crate::auth::PasswordHash;
use crate::ctl::Ctl;
use crate::ctl::error::CtlError;
use crate::ctl::output::{count_of, field, rows_of, text_of};
use crate::ctl::thing::Thing;
use crate::ctl::value::json as parse_json;
use crate::ctl::{connection, definitions, parameter, permission, policy, terminal, user, vhost};

pub async fn run(ctl: &Ctl, call: &Call<'_>, printer: &Printer) -> Result<(), CtlError> {
    let text = |name: &str| call.text(name);
    match call.old.name {
        "add_user" => add_user(ctl, call, printer).await,
        "delete_user" => ctl.client.delete(&Thing::user(text("username"))).await,
        "change_password" => user::change_password(ctl, text("username"), &password(call)?).await,
        "clear_password" => user::clear_password(ctl, text("username")).await,
        "authenticate_user" => {
            let name = text("username");
            match user::authenticates(&ctl.client, name, &password(call)?).await? {
                true => printer.say("Success"),
                false => {
                    let lines =
                        "failed to authenticate user \"{}\"\nuser '{}' - invalid credentials";
                    return Err(CtlError::Data(format!("Error: {}", lines.replace("{}", name))));
                }
            }
            Ok(())
        }
        "set_user_tags" => user::set_tags(ctl, text("username"), &call.all("tag")).await,
        "hash_password" => {
            printer.say(&PasswordHash::new(&password(call)?).to_string());
            Ok(())
        }
        "set_user_limits" => set_limits(ctl, "user", text("username"), text("definition")).await,
        "clear_user_limits" if text("limit") == "all" => {
            vhost::clear_limits(ctl, "user", text("username")).await
        }
        "clear_user_limits" => {
            let limits = [(text("limit"), -1)];
            vhost::set_limits(ctl, "user", text("username"), &limits).await
        }
        "list_user_limits" => list_user_limits(ctl, call, printer).await,
        "set_permissions" => {
            let (configure, write, read) = (text("configure"), text("write"), text("read"));
            permission::set(ctl, text("username"), configure, write, read).await
        }
        "clear_permissions" => permission::clear(ctl, text("username")).await,
        "set_topic_permissions" => {
            let (exchange, write, read) = (text("exchange"), text("write"), text("read"));
            permission::set_topic(ctl, text("username"), exchange, write, read).await
        }
        "clear_topic_permissions" => {
            permission::clear_topic(ctl, text("username"), call.get("exchange")).await
        }
        "add_vhost" | "update_vhost_metadata" | "set_vhost_tags" => put_vhost(ctl, call).await,
        "delete_vhost" => {
            let name = text("vhost_name");
            let missing = format!("Virtual host '{name}' does not exist");
            or_missing(ctl.client.delete(&Thing::vhost(name)).await, &missing)
        }
        "set_vhost_limits" => set_limits(ctl, "vhost", ctl.vhost(), text("definition")).await,
        "clear_vhost_limits" => vhost::clear_limits(ctl, "vhost", ctl.vhost()).await,
        "list_vhost_limits" => list_vhost_limits(ctl, call, printer).await,
        "set_policy" => set_policy(ctl, call, false).await,
        "set_operator_policy" => set_policy(ctl, call, true).await,
        "clear_policy" => clear(ctl, &policy::named(false, ctl.vhost(), text("name"))).await,
        "clear_operator_policy" => {
            clear(ctl, &policy::named(true, ctl.vhost(), text("name"))).await
        }
        "list_parameters" => list_parameters(ctl, printer).await,
        "set_parameter" => {
            let thing = parameter::named(ctl.vhost(), text("component"), text("name"));
            set(ctl, &thing, text("value")).await
        }
        "clear_parameter" => {
            clear(ctl, &parameter::named(ctl.vhost(), text("component"), text("name"))).await
        }
        "set_global_parameter" => set(ctl, &parameter::global(text("name")), text("value")).await,
        "clear_global_parameter" => clear(ctl, &parameter::global(text("name"))).await,
        "set_cluster_name" => {
            let body = json!({ "name": text("name") });
            ctl.client.put(&Thing::at(["cluster-name"]), body).await.map(drop)
        }
        "purge_queue" => {
            let contents = Thing::queue(ctl.vhost(), text("queue")).below(["contents"]);
            or_missing(ctl.client.delete(&contents).await, "not_found")
        }
        "delete_queue" => delete_queue(ctl, call, printer).await,
        "close_connection" => connection::close(ctl, text("pid"), Some(text("explanation"))).await,
        "close_all_connections" | "close_all_user_connections" => {
            close_connections(ctl, call, printer).await
        }
        "export_definitions" => export(ctl, call, printer).await,
        "import_definitions" => import(ctl, call, printer).await,
        "enable_feature_flag" if text("name") == "all" => Ok(()),
        "enable_feature_flag" => {
            let thing = Thing::at(["feature-flags", text("name"), "enable"]);
            let thing = thing.called(format!("feature flag '{}'", text("name")));
            ctl.client.put(&thing, json!({})).await.map(drop)
        }
        name => Err(CtlError::Software(format!("'{name}' is in the table and does nothing"))),
    }
}

fn password(call: &Call<'_>) -> Result<String, CtlError> {
    match call.get("password") {
        Some(password) => Ok(password.to_owned()),
        None => terminal::password("Password"),
    }
}

/// In the words that scripts look for.
fn or_missing(result: Result<(), CtlError>, missing: &str) -> Result<(), CtlError> {
    match result {
        Err(CtlError::Data(why)) if why.starts_with("there is no ") => {
            Err(CtlError::Data(missing.to_owned()))
        }
        result => result,
    }
}

async fn clear(ctl: &Ctl, thing: &Thing) -> Result<(), CtlError> {
    or_missing(ctl.client.delete(thing).await, "Parameter does not exist")
}

async fn set(ctl: &Ctl, thing: &Thing, value: &str) -> Result<(), CtlError> {
    let value = decoded(value)?;
    ctl.client.put(thing, json!({ "value": value })).await.map(drop)
}

fn decoded(text: &str) -> Result<Value, CtlError> {
    parse_json(text, "JSON decoding error: this")
}

async fn add_user(ctl: &Ctl, call: &Call<'_>, printer: &Printer) -> Result<(), CtlError> {
    let name = call.text("username");
    let kind = if call.flag("pre-hashed-password") { "password_hash" } else { "password" };
    match user::add(ctl, name, (kind, password(call)?), &[]).await? {
        false => Err(CtlError::Software(format!("User \"{name}\" already exists"))),
        true => {
            printer.banner(
                "Done. Don't forget to grant the user permissions to some virtual hosts! \
                 See 'rabbitmqctl help set_permissions' to learn more.",
            );
            Ok(())
        }
    }
}

/// A JSON object of limits. RabbitMQ replaces them one by one, too.
async fn set_limits(ctl: &Ctl, kind: &str, name: &str, text: &str) -> Result<(), CtlError> {
    let definition = decoded(text)?;
    let wrong = || CtlError::Data("limits are an object of numbers".to_owned());
    let limits = definition.as_object().ok_or_else(wrong)?;
    let limits = limits.iter().map(|(limit, max)| Some((limit.as_str(), max.as_i64()?)));
    let limits: Vec<(&str, i64)> = limits.collect::<Option<_>>().ok_or_else(wrong)?;
    vhost::set_limits(ctl, kind, name, &limits).await
}

async fn list_user_limits(ctl: &Ctl, call: &Call<'_>, printer: &Printer) -> Result<(), CtlError> {
    let own = ctl.client.target().user.clone();
    let user = call.get("user").unwrap_or(&own);
    let rows = match call.flag("global") {
        true => vhost::limits_of(ctl, "user", None).await?,
        false => vhost::limits_of(ctl, "user", Some(user)).await?,
    };
    say_limits(&rows, "user", call.flag("global"), printer);
    Ok(())
}

async fn list_vhost_limits(ctl: &Ctl, call: &Call<'_>, printer: &Printer) -> Result<(), CtlError> {
    let vhost = (!call.flag("global")).then(|| ctl.vhost());
    let rows = vhost::limits_of(ctl, "vhost", vhost).await?;
    say_limits(&rows, "vhost", call.flag("global"), printer);
    Ok(())
}

fn say_limits(rows: &[Value], kind: &str, global: bool, printer: &Printer) {
    let limits = |row: &Value| field(row, "value").cloned().unwrap_or_default();
    if global {
        let row = |row: &Value| vec![text_of(row, kind).into(), limits(row).to_string().into()];
        printer.rows(&[kind, "limits"], &rows.iter().map(row).collect::<Vec<_>>());
        return;
    }
    let limits = rows.first().map_or_else(|| json!({}), limits);
    if !printer.json(&limits) {
        printer.say(&limits.to_string());
    }
}

async fn put_vhost(ctl: &Ctl, call: &Call<'_>) -> Result<(), CtlError> {
    let thing = Thing::vhost(call.text("vhost_name"));
    let exists = call.old.name != "add_vhost";
    if exists {
        ctl.client.get(&thing).await?;
    }
    let mut body = Map::new();
    let options = [
        ("description", "description"),
        ("tags", "tags"),
        ("default-queue-type", "default_queue_type"),
    ];
    for (option, key) in options {
        body.extend(call.get(option).map(|value| (key.to_owned(), value.into())));
    }
    if call.old.name == "set_vhost_tags" {
        body.insert("tags".to_owned(), call.all("tag").join(",").into());
    }
    ctl.client.put(&thing, body.into()).await.map(drop)
}

async fn set_policy(ctl: &Ctl, call: &Call<'_>, operator: bool) -> Result<(), CtlError> {
    let wrong = |_| CtlError::Data("the priority is no number".to_owned());
    let priority = call.get("priority").map_or(Ok(0), str::parse).map_err(wrong)?;
    let definition = decoded(call.text("definition"))?;
    let (name, pattern) = (call.text("name"), call.text("pattern"));
    let apply_to = call.get("apply-to").unwrap_or("all");
    policy::set(ctl, operator, name, pattern, definition, priority, apply_to).await
}

async fn list_parameters(ctl: &Ctl, printer: &Printer) -> Result<(), CtlError> {
    let all = Thing::at(["parameters"]).in_vhost(ctl.vhost());
    let all = ctl.client.get(&all).await?;
    let columns = ["component", "name", "value"];
    // Limits are listed elsewhere.
    let rows = rows_of(&all).iter().filter(|row| text_of(row, "component") != "vhost-limits");
    let row = |row: &Value| columns.map(|key| field(row, key).cloned().unwrap_or(Value::Null));
    printer.rows(&columns, &rows.map(|it| row(it).to_vec()).collect::<Vec<_>>());
    Ok(())
}

async fn delete_queue(ctl: &Ctl, call: &Call<'_>, printer: &Printer) -> Result<(), CtlError> {
    let thing = Thing::queue(ctl.vhost(), call.text("queue"));
    let said = |flag: &str| if call.flag(flag) { "true" } else { "" };
    let missing = "Queue not found";
    let deleted = async {
        let queue = ctl.client.get(&thing).await?;
        let conditions = [("if-empty", said("if-empty")), ("if-unused", said("if-unused"))];
        ctl.client.delete(&thing.with(&conditions)).await?;
        let ready = count_of(&queue, "messages_ready");
        printer.say(&format!("Queue was successfully deleted with {ready} ready messages"));
        Ok(())
    };
    or_missing(deleted.await, missing)
}

async fn close_connections(ctl: &Ctl, call: &Call<'_>, printer: &Printer) -> Result<(), CtlError> {
    let user = call.get("username");
    // A user's are closed everywhere.
    let vhost = (user.is_none() && !call.flag("global")).then(|| ctl.vhost());
    let mut names = connection::names(ctl, vhost, user).await?;
    let wrong = |_| CtlError::Data("the limit is no number".to_owned());
    if let Some(limit) = call.get("limit").map(str::parse::<usize>).transpose().map_err(wrong)? {
        // 0 is all of them.
        names.truncate(if limit == 0 { names.len() } else { limit });
    }
    let closed = connection::close_all(ctl, &names, Some(call.text("explanation"))).await?;
    printer.say(&format!("Closed {closed} connections"));
    Ok(())
}

async fn export(ctl: &Ctl, call: &Call<'_>, printer: &Printer) -> Result<(), CtlError> {
    let file = call.text("file");
    if file == "-" {
        let document = definitions::exported(ctl, ctl.vhost.as_deref()).await?;
        printer.say(&crate::ctl::escape::escaped_json(&document.to_string()));
        return Ok(());
    }
    printer.banner(&format!("Exporting definitions in JSON to a file at \"{file}\" ..."));
    definitions::export(ctl, ctl.vhost.as_deref(), file).await
}

async fn import(ctl: &Ctl, call: &Call<'_>, printer: &Printer) -> Result<(), CtlError> {
    let file = call.text("file");
    printer.banner(&format!("Importing definitions in JSON from a file at \"{file}\" ..."));
    definitions::import(ctl, ctl.vhost.as_deref(), file).await?;
    printer.banner("Definitions are imported");
    Ok(())
}
