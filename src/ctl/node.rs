//! `leveret ctl status`, `overview`, `version`, `ping`, `await-startup` and `health`.

use std::process::ExitCode;
use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::Ctl;
use super::client::Answer;
use super::error::CtlError;
use super::output::{count_of, duration, field, number_of, rows_of, size, text_of};
use super::thing::Thing;

/// How often a broker is asked that is starting.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// The checks that need nothing to be said.
const CHECKS: [&str; 7] = [
    "is-in-service",
    "ready-to-serve-clients",
    "below-node-connection-limit",
    "alarms",
    "local-alarms",
    "virtual-hosts",
    "node-is-quorum-critical",
];

/// The broker's only node.
pub async fn node(ctl: &Ctl) -> Result<Value, CtlError> {
    let nodes = ctl.client.get(&Thing::at(["nodes"])).await?;
    let node = rows_of(&nodes).first().cloned();
    node.ok_or_else(|| CtlError::Software("the broker has no node".to_owned()))
}

pub async fn overview_of(ctl: &Ctl) -> Result<Value, CtlError> {
    ctl.client.get(&Thing::at(["overview"])).await
}

/// Where clients connect: `amqp 127.0.0.1:5672`.
pub fn listeners(overview: &Value) -> Vec<String> {
    let listeners = overview.get("listeners").map(rows_of).unwrap_or_default();
    let shown = |it: &Value| {
        let (protocol, ip) = (text_of(it, "protocol"), text_of(it, "ip_address"));
        let ip = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
        format!("{protocol} {ip}:{}", count_of(it, "port"))
    };
    listeners.iter().map(shown).collect()
}

/// The alarms that are on.
pub fn alarms(node: &Value) -> Vec<&'static str> {
    let alarms = [("memory", "mem_alarm"), ("disk", "disk_free_alarm")];
    let on = alarms.into_iter().filter(|(_, key)| field(node, key) == Some(&Value::Bool(true)));
    on.map(|(name, _)| name).collect()
}

pub async fn status(ctl: &Ctl) -> Result<(), CtlError> {
    let (node, overview) = (node(ctl).await?, overview_of(ctl).await?);
    if ctl.out.wants_everything() {
        ctl.out.object(&json!({ "node": node, "overview": overview }), &[]);
        return Ok(());
    }
    let of = |used: &str, limit: &str| {
        format!("{} of {}", size(count_of(&node, used)), size(count_of(&node, limit)))
    };
    let alarms = alarms(&node);
    let totals = field(&overview, "object_totals").cloned().unwrap_or_default();
    let shown = json!({
        "node": text_of(&node, "name"),
        "version": format!("{} {}", text_of(&overview, "product_name"), text_of(&overview, "product_version")),
        "behaves like": format!("RabbitMQ {}", text_of(&overview, "rabbitmq_version")),
        "process": text_of(&node, "os_pid"),
        "up for": duration(count_of(&node, "uptime") / 1000),
        "alarms": if alarms.is_empty() { "none".to_owned() } else { alarms.join(", ") },
        "memory": of("mem_used", "mem_limit"),
        "disk free": format!("{}, alarm below {}", size(count_of(&node, "disk_free")), size(count_of(&node, "disk_free_limit"))),
        "open files": format!("{} of {}", count_of(&node, "fd_used"), count_of(&node, "fd_total")),
        "data": text_of(&node, "db_dir"),
        "listeners": listeners(&overview),
        "connections": count_of(&totals, "connections"),
        "channels": count_of(&totals, "channels"),
        "queues": count_of(&totals, "queues"),
        "consumers": count_of(&totals, "consumers"),
        "messages": count_of(&overview, "queue_totals.messages"),
    });
    let order = [
        "node",
        "version",
        "behaves like",
        "process",
        "up for",
        "alarms",
        "memory",
        "disk free",
        "open files",
        "data",
        "listeners",
        "connections",
        "channels",
        "queues",
        "consumers",
        "messages",
    ];
    ctl.out.object(&shown, &order);
    Ok(())
}

