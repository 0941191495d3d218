//! Reads and checks a document of definitions.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Target, is_own};
use crate::auth::{HashingAlgorithm, PasswordHash, Pattern, Tag, User};
use crate::broker::{
    Broker, ExchangeDeclaration, Policy, PolicyScope, VhostMetadata, resource_exchange,
    resource_queue,
};
use crate::exchange::ExchangeKind;
use crate::management::body::{boolean, integer, table, tags, text};
use crate::management::handler::policy_terms;
use crate::management::refusal::Refusal;
use crate::names::{ExchangeName, QueueName, RoutingKey, UserName, VhostName};
use crate::protocol::FieldTable;
use crate::queue::{Declaration, Options, QueueKind};
use crate::storage::ParameterRecord;

/// A document that was checked against what there is.
#[derive(Default)]
pub(crate) struct Document {
    pub(super) users: Vec<User>,
    pub(super) vhosts: Vec<(VhostName, VhostMetadata)>,
    pub(super) permissions: Vec<PermissionEntry>,
    pub(super) topic_permissions: Vec<TopicEntry>,
    pub(super) parameters: Vec<(VhostName, ParameterRecord)>,
    pub(super) global_parameters: Vec<(String, String)>,
    pub(super) policies: Vec<(VhostName, Policy)>,
    pub(super) exchanges: Vec<(VhostName, ExchangeName, ExchangeDeclaration)>,
    pub(super) queues: Vec<(VhostName, QueueName, Declaration)>,
    pub(super) bindings: Vec<BindingEntry>,
}

pub(super) struct PermissionEntry {
    pub(super) user: UserName,
    pub(super) vhost: VhostName,
    pub(super) configure: String,
    pub(super) write: String,
    pub(super) read: String,
}

pub(super) struct TopicEntry {
    pub(super) user: UserName,
    pub(super) vhost: VhostName,
    pub(super) exchange: ExchangeName,
    pub(super) write: String,
    pub(super) read: String,
}

pub(super) struct BindingEntry {
    pub(super) vhost: VhostName,
    pub(super) source: String,
    pub(super) to_queue: bool,
    pub(super) destination: String,
    pub(super) routing_key: RoutingKey,
    pub(super) arguments: FieldTable,
}

/// Names have at most 255 bytes.
const NAME_MAX: usize = 255;

type Object = Map<String, Value>;

fn refuse<T>(reason: String) -> Result<T, Refusal> {
    Err(Refusal::BadRequest(reason.into()))
}

/// What is wrong in documents.
#[derive(Debug)]
pub(crate) struct Wrong {
    /// Which of them.
    pub(crate) document: usize,
    /// The entry of one of its lists, such as `queues[3]`.
    pub(crate) entry: Option<String>,
    pub(crate) refusal: Refusal,
}

/// Reads the objects under `key`; none if it is not there.
fn each(
    documents: &[Object],
    key: &str,
    mut read: impl FnMut(&Object) -> Result<(), Refusal>,
) -> Result<(), Wrong> {
    for (document, object) in documents.iter().enumerate() {
        let refuse = || Refusal::BadRequest(format!("'{key}' must be a list of objects").into());
        let items = match object.get(key) {
            None | Some(Value::Null) => continue,
            Some(Value::Array(items)) => items,
            Some(_) => return Err(Wrong { document, entry: None, refusal: refuse() }),
        };
        for (index, item) in items.iter().enumerate() {
            item.as_object().ok_or_else(refuse).and_then(&mut read).map_err(|refusal| Wrong {
                document,
                entry: Some(format!("{key}[{index}]")),
                refusal,
            })?;
        }
    }
    Ok(())
}

/// The text under `key`, which has to be there.
fn name(object: &Object, key: &str) -> Result<String, Refusal> {
    match text(object, key)? {
        None => refuse(format!("[{{key_missing,{key}}}]")),
        Some(name) if name.len() > NAME_MAX => refuse(format!("'{key}' is longer than 255 bytes")),
        Some(name) => Ok(name),
    }
}

