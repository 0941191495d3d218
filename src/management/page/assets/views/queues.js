import { get, path, put, query, remove } from "../api.js";
import { RANGE, chart, messageRates, queued } from "../chart.js";
import { facts, fold, h, link, replace, section, tag } from "../dom.js";
import { form } from "../form.js";
import { bytes, count, rate, rateOf, value } from "../format.js";
import { live } from "../live.js";
import { attempt, confirm } from "../notice.js";
import { plain, table } from "../table.js";
import { bindingForm, bindings } from "./bindings.js";
import { messages } from "./messages.js";
import { publishForm } from "./publish.js";
import { vhostField } from "./vhosts.js";

const toQueue = (vhost, name) => link(`#/queues/${encodeURIComponent(vhost)}/${encodeURIComponent(name)}`, name);

const ARGUMENTS = [
  ["x-message-ttl", "TTL"], ["x-expires", "Exp"], ["x-max-length", "Lim"], ["x-max-length-bytes", "Lim B"], ["x-overflow", "Ovfl"],
  ["x-dead-letter-exchange", "DLX"], ["x-dead-letter-routing-key", "DLK"], ["x-max-priority", "Pri"],
  ["x-single-active-consumer", "SAC"], ["x-delivery-limit", "DL"], ["x-message-deduplication", "Dedup"],
];

function features(row) {
  const table = row.arguments ?? {};
  const known = ARGUMENTS.filter(([key]) => table[key] !== undefined);
  const others = Object.keys(table).filter((key) => key !== "x-queue-type" && !ARGUMENTS.some(([other]) => other === key));
  return [
    row.durable && tag("D", "", "durable"), row.auto_delete && tag("AD", "", "deleted with its last consumer"),
    row.exclusive && tag("Excl", "", "of one connection alone"),
    known.map(([key, short]) => tag(short, "", `${key} = ${value(table[key])}`)),
    others.length > 0 && tag("Args", "", others.map((key) => `${key} = ${value(table[key])}`).join(", ")),
    row.policy && tag(row.policy, "policy", "policy"),
    row.operator_policy && tag(row.operator_policy, "policy", "operator policy"),
  ];
}

export function queues() {
  const list = table({
    name: "queues", where: () => "queues", empty: "There are no queues yet.",
    fields: ["durable", "auto_delete", "exclusive", "arguments", "policy", "operator_policy", "message_stats"],
    columns: [
      { key: "vhost", title: "Vhost" },
      { key: "name", title: "Name", cell: (row) => toQueue(row.vhost, row.name) },
      { key: "type", title: "Type" },
      { key: "features", title: "Features", sort: false, cell: features },
      { key: "state", title: "State", cell: (row) => tag(row.state ?? ""), optional: true },
      { key: "messages_ready", title: "Ready", number: true, cell: (row) => count(row.messages_ready) },
      { key: "messages_unacknowledged", title: "Unacked", number: true, cell: (row) => count(row.messages_unacknowledged) },
      { key: "messages", title: "Total", number: true, cell: (row) => count(row.messages) },
      { key: "consumers", title: "Consumers", number: true, cell: (row) => count(row.consumers) },
      { key: "message_stats.publish_details.rate", title: "Incoming", number: true, cell: (row) => rateOf(row.message_stats, "publish") },
      { key: "message_stats.deliver_get_details.rate", title: "Deliver", number: true, cell: (row) => rateOf(row.message_stats, "deliver_get") },
      { key: "message_stats.ack_details.rate", title: "Ack", number: true, cell: (row) => rateOf(row.message_stats, "ack") },
      { key: "message_bytes", title: "Bytes", number: true, cell: (row) => bytes(row.message_bytes), optional: true },
      { key: "memory", title: "Memory", number: true, cell: (row) => bytes(row.memory), optional: true },
    ],
  });
  const fields = [
    vhostField(), { name: "name", label: "Name", required: true },
    { name: "type", label: "Type", kind: "select", options: ["classic", "quorum", "stream"] },
    { name: "durable", label: "Durable", kind: "checkbox", value: true }, { name: "auto_delete", label: "Auto-delete", kind: "checkbox" },
    { name: "arguments", label: "Arguments", kind: "pairs", hint: "one name = value a line", placeholder: "x-message-ttl = 60000" },
  ];
  const add = form("Add queue", fields, async ({ vhost, name, type, durable, auto_delete, arguments: given }) => {
    const table = type === "classic" ? given : { ...given, "x-queue-type": type };
    await put(path`queues/${vhost}/${name}`, { durable, auto_delete, arguments: table });
    list.now();
  }, "The queue is there.");
  return { title: "Queues", element: h("div", {}, h("h1", {}, "Queues"), list.element, fold("Add a queue", add)), stop: list.stop };
}

