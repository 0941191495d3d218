//! How users and permissions lie in the file.
//!
//! | user | kind | vhost | exchange | value |
//! | --- | --- | --- | --- | --- |
//! | name | 0 user | | | `password_hash`, `hashing_algorithm`, `tags`, `limits` |
//! | name | 1 permission | name | | `configure`, `write`, `read` |
//! | name | 2 topic permission | name | name | `write`, `read` |
//!
//! The first four are the key, so that all of a user's rows lie together. A value is a field table;
//! it may get further entries without a new format.

use redb::{ReadableTable, Table, TableDefinition};

use crate::protocol::wire::{Fault, put, take};
use crate::protocol::{FieldTable, FieldValue};
use crate::storage::{Access, AccessChange, PermissionRecord, TopicPermissionRecord, UserRecord};

/// User, kind, vhost, exchange.
type Key = (&'static str, u8, &'static str, &'static str);

pub(super) const ACCESS: TableDefinition<'_, Key, &[u8]> = TableDefinition::new("access");

const USER: u8 = 0;
const PERMISSION: u8 = 1;
const TOPIC_PERMISSION: u8 = 2;

type Rows<'a> = Table<'a, Key, &'static [u8]>;

/// Writes all but [`AccessChange::DefaultsMade`], which is no row of this table.
pub(super) fn write(rows: &mut Rows<'_>, change: &AccessChange) -> Result<(), redb::Error> {
    match change {
        AccessChange::PutUser(user) => {
            let key = (user.name.as_str(), USER, "", "");
            rows.insert(key, &encode(&user_value(user))[..])?;
        }
        AccessChange::DeleteUser { name } => {
            let name = name.as_str();
            rows.retain_in((name, USER, "", "")..(name, u8::MAX, "", ""), |_, _| false)?;
        }
        AccessChange::PutPermission(permission) => {
            let PermissionRecord { user, vhost, configure, write, read } = permission;
            let patterns = [("configure", configure), ("write", write), ("read", read)];
            let value = encode(&texts(&patterns));
            rows.insert((user.as_str(), PERMISSION, vhost.as_str(), ""), &value[..])?;
        }
        AccessChange::DeletePermission { user, vhost } => {
            rows.remove((user.as_str(), PERMISSION, vhost.as_str(), ""))?;
        }
        AccessChange::PutTopicPermission(permission) => {
            let TopicPermissionRecord { user, vhost, exchange, write, read } = permission;
            let key = (user.as_str(), TOPIC_PERMISSION, vhost.as_str(), exchange.as_str());
            rows.insert(key, &encode(&texts(&[("write", write), ("read", read)]))[..])?;
        }
        AccessChange::DeleteTopicPermission { user, vhost, exchange } => {
            rows.remove((user.as_str(), TOPIC_PERMISSION, vhost.as_str(), exchange.as_str()))?;
        }
        AccessChange::DefaultsMade => {}
    }
    Ok(())
}

/// For a vhost that is deleted: one made later under its name starts closed.
pub(super) fn drop_vhost(rows: &mut Rows<'_>, vhost: &str) -> Result<(), redb::Error> {
    rows.retain(|(_, kind, row_vhost, _), _| kind == USER || row_vhost != vhost)?;
    Ok(())
}

/// Everything but whether the defaults were made.
pub(super) fn load(rows: &impl ReadableTable<Key, &'static [u8]>) -> Result<Access, String> {
    let mut access = Access::default();
    for row in rows.iter().map_err(|error| error.to_string())? {
        let (key, value) = row.map_err(|error| error.to_string())?;
        let (user, kind, vhost, exchange) = key.value();
        let damaged = |fault: Fault| {
            format!("the row of kind {kind} of user '{user}' in vhost '{vhost}': {fault}")
        };
        let value = decode(value.value()).map_err(damaged)?;
        let text = |name: &str| match value.get(name).and_then(FieldValue::as_str) {
            Some(text) => Ok(text.to_owned()),
            None => Err(damaged(Fault::Short)),
        };
        match kind {
            USER => access.users.push(UserRecord {
                name: user.into(),
                password_hash: text("password_hash")?,
                hashing_algorithm: text("hashing_algorithm")?,
                tags: tags(&value),
                limits: limits(&value),
            }),
            PERMISSION => access.permissions.push(PermissionRecord {
                user: user.into(),
                vhost: vhost.into(),
                configure: text("configure")?,
                write: text("write")?,
                read: text("read")?,
            }),
            TOPIC_PERMISSION => access.topic_permissions.push(TopicPermissionRecord {
                user: user.into(),
                vhost: vhost.into(),
                exchange: exchange.into(),
                write: text("write")?,
                read: text("read")?,
            }),
            _ => return Err(damaged(Fault::Trailing)),
        }
    }
    Ok(access)
}

fn user_value(user: &UserRecord) -> FieldTable {
    let UserRecord { password_hash, hashing_algorithm, tags, limits, .. } = user;
    let mut value =
        texts(&[("password_hash", password_hash), ("hashing_algorithm", hashing_algorithm)]);
    let tags = tags.iter().map(|tag| FieldValue::from(tag.as_str())).collect();
    value.insert("tags", FieldValue::Array(tags));
    let limits: FieldTable = limits.iter().map(|(name, limit)| (name.as_str(), *limit)).collect();
    value.insert("limits", FieldValue::Table(limits));
    value
}

fn tags(value: &FieldTable) -> Vec<String> {
    let Some(FieldValue::Array(tags)) = value.get("tags") else { return Vec::new() };
    tags.iter().filter_map(|tag| tag.as_str().map(str::to_owned)).collect()
}

fn limits(value: &FieldTable) -> Vec<(String, i64)> {
    let limits = value.get("limits").and_then(FieldValue::as_table);
    let limits = limits.into_iter().flat_map(FieldTable::iter);
    limits.filter_map(|(name, limit)| Some((name.to_owned(), limit.as_int()?))).collect()
}

fn texts(pairs: &[(&str, &String)]) -> FieldTable {
    pairs.iter().map(|(name, text)| (*name, text.as_str())).collect()
}

fn encode(value: &FieldTable) -> Vec<u8> {
    let mut encoded = Vec::new();
    put::table(&mut encoded, value);
    encoded
}

fn decode(value: &[u8]) -> Result<FieldTable, Fault> {
    let (rest, table) = take::table(value).map_err(Fault::of)?;
    if rest.is_empty() { Ok(table) } else { Err(Fault::Trailing) }
}