impl Document {
    /// Reads documents as if they were one: the definitions of a whole broker, or those of one vhost.
    pub(crate) fn read(
        documents: &[Object],
        only: Option<&VhostName>,
        target: Target<'_>,
    ) -> Result<Self, Wrong> {
        let mut reader = Reader { target, only, vhosts: HashMap::new(), read: Self::default() };
        if only.is_none() {
            each(documents, "users", |it| reader.user(it))?;
            each(documents, "vhosts", |it| reader.vhost(it))?;
            each(documents, "permissions", |it| reader.permission(it))?;
            each(documents, "topic_permissions", |it| reader.topic_permission(it))?;
            each(documents, "global_parameters", |it| reader.global_parameter(it))?;
        }
        each(documents, "parameters", |it| reader.parameter(it))?;
        each(documents, "policies", |it| reader.policy(PolicyScope::User, it))?;
        each(documents, "exchanges", |it| reader.exchange(it))?;
        each(documents, "queues", |it| reader.queue(it))?;
        each(documents, "bindings", |it| reader.binding(it))?;
        let last = documents.len().saturating_sub(1);
        let of_last = |refusal| Wrong { document: last, entry: None, refusal };
        reader.check_vhost_limit().map_err(of_last)?;
        reader.check_queue_limits().map_err(of_last)?;
        reader.read.vhosts.extend(reader.vhosts);
        Ok(reader.read)
    }
}

struct Reader<'a> {
    target: Target<'a>,
    only: Option<&'a VhostName>,
    /// Those that are made or changed, as they will be.
    vhosts: HashMap<VhostName, VhostMetadata>,
    read: Document,
}

