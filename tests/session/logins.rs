//! Many who guess (behaviour B2.6, B2.7).

use std::time::Duration;

use leveret::auth::{PasswordHash, User, UserLimits, unheard};
use leveret::protocol::Method;
use leveret::protocol::method::connection;

use crate::support::{Client, World};

fn client(response: &[u8]) -> Client {
    Client { response: response.to_vec(), ..Client::default() }
}

#[test]
fn ten_thousand_guesses_learn_nothing_and_leave_nothing() {
    let world = World::new();
    let user = User {
        name: "blank".into(),
        password: PasswordHash::none(),
        tags: Vec::new(),
        limits: UserLimits::default(),
    };
    world.authenticator.put_user(user, unheard());
    let mut answers = Vec::new();
    for guess in 0..10_000 {
        let response = match guess % 5 {
            0 => format!("\0guest\0{guess}"),
            1 => format!("\0nobody{guess}\0guest"),
            2 => "\0guest\0".to_owned(),
            3 => "\0blank\0".to_owned(),
            // The right password, and from afar.
            _ => "\0guest\0guest".to_owned(),
        };
        let peer = if guess % 5 == 4 { world.dial_from_afar() } else { world.dial() };
        peer.send_header();
        peer.expect_start();
        peer.send_start_ok(&client(response.as_bytes()));
        let answer = peer.recv();
        if answers.last() != Some(&answer.payload) {
            answers.push(answer.payload.clone());
        }
        let Method::Connection(connection::Method::Close(close)) = answer.method() else {
            panic!("{guess}: {answer:?}");
        };
        assert_eq!(close.reply_code, 403);
        // Whoever guesses again on the same connection is not heard.
        peer.send_start_ok(&Client::default());
        peer.expect_nothing();
        if guess % 1000 == 0 {
            world.advance(Duration::from_millis(2999));
            assert!(!peer.is_closed());
            world.advance(Duration::from_millis(1));
            peer.expect_end();
        }
        assert_eq!(world.broker.connection_count(), 0);
    }
    assert_eq!(answers.len(), 1, "always the same octets");
    // Nobody is locked out.
    world.open().declare(1, "q");
}

/// A user's name may be as long as the frame; it is nobody's.
#[test]
fn huge_names_are_refused_like_others() {
    for (length, is_heard) in [(255, true), (256, true), (7000, true), (9000, false)] {
        let world = World::new();
        let peer = world.dial();
        peer.send_header();
        peer.expect_start();
        let response = [b"\0", &vec![b'x'; length][..], b"\0guest"].concat();
        peer.send_start_ok(&client(&response));
        if is_heard {
            let text = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.";
            peer.expect_connection_error(403, text, 0, 0);
        }
        peer.expect_nothing();
        world.advance(Duration::from_secs(3));
        peer.expect_end();
    }
    // A vhost's name is a shortstr: it cannot be longer.
    let world = World::new();
    let peer = world.dial();
    peer.send_header();
    peer.expect_start();
    peer.send_start_ok(&Client::default());
    peer.expect_tune();
    peer.send_tune_ok(&Client::default());
    let name = "v".repeat(255);
    peer.send_open(&name);
    let received = peer.recv();
    let Method::Connection(connection::Method::Close(close)) = received.method() else {
        panic!("{received:?}");
    };
    assert!(
        close.reply_text.starts_with("NOT_ALLOWED - vhost vvv") && close.reply_text.len() == 255
    );
}
