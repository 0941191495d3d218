//! RabbitMQ's tools by their names: banners, columns, formats and exit codes are those that the real ones of
//! RabbitMQ 3.10 were seen to have.

use serde_json::json;

use crate::broker::{Broker, path};

/// Runs each line of words and compares all it wrote, and its exit code. `_` stands for a space.
#[track_caller]
fn check(broker: &Broker, rows: &[(&str, i32, &str, &str)]) {
    for (words, code, out, err) in rows {
        let words: Vec<String> =
            words.split_whitespace().map(|word| word.replace('_', " ").replace('%', "_")).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ran = broker.tool("rabbitmqctl", &words);
        assert_eq!((ran.code, &*ran.out, &*ran.err), (*code, *out, *err), "{words:?}");
    }
}

#[test]
fn users() {
    let broker = Broker::start();
    let done = "Adding user \"a\" ...\nDone. Don't forget to grant the user permissions to some virtual \
        hosts! See 'rabbitmqctl help set_permissions' to learn more.\n";
    let adding = "Adding user \"a\" ...\n";
    let nobody = "Error:\nUser \"nobody\" does not exist\n";
    check(
        &broker,
        &[
            ("add%user a b", 0, done, ""),
            ("add%user a b", 70, adding, "Error:\nUser \"a\" already exists\n"),
            ("-q list%users", 0, "user\ttags\na\t[]\nguest\t[administrator]\n", ""),
            (
                "set%user%tags a administrator management",
                0,
                "Setting tags for user \"a\" to [administrator, management] ...\n",
                "",
            ),
            ("set%user%tags nobody x", 67, "Setting tags for user \"nobody\" to [x] ...\n", nobody),
            (
                "list%users",
                0,
                "Listing users ...\nuser\ttags\na\t[administrator, management]\nguest\t[administrator]\n",
                "",
            ),
            (
                "list%users --formatter json",
                0,
                "[\n{\"user\":\"a\",\"tags\":[\"administrator\",\"management\"]}\n,{\"user\":\"guest\",\"tags\":[\"administrator\"]}\n]\n",
                "",
            ),
            (
                "list%users --formatter csv",
                0,
                "\"user\",\"tags\"\n\"a\",\"[administrator, management]\"\n\"guest\",\"[administrator]\"\n",
                "",
            ),
            ("set%user%tags a", 0, "Setting tags for user \"a\" to [] ...\n", ""),
            ("change%password a c", 0, "Changing password for user \"a\" ...\n", ""),
            ("change%password nobody c", 67, "Changing password for user \"nobody\" ...\n", nobody),
            ("authenticate%user a c", 0, "Authenticating user \"a\" ...\nSuccess\n", ""),
            (
                "authenticate%user a wrong",
                65,
                "Authenticating user \"a\" ...\n",
                "Error:\nError: failed to authenticate user \"a\"\nuser 'a' - invalid credentials\n",
            ),
            ("clear%password a", 0, "Clearing password for user \"a\" ...\n", ""),
            (
                "-q authenticate%user a c",
                65,
                "",
                "Error:\nError: failed to authenticate user \"a\"\nuser 'a' - invalid credentials\n",
            ),
            (
                "set%user%limits a {\"max-channels\":5}",
                0,
                "Setting user limits to \"{\"max-channels\":5}\" for user \"a\" ...\n",
                "",
            ),
            ("-q list%user%limits --user a", 0, "{\"max-channels\":5}\n", ""),
            ("-s list%user%limits --global", 0, "a\t{\"max-channels\":5}\n", ""),
            (
                "clear%user%limits a max-channels",
                0,
                "Clearing \"max-channels\" limit for user \"a\" ...\n",
                "",
            ),
            ("-q list%user%limits --user a", 0, "{}\n", ""),
            ("clear%user%limits a all", 0, "Clearing \"all\" limit for user \"a\" ...\n", ""),
            ("delete%user a", 0, "Deleting user \"a\" ...\n", ""),
            ("delete%user nobody", 67, "Deleting user \"nobody\" ...\n", nobody),
        ],
    );
    let hash = broker.rabbitmqctl("-q hash_password x").ok();
    assert_eq!(hash.trim().len(), 48);
    broker.tool("rabbitmqctl", &["-q", "add_user", "b", hash.trim(), "--pre-hashed-password"]).ok();
    assert_eq!(broker.rabbitmqctl("-q authenticate_user b x").ok(), "Success\n");
}