impl Reader<'_> {
    fn broker(&self) -> &Arc<Broker> {
        self.target.broker
    }

    fn user(&mut self, object: &Object) -> Result<(), Refusal> {
        let name = UserName::from(name(object, "name")?);
        let Some(tags) = tags(object)? else { return refuse("tags_not_present".to_owned()) };
        let users = self.target.authenticator.users();
        let mut limits = users.find(&name).map(|user| user.limits).unwrap_or_default();
        for (limit, max) in given_limits(object.get("limits"))? {
            match limits.named(&limit) {
                Some(place) => *place = max,
                None => return refuse(unrecognised(&limit)),
            }
        }
        let tags = tags.iter().map(|tag| Tag::from(tag.as_str())).collect();
        self.read.users.push(User { name, password: password(object)?, tags, limits });
        Ok(())
    }

    fn vhost(&mut self, object: &Object) -> Result<(), Refusal> {
        let name = name(object, "name")?;
        if name.is_empty() {
            return refuse("a virtual host has a name".to_owned());
        }
        let name = VhostName::from(name);
        let current = self.broker().vhost(name.as_str()).map(|vhost| vhost.metadata());
        let mut metadata = current.unwrap_or_default();
        let nested = object.get("metadata").and_then(Value::as_object);
        for said in [nested, Some(object)].into_iter().flatten() {
            if let Some(description) = text(said, "description")? {
                metadata.description = description;
            }
            if let Some(tags) = tags(said)? {
                metadata.tags = tags;
            }
            if said.contains_key("protected_from_deletion") {
                metadata.protected_from_deletion = boolean(said, "protected_from_deletion")?;
            }
            match text(said, "default_queue_type")?.as_deref() {
                None | Some("" | "undefined") => {}
                Some(kind) => match QueueKind::from_name(kind) {
                    Some(kind) => metadata.default_queue_type = Some(kind),
                    None => return refuse(format!("Unsupported default queue type '{kind}'")),
                },
            }
        }
        set_limits(&mut metadata, object.get("limits"))?;
        self.vhosts.insert(name, metadata);
        Ok(())
    }

    /// The vhost that an object is in, which has to be there by then.
    fn of(&self, object: &Object) -> Result<VhostName, Refusal> {
        if let Some(only) = self.only {
            return Ok(only.clone());
        }
        let vhost = VhostName::from(name(object, "vhost")?);
        match self.vhosts.contains_key(&vhost) || self.broker().vhost(vhost.as_str()).is_some() {
            true => Ok(vhost),
            false => refuse(format!("no_such_vhost: {vhost}")),
        }
    }

    fn known_user(&self, object: &Object) -> Result<UserName, Refusal> {
        let user = UserName::from(name(object, "user")?);
        let is_new = self.read.users.iter().any(|new| new.name == user);
        match is_new || self.target.authenticator.users().find(&user).is_some() {
            true => Ok(user),
            false => refuse(format!("no_such_user: {user}")),
        }
    }

    fn permission(&mut self, object: &Object) -> Result<(), Refusal> {
        let (vhost, user) = (self.of(object)?, self.known_user(object)?);
        let pattern = |key| pattern(object, key, Pattern::new);
        let [configure, write, read] = [pattern("configure")?, pattern("write")?, pattern("read")?];
        self.read.permissions.push(PermissionEntry { user, vhost, configure, write, read });
        Ok(())
    }

    fn topic_permission(&mut self, object: &Object) -> Result<(), Refusal> {
        let (vhost, user) = (self.of(object)?, self.known_user(object)?);
        let exchange = ExchangeName::from(name(object, "exchange")?);
        let compile = |text: &str| Pattern::for_topics(text, user.as_str(), vhost.as_str());
        let pattern = |key| pattern(object, key, compile);
        let [write, read] = [pattern("write")?, pattern("read")?];
        self.read.topic_permissions.push(TopicEntry { user, vhost, exchange, write, read });
        Ok(())
    }

    fn global_parameter(&mut self, object: &Object) -> Result<(), Refusal> {
        let name = name(object, "name")?;
        let Some(value) = object.get("value") else {
            return refuse("[{key_missing,value}]".to_owned());
        };
        if !is_own(&name) {
            self.read.global_parameters.push((name, value.to_string()));
        }
        Ok(())
    }

    fn parameter(&mut self, object: &Object) -> Result<(), Refusal> {
        let vhost = self.of(object)?;
        let (component, name) = (name(object, "component")?, name(object, "name")?);
        let Some(value) = object.get("value") else {
            return refuse("[{key_missing,value}]".to_owned());
        };
        match component.as_str() {
            // RabbitMQ keeps these as parameters.
            "operator_policy" => {
                let terms = value.as_object().cloned().unwrap_or_default();
                self.add_policy(PolicyScope::Operator, vhost, &name, &terms)
            }
            "policy" => {
                let terms = value.as_object().cloned().unwrap_or_default();
                self.add_policy(PolicyScope::User, vhost, &name, &terms)
            }
            "vhost-limits" => {
                let current = self.broker().vhost(vhost.as_str()).map(|vhost| vhost.metadata());
                let metadata =
                    self.vhosts.entry(vhost).or_insert_with(|| current.unwrap_or_default());
                set_limits(metadata, Some(value))
            }
            _ => {
                let value = value.to_string();
                let parameter = ParameterRecord { component, name, value };
                check_component(&parameter)?;
                self.read.parameters.push((vhost, parameter));
                Ok(())
            }
        }
    }

    fn policy(&mut self, scope: PolicyScope, object: &Object) -> Result<(), Refusal> {
        let (vhost, name) = (self.of(object)?, name(object, "name")?);
        self.add_policy(scope, vhost, &name, object)
    }

    fn add_policy(
        &mut self,
        scope: PolicyScope,
        vhost: VhostName,
        name: &str,
        terms: &Object,
    ) -> Result<(), Refusal> {
        let policy = Policy::parse(scope, name, &policy_terms(terms)?).map_err(|invalid| {
            let reason = format!("Validation failed\n\n{invalid}\n ({vhost}/{name})");
            Refusal::BadRequest(reason.into())
        })?;
        self.read.policies.push((vhost, policy));
        Ok(())
    }

    fn exchange(&mut self, object: &Object) -> Result<(), Refusal> {
        let (vhost, name) = (self.of(object)?, name(object, "name")?);
        if name.is_empty() || name.starts_with("amq.") {
            // Every vhost has its own.
            return Ok(());
        }
        let kind = text(object, "type")?.unwrap_or_else(|| "direct".to_owned());
        let Some(kind) = ExchangeKind::parse(&kind) else {
            return refuse(format!("unknown exchange type '{kind}'"));
        };
        let arguments = table(object, "arguments")?;
        kind.validate(&arguments, &resource_exchange(&name, &vhost))?;
        let declaration = ExchangeDeclaration {
            kind,
            durable: boolean(object, "durable")?,
            auto_delete: boolean(object, "auto_delete")?,
            internal: boolean(object, "internal")?,
            arguments,
        };
        self.read.exchanges.push((vhost, ExchangeName::from(name), declaration));
        Ok(())
    }

    fn queue(&mut self, object: &Object) -> Result<(), Refusal> {
        let (vhost, name) = (self.of(object)?, name(object, "name")?);
        if name.is_empty() {
            return refuse("a queue has a name".to_owned());
        }
        let (durable, auto_delete) = (boolean(object, "durable")?, boolean(object, "auto_delete")?);
        let mut arguments = table(object, "arguments")?;
        let kind = text(object, "type")?.filter(|kind| kind != "classic");
        if let Some(kind) = kind.filter(|_| arguments.get("x-queue-type").is_none()) {
            arguments.insert("x-queue-type", kind.as_str());
        }
        let resource = resource_queue(&name, &vhost);
        let options = Arc::new(Options::parse(&arguments, &resource)?);
        options.kind.check_flags(durable, false, auto_delete, &resource)?;
        let declaration = Declaration { durable, auto_delete, owner: None, arguments, options };
        self.read.queues.push((vhost, QueueName::from(name), declaration));
        Ok(())
    }

    fn binding(&mut self, object: &Object) -> Result<(), Refusal> {
        let vhost = self.of(object)?;
        let (source, destination) = (name(object, "source")?, name(object, "destination")?);
        let to_queue = match text(object, "destination_type")?.as_deref() {
            Some("queue") => true,
            Some("exchange") => false,
            other => return refuse(format!("destination_type: {}", other.unwrap_or_default())),
        };
        let routing_key = text(object, "routing_key")?.unwrap_or_default();
        if routing_key.len() > NAME_MAX {
            return refuse("'routing_key' is longer than 255 bytes".to_owned());
        }
        let arguments = table(object, "arguments")?;
        // What leads from the default exchange is there by itself.
        if !source.is_empty() {
            let routing_key = RoutingKey::from(routing_key);
            let binding =
                BindingEntry { vhost, source, to_queue, destination, routing_key, arguments };
            self.read.bindings.push(binding);
        }
        Ok(())
    }

    fn check_vhost_limit(&self) -> Result<(), Refusal> {
        let is_new = |name: &&VhostName| self.broker().vhost(name.as_str()).is_none();
        let new = self.vhosts.keys().filter(is_new).count();
        match self.broker().too_many_vhosts(new).filter(|_| new > 0) {
            None => Ok(()),
            Some(max) => refuse(format!("vhost limit ({max}) would be exceeded")),
        }
    }

    /// So that the last queue is not refused when the others are there.
    fn check_queue_limits(&self) -> Result<(), Refusal> {
        let mut new: HashMap<&VhostName, HashSet<&QueueName>> = HashMap::new();
        for (vhost, queue, _) in &self.read.queues {
            let there = self.broker().vhost(vhost.as_str());
            if there.and_then(|vhost| vhost.find_queue(queue.as_str())).is_none() {
                new.entry(vhost).or_default().insert(queue);
            }
        }
        for (vhost, queues) in new {
            let there = self.broker().vhost(vhost.as_str());
            let count = there.as_ref().map_or(0, |vhost| vhost.queue_count()) + queues.len();
            let current = || there.as_ref().map(|vhost| vhost.metadata()).unwrap_or_default();
            let metadata = self.vhosts.get(vhost).cloned().unwrap_or_else(current);
            if let Some(max) = metadata.queues_max.filter(|max| count > *max as usize) {
                return refuse(format!("queue limit in vhost '{vhost}' ({max}) would be exceeded"));
            }
        }
        Ok(())
    }
}

