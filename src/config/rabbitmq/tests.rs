//! Files as they are found in the world, and what they must become.

use std::collections::HashMap;
use std::path::Path;

use crate::config::{ConfigError, Loaded, Settings, command};

/// The names of all settings of RabbitMQ 3.10 and the plugins that come with it, `$name` for what is free.
const KEYS_3_10: &str = include_str!("tests/keys-3.10.txt");

/// With RabbitMQ's files in a directory, unless `args` name others.
fn load(
    args: &[&str],
    directory: &Path,
    variables: &[(&str, &str)],
) -> Result<Loaded, ConfigError> {
    let variables: HashMap<_, _> = variables.iter().copied().collect();
    let named = args.is_empty() && directory.is_dir();
    let named = named.then(|| ["--config", directory.to_str().unwrap()]);
    let args = args.iter().copied().chain(named.into_iter().flatten());
    let args = std::iter::once("leveret").chain(args);
    let env = |name: &str| variables.get(name).map(|&value| value.to_owned());
    command(args.map(Into::into))?.load(env)
}

fn read(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("rabbitmq.conf"), text).unwrap();
    load(&[], directory.path(), variables)
}

/// What is not at its default, but for listeners that are where RabbitMQ has them.
fn changes(settings: &Settings) -> Vec<String> {
    let everywhere = ["amqp = [\"[::]:5672\"]", "http = \"[::]:15672\""];
    (settings.values().zip(Settings::default().values()))
        .filter(|(value, default)| value != default)
        .map(|((key, value), _)| format!("{key} = {value}"))
        .filter(|line| !everywhere.contains(&line.as_str()))
        .collect()
}

#[track_caller]
fn check(text: &str, expected: &[&str], warned: &[&str]) {
    let loaded = read(text, &[]).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(changes(&loaded.settings), expected, "{text}");
    let lines = loaded.warnings.iter().map(|line| line.split_once(": ").unwrap().1);
    let keys: Vec<_> = lines.map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(keys, warned, "{:#?}", loaded.warnings);
}

