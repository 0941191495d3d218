//! `leveret perf` as its users run it, against a broker in this process: what it says it sent, received
//! and had confirmed is what was.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use crate::certificates::{Authority, Directory};
use crate::server::{TestServer, soon};
use leveret::broker::Limits;
use leveret::server::Listen;
use leveret::session::Offer;
use leveret::transport::tls::Tls;
use serde_json::Value;

fn command(uri: &str, flags: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leveret"));
    command.args(["perf", "--uri", uri]).args(flags.split_whitespace()).stdin(Stdio::null());
    command
}

/// Runs it to its end beside the broker.
async fn output(mut command: Command) -> Output {
    soon(tokio::task::spawn_blocking(move || command.output().unwrap())).await.unwrap()
}

/// What a run found out, with `,` between the flags' words.
async fn report(server: &TestServer, flags: &str) -> Value {
    report_of(&server.url(), flags).await
}

async fn report_of(uri: &str, flags: &str) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("report.json");
    let mut command = command(uri, flags);
    command.arg("--json").arg(&path);
    let Output { status, stdout, stderr } = output(command).await;
    let stderr = String::from_utf8(stderr).unwrap();
    assert!(status.success() && stderr.is_empty(), "{flags}: {status} {stderr}");
    assert!(String::from_utf8(stdout).unwrap().contains("messages        a second"), "{flags}");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn counts<const N: usize>(report: &Value, names: [&str; N]) -> [u64; N] {
    names.map(|name| report["counts"][name].as_u64().unwrap())
}

