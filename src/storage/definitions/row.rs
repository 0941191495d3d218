//! How definitions lie in the file: one row each, in the order in which they are brought back.
//!
//! | kind | name | value |
//! | --- | --- | --- |
//! | 0 vhost | | what is known about it, or nothing |
//! | 1 exchange | name | type, flags, arguments, queue id if it delays |
//! | 2 queue | name | id, flags, arguments, id for its dead letters if it is a quorum queue |
//! | 3 binding | source, to queue?, destination, routing key, digest | arguments |
//! | 4 policy | operator's?, name | pattern, apply to, priority, definition |
//! | 5 parameter | component, name | JSON text |
//! | 6 global parameter, of the vhost without a name | name | JSON text |
//!
//! A row's key is vhost, kind and name. Strings, numbers and tables are written as AMQP writes them,
//! which loses nothing of any type. The arguments of a binding are part of what it is (behaviour
//! B4.8); a digest of them keeps its key short. Any change of this is a new [`FORMAT`];
//! a new kind is not, since a version that does not know it says so and changes nothing.
//! Users and permissions have a table of their own (`access_row`).

use redb::TableDefinition;
use sha2::{Digest, Sha256};

use crate::names::{ExchangeName, QueueName, RoutingKey, VhostName};
use crate::protocol::FieldTable;
use crate::protocol::wire::{Fault, Taken, put, take};
use crate::storage::{
    AccessChange, BindingRecord, Change, Definition, ExchangeRecord, ParameterRecord, PolicyRecord,
    QueueId, QueueRecord, Record,
};

/// The version of everything in this file.
///
/// 1 knew no users, 2 no dead letters that wait. They are read, and become the present one when the file
/// is opened.
pub(super) const FORMAT: u64 = 3;
pub(super) const OLDEST_FORMAT: u64 = 1;

/// Vhost, kind, name.
pub(super) type Key = (&'static str, u8, &'static [u8]);

pub(super) const DEFINITIONS: TableDefinition<'_, Key, &[u8]> = TableDefinition::new("definitions");

/// Numbers about the file itself: [`FORMAT_ROW`], [`QUEUE_IDS_ROW`] and [`DEFAULTS_ROW`].
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
pub(super) const FORMAT_ROW: &str = "format";
/// No queue has had this number or one above it.
pub(super) const QUEUE_IDS_ROW: &str = "queue_ids";
/// There once the user and the vhost that an empty broker begins with were made.
pub(super) const DEFAULTS_ROW: &str = "defaults_made";

const VHOST: u8 = 0;
const EXCHANGE: u8 = 1;
const QUEUE: u8 = 2;
const BINDING: u8 = 3;
const POLICY: u8 = 4;
const PARAMETER: u8 = 5;
const GLOBAL_PARAMETER: u8 = 6;

const AUTO_DELETE: u8 = 1;
const INTERNAL: u8 = 2;
/// The first of the queue ids for delayed messages stands at the end.
const DELAYS: u8 = 4;
/// The queue id for dead letters that wait stands at the end.
const UNDELIVERED: u8 = 8;

/// What a change does to the rows of its vhost.
pub(super) enum Write<'a> {
    Put { kind: u8, name: Vec<u8>, value: Vec<u8> },
    Delete { kind: u8, name: Vec<u8> },
    DeleteVhost,
    Access(&'a AccessChange),
}