#[track_caller]
fn refuse(text: &str, expected: &str) {
    let error = read(text, &[]).expect_err(text).to_string();
    assert!(error.ends_with(&format!("rabbitmq.conf:{expected}")), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn defaults_of_the_docker_image() {
    check(
        "## DEFAULT SETTINGS ARE NOT MEANT TO BE TAKEN STRAIGHT INTO PRODUCTION\n\
         # allowing remote connections for default user is highly discouraged\n\
         loopback_users.guest = false\n\
         # send all logs to stdout/TTY\n\
         log.console = true\n",
        &["log_console = \"stdout\"", "loopback_users = []"],
        &[],
    );
}

#[test]
fn compose_tutorial() {
    check(
        "loopback_users.guest = false\n\
         listeners.tcp.default = 5672\n\
         default_pass = password\n\
         default_user = orders\n\
         default_vhost = shop\n\
         default_user_tags.administrator = true\n\
         default_user_tags.monitoring = true\n\
         default_permissions.configure = .*\n\
         default_permissions.read = .*\n\
         default_permissions.write = ^orders\\.\n\
         hipe_compile = false\n\
         management.listener.port = 15672\n\
         management.listener.ssl = false\n\
         consumer_timeout = 31622400000\n",
        &[
            "default_user = \"orders\"",
            "default_vhost = \"shop\"",
            "default_user_tags = [\"administrator\",\"monitoring\"]",
            "default_permission_write = \"^orders\\\\.\"",
            "loopback_users = []",
            "consumer_timeout = 31622400000",
        ],
        &["hipe_compile"],
    );
}

#[test]
fn chart_for_kubernetes() {
    check(
        "## Username and password\n\
         ##\n\
         default_user = user\n\
         ## Clustering\n\
         ##\n\
         cluster_name = rabbitmq\n\
         cluster_formation.peer_discovery_backend = rabbit_peer_discovery_k8s\n\
         cluster_formation.k8s.host = kubernetes.default\n\
         cluster_formation.k8s.address_type = hostname\n\
         cluster_formation.k8s.service_name = rabbitmq-headless\n\
         cluster_formation.k8s.hostname_suffix = .rabbitmq-headless.default.svc.cluster.local\n\
         cluster_formation.node_cleanup.interval = 10\n\
         cluster_formation.node_cleanup.only_log_warning = true\n\
         cluster_partition_handling = autoheal\n\
         # queue master locator\n\
         queue_master_locator = min-masters\n\
         # enable loopback user\n\
         loopback_users.user = false\n\
         ## Prometheus metrics\n\
         prometheus.tcp.port = 9419\n\
         ## Memory Threshold\n\
         total_memory_available_override_value = 2Gi\n\
         vm_memory_high_watermark.relative = 0.4\n\
         disk_free_limit.relative = 1.0\n\
         ## TCP Listen Options\n\
         tcp_listen_options.backlog = 128\n\
         tcp_listen_options.nodelay = true\n\
         tcp_listen_options.linger.on      = true\n\
         tcp_listen_options.linger.timeout = 0\n",
        &[
            "prometheus = \"[::]:9419\"",
            "disk_free_limit = 1.0",
            "memory_high_watermark = 858993459",
            "default_user = \"user\"",
            "loopback_users = []",
        ],
        &[
            "cluster_name",
            "cluster_formation.peer_discovery_backend",
            "cluster_formation.k8s.host",
            "cluster_formation.k8s.address_type",
            "cluster_formation.k8s.service_name",
            "cluster_formation.k8s.hostname_suffix",
            "cluster_formation.node_cleanup.interval",
            "cluster_formation.node_cleanup.only_log_warning",
            "cluster_partition_handling",
        ],
    );
}

#[test]
fn server_with_limits() {
    check(
        "listeners.tcp.local = 127.0.0.1:5672\n\
         listeners.tcp.local_v6 = ::1:5672\n\
         listeners.tcp.other = 0.0.0.0:5673\n\
         num_acceptors.tcp = 10\n\
         handshake_timeout = 12500\n\
         heartbeat = 600\n\
         frame_max = 256KB\n\
         initial_frame_max = 8192\n\
         channel_max = 0\n\
         connection_max = infinity\n\
         consumer_max_per_channel = 1000\n\
         max_message_size = 134217728\n\
         vm_memory_high_watermark.absolute = 2GB\n\
         vm_memory_high_watermark_paging_ratio = 0.75\n\
         disk_free_limit.absolute = 5GB\n\
         queue_leader_locator = balanced\n\
         auth_backends.1 = internal\n\
         auth_mechanisms.1 = PLAIN\n\
         auth_mechanisms.2 = AMQPLAIN\n\
         password_hashing_module = rabbit_password_hashing_sha256\n\
         management.tcp.ip = 127.0.0.1\n\
         deprecated_features.permit.transient_nonexcl_queues = true\n",
        &[
            "amqp = [\"127.0.0.1:5672\",\"[::1]:5672\",\"0.0.0.0:5673\"]",
            "disk_free_limit = 5000000000",
            "memory_high_watermark = 2000000000",
            "frame_max = 262144",
            "channel_max = 65535",
            "heartbeat_seconds = 600",
            "handshake_timeout_seconds = 13",
            "consumers_per_channel_max = 1000",
        ],
        &[],
    );
}

#[test]
fn tls_for_clients_and_operators() {
    check(
        "listeners.tcp = none\n\
         listeners.ssl.default = 5671\n\
         ssl_options.cacertfile = /certs/ca_certificate.pem\n\
         ssl_options.certfile   = /certs/server_certificate.pem\n\
         ssl_options.keyfile    = /certs/server_key.pem\n\
         ssl_options.verify     = verify_peer\n\
         ssl_options.fail_if_no_peer_cert = true\n\
         ssl_options.depth = 2\n\
         ssl_options.versions.1 = tlsv1.3\n\
         ssl_options.versions.2 = tlsv1.1\n\
         ssl_options.honor_cipher_order = true\n\
         ssl_options.ciphers.1 = ECDHE-ECDSA-AES256-GCM-SHA384\n\
         ssl_cert_login_from = common_name\n\
         auth_mechanisms.1 = EXTERNAL\n\
         auth_mechanisms.2 = PLAIN\n\
         management.ssl.port = 15671\n\
         management.ssl.cacertfile = /certs/ca_certificate.pem\n\
         management.ssl.certfile = /certs/server_certificate.pem\n\
         management.ssl.keyfile = /certs/other_key.pem\n",
        &[
            "amqp = []",
            "amqps = [\"[::]:5671\"]",
            "tls_certificate_file = \"/certs/server_certificate.pem\"",
            "tls_key_file = \"/certs/server_key.pem\"",
            "tls_ca_file = \"/certs/ca_certificate.pem\"",
            "tls_versions = [\"tlsv1.3\"]",
            "tls_verify = \"peer\"",
            "tls_fail_if_no_peer_cert = true",
            "tls_cert_login_from = \"common_name\"",
            "http = \"none\"",
            "https = \"[::]:15671\"",
        ],
        &["ssl_options.ciphers.1", "management.ssl.keyfile", "ssl_options.versions.2"],
    );
}

#[test]
fn logging_of_every_kind() {
    check(
        "log.dir = /var/log/rabbitmq\n\
         log.file = rabbit.log\n\
         log.file.level = warning\n\
         log.file.formatter = json\n\
         log.file.rotation.date = $D0\n\
         log.file.rotation.size = 10485760\n\
         log.file.rotation.count = 5\n\
         log.console = false\n\
         log.default.level = notice\n\
         log.connection.level = debug\n\
         log.queue.level = critical\n\
         log.ra.level = debug\n\
         log.syslog = false\n",
        &[
            "log_level = \"info,leveret::server=debug,leveret::queue=error,leveret::broker=error\"",
            "log_console = \"none\"",
            "log_file = \"/var/log/rabbitmq/rabbit.log\"",
            "log_file_level = \"warn\"",
            "log_file_format = \"json\"",
            "log_file_size_max = 10485760",
            "log_file_rotation = \"$D0\"",
            "log_files_kept = 5",
        ],
        &["log.ra.level"],
    );
    check("log.console = false", &[], &["log.console"]);
    check("log.console.stdio = stderr\nlog.console = true", &[], &[]);
    check("log.console.formatter = json", &["log_format = \"json\""], &[]);
}

#[test]
fn values_of_the_environment_and_quotes() {
    let text = "default_user = $(SEED_USER)\ndefault_pass = 'a # in $(SEED_PASS)'\n";
    let loaded = read(text, &[("SEED_USER", "hare"), ("SEED_PASS", "grass")]).unwrap();
    assert_eq!(loaded.settings.default_user.as_str(), "hare");
    assert_eq!(loaded.settings.default_pass.as_str(), "a # in grass");
}

#[test]
fn unknown_and_wrong_keys_stop_the_start() {
    refuse(
        "\nheartbeat = 60\nhartbeat = 60",
        "3: unknown key \"hartbeat\"; did you mean \"heartbeat\"?",
    );
    refuse(
        "listeners.tpc.default = 5672",
        "1: unknown key \"listeners.tpc.default\"; did you mean \"listeners.tcp.default\"?",
    );
    refuse(
        "vm_memory_high_watermark = 0.4",
        "1: unknown key \"vm_memory_high_watermark\"; did you mean \
         \"vm_memory_high_watermark.relative\"?",
    );
    refuse("quite.another.thing = 1", "1: unknown key \"quite.another.thing\"");
    refuse("heartbeat = often", "1: heartbeat: \"often\" is not a whole number");
    refuse("heartbeat = -1", "1: heartbeat: -1 is outside 0 to 65535");
    refuse("heartbeat 60", "1: expected KEY = VALUE, found \"heartbeat 60\"");
    refuse("default_user =", "1: default_user has no value");
    refuse("default_user = $(NO)", "1: the environment variable NO is not set, which $(NO) names");
    refuse(
        "listeners.tcp.default = localhost:5672",
        "1: listeners.tcp.default: \"localhost:5672\" is neither a port nor IP:PORT, such as 5672",
    );
    refuse(
        "listeners.tcp = 5672",
        "1: listeners.tcp: is either none, or listeners.tcp.NAME with a port",
    );
    refuse(
        "loopback_users.guest = no",
        "1: loopback_users.guest: \"no\" is not one of true, false",
    );
    refuse(
        "vm_memory_high_watermark.relative = 1.5",
        "1: vm_memory_high_watermark.relative: 1.5 is not above 0 and at most 1",
    );
    refuse(
        "disk_free_limit.absolute = plenty",
        "1: disk_free_limit.absolute: \"plenty\" is not a number of bytes, such as 1073741824, 512MB \
         or 2GiB",
    );
    refuse(
        "log.file.rotation.date = sometimes",
        "1: log.file.rotation.date: \"sometimes\" is not one of hourly, daily, weekly, monthly, or like \
         $D0 (every day at 0 o'clock), $W1D3 (Mondays at 3) or $M1D0 (the first of the month)",
    );
}

#[test]
fn what_would_be_believed_to_work_is_refused() {
    for (line, expected) in [
        (
            "auth_backends.1 = ldap",
            "auth_backends.1: \"ldap\" is not supported: internal and oauth2 are",
        ),
        (
            "auth_mechanisms.1 = EXTERNAL",
            "auth_mechanisms.1: cannot leave out PLAIN: leveret would offer it anyway",
        ),
        (
            "default_users.qa.password = x",
            "default_users.qa.password: is not supported: make users, policies and limits of vhosts over HTTP",
        ),
        (
            "definitions.https.url = https://x",
            "definitions.https.url: is not supported: definitions are read from a file",
        ),
    ] {
        refuse(line, &format!("1: {expected}"));
    }
}

#[test]
fn tokens_are_set_up_as_in_rabbitmq() {
    check(
        "auth_backends.2 = rabbit_auth_backend_internal\n\
         auth_backends.1 = rabbit_auth_backend_oauth2\n\
         auth_oauth2.resource_server_id = rabbitmq\n\
         auth_oauth2.additional_scopes_key = roles realm_access.roles\n\
         auth_oauth2.preferred_username_claims.1 = name\n\
         auth_oauth2.scope_aliases.operator = rabbitmq.tag:administrator\n\
         auth_oauth2.scope_aliases.1.alias = reader\n\
         auth_oauth2.scope_aliases.1.scope = rabbitmq.read:*/* rabbitmq.tag:monitoring\n\
         auth_oauth2.signing_keys.id1 = /etc/one.pem\n\
         auth_oauth2.default_key = id1\n\
         auth_oauth2.jwks_uri = https://id.example/keys\n\
         auth_oauth2.https.peer_verification = verify_peer\n\
         auth_oauth2.https.depth = 5\n\
         auth_oauth2.algorithms.1 = RS256\n\
         auth_oauth2.verify_aud = false\n",
        &[
            "auth_backends = [\"oauth2\",\"internal\"]",
            "auth_oauth2_resource_server_id = \"rabbitmq\"",
            "auth_oauth2_additional_scopes_key = [\"roles\",\"realm_access.roles\"]",
            "auth_oauth2_preferred_username_claims = [\"name\"]",
            "auth_oauth2_scope_aliases = [\"operator=rabbitmq.tag:administrator\",\
             \"reader=rabbitmq.read:*/* rabbitmq.tag:monitoring\"]",
            "auth_oauth2_verify_aud = false",
            "auth_oauth2_algorithms = [\"RS256\"]",
            "auth_oauth2_default_key = \"id1\"",
            "auth_oauth2_signing_keys = [\"id1=/etc/one.pem\"]",
            "auth_oauth2_jwks_url = \"https://id.example/keys\"",
        ],
        &["auth_oauth2.https.depth"],
    );
    refuse(
        "auth_oauth2.scope_aliases.1.alias = a",
        "1: auth_oauth2.scope_aliases.1.alias: needs scope beside it, under the same number",
    );
    refuse(
        "auth_oauth2.oauth_providers.a.issuer = https://x",
        "1: auth_oauth2.oauth_providers.a.issuer: is not supported: there is one resource server and one provider",
    );
}

#[test]
fn api_metrics_and_defaults_are_ours() {
    check(
        "management.path_prefix = /rabbit/\n\
         management.cors.allow_origins.1 = https://a.example\n\
         management.cors.allow_origins.2 = https://b.example\n\
         management.cors.max_age = 3600\n\
         prometheus.tcp.ip = 127.0.0.1\n\
         prometheus.return_per_object_metrics = true\n\
         prometheus.path = /metrics\n\
         tcp_listen_options.send_timeout = 30000\n\
         vhost_max = 10\n\
         default_queue_type = quorum\n",
        &[
            "prometheus = \"127.0.0.1:15692\"",
            "prometheus_per_object = true",
            "http_path_prefix = \"/rabbit\"",
            "cors_allow_origins = [\"https://a.example\",\"https://b.example\"]",
            "cors_max_age_seconds = 3600",
            "send_timeout_seconds = 30",
            "vhosts_max = 10",
            "default_queue_type = \"quorum\"",
        ],
        &[],
    );
    // What is the default already.
    check(
        "management.path_prefix = /\nvhost_max = infinity\ndefault_queue_type = classic",
        &[],
        &[],
    );
    check("tcp_listen_options.send_timeout = infinity", &["send_timeout_seconds = 0"], &[]);
    refuse(
        "prometheus.authentication.enabled = true",
        "1: prometheus.authentication.enabled: is not supported: who has to log in gets /metrics at the HTTP API",
    );
}

#[test]
fn definitions_have_three_names() {
    for key in ["load_definitions", "definitions.local.path", "management.load_definitions"] {
        check(&format!("{key} = /etc/d.json"), &["load_definitions = \"/etc/d.json\""], &[]);
    }
    check(
        "definitions.import_backend = local_filesystem\ndefinitions.local.path = /etc/d\n\
         definitions.skip_if_unchanged = true",
        &["load_definitions = \"/etc/d\"", "definitions_skip_if_unchanged = true"],
        &[],
    );
    refuse(
        "definitions.import_backend = https",
        "1: definitions.import_backend: is not supported: definitions are read from a file or a directory",
    );
}

#[test]
fn proxy_protocol_is_for_all_listeners_of_amqp() {
    check("proxy_protocol = true", &["proxy_protocol = [\"[::]:5672\"]"], &[]);
    check("proxy_protocol = false", &[], &[]);
    check(
        "proxy_protocol = true\nlisteners.tcp.a = 1\nlisteners.tcp.b = 127.0.0.1:2",
        &["amqp = [\"[::]:1\",\"127.0.0.1:2\"]", "proxy_protocol = [\"[::]:1\",\"127.0.0.1:2\"]"],
        &[],
    );
}

#[test]
fn listeners_can_be_none() {
    let text = "listeners.tcp = none\n";
    let error = read(text, &[]).unwrap_err().to_string();
    assert_eq!(error, "amqp and amqps are both empty: no client could connect");
    let loaded = read("loopback_users = none", &[]).unwrap();
    assert!(loaded.settings.loopback_users.is_empty());
}

#[test]
fn files_of_conf_d_come_later_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    std::fs::write(at("rabbitmq.conf"), "heartbeat = 1\nframe_max = 4096\ninclude more/x-*")
        .unwrap();
    for (name, text) in [
        ("conf.d/20-b.conf", "heartbeat = 20"),
        ("conf.d/10-a.conf", "heartbeat = 10\nchannel_max = 10"),
        ("conf.d/30-c.conf.bak", "heartbeat = 30"),
        ("more/x-1", "frame_max = 8192"),
        ("more/y-1", "frame_max = 16384"),
    ] {
        std::fs::create_dir_all(at(name).parent().unwrap()).unwrap();
        std::fs::write(at(name), text).unwrap();
    }
    let loaded = load(&[], directory.path(), &[]).unwrap();
    let settings = &loaded.settings;
    assert_eq!(
        (settings.heartbeat_seconds, settings.channel_max, settings.frame_max),
        (20, 10, 8192)
    );
    let files = ["rabbitmq.conf", "conf.d/10-a.conf", "conf.d/20-b.conf", "more/x-1"].map(&at);
    assert_eq!(loaded.files, files);

    // A file that is named is the only one.
    let path = at("conf.d/10-a.conf").display().to_string();
    let loaded = load(&["--config", &path], directory.path(), &[]).unwrap();
    assert_eq!(loaded.settings.heartbeat_seconds, 10);
    let loaded = load(&["--config", "none"], directory.path(), &[]).unwrap();
    assert_eq!(loaded.settings, Settings::default());

    let elsewhere = at("more/main").display().to_string();
    std::fs::write(at("more/main.conf"), "heartbeat = 5\n").unwrap();
    let further = at("conf.d").display().to_string();
    let named = [("RABBITMQ_CONFIG_FILE", &*elsewhere), ("RABBITMQ_CONFIG_FILES", &*further)];
    let loaded = load(&[], Path::new("/no/such"), &named[..1]).unwrap();
    assert_eq!(loaded.settings.heartbeat_seconds, 5);
    let loaded = load(&[], Path::new("/no/such"), &named).unwrap();
    assert_eq!(loaded.settings.heartbeat_seconds, 20);
}

#[test]
fn files_that_include_each_other_are_refused() {
    refuse("include rabbitmq.conf", "1: files include each other too deeply");
}

#[test]
fn format_is_told_by_name_or_by_content() {
    let directory = tempfile::tempdir().unwrap();
    let named = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        let path = path.display().to_string();
        load(&["--config", &path], directory.path(), &[])
            .map(|loaded| loaded.settings.heartbeat_seconds)
            .map_err(|error| error.to_string())
    };
    assert_eq!(named("a.toml", "heartbeat_seconds = 7"), Ok(7));
    assert_eq!(named("a.conf", "heartbeat = 7"), Ok(7));
    assert_eq!(named("settings", "heartbeat_seconds = 7"), Ok(7));
    assert_eq!(named("other", "heartbeat = 7\nlisteners.tcp.default = 5672"), Ok(7));
    assert_eq!(named("third", "heartbeat = 7\ndefault_user = hare"), Ok(7));
    for (name, text) in [
        ("rabbitmq.config", "[{rabbit, [{heartbeat, 7}]}]."),
        ("b.conf", "%% -*- mode: erlang -*-\n[{rabbit, []}]."),
        ("c.conf", "[\n  {rabbit, []}\n]."),
    ] {
        let error = named(name, text).unwrap_err();
        assert!(error.contains(&format!("{name} is in Erlang's notation")), "{error}");
    }
}

