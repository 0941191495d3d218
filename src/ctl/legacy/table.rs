//! All commands of RabbitMQ's tools.

use super::Tool;
use super::list::OldList;

/// A command. Arguments end in `?` if they may be left out, and in `...` if there may be any number;
/// options end in `=` if they have a value, and may have a short name before a `|`.
pub struct Old {
    pub name: &'static str,
    /// c, d, q, p: rabbitmqctl, rabbitmq-diagnostics, rabbitmq-queues, rabbitmq-plugins.
    tools: &'static str,
    pub arguments: &'static [&'static str],
    pub options: &'static [&'static str],
    pub banner: &'static str,
    pub what: What,
}

pub enum What {
    List(OldList),
    /// Something changes.
    Action,
    /// What the broker says of itself.
    Status,
    /// A health check.
    Check,
    Plugins,
    /// There is nothing to do; what is said instead.
    Nothing(&'static str),
    /// It cannot be had; why, and what to do instead.
    Refused(&'static str),
}

impl Old {
    /// `leveret ctl` and rabbitmqctl know what rabbitmq-diagnostics and rabbitmq-queues do, too.
    pub fn is_of(&self, tool: Tool) -> bool {
        let letters: &[char] = match tool {
            Tool::Ctl => &['c', 'd', 'q'],
            Tool::Diagnostics => &['d'],
            Tool::Queues => &['q'],
            Tool::Plugins => &['p'],
        };
        self.tools.contains(letters)
    }
}

pub fn find(tool: Tool, name: &str) -> Option<&'static Old> {
    ALL.iter().find(|old| old.name == name && old.is_of(tool))
}

const fn old(
    name: &'static str,
    tools: &'static str,
    arguments: &'static [&'static str],
    options: &'static [&'static str],
    banner: &'static str,
    what: What,
) -> Old {
    Old { name, tools, arguments, options, banner, what }
}

const fn action(
    name: &'static str,
    arguments: &'static [&'static str],
    options: &'static [&'static str],
    banner: &'static str,
) -> Old {
    old(name, "c", arguments, options, banner, What::Action)
}

const fn check(
    name: &'static str,
    arguments: &'static [&'static str],
    banner: &'static str,
) -> Old {
    old(name, "d", arguments, &[], banner, What::Check)
}

const fn list(
    name: &'static str,
    tools: &'static str,
    arguments: &'static [&'static str],
    banner: &'static str,
    list: OldList,
) -> Old {
    old(name, tools, arguments, &["online", "offline", "local"], banner, What::List(list))
}

const fn nothing(name: &'static str, tools: &'static str, done: &'static str) -> Old {
    old(name, tools, &["argument..."], &[], "", What::Nothing(done))
}

const fn refused(name: &'static str, tools: &'static str, why: &'static str) -> Old {
    old(
        name,
        tools,
        &["argument..."],
        &["offline", "ram", "mode=", "force"],
        "",
        What::Refused(why),
    )
}

const COLUMNS: &[&str] = &["column..."];
const ONE_NODE: &str = "leveret runs on one node";
const NO_ERLANG: &str = "leveret has no Erlang in it";
const SETTING: &str = "it is a setting: change it in the configuration and restart; `leveret config check` shows what is set";
const STOP: &str = "send SIGTERM to the process, or use your service manager";

