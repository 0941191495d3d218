//! Every key of `rabbitmq.conf` and what it means here. The first line that fits counts: `*` is any one
//! part of a name, `**` whatever follows.

use super::convert::Form::{self, Binary, Limit, Memory, Number, Path, Seconds, Text, Whether};

/// What becomes of a key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Meaning {
    /// It is this key of ours, its value read so.
    Ours(&'static str, Form),
    /// It makes this one of ours together with others, see [`combine`](super::combine).
    Together(#[cfg_attr(not(test), expect(dead_code))] &'static str),
    /// It must say what happens anyway, which `combine` looks at; the sentence is for the document.
    Checked(#[cfg_attr(not(test), expect(dead_code))] &'static str),
    /// Nobody could tell a difference.
    Accepted,
    /// Accepted with one of these values, which say what happens anyway; refused with any other.
    Only(&'static [&'static str], &'static str),
    /// Accepted, but it does nothing, for the reason given.
    Idle(&'static str),
    /// The broker would not be what it is believed to be.
    Refused(&'static str),
}

use Meaning::{Accepted, Checked, Idle, Only, Ours, Refused, Together};

const ERLANG: Meaning = Idle("has no effect: there is no Erlang underneath");
const CLUSTER: Meaning = Idle("has no effect: leveret runs on one machine");
const RAFT: Meaning = Idle("has no effect: leveret's queues are stored in another way");
const NO_PROTOCOL: Meaning = Idle("has no effect: leveret does not speak this protocol");
const NO_PLUGIN: Meaning = Idle("has no effect: leveret has nothing like this plugin");
const NOT_USED: Meaning = Idle("has no effect: no backend that is supported uses it");
const SERVER_TUNING: Meaning = Idle("has no effect: leveret's HTTP server has no such setting");
const NOT_COUNTED: Meaning = Idle("has no effect: leveret collects no statistics in this way");
const LOG_TARGET: Meaning = Idle("has no effect: leveret logs to the console and to a file only");
const LOG_FORM: Meaning = Idle("has no effect: the lines of leveret's log have one form, and JSON");
const MIRRORS: Meaning = Idle("has no effect: there are no mirrored queues");
const ONE_CERTIFICATE: Meaning =
    Idle("has no effect: leveret shows clients of HTTP and AMQP the same certificate");
const IN_THE_FILE: Meaning =
    Refused("certificates and keys cannot stand in the file: name files of theirs");
const DEFAULTS: Meaning =
    Refused("is not supported: make users, policies and limits of vhosts over HTTP");

pub(super) fn find(key: &[String]) -> Option<Meaning> {
    KEYS.iter().find(|(pattern, _)| fits(pattern, key)).map(|&(_, meaning)| meaning)
}

/// The names that can be suggested.
pub(super) fn patterns() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|(pattern, _)| *pattern).filter(|pattern| !pattern.ends_with("**"))
}

fn fits(pattern: &str, key: &[String]) -> bool {
    let mut key = key.iter();
    for part in pattern.split('.') {
        match (part, key.next()) {
            ("**", Some(_)) => return true,
            ("*", Some(_)) => {}
            (part, Some(segment)) if part == segment => {}
            _ => return false,
        }
    }
    key.next().is_none()
}

/// Ours, for the test that looks whether they are, and for the document.
#[cfg(test)]
pub(super) fn all() -> &'static [(&'static str, Meaning)] {
    KEYS
}