pub async fn overview(ctl: &Ctl) -> Result<(), CtlError> {
    let overview = overview_of(ctl).await?;
    if ctl.out.wants_everything() {
        ctl.out.object(&overview, &[]);
        return Ok(());
    }
    let rate = |key: &str| {
        let details = format!("message_stats.{key}_details.rate");
        let count = count_of(&overview, &format!("message_stats.{key}"));
        json!({ "what": key, "total": count, "a second": number_of(&overview, &details) })
    };
    let mut rows: Vec<Value> = ["messages_ready", "messages_unacknowledged", "messages"]
        .iter()
        .map(|key| {
            let details = format!("queue_totals.{key}_details.rate");
            let total = count_of(&overview, &format!("queue_totals.{key}"));
            json!({ "what": key, "total": total, "a second": number_of(&overview, &details) })
        })
        .collect();
    rows.extend(
        ["publish", "confirm", "deliver_get", "redeliver", "ack", "return_unroutable"].map(rate),
    );
    for key in ["connections", "channels", "exchanges", "queues", "consumers"] {
        let total = count_of(&overview, &format!("object_totals.{key}"));
        rows.push(json!({ "what": key, "total": total }));
    }
    ctl.out.list(&rows, &["what", "total", "a second"]);
    Ok(())
}

/// The version of RabbitMQ that the broker behaves like; nobody has to log in for it.
pub async fn compatible_version(ctl: &Ctl) -> Result<String, CtlError> {
    let version = ctl.client.get(&Thing::at(["version"])).await?;
    Ok(version.as_str().unwrap_or_default().to_owned())
}

pub async fn version(ctl: &Ctl) -> Result<(), CtlError> {
    let overview = overview_of(ctl).await?;
    let shown = json!({
        "client": concat!("leveret ", env!("CARGO_PKG_VERSION")),
        "broker": format!("{} {}", text_of(&overview, "product_name"), text_of(&overview, "product_version")),
        "behaves like": format!("RabbitMQ {}", text_of(&overview, "rabbitmq_version")),
    });
    ctl.out.object(&shown, &["client", "broker", "behaves like"]);
    Ok(())
}

pub async fn ping(ctl: &Ctl) -> Result<(), CtlError> {
    compatible_version(ctl).await?;
    ctl.out.done(&format!("{} answers", ctl.client.target().address()));
    Ok(())
}

fn check(name: &str) -> Thing {
    Thing::at(["health", "checks"].into_iter().chain(name.split('/')))
        .called(format!("health check '{name}'"))
}

pub async fn await_startup(ctl: &Ctl) -> Result<(), CtlError> {
    wait_until_ready(ctl).await?;
    ctl.out.done(&format!("{} is ready for clients", ctl.client.target().address()));
    Ok(())
}

/// Asks again and again until clients can connect.
pub async fn wait_until_ready(ctl: &Ctl) -> Result<(), CtlError> {
    let until = Instant::now() + ctl.client.timeout();
    let ready = check("ready-to-serve-clients");
    loop {
        let problem = match ctl.client.send(Method::GET, &ready, None, None).await {
            Ok(answer) if answer.status.is_success() => return Ok(()),
            Ok(answer) if answer.status.as_u16() == 503 => {
                CtlError::Unreachable(format!("not ready: {}", answer.reason()))
            }
            Ok(answer) => return Err(ctl.client.refusal(&ready, &answer)),
            Err(error @ (CtlError::Unreachable(_) | CtlError::TimedOut { .. })) => error,
            Err(error) => return Err(error),
        };
        if Instant::now() + ASK_AGAIN >= until {
            let address = ctl.client.target().address();
            let seconds = ctl.client.timeout().as_secs_f64();
            return Err(match problem {
                CtlError::TimedOut { .. } => problem,
                _ => CtlError::TimedOut { address, seconds },
            });
        }
        sleep(ASK_AGAIN).await;
    }
}

/// What a health check says: 503 is an answer, too.
pub async fn checked(ctl: &Ctl, name: &str) -> Result<Answer, CtlError> {
    let check = check(name);
    let answer = ctl.client.send(Method::GET, &check, None, None).await?;
    match answer.status.is_success() || answer.status.as_u16() == 503 {
        true => Ok(answer),
        false => Err(ctl.client.refusal(&check, &answer)),
    }
}

pub async fn health(ctl: &Ctl, checks: &[String]) -> Result<ExitCode, CtlError> {
    let mut rows = Vec::new();
    let mut well = true;
    let named: Vec<&str> = match checks {
        [] => CHECKS.to_vec(),
        checks => checks.iter().map(String::as_str).collect(),
    };
    for name in named {
        let answer = checked(ctl, name).await?;
        well &= answer.status.is_success();
        let status = text_of(&answer.body, "status").to_owned();
        let reason = answer.reason().to_owned();
        rows.push(
            json!({ "check": name, "status": status, "reason": reason, "answer": answer.body }),
        );
    }
    ctl.out.list(&rows, &["check", "status", "reason"]);
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
