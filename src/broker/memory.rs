//! Bytes of memory, by what they are for.

use super::Broker;
use crate::queue::QueueKind;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// What connections read, and what their clients have not taken.
    pub input: u64,
    pub output: u64,
    /// Queues and the messages in them, by kind.
    pub classic: u64,
    pub quorum: u64,
    pub streams: u64,
}

impl MemoryUse {
    pub fn total(&self) -> u64 {
        self.input + self.output + self.classic + self.quorum + self.streams
    }
}

impl Broker {
    /// Looks at every connection and every queue.
    pub fn memory_use(&self) -> MemoryUse {
        let mut memory = MemoryUse::default();
        for connected in self.connections() {
            let (input, output) = connected.memory();
            memory.input += input;
            memory.output += output;
        }
        for queue in self.vhosts().iter().flat_map(|vhost| vhost.all_queues()) {
            let bytes = queue.figures().memory as u64;
            match queue.kind() {
                QueueKind::Classic => memory.classic += bytes,
                QueueKind::Quorum => memory.quorum += bytes,
                QueueKind::Stream => memory.streams += bytes,
            }
        }
        memory
    }
}