#[test]
fn permissions() {
    let broker = Broker::start();
    broker.rabbitmqctl("-q add_user a b").ok();
    broker.rabbitmqctl("-q add_vhost v1").ok();
    check(
        &broker,
        &[
            (
                "set%permissions -p v1 a .* ^x .*",
                0,
                "Setting permissions for user \"a\" in vhost \"v1\" ...\n",
                "",
            ),
            (
                "list%permissions -p v1 -q --no-table-headers",
                0,
                "a\t.*\t^x\t.*\nguest\t.*\t.*\t.*\n",
                "",
            ),
            (
                "list%user%permissions a",
                0,
                "Listing permissions for user \"a\" ...\nvhost\tconfigure\twrite\tread\nv1\t.*\t^x\t.*\n",
                "",
            ),
            (
                "list%user%permissions nobody",
                67,
                "Listing permissions for user \"nobody\" ...\n",
                "Error:\nUser \"nobody\" does not exist\n",
            ),
        ],
    );
    broker.rabbitmqctl("set_permissions -p v1 a ( .* .*").fails(69, "Error:\n");
    broker
        .rabbitmqctl("set_permissions -p nope a .* .* .*")
        .fails(69, "Virtual host nope does not exist");
    broker
        .rabbitmqctl("set_permissions -p v1 nobody .* .* .*")
        .fails(67, "User \"nobody\" does not exist");
    check(
        &broker,
        &[
            (
                "set%topic%permissions -p v1 a amq.topic ^w ^r",
                0,
                "Setting topic permissions on \"amq.topic\" for user \"a\" in vhost \"v1\" ...\n",
                "",
            ),
            (
                "-q list%topic%permissions -p v1",
                0,
                "user\texchange\twrite\tread\na\tamq.topic\t^w\t^r\n",
                "",
            ),
            ("-s list%user%topic%permissions a", 0, "v1\tamq.topic\t^w\t^r\n", ""),
            (
                "clear%topic%permissions -p v1 a",
                0,
                "Clearing topic permissions for user \"a\" in vhost \"v1\" ...\n",
                "",
            ),
            (
                "clear%permissions -p v1 a",
                0,
                "Clearing permissions for user \"a\" in vhost \"v1\" ...\n",
                "",
            ),
            ("-s list%user%permissions a", 0, "", ""),
        ],
    );
}

#[test]
fn vhosts_policies_and_parameters() {
    let broker = Broker::start();
    check(
        &broker,
        &[
            ("add%vhost v1 --description one_host --tags a,b", 0, "Adding vhost \"v1\" ...\n", ""),
            ("add%vhost v1", 0, "Adding vhost \"v1\" ...\n", ""),
            ("list%vhosts", 0, "Listing vhosts ...\nname\n/\nv1\n", ""),
            (
                "-s list%vhosts name tracing description tags",
                0,
                "/\tfalse\t\t[]\nv1\tfalse\tone host\t[a, b]\n",
                "",
            ),
            ("set%vhost%tags v1 c", 0, "Setting tags for vhost \"v1\" to [c] ...\n", ""),
            ("-q update%vhost%metadata v1 --description two", 0, "", ""),
            ("-s list%vhosts description,tags", 0, "\t[]\ntwo\t[c]\n", ""),
            (
                "set%vhost%limits -p v1 {\"max-connections\":5}",
                0,
                "Setting vhost limits to \"{\"max-connections\":5}\" for vhost \"v1\" ...\n",
                "",
            ),
            (
                "list%vhost%limits -p v1",
                0,
                "Listing limits for vhost \"v1\" ...\n{\"max-connections\":5}\n",
                "",
            ),
            ("clear%vhost%limits -p v1", 0, "Clearing vhost \"v1\" limits ...\n", ""),
            (
                "set%policy p1 ^q {\"max-length\":5} --priority 1 --apply-to queues",
                0,
                "Setting policy \"p1\" for pattern \"^q\" to \"{\"max-length\":5}\" with priority \"1\" for vhost \"/\" ...\n",
                "",
            ),
            (
                "list%policies",
                0,
                "Listing policies for vhost \"/\" ...\nvhost\tname\tpattern\tapply-to\tdefinition\tpriority\n/\tp1\t^q\tqueues\t{\"max-length\":5}\t1\n",
                "",
            ),
            ("clear%policy p1", 0, "Clearing policy \"p1\" on vhost \"/\" ...\n", ""),
            (
                "clear%policy p1",
                69,
                "Clearing policy \"p1\" on vhost \"/\" ...\n",
                "Error:\nParameter does not exist\n",
            ),
            ("-q set%operator%policy p1 ^q {\"max-length\":5}", 0, "", ""),
            ("-s list%operator%policies", 0, "/\tp1\t^q\tall\t{\"max-length\":5}\t0\n", ""),
            ("-q clear%operator%policy p1", 0, "", ""),
            ("-q list%parameters", 0, "", ""),
            ("-q set%parameter shovel s {\"a\":1}", 0, "", ""),
            ("-q list%parameters", 0, "component\tname\tvalue\nshovel\ts\t{\"a\":1}\n", ""),
            ("-q clear%parameter shovel s", 0, "", ""),
            ("-q set%global%parameter t \"text\"", 0, "", ""),
            ("-q set%global%parameter g {\"a\":1}", 0, "", ""),
            ("-q clear%global%parameter g", 0, "", ""),
            ("-q clear%global%parameter g", 69, "", "Error:\nParameter does not exist\n"),
            ("-q set%cluster%name warren", 0, "", ""),
            ("delete%vhost v1", 0, "Deleting vhost \"v1\" ...\n", ""),
            (
                "delete%vhost v1",
                65,
                "Deleting vhost \"v1\" ...\n",
                "Error:\nVirtual host 'v1' does not exist\n",
            ),
        ],
    );
    let globals = broker.rabbitmqctl("-q list_global_parameters").ok();
    assert!(globals.contains("\nt\t\"text\"\n"), "{globals}");
    broker.rabbitmqctl("set_policy p1 ^q {\"bogus\":5}").fails(69, "Validation failed");
    broker.rabbitmqctl("set_policy p1 ^q nojson").fails(69, "JSON decoding error");
    assert!(broker.rabbitmqctl("cluster_status").ok().contains("Cluster name: warren\n"));
}

