//! What goes wrong, and what comes from strangers.

use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;

use leveret::management::Node;
use leveret::transport::tls::Tls;

use crate::broker::{Broker, Ran, ctl, path, run};
use crate::certificates::{Authority, Directory};

fn at(uri: &str, words: &str) -> Ran {
    run(ctl().args(["--uri", uri]).args(words.split_whitespace()), b"")
}

#[test]
fn a_broker_that_is_not_there() {
    // Nobody listens on a port that was just given back.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    at(&uri, "queues list").fails(69, &format!("leveret ctl: cannot reach {uri}: "));
    at(&uri, "ping").fails(69, "cannot reach");
    at(&uri, "list_queues")
        .fails(69, "Error:\nunable to perform an operation on the broker: cannot reach");
    at(&uri, "await-startup --timeout 0.5").fails(75, "no answer from");
}

#[test]
fn a_broker_that_says_nothing() {
    // It is connected to and never accepted.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    at(&uri, "queues list --timeout 0.3").fails(75, &format!("no answer from {uri} within 0.3 s"));
    at(&uri, "list_queues -q -t 0.3").fails(75, "no answer from");
    at(&uri, "ping -t 0").fails(75, "no answer from");
}

#[test]
fn something_else_on_that_port() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    let answers = ["HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", "SSH-2.0-OpenSSH\r\n"];
    let server = std::thread::spawn(move || {
        for answer in answers {
            let (mut socket, _) = listener.accept().unwrap();
            let _ = socket.read(&mut [0; 4096]);
            std::io::Write::write_all(&mut socket, answer.as_bytes()).unwrap();
        }
    });
    at(&uri, "queues list").fails(70, "does not speak the management API");
    at(&uri, "queues list").fails(69, "cannot reach");
    server.join().unwrap();
}

#[test]
fn wrong_passwords_and_missing_rights() {
    let broker = Broker::start();
    let http = broker.http;
    let said = "leveret ctl: wrong name or password for user 'guest'\n";
    at(&format!("http://guest:wrong@{http}"), "queues list").fails(77, said);
    at(&format!("http://guest:wrong@{http}"), "list_queues -q").fails(77, "wrong name or password");
    // It answers, whoever asks.
    at(&format!("http://guest:wrong@{http}"), "ping").ok();

    broker.ctl("users add hare pw --tag management").ok();
    let uri = format!("http://hare:pw@{http}");
    at(&uri, "users list").fails(77, "user 'hare' may not do that: Not administrator user");
    at(&uri, "doctor").fails(77, "Not monitor user");
    at(&uri, "queues declare q").fails(77, "User not authorised to access virtual host");

    // Variables count before what the URI says.
    let mut command = ctl();
    command.env("CTL_URI", format!("http://{http}")).env("CTL_USER", "hare");
    let ran = run(command.env("CTL_PASSWORD", "pw").args(["users", "list"]), b"");
    ran.fails(77, "user 'hare' may not do that");
}

#[test]
fn words_that_make_no_sense() {
    let broker = Broker::start();
    broker.ctl("quues list").fails(64, "there is no command 'quues'; did you mean 'queues'?");
    broker.ctl("queues lst").fails(64, "there is no command 'lst'; did you mean 'list'?");
    broker.ctl("lst_queues").fails(64, "did you mean 'list_queues'?");
    broker.ctl("zzzzzz").fails(64, "there is no command 'zzzzzz'");
    broker.ctl("queues list --bogus").fails(64, "--bogus");
    broker.ctl("queues show").fails(64, "<QUEUE>");
    broker.ctl("ping --timeout -1").fails(64, "-1");
    broker.ctl("").fails(64, "Usage: leveret ctl");
    for (uri, said) in
        [("ftp://h", "begins with http://"), ("http://h:x", "port"), ("", "it is none")]
    {
        at(uri, "ping").fails(78, said);
    }
    for words in ["--help", "queues --help", "queues move --help", "--version"] {
        assert!(!broker.ctl(words).ok().is_empty());
    }
}

