//! This node, the only one: `/nodes` (reference 6.2).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};

use super::Name;
use super::overview::{NO_ERLANG, PRODUCT, contexts, exchange_types, uptime_millis};
use crate::broker::{COMPATIBLE_VERSION, Resource, node_name};
use crate::management::Api;
use crate::management::caller::Monitor;
use crate::management::figures::{node_gauges, stores};
use crate::management::machine::Machine;
use crate::management::openapi::{Routes, SAMPLES, Who, get};
use crate::management::rates::Ranges;
use crate::management::refusal::Refusal;

pub(super) fn router() -> Routes {
    let who = Who::Monitor;
    Routes::new()
        .route("/", [get(who, list, "The nodes: one").query(SAMPLES).answers("[Node]")])
        .route("/{node}", [get(who, one, "A node").query(SAMPLES).answers("Node")])
        .route("/{node}/memory", [get(who, memory, "Bytes of memory, by use").answers("Memory")])
        .route(
            "/{node}/memory/relative",
            [get(who, memory_relative, "Memory by use, in percent").answers("Memory")],
        )
}

async fn list(_: Monitor, State(api): State<Arc<Api>>, ranges: Ranges) -> Json<Value> {
    Json(vec![shown(&api, &ranges)].into())
}

async fn one(
    _: Monitor,
    State(api): State<Arc<Api>>,
    Name(name): Name,
    ranges: Ranges,
) -> Result<Json<Value>, Refusal> {
    check(&name)?;
    Ok(Json(shown(&api, &ranges)))
}

pub(super) fn check(name: &str) -> Result<(), Refusal> {
    if name == node_name() { Ok(()) } else { Err(Refusal::NotFound) }
}

fn shown(api: &Api, ranges: &Ranges) -> Value {
    let node = &api.services.node;
    let machine = Machine::look(&node.directory);
    let alarms = &api.services.broker.alarms;
    let journal = stores(api).0;
    let sync_millis = journal.sync_micros as f64 / 1000.0 / journal.fsyncs.max(1) as f64;
    let mut object = Map::new();
    let churned = api.services.broker.churn.counts();
    api.rates.put_node(&mut object, &node_gauges(api, &machine), &churned, ranges);
    put_all(
        &mut object,
        json!({
            "name": node_name(),
            "type": "disc",
            "running": true,
            "being_drained": api.draining.is_cancelled(),
            "partitions": [],
            "cluster_links": [],
            "os_pid": std::process::id().to_string(),
            "uptime": uptime_millis(api),
            "processors": std::thread::available_parallelism().map_or(1, usize::from),
            "run_queue": machine.runnable,
            "fd_total": machine.files_max,
            "sockets_total": machine.files_max,
            "proc_total": machine.threads_max,
            "mem_limit": node.limits.memory().unwrap_or(machine.memory_total),
            "mem_alarm": alarms.is_on(Resource::Memory),
            "mem_calculation_strategy": "rss",
            "disk_free_limit": node.limits.disk_free(),
            "disk_free_alarm": alarms.is_on(Resource::Disk),
            "rates_mode": "basic",
        }),
    );
    put_all(
        &mut object,
        json!({
            "rabbitmq_version": COMPATIBLE_VERSION,
            "erlang_version": NO_ERLANG,
            "erlang_full_version": NO_ERLANG,
            "crypto_lib_version": NO_ERLANG,
            "applications": [
                { "name": "rabbit", "description": "RabbitMQ", "version": COMPATIBLE_VERSION },
                {
                    "name": PRODUCT,
                    "description": env!("CARGO_PKG_DESCRIPTION"),
                    "version": env!("CARGO_PKG_VERSION"),
                },
            ],
            "enabled_plugins": ["rabbitmq_management", "rabbitmq_prometheus"],
            "exchange_types": exchange_types(),
            "auth_mechanisms": auth_mechanisms(),
            "contexts": contexts(api),
            "config_files": node.config_files,
            "log_files": ["<stderr>"],
            "db_dir": node.directory.to_string_lossy(),
            "net_ticktime": 60,
            "metrics_gc_queue_length": {},
            "ra_open_file_metrics": {},
            "io_sync_avg_time": sync_millis,
            "io_sync_avg_time_details": { "rate": 0.0 },
        }),
    );
    // What only a virtual machine has, or what there is no such thing as here.
    for key in [
        "gc_num",
        "gc_bytes_reclaimed",
        "io_read_count",
        "io_read_bytes",
        "io_read_avg_time",
        "io_write_avg_time",
        "io_seek_count",
        "io_seek_avg_time",
        "io_reopen_count",
        "mnesia_ram_tx_count",
        "mnesia_disk_tx_count",
        "queue_index_read_count",
        "queue_index_write_count",
    ] {
        object.insert(key.to_owned(), 0.into());
        object.insert(format!("{key}_details"), json!({ "rate": 0.0 }));
    }
    object.into()
}