#[test]
fn queues_exchanges_and_bindings() {
    let broker = Broker::start();
    broker.ctl("queues declare q1 -a x-max-length=10 -a x-overflow=reject-publish").ok();
    broker.ctl("exchanges publish amq.default -k q1 --body x").ok();
    let banner = "Timeout: 60.0 seconds ...\nListing queues for vhost / ...\n";
    let arguments = "[{\"x-max-length\",10},{\"x-overflow\",\"reject-publish\"}]";
    check(
        &broker,
        &[
            ("list%queues", 0, &format!("{banner}name\tmessages\nq1\t1\n"), ""),
            ("-q list%queues", 0, "name\tmessages\nq1\t1\n", ""),
            ("-s list%queues", 0, "q1\t1\n", ""),
            ("list%queues -s -n rabbit@here -t 30 -l --online --vhost /", 0, "q1\t1\n", ""),
            (
                "list%queues --no-table-headers name durable arguments policy",
                0,
                &format!("{banner}q1\ttrue\t{arguments}\t\n"),
                "",
            ),
            (
                "list%queues name policy --formatter json",
                0,
                "[\n{\"name\":\"q1\",\"policy\":\"\"}\n]\n",
                "",
            ),
            (
                "list%queues name policy --formatter=csv",
                0,
                "\"name\",\"policy\"\n\"q1\",\"\"\n",
                "",
            ),
            (
                "-q list%queues name --formatter pretty%table",
                0,
                "┌──────┐\n│ name │\n├──────┤\n│ q1   │\n└──────┘\n",
                "",
            ),
            ("list%queues bogus name", 64, "", "Error:\nInfo key(s) bogus are not supported\n"),
            (
                "list%bindings",
                0,
                "Listing bindings for vhost /...\nsource_name\tsource_kind\tdestination_name\tdestination_kind\trouting_key\targuments\n\texchange\tq1\tqueue\tq1\t[]\n",
                "",
            ),
            ("purge%queue q1", 0, "Purging queue 'q1' in vhost '/' ...\n", ""),
            (
                "purge%queue nope",
                69,
                "Purging queue 'nope' in vhost '/' ...\n",
                "Error:\nnot_found\n",
            ),
            (
                "delete%queue nope",
                64,
                "Deleting queue 'nope' on vhost '/' ...\n",
                "Error:\nQueue not found\n",
            ),
            (
                "delete%queue q1 --if-empty",
                0,
                "Deleting queue 'q1' on vhost '/' ...\nQueue was successfully deleted with 0 ready messages\n",
                "",
            ),
            ("-q list%queues", 0, "", ""),
            ("list%queues --formatter json", 0, "[\n]\n", ""),
        ],
    );
    let exchanges = broker.rabbitmqctl("list_exchanges name type internal").ok();
    assert!(exchanges.starts_with("Listing exchanges for vhost / ...\nname\ttype\tinternal\n"));
    assert!(exchanges.contains("\namq.rabbitmq.trace\ttopic\ttrue\n"), "{exchanges}");
}

