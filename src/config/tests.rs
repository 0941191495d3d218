use std::collections::HashMap;
use std::path::Path;

use super::*;
use crate::names::UserName;

const DOCUMENT: &str = include_str!("../../docs/configuration.md");

fn with(args: &[&str], variables: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    let variables: HashMap<_, _> = variables.iter().copied().collect();
    let args = std::iter::once("leveret").chain(args.iter().copied());
    let command = command(args.map(OsString::from))?;
    let env = |name: &str| variables.get(name).map(|&value| value.to_owned());
    Ok(command.load(env)?.settings)
}

fn with_file(text: &str) -> Result<Settings, ConfigError> {
    let mut settings = Settings::default();
    settings.apply(file::parse(Path::new("leveret.toml"), text)?)?;
    settings.check()?;
    Ok(settings)
}

fn addresses(list: &[&str]) -> Vec<std::net::SocketAddr> {
    list.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn defaults_are_those_of_the_document() {
    let settings = with(&[], &[]).unwrap();
    assert_eq!(settings, Settings::default());
    assert_eq!(settings.amqp, addresses(&["127.0.0.1:5672"]));

    // The document's table, read as a file, changes nothing.
    let mut keys = 0;
    for row in table_rows() {
        let [key, _, _, default, _] = row.as_slice() else {
            panic!("five columns: {row:?}");
        };
        keys += 1;
        if default != "none" {
            let line = format!("{} = {}", key.trim_matches('`'), default.trim_matches('`'));
            assert_eq!(with_file(&line).expect(&line), Settings::default(), "{line}");
        }
    }
    assert_eq!(keys, Settings::KEYS.len());
}

#[test]
fn document_names_every_key_and_its_variable() {
    let rows = table_rows();
    for key in field_names() {
        let row = rows
            .iter()
            .find(|row| row[0] == format!("`{key}`"))
            .unwrap_or_else(|| panic!("{key} is missing from docs/configuration.md"));
        assert_eq!(row[2], format!("`LEVERET_{}`", key.to_uppercase()));
    }
}

#[test]
fn every_flag_has_a_key_of_its_name() {
    let rows = table_rows();
    for flag in flags::names().filter(|flag| flag != "config") {
        let key = format!("`{}`", flag.replace('-', "_"));
        let row = rows.iter().find(|row| row[0] == key).expect(&flag);
        assert!(row[1].starts_with(&format!("`--{flag}`")), "{row:?}");
    }
}

#[test]
fn every_field_is_a_key_in_the_same_order() {
    assert_eq!(field_names(), Settings::KEYS);
}

#[test]
fn example_of_the_document_sets_every_key() {
    let (_, rest) = DOCUMENT.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let settings = with_file(example).unwrap();
    assert_eq!(settings.amqp, addresses(&["0.0.0.0:5672", "[::]:5672"]));
    assert_eq!(settings.message_size_max, 16 << 20);
    assert_eq!(settings.connections_max, Some(20_000));
    for key in Settings::KEYS {
        let line = format!("\n{key} = ");
        assert!(example.contains(&line), "{key} is missing from the example");
    }
}

#[test]
fn later_source_wins() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("leveret.toml");
    std::fs::write(&path, "data_dir = 'file'\nchannel_max = 10\nhttp = '[::1]:1'").unwrap();
    let path = path.to_str().unwrap();

    let settings = with(
        &["serve", "--data-dir", "flag"],
        &[
            ("LEVERET_CONFIG", path),
            ("LEVERET_DATA_DIR", "variable"),
            ("LEVERET_CHANNEL_MAX", "20"),
        ],
    )
    .unwrap();
    assert_eq!(settings.data_dir, PathBuf::from("flag"));
    assert_eq!(settings.channel_max, 20);
    assert_eq!(settings.http, Some("[::1]:1".parse().unwrap()));

    let settings = with(&["--config", path], &[("LEVERET_CONFIG", "/nowhere")]).unwrap();
    assert_eq!(settings.channel_max, 10);
}

#[test]
fn flags_work_with_and_without_the_command() {
    let flags = ["--amqp=127.0.0.1:0", "--amqp=[::1]:0", "--http=none", "--log-format=json"];
    for command in [None, Some("serve")] {
        let args: Vec<_> = command.into_iter().chain(flags).collect();
        let settings = with(&args, &[]).unwrap();
        assert_eq!(settings.amqp, addresses(&["127.0.0.1:0", "[::1]:0"]));
        assert_eq!(settings.http, None);
        assert_eq!(settings.log_format, LogFormat::Json);
    }
}

