//! Who consumes from a queue, as operators see it.

use std::sync::Arc;

use super::{Content, Queue};
use crate::delivery::{Outbox, SourceId};

/// A consumer as its queue knows it.
#[derive(Clone, Debug)]
pub struct QueueConsumer {
    pub outbox: Arc<Outbox>,
    pub source: SourceId,
    /// It does not wait for another one to leave (behaviour B6.19).
    pub is_active: bool,
}

impl Queue {
    /// Some consumer could take a message now.
    pub fn has_room(&self) -> bool {
        match &self.content {
            Content::Queue(state) => state.lock().subscribers.turn().is_some(),
            Content::Stream(stream) => stream.lock().has_reader_with_room(),
        }
    }

    pub fn consumers(&self) -> Vec<QueueConsumer> {
        match &self.content {
            Content::Queue(state) => state.lock().subscribers.list(),
            Content::Stream(stream) => stream.lock().consumers(),
        }
    }
}
