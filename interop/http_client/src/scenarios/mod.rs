//! A file for each noun. Together they use what the client can ask, but for Tanzu's commercial parts.

mod broker;
mod clients;
mod definitions;
mod features;
mod health;
mod messages;
mod parameters;
mod permissions;
mod policies;
mod queues;
mod topology;
mod users;
mod vhosts;

use crate::scene::Scene;

pub type Scenario = (&'static str, fn(&Scene));

/// Each function under its own name.
macro_rules! scenarios {
    ($($module:ident: $($name:ident)*;)*) => { vec![$($((stringify!($name), $module::$name as fn(&Scene)),)*)*] };
}

pub fn all() -> Vec<Scenario> {
    scenarios! {
        broker: overview nodes node_memory cluster_name_and_tags auth_attempts rates;
        clients: connections_and_channels channel_pages_of_a_vhost consumers closed_connections stream_clients;
        definitions: definitions_of_all definitions_of_a_vhost;
        features: feature_flags deprecated_features rebalancing;
        health: health_checks;
        messages: publish_and_get;
        parameters: global_parameters runtime_parameters federation shovels;
        permissions: permissions topic_permissions;
        policies: policies policies_of_a_type operator_policies;
        queues: queue_types queue_arguments queue_pages detailed_queues;
        topology: exchanges bindings;
        users: password_hashes sha512_password_hash user_lists user_pages user_limits refusals;
        vhosts: vhosts default_queue_type vhost_limits vhost_deletion_protection;
    }
}
