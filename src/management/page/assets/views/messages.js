// Looking at the messages of a queue without disturbing them, and moving or deleting some of them.

import { get, path, post, query } from "../api.js";
import { facts, h, replace } from "../dom.js";
import { form } from "../form.js";
import { bytes, count, value } from "../format.js";
import { attempt, confirm, notice } from "../notice.js";
import { plain } from "../table.js";

function payload(message) {
  if (message.payload_encoding === "base64") return h("pre", { class: "payload" }, `(${bytes(message.payload_bytes)}, Base64)\n${message.payload}`);
  let text = message.payload;
  try {
    text = JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    // It is shown as it is.
  }
  return h("pre", { class: "payload" }, text);
}

function details(message) {
  const { headers, ...properties } = message.properties;
  const rows = (table) => Object.entries(table ?? {}).map(([key, any]) => [key, value(any)]);
  return h("div", { class: "message" },
    facts(["Position", message.position], ["Exchange", message.exchange || "(default)"], ["Routing key", message.routing_key],
      ["Bytes", count(message.payload_bytes)], ["Redelivered", message.redelivered && "yes"], ["Returned", message.delivery_count || undefined],
      ...rows(properties), ...rows(headers)), payload(message));
}

export function messages(vhost, name, changed) {
  const where = path`queues/${vhost}/${name}/messages`;
  const list = h("div");
  const groups = h("div");
  const status = h("span", { class: "quiet" });
  const chosen = new Set();
  const actions = h("div", { class: "actions", hidden: true });
  let filters = {};

  const choose = () => {
    actions.hidden = chosen.size === 0;
    const label = actions.querySelector(".chosen");
    if (label) label.textContent = `${count(chosen.size)} chosen`;
  };
  const ranges = () => [...chosen].map((position) => [position, position]);

  function row(message) {
    const box = h("input", {
      type: "checkbox", "aria-label": `Choose message ${message.position}`,
      onchange: (event) => {
        if (event.target.checked) chosen.add(message.position);
        else chosen.delete(message.position);
        choose();
      },
    });
    const text = message.payload_encoding === "string" ? message.payload : `(${bytes(message.payload_bytes)})`;
    return h("details", { class: "row" },
      h("summary", {}, box, h("code", {}, `#${message.position}`), ` ${message.exchange || "(default)"} → ${message.routing_key} `, h("span", { class: "quiet" }, text.slice(0, 120))),
      details(message));
  }

  async function look(after) {
    const answer = await get(query(where, { count: 20, after, truncate: 50000, ...filters }));
    if (!after) {
      replace(list);
      chosen.clear();
      choose();
    }
    list.querySelector(".more")?.remove();
    list.append(...answer.messages.map(row));
    if (!list.children.length) list.append(h("p", { class: "quiet" }, "No message is ready, or none that matches."));
    if (answer.next) list.append(h("button", { type: "button", class: "more", onclick: () => attempt(() => look(answer.next)) }, "Show more"));
    status.textContent = "They stay where they are.";
  }

  async function act(verb, body, said) {
    const answer = await post(`${where}/${verb}`, body);
    notice(said(answer));
    await look();
    changed();
  }
  const moved = (answer) => `${count(answer.moved)} moved${answer.kept ? `, ${count(answer.kept)} stayed: nobody took them` : ""}.`;
  const destination = ({ kind, name: to, routing_key }) =>
    (kind === "queue" ? { queue: to } : { exchange: to, ...(routing_key ? { routing_key } : {}) });

  const target = form("Move", [
    { name: "kind", label: "To", kind: "select", options: [["queue", "queue"], ["exchange", "exchange"]] },
    { name: "name", label: "Name", required: true },
    { name: "routing_key", label: "Routing key", hint: "of an exchange; empty leaves the one it has" },
  ], (typed) => act("move", { positions: ranges(), to: destination(typed) }, moved));
  replace(actions, h("span", { class: "chosen" }),
    h("button", {
      type: "button", class: "danger",
      onclick: async () => {
        if (await confirm(`Delete ${count(chosen.size)} messages for good?`, "Delete them")) {
          attempt(() => act("delete", { positions: ranges() }, (answer) => `${count(answer.deleted)} deleted.`));
        }
      },
    }, "Delete"),
    h("button", { type: "button", onclick: () => attempt(() => act("move", { positions: ranges(), to: { origin: true } }, moved)) }, "Send back to where they died"),
    target);

  const search = form("Look", [
    { name: "routing_key", label: "Routing key contains" },
    { name: "header", label: "Header", hint: "name, or name:value" },
    { name: "body", label: "Body contains" },
  ], async (typed) => {
    filters = typed;
    await look();
  });

  async function byReason() {
    const answer = await get(`${where}/groups`);
    const replay = (group) => h("button", {
      type: "button", class: "small", disabled: !group.queue,
      onclick: async () => {
        if (!(await confirm(`Send ${count(group.count)} messages back to ${group.queue}?`, "Send them back"))) return;
        const filter = { reason: group.reason, from: group.queue };
        attempt(() => act("move", { filter, to: { origin: true } }, moved).then(byReason));
      },
    }, "Send back");
    replace(groups, plain([
      { title: "Reason", cell: (group) => group.reason ?? "not dead" },
      { title: "From queue", cell: (group) => group.queue ?? "" },
      { title: "Messages", number: true, cell: (group) => count(group.count) },
      { title: "", cell: replay },
    ], answer.groups, "No message is ready."));
  }

  const all = h("button", {
    type: "button",
    onclick: async () => {
      const to = actionsTarget.elements;
      if (!to.name.value) return notice("Name the queue or the exchange first.", "bad");
      if (await confirm(`Move every message that is ready to ${to.name.value}?`, "Move them all")) {
        attempt(() => act("move", { all: true, to: destination({ kind: to.kind.value, name: to.name.value, routing_key: to.routing_key.value }) }, moved));
      }
      return undefined;
    },
  }, "Move all");
  const actionsTarget = form("", [
    { name: "kind", label: "Move everything to", kind: "select", options: [["queue", "queue"], ["exchange", "exchange"]] },
    { name: "name", label: "Name" }, { name: "routing_key", label: "Routing key" },
  ], () => {});
  replace(actionsTarget.querySelector(".buttons"), all);

  return h("details", { class: "fold messages" }, h("summary", {}, "Messages: look, move, delete"),
    search, status, actions, list,
    h("h3", {}, "By reason of death"), h("div", { class: "buttons" }, h("button", { type: "button", onclick: () => attempt(byReason) }, "Count them")), groups,
    h("h3", {}, "Everything"), actionsTarget);
}