#[test]
fn clients() {
    let broker = Broker::start();
    let uri = broker.server.url();
    let connection = broker.runtime.block_on(async {
        let connection = lapin::Connection::connect(&uri, Default::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.queue_declare("q".into(), Default::default(), Default::default()).await.unwrap();
        let consumer =
            channel.basic_consume("q".into(), "t".into(), Default::default(), Default::default());
        (consumer.await.unwrap(), channel, connection)
    });
    let list = broker.rabbitmqctl("-q list_connections user peer_host state").ok();
    assert_eq!(list, "user\tpeer_host\tstate\nguest\t127.0.0.1\trunning\n");
    let list = broker.rabbitmqctl("-q list_channels user consumer_count number confirm").ok();
    assert_eq!(list, "user\tconsumer_count\tnumber\tconfirm\nguest\t1\t1\tfalse\n");
    let list = broker.rabbitmqctl("list_consumers").ok();
    assert!(list.starts_with("Listing consumers in vhost / ...\nqueue_name\tchannel_pid\tconsumer_tag\tack_required\tprefetch_count\tactive\targuments\nq\t127.0.0.1:"), "{list}");
    assert!(list.ends_with(" (1)\tt\ttrue\t0\ttrue\t[]\n"), "{list}");

    broker.rabbitmqctl("close_connection nobody why").fails(69, "there is no connection 'nobody'");
    let closed = broker.rabbitmqctl("close_all_connections --limit 0 -q why").ok();
    assert_eq!(closed, "Closed 1 connections\n");
    let gone = broker.server.until("nobody", || broker.server.broker.connection_count() == 0);
    broker.runtime.block_on(gone);
    drop(connection);
    let closed = broker.rabbitmqctl("close_all_user_connections guest why -q").ok();
    assert_eq!(closed, "Closed 0 connections\n");
    let connection = lapin::Connection::connect(&uri, Default::default());
    let _connection = broker.runtime.block_on(connection).unwrap();
    let pid = broker.rabbitmqctl("-s list_connections pid").ok();
    broker.tool("rabbitmqctl", &["close_connection", pid.trim(), "why"]).ok();
    let gone = broker.server.until("nobody", || broker.server.broker.connection_count() == 0);
    broker.runtime.block_on(gone);
}

#[test]
fn definitions_and_features() {
    let broker = Broker::start();
    broker.ctl("queues declare kept").ok();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("d.json");
    let file = path(&file);
    let exported = broker.tool("rabbitmqctl", &["export_definitions", file]).ok();
    assert_eq!(exported, format!("Exporting definitions in JSON to a file at \"{file}\" ...\n"));
    assert_eq!(broker.rabbitmqctl("export_definitions -").json()["queues"][0]["name"], "kept");
    broker.ctl("queues delete kept").ok();
    broker.tool("rabbitmqctl", &["-q", "import_definitions", file]).ok();
    assert!(broker.server.queue("kept").is_some());
    broker.rabbitmqctl("import_definitions /nonexistent").fails(65, "cannot read /nonexistent");

    let flags = broker.rabbitmqctl("-q list_feature_flags").ok();
    assert!(flags.contains("\nquorum_queue\tenabled\n"), "{flags}");
    broker.rabbitmqctl("enable_feature_flag all").ok();
    broker.rabbitmqctl("enable_feature_flag quorum_queue").ok();
    broker.rabbitmqctl("enable_feature_flag nonsense").fails(69, "nonsense");
}

#[test]
fn status_and_versions() {
    let broker = Broker::start();
    let version = broker.rabbitmqctl("version").ok();
    assert_eq!(version, broker.tool("rabbitmq-diagnostics", &["-q", "server_version"]).ok());
    assert!(version.starts_with("3."));
    let status = broker.rabbitmqctl("status").ok();
    assert!(status.starts_with("Status of node rabbit ...\nRuntime\n\nOS PID: "), "{status}");
    for line in ["Uptime (seconds): 3600", "Alarms\n\n(none)", "Virtual host count: 1"] {
        assert!(status.contains(&format!("{line}\n")), "no {line:?}: {status}");
    }
    let json = broker.rabbitmqctl("status --formatter json").json();
    assert_eq!((&json["uptime"], &json["alarms"]), (&json!(3600), &json!([])));
    assert_eq!(json["totals"]["virtual_host_count"], 1);
    let cluster = broker.rabbitmqctl("cluster_status --formatter json").json();
    assert_eq!(cluster["disk_nodes"].as_array().unwrap().len(), 1);
    let report = broker.rabbitmqctl("report").ok();
    assert!(
        report.contains(
            "\nPermissions:\nvhost\tuser\tconfigure\twrite\tread\n/\tguest\t.*\t.*\t.*\n"
        )
    );

    let diagnostics = |words: &[&str]| broker.tool("rabbitmq-diagnostics", words);
    let listeners = diagnostics(&["listeners", "-q"]).ok();
    let port = broker.server.address.port();
    let line = format!("Interface: 127.0.0.1, port: {port}, protocol: amqp, purpose: AMQP 0-9-1\n");
    assert!(listeners.starts_with(&line), "{listeners}");
    assert!(diagnostics(&["alarms", "-q"]).ok().contains("reported no alarms"));
    let memory = diagnostics(&["memory_breakdown", "--unit", "mb", "-q"]).ok();
    assert!(memory.contains(" mb (") && memory.contains("binary: 0 mb (0%)\n"), "{memory}");
    let json = diagnostics(&["memory_breakdown", "--formatter", "json"]).json();
    assert!(json["other_system"]["bytes"].is_u64(), "{json}");
    diagnostics(&["memory_breakdown", "--unit", "stone"]).fails(64, "unit 'stone'");

    broker.ctl("queues declare qq --type quorum").ok();
    broker.ctl("exchanges publish amq.default -k qq --body hi").ok();
    let queues = |words: &[&str]| broker.tool("rabbitmq-queues", words);
    assert!(queues(&["quorum_status", "qq"]).ok().contains("leader\tvoter\n"));
    assert!(queues(&["peek", "qq", "1"]).ok().contains("\npayload\thi\n"));
    queues(&["peek", "qq", "2"]).fails(69, "no message at that position");
    queues(&["peek", "qq", "0"]).fails(64, "from 1 to 500");
    assert!(queues(&["rebalance", "all"]).ok().contains("one node"));
    broker.ctl("queues declare c").ok();
    queues(&["quorum_status", "c"]).fails(69, "no quorum queue");
}

#[test]
fn checks() {
    let broker = Broker::start();
    let diagnostics = |words: &[&str]| broker.tool("rabbitmq-diagnostics", words);
    let port = broker.server.address.port().to_string();
    for (words, said) in [
        (&["ping"][..], "Ping succeeded"),
        (&["check_running"], "RabbitMQ on node rabbit is fully booted and running"),
        (&["is_running"], "RabbitMQ on node rabbit is fully booted and running"),
        (&["is_booting"], "is fully booted (check with is_running)"),
        (&["check_alarms"], "Node rabbit reported no alarms, local or clusterwide"),
        (&["check_local_alarms"], "Node rabbit reported no local alarms"),
        (&["check_port_connectivity"], "Successfully connected to ports "),
        (&["check_port_listener", &port], "is running on node rabbit."),
        (
            &["check_protocol_listener", "amqp"],
            "A listener for protocol amqp is running on node rabbit.",
        ),
        (&["check_virtual_hosts"], "Node rabbit reported all vhosts as running"),
        (&["check_if_node_is_quorum_critical"], "the check does not apply"),
        (&["check_if_node_is_mirror_sync_critical"], "the check does not apply"),
        (
            &["check_certificate_expiration", "--within", "1", "--unit", "months"],
            "No certificates are expiring within 1 months.",
        ),
        (&["node_health_check"], "Health check passed"),
    ] {
        let out = diagnostics(words).ok();
        let line = out.lines().last().unwrap_or_default();
        assert!(line.contains(said), "{words:?}: {out}");
        assert_eq!(diagnostics(&[words, &["-q"]].concat()).ok().lines().count(), 1, "{words:?}");
    }
    assert_eq!(broker.rabbitmqctl("await_startup").ok(), "");
    assert_eq!(broker.rabbitmqctl("wait /run/rabbitmq.pid").ok(), "");
    assert_eq!(broker.rabbitmqctl("-q await_online_nodes 1").ok(), "1 node is online\n");
    broker.rabbitmqctl("await_online_nodes 3").fails(69, "only one node");

    diagnostics(&["check_port_listener", "1"]).fails(
        69,
        "No listener for port 1 is active on node rabbit. Found listeners that use the following ports: ",
    );
    diagnostics(&["check_protocol_listener", "mqtt"])
        .fails(69, "No listener for protocol mqtt is active on node rabbit.");
    broker.server.broker.alarms.set(leveret::broker::Resource::Disk, true);
    diagnostics(&["check_alarms"]).fails(69, "disk space alarm on node ");
    diagnostics(&["node_health_check"]).fails(69, "There are alarms in effect");
    assert!(diagnostics(&["alarms", "-q"]).ok().ends_with("reported alarms: disk\n"));
}

#[test]
fn what_cannot_be_had_says_so() {
    let broker = Broker::start();
    for words in [
        "eval 1+1.",
        "join_cluster rabbit@other --ram",
        "stop_app",
        "start_app",
        "stop",
        "reset",
        "set_log_level debug",
        "set_vm_memory_high_watermark 0.4",
        "set_disk_free_limit 1GB",
        "environment",
        "trace_on",
        "log_tail",
        "forget_cluster_node rabbit@other --offline",
    ] {
        let command = words.split(' ').next().unwrap();
        broker.rabbitmqctl(words).fails(69, &format!("'{command}' is not supported: "));
    }
    for words in ["sync_queue q", "rotate_logs", "force_gc", "trace_off", "restart_vhost"] {
        broker.rabbitmqctl(words).ok();
    }
}

#[test]
fn plugins_are_built_in_or_not_there() {
    let broker = Broker::start();
    let plugins = |words: &[&str]| broker.tool("rabbitmq-plugins", words);
    let enabled = plugins(&["enable", "--offline", "rabbitmq_management", "rabbitmq_prometheus"]);
    assert_eq!(
        enabled.ok(),
        "rabbitmq_management is built in and always enabled\nrabbitmq_prometheus is built in and always enabled\n"
    );
    plugins(&["enable", "rabbitmq_management,rabbitmq_mqtt"])
        .fails(70, "leveret has nothing like rabbitmq_mqtt");
    plugins(&["enable"]).fails(64, "name a plugin");
    plugins(&["is_enabled", "rabbitmq_prometheus"]).ok();
    plugins(&["is_enabled", "rabbitmq_mqtt"]).fails(69, "nothing like");
    assert!(plugins(&["disable", "rabbitmq_shovel"]).ok().contains("not there"));
    assert!(plugins(&["list"]).ok().contains("rabbitmq_management\tbuilt in\n"));
    assert_eq!(plugins(&["list", "-m", "-s", "prometheus"]).ok(), "rabbitmq_prometheus\n");
}

#[test]
fn mistakes_have_exit_code_64() {
    let broker = Broker::start();
    broker
        .rabbitmqctl("lst_queues")
        .fails(64, "\nCommand 'lst_queues' not found. \nDid you mean 'list_queues'? \n");
    broker.rabbitmqctl("add_user").fails(64, "<username>");
    broker.rabbitmqctl("add_user a b c").fails(64, "'c'");
    broker.rabbitmqctl("list_users --bogus").fails(64, "--bogus");
    broker.rabbitmqctl("list_queues --formatter bogus").fails(64, "bogus");
    broker.rabbitmqctl("list_queues --formatter erlang").fails(64, "there is no Erlang here");
    broker.rabbitmqctl("").fails(64, "Usage: rabbitmqctl");
    // What belongs to one tool is not known to the others.
    broker.tool("rabbitmq-plugins", &["list_queues"]).fails(64, "not found");
    broker.tool("rabbitmq-diagnostics", &["add_user", "a", "b"]).fails(64, "not found");
    assert!(broker.rabbitmqctl("--help").ok().contains("set_operator_policy"));
}

#[test]
fn old_words_work_behind_ctl_and_are_not_shown_there() {
    let broker = Broker::start();
    broker.ctl("queues declare q").ok();
    assert_eq!(broker.ctl("list_queues -q").ok(), "name\tmessages\nq\t0\n");
    assert_eq!(
        broker.ctl("check_alarms -q").ok(),
        "Node rabbit reported no alarms, local or clusterwide\n"
    );
    assert!(!broker.ctl("--help").ok().contains("list_queues"));
    // These mean what they mean here.
    assert!(broker.ctl("status").ok().starts_with("node "));
}