/// Runs each line of flags against one broker and compares sent, received, confirmed, returned, nacked,
/// rejected. Every message is timed, and nothing is left behind.
async fn check(rows: &[(&str, [u64; 6])]) {
    let server = TestServer::start().await;
    for (flags, expected) in rows {
        let report = report(&server, flags).await;
        let names = ["sent", "received", "confirmed", "returned", "nacked", "rejected"];
        assert_eq!(counts(&report, names), *expected, "{flags}");
        for (latency, count) in [("latency", expected[1]), ("confirm_latency", expected[2])] {
            let timed = report[latency]["count"].as_u64().unwrap_or_default();
            assert_eq!(timed, count, "{flags}: {latency}");
        }
        let [sent, received] = counts(&report, ["sent_bytes", "received_bytes"]);
        assert!(expected[0] != expected[1] || sent == received, "{flags}: {sent} {received}");
        let by_second = report["series"].as_array().unwrap().iter();
        let sum: u64 = by_second.map(|second| second["counts"]["sent"].as_u64().unwrap()).sum();
        assert_eq!(sum, expected[0], "{flags}");
        assert!(server.queue("leveret-perf").is_none(), "{flags}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_sent_is_received_once() {
    check(&[
        ("-C 5000 --auto-ack", [5000, 5000, 0, 0, 0, 0]),
        ("-C 5000 --confirm 7 --prefetch 10 --multi-ack 3", [5000, 5000, 5000, 0, 0, 0]),
        ("-C 500 --confirm 1 --persistent --mandatory -q 1", [500, 500, 500, 0, 0, 0]),
        ("-C 50 -x 2 -X 3 -y 3 -Y 2 -c 5", [300, 300, 300, 0, 0, 0]),
        ("-C 40 -s 0-300000", [40, 40, 0, 0, 0, 0]),
        ("-C 100 -s 0,5,200000 -a --heartbeat 1", [100, 100, 0, 0, 0, 0]),
        ("-C 100 --stamp header --headers a=b --property priority=3", [100, 100, 0, 0, 0, 0]),
        ("-C 200 --think 100 -q 20 -A 5", [200, 200, 0, 0, 0, 0]),
        ("-C 100 --exclusive --transient", [100, 100, 0, 0, 0, 0]),
        ("-C 300 -y 2 --queue-args x-queue-type=quorum -q 5 -c 9", [300, 300, 300, 0, 0, 0]),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn polling_consumers_get_everything() {
    check(&[
        ("-C 200 --poll -y 2", [200, 200, 0, 0, 0, 0]),
        ("-C 100 --poll --auto-ack --poll-interval 0", [100, 100, 0, 0, 0, 0]),
        ("-C 50 --poll --think 500 -A 7", [50, 50, 0, 0, 0, 0]),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exchanges_route_as_their_types_say() {
    check(&[
        ("-C 100 -t fanout -Q 3 -y 3 -c 10", [100, 300, 100, 0, 0, 0]),
        ("-C 100 -t direct -Q 3 -y 3", [100, 100, 0, 0, 0, 0]),
        ("-C 100 -t direct -Q 2 -y 2 -k a -k b", [100, 200, 0, 0, 0, 0]),
        // One key in four has a binding.
        (
            "-C 100 -t topic -k a.%d --routing-key-count 4 --binding-key a.1 --mandatory -c 9",
            [100, 25, 100, 75, 0, 0],
        ),
        ("-C 100 -t topic -k a.b --binding-key *.b --binding-key x.%q", [100, 100, 0, 0, 0, 0]),
        ("-C 100 -t headers --headers n=1 --binding-args n=1", [100, 100, 0, 0, 0, 0]),
        ("-C 100 -t headers --headers n=1 --binding-args n=2", [100, 0, 0, 0, 0, 0]),
        ("-C 100 -Q 5 -y 5 -x 2", [200, 200, 0, 0, 0, 0]),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_is_counted() {
    check(&[
        ("-C 300 -y 0 -k nowhere --mandatory -c 8", [300, 0, 300, 300, 0, 0]),
        ("-C 300 -y 0 -k nowhere --mandatory", [300, 0, 0, 300, 0, 0]),
        ("-C 300 -k nowhere -c 8", [300, 0, 300, 0, 0, 0]),
        ("-C 400 --nack 0.25 -q 50 -A 10", [400, 400, 0, 0, 0, 100]),
        // Those that do not fit.
        (
            "-C 100 -y 0 -c 20 --queue-args x-max-length=30,x-overflow=reject-publish",
            [100, 0, 30, 0, 70, 0],
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_messages_come_again() {
    let server = TestServer::start().await;
    let report = report(&server, "-C 300 --nack 0.5 --requeue -q 20").await;
    let [sent, received, rejected, redelivered] =
        counts(&report, ["sent", "received", "rejected", "redelivered"]);
    assert_eq!((sent, received), (300, 300 + rejected));
    // Each of two is refused, and so it goes on: 300, 150, 75 …
    assert!((290..=310).contains(&rejected), "{rejected}");
    // Some were under way when their turn came, and are delivered once more for each refusal.
    assert!(redelivered >= rejected, "{redelivered} {rejected}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rates_are_kept() {
    let server = TestServer::start().await;
    for (flags, sent, seconds) in [
        ("-C 100 --rate 400 -a", 100, 0.2475),
        ("-x 4 -C 25 --rate 100 -a", 100, 0.2475),
        // 20, then none, then 20 in a tenth of a second each.
        ("-C 40 --variable-rate 200:0.1,0:0.2 -a", 40, 0.395),
    ] {
        let report = report(&server, flags).await;
        assert_eq!(counts(&report, ["sent", "received"]), [sent, sent], "{flags}");
        let took = report["seconds"].as_f64().unwrap();
        assert!(took >= seconds, "{flags}: {took}");
    }
    let report = report(&server, "-d 1.5 -w 0.5 --rate 100 --confirm 10").await;
    let [sent, confirmed] = counts(&report, ["sent", "confirmed"]);
    // One second of it counts; what was sent just before may be confirmed in it.
    assert!((80..=105).contains(&sent) && confirmed.abs_diff(sent) <= 10, "{sent} {confirmed}");
    assert_eq!(report["ended"], "duration");
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_share_queues_that_are_kept() {
    let server = TestServer::start().await;
    let ready = || server.counts("q").ready;
    let counted = |report: &Value| counts(report, ["sent", "received"]);
    let publish = report(&server, "-u q -C 70 -y 0 --confirm 5 --keep").await;
    assert_eq!((counted(&publish), ready()), ([70, 0], 70));
    // It was there before, so it stays, with all that is in it.
    let more = report(&server, "-u q -C 30 -y 0 --confirm 5").await;
    assert_eq!((counted(&more), ready()), ([30, 0], 100));
    let some = report(&server, "-u q --predeclared -x 0 -D 40 -q 10 -A 10").await;
    assert_eq!((counted(&some), ready()), ([0, 40], 60));
    let sated = report(&server, "-u other -D 40 -a").await;
    assert_eq!((counts(&sated, ["received"]), &sated["ended"]), ([40], &Value::from("count")));
    let rest = report(&server, "-u q -x 0 --drain").await;
    assert_eq!((counted(&rest), ready()), ([0, 60], 0));
    report(&server, "-u q -C 30 -y 0 --confirm 5").await;
    let purged = report(&server, "-u q --purge -C 5 -a").await;
    assert_eq!((counted(&purged), ready()), ([5, 5], 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_over_tls_has_to_be_trusted() {
    let authority = Authority::new("Test CA");
    let directory = Directory::new(&authority);
    let tls = Arc::new(Tls::load(directory.options()).unwrap());
    let address = "127.0.0.1:0".parse().unwrap();
    let listen = Listen { tls: Some(tls), ..Listen::plain(address) };
    let server = TestServer::listening(Limits::default(), Offer::default(), listen).await;
    let uri = format!("amqps://guest:guest@localhost:{}", server.address.port());
    let flags = "-C 300 -s 20,50000 --confirm 10";
    for trust in
        [format!("--cacert {}", directory.path("ca.pem").display()), "--insecure".to_owned()]
    {
        let report = report_of(&uri, &format!("{flags} {trust}")).await;
        assert_eq!(counts(&report, ["received", "confirmed"]), [300, 300]);
    }
    assert!(failed(&uri, flags).await.contains("certificate"), "nobody signed it");
    let key = directory.path("server.key").display().to_string();
    let missing = failed(&uri, &format!("{flags} --cacert {key}")).await;
    assert!(missing.contains("server.key: it has no certificate in it"), "{missing}");
}

/// The one line that says why it failed.
async fn failed(uri: &str, flags: &str) -> String {
    let Output { status, stderr, .. } = output(command(uri, flags)).await;
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{flags}: {stderr}");
    let line = stderr.strip_suffix('\n').unwrap();
    assert!(line.starts_with("leveret perf: ") && !line.contains('\n'), "{stderr}");
    line.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_one_line() {
    let server = TestServer::start().await;
    report(&server, "-u q -C 1 -y 0 --keep").await;
    let address = server.address;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let guest = server.url();
    for (uri, flags, part) in [
        (format!("amqp://{closed}"), "", "cannot connect to amqp://127.0.0.1:"),
        (format!("amqp://guest:wrong@{address}"), "", "403 ACCESS_REFUSED"),
        (format!("amqp://{address}/nowhere"), "", "530 NOT_ALLOWED"),
        (
            guest.clone(),
            "-u q --queue-args x-max-length=5",
            "406 PRECONDITION_FAILED - inequivalent",
        ),
        (guest.clone(), "-u q2 --predeclared -x 0", "404 NOT_FOUND - no queue 'q2'"),
        (guest.clone(), "-e nowhere --predeclared -y 0", "404 NOT_FOUND - no exchange 'nowhere'"),
        (guest.clone(), "-X 3000", "channels on a connection"),
        (guest.clone(), "-d 0.1 --json /nowhere/report.json", "cannot write /nowhere/report.json"),
    ] {
        let line = failed(&uri, flags).await;
        assert!(line.contains(part), "{flags}: {line}");
    }
    assert!(server.queue("leveret-perf").is_none(), "what was made is gone after a failure too");
    assert!(server.queue("q").is_some(), "what was there is not");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_flags_are_exit_code_2() {
    for flags in ["--bogus", "-x none", "--nack 2", "report", "-x 0 -y 0"] {
        let Output { status, stdout, stderr } = output(command("amqp://", flags)).await;
        assert_eq!((status.code(), stdout.is_empty()), (Some(2), true), "{flags}");
        assert!(!stderr.is_empty(), "{flags}");
    }
}

/// All connections are open then, and messages flow through all of them.
fn arrives(server: &TestServer) -> bool {
    server.queue("leveret-perf").is_some_and(|queue| queue.stats.counts().deliver_get() > 0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_stops_ends_the_run_with_what_there_was() {
    let server = TestServer::start().await;
    let command = command(&server.url(), "--rate 1000 -q 100");
    let running = tokio::spawn(output(command));
    server.until("messages arrive", || arrives(&server)).await;
    server.server.stop().await;
    let Output { status, stderr, .. } = soon(running).await.unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("320 CONNECTION_FORCED") && stderr.lines().count() == 1, "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_it_with_the_totals() {
    let server = TestServer::start().await;
    let mut command = command(&server.url(), "--rate 200 --confirm 10 --progress");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = child.id().to_string();
    server.until("messages arrive", || arrives(&server)).await;
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
    let Output { status, stdout, .. } = soon(ended).await.unwrap();
    let stdout = String::from_utf8(stdout).unwrap();
    assert!(status.success() && stdout.contains("interrupted"), "{status} {stdout}");
    assert!(server.queue("leveret-perf").is_none(), "it tidies up");
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_are_compared_on_a_page() {
    let server = TestServer::start().await;
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    for run in ["before", "after"] {
        let (json, csv, html) = (path(&format!("{run}.json")), path("r.csv"), path("r.html"));
        let mut command = command(&server.url(), "-C 100 -c 10 --progress --name n");
        command.args(["--json", &json, "--csv", &csv, "--html", &html]);
        let Output { status, stdout, .. } = output(command).await;
        let stdout = String::from_utf8(stdout).unwrap();
        assert!(status.success() && stdout.starts_with("n: "), "{stdout}");
    }
    let read = |name: &str| std::fs::read_to_string(path(name)).unwrap();
    assert_eq!(read("r.csv").lines().count(), 2);
    assert!(read("r.html").contains("<svg") && !read("r.html").contains("guest:guest"));
    assert!(!read("after.json").contains("guest:guest"), "no passwords in files");

    let compare = |args: &[String]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_leveret"));
        command.args(["perf", "report"]).args(args);
        output(command)
    };
    let page = path("page.html");
    let files = [path("before.json"), path("after.json"), "-o".to_owned(), page.clone()];
    assert!(compare(&files).await.status.success());
    let page = std::fs::read_to_string(Path::new(&page)).unwrap();
    assert!(page.contains("before, received") && page.contains("after, received"));
    let Output { status, stderr, .. } =
        compare(&[path("none.json"), "-o".to_owned(), path("x")]).await;
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(
        stderr.starts_with("leveret perf: cannot read") && stderr.contains("none.json"),
        "{stderr}"
    );
}
