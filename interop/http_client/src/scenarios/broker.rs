//! What there is to know about the broker and its node.

use rabbitmq_http_client::commons::SupportedProtocol;
use rabbitmq_http_client::responses::ReachabilityProbeOutcome;
use serde_json::json;

use crate::amqp::Amqp;
use crate::scene::{Scene, not_found, until};

pub fn overview(scene: &Scene) {
    let overview = scene.api.overview().unwrap();
    assert_eq!(overview.rabbitmq_version, scene.api.server_version().unwrap());
    assert!(!overview.cluster_name.is_empty() && !overview.node.is_empty());
    assert!(!overview.product_version.is_empty());
    assert!(overview.object_totals.exchanges >= 7);
    let port = u32::from(scene.uri.port().unwrap_or(5672));
    let listener = overview.listeners.iter().find(|listener| listener.port == port).unwrap();
    assert_eq!((listener.protocol.as_str(), listener.has_tls_enabled()), ("amqp", false));

    let me = scene.api.current_user().unwrap();
    assert_eq!(me.name, scene.uri.username());
    assert!(me.tags.is_administrator());
    let ReachabilityProbeOutcome::Reached(reached) = scene.api.probe_reachability() else {
        panic!("it was not reached");
    };
    assert_eq!(reached.current_user.name, me.name);
}

pub fn nodes(scene: &Scene) {
    scene.not_on_rabbitmq_3("does not tell whether a node is drained");
    let name = scene.node();
    let nodes = scene.api.list_nodes().unwrap();
    assert!(nodes.iter().any(|node| node.name == name));
    let node = scene.api.get_node_info(&name).unwrap();
    assert!(node.processors > 0 && node.os_pid > 0 && node.fd_total > 0 && node.uptime > 0);
    assert!(node.memory_high_watermark > 0 && node.free_disk_space_low_watermark > 0);
    assert!(!node.has_memory_alarm_in_effect && !node.has_free_disk_space_alarm_in_effect);
    assert!(!node.being_drained);
    assert_eq!(node.rates_mode, "basic");
    assert!(node.applications.iter().any(|application| application.name == "rabbit"));
    let plugins = scene.api.list_node_plugins(&name).unwrap();
    assert_eq!(plugins, scene.api.list_all_cluster_plugins().unwrap());
    assert!(plugins.contains("rabbitmq_management"));
    not_found(scene.api.get_node_info("rabbit@nowhere"));
}

pub fn node_memory(scene: &Scene) {
    scene.not_on_rabbitmq_3("has other parts of memory");
    let memory = scene.api.get_node_memory_footprint(&scene.node()).unwrap();
    let parts = memory.breakdown.unwrap();
    assert!(parts.total.rss > 0 && parts.code > 0 && !parts.calculation_strategy.is_empty());
}

pub fn cluster_name_and_tags(scene: &Scene) {
    let before = scene.api.get_cluster_name().unwrap();
    scene.api.set_cluster_name("interop").unwrap();
    let meanwhile = scene.api.get_cluster_name().unwrap();
    scene.api.set_cluster_name(&before.name).unwrap();
    assert_eq!(meanwhile.name, "interop");

    let tags = json!({"environment": "test"});
    scene.api.set_cluster_tags(tags.as_object().unwrap().clone()).unwrap();
    let found = scene.api.get_cluster_tags().unwrap();
    scene.api.clear_cluster_tags().unwrap();
    assert_eq!(found.0.get("environment"), Some(&json!("test")));
    not_found(scene.api.get_cluster_tags());
}

pub fn auth_attempts(scene: &Scene) {
    let node = scene.node();
    let http = || {
        let attempts = scene.api.auth_attempts_statistics(&node).unwrap();
        attempts.into_iter().find(|it| it.protocol == SupportedProtocol::HTTP)
    };
    let before = http().map_or((0, 0), |it| (it.success_count, it.failure_count));
    let stranger = scene.login(scene.uri.username(), "wrong");
    assert!(stranger.current_user().is_err());
    until("attempts are counted", || {
        let now = http()?;
        assert_eq!(now.all_attempt_count, now.success_count + now.failure_count);
        (now.success_count > before.0 && now.failure_count > before.1).then_some(())
    });
}

/// The overview tells how quickly messages pass and connections come.
pub fn rates(scene: &Scene) {
    scene.api.declare_classic_queue(&scene.vhost, "tasks").unwrap();
    let amqp = Amqp::connect(scene, scene.uri.username(), scene.uri.password().unwrap_or_default());
    until("messages are counted", || {
        amqp.publish("tasks", "x");
        let overview = scene.api.overview().unwrap();
        let counted = |rate: Option<rabbitmq_http_client::responses::Rate>| {
            rate.is_some_and(|it| it.rate > 0.0)
        };
        (counted(overview.message_stats.publishing_details)
            && counted(overview.message_stats.publisher_confirmation_details)
            && overview.queue_totals.messages > 0
            && overview.queue_totals.messages_ready_for_delivery_details.rate != 0.0
            && overview.churn_rates.connection_created > 0
            && overview.churn_rates.channel_created > 0
            && overview.churn_rates.queue_created > 0
            && overview.object_totals.connections > 0)
            .then_some(())
    });
}