/// A password, or a hash of one, whose algorithm may have RabbitMQ's or LavinMQ's name; with neither
/// nobody can log in as this user.
fn password(object: &Object) -> Result<PasswordHash, Refusal> {
    if let Some(password) = text(object, "password")? {
        return Ok(PasswordHash::new(&password));
    }
    let algorithm = match text(object, "hashing_algorithm")?.as_deref() {
        None => None,
        Some("SHA256") => Some(HashingAlgorithm::Sha256),
        Some("SHA512") => Some(HashingAlgorithm::Sha512),
        Some("MD5") => Some(HashingAlgorithm::Md5),
        Some(name) => match HashingAlgorithm::from_name(name) {
            Some(algorithm) => Some(algorithm),
            None => return refuse(format!("unknown hashing algorithm '{name}'")),
        },
    };
    let hash = text(object, "password_hash")?.unwrap_or_default();
    PasswordHash::parse(&hash, algorithm)
        .map_err(|invalid| Refusal::BadRequest(invalid.to_string().into()))
}

fn pattern<E: ToString, P>(
    object: &Object,
    key: &str,
    compile: impl Fn(&str) -> Result<P, E>,
) -> Result<String, Refusal> {
    let Some(text) = text(object, key)? else {
        return refuse(format!("[{{key_missing,{key}}}]"));
    };
    match compile(&text) {
        Ok(_) => Ok(text),
        Err(invalid) => refuse(invalid.to_string()),
    }
}

