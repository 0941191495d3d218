//! `leveret ctl doctor`: what is wrong with a broker, and what to do about it.

use std::net::{IpAddr, UdpSocket};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Args;
use serde_json::{Value, json};

use super::Ctl;
use super::client::{Client, Target};
use super::error::CtlError;
use super::escape::escaped;
use super::list::List;
use super::node::{self, alarms, checked};
use super::output::{Format, count_of, duration, plain, rows_of, say, say_json, size, text_of};
use super::user::authenticates;

#[derive(Args)]
pub struct DoctorOptions {
    /// Complain of messages that wait for so many seconds
    #[arg(long, value_name = "SECS", default_value = "3600")]
    age: u64,
    /// Complain of channels with so many unacknowledged messages
    #[arg(long, value_name = "N", default_value = "1000")]
    unacked: u64,
    /// Complain of certificates that end within so many days
    #[arg(long, value_name = "N", default_value = "30")]
    days: u32,
    /// Complain of memory and files of which more than this is in use
    #[arg(long, value_name = "PERCENT", default_value = "80")]
    percent: u64,
}

/// Names that are shown of what is wrong with many.
const NAMES: usize = 5;

/// What one check found.
struct Finding {
    check: &'static str,
    found: String,
    /// What to do, if something is wrong.
    advice: Option<&'static str>,
}

impl Finding {
    fn new(check: &'static str, found: String, is_wrong: bool, advice: &'static str) -> Self {
        Self { check, found, advice: is_wrong.then_some(advice) }
    }

    /// About things of which there should be none.
    fn none(check: &'static str, found: &[String], advice: &'static str) -> Self {
        let shown = found.iter().take(NAMES).cloned().collect::<Vec<_>>().join(", ");
        let text = match found.len() {
            0 => "none".to_owned(),
            count if count > NAMES => format!("{count}: {shown}, …"),
            count => format!("{count}: {shown}"),
        };
        Self::new(check, text, !found.is_empty(), advice)
    }
}

