//! Definitions are exported, read, and imported again, whole and of one vhost.

use rabbitmq_http_client::commons::{ExchangeType, PolicyTarget};
use rabbitmq_http_client::requests::{
    ExchangeParams, PolicyDefinitionBuilder, PolicyParams, VirtualHostParams,
};
use serde_json::Value;

use crate::scene::Scene;

fn declare(scene: &Scene) {
    let (api, vhost) = (&scene.api, scene.vhost.as_str());
    let durable = ExchangeParams::durable("events", ExchangeType::Topic, None);
    api.declare_exchange(vhost, &durable).unwrap();
    api.declare_classic_queue(vhost, "tasks").unwrap();
    api.declare_quorum_queue(vhost, "orders").unwrap();
    let arguments = serde_json::json!({"shard": 1}).as_object().cloned();
    api.bind_queue(vhost, "tasks", "events", Some("a.*"), arguments).unwrap();
    let short = PolicyDefinitionBuilder::new().max_length(10).build();
    let policy = PolicyParams::new(vhost, "short", "^tasks$", short);
    api.declare_policy(&policy.apply_to(PolicyTarget::Queues).priority(7)).unwrap();
}

pub fn definitions_of_all(scene: &Scene) {
    declare(scene);
    let (user, _) = scene.new_user("monitoring");
    let api = &scene.api;
    let before = api.export_cluster_wide_definitions_as_data().unwrap();
    assert!(before.find_queue(&scene.vhost, "orders").is_some());
    assert!(before.find_exchange(&scene.vhost, "events").is_some());
    let policy = before.find_policy(&scene.vhost, "short").unwrap();
    assert_eq!((policy.priority, before.queues_matching(policy).len()), (7, 1));
    let text = api.export_cluster_wide_definitions().unwrap();

    api.delete_vhost(&scene.vhost, false).unwrap();
    api.delete_user(&user, false).unwrap();
    let mut document: Value = serde_json::from_str(&text).unwrap();
    // Of others only what is not theirs to lose: another scenario may have begun meanwhile.
    let ours = |it: &Value| {
        it["vhost"] == *scene.vhost || it["name"] == *scene.vhost || it["name"] == *user
    };
    for (_, items) in document.as_object_mut().unwrap() {
        if let Some(items) = items.as_array_mut() {
            items.retain(ours);
        }
    }
    api.import_definitions(document).unwrap();
    let after = api.export_cluster_wide_definitions_as_data().unwrap();
    let changes = before.diff(&after);
    assert!(!changes.has_changes(), "{changes:?}");
    assert_eq!(scene.login(&user, "secret").current_user().unwrap().name, user);
}

pub fn definitions_of_a_vhost(scene: &Scene) {
    declare(scene);
    let api = &scene.api;
    let set = api.export_vhost_definitions_as_data(&scene.vhost).unwrap();
    let counts = (set.queues.len(), set.exchanges.len(), set.bindings.len(), set.policies.len());
    assert_eq!(counts, (2, 1, 1, 1));
    let document = api.export_vhost_definitions(&scene.vhost).unwrap();

    let other = scene.vhost_name();
    api.create_vhost(&VirtualHostParams::named(&other)).unwrap();
    api.import_vhost_definitions(&other, serde_json::from_str(&document).unwrap()).unwrap();
    assert_eq!(api.get_queue_info(&other, "orders").unwrap().queue_type, "quorum");
    let bindings = api.list_exchange_bindings_with_source(&other, "events").unwrap();
    assert_eq!((bindings.len(), bindings[0].routing_key.as_str()), (1, "a.*"));
    assert_eq!(api.get_policy(&other, "short").unwrap().priority, 7);
}