#[test]
fn variables_hold_lists_sizes_and_none() {
    let settings = with(
        &[],
        &[
            ("LEVERET_AMQP", "127.0.0.1:1, 127.0.0.1:2"),
            ("LEVERET_LOOPBACK_USERS", "none"),
            ("LEVERET_OUTBOX_BYTES_HIGH", "64 KiB"),
            ("LEVERET_QUEUE_MEMORY", "16 KiB"),
            ("LEVERET_MESSAGE_SIZE_MAX", "1MB"),
            ("LEVERET_CONNECTIONS_MAX", "7"),
            ("LEVERET_CONSUMERS_PER_CHANNEL_MAX", "none"),
            ("LEVERET_HTTP", ""),
            ("LEVERET_HTTPS", "none"),
            ("LEVERET_TLS_VERSIONS", "tlsv1.3"),
            ("LEVERET_TLS_CA_FILE", "ca.pem"),
            ("LEVERET_TLS_VERIFY", "verify_peer"),
            ("LEVERET_TLS_FAIL_IF_NO_PEER_CERT", "true"),
        ],
    )
    .unwrap();
    assert_eq!(settings.amqp, addresses(&["127.0.0.1:1", "127.0.0.1:2"]));
    assert_eq!(settings.loopback_users, Vec::<UserName>::new());
    assert_eq!(settings.outbox_bytes_high, 65_536);
    assert_eq!(settings.queue_memory, 16_384);
    assert_eq!(settings.message_size_max, 1_000_000);
    assert_eq!(settings.connections_max, Some(7));
    assert_eq!(settings.consumers_per_channel_max, None);
    assert_eq!(settings.http, Settings::default().http);
    assert_eq!((settings.https, settings.tls_versions), (None, vec![TlsVersion::Tls13]));
    assert!(settings.tls_verify == Verify::Peer && settings.tls_fail_if_no_peer_cert);
}

#[test]
fn memory_high_watermark_is_a_fraction_or_bytes() {
    for (value, expected) in [
        ("0.4", Some(Watermark::Fraction(0.4))),
        ("1", Some(Watermark::Fraction(1.0))),
        ("1.0", Some(Watermark::Fraction(1.0))),
        ("2 GiB", Some(Watermark::Bytes(2 << 30))),
        ("1048576", Some(Watermark::Bytes(1 << 20))),
        ("512M", Some(Watermark::Bytes(512 << 20))),
        ("40%", Some(Watermark::Fraction(0.4))),
        ("none", None),
    ] {
        let settings = with(&[], &[("LEVERET_MEMORY_HIGH_WATERMARK", value)]).unwrap();
        assert_eq!(settings.memory_high_watermark, expected, "{value}");
        let quoted = format!("memory_high_watermark = '{value}'");
        assert_eq!(with_file(&quoted).unwrap().memory_high_watermark, expected, "{quoted}");
        if value.parse::<f64>().is_ok() {
            let plain = format!("memory_high_watermark = {value}");
            assert_eq!(with_file(&plain).unwrap().memory_high_watermark, expected, "{plain}");
        }
    }
}

#[test]
fn rabbitmq_variables_are_read_below_our_own() {
    let settings = with(
        &[],
        &[
            ("RABBITMQ_DEFAULT_USER", "rabbit"),
            ("RABBITMQ_DEFAULT_PASS", "carrot"),
            ("RABBITMQ_DEFAULT_VHOST", "warren"),
            ("LEVERET_DEFAULT_USER", "hare"),
        ],
    )
    .unwrap();
    assert_eq!(settings.default_user.as_str(), "hare");
    assert_eq!(settings.default_pass.as_str(), "carrot");
    assert_eq!(settings.default_vhost.as_str(), "warren");
}

