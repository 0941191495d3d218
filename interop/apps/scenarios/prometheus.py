"""Prometheus itself: it scrapes, answers dashboards' questions, and its promtool finds nothing to correct."""

import json
import os
import pathlib
import re
import subprocess
import time
import urllib.parse
import urllib.request

from harness import DEADLINE_SECONDS, equal, scenario, skip

DOCS = pathlib.Path(__file__).parents[3] / "docs"

# As the public dashboard RabbitMQ-Overview (10991) asks, in its newer and its older versions: what is now and what passes
# per second, joined with the name of the cluster.
NOW = """queue_messages_ready queue_messages_unacked connections channels queues global_publishers global_consumers
    channel_consumers build_info resident_memory_limit_bytes process_resident_memory_bytes disk_space_available_bytes
    disk_space_available_limit_bytes process_max_fds process_open_fds erlang_uptime_seconds"""
PASSING = """global_messages_received_total global_messages_received_confirm_total global_messages_routed_total
    global_messages_confirmed_total global_messages_unroutable_dropped_total global_messages_unroutable_returned_total
    global_messages_delivered_total global_messages_delivered_consume_auto_ack_total
    global_messages_delivered_consume_manual_ack_total global_messages_delivered_get_auto_ack_total
    global_messages_delivered_get_manual_ack_total global_messages_get_empty_total global_messages_redelivered_total
    global_messages_acknowledged_total connections_opened_total connections_closed_total channels_opened_total
    channels_closed_total queues_declared_total queues_created_total queues_deleted_total
    channel_messages_published_total channel_messages_confirmed_total channel_messages_redelivered_total
    channel_messages_delivered_total channel_messages_delivered_ack_total channel_get_total channel_get_ack_total
    channel_get_empty_total channel_messages_acked_total queue_messages_published_total"""


@scenario
def promtool_check_metrics(broker):
    """All that is served to Prometheus, while there is something of each kind."""
    only_leveret(broker)
    busy(broker)
    families = """queue_coarse_metrics queue_consumer_count queue_metrics queue_delivery_metrics channel_metrics
        channel_exchange_metrics channel_queue_metrics channel_queue_exchange_metrics connection_metrics
        connection_coarse_metrics connection_churn_metrics exchange_metrics node_coarse_metrics node_metrics
        node_persister_metrics auth_attempt_metrics vhost_status exchange_names exchange_bindings"""
    detailed = urllib.parse.urlencode([("family", family) for family in families.split()])
    for path in ("", "/per-object", "/memory-breakdown", f"/detailed?{detailed}"):
        text = scraped(broker, path)
        assert text.count(b"\n") > 50, text
        checked = promtool("check", "metrics", text=text)
        equal((checked.returncode, checked.stdout + checked.stderr), (0, b""), f"promtool about /metrics{path}")


@scenario
def promtool_check_documented_rules(broker):
    """The alerts and the configuration that docs/monitoring.md offers."""
    blocks = re.findall(r"```yaml\n(.*?)```", (DOCS / "monitoring.md").read_text(), re.DOTALL)
    for start, check in {"groups:": "rules", "scrape_configs:": "config"}.items():
        file = broker.folder / f"{check}.yml"
        file.write_text(next(block for block in blocks if block.startswith(start)))
        checked = promtool("check", check, file)
        equal(checked.returncode, 0, f"promtool check {check}: {checked.stdout + checked.stderr}")


@scenario
def dashboards_get_their_answers(broker):
    """Prometheus scrapes for a while. Then RabbitMQ's dashboard and leveret's find all that they ask for."""
    busy(broker)
    server = Server(broker)
    identity = broker.wait_until(lambda: server.ask("rabbitmq_identity_info"), "it has scraped")[0]["metric"]
    joined = (
        f'* on(instance, job) group_left(rabbitmq_cluster, rabbitmq_node) rabbitmq_identity_info'
        f'{{rabbitmq_cluster="{identity["rabbitmq_cluster"]}", namespace=""}}'
    )
    questions = [f"sum(rabbitmq_{name} {joined})" for name in NOW.split()]
    questions += [f"sum(rate(rabbitmq_{name}[60s]) {joined}) by (rabbitmq_node)" for name in PASSING.split()]
    if is_leveret(broker):
        dashboard = json.loads((DOCS / "grafana" / "leveret.json").read_text())
        replaced = {"$instance": ".*", "$__rate_interval": "60s"}
        for question in expressions(dashboard):
            for variable, value in replaced.items():
                question = question.replace(variable, value)
            # Of each queue only the detailed metrics tell.
            if "leveret_queue_oldest" not in question:
                questions.append(question)
        assert len(questions) > 90, questions
        questions.append("histogram_quantile(0.9, sum by (le) (rate(rabbitmq_message_size_bytes_bucket[60s])))")
    unanswered = lambda: [question for question in questions if not server.ask(question)]
    try:
        broker.wait_until(lambda: not unanswered(), "every question has an answer")
    except AssertionError:
        raise AssertionError(f"there is no answer to {unanswered()}") from None

    # The figures are what is there.
    ready = lambda: server.ask("sum(rabbitmq_queue_messages_ready)")[0]["value"][1]
    before = int(ready())
    broker.ask("DELETE", "queues", broker.vhost, "idle")
    broker.wait_until(lambda: int(ready()) == before - 3, "three messages fewer are ready")


