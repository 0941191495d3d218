//! Policies: settings for all queues and exchanges whose names fit a pattern (behaviour B10.9).
//!
//! A [`Policy`] is what an operator put; `rules` reads its definition, `keys` says what may stand in
//! one; [`Policies`] are those of a vhost, and find the ones that apply to something. At most one user
//! policy and one operator policy do.

mod keys;
mod rules;
mod vhost;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use regex::Regex;

pub use self::rules::Rules;

use crate::protocol::{FieldTable, FieldValue};
use crate::queue::QueueKind;
use crate::storage::PolicyRecord;

/// Bytes that a compiled pattern may take.
const PATTERN_SIZE_MAX: usize = 1 << 20;

/// Names of policies, in bytes.
const NAME_MAX: usize = 255;

/// Whose policy it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub enum PolicyScope {
    User,
    /// Limits that users cannot get around.
    Operator,
}

impl PolicyScope {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Operator => "operator",
        }
    }
}

/// What a policy is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ApplyTo {
    All,
    Queues,
    ClassicQueues,
    QuorumQueues,
    Streams,
    Exchanges,
}

impl ApplyTo {
    const WORDS: [(&'static str, Self); 6] = [
        ("all", Self::All),
        ("queues", Self::Queues),
        ("classic_queues", Self::ClassicQueues),
        ("quorum_queues", Self::QuorumQueues),
        ("streams", Self::Streams),
        ("exchanges", Self::Exchanges),
    ];

    fn parse(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(known, _)| *known == word).map(|(_, kind)| *kind)
    }

    pub fn as_str(self) -> &'static str {
        Self::WORDS.iter().find(|(_, kind)| *kind == self).map_or("all", |(word, _)| word)
    }

    fn includes_queue(self, kind: QueueKind) -> bool {
        match self {
            Self::All | Self::Queues => true,
            Self::ClassicQueues => kind == QueueKind::Classic,
            Self::QuorumQueues => kind == QueueKind::Quorum,
            Self::Streams => kind == QueueKind::Stream,
            Self::Exchanges => false,
        }
    }

    fn includes_exchanges(self) -> bool {
        matches!(self, Self::All | Self::Exchanges)
    }
}

/// A policy that was checked.
#[derive(Clone, Debug)]
pub struct Policy {
    pub name: String,
    pub scope: PolicyScope,
    pub apply_to: ApplyTo,
    pub priority: i64,
    /// As it was put.
    pub definition: FieldTable,
    pattern: Regex,
    rules: Rules,
}

/// Why a policy was refused, as RabbitMQ says it, without its heading.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidPolicy(pub String);

fn invalid<T>(text: String) -> Result<T, InvalidPolicy> {
    Err(InvalidPolicy(text))
}

impl Policy {
    /// Reads what somebody wants to put: `pattern` and `definition`, and perhaps `apply-to` and
    /// `priority`.
    pub fn parse(
        scope: PolicyScope,
        name: &str,
        terms: &FieldTable,
    ) -> Result<Self, InvalidPolicy> {
        if name.len() > NAME_MAX {
            return invalid(format!("the name of a policy has at most {NAME_MAX} bytes"));
        }
        let missing = |key: &str| InvalidPolicy(format!("Key \"{key}\" not found"));
        let pattern = pattern(terms.get("pattern").ok_or_else(|| missing("pattern"))?)?;
        let definition = match terms.get("definition").ok_or_else(|| missing("definition"))? {
            FieldValue::Table(definition) => definition.clone(),
            other => {
                return invalid(format!("parse error while reading policy: {}", erlang(other)));
            }
        };
        let apply_to = match terms.get("apply-to") {
            None => ApplyTo::All,
            Some(word) => apply_to(word)?,
        };
        let priority = match terms.get("priority") {
            None => 0,
            Some(number) => number.as_int().ok_or_else(|| {
                let number = erlang(number);
                InvalidPolicy(format!("priority should be a number, actually was {number}"))
            })?,
        };
        let rules = keys::read(scope, &definition)?;
        Ok(Self { name: name.to_owned(), scope, apply_to, priority, definition, pattern, rules })
    }

    pub fn pattern(&self) -> &str {
        self.pattern.as_str()
    }

    /// What is stored of it, and read again by [`restore`](Self::restore).
    pub(super) fn record(&self) -> PolicyRecord {
        PolicyRecord {
            name: self.name.clone(),
            operator: self.scope == PolicyScope::Operator,
            pattern: self.pattern().to_owned(),
            apply_to: self.apply_to.as_str().to_owned(),
            priority: self.priority,
            definition: self.definition.clone(),
        }
    }

    pub(super) fn restore(record: PolicyRecord) -> Result<Self, InvalidPolicy> {
        let PolicyRecord { name, operator, pattern, apply_to, priority, definition } = record;
        let scope = if operator { PolicyScope::Operator } else { PolicyScope::User };
        let terms = FieldTable::from_iter([
            ("pattern", FieldValue::from(pattern.as_str())),
            ("apply-to", apply_to.as_str().into()),
            ("priority", priority.into()),
            ("definition", FieldValue::Table(definition)),
        ]);
        Self::parse(scope, &name, &terms)
    }

    /// A policy with a key that the queue's type does not know does not apply at all.
    fn applies_to_queue(&self, name: &str, kind: QueueKind) -> bool {
        self.apply_to.includes_queue(kind)
            && self.pattern.is_match(name)
            && self.definition.iter().all(|(key, _)| keys::is_known_to(key, kind))
    }

    fn applies_to_exchange(&self, name: &str) -> bool {
        self.apply_to.includes_exchanges() && self.pattern.is_match(name)
    }
}

