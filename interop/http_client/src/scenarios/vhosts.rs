//! Virtual hosts: what they are called, their limits, and how not to lose them.

use rabbitmq_http_client::commons::{PaginationParams, QueueType, VirtualHostLimitTarget};
use rabbitmq_http_client::requests::{EnforcedLimitParams, QueueParams, VirtualHostParams};

use crate::scene::{Scene, not_found, refused};

pub fn vhosts(scene: &Scene) {
    let (api, name) = (&scene.api, scene.vhost_name());
    let params =
        VirtualHostParams::named(&name).with_description("first").with_tags(vec!["a", "b"]);
    api.create_vhost(&params).unwrap();
    let found = api.get_vhost(&name).unwrap();
    assert_eq!(
        (found.description.as_deref(), found.tags.unwrap().0),
        (Some("first"), vec!["a".into(), "b".into()])
    );

    let params = VirtualHostParams::named(&name).with_description("second");
    api.update_vhost(&params).unwrap();
    assert_eq!(api.get_vhost(&name).unwrap().description.as_deref(), Some("second"));
    let page = PaginationParams::first_page(500);
    for vhosts in [api.list_vhosts(), api.list_vhosts_paged(&page)] {
        assert!(vhosts.unwrap().iter().any(|it| it.name == name));
    }
    api.delete_vhost(&name, false).unwrap();
    api.delete_vhost(&name, true).unwrap();
    not_found(api.delete_vhost(&name, false));
    not_found(api.get_vhost(&name));
}

/// What a queue is whose declaration does not say it.
pub fn default_queue_type(scene: &Scene) {
    scene.not_on_rabbitmq_3("does not always tell the default type of a virtual host's queues");
    let (api, name) = (&scene.api, scene.vhost_name());
    let params = VirtualHostParams::named(&name).with_default_queue_type(QueueType::Quorum);
    api.create_vhost(&params).unwrap();
    assert_eq!(api.get_vhost(&name).unwrap().default_queue_type.as_deref(), Some("quorum"));
    let mut queue = QueueParams::new_quorum_queue("tasks", None);
    queue.arguments = None;
    api.declare_queue(&name, &queue).unwrap();
    assert_eq!(api.get_queue_info(&name, "tasks").unwrap().queue_type, "quorum");
}

pub fn vhost_limits(scene: &Scene) {
    let (api, vhost) = (&scene.api, scene.vhost.as_str());
    api.set_vhost_limit(vhost, EnforcedLimitParams::new(VirtualHostLimitTarget::MaxQueues, 1))
        .unwrap();
    api.set_vhost_limit(vhost, EnforcedLimitParams::new(VirtualHostLimitTarget::MaxConnections, 5))
        .unwrap();
    let limits = &api.list_vhost_limits(vhost).unwrap()[0];
    assert_eq!(limits.limits.get("max-queues").and_then(|it| it.as_i64()), Some(1));
    assert!(
        api.list_all_vhost_limits()
            .unwrap()
            .iter()
            .any(|it| it.vhost == vhost && it.limits.0.len() == 2)
    );
    api.declare_classic_queue(vhost, "one").unwrap();
    refused(api.declare_classic_queue(vhost, "two"), 400, "queue limit");

    api.clear_vhost_limit(vhost, VirtualHostLimitTarget::MaxQueues).unwrap();
    api.clear_vhost_limit(vhost, VirtualHostLimitTarget::MaxConnections).unwrap();
    api.declare_classic_queue(vhost, "two").unwrap();
    assert!(api.list_vhost_limits(vhost).unwrap().iter().all(|it| it.limits.0.is_empty()));
}

pub fn vhost_deletion_protection(scene: &Scene) {
    scene.not_on_rabbitmq_3("does not protect vhosts");
    let (api, name) = (&scene.api, scene.vhost_name());
    api.create_vhost(&VirtualHostParams::named(&name)).unwrap();
    api.enable_vhost_deletion_protection(&name).unwrap();
    let found = api.get_vhost(&name).unwrap();
    assert_eq!(found.metadata.unwrap().protected_from_deletion, Some(true));
    refused(api.delete_vhost(&name, false), 412, "precondition_failed");
    api.disable_vhost_deletion_protection(&name).unwrap();
    api.delete_vhost(&name, false).unwrap();
}