#[test]
fn variables_of_rabbitmq_and_its_images_are_read() {
    let settings = with(
        &[],
        &[
            ("RABBITMQ_NODE_PORT", "5673"),
            ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1"),
            ("RABBITMQ_VM_MEMORY_HIGH_WATERMARK", "40%"),
            ("RABBITMQ_MNESIA_BASE", "/var/lib/rabbitmq/mnesia"),
            ("RABBITMQ_SSL_CERTFILE", "/cert.pem"),
            ("RABBITMQ_LOGS", "-"),
            ("RABBITMQ_LOG", "warning,+color"),
            ("RABBITMQ_ERLANG_COOKIE", "secret"),
            ("RABBITMQ_USE_LONGNAME", "true"),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", "/etc/rabbitmq/enabled_plugins"),
        ],
    )
    .unwrap();
    assert_eq!(settings.amqp, addresses(&["127.0.0.1:5673"]));
    assert_eq!(settings.memory_high_watermark, Some(Watermark::Fraction(0.4)));
    assert_eq!(settings.data_dir, PathBuf::from("/var/lib/rabbitmq/mnesia"));
    assert_eq!(settings.tls_certificate_file, Some("/cert.pem".into()));
    assert_eq!((settings.log_console, &*settings.log_level), (LogConsole::Stdout, "warn"));

    let settings = with(&[], &[("RABBITMQ_NODE_PORT", "5673")]).unwrap();
    assert_eq!(settings.amqp, addresses(&["[::]:5673"]));
    let settings = with(&["--amqp", "[::1]:1"], &[("RABBITMQ_NODE_PORT", "5673")]).unwrap();
    assert_eq!(settings.amqp, addresses(&["[::1]:1"]));
    for (name, value, expected) in [
        ("RABBITMQ_NODE_PORT", "x", "RABBITMQ_NODE_PORT: \"x\" is not a port, 1 to 65535"),
        (
            "RABBITMQ_NODE_IP_ADDRESS",
            "eth0",
            "RABBITMQ_NODE_IP_ADDRESS: \"eth0\" is not the address of an interface",
        ),
        (
            "RABBITMQ_LOG",
            "loud",
            "RABBITMQ_LOG: \"loud\" is not one of debug, info, notice, warning, error, critical, alert, \
             emergency, none",
        ),
    ] {
        assert_eq!(with(&[], &[(name, value)]).unwrap_err().to_string(), expected);
    }
}

#[test]
fn variables_that_do_nothing_are_warned_of() {
    let command = command(["leveret".into()].into_iter()).unwrap();
    let env = |name: &str| (name == "RABBITMQ_NODENAME").then(|| "rabbit@host".to_owned());
    let loaded = command.load(env).unwrap();
    let expected = ["RABBITMQ_NODENAME has no effect: leveret names its node after the host"];
    assert_eq!(loaded.warnings, expected);
}

/// What is printed can be put into a file.
#[test]
fn report_is_a_file_with_the_same_settings_and_says_where_they_are_from() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("leveret.toml");
    let (_, rest) = DOCUMENT.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    std::fs::write(&path, example).unwrap();
    let args = ["leveret", "--http", "none", "--config", path.to_str().unwrap()];
    let command = command(args.map(OsString::from).into_iter()).unwrap();
    let env = |name: &str| (name == "LEVERET_CHANNEL_MAX").then(|| "7".to_owned());
    let loaded = command.load(env).unwrap();

    let report = loaded.report();
    let mut read = with_file(&report).unwrap();
    read.default_pass = loaded.settings.default_pass.clone();
    assert_eq!(read, loaded.settings);
    assert!(!report.contains("change me"), "{report}");
    let line =
        |key: &str| report.lines().find(|line| line.starts_with(&format!("{key} ="))).unwrap();
    assert!(line("http").ends_with("# --http"), "{report}");
    assert!(line("channel_max").ends_with("# LEVERET_CHANNEL_MAX"), "{report}");
    let place = format!("# {}:2", path.display());
    assert!(line("amqp").ends_with(&place), "{report}");

    let defaults = Loaded { settings: Settings::default(), ..loaded };
    let defaults = Loaded { origins: BTreeMap::new(), ..defaults };
    let mut read = with_file(&defaults.report()).unwrap();
    read.default_pass = Secret::from("guest");
    assert_eq!(read, Settings::default());
    assert!(defaults.report().lines().all(|line| {
        line.ends_with("# default") || line.starts_with("# ") && line.ends_with(" is not set")
    }));
}