impl<'a> Write<'a> {
    pub(super) fn of(change: &'a Change) -> Self {
        match change {
            Change::PutVhost(properties) => {
                let mut value = Vec::new();
                if !properties.is_empty() {
                    put::table(&mut value, properties);
                }
                Self::Put { kind: VHOST, name: Vec::new(), value }
            }
            Change::DeleteVhost => Self::DeleteVhost,
            Change::Access(change) => Self::Access(change),
            Change::PutExchange(exchange) => {
                let name = exchange.name.as_bytes().to_vec();
                Self::Put { kind: EXCHANGE, name, value: exchange_value(exchange) }
            }
            Change::DeleteExchange { name } => {
                Self::Delete { kind: EXCHANGE, name: name.as_bytes().to_vec() }
            }
            Change::PutQueue(queue) => {
                let name = queue.name.as_bytes().to_vec();
                Self::Put { kind: QUEUE, name, value: queue_value(queue) }
            }
            Change::DeleteQueue { name } => {
                Self::Delete { kind: QUEUE, name: name.as_bytes().to_vec() }
            }
            Change::PutBinding(binding) => {
                let mut value = Vec::new();
                put::table(&mut value, &binding.arguments);
                Self::Put { kind: BINDING, name: binding_name(binding), value }
            }
            Change::DeleteBinding(binding) => {
                Self::Delete { kind: BINDING, name: binding_name(binding) }
            }
            Change::PutParameter(parameter) => {
                let name = parameter_name(&parameter.component, &parameter.name);
                Self::Put { kind: PARAMETER, name, value: parameter.value.as_bytes().to_vec() }
            }
            Change::DeleteParameter { component, name } => {
                Self::Delete { kind: PARAMETER, name: parameter_name(component, name) }
            }
            Change::PutGlobalParameter { name, value } => Self::Put {
                kind: GLOBAL_PARAMETER,
                name: name.as_bytes().to_vec(),
                value: value.as_bytes().to_vec(),
            },
            Change::DeleteGlobalParameter { name } => {
                Self::Delete { kind: GLOBAL_PARAMETER, name: name.as_bytes().to_vec() }
            }
            Change::PutPolicy(policy) => {
                let name = policy_name(policy.operator, &policy.name);
                Self::Put { kind: POLICY, name, value: policy_value(policy) }
            }
            Change::DeletePolicy { operator, name } => {
                Self::Delete { kind: POLICY, name: policy_name(*operator, name) }
            }
        }
    }
}

fn exchange_value(exchange: &ExchangeRecord) -> Vec<u8> {
    let mut value = Vec::new();
    put::shortstr(&mut value, &exchange.kind);
    let delays = if exchange.delay_queues.is_some() { DELAYS } else { 0 };
    put::octet(&mut value, flags(exchange.auto_delete, exchange.internal) | delays);
    put::table(&mut value, &exchange.arguments);
    if let Some(first) = exchange.delay_queues {
        put::longlong(&mut value, first.0);
    }
    value
}

fn queue_value(queue: &QueueRecord) -> Vec<u8> {
    let mut value = Vec::new();
    put::longlong(&mut value, queue.id.0);
    let undelivered = if queue.undelivered.is_some() { UNDELIVERED } else { 0 };
    put::octet(&mut value, flags(queue.auto_delete, false) | undelivered);
    put::table(&mut value, &queue.arguments);
    if let Some(id) = queue.undelivered {
        put::longlong(&mut value, id.0);
    }
    value
}

fn policy_name(operator: bool, name: &str) -> Vec<u8> {
    let mut row = Vec::new();
    put::octet(&mut row, u8::from(operator));
    put::shortstr(&mut row, name);
    row
}

fn policy_value(policy: &PolicyRecord) -> Vec<u8> {
    let mut value = Vec::new();
    put::longstr(&mut value, policy.pattern.as_bytes());
    put::shortstr(&mut value, &policy.apply_to);
    put::longlong(&mut value, policy.priority.cast_unsigned());
    put::table(&mut value, &policy.definition);
    value
}

fn flags(auto_delete: bool, internal: bool) -> u8 {
    (if auto_delete { AUTO_DELETE } else { 0 }) | (if internal { INTERNAL } else { 0 })
}

/// Same name, same binding: the order of the arguments does not matter, their types do.
fn binding_name(binding: &BindingRecord) -> Vec<u8> {
    let mut name = Vec::new();
    put::shortstr(&mut name, binding.source.as_str());
    put::octet(&mut name, u8::from(binding.to_queue));
    put::shortstr(&mut name, &binding.destination);
    put::shortstr(&mut name, binding.routing_key.as_str());
    if !binding.arguments.is_empty() {
        let mut arguments: Vec<_> = binding.arguments.iter().collect();
        // Stable, so that of two values under one name the first stays the one that counts.
        arguments.sort_by_key(|(name, _)| *name);
        let mut encoded = Vec::new();
        for (name, value) in arguments {
            put::shortstr(&mut encoded, name);
            value.encode(&mut encoded);
        }
        name.extend_from_slice(&Sha256::digest(&encoded));
    }
    name
}

