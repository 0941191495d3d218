//! Parameters, and what is kept in them.

use rabbitmq_http_client::requests::shovels::{
    Amqp091ShovelDestinationParams, Amqp091ShovelSourceParams,
};
use rabbitmq_http_client::requests::{
    Amqp091ShovelParams, FEDERATION_UPSTREAM_COMPONENT, FederationUpstreamParams,
    GlobalRuntimeParameterDefinition, QueueFederationParams, RuntimeParameterDefinition,
    SHOVEL_COMPONENT,
};
use serde_json::json;

use crate::scene::{Scene, name, not_found};

const ELSEWHERE: &str = "amqp://127.0.0.1:1";

pub fn global_parameters(scene: &Scene) {
    let (api, name) = (&scene.api, name("parameter"));
    let value = json!({"a": [1, true, null]}).as_object().unwrap().clone();
    let definition = GlobalRuntimeParameterDefinition { name: &name, value: value.clone() };
    api.upsert_global_runtime_parameter(&definition).unwrap();
    let found = api.get_global_runtime_parameter(&name);
    let listed = api.list_global_runtime_parameters();
    api.clear_global_runtime_parameter(&name).unwrap();
    assert_eq!(found.unwrap().value.0, json!(value));
    assert!(listed.unwrap().iter().any(|it| it.name == name));
    not_found(api.get_global_runtime_parameter(&name));
}

pub fn runtime_parameters(scene: &Scene) {
    scene.needs_plugin("rabbitmq_federation_management", scene.api.list_federation_links());
    let (api, vhost, component) = (&scene.api, scene.vhost.as_str(), FEDERATION_UPSTREAM_COMPONENT);
    let value = json!({"uri": ELSEWHERE}).as_object().unwrap().clone();
    let definition = RuntimeParameterDefinition { name: "north", vhost, component, value };
    api.upsert_runtime_parameter(&definition).unwrap();
    let found = api.get_runtime_parameter(component, vhost, "north").unwrap();
    assert_eq!(
        (found.component.as_str(), found.value.0.get("uri")),
        (component, Some(&json!(ELSEWHERE)))
    );
    for parameters in [
        api.list_runtime_parameters(),
        api.list_runtime_parameters_of_component(component),
        api.list_runtime_parameters_of_component_in(component, vhost),
    ] {
        assert!(parameters.unwrap().iter().any(|it| it.name == "north" && it.vhost == vhost));
    }
    api.clear_runtime_parameter(component, vhost, "north", false).unwrap();
    api.clear_runtime_parameter(component, vhost, "north", true).unwrap();
    not_found(api.clear_runtime_parameter(component, vhost, "north", false));
    not_found(api.get_runtime_parameter(component, vhost, "north"));
}

/// leveret keeps upstreams and does not act on them, so there are no links.
pub fn federation(scene: &Scene) {
    scene.needs_plugin("rabbitmq_federation_management", scene.api.list_federation_links());
    let (api, vhost) = (&scene.api, scene.vhost.as_str());
    let queue = QueueFederationParams::new("tasks");
    let upstream =
        FederationUpstreamParams::new_queue_federation_upstream(vhost, "north", ELSEWHERE, queue);
    api.declare_federation_upstream(upstream).unwrap();
    let found = api.get_federation_upstream(vhost, "north").unwrap();
    assert_eq!((found.uri.as_str(), found.queue.as_deref()), (ELSEWHERE, Some("tasks")));
    assert!(api.list_federation_upstreams().unwrap().iter().any(|it| it.vhost == vhost));
    assert!(api.list_federation_links().unwrap().iter().all(|it| it.vhost != vhost));
    api.delete_federation_upstream(vhost, "north", false).unwrap();
    not_found(api.get_federation_upstream(vhost, "north"));
}

/// The same with shovels.
pub fn shovels(scene: &Scene) {
    scene.needs_plugin("rabbitmq_shovel_management", scene.api.list_shovels());
    let (api, vhost) = (&scene.api, scene.vhost.as_str());
    let shovel = Amqp091ShovelParams {
        name: "move",
        vhost,
        acknowledgement_mode: Default::default(),
        reconnect_delay: Some(5),
        source: Amqp091ShovelSourceParams::queue_source(ELSEWHERE, "from"),
        destination: Amqp091ShovelDestinationParams::queue_destination(ELSEWHERE, "to"),
    };
    api.declare_amqp091_shovel(shovel).unwrap();
    let kept = api.get_runtime_parameter(SHOVEL_COMPONENT, vhost, "move").unwrap();
    assert_eq!(kept.value.0.get("src-queue"), Some(&json!("from")));
    for shovels in [api.list_shovels(), api.list_shovels_in(vhost)] {
        assert!(
            shovels
                .unwrap()
                .iter()
                .all(|it| it.name != "move" || it.vhost.as_deref() == Some(vhost))
        );
    }
    // RabbitMQ lets go of a shovel only where it runs.
    api.clear_runtime_parameter(SHOVEL_COMPONENT, vhost, "move", false).unwrap();
    api.delete_shovel(vhost, "move", true).unwrap();
    not_found(api.delete_shovel(vhost, "move", false));
}