fn unrecognised(limit: &str) -> String {
    format!("Validation failed\n\nUnrecognised terms [<<\"{limit}\">>] in limits\n")
}

/// Names and limits; a negative one is none. Some versions write none at all as an empty list.
fn given_limits(limits: Option<&Value>) -> Result<Vec<(String, Option<u32>)>, Refusal> {
    match limits {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) if items.is_empty() => Ok(Vec::new()),
        Some(Value::Object(object)) => object.keys().map(|key| limit(object, key)).collect(),
        Some(_) => refuse("'limits' must be an object".to_owned()),
    }
}

fn limit(object: &Object, key: &str) -> Result<(String, Option<u32>), Refusal> {
    let number = integer(object, key)?.unwrap_or(-1);
    let max = match number {
        ..0 => None,
        number => match u32::try_from(number) {
            Ok(max) => Some(max),
            Err(_) => return refuse("a limit is an integer below 2^32".to_owned()),
        },
    };
    Ok((key.to_owned(), max))
}

pub(crate) fn set_limits(
    metadata: &mut VhostMetadata,
    limits: Option<&Value>,
) -> Result<(), Refusal> {
    for (limit, max) in given_limits(limits)? {
        match metadata.limit(&limit) {
            Some(place) => *place = max,
            None => return refuse(unrecognised(&limit)),
        }
    }
    Ok(())
}

/// Components that RabbitMQ's plugins have. Nothing acts on them here yet; they are kept for whom they
/// mean something to.
const COMPONENTS: [&str; 3] = ["shovel", "federation-upstream", "federation-upstream-set"];

pub(crate) fn check_component(parameter: &ParameterRecord) -> Result<(), Refusal> {
    let ParameterRecord { component, .. } = parameter;
    match COMPONENTS.contains(&component.as_str()) {
        true => Ok(()),
        false => refuse(format!("Validation failed\n\ncomponent {component} not found\n")),
    }
}
