//! Users: hashes that the client makes, lists, limits, and what is refused.

use rabbitmq_http_client::commons::{PaginationParams, UserLimitTarget};
use rabbitmq_http_client::password_hashing::{HashingAlgorithm, salt};
use rabbitmq_http_client::requests::{EnforcedLimitParams, UserParams};

use crate::scene::{Scene, not_found, refused, until};

/// A user is made from a hash, and the password opens the door.
pub fn password_hashes(scene: &Scene) {
    let user = scene.user_name();
    let hash = HashingAlgorithm::SHA256.salt_and_hash(&salt(), "sécret").unwrap();
    scene.api.create_user(&UserParams::monitoring(&user, &hash)).unwrap();
    let found = scene.api.get_user(&user).unwrap();
    assert_eq!(found.password_hash.map(|it| it.as_str().to_owned()), Some(hash));
    assert_eq!(scene.login(&user, "sécret").current_user().unwrap().tags.0, ["monitoring"]);
    refused(scene.login(&user, "secret").current_user(), 401, "not_authorized");
}

/// The client does not say what it has hashed with. RabbitMQ takes such a user, and refuses the login unless it hashes
/// all passwords so.
pub fn sha512_password_hash(scene: &Scene) {
    scene.not_on_rabbitmq(
        "lets nobody in with a hash whose algorithm is not said to be another than its own",
    );
    let user = scene.user_name();
    let hash = HashingAlgorithm::SHA512.salt_and_hash(&salt(), "secret").unwrap();
    scene.api.create_user(&UserParams::management(&user, &hash)).unwrap();
    assert_eq!(scene.login(&user, "secret").current_user().unwrap().name, user);
}

pub fn user_lists(scene: &Scene) {
    let (user, _) = scene.new_user("administrator, custom");
    let found = scene.api.get_user(&user).unwrap();
    assert_eq!(found.tags.0, ["administrator", "custom"]);
    let listed = || scene.api.list_users().unwrap().iter().any(|it| it.name == user);
    assert!(listed());
    assert!(scene.api.list_users_without_permissions().unwrap().iter().all(|it| it.name != user));
    scene.api.delete_user(&user, false).unwrap();
    scene.api.delete_user(&user, true).unwrap();
    not_found(scene.api.delete_user(&user, false));
    not_found(scene.api.get_user(&user));

    let several = [scene.new_user("").0, scene.new_user("").0];
    scene.api.delete_users(several.iter().map(String::as_str).collect()).unwrap();
    assert!(several.into_iter().all(|user| scene.api.get_user(&user).is_err()) && !listed());
}

pub fn user_pages(scene: &Scene) {
    scene.not_on_rabbitmq_3("has no pages of users");
    let (user, _) = scene.new_user("");
    let users = scene.api.list_users_paged(&PaginationParams::first_page(500)).unwrap();
    assert!(users.iter().any(|it| it.name == user));
    assert_eq!(scene.api.list_users_paged(&PaginationParams::first_page(1)).unwrap().len(), 1);
}

pub fn user_limits(scene: &Scene) {
    let (user, _) = scene.new_user("");
    for (target, value) in [(UserLimitTarget::MaxConnections, 3), (UserLimitTarget::MaxChannels, 7)]
    {
        scene.api.set_user_limit(&user, EnforcedLimitParams::new(target, value)).unwrap();
    }
    let limits = &scene.api.list_user_limits(&user).unwrap()[0];
    assert_eq!(limits.limits.0.len(), 2);
    assert_eq!(limits.limits.get("max-channels").and_then(|it| it.as_i64()), Some(7));
    assert!(scene.api.list_all_user_limits().unwrap().iter().any(|it| it.username == user));
    for target in [UserLimitTarget::MaxConnections, UserLimitTarget::MaxChannels] {
        scene.api.clear_user_limit(&user, target).unwrap();
    }
    until("the limits are gone", || {
        let limits = scene.api.list_user_limits(&user).unwrap();
        limits.iter().all(|it| it.limits.0.is_empty()).then_some(())
    });
}

/// What one may not do is refused in words that the client finds.
pub fn refusals(scene: &Scene) {
    let (_, monitor) = scene.new_user("monitoring");
    assert!(monitor.list_connections().is_ok() && monitor.overview().is_ok());
    refused(monitor.list_users(), 401, "not_authorised");
    let (_, nobody) = scene.new_user("");
    refused(nobody.overview(), 401, "Not management user");
    let (_, manager) = scene.new_user("management");
    assert!(manager.list_queues_in(&scene.vhost).is_ok());
    refused(manager.list_nodes(), 401, "not_authorised");
    let other = scene.vhost_name();
    not_found(manager.list_queues_in(&other));
    let params = UserParams::without_tags("nobody", "not base64");
    refused(scene.api.create_user(&params), 400, "bad_request");
}
