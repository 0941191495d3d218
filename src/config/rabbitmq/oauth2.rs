//! Tokens: `auth_backends` and `auth_oauth2`.

use super::super::error::ConfigError;
use super::super::source::Value;
use super::combine::{Done, text, texts};
use super::{Conf, Entry, Translated};

/// The numbers of backends are their order.
pub(super) fn backends(conf: &Conf, to: &mut Translated) -> Done {
    let mut backends: Vec<(u32, &Entry)> = Vec::new();
    for entry in &conf.entries {
        let is_backend = entry.key.first().is_some_and(|first| first == "auth_backends");
        if !is_backend {
            continue;
        }
        let number = entry.key.get(1).map(String::as_str).unwrap_or_default();
        let Ok(number) = number.parse() else {
            return Err(entry.wrong(format!("{number:?} is not the backend's place, such as 1")));
        };
        backends.push((number, entry));
    }
    backends.sort_by_key(|(number, _)| *number);
    let mut names: Vec<String> = Vec::new();
    for (_, entry) in &backends {
        let name = match &*entry.value {
            "internal" | "rabbit_auth_backend_internal" => "internal",
            "oauth2" | "rabbit_auth_backend_oauth2" => "oauth2",
            other => {
                let sentence = format!("{other:?} is not supported: internal and oauth2 are");
                return Err(entry.wrong(sentence));
            }
        };
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    if let Some((_, last)) = backends.last() {
        to.assignments.push(last.assign("auth_backends", texts(names)));
    }
    Ok(())
}

/// Lists, whose members have numbers or names.
pub(super) fn lists(conf: &Conf, to: &mut Translated) -> Done {
    for (prefix, key) in [
        ("auth_oauth2.preferred_username_claims", "auth_oauth2_preferred_username_claims"),
        ("auth_oauth2.algorithms", "auth_oauth2_algorithms"),
    ] {
        let members: Vec<&Entry> = conf.below(prefix).map(|(_, entry)| entry).collect();
        if let Some(last) = members.last() {
            let all = members.iter().map(|entry| entry.value.clone()).collect();
            to.assignments.push(last.assign(key, texts(all)));
        }
    }
    let keys: Vec<(&str, &Entry)> = conf.below("auth_oauth2.signing_keys").collect();
    if let Some((_, last)) = keys.last() {
        let all = keys.iter().map(|(id, entry)| format!("{id}={}", entry.value)).collect();
        to.assignments.push(last.assign("auth_oauth2_signing_keys", texts(all)));
    }
    if let Some(entry) = conf.get("auth_oauth2.additional_scopes_key") {
        let all = entry.value.split_whitespace().map(|key| text(key.to_owned())).collect();
        to.assignments.push(entry.assign("auth_oauth2_additional_scopes_key", Value::List(all)));
    }
    aliases(conf, to)
}

/// `scope_aliases.ALIAS = SCOPES`, or the two under a number: `scope_aliases.1.alias`, `.scope`.
fn aliases(conf: &Conf, to: &mut Translated) -> Done {
    const PREFIX: [&str; 2] = ["auth_oauth2", "scope_aliases"];
    let mut all: Vec<String> = Vec::new();
    let mut last = None;
    for entry in &conf.entries {
        let [first, second, name, rest @ ..] = entry.key.as_slice() else { continue };
        if [first.as_str(), second] != PREFIX {
            continue;
        }
        match rest {
            [] => all.push(format!("{name}={}", entry.value)),
            [part] if part == "alias" => {
                let scope = conf.get(&format!("auth_oauth2.scope_aliases.{name}.scope"));
                let Some(scope) = scope else { return Err(missing(entry, "scope")) };
                all.push(format!("{}={}", entry.value, scope.value));
            }
            _ => {
                if conf.get(&format!("auth_oauth2.scope_aliases.{name}.alias")).is_none() {
                    return Err(missing(entry, "alias"));
                }
            }
        }
        last = Some(entry);
    }
    if let Some(last) = last {
        to.assignments.push(last.assign("auth_oauth2_scope_aliases", texts(all)));
    }
    Ok(())
}

fn missing(entry: &Entry, part: &str) -> ConfigError {
    entry.wrong(format!("needs {part} beside it, under the same number"))
}