fn put_all(object: &mut Map<String, Value>, more: Value) {
    if let Value::Object(more) = more {
        object.extend(more);
    }
}

fn auth_mechanisms() -> Value {
    let mechanism = |name: &str| {
        let description = format!("SASL {name} authentication mechanism");
        json!({ "name": name, "description": description, "enabled": true })
    };
    ["PLAIN", "AMQPLAIN"].map(mechanism).into_iter().collect()
}

/// By RabbitMQ's names: what they name there is 0 where there is none of it here.
pub(in crate::management) fn breakdown(api: &Api) -> (Map<String, Value>, u64) {
    let machine = Machine::look(&api.services.node.directory);
    let (memory, rates) = (api.services.broker.memory_use(), api.rates.cost() as u64);
    let known = memory.total() + rates + machine.code;
    let keys = [
        ("connection_readers", memory.input),
        ("connection_writers", memory.output),
        ("connection_channels", 0),
        ("connection_other", 0),
        ("queue_procs", memory.classic),
        ("queue_slave_procs", 0),
        ("quorum_queue_procs", memory.quorum),
        ("quorum_queue_dlx_procs", 0),
        ("stream_queue_procs", memory.streams),
        ("stream_queue_replica_reader_procs", 0),
        ("stream_queue_coordinator_procs", 0),
        ("plugins", 0),
        ("metadata_store", 0),
        ("other_proc", 0),
        ("metrics", 0),
        ("mgmt_db", rates),
        ("mnesia", 0),
        ("quorum_ets", 0),
        ("metadata_store_ets", 0),
        ("other_ets", 0),
        ("binary", 0),
        ("msg_index", 0),
        ("code", machine.code),
        ("atom", 0),
        ("other_system", machine.resident.saturating_sub(known)),
        ("allocated_unused", 0),
        ("reserved_unallocated", 0),
    ];
    let keys = keys.into_iter().map(|(key, bytes)| (key.to_owned(), bytes.into()));
    (keys.collect(), machine.resident)
}

async fn memory(
    _: Monitor,
    State(api): State<Arc<Api>>,
    Name(name): Name,
) -> Result<Json<Value>, Refusal> {
    check(&name)?;
    let (mut memory, resident) = breakdown(&api);
    memory.insert("strategy".to_owned(), "rss".into());
    let total = json!({ "rss": resident, "allocated": resident, "erlang": resident });
    memory.insert("total".to_owned(), total);
    Ok(Json(json!({ "memory": memory })))
}

/// In percent.
async fn memory_relative(
    _: Monitor,
    State(api): State<Arc<Api>>,
    Name(name): Name,
) -> Result<Json<Value>, Refusal> {
    check(&name)?;
    let (mut memory, resident) = breakdown(&api);
    for bytes in memory.values_mut() {
        let share = bytes.as_f64().unwrap_or(0.0) * 100.0 / resident.max(1) as f64;
        *bytes = (share.round() as u64).into();
    }
    memory.insert("total".to_owned(), 100.into());
    Ok(Json(json!({ "memory": memory })))
}
