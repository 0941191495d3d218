//! Clients with tokens (behaviour B2.13, B10.3 to B10.6), which RabbitMQ's `rabbitmq_auth_backend_oauth2` serves.

use std::sync::Arc;
use std::time::Duration;

use leveret::auth::oauth2::{FETCH_PAUSE, KeySet, KeyStore, LEEWAY, OAuth2, OAuth2Options};
use leveret::auth::{
    Authenticator, Backend, PasswordHash, Patterns, Tag, User, UserLimits, unheard,
};
use leveret::protocol::method::{basic, connection, exchange, queue};
use leveret::protocol::{FieldTable, OwnedProperties};
use serde_json::{Value, json};

use crate::support::{Client, Peer, World, text};
use crate::token::Signer;

const SECOND: Duration = Duration::from_secs(1);

const ALL: &str = "rabbit.configure:*/* rabbit.write:*/* rabbit.read:*/*";

const REFUSED_LOGIN: &str = "ACCESS_REFUSED - Login was refused using authentication mechanism \
                             PLAIN. For details see the broker logfile.";

const REFUSED_SECRET: &str = "NOT_ALLOWED - New secret was refused by one of the backends";

struct Scene {
    world: World,
    signer: Signer,
    store: Arc<KeyStore>,
}

fn key_set(signer: &Signer, kid: &str) -> KeySet {
    KeySet::parse(signer.jwks(kid).as_bytes(), true).unwrap().0
}

fn scene_with(backends: &[Backend], signer: Signer, store: KeyStore) -> Scene {
    let store = Arc::new(store);
    let options = OAuth2Options {
        resource_server_id: "rabbit".to_owned(),
        scope_prefix: "rabbit.".to_owned(),
        verify_aud: true,
        ..OAuth2Options::default()
    };
    let oauth2 = OAuth2::new(options, Arc::clone(&store));
    let authenticator = Authenticator::new(vec!["guest".into()]);
    let authenticator = authenticator.with_backends(backends.to_vec(), Some(oauth2));
    Scene { world: World::judged_by(authenticator), signer, store }
}

/// Users and tokens may come in; the key is known.
fn scene() -> Scene {
    let signer = Signer::ed25519();
    let store = KeyStore::new(key_set(&signer, "k"), false);
    scene_with(&[Backend::Internal, Backend::OAuth2], signer, store)
}

/// Keys come from a server, which has not answered yet.
fn scene_without_keys() -> Scene {
    let backends = [Backend::Internal, Backend::OAuth2];
    scene_with(&backends, Signer::ed25519(), KeyStore::new(KeySet::default(), true))
}

impl Scene {
    fn token(&self, claims: Value) -> String {
        self.signer.token("k", &claims)
    }

    /// Bob's, for so many seconds.
    fn bobs(&self, scope: &str, seconds: u64) -> String {
        let exp = self.world.now().unix_seconds() + seconds;
        self.token(json!({ "sub": "bob", "aud": "rabbit", "scope": scope, "exp": exp }))
    }

    fn connect(&self, scope: &str) -> Peer {
        let peer = self.world.connect_as(&with_password(&self.bobs(scope, 3600)));
        peer.open_channel(1);
        peer
    }

    fn start(&self, client: &Client) -> Peer {
        let peer = self.world.dial();
        peer.send_header();
        peer.expect_start();
        peer.send_start_ok(client);
        peer
    }

    #[track_caller]
    fn refused(&self, password: &str) {
        self.start(&with_password(password)).expect_connection_error(403, REFUSED_LOGIN, 0, 0);
    }

    fn fetched(&self, keys: Option<KeySet>) {
        self.store.fetch_ended(keys, self.world.now());
        self.world.settle();
    }
}

/// The user's name does not matter.
fn with_password(password: &str) -> Client {
    Client { response: format!("\0whoever\0{password}").into_bytes(), ..Client::default() }
}

fn update(peer: &Peer, secret: &str) {
    peer.send(0, connection::UpdateSecret { new_secret: secret.as_bytes(), reason: "refresh" });
}