const KEYS: &[(&str, Meaning)] = &[
    // Listeners.
    ("listeners.tcp", Together("amqp")),
    ("listeners.tcp.*", Together("amqp")),
    ("listeners.ssl", Together("amqps")),
    ("listeners.ssl.*", Together("amqps")),
    ("num_acceptors.tcp", Accepted),
    ("num_acceptors.ssl", Accepted),
    ("handshake_timeout", Ours("handshake_timeout_seconds", Seconds)),
    ("ssl_handshake_timeout", Accepted),
    ("reverse_dns_lookups", Only(&["false"], "is not supported: clients are shown by address")),
    ("proxy_protocol", Together("proxy_protocol")),
    ("tcp_listen_options", Accepted),
    ("tcp_listen_options.backlog", Accepted),
    ("tcp_listen_options.nodelay", Accepted),
    ("tcp_listen_options.buffer", Accepted),
    ("tcp_listen_options.delay_send", Accepted),
    ("tcp_listen_options.dontroute", Accepted),
    ("tcp_listen_options.exit_on_close", Accepted),
    ("tcp_listen_options.fd", Refused("is not supported: name an address")),
    ("tcp_listen_options.high_msgq_watermark", Accepted),
    ("tcp_listen_options.high_watermark", Accepted),
    ("tcp_listen_options.keepalive", Accepted),
    ("tcp_listen_options.low_msgq_watermark", Accepted),
    ("tcp_listen_options.low_watermark", Accepted),
    ("tcp_listen_options.port", Refused("is not supported: set listeners.tcp.default")),
    ("tcp_listen_options.priority", Accepted),
    ("tcp_listen_options.recbuf", Accepted),
    ("tcp_listen_options.send_timeout", Ours("send_timeout_seconds", Form::SendTimeout)),
    ("tcp_listen_options.send_timeout_close", Accepted),
    ("tcp_listen_options.sndbuf", Accepted),
    ("tcp_listen_options.tos", Accepted),
    ("tcp_listen_options.linger.on", Accepted),
    ("tcp_listen_options.linger.timeout", Accepted),
    ("socket_writer.gc_threshold", ERLANG),
    // TLS.
    ("ssl_options", Only(&["none"], "is either none, or has a name behind a point")),
    ("ssl_options.certfile", Ours("tls_certificate_file", Path)),
    ("ssl_options.keyfile", Ours("tls_key_file", Path)),
    ("ssl_options.cacertfile", Ours("tls_ca_file", Path)),
    ("ssl_options.verify", Ours("tls_verify", Text)),
    ("ssl_options.fail_if_no_peer_cert", Ours("tls_fail_if_no_peer_cert", Whether)),
    ("ssl_options.versions.*", Together("tls_versions")),
    ("ssl_options.cacerts.*", IN_THE_FILE),
    ("ssl_options.cert", IN_THE_FILE),
    ("ssl_options.key.*", IN_THE_FILE),
    (
        "ssl_options.password",
        Refused("is not supported: decrypt the key, it is read at start only"),
    ),
    ("ssl_options.crl_check", Only(&["false"], "is not supported: nothing would be checked")),
    ("ssl_options.psk_identity", Refused("is not supported: clients show certificates")),
    (
        "ssl_options.ciphers.*",
        Idle("has no effect: the ciphers are those of TLS 1.2 and 1.3 that are safe"),
    ),
    ("ssl_options.depth", Accepted),
    ("ssl_options.client_renegotiation", Accepted),
    ("ssl_options.secure_renegotiate", Accepted),
    ("ssl_options.reuse_sessions", Accepted),
    ("ssl_options.honor_cipher_order", Accepted),
    ("ssl_options.honor_ecc_order", Accepted),
    ("ssl_options.dh", Accepted),
    ("ssl_options.dhfile", Accepted),
    ("ssl_options.log_level", Accepted),
    ("ssl_options.log_alert", Accepted),
    ("ssl_options.bypass_pem_cache", Accepted),
    ("ssl_allow_poodle_attack", Accepted),
    ("ssl_cert_login_from", Ours("tls_cert_login_from", Text)),
    ("ssl_cert_login_san_type", Ours("tls_cert_login_san_type", Text)),
    ("ssl_cert_login_san_index", Ours("tls_cert_login_san_index", Number)),
    // Users.
    ("loopback_users", Together("loopback_users")),
    ("loopback_users.*", Together("loopback_users")),
    ("default_user", Ours("default_user", Text)),
    ("default_pass", Ours("default_pass", Text)),
    ("default_vhost", Ours("default_vhost", Text)),
    ("default_user_tags.*", Together("default_user_tags")),
    ("default_permissions.configure", Ours("default_permission_configure", Text)),
    ("default_permissions.write", Ours("default_permission_write", Text)),
    ("default_permissions.read", Ours("default_permission_read", Text)),
    ("default_users.*.*", DEFAULTS),
    ("default_policies.operator.*.**", DEFAULTS),
    ("default_limits.vhosts.*.*", DEFAULTS),
    (
        "auth_mechanisms.*",
        Checked("PLAIN, AMQPLAIN and EXTERNAL are offered, and PLAIN cannot be left out"),
    ),
    ("auth_backends.*", Together("auth_backends")),
    ("auth_backends.*.authn", Together("auth_backends")),
    ("auth_backends.*.authz", Together("auth_backends")),
    ("auth_ldap.**", NOT_USED),
    ("auth_http.**", NOT_USED),
    ("auth_oauth2.resource_server_id", Ours("auth_oauth2_resource_server_id", Text)),
    ("auth_oauth2.resource_server_type", Ours("auth_oauth2_resource_server_type", Text)),
    ("auth_oauth2.scope_prefix", Ours("auth_oauth2_scope_prefix", Text)),
    ("auth_oauth2.additional_scopes_key", Together("auth_oauth2_additional_scopes_key")),
    ("auth_oauth2.preferred_username_claims.*", Together("auth_oauth2_preferred_username_claims")),
    ("auth_oauth2.scope_aliases.*", Together("auth_oauth2_scope_aliases")),
    ("auth_oauth2.scope_aliases.*.alias", Together("auth_oauth2_scope_aliases")),
    ("auth_oauth2.scope_aliases.*.scope", Together("auth_oauth2_scope_aliases")),
    ("auth_oauth2.verify_aud", Ours("auth_oauth2_verify_aud", Whether)),
    ("auth_oauth2.algorithms.*", Together("auth_oauth2_algorithms")),
    ("auth_oauth2.default_key", Ours("auth_oauth2_default_key", Text)),
    ("auth_oauth2.signing_keys.*", Together("auth_oauth2_signing_keys")),
    ("auth_oauth2.jwks_url", Ours("auth_oauth2_jwks_url", Text)),
    ("auth_oauth2.jwks_uri", Ours("auth_oauth2_jwks_url", Text)),
    ("auth_oauth2.issuer", Ours("auth_oauth2_issuer", Text)),
    ("auth_oauth2.https.cacertfile", Ours("auth_oauth2_https_cacertfile", Path)),
    (
        "auth_oauth2.https.peer_verification",
        Only(&["verify_peer"], "is not supported: keys come from servers that are verified"),
    ),
    (
        "auth_oauth2.https.hostname_verification",
        Only(&["none", "wildcard"], "is not supported: a wildcard fits as everywhere"),
    ),
    ("auth_oauth2.https.**", Idle("has no effect: chains are verified whatever their depth")),
    (
        "auth_oauth2.discovery_endpoint_path",
        Only(
            &[".well-known/openid-configuration", "/.well-known/openid-configuration"],
            "is not supported: issuers are asked at .well-known/openid-configuration",
        ),
    ),
    ("auth_oauth2.**", Refused("is not supported: there is one resource server and one provider")),
    ("auth_cache.**", NOT_USED),
    ("trust_store.**", NOT_USED),
    ("anonymous_login_user", Only(&["none"], "is not supported: nobody enters without a password")),
    ("anonymous_login_pass", NOT_USED),
    (
        "password_hashing_module",
        Only(
            &["rabbit_password_hashing_sha256"],
            "is not supported: new passwords are hashed with SHA-256",
        ),
    ),
    (
        "credential_validator.validation_backend",
        Only(
            &["rabbit_credential_validator_accept_everything"],
            "is not supported: no password would be checked",
        ),
    ),
    ("credential_validator.min_length", NOT_USED),
    ("credential_validator.regexp", NOT_USED),
    // Limits.
    ("heartbeat", Ours("heartbeat_seconds", Number)),
    ("frame_max", Ours("frame_max", Form::FrameMax)),
    ("initial_frame_max", Accepted),
    ("channel_max", Ours("channel_max", Form::ChannelMax)),
    ("max_channels_per_connection", Ours("channel_max", Form::ChannelMax)),
    ("channel_max_per_node", Ours("channel_max_per_node", Limit)),
    ("connection_max", Ours("connections_max", Limit)),
    ("max_connections", Ours("connections_max", Limit)),
    ("ranch_connection_max", Accepted),
    ("consumer_max_per_channel", Ours("consumers_per_channel_max", Limit)),
    ("session_max_per_connection", NO_PROTOCOL),
    ("link_max_per_session", NO_PROTOCOL),
    ("vhost_max", Ours("vhosts_max", Limit)),
    ("cluster_queue_limit", Only(&["infinity"], "is not supported: queues would not be counted")),
    (
        "cluster_exchange_limit",
        Only(&["infinity"], "is not supported: exchanges would not be counted"),
    ),
    ("max_message_size", Ours("message_size_max", Binary)),
    ("consumer_timeout", Ours("consumer_timeout", Form::Timeout)),
    ("vm_memory_high_watermark.relative", Together("memory_high_watermark")),
    ("vm_memory_high_watermark.absolute", Together("memory_high_watermark")),
    ("total_memory_available_override_value", Together("memory_high_watermark")),
    ("vm_memory_high_watermark_paging_ratio", Accepted),
    ("vm_memory_calculation_strategy", Accepted),
    ("memory_monitor_interval", Accepted),
    ("disk_free_limit.relative", Together("disk_free_limit")),
    ("disk_free_limit.absolute", Ours("disk_free_limit", Memory)),
    ("runtime_parameters.limits.*", Idle("has no effect: runtime parameters are not counted")),
    (
        "message_interceptors.**",
        Refused("is not supported: messages would lack the headers that it adds"),
    ),
    // Queues and how they are stored.
    ("default_queue_type", Ours("default_queue_type", Text)),
    ("classic_queue.default_version", Accepted),
    ("queue_master_locator", Accepted),
    ("queue_leader_locator", Accepted),
    ("queue_index_embed_msgs_below", Accepted),
    ("lazy_queue_explicit_gc_run_operation_threshold", ERLANG),
    ("queue_explicit_gc_run_operation_threshold", ERLANG),
    ("message_store_shutdown_timeout", Accepted),
    ("msg_store_file_size_limit", Accepted),
    ("quorum_queue.**", RAFT),
    ("raft.**", RAFT),
    ("metadata_store.**", RAFT),
    ("stream.**", Idle("has no effect: streams are read over AMQP 0-9-1 here")),
    ("mirroring_sync_batch_size", MIRRORS),
    ("mirroring_sync_max_throughput", MIRRORS),
    ("vhost_restart_strategy", Accepted),
    // Definitions.
    ("load_definitions", Ours("load_definitions", Path)),
    ("definitions.local.path", Ours("load_definitions", Path)),
    ("management.load_definitions", Ours("load_definitions", Path)),
    ("definitions.skip_if_unchanged", Ours("definitions_skip_if_unchanged", Whether)),
    ("definitions.hashing.algorithm", Accepted),
    (
        "definitions.import_backend",
        Only(
            &["local", "local_filesystem", "rabbit_definitions_import_local_filesystem"],
            "is not supported: definitions are read from a file or a directory",
        ),
    ),
    ("definitions.https.url", Refused("is not supported: definitions are read from a file")),
    ("definitions.tls.**", NOT_USED),
    // The management API.
    ("management.tcp.port", Together("http")),
    ("management.tcp.ip", Together("http")),
    ("management.ssl.port", Together("https")),
    ("management.ssl.ip", Together("https")),
    ("management.ssl.certfile", Together("tls_certificate_file")),
    ("management.ssl.keyfile", Together("tls_key_file")),
    ("management.ssl.cacertfile", Together("tls_ca_file")),
    ("management.ssl.verify", Ours("https_verify", Text)),
    ("management.ssl.fail_if_no_peer_cert", Accepted),
    (
        "management.ssl.password",
        Refused("is not supported: decrypt the key, it is read at start only"),
    ),
    ("management.ssl.**", ONE_CERTIFICATE),
    ("management.listener.port", Together("http")),
    ("management.listener.ip", Together("http")),
    ("management.listener.ssl", Together("https")),
    ("management.listener.ssl_opts.certfile", Together("tls_certificate_file")),
    ("management.listener.ssl_opts.keyfile", Together("tls_key_file")),
    ("management.listener.ssl_opts.cacertfile", Together("tls_ca_file")),
    ("management.listener.ssl_opts.verify", Ours("https_verify", Text)),
    ("management.listener.ssl_opts.**", ONE_CERTIFICATE),
    ("management.listener.ssl_opts", Accepted),
    ("management.listener.server.**", SERVER_TUNING),
    ("management.tcp.**", SERVER_TUNING),
    ("management.path_prefix", Ours("http_path_prefix", Form::Prefix)),
    ("management.http.max_body_size", SERVER_TUNING),
    ("management.http_log_dir", SERVER_TUNING),
    ("management.login_session_timeout", SERVER_TUNING),
    (
        "management.cors.allow_origins",
        Only(&["none"], "is either none, or has a number behind a point"),
    ),
    ("management.cors.allow_origins.*", Together("cors_allow_origins")),
    ("management.cors.max_age", Ours("cors_max_age_seconds", Number)),
    ("management.csp.policy", SERVER_TUNING),
    ("management.hsts.policy", SERVER_TUNING),
    ("management.headers.**", SERVER_TUNING),
    ("management.disable_basic_auth", Only(&["false"], "is not supported: a password would do")),
    ("management.restrictions.**", Refused("is not supported: nothing would be restricted")),
    ("management.enable_uaa", Only(&["false"], "is not supported")),
    ("management.uaa_client_id", NOT_USED),
    ("management.uaa_location", NOT_USED),
    ("management.oauth_enabled", Only(&["false"], "is not supported")),
    ("management.oauth_client_id", NOT_USED),
    ("management.oauth_client_secret", NOT_USED),
    ("management.oauth_provider_url", NOT_USED),
    ("management.oauth_metadata_url", NOT_USED),
    ("management.oauth_scopes", NOT_USED),
    ("management.oauth_initiated_logon_type", NOT_USED),
    ("management.oauth_disable_basic_auth", NOT_USED),
    ("management.oauth_resource_servers.**", NOT_USED),
    ("management.db_cache_multiplier", NOT_COUNTED),
    ("management.disable_stats", NOT_COUNTED),
    ("management.enable_queue_totals", NOT_COUNTED),
    ("management.rates_mode", NOT_COUNTED),
    ("management.sample_retention_policies.*.*", NOT_COUNTED),
    ("management.delegate_count", ERLANG),
    ("management_agent.**", NOT_COUNTED),
    ("collect_statistics", NOT_COUNTED),
    ("collect_statistics_interval", NOT_COUNTED),
    ("prometheus.tcp.port", Together("prometheus")),
    ("prometheus.tcp.ip", Together("prometheus")),
    ("prometheus.return_per_object_metrics", Ours("prometheus_per_object", Whether)),
    ("prometheus.path", Only(&["/metrics", "metrics"], "is not supported: they are at /metrics")),
    (
        "prometheus.authentication.enabled",
        Only(&["false"], "is not supported: who has to log in gets /metrics at the HTTP API"),
    ),
    ("prometheus.ssl.**", Refused("is not supported: over TLS, monitors get /metrics at https")),
    ("prometheus.**", NOT_COUNTED),
    // The log.
    ("log.console", Together("log_console")),
    ("log.console.level", Ours("log_console_level", Form::Level)),
    ("log.console.formatter", Ours("log_format", Form::Formatter)),
    ("log.console.stdio", Together("log_console")),
    ("log.console.use_colors", Accepted),
    ("log.console.color_esc_seqs.*", Accepted),
    ("log.console.formatter.**", LOG_FORM),
    ("log.dir", Together("log_file")),
    ("log.file", Together("log_file")),
    ("log.file.level", Ours("log_file_level", Form::Level)),
    ("log.file.formatter", Ours("log_file_format", Form::Formatter)),
    ("log.file.formatter.**", LOG_FORM),
    ("log.file.rotation.date", Ours("log_file_rotation", Text)),
    ("log.file.rotation.size", Ours("log_file_size_max", Number)),
    ("log.file.rotation.count", Ours("log_files_kept", Number)),
    (
        "log.file.rotation.compress",
        Only(&["false"], "is not supported: old files stay as they are"),
    ),
    ("log.default.level", Together("log_level")),
    ("log.connection.level", Together("log_level")),
    ("log.channel.level", Together("log_level")),
    ("log.queue.level", Together("log_level")),
    ("log.*.level", Idle("has no effect: leveret's log has no such category")),
    ("log.*.file", Idle("has no effect: there is one log file")),
    ("log.*.rotation.**", Idle("has no effect: there is one log file")),
    ("log.exchange", Only(&["false"], "is not supported: leveret does not publish its log")),
    ("log.exchange.**", LOG_TARGET),
    ("log.syslog", Only(&["false"], "is not supported: log to the console or to a file")),
    ("log.syslog.**", LOG_TARGET),
    (
        "log.journald",
        Only(&["false"], "is not supported: systemd keeps what is logged to the console"),
    ),
    ("log.journald.**", LOG_TARGET),
    ("log.summarize_process_state", ERLANG),
    ("log.error_logger_format_depth", ERLANG),
    // One machine, no Erlang.
    ("cluster_name", Idle("has no effect: leveret's cluster has a name of its own")),
    ("cluster_tags.*", CLUSTER),
    ("node_tags.*", CLUSTER),
    ("nodename", CLUSTER),
    ("cluster_formation.**", CLUSTER),
    ("cluster_partition_handling", CLUSTER),
    ("cluster_partition_handling.**", CLUSTER),
    ("cluster_keepalive_interval", CLUSTER),
    ("delegate_count", CLUSTER),
    ("net_ticktime", CLUSTER),
    ("distribution.**", CLUSTER),
    ("distributed_cookie", CLUSTER),
    ("mnesia_table_loading_retry_timeout", CLUSTER),
    ("mnesia_table_loading_retry_limit", CLUSTER),
    ("default_worker_pool_size", ERLANG),
    ("erlang.**", ERLANG),
    ("vm_args.**", ERLANG),
    ("hipe_compile", ERLANG),
    ("background_gc_enabled", ERLANG),
    ("background_gc_target_interval", ERLANG),
    ("sysmon_handler.**", ERLANG),
    ("deprecated_features.permit.*", Accepted),
    ("feature_flags.**", Accepted),
    ("product.name", Accepted),
    ("product.version", Accepted),
    ("motd_file", Accepted),
    // Plugins.
    ("mqtt.**", NO_PROTOCOL),
    ("stomp.**", NO_PROTOCOL),
    ("web_mqtt.**", NO_PROTOCOL),
    ("web_stomp.**", NO_PROTOCOL),
    ("amqp1_0.**", NO_PROTOCOL),
    ("amqp_client.**", NO_PLUGIN),
    ("federation.**", NO_PLUGIN),
    ("shovel.**", NO_PLUGIN),
    ("event_exchange.**", NO_PLUGIN),
    ("tracing.**", NO_PLUGIN),
    ("consistent_hash_exchange.**", NO_PLUGIN),
    ("aws.**", NO_PLUGIN),
    ("top.**", NO_PLUGIN),
];