#[test]
fn secrets_are_read_from_files_without_their_last_line_break() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    std::fs::write(&path, " s3cret\r\n").unwrap();
    let path = path.to_str().unwrap();

    for variable in ["RABBITMQ_DEFAULT_PASS_FILE", "LEVERET_DEFAULT_PASS_FILE"] {
        let settings = with(&[], &[(variable, path)]).unwrap();
        assert_eq!(settings.default_pass.as_str(), " s3cret");
    }

    let both = [("LEVERET_DEFAULT_PASS", "x"), ("LEVERET_DEFAULT_PASS_FILE", path)];
    let error = with(&[], &both).unwrap_err().to_string();
    assert_eq!(error, "LEVERET_DEFAULT_PASS and LEVERET_DEFAULT_PASS_FILE are both set: keep one");
    let error = with(&[], &[("RABBITMQ_DEFAULT_USER_FILE", "/no/such/file")]).unwrap_err();
    assert!(error.to_string().starts_with("cannot read /no/such/file: "));
}

#[test]
fn wrong_file_is_refused_with_line_and_remedy() {
    for (text, expected) in [
        (
            "channel_max = 5\n\nframe_mx = 8192",
            "leveret.toml:3: unknown key \"frame_mx\"; did you mean \"frame_max\"?",
        ),
        ("\n[mqtt]\nport = 1", "leveret.toml:2: unknown key \"mqtt\""),
        ("# é\nframe_max = 12", "leveret.toml:2: frame_max: 12 is outside 4096 to 16777216"),
        ("channel_max = 0", "leveret.toml:1: channel_max: 0 is outside 1 to 65535"),
        ("heartbeat_seconds = -1", "leveret.toml:1: heartbeat_seconds: -1 is outside 0 to 65535"),
        (
            "message_size_max = '513 MiB'",
            "leveret.toml:1: message_size_max: 537919488 is outside 1 to 536870912",
        ),
        (
            "message_size_max = '9000000000000 GiB'",
            "leveret.toml:1: message_size_max: \"9000000000000 GiB\" is not a number of bytes, \
             such as 131072, \"128 KiB\" or \"1 MB\"",
        ),
        (
            "amqp = ['localhost:5672']",
            "leveret.toml:1: amqp: \"localhost:5672\" is not ADDR:PORT, such as 127.0.0.1:5672 or \
             [::]:5672",
        ),
        ("amqp = 5672", "leveret.toml:1: amqp: expected a list, found a number"),
        ("[http]\nport = 1", "leveret.toml:1: http: expected text, found a section"),
        (
            "worker_threads = true",
            "leveret.toml:1: worker_threads: expected a whole number, found true or false",
        ),
        ("default_pass = ''", "leveret.toml:1: default_pass: must not be empty"),
        (
            "disk_free_limit = -1",
            "leveret.toml:1: disk_free_limit: -1 is outside 0 to 1152921504606846976",
        ),
        (
            "memory_high_watermark = 1.5",
            "leveret.toml:1: memory_high_watermark: 1.5 is not above 0 and at most 1",
        ),
        (
            "memory_high_watermark = 0",
            "leveret.toml:1: memory_high_watermark: 0 is not above 0 and at most 1",
        ),
        (
            "memory_high_watermark = 2",
            "leveret.toml:1: memory_high_watermark: 2 is outside 1048576 to 1152921504606846976",
        ),
        (
            "memory_high_watermark = 'half'",
            "leveret.toml:1: memory_high_watermark: \"half\" is not a number of bytes, such as \
             131072, \"128 KiB\" or \"1 MB\"",
        ),
        (
            "channel_max = 1.5",
            "leveret.toml:1: channel_max: expected a whole number, found a number with a fraction",
        ),
        ("log_format = 'xml'", "leveret.toml:1: log_format: \"xml\" is not one of text, json"),
        (
            "log_level = 'info,=='",
            "leveret.toml:1: log_level: \"info,==\" is neither a level (error, warn, info, debug, \
             trace) nor a list such as info,leveret::session=debug",
        ),
        ("tls_versions = []", "leveret.toml:1: tls_versions: must not be empty"),
        (
            "tls_versions = ['tlsv1.1']",
            "leveret.toml:1: tls_versions: \"tlsv1.1\" is not one of tlsv1.2, tlsv1.3",
        ),
        (
            "tls_fail_if_no_peer_cert = 1",
            "leveret.toml:1: tls_fail_if_no_peer_cert: expected true or false, found a number",
        ),
        ("http = 'x'\nhttp = 'y'", "leveret.toml:2: duplicate key"),
    ] {
        assert_eq!(with_file(text).unwrap_err().to_string(), expected, "{text}");
    }
}