#[track_caller]
fn updated(peer: &Peer, secret: &str) {
    update(peer, secret);
    peer.expect(0, connection::UpdateSecretOk {});
}

fn refusal(access: &str, resource: &str) -> String {
    format!("ACCESS_REFUSED - {access} access to {resource} in vhost '/' refused for user 'bob'")
}

#[test]
fn token_comes_as_the_password_of_either_mechanism() {
    let scene = scene();
    let token = scene.bobs("rabbit.read:*/nothing", 3600);
    let mut table = FieldTable::new();
    table.insert("LOGIN", "");
    table.insert("PASSWORD", token.as_str());
    let mut encoded = Vec::new();
    leveret::protocol::table::encode_table(&mut encoded, &table);
    let plain = with_password(&token);
    let amqplain =
        Client { mechanism: "AMQPLAIN", response: encoded[4..].to_vec(), ..Client::default() };
    let from_afar = scene.world.dial_from_afar();
    from_afar.handshake(&plain);
    for peer in [from_afar, scene.world.connect_as(&plain), scene.world.connect_as(&amqplain)] {
        peer.open_channel(1);
        let request = queue::Declare { queue: "q", ..queue::Declare::default() };
        peer.refused(1, request, 403, &refusal("configure", "queue 'q'"));
    }
}

#[test]
fn backends_are_asked_in_their_order() {
    for (backends, password, token) in [
        (&[Backend::Internal][..], true, false),
        (&[Backend::OAuth2], false, true),
        (&[Backend::Internal, Backend::OAuth2], true, true),
        (&[Backend::OAuth2, Backend::Internal], true, true),
    ] {
        let signer = Signer::ed25519();
        let store = KeyStore::new(key_set(&signer, "k"), false);
        let scene = scene_with(backends, signer, store);
        let bearer = with_password(&scene.bobs(ALL, 3600));
        for (client, accepted) in [(Client::default(), password), (bearer, token)] {
            let peer = scene.start(&client);
            match accepted {
                true => {
                    peer.expect_tune();
                }
                false => peer.expect_connection_error(403, REFUSED_LOGIN, 0, 0),
            }
        }
    }
}

#[test]
fn whatever_is_wrong_with_a_token_the_client_hears_the_same() {
    let scene = scene();
    let now = scene.world.now().unix_seconds();
    let good = scene.bobs(ALL, 3600);
    let claims = json!({ "sub": "bob", "aud": "rabbit", "scope": ALL, "exp": now + 60 });
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        scene.token(claims)
    };
    scene.refused("");
    scene.refused("wrong");
    scene.refused(&good[..good.len() - 1]);
    scene.refused(&Signer::ed25519().token("k", &claims));
    scene.refused(&scene.signer.token("other", &claims));
    scene.refused(&with("exp", json!(now - 60)));
    scene.refused(&with("nbf", json!(now + 60)));
    scene.refused(&with("aud", json!("mouse")));
    scene.start(&with_password(&scene.token(claims))).expect_tune();
}

#[test]
fn vhost_is_open_to_who_has_any_access_in_it() {
    let scene = scene();
    scene.world.broker.create_vhost(&"shop".into());
    for (scope, vhost, expected) in [
        ("rabbit.read:shop/nothing", "shop", true),
        ("rabbit.configure:sh*/x", "shop", true),
        ("rabbit.read:%2F/*", "shop", false),
        ("rabbit.tag:administrator", "/", false),
        ("read:*/*", "/", false),
        ("", "/", false),
    ] {
        let client = with_password(&scene.bobs(scope, 60));
        let peer = scene.start(&client);
        peer.expect_tune();
        peer.send_tune_ok(&client);
        peer.send_open(vhost);
        match expected {
            true => peer.expect(0, connection::OpenOk {}),
            false => {
                let text =
                    format!("NOT_ALLOWED - access to vhost '{vhost}' refused for user 'bob'");
                peer.expect_connection_error(530, &text, 10, 40);
            }
        }
    }
}

