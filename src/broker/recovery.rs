//! Brings the topology back at start, from what the definition store kept.
//!
//! Everything goes through the checks that a client's declare goes through. What does not pass (an
//! argument that this version does not know, an end that is missing) is left out with a line in the
//! log; it stays in the store, for a version that can do more with it.

use std::fmt;
use std::sync::Arc;

use super::delay::Delays;
use super::policy::Policy;
use super::topology::{BindingEnd, ExchangeDeclaration, Topology, resource_queue};
use super::{Broker, Vhost};
use crate::exchange::ExchangeKind;
use crate::names::{ExchangeName, QueueName};
use crate::protocol::{AmqpError, ReplyCode};
use crate::queue::{ConnectionId, Declaration, Effects, Options, Queue, QueueKind};
use crate::storage::journal::ReturnedCounts;
use crate::storage::{
    BindingRecord, Change, DELAY_QUEUES, Definition, ExchangeRecord, PolicyRecord, QueueId,
    QueueRecord, Record,
};
use crate::time::Time;

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    pub vhosts: usize,
    pub exchanges: usize,
    pub queues: usize,
    pub bindings: usize,
    pub policies: usize,
    /// Definitions left out.
    pub skipped: usize,
    /// Queues among them, also those in which messages of an exchange wait: their messages are neither
    /// served nor to be thrown away.
    pub skipped_queues: Vec<QueueId>,
}

impl fmt::Display for Recovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { vhosts, exchanges, queues, bindings, policies, skipped, .. } = self;
        write!(
            f,
            "{vhosts} vhosts, {exchanges} exchanges, {queues} queues, {bindings} bindings, \
             {policies} policies, {skipped} left out"
        )
    }
}

impl Broker {
    /// To be called before there are clients. The store is not told: it has all this.
    pub fn recover(&self, mut definitions: Vec<Definition>, now: Time) -> Recovered {
        // Ends before the bindings between them. Stores keep them in this order anyway.
        definitions.sort_by_key(|definition| match definition.record {
            Record::Vhost(_) => 0,
            // Before what they apply to.
            Record::Policy(_) | Record::Parameter(_) | Record::GlobalParameter { .. } => 1,
            Record::Exchange(_) => 2,
            Record::Queue(_) => 3,
            Record::Binding(_) => 4,
        });
        let mut recovered = Recovered::default();
        let mut vhost: Option<Arc<Vhost>> = None;
        for definition in definitions {
            if let Record::GlobalParameter { name, value } = definition.record {
                self.restore_global_parameter(name, &value);
                continue;
            }
            if let Record::Vhost(metadata) = &definition.record {
                let vhost = self.vhost_or_else(&definition.vhost, |_| {});
                vhost.restore_metadata(metadata);
                recovered.vhosts += 1;
                continue;
            }
            let vhost = match &vhost {
                Some(last) if last.name == definition.vhost => Arc::clone(last),
                _ => vhost.insert(self.create_vhost(&definition.vhost)).clone(),
            };
            recovered.restore(&vhost, definition.record, now);
        }
        recovered
    }
}

impl Broker {
    /// Positions, by queue, of messages that may have been delivered before and are ready now. To be
    /// asked when the last connection is gone, for the store to remember (behaviour B12.4).
    pub fn delivered_before(&self) -> Vec<(u64, Vec<(u64, u64)>)> {
        let queues = self.durable_queues().into_iter();
        let delivered = queues.map(|(_, queue, id)| {
            let positions = queue.delivered_before();
            (id.0, positions.iter().map(|(first, last)| (first.0, last.0)).collect())
        });
        delivered.filter(|(_, ranges): &(u64, Vec<(u64, u64)>)| !ranges.is_empty()).collect()
    }

    /// How often messages of quorum queues came back, by queue: positions, first and last, and the
    /// count. For the store to remember, as [`delivered_before`](Self::delivered_before).
    pub fn delivery_counts(&self) -> ReturnedCounts {
        let queues = self.durable_queues().into_iter();
        let quorum = queues.filter(|(_, queue, _)| queue.kind() == QueueKind::Quorum);
        let counts = quorum.map(|(_, queue, id)| {
            let counts = queue.delivery_counts().into_iter();
            (id.0, counts.map(|(first, last, count)| (first.0, last.0, count)).collect())
        });
        counts.filter(|(_, counts): &(u64, Vec<_>)| !counts.is_empty()).collect()
    }

    /// Exchanges that delay messages, and what waits in them.
    pub(super) fn all_delays(&self) -> Vec<(Arc<Vhost>, ExchangeName, Arc<Delays>)> {
        let vhosts: Vec<Arc<Vhost>> = self.vhosts.read().values().cloned().collect();
        let delays = vhosts.into_iter().flat_map(|vhost| {
            let all = vhost.read(Topology::all_delays).into_iter();
            all.map(move |(exchange, delays)| (Arc::clone(&vhost), exchange, delays))
        });
        delays.collect()
    }