function consumerTable(list) {
  return plain([
    { title: "Tag", key: "consumer_tag" },
    { title: "Channel", cell: (row) => row.channel_details?.name && link(`#/channels/${encodeURIComponent(row.channel_details.name)}`, row.channel_details.name) },
    { title: "Acknowledges", cell: (row) => (row.ack_required ? "yes" : "no") },
    { title: "Exclusive", cell: (row) => (row.exclusive ? "yes" : "no") },
    { title: "Prefetch", number: true, cell: (row) => count(row.prefetch_count) },
    { title: "Active", cell: (row) => (row.active === false ? "no" : "yes") },
  ], list, "Nobody consumes from here.");
}

export function queue(_, vhost, name) {
  const where = path`queues/${vhost}/${name}`;
  const depth = chart("Queued messages", count);
  const flow = chart("Message rates", rate);
  const about = h("div");
  const consumers = h("div");
  const bound = h("div");
  const trouble = h("p", { class: "bad", hidden: true });
  const updates = live((signal) => Promise.all([get(query(where, RANGE), signal), get(`${where}/bindings`, signal)]), ([one, list]) => {
    trouble.hidden = true;
    depth.update(queued(one));
    flow.update(messageRates(one.message_stats));
    replace(about, facts(
      ["Type", one.type], ["Features", features(one)], ["State", one.state],
      ["Ready", count(one.messages_ready)], ["Unacked", count(one.messages_unacknowledged)],
      ["In memory", one.messages_ram !== undefined && count(one.messages_ram)], ["Message bytes", bytes(one.message_bytes)],
      ["Memory", bytes(one.memory)], ["Consumers", count(one.consumers)],
      ["Policy", one.policy], ["Operator policy", one.operator_policy],
      ["In force", Object.entries(one.effective_policy_definition ?? {}).map(([key, any]) => `${key} = ${value(any)}`).join(", ")],
      ["Owner", one.owner_pid_details?.name && link(`#/connections/${encodeURIComponent(one.owner_pid_details.name)}`, one.owner_pid_details.name)],
      ...Object.entries(one.arguments ?? {}).map(([key, any]) => [key, value(any)])));
    replace(consumers, consumerTable(one.consumer_details ?? []));
    replace(bound, bindings(list, "from", updates.now));
  }, (error) => {
    trouble.textContent = error.status === 404 ? "There is no such queue." : error.message;
    trouble.hidden = false;
  });
  const purge = async () => {
    if (await confirm(`Drop every message that is ready in ${name}?`, "Purge it")) {
      await attempt(() => remove(`${where}/contents`), "It is empty.");
      updates.now();
    }
  };
  const destroy = async () => {
    if (await confirm(`Delete the queue ${name} and everything in it?`, "Delete it")) {
      if (await attempt(() => remove(where), "Deleted.")) location.hash = "#/queues";
    }
  };
  const element = h("div", {}, h("p", { class: "path" }, link("#/queues", "Queues"), ` in vhost ${vhost}`), h("h1", {}, name), trouble,
    h("div", { class: "charts" }, depth.element, flow.element), about,
    section("Consumers", consumers), section("Bindings to here", bound), fold("Add a binding", bindingForm({ vhost, queue: name }, updates.now)),
    messages(vhost, name, updates.now),
    fold("Publish a message to this queue", publishForm(vhost, "amq.default", name)),
    h("div", { class: "buttons" },
      h("button", { type: "button", class: "danger", onclick: purge }, "Purge"),
      h("button", { type: "button", class: "danger", onclick: destroy }, "Delete this queue")));
  return { title: name, element, stop: updates.stop };
}
