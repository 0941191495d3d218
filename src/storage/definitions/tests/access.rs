//! Users and permissions in the file.

use super::*;
use crate::storage::{Access, AccessChange, PermissionRecord, TopicPermissionRecord, UserRecord};

fn user(name: &str, hash: &str) -> UserRecord {
    UserRecord {
        name: name.into(),
        password_hash: hash.to_owned(),
        hashing_algorithm: "rabbit_password_hashing_sha256".to_owned(),
        tags: vec!["administrator".to_owned(), "häsin".to_owned()],
        limits: vec![("max-connections".to_owned(), 10)],
    }
}

fn permission(user: &str, vhost: &str) -> PermissionRecord {
    let [configure, write, read] = ["^a", "", &".".repeat(10_000)].map(str::to_owned);
    PermissionRecord { user: user.into(), vhost: vhost.into(), configure, write, read }
}

fn topic_permission(user: &str, vhost: &str, exchange: &str) -> TopicPermissionRecord {
    let [write, read] = ["^{username}", ".*"].map(str::to_owned);
    let (user, vhost, exchange) = (user.into(), vhost.into(), exchange.into());
    TopicPermissionRecord { user, vhost, exchange, write, read }
}

fn put_access(store: &RedbDefinitions, changes: impl IntoIterator<Item = AccessChange>) {
    put(store, "", changes.into_iter().map(Change::Access));
}

/// Two users with permissions in two vhosts each.
fn filled(directory: &Path) -> RedbDefinitions {
    let store = open(directory);
    for name in ["hare", "hare2"] {
        put_access(&store, [AccessChange::PutUser(user(name, "x"))]);
        for vhost in ["", "/"] {
            let exchange = topic_permission(name, vhost, "amq.topic");
            put_access(
                &store,
                [
                    AccessChange::PutPermission(permission(name, vhost)),
                    AccessChange::PutTopicPermission(exchange),
                ],
            );
        }
    }
    store
}

#[test]
fn users_and_permissions_survive() {
    let directory = tempfile::tempdir().unwrap();
    let store = filled(directory.path());
    put_access(&store, [AccessChange::PutUser(user("hare", "")), AccessChange::DefaultsMade]);
    let permissions = [("hare", ""), ("hare", "/"), ("hare2", ""), ("hare2", "/")];
    let expected = Access {
        users: vec![user("hare", ""), user("hare2", "x")],
        permissions: permissions.map(|(user, vhost)| permission(user, vhost)).to_vec(),
        topic_permissions: permissions
            .map(|(user, vhost)| topic_permission(user, vhost, "amq.topic"))
            .to_vec(),
        defaults_made: true,
    };
    assert_eq!(store.load_access().unwrap(), expected);
    drop(store);
    let store = open(directory.path());
    assert_eq!(store.load_access().unwrap(), expected);
    assert_eq!(store.load().unwrap(), [], "they are no definitions of a vhost");
}

#[test]
fn deleted_user_takes_permissions_along_and_nobody_elses() {
    let directory = tempfile::tempdir().unwrap();
    let store = filled(directory.path());
    put_access(&store, [AccessChange::DeleteUser { name: "hare".into() }]);
    let access = store.load_access().unwrap();
    let names: Vec<_> = access.users.iter().map(|user| user.name.as_str()).collect();
    assert_eq!(names, ["hare2"]);
    assert_eq!((access.permissions.len(), access.topic_permissions.len()), (2, 2));
    assert!(access.permissions.iter().all(|permission| permission.user.as_str() == "hare2"));
}

#[test]
fn deleted_vhost_takes_the_permissions_in_it_along() {
    let directory = tempfile::tempdir().unwrap();
    let store = filled(directory.path());
    put(&store, "", [Change::DeleteVhost]);
    let access = store.load_access().unwrap();
    assert_eq!((access.users.len(), access.permissions.len()), (2, 2));
    assert!(access.permissions.iter().all(|permission| permission.vhost.as_str() == "/"));
    assert!(access.topic_permissions.iter().all(|permission| permission.vhost.as_str() == "/"));
}

#[test]
fn permissions_are_deleted_one_by_one() {
    let directory = tempfile::tempdir().unwrap();
    let store = filled(directory.path());
    let (user, vhost, exchange) = ("hare".into(), "/".into(), "amq.topic".into());
    put_access(&store, [AccessChange::DeleteTopicPermission { user, vhost, exchange }]);
    let (user, vhost) = ("hare2".into(), "/".into());
    put_access(&store, [AccessChange::DeletePermission { user, vhost }]);
    let access = store.load_access().unwrap();
    assert_eq!((access.permissions.len(), access.topic_permissions.len()), (3, 3));
    assert!(!access.permissions.contains(&permission("hare2", "/")));
    assert!(!access.topic_permissions.contains(&topic_permission("hare", "/", "amq.topic")));
}

/// As the version before users were stored left it.
#[test]
fn a_file_of_the_first_format_opens_and_has_no_users() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    put(&store, "/", [Change::PutVhost(FieldTable::new()), queue("q", 1)]);
    drop(store);
    let path = directory.path().join(FILE);
    let database = Database::create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    assert!(transaction.delete_table(ACCESS).unwrap());
    transaction.open_table(META).unwrap().insert(FORMAT_ROW, 1).unwrap();
    transaction.commit().unwrap();
    drop(database);

    let store = open(directory.path());
    assert_eq!(names(&store.load().unwrap()), ["/", "/ queue q"]);
    assert_eq!(store.load_access().unwrap(), Access::default());
    put_access(&store, [AccessChange::PutUser(user("hare", ""))]);
    drop(store);
    // An older version would not know its users.
    let database = Database::create(&path).unwrap();
    assert_eq!(format(&database).unwrap(), Some(FORMAT));
}

#[test]
fn a_row_of_a_user_that_cannot_be_read_is_named() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    for value in [&[0, 0, 0, 0][..], &[1, 2], &[0, 0, 0, 0, 0]] {
        let database = Database::create(directory.path().join(FILE)).unwrap();
        let transaction = database.begin_write().unwrap();
        let key = ("hare", 1, "/", "");
        transaction.open_table(ACCESS).unwrap().insert(key, value).unwrap();
        transaction.commit().unwrap();
        drop(database);
        let error = open(directory.path()).load_access().unwrap_err().to_string();
        assert!(error.contains("the row of kind 1 of user 'hare' in vhost '/'"), "{error}");
    }
}
