//! Runtime parameters: settings that the broker keeps and shows, by component and name in a vhost, and
//! global ones by name. What their values mean is known to whoever uses them; here they are JSON text.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Broker;
use super::vhost::{Notify, Vhost};
use crate::names::VhostName;
use crate::storage::{Change, Commit, ParameterRecord};

/// By component and name.
#[derive(Debug, Default)]
pub(super) struct Parameters(BTreeMap<(String, String), Arc<str>>);

/// The name that tools and dashboards show.
const CLUSTER_NAME: &str = "cluster_name";

/// Tells this broker from all others.
const CLUSTER_ID: &str = "internal_cluster_id";

impl Parameters {
    fn put(&mut self, record: &ParameterRecord) -> bool {
        let key = (record.component.clone(), record.name.clone());
        self.0.insert(key, Arc::from(record.value.as_str())).is_some()
    }

    fn list(&self) -> Vec<ParameterRecord> {
        let record = |((component, name), value): (&(String, String), &Arc<str>)| ParameterRecord {
            component: component.clone(),
            name: name.clone(),
            value: value.to_string(),
        };
        self.0.iter().map(record).collect()
    }
}

impl Vhost {
    /// By component and name.
    pub fn parameters(&self) -> Vec<ParameterRecord> {
        self.parameters.read().list()
    }

    /// Says whether it was there.
    pub fn put_parameter(&self, parameter: ParameterRecord, notify: Notify<'_>) -> (bool, Commit) {
        let mut parameters = self.parameters.write();
        let existed = parameters.put(&parameter);
        // Under the lock, so that the store has the changes in the order in which they happened.
        (existed, self.commit(Change::PutParameter(parameter), notify))
    }

    /// `None` when there is none.
    pub fn delete_parameter(
        &self,
        component: &str,
        name: &str,
        notify: Notify<'_>,
    ) -> Option<Commit> {
        let mut parameters = self.parameters.write();
        let (component, name) = (component.to_owned(), name.to_owned());
        parameters.0.remove(&(component.clone(), name.clone()))?;
        Some(self.commit(Change::DeleteParameter { component, name }, notify))
    }

    pub(super) fn restore_parameter(&self, parameter: &ParameterRecord) {
        self.parameters.write().put(parameter);
    }
}

impl Broker {
    /// Names and values, by name.
    pub fn global_parameters(&self) -> Vec<(String, Arc<str>)> {
        let parameters = self.global_parameters.read();
        parameters.iter().map(|(name, value)| (name.clone(), Arc::clone(value))).collect()
    }

    pub fn global_parameter(&self, name: &str) -> Option<Arc<str>> {
        self.global_parameters.read().get(name).cloned()
    }

    /// Says whether it was there.
    pub fn put_global_parameter(
        &self,
        name: &str,
        value: String,
        notify: Notify<'_>,
    ) -> (bool, Commit) {
        let mut parameters = self.global_parameters.write();
        let existed = parameters.insert(name.to_owned(), Arc::from(value.as_str())).is_some();
        let change = Change::PutGlobalParameter { name: name.to_owned(), value };
        (existed, self.definitions.commit(&VhostName::from(""), change, notify()))
    }

    /// `None` when there is none.
    pub fn delete_global_parameter(&self, name: &str, notify: Notify<'_>) -> Option<Commit> {
        let mut parameters = self.global_parameters.write();
        parameters.remove(name)?;
        let change = Change::DeleteGlobalParameter { name: name.to_owned() };
        Some(self.definitions.commit(&VhostName::from(""), change, notify()))
    }

    pub(super) fn restore_global_parameter(&self, name: String, value: &str) {
        self.global_parameters.write().insert(name, Arc::from(value));
    }

    /// What operators call it, as JSON text; `None` when they have not said.
    pub fn cluster_name(&self) -> Option<Arc<str>> {
        self.global_parameter(CLUSTER_NAME)
    }

    pub fn set_cluster_name(&self, name: String, notify: Notify<'_>) -> Commit {
        self.put_global_parameter(CLUSTER_NAME, name, notify).1
    }

    /// Gives a new broker an id that it keeps.
    pub fn ensure_cluster_id(&self, random: u128) {
        if self.global_parameter(CLUSTER_ID).is_none() {
            let id = format!("\"leveret-cluster-id-{random:032x}\"");
            let unheard = || -> crate::storage::Done { Box::new(|_| {}) };
            self.put_global_parameter(CLUSTER_ID, id, &unheard);
        }
    }
}