#[test]
fn scopes_say_what_may_be_done() {
    let scene = scene();
    let scope = "rabbit.configure:*/orders-* rabbit.write:*/orders-* rabbit.read:*/orders-* \
                 rabbit.write:*/amq.default rabbit.read:*/amq.topic/eu.* rabbit.write:*/amq.topic/eu.*";
    let peer = scene.connect(scope);
    peer.declare(1, "orders-1");
    peer.publish_texts(1, "orders-1", &["one"]);
    assert_eq!(peer.drain(1, "orders-1"), ["one"]);
    let declare = queue::Declare { queue: "bills", ..queue::Declare::default() };
    peer.refused(1, declare, 403, &refusal("configure", "queue 'bills'"));
    let get = basic::Get { queue: "bills", no_ack: true };
    peer.refused(1, get, 403, &refusal("read", "queue 'bills'"));
    // Topics are asked about on top of names.
    let bind = |routing_key| queue::Bind {
        queue: "orders-1",
        exchange: "amq.topic",
        routing_key,
        ..queue::Bind::default()
    };
    peer.call(1, bind("eu.#"), queue::BindOk {});
    let topic = |access: &str, key: &str| {
        refusal(access, &format!("topic '{key}' in exchange 'amq.topic'"))
    };
    peer.refused(1, bind("us.#"), 403, &topic("read", "us.#"));
    peer.publish(1, "amq.topic", "eu.fr", &text(), b"two");
    assert_eq!(peer.drain(1, "orders-1"), ["two"]);
    peer.publish(1, "amq.topic", "us.ny", &text(), b"three");
    peer.expect_channel_error(1, 403, &topic("write", "us.ny")).for_method(60, 40);
}

/// A user who happens to have the token's name gives it nothing, and takes nothing from it.
#[test]
fn token_has_nothing_of_the_user_of_its_name() {
    let scene = scene();
    let bob = User {
        name: "bob".into(),
        password: PasswordHash::new("bob"),
        tags: vec![Tag::Impersonator],
        limits: UserLimits::default(),
    };
    let authenticator = &scene.world.authenticator;
    authenticator.put_user(bob, unheard());
    let permit = || {
        let everything = Patterns::EVERYTHING;
        authenticator.permit(&"bob".into(), &"/".into(), everything, unheard()).unwrap();
    };
    permit();
    let scope = "rabbit.write:*/amq.default";
    let peer = scene.connect(scope);
    let declare = queue::Declare { queue: "q", ..queue::Declare::default() };
    peer.refused(1, declare.clone(), 403, &refusal("configure", "queue 'q'"));
    // Nor when users change.
    permit();
    peer.refused(1, declare, 403, &refusal("configure", "queue 'q'"));
    let as_eve = OwnedProperties { user_id: Some("eve".into()), ..text() };
    peer.publish(1, "", "q", &as_eve, b"");
    let text =
        "PRECONDITION_FAILED - user_id property set to 'eve' but authenticated user was 'bob'";
    peer.expect_channel_error(1, 406, text).for_method(60, 40);
    peer.close_ok(1);
    peer.open_channel(1);

    let tagged = scene.connect(&format!("{scope} rabbit.tag:impersonator"));
    tagged.publish(1, "", "q", &as_eve, b"");
    tagged.open_channel(2);
    // It goes with the next token.
    updated(&tagged, &scene.bobs(scope, 60));
    tagged.publish(1, "", "q", &as_eve, b"");
    tagged.expect_channel_error(1, 406, text).for_method(60, 40);
}

#[test]
fn connection_ends_with_its_token() {
    let scene = scene();
    let peer = scene.world.connect_as(&with_password(&scene.bobs(ALL, 60)));
    peer.open_channel(1);
    peer.declare(1, "q");
    peer.publish_texts(1, "q", &["one"]);
    peer.consume(1, "q", "c");
    peer.expect_delivery(1);
    scene.world.advance(60 * SECOND + LEEWAY - Duration::from_millis(1));
    peer.expect_nothing();
    peer.open_channel(2);
    scene.world.advance(Duration::from_millis(1));
    peer.expect_connection_error(320, "CONNECTION_FORCED - credential expired", 0, 0);
    peer.send(0, connection::CloseOk {});
    peer.expect_end();
    // What it had in its hands is back.
    assert_eq!(scene.world.open().drain(1, "q"), ["one"]);
}

