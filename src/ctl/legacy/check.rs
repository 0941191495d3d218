//! Health checks, and waiting for a broker that starts.

use std::time::Duration;

use super::Call;
use super::format::Printer;
use crate::ctl::Ctl;
use crate::ctl::error::CtlError;
use crate::ctl::node::{self, checked};
use crate::ctl::output::{count_of, plain, rows_of, text_of};
use crate::ctl::{client::Answer, escape::escaped};
use serde_json::Value;
use tokio::net::TcpStream;

/// A listener that does not answer within this time is not there.
const PATIENCE: Duration = Duration::from_secs(10);

pub async fn run(ctl: &Ctl, call: &Call<'_>, printer: &Printer) -> Result<(), CtlError> {
    let node = &call.node;
    let single = format!(
        "Node {node} seems to be the only one in a single node cluster, the check does not apply"
    );
    let said = match call.old.name {
        "ping" => {
            node::compatible_version(ctl).await?;
            "Ping succeeded".to_owned()
        }
        "await_startup" | "wait" => {
            return node::wait_until_ready(ctl).await;
        }
        "await_online_nodes" => match call.text("count") {
            "1" => "1 node is online".to_owned(),
            _ => return Err(CtlError::Failed("there is only one node".to_owned())),
        },
        "check_running" | "is_running" => {
            well(checked(ctl, "is-in-service").await?, None)?;
            format!("RabbitMQ on node {node} is fully booted and running")
        }
        "is_booting" => {
            checked(ctl, "is-in-service").await?;
            format!(
                "RabbitMQ on node {node} is fully booted (check with is_running), stopped or has not started booting yet"
            )
        }
        "check_alarms" => {
            well(checked(ctl, "alarms").await?, Some(node))?;
            format!("Node {node} reported no alarms, local or clusterwide")
        }
        "check_local_alarms" => {
            well(checked(ctl, "local-alarms").await?, Some(node))?;
            format!("Node {node} reported no local alarms")
        }
        "node_health_check" => {
            for check in ["is-in-service", "alarms", "virtual-hosts"] {
                well(checked(ctl, check).await?, Some(node))?;
            }
            "Health check passed".to_owned()
        }
        "check_port_connectivity" => connect_to_all(ctl, node).await?,
        "check_port_listener" => {
            let port = call.text("port");
            let answer = checked(ctl, &format!("port-listener/{port}")).await?;
            if !answer.status.is_success() {
                let ports = answer.body.get("ports").map(plain).unwrap_or_default();
                return Err(CtlError::Failed(format!(
                    "No listener for port {port} is active on node {node}. Found listeners that use the following ports: {ports}"
                )));
            }
            format!("A listener for port {port} is running on node {node}.")
        }
        "check_protocol_listener" => {
            let protocol = call.text("protocol");
            // A slash is a part of the name.
            let answer = checked(
                ctl,
                &format!("protocol-listener/{}", protocol.replace("amqp/ssl", "amqps")),
            )
            .await?;
            if !answer.status.is_success() {
                let protocols = answer.body.get("protocols").map(plain).unwrap_or_default();
                return Err(CtlError::Failed(format!(
                    "No listener for protocol {protocol} is active on node {node}. Found listeners for the following protocols: {protocols}"
                )));
            }
            format!("A listener for protocol {protocol} is running on node {node}.")
        }
        "check_virtual_hosts" => {
            well(checked(ctl, "virtual-hosts").await?, None)?;
            format!("Node {node} reported all vhosts as running")
        }
        "check_certificate_expiration" => {
            let (within, unit) =
                (call.get("within").unwrap_or("4"), call.get("unit").unwrap_or("weeks"));
            let answer = checked(ctl, &format!("certificate-expiration/{within}/{unit}")).await?;
            well(answer, None)?;
            format!("No certificates are expiring within {within} {unit}.")
        }
        _ => single,
    };
    printer.say(&said);
    Ok(())
}

/// What a check that failed says becomes the error.
fn well(answer: Answer, node: Option<&str>) -> Result<(), CtlError> {
    if answer.status.is_success() {
        return Ok(());
    }
    let mut said = match node {
        Some(node) => format!("{} {node}", answer.reason()),
        None => answer.reason().to_owned(),
    };
    for alarm in answer.body.get("alarms").map(rows_of).unwrap_or_default() {
        said +=
            &format!("\n{} alarm on node {}", text_of(alarm, "resource"), text_of(alarm, "node"));
    }
    for expired in answer.body.get("expired").map(rows_of).unwrap_or_default() {
        let dates = expired.get("certfile_expires_on").map(plain).unwrap_or_default();
        said += &format!("\n{}: {dates}", text_of(expired, "certfile"));
    }
    Err(CtlError::Failed(said))
}

/// Connects to each listener, at the address where the broker was asked.
async fn connect_to_all(ctl: &Ctl, node: &str) -> Result<String, CtlError> {
    let overview = node::overview_of(ctl).await?;
    let mut ports = Vec::new();
    for listener in overview.get("listeners").map(rows_of).unwrap_or_default() {
        let port = u16::try_from(count_of(listener, "port")).unwrap_or_default();
        let host = ctl.client.target().host.clone();
        let connected = tokio::time::timeout(PATIENCE, TcpStream::connect((host.as_str(), port)));
        if !matches!(connected.await, Ok(Ok(_))) {
            let protocol = escaped(text_of(listener, "protocol"));
            return Err(CtlError::Failed(format!("no connection to port {port} ({protocol})")));
        }
        ports.push(Value::from(port));
    }
    let ports = plain(&Value::from(ports));
    Ok(format!("Successfully connected to ports {ports} on node {node}."))
}
