//! What cannot be had, and plugins.

use super::{Old, What, old, refused};

const ONE_NODE: &str = "leveret runs on one node";
const NO_ERLANG: &str = "leveret has no Erlang in it";
const SETTING: &str = "it is a setting: change it in the configuration and restart; `leveret config check` shows what is set";
const STOP: &str = "send SIGTERM to the process, or use your service manager";

pub static COMMANDS: &[Old] = &[
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
