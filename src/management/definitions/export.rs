//! Writes all definitions as one document, as RabbitMQ does.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::FILES_HASH;
use crate::broker::{
    COMPATIBLE_VERSION, FoundBinding, FoundEnd, Policy, PolicyScope, Vhost, WhichBindings,
    node_name,
};
use crate::management::Api;
use crate::management::handler::{limits_of_user, limits_of_vhost};
use crate::management::json::table_to_json;

/// The definitions of a broker.
#[derive(Serialize)]
pub(crate) struct Broker {
    rabbit_version: &'static str,
    rabbitmq_version: &'static str,
    product_name: &'static str,
    product_version: &'static str,
    rabbitmq_definition_format: &'static str,
    original_cluster_name: Value,
    explanation: String,
    users: Vec<Value>,
    vhosts: Vec<Value>,
    permissions: Vec<Value>,
    topic_permissions: Vec<Value>,
    parameters: Vec<Value>,
    global_parameters: Vec<Value>,
    policies: Vec<Value>,
    queues: Vec<Value>,
    exchanges: Vec<Value>,
    bindings: Vec<Value>,
}

/// The definitions of one vhost, which can be brought to another one: they do not name it.
#[derive(Serialize)]
pub(crate) struct OneVhost {
    rabbit_version: &'static str,
    rabbitmq_version: &'static str,
    product_name: &'static str,
    product_version: &'static str,
    rabbitmq_definition_format: &'static str,
    original_vhost_name: String,
    explanation: String,
    description: String,
    metadata: Value,
    limits: Value,
    parameters: Vec<Value>,
    policies: Vec<Value>,
    queues: Vec<Value>,
    exchanges: Vec<Value>,
    bindings: Vec<Value>,
}

const PRODUCT: &str = "leveret";
const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(crate) fn broker(api: &Api) -> Broker {
    let (broker, authenticator) = (&api.services.broker, &api.services.authenticator);
    let vhosts = broker.vhosts();
    let name = cluster_name(api);
    let all = |of: &dyn Fn(&Arc<Vhost>) -> Vec<Value>| {
        let named = |vhost: &Arc<Vhost>| {
            let mut items = of(vhost);
            for item in items.iter_mut().filter_map(Value::as_object_mut) {
                item.insert("vhost".to_owned(), vhost.name.as_str().into());
            }
            items
        };
        vhosts.iter().flat_map(named).collect()
    };
    let granted = authenticator.permissions().list();
    Broker {
        rabbit_version: COMPATIBLE_VERSION,
        rabbitmq_version: COMPATIBLE_VERSION,
        product_name: PRODUCT,
        product_version: VERSION,
        rabbitmq_definition_format: "cluster",
        explanation: format!("Definitions of cluster '{}'", name.as_str().unwrap_or_default()),
        original_cluster_name: name,
        users: authenticator.users().list().iter().map(|user| shown_user(user)).collect(),
        vhosts: vhosts.iter().map(|vhost| shown_vhost(vhost)).collect(),
        permissions: granted
            .iter()
            .filter_map(|granted| {
                let permission = granted.grant.permission.as_ref()?;
                Some(json!({
                    "user": granted.user.as_str(), "vhost": granted.vhost.as_str(),
                    "configure": permission.configure.as_str(), "write": permission.write.as_str(),
                    "read": permission.read.as_str(),
                }))
            })
            .collect(),
        topic_permissions: granted
            .iter()
            .flat_map(|granted| {
                granted.grant.topics.iter().map(|(exchange, topics)| {
                    json!({
                        "user": granted.user.as_str(), "vhost": granted.vhost.as_str(),
                        "exchange": exchange.as_str(), "write": topics.write.as_str(),
                        "read": topics.read.as_str(),
                    })
                })
            })
            .collect(),
        parameters: all(&parameters),
        global_parameters: broker
            .global_parameters()
            .iter()
            .filter(|(name, _)| name != FILES_HASH)
            .map(|(name, value)| json!({ "name": name, "value": parsed(value) }))
            .collect(),
        policies: all(&policies),
        queues: all(&queues),
        exchanges: all(&exchanges),
        bindings: all(&bindings),
    }
}

pub(crate) fn vhost(vhost: &Arc<Vhost>) -> OneVhost {
    let metadata = vhost.metadata();
    OneVhost {
        rabbit_version: COMPATIBLE_VERSION,
        rabbitmq_version: COMPATIBLE_VERSION,
        product_name: PRODUCT,
        product_version: VERSION,
        rabbitmq_definition_format: "single_virtual_host",
        original_vhost_name: vhost.name.to_string(),
        explanation: format!("Definitions of virtual host '{}'", vhost.name),
        metadata: shown_metadata(vhost),
        description: metadata.description.clone(),
        limits: limits_of_vhost(vhost).into(),
        parameters: parameters(vhost),
        policies: policies(vhost),
        queues: queues(vhost),
        exchanges: exchanges(vhost),
        bindings: bindings(vhost),
    }
}

/// What operators call it, or else the node's name.
pub(crate) fn cluster_name(api: &Api) -> Value {
    let said = api.services.broker.cluster_name();
    said.map_or_else(|| node_name().into(), |name| parsed(&name))
}

/// A value that was stored as text.
pub(crate) fn parsed(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_default()
}

