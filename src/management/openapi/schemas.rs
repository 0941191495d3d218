//! What bodies and answers look like, in the notation of [`super::notation`].

/// The schema of that name.
pub(super) fn find(name: &str) -> Option<&'static str> {
    SCHEMAS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

pub(super) const SCHEMAS: &[(&str, &str)] = &[
    // Of every answer.
    ("Error", "error: string, reason: string"),
    (
        "Page",
        "filtered_count: integer, item_count: integer, page: integer, page_count: integer, \
         page_size: integer, total_count: integer",
    ),
    ("Rate", "rate: number, samples?: [Sample], avg?: number, avg_rate?: number"),
    ("Sample", "sample: integer, timestamp: integer"),
    // Figures.
    ("Lengths", "messages*: integer, messages_ready*: integer, messages_unacknowledged*: integer"),
    ("Traffic", "recv_oct*: integer, send_oct*: integer"),
    (
        "Deliveries",
        "deliver_get*: integer, deliver*: integer, deliver_no_ack*: integer, get*: integer, \
         get_no_ack*: integer, get_empty*: integer, redeliver*: integer, ack*: integer",
    ),
    ("QueueStats", "publish*: integer, ...Deliveries"),
    ("ExchangeStats", "publish_in*: integer, publish_out*: integer"),
    (
        "ChannelStats",
        "publish*: integer, confirm*: integer, return_unroutable*: integer, drop_unroutable*: \
         integer, ...Deliveries",
    ),
    ("VhostStats", "...ChannelStats, disk_reads*: integer, disk_writes*: integer"),
    (
        "OverviewStats",
        "publish*?: integer, confirm*?: integer, return_unroutable*?: integer, \
         drop_unroutable*?: integer, deliver_get*?: integer, deliver*?: integer, \
         deliver_no_ack*?: integer, get*?: integer, get_no_ack*?: integer, get_empty*?: \
         integer, redeliver*?: integer, ack*?: integer, disk_reads*?: integer, disk_writes*?: \
         integer",
    ),
    (
        "Churn",
        "connection_created*: integer, connection_closed*: integer, channel_created*: integer, \
         channel_closed*: integer, queue_declared*: integer, queue_created*: integer, \
         queue_deleted*: integer",
    ),
    // The broker.
    (
        "Overview",
        "management_version: string, rabbitmq_version: string, product_name: string, \
         product_version: string, cluster_name: string, cluster_tags: object, node_tags: \
         object, erlang_version: string, erlang_full_version: string, rates_mode: string, \
         sample_retention_policies: Retention, exchange_types: [Enabled], disable_stats: \
         boolean, enable_queue_totals: boolean, default_queue_type: string, \
         statistics_db_event_queue: integer, object_totals: ObjectTotals, queue_totals: \
         Lengths, churn_rates: Churn, message_stats: OverviewStats, uptime: integer, node?: \
         string, listeners?: [Listener], contexts?: [Context], ...Traffic",
    ),
    ("Retention", "global: [integer], basic: [integer], detailed: [integer]"),
    ("Enabled", "name: string, description: string, enabled: boolean"),
    (
        "ObjectTotals",
        "connections: integer, channels: integer, exchanges: integer, queues: integer, \
         consumers: integer",
    ),
    (
        "Listener",
        "node: string, protocol: string, ip_address: string, port: integer, socket_opts: object",
    ),
    ("Context", "node: string, description: string, path: string, port: string, ssl_opts: [any]"),
    (
        "Node",
        "name: string, type: string, running: boolean, being_drained: boolean, partitions: \
         [string], cluster_links: [any], os_pid: string, uptime: integer, processors: integer, \
         run_queue: integer, fd_total: integer, sockets_total: integer, proc_total: integer, \
         mem_limit: integer, mem_alarm: boolean, mem_calculation_strategy: string, \
         disk_free_limit: integer, disk_free_alarm: boolean, rates_mode: string, \
         rabbitmq_version: string, erlang_version: string, erlang_full_version: string, \
         crypto_lib_version: string, applications: [Application], enabled_plugins: [string], \
         exchange_types: [Enabled], auth_mechanisms: [Enabled], contexts: [Context], \
         config_files: [string], log_files: [string], db_dir: string, net_ticktime: integer, \
         metrics_gc_queue_length: object, ra_open_file_metrics: object, io_sync_avg_time*: \
         number, mem_used*: integer, fd_used*: integer, sockets_used*: integer, proc_used*: \
         integer, disk_free*: integer, context_switches*: integer, io_write_count*: integer, \
         io_write_bytes*: integer, io_sync_count*: integer, msg_store_read_count*: integer, \
         msg_store_write_count*: integer, gc_num*: integer, gc_bytes_reclaimed*: integer, \
         io_read_count*: integer, io_read_bytes*: integer, io_read_avg_time*: integer, \
         io_write_avg_time*: integer, io_seek_count*: integer, io_seek_avg_time*: integer, \
         io_reopen_count*: integer, mnesia_ram_tx_count*: integer, mnesia_disk_tx_count*: \
         integer, queue_index_read_count*: integer, queue_index_write_count*: integer, ...Churn",
    ),
    ("Application", "name: string, description: string, version: string"),
    ("Memory", "memory: MemoryUse"),
    (
        "MemoryUse",
        "connection_readers: integer, connection_writers: integer, connection_channels: \
         integer, connection_other: integer, queue_procs: integer, queue_slave_procs: integer, \
         quorum_queue_procs: integer, quorum_queue_dlx_procs: integer, stream_queue_procs: \
         integer, stream_queue_replica_reader_procs: integer, stream_queue_coordinator_procs: \
         integer, plugins: integer, metadata_store: integer, other_proc: integer, metrics: \
         integer, mgmt_db: integer, mnesia: integer, quorum_ets: integer, metadata_store_ets: \
         integer, other_ets: integer, binary: integer, msg_index: integer, code: integer, atom: \
         integer, other_system: integer, allocated_unused: integer, reserved_unallocated: \
         integer, strategy?: string, total: integer|MemoryTotal",
    ),
    ("MemoryTotal", "rss: integer, allocated: integer, erlang: integer"),
    ("Auth", "oauth_enabled: boolean"),
    ("Login", "token: LoginToken, user: Whoami"),
    ("LoginToken", "type: string, value: string"),
    ("LoginForm", "username: string, password: string"),
    ("Whoami", "name: string, tags: [string]"),
    ("ClusterName", "name: string"),
    ("Hash", "ok: string"),
    ("Password", "password: string"),
    ("PasswordHash", "password_hash: string"),
    (
        "Attempts",
        "protocol: string, auth_attempts: integer, auth_attempts_failed: integer, \
         auth_attempts_succeeded: integer",
    ),
    ("AttemptsOfSource", "remote_address: string, username: string, ...Attempts"),
    (
        "FeatureFlag",
        "name: string, desc: string, doc_url: string, state: string, stability: string, \
         provided_by: string",
    ),
    (
        "DeprecatedFeature",
        "name: string, desc: string, deprecation_phase: string, doc_url: string, provided_by: \
         string",
    ),
    (
        "Health",
        "status: string, reason?: string, alarms?: [Alarm], port?: integer, ports?: [integer], \
         protocol?: string, protocols?: [string], missing?: string|integer|[string], expired?: \
         [ExpiringListener], connections?: integer, online?: integer, target?: integer",
    ),
    ("Alarm", "node: string, resource: string"),
    (
        "ExpiringListener",
        "node: string, protocol: string, interface: string, port: integer, certfile: string, \
         certfile_expires_on: [string], cacertfile: string|null, cacertfile_expires_on: \
         [string]",
    ),
    // Virtual hosts.
    (
        "Vhost",
        "name: string, description: string, tags: [string], default_queue_type: string, \
         metadata: VhostMetadata, tracing: boolean, protected_from_deletion: boolean, \
         cluster_state: {string}, message_stats?: VhostStats, ...Lengths, ...Traffic",
    ),
    (
        "VhostMetadata",
        "description: string, tags: [string], default_queue_type?: string, protected_from_deletion?: boolean",
    ),
    (
        "VhostDeclaration",
        "description?: string, tags?: string|[string], default_queue_type?: string, tracing?: \
         boolean|string, protected_from_deletion?: boolean|string",
    ),
    ("VhostLimits", "vhost: string, value: Limits"),
    ("UserLimits", "user: string, value: Limits"),
    (
        "Limits",
        "max-connections?: integer, max-queues?: integer, max-channels?: integer, \
         max-connection-rate?: integer, max-message-rate?: integer",
    ),
    ("Limit", "value: integer|string"),
    // Users.
    (
        "User",
        "name: string, password_hash: string, hashing_algorithm: string, tags: [string], \
         limits: Limits",
    ),
    (
        "UserDeclaration",
        "tags: string|[string], password?: string, password_hash?: string, hashing_algorithm?: \
         string",
    ),
    ("UserNames", "users: [string]"),
    ("Permission", "user: string, vhost: string, configure: string, write: string, read: string"),
    ("PermissionDeclaration", "configure: string, write: string, read: string"),
    (
        "TopicPermission",
        "user: string, vhost: string, exchange: string, write: string, read: string",
    ),
    ("TopicPermissionDeclaration", "exchange: string, write: string, read: string"),
    // Exchanges, queues, bindings.
    (
        "Exchange",
        "name: string, vhost: string, type: string, durable: boolean, auto_delete: boolean, \
         internal: boolean, arguments: object, policy?: string, user_who_performed_action: \
         string, message_stats?: ExchangeStats",
    ),
    ("OneExchange", "...Exchange, incoming: [any], outgoing: [any]"),
    (
        "ExchangeDeclaration",
        "type?: string, durable?: boolean|string, auto_delete?: boolean|string, internal?: \
         boolean|string, arguments?: object",
    ),
    (
        "Message",
        "routing_key: string, properties: object, payload: string, payload_encoding: string",
    ),
    ("Published", "routed: boolean"),
    (
        "Queue",
        "name: string, vhost: string, type: string, durable: boolean, auto_delete: boolean, \
         exclusive: boolean, arguments: object, node: string, state: string, messages*?: \
         integer, messages_ready*?: integer, messages_unacknowledged*?: integer, policy?: \
         string|null, operator_policy?: string|null, effective_policy_definition?: object, \
         consumers?: integer, consumer_utilisation?: number, consumer_capacity?: number, \
         exclusive_consumer_tag?: string|null, single_active_consumer_tag?: string|null, \
         memory?: integer, messages_persistent?: integer, messages_ram?: integer, \
         messages_ready_ram?: integer, messages_unacknowledged_ram?: integer, \
         messages_paged_out?: integer, message_bytes?: integer, message_bytes_ready?: integer, \
         message_bytes_unacknowledged?: integer, message_bytes_persistent?: integer, \
         message_bytes_ram?: integer, message_bytes_paged_out?: integer, \
         head_message_timestamp?: integer|null, recoverable_slaves?: null, garbage_collection?: \
         GarbageCollection, reductions?: integer, owner_pid_details?: ConnectionDetails, leader?: string, \
         members?: [string], online?: [string], messages_dlx?: integer, idle_since?: string, \
         message_stats?: QueueStats",
    ),
    ("OneQueue", "...Queue, consumer_details: [Consumer], deliveries: [any], incoming: [any]"),
    (
        "QueueDeclaration",
        "durable?: boolean|string, auto_delete?: boolean|string, arguments?: object, node?: \
         string, exclusive?: boolean|string",
    ),
    ("Action", "action: string"),
    ("Get", "count: integer|string, ackmode: string, encoding: string, truncate?: integer|string"),
    (
        "Got",
        "payload_bytes: integer, redelivered: boolean, exchange: string, routing_key: string, \
         message_count: integer, properties: object, payload: string, payload_encoding: string",
    ),
    (
        "Seen",
        "position: integer, redelivered: boolean, delivery_count: integer, exchange: string, \
         routing_key: string, properties: object, payload_bytes: integer, payload: string, \
         payload_encoding: string",
    ),
    ("SeenPage", "messages: [Seen], next: string|null, scanned: integer"),
    ("DeathGroups", "groups: [DeathGroup], scanned: integer, complete: boolean"),
    ("DeathGroup", "reason: string|null, queue: string|null, count: integer"),
    ("Which", "positions?: [integer|[integer]], filter?: {string}, all?: boolean|string"),
    ("WhichAndWhere", "...Which, to: Target"),
    ("Target", "queue?: string, exchange?: string, routing_key?: string, origin?: boolean|string"),
    ("Deleted", "deleted: integer"),
    ("Moved", "moved: integer, kept: integer"),
    (
        "Binding",
        "source: string, vhost: string, destination: string, destination_type: string, \
         routing_key: string, arguments: object, properties_key: string",
    ),
    ("BindingDeclaration", "routing_key?: string, arguments?: object"),
    // Clients.
    (
        "GarbageCollection",
        "fullsweep_after: integer, max_heap_size: integer, min_bin_vheap_size: integer, \
         min_heap_size: integer, minor_gcs: integer",
    ),
    ("ConnectionDetails", "name: string, peer_host: string, peer_port: integer"),
    (
        "Connection",
        "name: string, node: string, vhost: string, user: string, user_who_performed_action: \
         string, protocol: string, type: string, auth_mechanism: string, connected_at: integer, \
         client_properties: object, user_provided_name?: string, host: string, port: integer, \
         peer_host: string, peer_port: integer, frame_max: integer, channel_max: integer, \
         timeout: integer, ssl: boolean, ssl_protocol: string|null, ssl_cipher: string|null, \
         ssl_hash: string|null, ssl_key_exchange: string|null, peer_cert_subject: string|null, \
         peer_cert_issuer: string|null, peer_cert_validity: string|null, state: string, \
         channels: integer, recv_cnt: integer, send_cnt: integer, send_pend: integer, \
         ...Traffic, memory: integer, reductions: integer, garbage_collection: GarbageCollection",
    ),
    (
        "Channel",
        "name: string, number: integer, node: string, vhost: string, user: string, \
         user_who_performed_action: string, connection_details: ConnectionDetails, state: \
         string, confirm: boolean, transactional: boolean, consumer_count: integer, \
         prefetch_count: integer, global_prefetch_count: integer, messages_unacknowledged: \
         integer, messages_unconfirmed: integer, messages_uncommitted: integer, \
         acks_uncommitted: integer, pending_raft_commands: integer, idle_since?: string, \
         message_stats?: ChannelStats, reductions: integer, garbage_collection: GarbageCollection",
    ),
    ("OneChannel", "...Channel, consumer_details: [Consumer], publishes: [any], deliveries: [any]"),
    (
        "Consumer",
        "consumer_tag: string, queue: InVhost, channel_details: ChannelDetails, active: \
         boolean, activity_status: string, ack_required: boolean, exclusive: boolean, \
         prefetch_count: integer, consumer_timeout: integer, arguments: object",
    ),
    ("InVhost", "name: string, vhost: string"),
    (
        "ChannelDetails",
        "...ConnectionDetails, connection_name: string, number: integer, node: string, user: \
         string",
    ),
    // Policies and parameters.
    (
        "Policy",
        "vhost: string, name: string, pattern: string, apply-to: string, definition: object, \
         priority: integer",
    ),
    (
        "PolicyDeclaration",
        "pattern: string, definition: object, apply-to?: string, priority?: integer|string",
    ),
    ("Parameter", "vhost: string, component: string, name: string, value: any"),
    ("GlobalParameter", "name: string, value: any"),
    ("Value", "value: any"),
    // Definitions.
    (
        "Definitions",
        "rabbit_version?: string, rabbitmq_version?: string, product_name?: string, \
         product_version?: string, rabbitmq_definition_format?: string, original_cluster_name?: \
         any, explanation?: string, users: [DefinedUser], vhosts: [DefinedVhost], permissions: \
         [Permission], topic_permissions: [TopicPermission], parameters: [Parameter], \
         global_parameters: [GlobalParameter], policies: [Policy], queues: [DefinedQueue], \
         exchanges: [DefinedExchange], bindings: [DefinedBinding]",
    ),
    (
        "DefinedUser",
        "name: string, password_hash?: string, password?: string, hashing_algorithm?: string, \
         tags: [string]|string, limits?: Limits",
    ),
    (
        "DefinedVhost",
        "name: string, description?: string, tags?: [string], metadata?: VhostMetadata, \
         limits?: Limits",
    ),
    (
        "DefinedQueue",
        "name: string, vhost: string, type?: string, durable: boolean, auto_delete: boolean, \
         arguments: object",
    ),
    (
        "DefinedExchange",
        "name: string, vhost: string, type: string, durable: boolean, auto_delete: boolean, \
         internal: boolean, arguments: object",
    ),
    (
        "DefinedBinding",
        "source: string, vhost: string, destination: string, destination_type: string, \
         routing_key: string, arguments: object",
    ),
    (
        "VhostDefinitions",
        "rabbit_version?: string, rabbitmq_version?: string, product_name?: string, \
         product_version?: string, rabbitmq_definition_format?: string, original_vhost_name?: \
         string, explanation?: string, description?: string, metadata?: VhostMetadata, limits?: \
         Limits, parameters: [VhostParameter], policies: [VhostPolicy], queues: [VhostQueue], \
         exchanges: [VhostExchange], bindings: [VhostBinding]",
    ),
    ("VhostParameter", "component: string, name: string, value: any"),
    (
        "VhostPolicy",
        "name: string, pattern: string, apply-to: string, definition: object, priority: integer",
    ),
    (
        "VhostQueue",
        "name: string, type?: string, durable: boolean, auto_delete: boolean, arguments: object",
    ),
    (
        "VhostExchange",
        "name: string, type: string, durable: boolean, auto_delete: boolean, internal: boolean, \
         arguments: object",
    ),
    (
        "VhostBinding",
        "source: string, destination: string, destination_type: string, routing_key: string, \
         arguments: object",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Words that the notation knows by itself.
    const WORDS: [&str; 7] = ["any", "string", "integer", "number", "boolean", "object", "null"];

    fn named(text: &str) -> impl Iterator<Item = &str> {
        let types = text.split(',').map(|field| field.split_once(':').map_or(field, |(_, of)| of));
        let words = types.flat_map(|of| of.split(|c: char| !c.is_ascii_alphanumeric()));
        words.filter(|word| !word.is_empty() && !WORDS.contains(word))
    }

    #[test]
    fn schemas_name_only_schemas_and_each_is_there_once() {
        let names: BTreeSet<&str> = SCHEMAS.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), SCHEMAS.len());
        for (name, text) in SCHEMAS {
            let unknown: Vec<&str> = named(text).filter(|word| !names.contains(word)).collect();
            assert!(unknown.is_empty(), "{name}: {unknown:?}");
        }
    }
}
