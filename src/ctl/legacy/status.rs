//! What the broker says of itself.

use serde_json::{Map, Value, json};

use super::Call;
use super::format::Printer;
use crate::ctl::Ctl;
use crate::ctl::error::CtlError;
use crate::ctl::node::{self, alarms};
use crate::ctl::output::{count_of, field, number_of, rows_of, text_of};
use crate::ctl::thing::Thing;

pub async fn show(ctl: &Ctl, call: &Call<'_>, printer: &Printer) -> Result<(), CtlError> {
    match call.old.name {
        "version" | "server_version" => {
            let version = node::compatible_version(ctl).await?;
            if !printer.json(&Value::from(version.as_str())) {
                printer.say(&version);
            }
            Ok(())
        }
        "status" => status(ctl, call, printer).await,
        "cluster_status" => cluster_status(ctl, call, printer).await,
        "report" => report(ctl, call, printer).await,
        "listeners" => {
            let overview = node::overview_of(ctl).await?;
            let all = overview.get("listeners").cloned().unwrap_or_default();
            if !printer.json(&json!({ "result": "ok", "node": call.node, "listeners": all })) {
                printer.say(&listener_lines(&overview).join("\n"));
            }
            Ok(())
        }
        "alarms" => {
            let on = alarms(&node::node(ctl).await?);
            if !printer.json(&json!({ "result": "ok", "alarms": on })) {
                printer.say(&match on.is_empty() {
                    true => format!("Node {} reported no alarms, local or clusterwide", call.node),
                    false => format!("Node {} reported alarms: {}", call.node, on.join(", ")),
                });
            }
            Ok(())
        }
        "memory_breakdown" => memory(ctl, call, printer).await,
        "quorum_status" => quorum_status(ctl, call, printer).await,
        _ => peek(ctl, call, printer).await,
    }
}

fn listener_lines(overview: &Value) -> Vec<String> {
    let line = |it: &Value| {
        let (ip, protocol) = (text_of(it, "ip_address"), text_of(it, "protocol"));
        let purpose = match protocol {
            "amqp" => "AMQP 0-9-1",
            "amqp/ssl" => "AMQP 0-9-1 over TLS",
            "http" => "HTTP API",
            "https" => "HTTP API over TLS (HTTPS)",
            "http/prometheus" => "Prometheus exporter API over HTTP",
            _ => protocol,
        };
        let ip = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
        let port = count_of(it, "port");
        format!("Interface: {ip}, port: {port}, protocol: {protocol}, purpose: {purpose}")
    };
    overview.get("listeners").map(rows_of).unwrap_or_default().iter().map(line).collect()
}

/// What is needed to say how the broker is.
struct Found {
    node: Value,
    overview: Value,
    memory: Value,
    vhosts: usize,
}

impl Found {
    async fn ask(ctl: &Ctl) -> Result<Self, CtlError> {
        let node = node::node(ctl).await?;
        let overview = node::overview_of(ctl).await?;
        let memory = memory_of(ctl, &node).await?;
        let vhosts = ctl.client.get(&Thing::at(["vhosts"]).with(&[("columns", "name")])).await?;
        Ok(Self { node, overview, memory, vhosts: rows_of(&vhosts).len() })
    }

    fn json(&self) -> Value {
        let Self { node, overview, memory, vhosts } = self;
        let total = |key: &str| count_of(overview, &format!("object_totals.{key}"));
        json!({
            "pid": text_of(node, "os_pid").parse::<u64>().unwrap_or_default(),
            "os": std::env::consts::OS,
            "uptime": count_of(node, "uptime") / 1000,
            "is_under_maintenance": field(node, "being_drained"),
            "rabbitmq_version": text_of(overview, "rabbitmq_version"),
            "product_name": text_of(overview, "product_name"),
            "product_version": text_of(overview, "product_version"),
            "active_plugins": field(node, "enabled_plugins"),
            "alarms": alarms(node),
            "config_files": field(node, "config_files"),
            "log_files": field(node, "log_files"),
            "data_directory": text_of(node, "db_dir"),
            "disk_free": count_of(node, "disk_free"),
            "disk_free_limit": count_of(node, "disk_free_limit"),
            "file_descriptors": {
                "total_limit": count_of(node, "fd_total"),
                "total_used": count_of(node, "fd_used"),
                "sockets_limit": count_of(node, "sockets_total"),
                "sockets_used": count_of(node, "sockets_used"),
            },
            "listeners": field(overview, "listeners"),
            "memory": memory,
            "vm_memory_high_watermark_limit": count_of(node, "mem_limit"),
            "processes": {
                "limit": count_of(node, "proc_total"),
                "used": count_of(node, "proc_used"),
            },
            "run_queue": count_of(node, "run_queue"),
            "totals": {
                "virtual_host_count": vhosts,
                "connection_count": total("connections"),
                "queue_count": total("queues"),
            },
        })
    }

