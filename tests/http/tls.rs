//! The API over TLS: certificates of the test's own, and a check of how long they are good.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use leveret::config::Verify;
use leveret::management::{Bound, Management};
use leveret::transport::tls::Tls;
use rcgen::CertificateParams;
use serde_json::json;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::api::{Api, basic, connect, services};
use crate::certificates::{Authority, Directory, client, expired};

struct Scene {
    authority: Authority,
    directory: Directory,
    tls: Arc<Tls>,
    api: Api,
    plain: SocketAddr,
    encrypted: SocketAddr,
}

/// An API with one listener in the clear and one over TLS.
fn scene(authority: Authority, directory: Directory, verify: Verify) -> Scene {
    let mut options = directory.options();
    options.https_verify = verify;
    let tls = Arc::new(Tls::load(options).unwrap());
    let mut services = services(leveret::broker::Limits::default(), Vec::new());
    services.tls = Some(Arc::clone(&tls));
    let broker = Arc::clone(&services.broker);
    let any_port = "127.0.0.1:0".parse().unwrap();
    let bound = [None, Some(Arc::clone(&tls))].map(|tls| Bound::bind(any_port, tls).unwrap());
    let management = Management::start(bound.into(), services).unwrap();
    let [plain, encrypted] = management.listeners() else { panic!("two listeners") };
    let (plain, encrypted) = (plain.address, encrypted.address);
    Scene { authority, directory, tls, api: Api { broker, management }, plain, encrypted }
}

fn new_scene(verify: Verify) -> Scene {
    let authority = Authority::new("Test CA");
    let directory = Directory::new(&authority);
    scene(authority, directory, verify)
}