pub static ALL: &[Old] = &[
    // Users
    list(
        "list_users",
        "cd",
        &[],
        "Listing users ...",
        OldList {
            path: "users",
            usual: &["user", "tags"],
            more: &[],
            renamed: &[("user", "name")],
        },
    ),
    action(
        "add_user",
        &["username", "password?"],
        &["pre-hashed-password"],
        "Adding user \"{username}\" ...",
    ),
    action("delete_user", &["username"], &[], "Deleting user \"{username}\" ..."),
    action(
        "change_password",
        &["username", "password?"],
        &[],
        "Changing password for user \"{username}\" ...",
    ),
    action("clear_password", &["username"], &[], "Clearing password for user \"{username}\" ..."),
    action(
        "authenticate_user",
        &["username", "password?"],
        &[],
        "Authenticating user \"{username}\" ...",
    ),
    action(
        "set_user_tags",
        &["username", "tag..."],
        &[],
        "Setting tags for user \"{username}\" to [{tag}] ...",
    ),
    action("hash_password", &["password?"], &[], "Will hash password"),
    action(
        "set_user_limits",
        &["username", "definition"],
        &[],
        "Setting user limits to \"{definition}\" for user \"{username}\" ...",
    ),
    action(
        "clear_user_limits",
        &["username", "limit"],
        &[],
        "Clearing \"{limit}\" limit for user \"{username}\" ...",
    ),
    action("list_user_limits", &[], &["user=", "global"], "Listing limits ..."),
    // Permissions
    list(
        "list_permissions",
        "c",
        &[],
        "Listing permissions for vhost \"{vhost}\" ...",
        OldList {
            path: "vhosts/{vhost}/permissions",
            usual: &["user", "configure", "write", "read"],
            more: &[],
            renamed: &[],
        },
    ),
    list(
        "list_user_permissions",
        "c",
        &["username"],
        "Listing permissions for user \"{username}\" ...",
        OldList {
            path: "users/{username}/permissions",
            usual: &["vhost", "configure", "write", "read"],
            more: &[],
            renamed: &[],
        },
    ),
    action(
        "set_permissions",
        &["username", "configure", "write", "read"],
        &[],
        "Setting permissions for user \"{username}\" in vhost \"{vhost}\" ...",
    ),
    action(
        "clear_permissions",
        &["username"],
        &[],
        "Clearing permissions for user \"{username}\" in vhost \"{vhost}\" ...",
    ),
    list(
        "list_topic_permissions",
        "c",
        &[],
        "Listing topic permissions for vhost \"{vhost}\" ...",
        OldList {
            path: "vhosts/{vhost}/topic-permissions",
            usual: &["user", "exchange", "write", "read"],
            more: &[],
            renamed: &[],
        },
    ),
    list(
        "list_user_topic_permissions",
        "c",
        &["username"],
        "Listing topic permissions for user \"{username}\" ...",
        OldList {
            path: "users/{username}/topic-permissions",
            usual: &["vhost", "exchange", "write", "read"],
            more: &[],
            renamed: &[],
        },
    ),
    action(
        "set_topic_permissions",
        &["username", "exchange", "write", "read"],
        &[],
        "Setting topic permissions on \"{exchange}\" for user \"{username}\" in vhost \"{vhost}\" ...",
    ),
    action(
        "clear_topic_permissions",
        &["username", "exchange?"],
        &[],
        "Clearing topic permissions for user \"{username}\" in vhost \"{vhost}\" ...",
    ),
    // Virtual hosts
    list(
        "list_vhosts",
        "c",
        COLUMNS,
        "Listing vhosts ...",
        OldList {
            path: "vhosts",
            usual: &["name"],
            more: &[
                "tracing",
                "description",
                "tags",
                "default_queue_type",
                "cluster_state",
                "metadata",
            ],
            renamed: &[],
        },
    ),
    action(
        "add_vhost",
        &["vhost_name"],
        &["description=", "tags=", "default-queue-type="],
        "Adding vhost \"{vhost_name}\" ...",
    ),
    action(
        "update_vhost_metadata",
        &["vhost_name"],
        &["description=", "tags=", "default-queue-type="],
        "Updating metadata of vhost \"{vhost_name}\" ...",
    ),
    action(
        "set_vhost_tags",
        &["vhost_name", "tag..."],
        &[],
        "Setting tags for vhost \"{vhost_name}\" to [{tag}] ...",
    ),
    action("delete_vhost", &["vhost_name"], &[], "Deleting vhost \"{vhost_name}\" ..."),
    action(
        "set_vhost_limits",
        &["definition"],
        &[],
        "Setting vhost limits to \"{definition}\" for vhost \"{vhost}\" ...",
    ),
    action("clear_vhost_limits", &[], &[], "Clearing vhost \"{vhost}\" limits ..."),
    action("list_vhost_limits", &[], &["global"], "Listing limits for vhost \"{vhost}\" ..."),
    nothing("restart_vhost", "c", "A virtual host that exists is up"),
    refused("trace_on", "c", "tracing is not available"),
    nothing("trace_off", "c", "Tracing is never on"),
    // Policies and parameters
    list(
        "list_policies",
        "c",
        &[],
        "Listing policies for vhost \"{vhost}\" ...",
        OldList {
            path: "policies/{vhost}",
            usual: &["vhost", "name", "pattern", "apply-to", "definition", "priority"],
            more: &[],
            renamed: &[],
        },
    ),
    list(
        "list_operator_policies",
        "c",
        &[],
        "Listing operator policy overrides for vhost \"{vhost}\" ...",
        OldList {
            path: "operator-policies/{vhost}",
            usual: &["vhost", "name", "pattern", "apply-to", "definition", "priority"],
            more: &[],
            renamed: &[],
        },
    ),
    action(
        "set_policy",
        &["name", "pattern", "definition"],
        &["priority=", "apply-to="],
        "Setting policy \"{name}\" for pattern \"{pattern}\" to \"{definition}\" with priority \"{priority}\" for vhost \"{vhost}\" ...",
    ),
    action("clear_policy", &["name"], &[], "Clearing policy \"{name}\" on vhost \"{vhost}\" ..."),
    action(
        "set_operator_policy",
        &["name", "pattern", "definition"],
        &["priority=", "apply-to="],
        "Setting operator policy override \"{name}\" for pattern \"{pattern}\" to \"{definition}\" with priority \"{priority}\" for vhost \"{vhost}\" ...",
    ),
    action(
        "clear_operator_policy",
        &["name"],
        &[],
        "Clearing operator policy \"{name}\" on vhost \"{vhost}\" ...",
    ),
    action("list_parameters", &[], &[], "Listing runtime parameters for vhost \"{vhost}\" ..."),
    action(
        "set_parameter",
        &["component", "name", "value"],
        &[],
        "Setting runtime parameter \"{name}\" for component \"{component}\" to \"{value}\" in vhost \"{vhost}\" ...",
    ),
    action(
        "clear_parameter",
        &["component", "name"],
        &[],
        "Clearing runtime parameter \"{name}\" for component \"{component}\" on vhost \"{vhost}\" ...",
    ),
    list(
        "list_global_parameters",
        "c",
        &[],
        "Listing global runtime parameters ...",
        OldList { path: "global-parameters", usual: &["name", "value"], more: &[], renamed: &[] },
    ),
    action(
        "set_global_parameter",
        &["name", "value"],
        &[],
        "Setting global runtime parameter \"{name}\" to \"{value}\" ...",
    ),
    action(
        "clear_global_parameter",
        &["name"],
        &[],
        "Clearing global runtime parameter \"{name}\" ...",
    ),
    action("set_cluster_name", &["name"], &[], "Setting cluster name to {name} ..."),
    // What clients made
    list(
        "list_queues",
        "c",
        COLUMNS,
        "Timeout: 60.0 seconds ...\nListing queues for vhost {vhost} ...",
        OldList {
            path: "queues/{vhost}",
            usual: &["name", "messages"],
            more: &[
                "vhost",
                "durable",
                "auto_delete",
                "arguments",
                "policy",
                "operator_policy",
                "effective_policy_definition",
                "pid",
                "owner_pid",
                "exclusive",
                "exclusive_consumer_pid",
                "exclusive_consumer_tag",
                "messages_ready",
                "messages_unacknowledged",
                "messages_ready_ram",
                "messages_unacknowledged_ram",
                "messages_ram",
                "messages_persistent",
                "message_bytes",
                "message_bytes_ready",
                "message_bytes_unacknowledged",
                "message_bytes_ram",
                "message_bytes_persistent",
                "head_message_timestamp",
                "disk_reads",
                "disk_writes",
                "consumers",
                "consumer_utilisation",
                "consumer_capacity",
                "memory",
                "slave_pids",
                "synchronised_slave_pids",
                "state",
                "type",
                "leader",
                "members",
                "online",
            ],
            renamed: &[("pid", "name"), ("owner_pid", "owner_pid_details.name")],
        },
    ),
    list(
        "list_exchanges",
        "c",
        COLUMNS,
        "Listing exchanges for vhost {vhost} ...",
        OldList {
            path: "exchanges/{vhost}",
            usual: &["name", "type"],
            more: &["durable", "auto_delete", "internal", "arguments", "policy"],
            renamed: &[],
        },
    ),
    list(
        "list_bindings",
        "c",
        COLUMNS,
        "Listing bindings for vhost {vhost}...",
        OldList {
            path: "bindings/{vhost}",
            usual: &[
                "source_name",
                "source_kind",
                "destination_name",
                "destination_kind",
                "routing_key",
                "arguments",
            ],
            more: &["vhost"],
            renamed: &[
                ("source_name", "source"),
                ("source_kind", "=exchange"),
                ("destination_name", "destination"),
                ("destination_kind", "destination_type"),
            ],
        },
    ),
    list(
        "list_connections",
        "c",
        COLUMNS,
        "Listing connections ...",
        OldList {
            path: "connections",
            usual: &["user", "peer_host", "peer_port", "state"],
            more: &[
                "pid",
                "name",
                "port",
                "host",
                "ssl",
                "ssl_protocol",
                "ssl_key_exchange",
                "ssl_cipher",
                "ssl_hash",
                "peer_cert_subject",
                "peer_cert_issuer",
                "peer_cert_validity",
                "channels",
                "protocol",
                "auth_mechanism",
                "vhost",
                "timeout",
                "frame_max",
                "channel_max",
                "client_properties",
                "connected_at",
                "recv_oct",
                "recv_cnt",
                "send_oct",
                "send_cnt",
                "send_pend",
                "user_provided_name",
                "node",
                "user_who_performed_action",
                "type",
            ],
            renamed: &[("pid", "name")],
        },
    ),
    list(
        "list_channels",
        "c",
        COLUMNS,
        "Listing channels ...",
        OldList {
            path: "channels",
            usual: &["pid", "user", "consumer_count", "messages_unacknowledged"],
            more: &[
                "connection",
                "name",
                "number",
                "vhost",
                "transactional",
                "confirm",
                "messages_uncommitted",
                "acks_uncommitted",
                "messages_unconfirmed",
                "prefetch_count",
                "global_prefetch_count",
                "state",
                "node",
            ],
            renamed: &[("pid", "name"), ("connection", "connection_details.name")],
        },
    ),
    list(
        "list_consumers",
        "c",
        COLUMNS,
        "Listing consumers in vhost {vhost} ...",
        OldList {
            path: "consumers/{vhost}",
            usual: &[
                "queue_name",
                "channel_pid",
                "consumer_tag",
                "ack_required",
                "prefetch_count",
                "active",
                "arguments",
            ],
            more: &["activity_status", "exclusive", "consumer_timeout"],
            renamed: &[("queue_name", "queue.name"), ("channel_pid", "channel_details.name")],
        },
    ),
    action("purge_queue", &["queue"], &[], "Purging queue '{queue}' in vhost '{vhost}' ..."),
    action(
        "delete_queue",
        &["queue"],
        &["if-empty", "if-unused"],
        "Deleting queue '{queue}' on vhost '{vhost}' ...",
    ),
    action(
        "close_connection",
        &["pid", "explanation"],
        &[],
        "Closing connection {pid}, reason: {explanation}...",
    ),
    action(
        "close_all_connections",
        &["explanation"],
        &["global", "limit=", "per-connection-delay="],
        "Closing connections, reason: {explanation}...",
    ),
    action(
        "close_all_user_connections",
        &["username", "explanation"],
        &[],
        "Closing connections of user {username}, reason: {explanation}...",
    ),
    action("export_definitions", &["file"], &[], ""),
    action("import_definitions", &["file"], &["skip-if-unchanged"], ""),
    list(
        "list_feature_flags",
        "c",
        COLUMNS,
        "Listing feature flags ...",
        OldList {
            path: "feature-flags",
            usual: &["name", "state"],
            more: &["stability", "provided_by", "desc", "doc_url"],
            renamed: &[],
        },
    ),
    action(
        "enable_feature_flag",
        &["name"],
        &["force", "experimental", "opt-in"],
        "Enabling feature flag {name} ...",
    ),
    // The broker
    old("status", "cd", &[], &["unit="], "Status of node {node} ...", What::Status),
    old("cluster_status", "cd", &[], &[], "Cluster status of node {node} ...", What::Status),
    old("report", "cd", &[], &[], "Reporting server status of node {node} ...\n", What::Status),
    old("version", "cdqp", &[], &[], "", What::Status),
    old(
        "server_version",
        "d",
        &[],
        &[],
        "Asking node {node} for its RabbitMQ version...",
        What::Status,
    ),
    old(
        "listeners",
        "d",
        &[],
        &[],
        "Asking node {node} to report its protocol listeners ...",
        What::Status,
    ),
    old(
        "alarms",
        "d",
        &[],
        &[],
        "Asking node {node} to report any known resource alarms ...",
        What::Status,
    ),
    old(
        "memory_breakdown",
        "d",
        &[],
        &["unit="],
        "Reporting memory breakdown on node {node}...",
        What::Status,
    ),
    old(
        "quorum_status",
        "dq",
        &["queue"],
        &[],
        "Status of quorum queue {queue} on node {node} ...",
        What::Status,
    ),
    old(
        "peek",
        "q",
        &["queue", "position"],
        &[],
        "Peeking at quorum queue '{queue}' at position {position} ...",
        What::Status,
    ),
    old("erlang_version", "d", &[], &["details", "offline"], "", What::Refused(NO_ERLANG)),
    // Checks
    old(
        "ping",
        "cd",
        &[],
        &[],
        "Will ping {node}. This only checks if the broker answers over HTTP.",
        What::Check,
    ),
    old("await_startup", "cd", &[], &[], "", What::Check),
    old("wait", "c", &["pid_file?"], &["pid="], "", What::Check),
    old(
        "await_online_nodes",
        "c",
        &["count"],
        &[],
        "Will wait for {count} nodes to join the cluster",
        What::Check,
    ),
    old("node_health_check", "cd", &[], &[], "Checking health of node {node} ...", What::Check),
    check("check_running", &[], "Checking if RabbitMQ is running on node {node} ..."),
    check("is_running", &[], "Asking node {node} for its status ..."),
    check("is_booting", &[], "Asking node {node} for its boot status ..."),
    check("check_alarms", &[], "Asking node {node} to report any local resource alarms ..."),
    check("check_local_alarms", &[], "Asking node {node} to report any local resource alarms ..."),
    check(
        "check_port_connectivity",
        &[],
        "Testing TCP connections to all active listeners on node {node} ...",
    ),
    check(
        "check_port_listener",
        &["port"],
        "Asking node {node} if there's an active listener on port {port} ...",
    ),
    check(
        "check_protocol_listener",
        &["protocol"],
        "Asking node {node} if there's an active listener for protocol {protocol} ...",
    ),
    check("check_virtual_hosts", &[], "Checking if all vhosts are running on node {node} ..."),
    old(
        "check_certificate_expiration",
        "d",
        &[],
        &["within=", "unit="],
        "Checking certificate expiration on node {node} ...",
        What::Check,
    ),
    old(
        "check_if_node_is_quorum_critical",
        "dq",
        &[],
        &[],
        "Checking if node {node} is critical for quorum of any quorum queues ...",
        What::Check,
    ),
    old(
        "check_if_node_is_mirror_sync_critical",
        "dq",
        &[],
        &[],
        "Checking if node {node} is critical for data safety of any classic mirrored queues ...",
        What::Check,
    ),
    // What one node has nothing to do for
    nothing("sync_queue", "cq", "Nothing is mirrored: there is nothing to synchronise"),
    nothing("cancel_sync_queue", "cq", "Nothing is mirrored: there is nothing to synchronise"),
    nothing("rebalance", "q", "There is one node: all queues are on it"),
    nothing("reclaim_quorum_memory", "q", "Memory is given back by itself"),
    nothing("force_gc", "c", "There is no garbage to collect"),
    nothing("hipe_compile", "c", "There is nothing to compile"),
    nothing(
        "rotate_logs",
        "c",
        "Logs are rotated as the configuration says (docs/logging.md); SIGHUP opens the file again",
    ),
    // What cannot be had
    refused("eval", "c", NO_ERLANG),
    refused("eval_file", "c", NO_ERLANG),
    refused("exec", "c", NO_ERLANG),
    refused(
        "environment",
        "c",
        "there is no application environment; run `leveret config check` on the broker's machine",
    ),
    refused("encode", "c", "settings are not encrypted; name a file with the secret instead"),
    refused("decode", "c", "settings are not encrypted; name a file with the secret instead"),
    refused("list_ciphers", "c", "settings are not encrypted"),
    refused("list_hashes", "c", "settings are not encrypted"),
    refused("schema_info", "c", "there is no Mnesia database"),
    refused("list_unresponsive_queues", "c", "queues always answer"),
    refused("list_node_auth_attempt_stats", "c", "logins are counted in /metrics"),
    refused("join_cluster", "c", ONE_NODE),
    refused("forget_cluster_node", "c", ONE_NODE),
    refused("change_cluster_node_type", "c", ONE_NODE),
    refused("rename_cluster_node", "c", ONE_NODE),
    refused("update_cluster_nodes", "c", ONE_NODE),
    refused("force_boot", "c", ONE_NODE),
    refused("add_member", "q", ONE_NODE),
    refused("delete_member", "q", ONE_NODE),
    refused("grow", "q", ONE_NODE),
    refused("shrink", "q", ONE_NODE),
    refused("stop", "c", STOP),
    refused("shutdown", "c", STOP),
    refused("stop_app", "c", STOP),
    refused(
        "start_app",
        "c",
        "the broker is not started over HTTP: start the process, or use your service manager",
    ),
    refused("reset", "c", "stop the broker and delete its data directory"),
    refused("force_reset", "c", "stop the broker and delete its data directory"),
    refused(
        "suspend_listeners",
        "c",
        "the broker stops listening when it is told to stop (SIGTERM)",
    ),
    refused(
        "resume_listeners",
        "c",
        "the broker stops listening when it is told to stop (SIGTERM)",
    ),
    refused(
        "set_log_level",
        "c",
        "change log_level in the configuration and send SIGHUP to the broker",
    ),
    refused("set_vm_memory_high_watermark", "c", SETTING),
    refused("set_disk_free_limit", "c", SETTING),
    refused(
        "log_tail",
        "d",
        "read the log file, or what the broker writes to stderr (docs/logging.md)",
    ),
    refused(
        "log_tail_stream",
        "d",
        "read the log file, or what the broker writes to stderr (docs/logging.md)",
    ),
    refused(
        "log_location",
        "d",
        "`leveret config check` on the broker's machine says where the log is",
    ),
    refused("consume_event_stream", "d", "read the audit log (docs/security.md)"),
    refused(
        "os_env",
        "d",
        "`leveret config check` on the broker's machine shows settings from the environment",
    ),
    refused("observer", "d", "use `leveret ctl top`"),
    refused("remote_shell", "d", NO_ERLANG),
    refused("cipher_suites", "d", "docs/tls.md says which versions of TLS are spoken"),
    // Plugins
    old(
        "list",
        "p",
        &["pattern?"],
        &["e|enabled", "m|minimal", "v|verbose", "E|implicitly-enabled"],
        "",
        What::Plugins,
    ),
    old("enable", "p", &["plugin..."], &["offline", "online", "all"], "", What::Plugins),
    old("disable", "p", &["plugin..."], &["offline", "online", "all"], "", What::Plugins),
    old("set", "p", &["plugin..."], &["offline", "online"], "", What::Plugins),
    old("is_enabled", "p", &["plugin..."], &["offline", "online"], "", What::Plugins),
    refused("directories", "p", "plugins are part of the program"),
];
