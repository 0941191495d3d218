//! What is known about a vhost besides what is in it (behaviour B10.1, B10.7, B10.8).

use crate::protocol::{FieldTable, FieldValue};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VhostMetadata {
    pub description: String,
    pub tags: Vec<String>,
    /// Connections that may be open at a time; `None` is unlimited.
    pub connections_max: Option<u32>,
    /// Queues that may be there at a time.
    pub queues_max: Option<u32>,
}

const DESCRIPTION: &str = "description";
const TAGS: &str = "tags";
const MAX_CONNECTIONS: &str = "max-connections";
const MAX_QUEUES: &str = "max-queues";

impl VhostMetadata {
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
        let limits = [(MAX_CONNECTIONS, self.connections_max), (MAX_QUEUES, self.queues_max)];
        for (name, max) in limits {
            if let Some(max) = max {
                table.insert(name, i64::from(max));
            }
        }
        table
    }

    pub(super) fn from_table(table: &FieldTable) -> Self {
        let tags = match table.get(TAGS) {
            Some(FieldValue::Array(tags)) => tags.as_slice(),
            _ => &[],
        };
        let limit = |name| u32::try_from(table.get(name)?.as_int()?).ok();
        let description = table.get(DESCRIPTION).and_then(FieldValue::as_str);
        Self {
            description: description.unwrap_or_default().to_owned(),
            tags: tags.iter().filter_map(|tag| tag.as_str().map(str::to_owned)).collect(),
            connections_max: limit(MAX_CONNECTIONS),
            queues_max: limit(MAX_QUEUES),
        }
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
                connections_max: Some(0),
                queues_max: Some(u32::MAX),
            },
        ] {
            assert_eq!(VhostMetadata::from_table(&metadata.to_table()), metadata);
        }
        assert!(VhostMetadata::default().to_table().is_empty());
    }
}