#[test]
fn broken_toml_is_refused_in_one_line() {
    for text in ["channel_max = ", "channel_max 5", "= 5", "amqp = [", "\"\n\"", "a = \"\\q\""] {
        let error = with_file(text).unwrap_err().to_string();
        assert!(error.starts_with("leveret.toml:"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn name_longer_than_a_short_string_is_refused() {
    let name = "n".repeat(255);
    assert!(with(&[], &[("LEVERET_DEFAULT_USER", &name)]).is_ok());
    let name = "n".repeat(256);
    let error = with(&[], &[("LEVERET_DEFAULT_USER", &name)]).unwrap_err();
    assert_eq!(error.to_string(), "LEVERET_DEFAULT_USER: 256 bytes is too long, the most is 255");
}

#[test]
fn settings_that_do_not_fit_together_are_refused() {
    for (text, expected) in [
        ("amqp = []", "amqp and amqps are both empty: no client could connect"),
        (
            "amqps = ['[::]:5671']\ntls_key_file = 'key'",
            "amqps needs tls_certificate_file, which is not set",
        ),
        (
            "amqps = ['[::]:5671']\ntls_certificate_file = 'certificate'",
            "amqps needs tls_key_file, which is not set",
        ),
        ("https = '[::]:15671'", "https needs tls_certificate_file, which is not set"),
        ("tls_verify = 'peer'", "tls_verify = \"peer\" needs tls_ca_file, which is not set"),
        ("https_verify = 'peer'", "https_verify = \"peer\" needs tls_ca_file, which is not set"),
        ("tls_fail_if_no_peer_cert = true", "tls_fail_if_no_peer_cert needs tls_verify = \"peer\""),
        (
            "proxy_protocol = ['127.0.0.1:5673']",
            "proxy_protocol names 127.0.0.1:5673, where nothing listens",
        ),
        ("http = '127.0.0.1:5672'", "127.0.0.1:5672 is given twice: to amqp and to http"),
    ] {
        assert_eq!(with_file(text).unwrap_err().to_string(), expected, "{text}");
    }
    assert!(with_file("proxy_protocol = ['127.0.0.1:5672', '127.0.0.1:15672']").is_ok());
    assert!(with_file("amqp = ['[::1]:0', '[::1]:0']\nhttp = '[::1]:0'").is_ok());
}

#[test]
fn tokens_need_a_name_and_keys() {
    let oauth2 = "auth_backends = ['oauth2']\n";
    let id = "auth_oauth2_resource_server_id = 'rabbit'\n";
    let keys = "auth_oauth2_issuer = 'https://id'\n";
    for (text, expected) in [
        (format!("{oauth2}{id}{keys}"), None),
        (format!("{id}{keys}"), None),
        (oauth2.to_owned(), Some("auth_oauth2_resource_server_id")),
        (format!("{oauth2}{keys}"), Some("auth_oauth2_resource_server_id")),
        (format!("{oauth2}{id}"), Some("needs keys")),
        ("auth_backends = []".to_owned(), Some("nobody could log in")),
        ("auth_backends = ['ldap']".to_owned(), Some("\"ldap\" is not one of internal, oauth2")),
        ("auth_oauth2_issuer = 'id'".to_owned(), Some("does not begin with https://")),
        ("auth_oauth2_jwks_url = 'ftp://id'".to_owned(), Some("does not begin with https://")),
        ("auth_oauth2_signing_keys = ['key.pem']".to_owned(), Some("is not NAME=VALUE")),
        ("auth_oauth2_signing_keys = ['=key.pem']".to_owned(), Some("is not NAME=VALUE")),
        ("auth_oauth2_algorithms = ['none']".to_owned(), None),
        ("auth_oauth2_algorithms = ['ES512']".to_owned(), Some("is not one of HS256")),
        ("auth_oauth2_verify_aud = 'no'".to_owned(), Some("is not one of true, false")),
        ("auth_oauth2_audience = 'x'".to_owned(), Some("unknown key")),
    ] {
        match (with_file(&text), expected) {
            (Ok(_), None) => {}
            (Err(error), Some(expected)) => {
                let line = error.to_string();
                assert!(line.contains(expected) && !line.contains('\n'), "{line}");
            }
            (found, expected) => panic!("{text}: {found:?}, not {expected:?}"),
        }
    }
}

#[test]
fn lists_of_pairs_come_from_files_and_variables() {
    let pairs = |settings: &Settings| {
        let OAuth2 { scope_aliases, signing_keys, verify_aud, .. } = &settings.auth_oauth2;
        (scope_aliases.clone(), signing_keys.clone(), *verify_aud)
    };
    let file = with_file(
        "auth_oauth2_scope_aliases = ['dev = tag:management  read:*/*', 'ops=tag:administrator']\n\
         auth_oauth2_signing_keys = ['a=/x/a=1.pem']\nauth_oauth2_verify_aud = false",
    );
    let variables = with(
        &[],
        &[
            (
                "LEVERET_AUTH_OAUTH2_SCOPE_ALIASES",
                "dev=tag:management read:*/*,ops=tag:administrator",
            ),
            ("LEVERET_AUTH_OAUTH2_SIGNING_KEYS", "a=/x/a=1.pem"),
            ("LEVERET_AUTH_OAUTH2_VERIFY_AUD", "false"),
        ],
    );
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let expected = (
        vec![
            ("dev".to_owned(), words("tag:management read:*/*")),
            ("ops".to_owned(), words("tag:administrator")),
        ],
        vec![("a".to_owned(), "/x/a=1.pem".into())],
        false,
    );
    assert_eq!(pairs(&file.unwrap()), expected);
    assert_eq!(pairs(&variables.unwrap()), expected);
    let none = with_file("auth_oauth2_scope_prefix = 'none'").unwrap();
    assert_eq!(none.auth_oauth2.scope_prefix, Some(String::new()));
}

#[test]
fn wrong_command_line_is_refused_in_one_line() {
    for (args, expected) in [
        (&["--log-format", "xml"][..], "--log-format: \"xml\" is not one of text, json"),
        (
            &["--amqqp", "x"],
            "command line: unexpected argument '--amqqp' found; tip: a similar argument exists: \
             '--amqp'",
        ),
        (
            &["sreve"],
            "command line: unrecognized subcommand 'sreve'; tip: a similar subcommand exists: 'serve'",
        ),
        (
            &["--http", "x", "--http", "y"],
            "command line: the argument '--http <ADDR:PORT>' cannot be used multiple times",
        ),
    ] {
        assert_eq!(with(args, &[]).unwrap_err().to_string(), expected);
    }
    let error = with(&["--config", "/no/such/file"], &[]).unwrap_err();
    assert!(error.to_string().starts_with("cannot read /no/such/file: "));
}

#[test]
fn changed_settings_are_named() {
    let defaults = Settings::default();
    assert!(defaults.changed(&defaults.clone()).is_empty());
    let changed =
        with_file("tls_ca_file = 'ca.pem'\nchannel_max = 2047\ndefault_pass = 'x'").unwrap();
    assert_eq!(defaults.changed(&changed), ["tls_ca_file", "default_pass"]);
}

#[test]
fn help_and_version_are_not_failures() {
    for args in [&["--help"][..], &["serve", "--help"], &["--version"]] {
        match with(args, &[]) {
            Err(ConfigError::Help(text)) => assert!(text.contains("leveret"), "{text}"),
            other => panic!("{args:?}: {other:?}"),
        }
    }
}

#[test]
fn password_is_hidden_from_debug_output_and_errors() {
    let settings = with(&[], &[("LEVERET_DEFAULT_PASS", "s3cret")]).unwrap();
    assert!(!format!("{settings:?}").contains("s3cret"));
    let error = with_file("default_pass = ['s3cret']").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"));
}

/// The fields of the struct, as its derived `Debug` spells them.
fn field_names() -> Vec<String> {
    let (settings, oauth2) = (Settings::default(), Settings::default().auth_oauth2);
    let mut names = fields(&format!("{settings:#?}"));
    let at = names.iter().position(|name| name == "auth_oauth2").unwrap();
    let inner = fields(&format!("{oauth2:#?}"));
    names.splice(at..=at, inner.iter().map(|name| format!("auth_oauth2_{name}")));
    names
}

fn fields(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| !line.starts_with([' ', ')', ']', '}']))
        .filter_map(|line| Some(line.split_once(':')?.0.to_owned()))
        .collect()
}

/// The rows of the table of keys, each with its cells.
fn table_rows() -> Vec<Vec<String>> {
    DOCUMENT
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells = line.trim_matches('|').split('|');
            cells.map(|cell| cell.trim().to_owned()).collect()
        })
        .collect()
}