    fn text(&self) -> String {
        let Self { node, overview, vhosts, .. } = self;
        let gigabytes = |bytes: u64| format!("{:.4} gb", bytes as f64 / 1e9);
        let on = alarms(node);
        let on = if on.is_empty() { "(none)".to_owned() } else { on.join("\n") };
        let mut text = "Runtime\n\n".to_owned();
        for (name, value) in [
            ("OS PID", text_of(node, "os_pid").to_owned()),
            ("OS", std::env::consts::OS.to_owned()),
            ("Uptime (seconds)", (count_of(node, "uptime") / 1000).to_string()),
            (
                "Is under maintenance?",
                field(node, "being_drained").map(Value::to_string).unwrap_or_default(),
            ),
            ("RabbitMQ version", text_of(overview, "rabbitmq_version").to_owned()),
            (
                "Product",
                format!(
                    "{} {}",
                    text_of(overview, "product_name"),
                    text_of(overview, "product_version")
                ),
            ),
            ("Node name", text_of(node, "name").to_owned()),
        ] {
            text += &format!("{name}: {value}\n");
        }
        text += &format!("\nData directory\n\nNode data directory: {}\n", text_of(node, "db_dir"));
        text += &format!("\nAlarms\n\n{on}\n");
        text += &format!(
            "\nMemory\n\nTotal memory used: {}\nMemory high watermark setting: computed to: {}\n",
            gigabytes(count_of(node, "mem_used")),
            gigabytes(count_of(node, "mem_limit")),
        );
        text += &format!(
            "\nFile Descriptors\n\nTotal: {}, limit: {}\nSockets: {}, limit: {}\n",
            count_of(node, "fd_used"),
            count_of(node, "fd_total"),
            count_of(node, "sockets_used"),
            count_of(node, "sockets_total"),
        );
        text += &format!(
            "\nFree Disk Space\n\nLow free disk space watermark: {}\nFree disk space: {}\n",
            gigabytes(count_of(node, "disk_free_limit")),
            gigabytes(count_of(node, "disk_free")),
        );
        text += &format!(
            "\nTotals\n\nConnection count: {}\nQueue count: {}\nVirtual host count: {vhosts}\n",
            count_of(overview, "object_totals.connections"),
            count_of(overview, "object_totals.queues"),
        );
        text + &format!("\nListeners\n\n{}", listener_lines(overview).join("\n"))
    }
}

async fn status(ctl: &Ctl, _: &Call<'_>, printer: &Printer) -> Result<(), CtlError> {
    let found = Found::ask(ctl).await?;
    if !printer.json(&found.json()) {
        printer.say(&found.text());
    }
    Ok(())
}

async fn cluster_status(ctl: &Ctl, _: &Call<'_>, printer: &Printer) -> Result<(), CtlError> {
    let (node, overview) = (node::node(ctl).await?, node::overview_of(ctl).await?);
    let name = text_of(&node, "name");
    let (version, cluster) =
        (text_of(&overview, "rabbitmq_version"), text_of(&overview, "cluster_name"));
    let on = alarms(&node);
    let shown = json!({
        "cluster_name": cluster,
        "disk_nodes": [name],
        "ram_nodes": [],
        "running_nodes": [name],
        "versions": { name: { "rabbitmq_version": version } },
        "maintenance_status": { name: "not under maintenance" },
        "alarms": on,
        "partitions": {},
        "listeners": { name: field(&overview, "listeners") },
    });
    if !printer.json(&shown) {
        let on = if on.is_empty() { "(none)".to_owned() } else { on.join("\n") };
        printer.say(&format!(
            "Basics\n\nCluster name: {cluster}\n\nDisk Nodes\n\n{name}\n\nRunning Nodes\n\n{name}\n\n\
             Versions\n\n{name}: RabbitMQ {version}\n\nMaintenance status\n\n\
             Node: {name}, status: not under maintenance\n\nAlarms\n\n{on}\n\n\
             Network Partitions\n\n(none)\n\nListeners\n\n{}",
            listener_lines(&overview).join("\n"),
        ));
    }
    Ok(())
}

