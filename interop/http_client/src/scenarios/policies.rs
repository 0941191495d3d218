//! Policies and operator policies, and what they come to.

use rabbitmq_http_client::commons::PolicyTarget;
use rabbitmq_http_client::requests::{PolicyDefinitionBuilder, PolicyParams};
use serde_json::json;

use crate::scene::{Scene, not_found, until};

pub fn policies(scene: &Scene) {
    let (api, vhost) = (&scene.api, scene.vhost.as_str());
    api.declare_classic_queue(vhost, "tasks").unwrap();
    let long = PolicyDefinitionBuilder::new().message_ttl(60_000).max_length(100);
    let long = long
        .overflow_reject_publish()
        .dead_letter_exchange("dead")
        .dead_letter_routing_key("k")
        .build();
    let long =
        PolicyParams::new(vhost, "long", "^tasks", long).apply_to(PolicyTarget::Queues).priority(3);
    let other =
        PolicyDefinitionBuilder::new().custom("alternate-exchange", json!("amq.fanout")).build();
    let other =
        PolicyParams::new(vhost, "other", "^tasks", other).apply_to(PolicyTarget::Exchanges);
    api.declare_policies(vec![&long, &other]).unwrap();

    let found = api.get_policy(vhost, "long").unwrap();
    assert_eq!(
        (found.priority, found.apply_to, found.pattern.as_str()),
        (3, PolicyTarget::Queues, "^tasks")
    );
    assert_eq!(found.definition.0.as_ref(), Some(&long.definition));
    for policies in [api.list_policies(), api.list_policies_in(vhost)] {
        assert_eq!(policies.unwrap().iter().filter(|it| it.vhost == vhost).count(), 2);
    }
    assert_eq!(
        api.list_policies_for_target(vhost, PolicyTarget::Exchanges).unwrap()[0].name,
        "other"
    );
    assert_eq!(
        api.list_matching_policies(vhost, "tasks", PolicyTarget::ClassicQueues).unwrap()[0].name,
        "long"
    );
    until("the queue follows the policy", || {
        let queue = api.get_queue_info(vhost, "tasks").unwrap();
        let effective = queue.effective_policy_definition.and_then(|it| it.0).unwrap_or_default();
        (queue.policy.as_deref() == Some("long")
            && effective.get("max-length") == Some(&json!(100)))
        .then_some(())
    });

    api.delete_policy(vhost, "long", false).unwrap();
    not_found(api.delete_policy(vhost, "long", false));
    not_found(api.get_policy(vhost, "long"));
    api.delete_policies_in(vhost, vec!["long", "other"]).unwrap();
    assert!(api.list_policies_in(vhost).unwrap().is_empty());
}

/// Policies for queues of one type.
pub fn policies_of_a_type(scene: &Scene) {
    scene.not_on_rabbitmq_3("has policies for all types of queues only");
    let (api, vhost) = (&scene.api, scene.vhost.as_str());
    api.declare_classic_queue(vhost, "tasks").unwrap();
    api.declare_quorum_queue(vhost, "tasks.safe").unwrap();
    let limit = PolicyDefinitionBuilder::new().delivery_limit(5).build();
    let limit =
        PolicyParams::new(vhost, "limit", "^tasks", limit).apply_to(PolicyTarget::QuorumQueues);
    api.declare_policy(&limit).unwrap();
    let policy_of =
        |queue| api.get_queue_info(vhost, queue).unwrap().policy.filter(|it| !it.is_empty());
    until("the quorum queue follows it", || {
        (policy_of("tasks.safe").as_deref() == Some("limit")).then_some(())
    });
    assert_eq!(policy_of("tasks"), None);
    assert!(api.list_policies_for_target(vhost, PolicyTarget::ClassicQueues).unwrap().is_empty());
}

pub fn operator_policies(scene: &Scene) {
    let (api, vhost) = (&scene.api, scene.vhost.as_str());
    let short = PolicyDefinitionBuilder::new().max_length(10).build();
    let short = PolicyParams::new(vhost, "short", ".*", short).apply_to(PolicyTarget::Queues);
    api.declare_operator_policy(&short).unwrap();
    api.declare_operator_policies(vec![&short]).unwrap();
    assert_eq!(
        api.get_operator_policy(vhost, "short").unwrap().definition.0.as_ref(),
        Some(&short.definition)
    );
    for policies in [api.list_operator_policies(), api.list_operator_policies_in(vhost)] {
        assert!(policies.unwrap().iter().any(|it| it.vhost == vhost && it.name == "short"));
    }
    let target = PolicyTarget::Queues;
    assert_eq!(api.list_operator_policies_for_target(vhost, target).unwrap().len(), 1);
    assert_eq!(api.list_matching_operator_policies(vhost, "x", target).unwrap().len(), 1);
    api.delete_operator_policy(vhost, "short", false).unwrap();
    not_found(api.delete_operator_policy(vhost, "short", false));
    api.delete_operator_policies_in(vhost, vec!["short"]).unwrap();
    assert!(api.list_operator_policies_in(vhost).unwrap().is_empty());
}
