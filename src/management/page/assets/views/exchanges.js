import { get, path, put, query, remove } from "../api.js";
import { RANGE, chart, rates } from "../chart.js";
import { facts, fold, h, link, replace, section, tag } from "../dom.js";
import { form } from "../form.js";
import { rate, rateOf, value } from "../format.js";
import { live } from "../live.js";
import { attempt, confirm } from "../notice.js";
import { table } from "../table.js";
import { bindingForm, bindings } from "./bindings.js";
import { publishForm } from "./publish.js";
import { vhostField } from "./vhosts.js";

const shownName = (name) => (name === "" ? "(default)" : name);
export const toExchange = (vhost, name) =>
  link(`#/exchanges/${encodeURIComponent(vhost)}/${encodeURIComponent(name === "" ? "amq.default" : name)}`, shownName(name));

export const features = (row) => [
  row.durable && tag("D", "", "durable"), row.auto_delete && tag("AD", "", "deleted with its last binding"),
  row.internal && tag("I", "", "clients cannot publish to it"),
  row.policy && tag(row.policy, "", "policy"),
  Object.keys(row.arguments ?? {}).length > 0 && tag("Args", "", JSON.stringify(row.arguments)),
];

const TYPES = ["direct", "fanout", "topic", "headers", "x-consistent-hash", "x-modulus-hash", "x-random", "x-local-random", "x-delayed-message"];

export function exchanges() {
  const list = table({
    name: "exchanges", where: () => "exchanges", fields: ["durable", "auto_delete", "internal", "arguments", "policy", "message_stats"],
    columns: [
      { key: "vhost", title: "Vhost" },
      { key: "name", title: "Name", cell: (row) => toExchange(row.vhost, row.name) },
      { key: "type", title: "Type" },
      { key: "features", title: "Features", sort: false, cell: features },
      { key: "message_stats.publish_in_details.rate", title: "In", number: true, cell: (row) => rateOf(row.message_stats, "publish_in") },
      { key: "message_stats.publish_out_details.rate", title: "Out", number: true, cell: (row) => rateOf(row.message_stats, "publish_out") },
    ],
  });
  const fields = [
    vhostField(), { name: "name", label: "Name", required: true }, { name: "type", label: "Type", kind: "select", options: TYPES },
    { name: "durable", label: "Durable", kind: "checkbox", value: true }, { name: "auto_delete", label: "Auto-delete", kind: "checkbox" },
    { name: "internal", label: "Internal", kind: "checkbox" },
    { name: "arguments", label: "Arguments", kind: "pairs", hint: "one name = value a line", placeholder: "alternate-exchange = other" },
  ];
  const add = form("Add exchange", fields, async ({ vhost, name, ...rest }) => {
    await put(path`exchanges/${vhost}/${name}`, rest);
    list.now();
  }, "The exchange is there.");
  return { title: "Exchanges", element: h("div", {}, h("h1", {}, "Exchanges"), list.element, fold("Add an exchange", add)), stop: list.stop };
}

export function exchange(_, vhost, segment) {
  const name = segment === "amq.default" ? "" : segment;
  const where = path`exchanges/${vhost}/${segment}`;
  const flow = chart("Message rates", rate);
  const about = h("div");
  const out = h("div");
  const into = h("div");
  const trouble = h("p", { class: "bad", hidden: true });
  const updates = live(
    (signal) => Promise.all([get(query(where, RANGE), signal), get(`${where}/bindings/source`, signal), get(`${where}/bindings/destination`, signal)]),
    ([one, from, to]) => {
      trouble.hidden = true;
      flow.update([
        { name: "In", color: "c1", points: rates(one.message_stats?.publish_in_details) },
        { name: "Out", color: "c2", points: rates(one.message_stats?.publish_out_details) },
      ]);
      replace(about, facts(["Type", one.type], ["Features", features(one)], ["Policy", one.policy],
        ...Object.entries(one.arguments ?? {}).map(([key, any]) => [key, value(any)]),
        ["Messages delayed", one.messages_delayed]));
      // The default exchange binds every queue by its name: there may be very many.
      if (name !== "") replace(out, bindings(from, "to", updates.now));
      else replace(out, h("p", { class: "quiet" }, "Every queue, by its name."));
      replace(into, bindings(to, "from", updates.now));
    },
    (error) => {
      trouble.textContent = error.message;
      trouble.hidden = false;
    });
  const ask = async () => {
    if (await confirm(`Delete the exchange ${name} and its bindings?`, "Delete it")) {
      if (await attempt(() => remove(where), "Deleted.")) location.hash = "#/exchanges";
    }
  };
  const destroy = name !== "" && !name.startsWith("amq.") &&
    h("button", { type: "button", class: "danger", onclick: ask }, "Delete this exchange");
  const element = h("div", {}, h("p", { class: "path" }, link("#/exchanges", "Exchanges"), ` in vhost ${vhost}`), h("h1", {}, shownName(name)), trouble,
    h("div", { class: "charts" }, flow.element), about,
    section("Bindings from here", out), name !== "" && fold("Add a binding", bindingForm({ vhost, source: name }, updates.now)),
    section("Bindings to here", into),
    fold("Publish a message", publishForm(vhost, segment, "")), h("div", { class: "buttons" }, destroy));
  return { title: shownName(name), element, stop: updates.stop };
}
