import { get, query } from "../api.js";
import { RANGE, chart, messageRates, queued, rates } from "../chart.js";
import { facts, h, link, replace, section } from "../dom.js";
import { bytes, count, duration, rate } from "../format.js";
import { live } from "../live.js";
import { may } from "../rights.js";
import { plain } from "../table.js";

const CHURN = [
  ["connection_created", "Connections opened"], ["connection_closed", "Connections closed"],
  ["channel_created", "Channels opened"], ["channel_closed", "Channels closed"],
  ["queue_declared", "Queues declared"], ["queue_created", "Queues created"], ["queue_deleted", "Queues deleted"],
];

function part(used, limit, show) {
  if (used === undefined) return "";
  const share = limit > 0 ? Math.min(used / limit, 1) : 0;
  return h("span", {}, `${show(used)} of ${show(limit)} `,
    h("meter", { min: 0, max: 1, value: share, high: 0.8, low: 0.6, optimum: 0, "aria-label": "used" }));
}

function nodes(list) {
  return list.map((node) => facts(
    ["Node", node.name],
    ["Up for", duration(node.uptime)],
    ["Memory", part(node.mem_used, node.mem_limit, bytes)],
    ["Memory alarm", node.mem_alarm ? h("b", { class: "bad" }, "set: publishers are blocked") : "clear"],
    ["Disk free", node.disk_free !== undefined && `${bytes(node.disk_free)} (alarm below ${bytes(node.disk_free_limit)})`],
    ["Disk alarm", node.disk_free_alarm ? h("b", { class: "bad" }, "set: publishers are blocked") : "clear"],
    ["File handles", part(node.fd_used, node.fd_total, count)],
    ["Sockets", count(node.sockets_used)]));
}

export function overview() {
  const depth = chart("Queued messages", count);
  const flow = chart("Message rates", rate);
  const churn = chart("Connections and channels", rate);
  const totals = h("div", { class: "totals" });
  const trouble = h("p", { class: "bad", hidden: true });
  const machine = h("div");
  const doors = h("div");
  const changes = h("div");

  async function load(signal) {
    const [all, list] = await Promise.all([
      get(query("overview", RANGE), signal),
      may.monitor ? get("nodes", signal) : [],
    ]);
    return { all, list };
  }

  function show({ all, list }) {
    trouble.hidden = true;
    depth.update(queued(all.queue_totals));
    flow.update(messageRates(all.message_stats));
    const opened = ["connection_created", "channel_created", "queue_created"];
    churn.update(opened.map((key, index) => ({
      name: CHURN.find(([other]) => other === key)[1], color: `c${index + 1}`, points: rates(all.churn_rates?.[`${key}_details`]),
    })));
    const objects = ["connections", "channels", "exchanges", "queues", "consumers"];
    replace(totals, objects.map((what) => {
      const text = [h("b", {}, count(all.object_totals?.[what] ?? 0)), ` ${what}`];
      return what === "consumers" ? h("span", {}, text) : link(`#/${what}`, ...text);
    }));
    replace(machine, nodes(list));
    replace(doors, plain([
      { title: "Protocol", key: "protocol" }, { title: "Address", key: "ip_address" }, { title: "Port", key: "port", number: true },
    ], all.listeners ?? []));
    replace(changes, plain([
      { title: "What", cell: ([, name]) => name },
      { title: "Rate", number: true, cell: ([key]) => rate(all.churn_rates?.[`${key}_details`]?.rate ?? 0) },
      { title: "Since the start", number: true, cell: ([key]) => count(all.churn_rates?.[key] ?? 0) },
    ], CHURN));
    const names = [["Cluster", all.cluster_name], ["Version", `${all.product_name ?? "leveret"} ${all.product_version ?? ""}`], ["Speaks as RabbitMQ", all.rabbitmq_version]];
    machine.append(facts(...names));
  }

  const updates = live(load, show, (error) => {
    trouble.textContent = error.message;
    trouble.hidden = false;
  });
  const element = h("div", {}, h("h1", {}, "Overview"), trouble, totals,
    h("div", { class: "charts" }, depth.element, flow.element, churn.element),
    section("Node", machine), section("Listeners", doors), section("Churn", changes));
  return { title: "Overview", element, stop: updates.stop };
}
