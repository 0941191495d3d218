import { put, remove } from "../api.js";
import { fold, h } from "../dom.js";
import { form } from "../form.js";
import { value } from "../format.js";
import { attempt, confirm } from "../notice.js";
import { may } from "../rights.js";
import { table } from "../table.js";
import { vhostField } from "./vhosts.js";

const KINDS = [["policies", "policy"], ["operator-policies", "operator policy"]];

/** The kinds that may be changed. */
const kinds = () => KINDS.filter(([where]) => where === "policies" || may.administer);

function listing(where, kind) {
  const definition = (row) => Object.entries(row.definition).map(([key, any]) => h("div", {}, h("code", {}, `${key} = ${value(any)}`)));
  const clear = (row) => kinds().some(([mine]) => mine === where) && h("button", {
    type: "button", class: "small danger",
    onclick: async () => {
      if (await confirm(`Delete the ${kind} ${row.name}?`, "Delete it")) {
        if (await attempt(() => remove(`${where}/${encodeURIComponent(row.vhost)}/${encodeURIComponent(row.name)}`), "Deleted.")) list.now();
      }
    },
  }, "Delete");
  const list = table({
    name: where, where: () => where, fields: ["definition"], empty: `No ${kind}.`,
    columns: [
      { key: "vhost", title: "Vhost" }, { key: "name", title: "Name" }, { key: "pattern", title: "Pattern", cell: (row) => h("code", {}, row.pattern) },
      { key: "apply-to", title: "Applies to" }, { key: "definition", title: "Definition", sort: false, cell: definition },
      { key: "priority", title: "Priority", number: true }, { key: "clear", title: "", sort: false, cell: clear },
    ],
  });
  return list;
}

export function policies() {
  const lists = KINDS.map(([where, kind]) => listing(where, kind));
  const fields = [
    { name: "where", label: "Kind", kind: "select", options: kinds() }, vhostField(),
    { name: "name", label: "Name", required: true }, { name: "pattern", label: "Pattern", required: true, hint: "a regular expression for names" },
    { name: "apply-to", label: "Applies to", kind: "select", options: ["all", "queues", "classic_queues", "quorum_queues", "streams", "exchanges"] },
    { name: "priority", label: "Priority", kind: "number", value: 0 },
    { name: "definition", label: "Definition", kind: "pairs", hint: "one name = value a line", placeholder: "message-ttl = 60000" },
  ];
  const add = form("Set policy", fields, async ({ where, vhost, name, ...rest }) => {
    await put(`${where}/${encodeURIComponent(vhost)}/${encodeURIComponent(name)}`, rest);
    lists.forEach((list) => list.now());
  }, "It holds from now on.");
  const element = h("div", {}, h("h2", {}, "Policies"), lists[0].element, h("h2", {}, "Operator policies"), lists[1].element, fold("Set a policy", add));
  return { element, stop: () => lists.forEach((list) => list.stop()) };
}