    pub(super) fn durable_queues(&self) -> Vec<(Arc<Vhost>, Arc<Queue>, QueueId)> {
        let vhosts: Vec<Arc<Vhost>> = self.vhosts.read().values().cloned().collect();
        let mut durable = Vec::new();
        for vhost in vhosts {
            for queue in vhost.read(Topology::queues) {
                if let Some(id) = queue.log.as_ref().map(|log| log.id) {
                    durable.push((Arc::clone(&vhost), queue, id));
                }
            }
        }
        durable
    }
}

impl Recovered {
    fn restore(&mut self, vhost: &Arc<Vhost>, record: Record, now: Time) {
        let (what, restored, count) = match record {
            Record::Vhost(_) | Record::GlobalParameter { .. } => return,
            Record::Parameter(parameter) => return vhost.restore_parameter(&parameter),
            Record::Exchange(record) => {
                let (what, waiting) = (format!("exchange '{}'", record.name), record.delay_queues);
                let restored = vhost.restore_exchange(record);
                if let (Err(_), Some(QueueId(first))) = (&restored, waiting) {
                    let numbers = first..first.saturating_add(DELAY_QUEUES);
                    self.skipped_queues.extend(numbers.map(QueueId));
                }
                (what, restored, &mut self.exchanges)
            }
            Record::Queue(record) => {
                let what = format!("queue '{}'", record.name);
                let ids = [Some(record.id), record.undelivered];
                let restored = vhost.restore_queue(record, now);
                if restored.is_err() {
                    self.skipped_queues.extend(ids.into_iter().flatten());
                }
                (what, restored, &mut self.queues)
            }
            Record::Policy(record) => {
                let what = format!("policy '{}'", record.name);
                (what, vhost.restore_policy(record), &mut self.policies)
            }
            Record::Binding(record) => {
                let what = format!("binding from '{}' to '{}'", record.source, record.destination);
                (what, vhost.restore_binding(record), &mut self.bindings)
            }
        };
        match restored {
            Ok(()) => *count += 1,
            Err(error) => {
                self.skipped += 1;
                tracing::error!(vhost = %vhost.name, %error, "a stored {what} was left out");
            }
        }
    }
}

impl Vhost {
    fn restore_exchange(&self, record: ExchangeRecord) -> Result<(), AmqpError> {
        let ExchangeRecord { name, kind, auto_delete, internal, arguments, delay_queues } = record;
        let kind = ExchangeKind::parse(&kind).ok_or_else(|| {
            let text = format!("unknown exchange type '{kind}'");
            AmqpError::new(ReplyCode::PreconditionFailed, text)
        })?;
        let declaration =
            ExchangeDeclaration { kind, durable: true, auto_delete, internal, arguments };
        self.change(|topology| {
            if !topology.check_exchange(&name, &declaration)? {
                self.add_exchange(topology, name, declaration, delay_queues);
            }
            Ok(())
        })
    }

    fn restore_queue(
        self: &Arc<Self>,
        mut record: QueueRecord,
        now: Time,
    ) -> Result<(), AmqpError> {
        let resource = resource_queue(record.name.as_str(), &self.name);
        let options = Arc::new(Options::parse(&record.arguments, &resource)?);
        if options.kind == QueueKind::Quorum && record.undelivered.is_none() {
            // By a version that knew nothing of dead letters that wait.
            record.undelivered = Some(self.next_queue_id());
            self.commit_quietly(Change::PutQueue(record.clone()));
        }
        let QueueRecord { name, id, auto_delete, arguments, undelivered } = record;
        let declaration =
            Declaration { durable: true, auto_delete, owner: None, arguments, options };
        let queue = match undelivered {
            Some(letters) => self.quorum_queue(name, declaration, (id, letters)),
            None => Queue::new(name, declaration, Some(self.log(id)), self.paging.clone()),
        };
        self.change(|topology| topology.add_queue(Arc::clone(&queue)));
        // The time of its disuse starts anew (behaviour B12.3).
        let mut effects = Effects::default();
        queue.declared(now, &mut effects);
        self.act(now, &mut effects);
        Ok(())
    }

    fn restore_policy(&self, record: PolicyRecord) -> Result<(), AmqpError> {
        let policy = Policy::restore(record)
            .map_err(|error| AmqpError::new(ReplyCode::PreconditionFailed, error.to_string()))?;
        self.change(|topology| {
            topology.policies.put(policy);
            // The predeclared exchanges are there; there is no queue yet.
            topology.apply_policies();
        });
        Ok(())
    }

    fn restore_binding(&self, record: BindingRecord) -> Result<(), AmqpError> {
        // Of a queue that is not exclusive it does not matter who asks.
        let nobody = ConnectionId(0);
        let end = if record.to_queue {
            BindingEnd::Queue(QueueName::from(record.destination), nobody)
        } else {
            BindingEnd::Exchange(ExchangeName::from(record.destination))
        };
        let BindingRecord { source, routing_key, arguments, .. } = record;
        self.change(|topology| topology.bind(source.as_str(), &end, routing_key, arguments))?;
        Ok(())
    }
}