#[test]
fn tls_needs_somebody_to_vouch_for_the_broker() {
    let authority = Authority::new("Test CA");
    let directory = Directory::new(&authority);
    let tls = Arc::new(Tls::load(directory.options()).unwrap());
    let broker = Broker::start_with(Some(tls), Node::default());
    let uri = format!("https://guest:guest@localhost:{}", broker.http.port());
    let trusting = |file: &str, words: &str| {
        let file = directory.path(file);
        let args = ["--uri", &uri, "--cacert", path(&file)];
        run(ctl().args(args).args(words.split_whitespace()), b"")
    };
    assert_eq!(trusting("ca.pem", "queues list --format json").ok(), "[]\n");
    at(&uri, "ping").fails(69, "certificate");
    trusting("server.key", "ping").fails(78, "server.key: it has no certificate in it");
    trusting("nothing.pem", "ping").fails(78, "nothing.pem");
    // It speaks TLS alone.
    at(&uri.replace("https", "http"), "ping").fails(69, "cannot reach");
}

/// What a terminal would obey, and what turns the direction of writing.
const NASTY: &str = "x\u{1b}[2J\u{9b}31m\u{7}\r\ny\t\u{202e}<script>alert(1)</script>";

#[test]
fn names_do_not_reach_the_terminal_as_they_are() {
    let broker = Broker::start();
    broker.ctl_of(&["queues", "declare", NASTY]).ok();
    broker.ctl_of(&["exchanges", "publish", "amq.default", "-k", NASTY, "--body", NASTY]).ok();
    let is_safe = |text: &str, allowed: &str| {
        text.chars().all(|c| {
            allowed.contains(c) || !(c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c))
        })
    };
    let all: [&[&str]; 18] = [
        &["queues", "list"],
        &["queues", "list", "--format", "csv"],
        &["queues", "list", "--format", "json"],
        &["queues", "show", NASTY],
        &["queues", "peek", NASTY],
        &["queues", "get", NASTY],
        &["queues", "peek", NASTY, "--format", "json"],
        &["queues", "declare", NASTY],
        &["bindings", "list"],
        &["bindings", "delete", NASTY, NASTY],
        &["exchanges", "delete", NASTY],
        &["definitions", "export"],
        &["doctor"],
        &["top", "--once"],
        &["overview", NASTY],
        &["delete_queue", NASTY, "--if-empty"],
        &["purge_queue", &format!("{NASTY}x")],
        &["report"],
    ];
    for words in all {
        let ran = broker.ctl_of(words);
        assert!(is_safe(&ran.out, "\n\t") && is_safe(&ran.err, "\n\t"), "{words:?}: {ran:?}");
    }
    for words in [&["queues", "list", "--format", "tsv"][..], &["list_queues", "-q"]] {
        let ran = broker.ctl_of(words);
        assert!(is_safe(&ran.out, "\n\t"), "{ran:?}");
        let escaped = "x\\u{1b}[2J\\u{9b}31m\\u{7}\\r\\ny\\t\\u{202e}<script>";
        assert!(ran.out.contains(escaped) && ran.out.lines().count() == 2, "{ran:?}");
    }
    // Programs get what was there.
    let queues = broker.ctl("queues list --format json").json();
    assert_eq!(queues[0]["name"], NASTY);
    let queues = broker.ctl("list_queues --formatter json").json();
    assert_eq!(queues[0]["name"], NASTY);
}

#[test]
fn names_are_not_taken_for_something_else() {
    let broker = Broker::start();
    for name in ["a/b", "..", "a b+c", "%2F", "?x=1#y", "ä日", "a&b=c", "-x"] {
        broker.ctl_of(&["queues", "declare", "--", name]).ok();
        let shown = broker.ctl_of(&["queues", "show", "--format", "json", "--", name]).json();
        assert_eq!(shown["name"], name);
        broker.ctl_of(&["queues", "delete", "--", name]).ok();
    }
    assert_eq!(broker.ctl("queues list --no-headers").ok(), "");
}