/// All that people are asked for when they ask for help.
async fn report(ctl: &Ctl, call: &Call<'_>, printer: &Printer) -> Result<(), CtlError> {
    status(ctl, call, printer).await?;
    for (title, path, columns) in [
        ("Connections", "connections", "name,user,vhost,state,channels"),
        ("Channels", "channels", "name,user,consumer_count,messages_unacknowledged,prefetch_count"),
        ("Queues", "queues", "vhost,name,type,durable,messages,consumers,memory"),
        ("Exchanges", "exchanges", "vhost,name,type,durable,policy"),
        ("Policies", "policies", "vhost,name,pattern,apply-to,definition,priority"),
        ("Users", "users", "name,tags"),
        ("Permissions", "permissions", "vhost,user,configure,write,read"),
    ] {
        let found = ctl.client.get(&Thing::at([path]).with(&[("columns", columns)])).await?;
        let columns: Vec<&str> = columns.split(',').collect();
        let row = |row: &Value| {
            let value = |key: &&str| field(row, key).cloned().unwrap_or(Value::Null);
            columns.iter().map(value).collect::<Vec<_>>()
        };
        printer.banner(&format!("\n{title}:"));
        printer.rows(&columns, &rows_of(&found).iter().map(row).collect::<Vec<_>>());
    }
    Ok(())
}

async fn memory_of(ctl: &Ctl, node: &Value) -> Result<Value, CtlError> {
    let found = ctl.client.get(&Thing::at(["nodes", text_of(node, "name"), "memory"])).await?;
    Ok(found.get("memory").cloned().unwrap_or_default())
}

async fn memory(ctl: &Ctl, call: &Call<'_>, printer: &Printer) -> Result<(), CtlError> {
    let node = node::node(ctl).await?;
    let memory = memory_of(ctl, &node).await?;
    let (unit, divisor) = match call.get("unit").unwrap_or("gb") {
        unit @ ("bytes" | "b") => (unit, 1.0),
        unit @ "kb" => (unit, 1e3),
        unit @ "mb" => (unit, 1e6),
        unit @ "gb" => (unit, 1e9),
        unit => return Err(CtlError::Usage(format!("unit '{unit}' is not supported"))),
    };
    let total = number_of(&memory, "total.rss").max(1.0);
    let parts = memory.as_object().into_iter().flatten();
    let mut parts: Vec<(&String, f64)> =
        parts.filter_map(|(name, bytes)| Some((name, bytes.as_f64()?))).collect();
    parts.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let percent = |bytes: f64| (bytes * 10_000.0 / total).round() / 100.0;
    let json: Map<String, Value> = parts
        .iter()
        .map(|(name, bytes)| {
            let part = json!({ "bytes": *bytes as u64, "percentage": percent(*bytes) });
            ((*name).clone(), part)
        })
        .collect();
    if !printer.json(&json.into()) {
        for (name, bytes) in parts {
            let amount = (bytes / divisor * 10_000.0).round() / 10_000.0;
            printer.say(&format!("{name}: {amount} {unit} ({}%)", percent(bytes)));
        }
    }
    Ok(())
}

async fn quorum_status(ctl: &Ctl, call: &Call<'_>, printer: &Printer) -> Result<(), CtlError> {
    let name = call.text("queue");
    let queue = ctl.client.get(&Thing::queue(ctl.vhost(), name)).await?;
    if text_of(&queue, "type") != "quorum" {
        return Err(CtlError::Data(format!("queue '{name}' is no quorum queue")));
    }
    let node = text_of(&queue, "leader");
    printer.rows(
        &["Node Name", "Raft State", "Membership"],
        &[vec![node.into(), "leader".into(), "voter".into()]],
    );
    Ok(())
}

/// Counted from 1.
async fn peek(ctl: &Ctl, call: &Call<'_>, printer: &Printer) -> Result<(), CtlError> {
    let wrong = || CtlError::Usage("the position is a number from 1 to 500".to_owned());
    let at = call.text("position").parse::<usize>().ok().filter(|at| (1..=500).contains(at));
    let at = at.ok_or_else(wrong)?;
    let messages = Thing::queue(ctl.vhost(), call.text("queue")).below(["messages"]);
    let found = ctl.client.get(&messages.with(&[("count", &at.to_string())])).await?;
    let found = found.get("messages").map(rows_of).unwrap_or_default();
    let none = || CtlError::Data("there is no message at that position".to_owned());
    let message = found.get(at - 1).ok_or_else(none)?;
    if printer.json(message) {
        return Ok(());
    }
    let fields = message.as_object().into_iter().flatten();
    let rows = fields.map(|(key, value)| vec![key.as_str().into(), value.clone()]);
    printer.rows(&["keys", "values"], &rows.collect::<Vec<_>>());
    Ok(())
}