fn pattern(value: &FieldValue) -> Result<Regex, InvalidPolicy> {
    let Some(text) = value.as_str() else {
        let value = erlang(value);
        return invalid(format!("pattern should be a binary, actually was {value}"));
    };
    let mut builder = regex::RegexBuilder::new(text);
    builder.size_limit(PATTERN_SIZE_MAX).dfa_size_limit(PATTERN_SIZE_MAX);
    builder.build().or_else(|error| {
        let error = error.to_string();
        // The last line says why; those before it show where.
        let why = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
        invalid(format!("pattern should be regular expression but is invalid: {why}"))
    })
}

fn apply_to(value: &FieldValue) -> Result<ApplyTo, InvalidPolicy> {
    let word = value.as_str().map_or_else(|| erlang(value), str::to_owned);
    ApplyTo::parse(&word).ok_or_else(|| {
        InvalidPolicy(format!(
            "apply-to '{word}' unrecognised; should be one of: 'queues', 'classic_queues', \
             'quorum_queues', 'streams', 'exchanges', or 'all'"
        ))
    })
}

/// A value as RabbitMQ's texts show it.
fn erlang(value: &FieldValue) -> String {
    match value {
        FieldValue::Void => "null".to_owned(),
        FieldValue::LongString(bytes) => format!("<<\"{}\">>", String::from_utf8_lossy(bytes)),
        FieldValue::Array(items) => {
            let items: Vec<String> = items.iter().map(erlang).collect();
            format!("[{}]", items.join(","))
        }
        FieldValue::Table(table) => erlang_pairs(table.iter()),
        other => other.to_string(),
    }
}

fn erlang_pairs<'a>(pairs: impl Iterator<Item = (&'a str, &'a FieldValue)>) -> String {
    let mut text = String::from("[");
    for (key, value) in pairs {
        let comma = if text.len() > 1 { "," } else { "" };
        // Writing to a string does not fail.
        let _ = write!(text, "{comma}{{<<\"{key}\">>,{}}}", erlang(value));
    }
    text + "]"
}

/// What applies to a queue.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    pub user: Option<Arc<Policy>>,
    pub operator: Option<Arc<Policy>>,
}

impl Applied {
    /// Both together (behaviour B10.9).
    pub(super) fn rules(&self) -> Option<Rules> {
        match (&self.user, &self.operator) {
            (None, None) => None,
            (Some(policy), None) | (None, Some(policy)) => Some(policy.rules.clone()),
            (Some(user), Some(operator)) => Some(user.rules.under(&operator.rules)),
        }
    }

    /// What both together say, key by key, for people to read.
    pub fn definition(&self) -> FieldTable {
        let mut definition = FieldTable::new();
        for policy in [&self.user, &self.operator].into_iter().flatten() {
            for (key, value) in policy.definition.iter() {
                let value = match definition.get(key) {
                    Some(other) => keys::stricter(key, other, value).clone(),
                    None => value.clone(),
                };
                definition.remove(key);
                definition.insert(key, value);
            }
        }
        definition
    }
}

/// The policies of a vhost.
#[derive(Debug, Default)]
pub(super) struct Policies {
    user: BTreeMap<String, Arc<Policy>>,
    operator: BTreeMap<String, Arc<Policy>>,
}

impl Policies {
    fn of(&self, scope: PolicyScope) -> &BTreeMap<String, Arc<Policy>> {
        match scope {
            PolicyScope::User => &self.user,
            PolicyScope::Operator => &self.operator,
        }
    }

    fn of_mut(&mut self, scope: PolicyScope) -> &mut BTreeMap<String, Arc<Policy>> {
        match scope {
            PolicyScope::User => &mut self.user,
            PolicyScope::Operator => &mut self.operator,
        }
    }

    /// By name.
    pub(super) fn list(&self, scope: PolicyScope) -> Vec<Arc<Policy>> {
        self.of(scope).values().cloned().collect()
    }

    pub(super) fn find(&self, scope: PolicyScope, name: &str) -> Option<Arc<Policy>> {
        self.of(scope).get(name).cloned()
    }

    /// True when there was one of that name.
    pub(super) fn put(&mut self, policy: Policy) -> bool {
        self.of_mut(policy.scope).insert(policy.name.clone(), Arc::new(policy)).is_some()
    }

    pub(super) fn remove(&mut self, scope: PolicyScope, name: &str) -> bool {
        self.of_mut(scope).remove(name).is_some()
    }

    pub(super) fn for_queue(&self, name: &str, kind: QueueKind) -> Applied {
        let first = |scope| best(self.of(scope), |policy| policy.applies_to_queue(name, kind));
        Applied { user: first(PolicyScope::User), operator: first(PolicyScope::Operator) }
    }

    pub(super) fn for_exchange(&self, name: &str) -> Option<Arc<Policy>> {
        // The default exchange takes none: every message would go on from there.
        if name.is_empty() {
            return None;
        }
        best(&self.user, |policy| policy.applies_to_exchange(name))
    }
}

impl Policy {
    pub(super) fn alternate_exchange(&self) -> Option<&str> {
        self.rules.alternate_exchange.as_deref()
    }
}

/// The one with the highest priority; among equals, the first by name.
fn best(
    policies: &BTreeMap<String, Arc<Policy>>,
    applies: impl Fn(&Policy) -> bool,
) -> Option<Arc<Policy>> {
    let mut best: Option<&Arc<Policy>> = None;
    for policy in policies.values().filter(|policy| applies(policy)) {
        if best.is_none_or(|best| policy.priority > best.priority) {
            best = Some(policy);
        }
    }
    best.cloned()
}
