//! What is known about a vhost besides what is in it (behaviour B10.1, B10.7, B10.8).

use crate::protocol::{FieldTable, FieldValue};
use crate::queue::QueueKind;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VhostMetadata {
    pub description: String,
    pub tags: Vec<String>,
    /// The type of queues that are declared without one.
    pub default_queue_type: Option<QueueKind>,
    /// Connections that may be open at a time; `None` is unlimited.
    pub connections_max: Option<u32>,
    /// Queues that may be there at a time.
    pub queues_max: Option<u32>,
    /// Connections that may be opened in a second.
    pub connection_rate_max: Option<u32>,
    /// Messages that are taken from its connections in a second.
    pub message_rate_max: Option<u32>,
    /// Whether operators have to lift that before they can delete it.
    pub protected_from_deletion: bool,
}

const DESCRIPTION: &str = "description";
const TAGS: &str = "tags";
const DEFAULT_QUEUE_TYPE: &str = "default_queue_type";
const PROTECTED: &str = "protected_from_deletion";

impl VhostMetadata {
    /// What the limits are called where they are set and stored. The first two are RabbitMQ's.
    pub const LIMITS: [&'static str; 4] =
        ["max-connections", "max-queues", "max-connection-rate", "max-message-rate"];

    /// The limit of that name; `None` when there is no such limit.
    pub fn limit(&mut self, name: &str) -> Option<&mut Option<u32>> {
        match name {
            "max-connections" => Some(&mut self.connections_max),
            "max-queues" => Some(&mut self.queues_max),
            "max-connection-rate" => Some(&mut self.connection_rate_max),
            "max-message-rate" => Some(&mut self.message_rate_max),
            _ => None,
        }
    }

    /// The limits that are set, with their names.
    pub fn limits(&self) -> impl Iterator<Item = (&'static str, u32)> {
        let mut own = self.clone();
        Self::LIMITS.into_iter().filter_map(move |name| Some((name, (*own.limit(name)?)?)))
    }

    /// As it is stored: nothing, if there is nothing to say.
    pub(super) fn to_table(&self) -> FieldTable {
        let mut table = FieldTable::new();
        if !self.description.is_empty() {
            table.insert(DESCRIPTION, self.description.as_str());
        }
        if !self.tags.is_empty() {
            let tags = self.tags.iter().map(|tag| FieldValue::from(tag.as_str())).collect();
            table.insert(TAGS, FieldValue::Array(tags));
        }
        if let Some(kind) = self.default_queue_type {
            table.insert(DEFAULT_QUEUE_TYPE, kind.as_str());
        }
        if self.protected_from_deletion {
            table.insert(PROTECTED, true);
        }
        for (name, max) in self.limits() {
            table.insert(name, i64::from(max));
        }
        table
    }

    pub(super) fn from_table(table: &FieldTable) -> Self {
        let tags = match table.get(TAGS) {
            Some(FieldValue::Array(tags)) => tags.as_slice(),
            _ => &[],
        };
        let stored = |name| u32::try_from(table.get(name)?.as_int()?).ok();
        let description = table.get(DESCRIPTION).and_then(FieldValue::as_str);
        let mut metadata = Self {
            description: description.unwrap_or_default().to_owned(),
            tags: tags.iter().filter_map(|tag| tag.as_str().map(str::to_owned)).collect(),
            default_queue_type: table
                .get(DEFAULT_QUEUE_TYPE)
                .and_then(FieldValue::as_str)
                .and_then(QueueKind::from_name),
            protected_from_deletion: matches!(table.get(PROTECTED), Some(FieldValue::Bool(true))),
            ..Self::default()
        };
        for name in Self::LIMITS {
            if let Some(limit) = metadata.limit(name) {
                *limit = stored(name);
            }
        }
        metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_stored_as_it_is() {
        for metadata in [
            VhostMetadata::default(),
            VhostMetadata {
                description: "Häsin".to_owned(),
                tags: vec!["a".to_owned(), "b".to_owned()],
                default_queue_type: Some(QueueKind::Stream),
                connections_max: Some(0),
                queues_max: Some(u32::MAX),
                connection_rate_max: Some(1),
                message_rate_max: Some(2),
                protected_from_deletion: true,
            },
        ] {
            assert_eq!(VhostMetadata::from_table(&metadata.to_table()), metadata);
        }
        assert!(VhostMetadata::default().to_table().is_empty());
    }
}
