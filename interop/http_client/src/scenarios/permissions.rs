//! Permissions for names and for topics.

use rabbitmq_http_client::requests::{Permissions, TopicPermissions};

use crate::scene::{Scene, not_found};

pub fn permissions(scene: &Scene) {
    let (user, _) = scene.new_user("management");
    let (api, vhost) = (&scene.api, scene.vhost.as_str());
    let rights = Permissions { user: &user, vhost, configure: "^a", read: "^b", write: "^c" };
    api.declare_permissions(&rights).unwrap();
    let found = api.get_permissions(vhost, &user).unwrap();
    let rights = |it: &rabbitmq_http_client::responses::Permissions| {
        [it.configure.clone(), it.read.clone(), it.write.clone()]
    };
    assert_eq!(rights(&found), ["^a", "^b", "^c"]);
    assert_eq!(api.list_permissions_of(&user).unwrap(), [found.clone()]);
    for permissions in [api.list_permissions(), api.list_permissions_in(vhost)] {
        assert!(permissions.unwrap().contains(&found));
    }
    api.grant_permissions(&Permissions::read_only(&user, vhost)).unwrap();
    assert_eq!(rights(&api.get_permissions(vhost, &user).unwrap())[1], ".*");
    api.grant_full_permissions(&user, vhost).unwrap();
    assert_eq!(rights(&api.get_permissions(vhost, &user).unwrap()), [".*", ".*", ".*"]);

    api.clear_permissions(vhost, &user, false).unwrap();
    api.clear_permissions(vhost, &user, true).unwrap();
    not_found(api.clear_permissions(vhost, &user, false));
    not_found(api.get_permissions(vhost, &user));
    assert!(api.list_users_without_permissions().unwrap().iter().any(|it| it.name == user));
}

pub fn topic_permissions(scene: &Scene) {
    let (user, _) = scene.new_user("");
    let (api, vhost) = (&scene.api, scene.vhost.as_str());
    let rights =
        TopicPermissions { user: &user, vhost, exchange: "amq.topic", read: "^r", write: "^w" };
    api.declare_topic_permissions(&rights).unwrap();
    let found = api.get_topic_permissions_of(vhost, &user).unwrap();
    assert_eq!([found.exchange.as_str(), &found.read, &found.write], ["amq.topic", "^r", "^w"]);
    for permissions in [
        api.list_topic_permissions(),
        api.list_topic_permissions_in(vhost),
        api.list_topic_permissions_of(&user),
    ] {
        assert!(permissions.unwrap().iter().any(|it| it.user == user && it.vhost == vhost));
    }
    api.clear_topic_permissions(vhost, &user, false).unwrap();
    assert!(api.get_topic_permissions_of(vhost, &user).is_err());
}
