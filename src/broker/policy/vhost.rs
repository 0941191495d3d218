//! What operators do with a vhost's policies.

use std::sync::Arc;

use super::{Applied, Policy, PolicyScope};
use crate::broker::vhost::{Notify, Vhost};
use crate::names::AUDIT;
use crate::queue::{Effects, Queue};
use crate::storage::{Change, Commit};
use crate::time::Time;

impl Vhost {
    /// By name.
    pub fn policies(&self, scope: PolicyScope) -> Vec<Arc<Policy>> {
        self.read(|topology| topology.policies.list(scope))
    }

    pub fn policy(&self, scope: PolicyScope, name: &str) -> Option<Arc<Policy>> {
        self.read(|topology| topology.policies.find(scope, name))
    }

    /// What applies to a queue.
    pub fn applied_policies(&self, queue: &Queue) -> Applied {
        self.read(|topology| topology.policies.for_queue(queue.name.as_str(), queue.kind()))
    }

    /// Adds a policy or replaces the one of its name, and makes it hold at once. Says whether there was
    /// one.
    pub fn put_policy(
        self: &Arc<Self>,
        policy: Policy,
        now: Time,
        effects: &mut Effects,
        notify: Notify<'_>,
    ) -> (bool, Commit) {
        let (vhost, name) = (self.name.as_str(), policy.name.clone());
        let (scope, definition) = (policy.scope, policy.definition.clone());
        let pattern = policy.pattern().to_owned();
        let (existed, commit, changed) = self.change(|topology| {
            let record = policy.record();
            let existed = topology.policies.put(policy);
            let commit = self.commit(Change::PutPolicy(record), notify);
            (existed, commit, topology.apply_policies())
        });
        let (policy, pattern, scope) = (name.as_str(), pattern.as_str(), scope.as_str());
        tracing::info!(target: AUDIT, vhost, policy, scope, pattern, ?definition, "policy put");
        self.enforce(&changed, now, effects);
        (existed, commit)
    }

    /// `None` when there is none of that name.
    pub fn delete_policy(
        self: &Arc<Self>,
        scope: PolicyScope,
        name: &str,
        now: Time,
        effects: &mut Effects,
        notify: Notify<'_>,
    ) -> Option<Commit> {
        let (commit, changed) = self.change(|topology| {
            if !topology.policies.remove(scope, name) {
                return None;
            }
            let operator = scope == PolicyScope::Operator;
            let change = Change::DeletePolicy { operator, name: name.to_owned() };
            Some((self.commit(change, notify), topology.apply_policies()))
        })?;
        let vhost = self.name.as_str();
        tracing::info!(target: AUDIT, vhost, policy = name, scope = scope.as_str(), "policy deleted");
        self.enforce(&changed, now, effects);
        Some(commit)
    }

    fn enforce(self: &Arc<Self>, changed: &[Arc<Queue>], now: Time, effects: &mut Effects) {
        for queue in changed {
            queue.warn_of_strategy();
            queue.enforce(now, effects);
        }
        self.act(now, effects);
    }
}