#[test]
fn token_without_an_end_lasts() {
    let scene = scene();
    let token = scene.token(json!({ "sub": "bob", "aud": "rabbit", "scope": ALL }));
    let peer = scene.world.connect_as(&with_password(&token));
    scene.world.advance(Duration::from_secs(365 * 24 * 3600));
    peer.open_channel(1);
}

#[test]
fn next_token_keeps_a_connection_open() {
    let scene = scene();
    let peer = scene.world.connect_as(&with_password(&scene.bobs(ALL, 60)));
    for _ in 0..10 {
        scene.world.advance(50 * SECOND);
        updated(&peer, &scene.bobs(ALL, 60));
    }
    // It may also be a shorter one.
    updated(&peer, &scene.bobs(ALL, 10));
    scene.world.advance(10 * SECOND + LEEWAY);
    peer.expect_connection_error(320, "CONNECTION_FORCED - credential expired", 0, 0);
}

#[test]
fn rights_change_with_the_token_at_once() {
    let scene = scene();
    let guest = scene.world.open();
    guest.declare(1, "q");
    guest.declare_exchange(1, "x", "fanout");
    let peer = scene.connect("rabbit.write:*/x rabbit.read:*/q");
    peer.publish(1, "x", "", &text(), b"");
    let passive =
        exchange::Declare { exchange: "x", kind: "fanout", passive: true, ..Default::default() };
    peer.call(1, passive, exchange::DeclareOk {});
    // What was found before does not count any more, not even in the same read.
    updated(&peer, &scene.bobs("rabbit.write:*/y rabbit.read:*/q", 3600));
    peer.publish(1, "x", "", &text(), b"");
    peer.expect_channel_error(1, 403, &refusal("write", "exchange 'x'")).for_method(60, 40);
    peer.reopen(1);
    updated(&peer, &scene.bobs("rabbit.write:*/x", 3600));
    peer.publish(1, "x", "", &text(), b"");
    peer.refused(1, basic::Get { queue: "q", no_ack: true }, 403, &refusal("read", "queue 'q'"));
}

#[test]
fn consumers_need_their_right_to_read_in_the_next_token_too() {
    let scene = scene();
    let guest = scene.world.open();
    guest.declare(1, "q");
    guest.declare(1, "other");
    let peer = scene.connect("rabbit.read:*/*");
    peer.open_channel(2);
    peer.consume(1, "q", "");
    peer.consume(2, "other", "");
    updated_but(&peer, &scene.bobs("rabbit.read:*/other", 3600), &refusal("read", "queue 'q'"));
    guest.publish_texts(1, "other", &["one"]);
    peer.expect_texts(2, &["one"]);
    guest.publish_texts(1, "q", &["two"]);
    peer.expect_nothing();
}

/// The secret is taken, and channel 1 is closed for it.
#[track_caller]
fn updated_but(peer: &Peer, secret: &str, text: &str) {
    update(peer, secret);
    peer.expect_channel_error(1, 403, text).for_method(0, 0);
    peer.expect(0, connection::UpdateSecretOk {});
    peer.close_ok(1);
}

#[test]
fn secret_that_is_not_this_users_ends_the_connection() {
    let scene = scene();
    let eves = scene.token(json!({ "sub": "eve", "aud": "rabbit", "scope": ALL }));
    let expired = {
        let now = scene.world.now().unix_seconds();
        scene.token(json!({ "sub": "bob", "aud": "rabbit", "scope": ALL, "exp": now - 60 }))
    };
    let nowhere = scene.bobs("rabbit.read:shop/*", 60);
    for secret in [eves, expired, nowhere, "guest".to_owned(), String::new()] {
        let peer = scene.connect(ALL);
        update(&peer, &secret);
        peer.expect_connection_error(530, REFUSED_SECRET, 10, 70);
    }
    // Who came with a password has none that could change.
    let guest = scene.world.open();
    updated(&guest, "wrong");
    updated(&guest, &scene.bobs("", 60));
    guest.declare(1, "q");
}