#[test]
fn advanced_config_is_refused_unless_it_is_empty() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("advanced.config");
    for text in ["", "%% nothing\n[].\n", "[\n]."] {
        std::fs::write(&path, text).unwrap();
        assert!(load(&[], directory.path(), &[]).is_ok(), "{text}");
    }
    std::fs::write(&path, "[{rabbit, [{tcp_listeners, [5672]}]}].").unwrap();
    let error = load(&[], directory.path(), &[]).unwrap_err().to_string();
    assert!(error.contains("advanced.config is in Erlang's notation"), "{error}");
}

#[test]
fn every_key_of_rabbitmq_3_10_is_known() {
    let unknown: Vec<_> = KEYS_3_10
        .lines()
        .filter(|key| {
            let parts = key.split('.');
            let key: Vec<_> = parts
                .map(|part| if part.starts_with('$') { "1" } else { part }.to_owned())
                .collect();
            super::keys::find(&key).is_none()
        })
        .collect();
    assert_eq!(unknown, Vec::<&str>::new());
}

#[test]
fn every_key_is_reachable_and_becomes_one_of_ours() {
    for (pattern, meaning) in super::keys::all() {
        let key: Vec<_> = pattern
            .split('.')
            .map(|part| if part.contains('*') { "x" } else { part }.to_owned())
            .collect();
        let found = super::keys::find(&key).unwrap();
        assert_eq!(format!("{found:?}"), format!("{meaning:?}"), "{pattern} is hidden by another");
        if let super::Meaning::Ours(ours, _) | super::Meaning::Together(ours) = meaning {
            assert!(Settings::KEYS.contains(ours), "{pattern}: {ours}");
        }
    }
}

/// The document's table, which is made of the one that is acted on.
#[test]
fn document_says_what_becomes_of_every_key() {
    use super::Meaning::{Accepted, Checked, Idle, Only, Ours, Refused, Together};
    let document = include_str!("../../../docs/rabbitmq-conf.md");
    let rows = super::keys::all().iter().map(|(pattern, meaning)| {
        let here = match meaning {
            Ours(key, _) | Together(key) => format!("`{key}`"),
            Accepted => "accepted".to_owned(),
            Checked(sentence) => (*sentence).to_owned(),
            Only(words, sentence) => format!("`{}`; anything else {sentence}", words.join("`, `")),
            Idle(sentence) => format!("warning: {sentence}"),
            Refused(sentence) => format!("refused: {sentence}"),
        };
        format!("| `{pattern}` | {here} |")
    });
    let expected: Vec<_> = rows.collect();
    let found: Vec<_> = document.lines().filter(|line| line.starts_with("| `")).collect();
    if found != expected {
        panic!("the table of docs/rabbitmq-conf.md should be\n{}\n", expected.join("\n"));
    }
}