class Server:
    """A Prometheus of the scenario's own, which scrapes every second."""

    def __init__(self, broker):
        at = urllib.parse.urlsplit(metrics_uri(broker))
        file = broker.folder / "prometheus.yml"
        login = {"username": broker.user, "password": broker.password}
        scrape = {"job_name": "broker", "static_configs": [{"targets": [at.netloc]}], "basic_auth": login}
        # JSON is YAML, too.
        file.write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": [scrape]}))
        self.process = broker.start(
            "prometheus",
            f"--config.file={file}",
            f"--storage.tsdb.path={broker.folder}/series",
            "--web.listen-address=127.0.0.1:0",
        )
        listens = lambda: re.search(r'Listening on" address=(\S+)', "\n".join(self.process.log_lines()))
        self.address = broker.wait_until(listens, "Prometheus listens")[1]
        ready = lambda: "Server is ready" in "\n".join(self.process.log_lines())
        broker.wait_until(ready, "Prometheus is ready")

    def ask(self, question):
        """What is found, as of now."""
        query = urllib.parse.urlencode({"query": question})
        with urllib.request.urlopen(f"http://{self.address}/api/v1/query?{query}", timeout=DEADLINE_SECONDS) as answer:
            result = json.load(answer)
        equal(result["status"], "success", question)
        return result["data"]["result"]


def busy(broker):
    """Messages that wait, one that a consumer holds, and one for nobody."""
    for queue, count in {"idle": 3, "held": 1}.items():
        broker.ask("PUT", "queues", broker.vhost, queue, body={"durable": True})
        for _ in range(count):
            equal(publish(broker, queue), {"routed": True})
    equal(publish(broker, "nobody"), {"routed": False})
    broker.start("amqp-consume", f"--url={broker.uri}", "--queue=held", "sleep", DEADLINE_SECONDS)
    broker.wait_consumer("held")


def publish(broker, queue):
    message = {"properties": {"delivery_mode": 2}, "routing_key": queue, "payload": "x", "payload_encoding": "string"}
    return broker.ask("POST", "exchanges", broker.vhost, "amq.default", "publish", body=message)


def is_leveret(broker):
    return broker.ask("GET", "overview").get("product_name") != "RabbitMQ"


def only_leveret(broker):
    if not is_leveret(broker):
        skip("promtool would have RabbitMQ's metrics named otherwise")


def metrics_uri(broker):
    """RabbitMQ serves them on a port of their own."""
    uri = os.environ.get("METRICS_URI") or (broker.http_uri if is_leveret(broker) else None)
    return uri or skip("it needs METRICS_URI, where the broker's metrics are")


def scraped(broker, path):
    passwords = urllib.request.HTTPPasswordMgrWithPriorAuth()
    passwords.add_password(None, broker.http_uri, broker.user, broker.password, is_authenticated=True)
    opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(passwords))
    with opener.open(f"{metrics_uri(broker)}/metrics{path}", timeout=DEADLINE_SECONDS) as answer:
        return answer.read()


def promtool(*words, text=None):
    command = ["promtool", *map(str, words)]
    return subprocess.run(command, input=text, capture_output=True, timeout=DEADLINE_SECONDS, check=False)


def expressions(part):
    """All that is called `expr` in a dashboard."""
    if isinstance(part, dict):
        yield from [part["expr"]] if "expr" in part else []
        part = list(part.values())
    for inner in part if isinstance(part, list) else []:
        yield from expressions(inner)