/// Reads a row.
pub(super) fn decode(
    vhost: &str,
    kind: u8,
    name: &[u8],
    value: &[u8],
) -> Result<Definition, Fault> {
    let record = match kind {
        VHOST if value.is_empty() => Record::Vhost(FieldTable::new()),
        VHOST => Record::Vhost(whole(value, take::table)?),
        EXCHANGE => Record::Exchange(whole(value, |value| exchange(name, value))?),
        QUEUE => Record::Queue(whole(value, |value| queue(name, value))?),
        BINDING => {
            let arguments = whole(value, take::table)?;
            Record::Binding(binding(name, arguments).map_err(Fault::of)?)
        }
        POLICY => Record::Policy(whole(value, |value| policy(name, value))?),
        PARAMETER => Record::Parameter(parameter(name, value).map_err(Fault::of)?),
        GLOBAL_PARAMETER => Record::GlobalParameter {
            name: text(name).map_err(Fault::of)?.to_owned(),
            value: text(value).map_err(Fault::of)?.to_owned(),
        },
        _ => return Err(Fault::Trailing),
    };
    Ok(Definition { vhost: VhostName::from(vhost), record })
}

/// Reads all of `value`.
fn whole<'a, T>(value: &'a [u8], read: impl FnOnce(&'a [u8]) -> Taken<'a, T>) -> Result<T, Fault> {
    let (rest, read) = read(value).map_err(Fault::of)?;
    if rest.is_empty() { Ok(read) } else { Err(Fault::Trailing) }
}

fn exchange<'a>(name: &[u8], value: &'a [u8]) -> Taken<'a, ExchangeRecord> {
    let (value, kind) = take::shortstr(value)?;
    let (value, flags) = take::octet(value)?;
    let (mut rest, arguments) = take::table(value)?;
    let mut delay_queues = None;
    if flags & DELAYS != 0 {
        let (behind, first) = take::longlong(rest)?;
        (rest, delay_queues) = (behind, Some(QueueId(first)));
    }
    let record = ExchangeRecord {
        name: ExchangeName::from(text(name)?),
        kind: kind.to_owned(),
        auto_delete: flags & AUTO_DELETE != 0,
        internal: flags & INTERNAL != 0,
        arguments,
        delay_queues,
    };
    Ok((rest, record))
}

fn queue<'a>(name: &[u8], value: &'a [u8]) -> Taken<'a, QueueRecord> {
    let (value, id) = take::longlong(value)?;
    let (value, flags) = take::octet(value)?;
    let (mut rest, arguments) = take::table(value)?;
    let mut undelivered = None;
    if flags & UNDELIVERED != 0 {
        let (behind, id) = take::longlong(rest)?;
        (rest, undelivered) = (behind, Some(QueueId(id)));
    }
    let record = QueueRecord {
        name: QueueName::from(text(name)?),
        id: QueueId(id),
        auto_delete: flags & AUTO_DELETE != 0,
        arguments,
        undelivered,
    };
    Ok((rest, record))
}

fn binding(name: &[u8], arguments: FieldTable) -> Result<BindingRecord, nom::Err<Fault>> {
    let (name, source) = take::shortstr(name)?;
    let (name, to_queue) = take::octet(name)?;
    let (name, destination) = take::shortstr(name)?;
    let (_digest, routing_key) = take::shortstr(name)?;
    Ok(BindingRecord {
        source: ExchangeName::from(source),
        to_queue: to_queue != 0,
        destination: destination.to_owned(),
        routing_key: RoutingKey::from(routing_key),
        arguments,
    })
}

fn policy<'a>(name: &[u8], value: &'a [u8]) -> Taken<'a, PolicyRecord> {
    let (value, pattern) = take::longstr(value)?;
    let (value, apply_to) = take::shortstr(value)?;
    let (value, priority) = take::longlong(value)?;
    let (rest, definition) = take::table(value)?;
    let (name, operator) = take::octet(name)?;
    let (_, name) = take::shortstr(name)?;
    let record = PolicyRecord {
        name: name.to_owned(),
        operator: operator != 0,
        pattern: text(pattern)?.to_owned(),
        apply_to: apply_to.to_owned(),
        priority: priority.cast_signed(),
        definition,
    };
    Ok((rest, record))
}

fn parameter_name(component: &str, name: &str) -> Vec<u8> {
    let mut row = Vec::new();
    put::shortstr(&mut row, component);
    put::shortstr(&mut row, name);
    row
}

fn parameter(name: &[u8], value: &[u8]) -> Result<ParameterRecord, nom::Err<Fault>> {
    let (name, component) = take::shortstr(name)?;
    let (_, name) = take::shortstr(name)?;
    let (component, name) = (component.to_owned(), name.to_owned());
    Ok(ParameterRecord { component, name, value: text(value)?.to_owned() })
}

fn text(bytes: &[u8]) -> Result<&str, nom::Err<Fault>> {
    std::str::from_utf8(bytes).map_err(|_| nom::Err::Error(Fault::NotUtf8))
}