#[test]
fn login_waits_for_a_key_that_is_being_fetched() {
    let scene = scene_without_keys();
    let client = with_password(&scene.bobs(ALL, 3600));
    let peer = scene.start(&client);
    // Some clients do not wait for tune.
    peer.send_tune_ok(&client);
    peer.send_open("/");
    peer.expect_nothing();
    // Whoever has no need of a key does not wait.
    scene.world.open();
    scene.fetched(Some(key_set(&scene.signer, "k")));
    peer.expect_tune();
    peer.expect(0, connection::OpenOk {});
    // It is known now, and stays so when the server is gone.
    scene.connect(ALL);
    scene.world.advance(FETCH_PAUSE);
    scene.store.fetch_begins();
    scene.fetched(None);
    scene.connect(ALL);
}

#[test]
fn login_with_a_key_that_nobody_has_is_refused_when_the_fetch_has_ended() {
    let scene = scene_without_keys();
    let client = with_password(&scene.bobs(ALL, 3600));
    for keys in [None, Some(key_set(&Signer::ed25519(), "other"))] {
        let peer = scene.start(&client);
        peer.expect_nothing();
        scene.fetched(keys);
        peer.expect_connection_error(403, REFUSED_LOGIN, 0, 0);
        // The next one is not worth a fetch so soon.
        scene.refused(&scene.bobs(ALL, 3600));
        scene.world.advance(FETCH_PAUSE);
    }
    // Another key under the name that the token says.
    let peer = scene.start(&client);
    scene.fetched(Some(key_set(&Signer::ed25519(), "k")));
    peer.expect_connection_error(403, REFUSED_LOGIN, 0, 0);
}

#[test]
fn waiting_for_a_key_does_not_outlast_the_handshake() {
    let scene = scene_without_keys();
    let client = with_password(&scene.bobs(ALL, 3600));
    let peer = scene.start(&client);
    scene.world.advance(10 * SECOND);
    peer.expect_end();
    let peer = scene.start(&client);
    drop(peer);
    scene.fetched(Some(key_set(&scene.signer, "k")));
    scene.connect(ALL);
}

#[test]
fn secret_waits_for_a_key_while_everything_goes_on() {
    let scene = scene_without_keys();
    scene.fetched(Some(key_set(&scene.signer, "k")));
    let peer = scene.connect(ALL);
    scene.world.advance(FETCH_PAUSE);

    let next = Signer::ed25519();
    let claims = json!({ "sub": "bob", "aud": "rabbit", "scope": "rabbit.read:*/q" });
    update(&peer, &next.token("next", &claims));
    peer.declare(1, "q");
    peer.publish_texts(1, "q", &["one"]);
    scene.fetched(Some(key_set(&next, "next")));
    peer.expect(0, connection::UpdateSecretOk {});
    assert_eq!(peer.drain(1, "q"), ["one"]);
    let declare = queue::Declare { queue: "q", ..queue::Declare::default() };
    peer.refused(1, declare, 403, &refusal("configure", "queue 'q'"));

    // Two at once: the later one counts.
    scene.world.advance(FETCH_PAUSE);
    let last = Signer::ed25519();
    update(&peer, &last.token("last", &claims));
    let all = json!({ "sub": "bob", "aud": "rabbit", "scope": ALL });
    update(&peer, &last.token("last", &all));
    scene.fetched(Some(key_set(&last, "last")));
    peer.expect(0, connection::UpdateSecretOk {});
    peer.expect(0, connection::UpdateSecretOk {});
    peer.open_channel(2);
    peer.declare(2, "q");

    scene.world.advance(FETCH_PAUSE);
    update(&peer, &Signer::ed25519().token("nobodys", &all));
    peer.expect_nothing();
    scene.fetched(None);
    peer.expect_connection_error(530, REFUSED_SECRET, 10, 70);
}