/// What `address` answers to a request over TLS; an error when TLS does not come about.
fn ask(address: SocketAddr, config: ClientConfig) -> std::io::Result<String> {
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(connection, connect(address));
    let credentials = basic("guest", "guest");
    let head = "GET /api/whoami HTTP/1.1\r\nHost: localhost\r\nConnection: close";
    stream.write_all(format!("{head}\r\n{credentials}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn api_is_served_over_tls() {
    let scene = new_scene(Verify::None);
    let answer = ask(scene.encrypted, scene.authority.connector(None)).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with(r#"{"name":"guest","tags":["administrator"]}"#), "{answer}");
    // curl and browsers offer HTTP/2 beside it.
    let mut config = scene.authority.connector(None);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    assert!(ask(scene.encrypted, config).unwrap().starts_with("HTTP/1.1 200 OK\r\n"));
    // The other listener goes on as it was.
    scene
        .api
        .get("guest", "/api/whoami")
        .expect(200, r#"{"name":"guest","tags":["administrator"]}"#);
    assert!(ask(scene.plain, scene.authority.connector(None)).is_err());
}

#[test]
fn both_listeners_are_known_to_health_checks() {
    let scene = new_scene(Verify::None);
    let check = |what: &str| scene.api.get("guest", &format!("/api/health/checks/{what}")).status;
    for (what, expected) in [
        (format!("port-listener/{}", scene.plain.port()), 200),
        (format!("port-listener/{}", scene.encrypted.port()), 200),
        ("protocol-listener/http".to_owned(), 200),
        ("protocol-listener/https".to_owned(), 200),
        ("protocol-listener/amqps".to_owned(), 503),
        ("ready-to-serve-clients".to_owned(), 503),
    ] {
        assert_eq!(check(&what), expected, "{what}");
    }
}

#[test]
fn junk_and_silence_hold_up_nobody() {
    let scene = new_scene(Verify::None);
    let silent: Vec<TcpStream> = (0..20).map(|_| connect(scene.encrypted)).collect();
    // The second one is not wrong, only never finished: its time ends.
    for junk in [&b"GET /api/version HTTP/1.1\r\nHost: x\r\n\r\n"[..], &[0x16, 3, 1, 0, 1, 0xff]] {
        let mut socket = connect(scene.encrypted);
        socket.write_all(junk).unwrap();
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    }
    assert!(ask(scene.encrypted, scene.authority.connector(None)).is_ok());
    // Nor does the end.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stop = scene.api.management.stop();
    let patience = std::time::Duration::from_secs(3);
    runtime.block_on(async { tokio::time::timeout(patience, stop).await.unwrap() });
    drop(silent);
}

#[test]
fn clients_may_have_to_show_a_certificate() {
    let scene = new_scene(Verify::Peer);
    let good = scene.authority.client("probe");
    let expired = scene.authority.issue(&expired(client("probe")));
    let unknown = Authority::new("Test CA").client("probe");
    for (own, is_accepted) in
        [(Some(&good), true), (None, false), (Some(&expired), false), (Some(&unknown), false)]
    {
        let answer = ask(scene.encrypted, scene.authority.connector(own));
        assert_eq!(answer.is_ok(), is_accepted, "{answer:?}");
    }
}

/// The API's clock says 2023-11-14 22:13:20.
#[test]
fn certificate_expiration_looks_at_the_certificates() {
    let authority = Authority::new("Test CA");
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2023, 12, 14);
    let directory = Directory::new(&authority);
    directory.install(&authority, &authority.issue(&params));
    let scene = scene(authority, directory, Verify::None);
    let check = |within: &str| {
        let answer =
            scene.api.get("hare", &format!("/api/health/checks/certificate-expiration/{within}"));
        (answer.status, answer.json())
    };
    let ok = json!({ "status": "ok" });
    for within in ["29/days", "0/days", "-3/years", "4/weeks", "29/DAYS"] {
        assert_eq!(check(within), (200, ok.clone()), "{within}");
    }
    for within in ["30/days", "5/weeks", "1/months", "1/years", "99999999999999999999/years"] {
        let (status, body) = check(within);
        let [expired] = body["expired"].as_array().unwrap().as_slice() else {
            panic!("{within}: {body}");
        };
        assert_eq!((status, &body["reason"]), (503, &json!("Certificates expiring")), "{within}");
        assert_eq!(expired["protocol"], "https");
        assert_eq!(expired["port"], scene.encrypted.port());
        assert_eq!(expired["interface"], "127.0.0.1");
        assert_eq!(expired["certfile"], json!(scene.directory.path("server.pem")));
        assert_eq!(expired["certfile_expires_on"], json!(["2023-12-14 00:00:00"]));
        // The authority is good until 4096.
        let authorities =
            if within.starts_with('9') { json!(["4096-01-01 00:00:00"]) } else { json!([]) };
        assert_eq!(expired["cacertfile_expires_on"], authorities, "{within}");
    }
    let bad = |reason: &str| (400, json!({ "error": "bad_request", "reason": reason }));
    for within in ["x/days", "1.5/days", "-/days", "inf/days"] {
        assert_eq!(check(within), bad("Invalid expiration value."), "{within}");
    }
    let unit = "Time unit not recognised. Supported units: days, weeks, months, years.";
    assert_eq!(check("1/hours"), bad(unit));
    assert_eq!(scene.api.get("", "/api/health/checks/certificate-expiration/1/days").status, 401);

    // A new one counts as soon as it is in use.
    scene.directory.install(&scene.authority, &scene.authority.server());
    assert_eq!(check("30/days").0, 503);
    scene.tls.reload(scene.directory.options()).unwrap();
    assert_eq!(check("30/days"), (200, ok));
}

#[test]
fn without_tls_no_certificate_expires() {
    let api = crate::api::start();
    let answer = api.get("guest", "/api/health/checks/certificate-expiration/100/years");
    assert_eq!((answer.status, answer.json()), (200, json!({ "status": "ok" })));
}

/// Behind a proxy on this machine only those are local of whom the proxy says so.
#[test]
fn clients_of_a_proxy_are_who_it_says() {
    let services = services(leveret::broker::Limits::default(), Vec::new());
    let bound = Bound::bind("127.0.0.1:0".parse().unwrap(), None).unwrap().behind_proxy(true);
    let broker = Arc::clone(&services.broker);
    let api = Api { broker, management: Management::start(vec![bound], services).unwrap() };
    let ask = |header: &str| {
        let credentials = basic("guest", "guest");
        let head = "GET /api/whoami HTTP/1.1\r\nHost: x\r\nConnection: close";
        api.send(format!("{header}{head}\r\n{credentials}\r\n\r\n").as_bytes())
    };
    let me = r#"{"name":"guest","tags":["administrator"]}"#;
    ask("PROXY TCP4 127.0.0.1 10.0.0.2 8080 15672\r\n").expect(200, me);
    let elsewhere = r#"{"error":"not_authorised","reason":"User can only log in via localhost"}"#;
    for header in ["PROXY TCP4 10.0.0.1 127.0.0.1 8080 15672\r\n", "PROXY UNKNOWN\r\n"] {
        ask(header).expect(401, elsewhere);
    }
    for junk in ["GET /api/version HTTP/1.1\r\nHost: x\r\n\r\n", "PROXY TCP4 10.0.0.1\r\n"] {
        let mut socket = connect(api.address());
        socket.write_all(junk.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        assert!(answer.is_empty(), "{answer:?}");
    }
}