pub async fn run(ctl: &Ctl, options: &DoctorOptions) -> Result<ExitCode, CtlError> {
    let node = node::node(ctl).await?;
    let overview = node::overview_of(ctl).await?;
    let mut findings = of_node(&node, options);
    findings.extend(of_clients(ctl, options).await?);
    findings.extend(of_queues(ctl, options).await?);
    findings.push(of_guest(ctl, &overview).await);
    findings.push(of_certificates(ctl, options).await?);
    let wrong = findings.iter().filter(|finding| finding.advice.is_some()).count();
    match ctl.out.format {
        Format::Json => say_json(&as_json(&findings, wrong)),
        _ => {
            let (name, version) =
                (text_of(&overview, "product_name"), text_of(&overview, "product_version"));
            let up = duration(count_of(&node, "uptime") / 1000);
            let address = ctl.client.target().address();
            say(&escaped(&format!("{name} {version} at {address}, up for {up}")));
            say("");
            show(&findings, wrong);
        }
    }
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn as_json(findings: &[Finding], wrong: usize) -> Value {
    let finding = |it: &Finding| {
        let status = if it.advice.is_some() { "problem" } else { "ok" };
        json!({ "check": it.check, "status": status, "found": it.found, "advice": it.advice })
    };
    json!({ "problems": wrong, "checks": findings.iter().map(finding).collect::<Vec<_>>() })
}

fn show(findings: &[Finding], wrong: usize) {
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or_default();
    for Finding { check, found, advice } in findings {
        let mark = if advice.is_some() { "PROBLEM" } else { "ok     " };
        say(&format!("{mark}  {check:width$}  {}", escaped(found)));
        if let Some(advice) = advice {
            say(&format!("         {:width$}  -> {advice}", ""));
        }
    }
    say(&match wrong {
        0 => "\nNothing is wrong.".to_owned(),
        1 => "\n1 problem.".to_owned(),
        wrong => format!("\n{wrong} problems."),
    });
}

/// Memory, disk and files against their limits.
fn of_node(node: &Value, options: &DoctorOptions) -> Vec<Finding> {
    let on: Vec<String> = alarms(node).into_iter().map(str::to_owned).collect();
    let percent = |used: u64, limit: u64| used.saturating_mul(100) / limit.max(1);
    let (memory, memory_max) = (count_of(node, "mem_used"), count_of(node, "mem_limit"));
    let (disk, disk_min) = (count_of(node, "disk_free"), count_of(node, "disk_free_limit"));
    let (files, files_max) = (count_of(node, "fd_used"), count_of(node, "fd_total"));
    vec![
        Finding::none(
            "alarms",
            &on,
            "publishers are blocked: consume or delete messages, or give the broker more (docs/alarms.md)",
        ),
        Finding::new(
            "memory",
            format!("{} of {} ({} %)", size(memory), size(memory_max), percent(memory, memory_max)),
            percent(memory, memory_max) > options.percent,
            "publishers are blocked at the limit: `status`, and `queues list name memory` say what it is for",
        ),
        Finding::new(
            "disk",
            format!("{} free, alarm below {}", size(disk), size(disk_min)),
            disk_min > 0 && disk < disk_min.saturating_mul(2),
            "publishers are blocked at the limit: make room on the disk, or purge long queues",
        ),
        Finding::new(
            "files",
            format!("{files} of {files_max} ({} %)", percent(files, files_max)),
            percent(files, files_max) > options.percent,
            "without files there are no new connections: raise LimitNOFILE, or `ulimit -n` (docs/install.md)",
        ),
    ]
}

/// A list, of one virtual host if one was named.
async fn rows(ctl: &Ctl, path: &'static str, columns: &str) -> Result<Vec<Value>, CtlError> {
    let list = List { path, columns: &[], by_vhost: false };
    let mut thing = list.thing(None).with(&[("columns", columns)]);
    if let Some(vhost) = &ctl.vhost {
        thing = thing.in_vhost(vhost);
    }
    Ok(rows_of(&ctl.client.get(&thing).await?).to_vec())
}

async fn of_clients(ctl: &Ctl, options: &DoctorOptions) -> Result<Vec<Finding>, CtlError> {
    let connections = rows(ctl, "connections", "name,user,state").await?;
    let is_blocked = |row: &&Value| text_of(row, "state") == "blocked";
    let blocked = connections.iter().filter(is_blocked);
    let blocked = blocked.map(|row| format!("{} ({})", text_of(row, "name"), text_of(row, "user")));
    let columns = "name,user,messages_unacknowledged,prefetch_count";
    let channels = rows(ctl, "channels", columns).await?;
    let many = channels.iter().filter(|row| count_of(row, "unacked") >= options.unacked);
    let many = many.map(|row| {
        let (name, user) = (text_of(row, "name"), text_of(row, "user"));
        format!("{name} ({user}) has {}", count_of(row, "unacked"))
    });
    Ok(vec![
        Finding::none(
            "blocked connections",
            &blocked.collect::<Vec<_>>(),
            "they may publish again when the alarm is over",
        ),
        Finding::none(
            "many unacked",
            &many.collect::<Vec<_>>(),
            "these consumers are slow or do not acknowledge: give them a smaller prefetch (docs/consumer-timeout.md)",
        ),
    ])
}

async fn of_queues(ctl: &Ctl, options: &DoctorOptions) -> Result<Vec<Finding>, CtlError> {
    let columns = "vhost,name,type,messages_ready,messages_dlx,consumers,head_message_timestamp";
    let queues = rows(ctl, "queues", columns).await?;
    let named = |row: &Value, what: String| {
        format!("{}: {} {what}", text_of(row, "vhost"), text_of(row, "name"))
    };
    // Streams keep what was read.
    let waiting = || queues.iter().filter(|row| text_of(row, "type") != "stream");
    let waiting = || waiting().filter(|row| count_of(row, "ready") > 0);
    let unread = waiting().filter(|row| count_of(row, "consumers") == 0);
    let unread = unread.map(|row| named(row, format!("has {}", count_of(row, "ready"))));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let old = waiting().filter_map(|row| {
        let published = row.get("head_message_timestamp").and_then(Value::as_u64)?;
        let age = now.as_secs().saturating_sub(published);
        (age > options.age).then(|| named(row, format!("since {}", duration(age))))
    });
    let dead = queues.iter().filter(|row| count_of(row, "messages_dlx") > 0);
    let dead = dead.map(|row| named(row, format!("has {}", count_of(row, "messages_dlx"))));
    Ok(vec![
        Finding::none(
            "no consumers",
            &unread.collect::<Vec<_>>(),
            "start a consumer, or limit what waits (docs/limits.md, docs/expiry.md)",
        ),
        Finding::none(
            "old messages",
            &old.collect::<Vec<_>>(),
            "consumers do not keep up, or none takes these: `queues peek` shows them",
        ),
        Finding::none(
            "waiting dead letters",
            &dead.collect::<Vec<_>>(),
            "their exchange leads to no queue, or to one that is full (docs/dead-letters.md)",
        ),
    ])
}

/// Whether somebody who is not on that machine gets in with the password that everybody knows.
async fn of_guest(ctl: &Ctl, overview: &Value) -> Finding {
    let advice = "change it, or delete the user: `users passwd guest`, `users delete guest` (docs/security.md)";
    let target = ctl.client.target();
    let seen_from = outside(target);
    let found = match &seen_from {
        None => Ok(false),
        Some(host) => {
            let target = Target { host: host.clone(), ..target.clone() };
            let timeout = ctl.client.timeout().min(Duration::from_secs(5));
            match Client::new(target, None, timeout) {
                Ok(client) => authenticates(&client, "guest", "guest").await,
                Err(error) => Err(error),
            }
        }
    };
    let is_open = overview.get("listeners").map(rows_of).unwrap_or_default().iter().any(|it| {
        let ip = text_of(it, "ip_address").parse::<IpAddr>();
        ip.is_ok_and(|ip| !ip.is_loopback())
    });
    let (text, is_wrong) = match (found, is_open) {
        (Ok(true), _) => ("logs in from other machines with the default password", true),
        (Ok(false), _) => ("does not log in from other machines with the default password", false),
        (Err(_), true) => {
            ("could not be tried from outside: HTTP listens on this machine alone", false)
        }
        (Err(_), false) => ("nothing listens to other machines", false),
    };
    Finding::new("user guest", text.to_owned(), is_wrong, advice)
}

/// The address of the broker as others see it; this machine's own, if it is here.
fn outside(target: &Target) -> Option<String> {
    let is_here = target.host == "localhost"
        || target.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if !is_here {
        return Some(target.host.clone());
    }
    // Nothing is sent: the system only says which address it would use. The other one is for examples.
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let own = socket.local_addr().ok()?.ip();
    (!own.is_loopback()).then(|| own.to_string())
}

async fn of_certificates(ctl: &Ctl, options: &DoctorOptions) -> Result<Finding, CtlError> {
    let answer = checked(ctl, &format!("certificate-expiration/{}/days", options.days)).await?;
    let expiring = answer.body.get("expired").map(rows_of).unwrap_or_default().iter().map(|it| {
        let dates = ["certfile_expires_on", "cacertfile_expires_on"];
        let dates = dates.iter().filter_map(|key| it.get(*key)).map(plain);
        let dates = dates.filter(|dates| !dates.is_empty()).collect::<Vec<_>>().join(", ");
        format!("port {}: {dates}", count_of(it, "port"))
    });
    Ok(Finding::none(
        "ending certificates",
        &expiring.collect::<Vec<_>>(),
        "renew them, and send SIGHUP to the broker (docs/tls.md)",
    ))
}