fn shown_user(user: &crate::auth::User) -> Value {
    let tags: Vec<&str> = user.tags.iter().map(|tag| tag.as_str()).collect();
    json!({
        "name": user.name.as_str(),
        "password_hash": user.password.to_string(),
        "hashing_algorithm": user.password.algorithm().as_str(),
        "tags": tags,
        "limits": limits_of_user(user),
    })
}

fn shown_vhost(vhost: &Vhost) -> Value {
    let metadata = vhost.metadata();
    json!({
        "name": vhost.name.as_str(),
        "description": metadata.description,
        "tags": metadata.tags,
        "metadata": shown_metadata(vhost),
        "limits": limits_of_vhost(vhost),
    })
}

/// What a vhost was given, as RabbitMQ keeps it together.
pub(in crate::management) fn shown_metadata(vhost: &Vhost) -> Value {
    let metadata = vhost.metadata();
    let mut shown = Map::new();
    shown.insert("description".to_owned(), metadata.description.into());
    shown.insert("tags".to_owned(), metadata.tags.into());
    if let Some(kind) = metadata.default_queue_type {
        shown.insert("default_queue_type".to_owned(), kind.as_str().into());
    }
    if metadata.protected_from_deletion {
        shown.insert("protected_from_deletion".to_owned(), true.into());
    }
    shown.into()
}

/// Operators' policies and limits are parameters to RabbitMQ.
fn parameters(vhost: &Arc<Vhost>) -> Vec<Value> {
    let own = vhost.parameters().into_iter().map(|parameter| {
        let value = parsed(&parameter.value);
        json!({ "component": parameter.component, "name": parameter.name, "value": value })
    });
    let operator = vhost.policies(PolicyScope::Operator).into_iter().map(|policy| {
        let mut value = shown_policy(&policy);
        if let Some(value) = value.as_object_mut() {
            value.remove("name");
        }
        json!({ "component": "operator_policy", "name": policy.name, "value": value })
    });
    let limits = limits_of_vhost(vhost);
    let limits = (!limits.is_empty())
        .then(|| json!({ "component": "vhost-limits", "name": "limits", "value": limits }));
    own.chain(operator).chain(limits).collect()
}

fn shown_policy(policy: &Policy) -> Value {
    json!({
        "name": policy.name,
        "pattern": policy.pattern(),
        "apply-to": policy.apply_to.as_str(),
        "definition": table_to_json(&policy.definition),
        "priority": policy.priority,
    })
}

fn policies(vhost: &Arc<Vhost>) -> Vec<Value> {
    vhost.policies(PolicyScope::User).iter().map(|policy| shown_policy(policy)).collect()
}

/// Neither those that end with a connection nor those that the broker has named.
fn queues(vhost: &Arc<Vhost>) -> Vec<Value> {
    let mut queues = vhost.queues();
    queues.retain(|queue| {
        queue.declaration.owner.is_none() && !queue.name.as_str().starts_with("amq.")
    });
    queues.sort_by(|a, b| a.name.cmp(&b.name));
    let shown = |queue: &Arc<crate::queue::Queue>| {
        json!({
            "name": queue.name.as_str(),
            "type": queue.kind().as_str(),
            "durable": queue.declaration.durable,
            "auto_delete": queue.declaration.auto_delete,
            "arguments": table_to_json(&queue.declaration.arguments),
        })
    };
    queues.iter().map(shown).collect()
}

fn is_built_in(exchange: &str) -> bool {
    exchange.is_empty() || exchange.starts_with("amq.")
}

fn exchanges(vhost: &Arc<Vhost>) -> Vec<Value> {
    let mut exchanges = vhost.exchanges();
    exchanges.retain(|exchange| !is_built_in(exchange.name.as_str()));
    exchanges.sort_by(|a, b| a.name.cmp(&b.name));
    let shown = |exchange: &crate::broker::FoundExchange| {
        json!({
            "name": exchange.name.as_str(),
            "type": exchange.declaration.kind.as_str(),
            "durable": exchange.declaration.durable,
            "auto_delete": exchange.declaration.auto_delete,
            "internal": exchange.declaration.internal,
            "arguments": table_to_json(&exchange.declaration.arguments),
        })
    };
    exchanges.iter().map(shown).collect()
}

/// Not those of queues that are left out.
fn bindings(vhost: &Arc<Vhost>) -> Vec<Value> {
    let mut bindings = vhost.bindings(WhichBindings::All);
    bindings.retain(|binding| {
        let leads_out = match &binding.end {
            FoundEnd::Exchange(_) => true,
            FoundEnd::Queue(name) => {
                let queue = vhost.find_queue(name.as_str());
                let lasts = queue.is_some_and(|queue| queue.declaration.owner.is_none());
                lasts && !name.as_str().starts_with("amq.")
            }
        };
        !binding.source.as_str().is_empty() && leads_out
    });
    let order =
        |it: &FoundBinding| (it.source.clone(), it.end.name().to_owned(), it.routing_key.clone());
    bindings.sort_by_cached_key(order);
    let shown = |binding: &FoundBinding| {
        json!({
            "source": binding.source.as_str(),
            "destination": binding.end.name(),
            "destination_type": match binding.end {
                FoundEnd::Queue(_) => "queue",
                FoundEnd::Exchange(_) => "exchange",
            },
            "routing_key": binding.routing_key.as_str(),
            "arguments": table_to_json(&binding.arguments),
        })
    };
    bindings.iter().map(shown).collect()
}
