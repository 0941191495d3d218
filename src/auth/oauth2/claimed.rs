//! Where in a token its scopes are: `scope`, claims that the operator names, the permissions of a
//! requesting party (Keycloak), and rich authorization requests (RFC 9396). All of them count together.

use serde_json::Value;

use super::OAuth2Options;
use super::token::Claims;
use super::wildcard::Wildcard;

/// Scopes that one token may have: more than fit into it, but aliases and rich requests multiply.
const SCOPES_MAX: usize = 4096;

/// The scopes without their prefix; what has another prefix is somebody else's.
pub(super) fn scopes(claims: &Claims, options: &OAuth2Options) -> Vec<String> {
    let mut found = Found { options, scopes: Vec::new() };
    if let Some(scope) = claims.get("scope") {
        found.add_value(scope);
    }
    for path in &options.additional_scopes_key {
        if let Some(value) = claims.at(path) {
            found.add_value(value);
        }
    }
    let permissions = claims.at("authorization.permissions").and_then(Value::as_array);
    for permission in permissions.into_iter().flatten() {
        if let Some(scopes) = permission.get("scopes") {
            found.add_value(scopes);
        }
    }
    if let (Some(kind), Some(details)) =
        (&options.resource_server_type, claims.get("authorization_details"))
    {
        for detail in details.as_array().into_iter().flatten() {
            if detail.get("type").and_then(Value::as_str) == Some(kind) {
                found.add_rich(detail);
            }
        }
    }
    found.scopes
}

struct Found<'o> {
    options: &'o OAuth2Options,
    scopes: Vec<String>,
}

impl Found<'_> {
    /// A text with spaces between the scopes, a list of texts, or an object in which our part stands
    /// under our id, without a prefix.
    fn add_value(&mut self, value: &Value) {
        match value {
            Value::Object(servers) => {
                let ours = servers.get(&self.options.resource_server_id);
                for scope in ours.into_iter().flat_map(texts) {
                    self.push(scope);
                }
            }
            value => texts(value).into_iter().for_each(|scope| self.add(scope)),
        }
    }

    fn add(&mut self, scope: &str) {
        if let Some((_, meaning)) =
            self.options.scope_aliases.iter().find(|(alias, _)| alias == scope)
        {
            for scope in meaning {
                // The operator wrote it, so there is no doubt for whom it is.
                self.push(scope.strip_prefix(&*self.options.scope_prefix).unwrap_or(scope));
            }
        }
        if let Some(scope) = scope.strip_prefix(&*self.options.scope_prefix) {
            self.push(scope);
        }
    }

    fn push(&mut self, scope: &str) {
        if !scope.is_empty() && self.scopes.len() < SCOPES_MAX {
            self.scopes.push(scope.to_owned());
        }
    }

    /// Each action at each location.
    fn add_rich(&mut self, detail: &Value) {
        let member = |name: &str| detail.get(name).into_iter().flat_map(items);
        for location in member("locations") {
            let Some(place) = self.place(location) else { continue };
            for action in member("actions") {
                match action {
                    "configure" | "write" | "read" => self.push(&format!("{action}:{place}")),
                    "administrator" | "monitoring" | "management" | "policymaker" => {
                        self.push(&format!("tag:{action}"));
                    }
                    _ => {}
                }
            }
        }
    }

    /// `cluster:FINANCE/vhost:V/queue:Q/routing-key:K` as `V/Q/K`, if it is this cluster.
    fn place(&self, location: &str) -> Option<String> {
        let (mut cluster, mut vhost, mut name, mut routing_key) = (None, None, None, None);
        for part in location.split('/') {
            let Some((key, value)) = part.split_once(':') else { continue };
            let place = match key {
                "cluster" => &mut cluster,
                "vhost" => &mut vhost,
                "queue" | "exchange" => &mut name,
                "routing-key" => &mut routing_key,
                _ => continue,
            };
            // Something said twice, or both a queue and an exchange, means nothing for sure.
            if place.replace(value).is_some() {
                return None;
            }
        }
        let ours = Wildcard::plain(cluster?)?;
        let [vhost, name, routing_key] = [vhost, name, routing_key].map(|p| p.unwrap_or("*"));
        ours.matches(self.options.resource_server_id.as_bytes())
            .then(|| format!("{vhost}/{name}/{routing_key}"))
    }
}

/// The words of a text, or of all texts of a list.
fn texts(value: &Value) -> Vec<&str> {
    items(value).into_iter().flat_map(|text| text.split(' ')).filter(|s| !s.is_empty()).collect()
}

/// A text, or the texts of a list.
fn items(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}
