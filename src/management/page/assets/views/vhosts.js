import { get, path, put, remove } from "../api.js";
import { facts, fold, h, link, replace, section } from "../dom.js";
import { form } from "../form.js";
import { count } from "../format.js";
import { live } from "../live.js";
import { attempt, confirm } from "../notice.js";
import { plain, table } from "../table.js";

/** A field to choose a vhost in, filled as soon as their names are known. */
export function vhostField(label = "Vhost") {
  const field = { name: "vhost", label, kind: "select", options: known };
  return field;
}

let known = ["/"];

/** Learns which vhosts there are; forms made later offer them. */
export async function learnVhosts() {
  try {
    known = (await get("vhosts?columns=name")).map((vhost) => vhost.name);
  } catch {
    known = ["/"];
  }
}

export function vhosts() {
  const list = table({
    name: "vhosts", where: () => "vhosts", fields: ["tags"],
    columns: [
      { key: "name", title: "Name", cell: (row) => link(`#/vhosts/${encodeURIComponent(row.name)}`, row.name) },
      { key: "description", title: "Description" },
      { key: "default_queue_type", title: "Queue type" },
      { key: "messages_ready", title: "Ready", number: true, cell: (row) => count(row.messages_ready) },
      { key: "messages_unacknowledged", title: "Unacked", number: true, cell: (row) => count(row.messages_unacknowledged) },
    ],
  });
  const fields = [
    { name: "name", label: "Name", required: true }, { name: "description", label: "Description" }, { name: "tags", label: "Tags" },
    { name: "default_queue_type", label: "Default queue type", kind: "select", options: ["classic", "quorum", "stream"] },
  ];
  const add = form("Add vhost", fields, async ({ name, ...rest }) => {
    await put(path`vhosts/${name}`, rest);
    await learnVhosts();
    list.now();
  }, "The vhost is there.");
  return { element: h("div", {}, list.element, fold("Add a vhost", add)), stop: list.stop };
}

export function vhost(_, name) {
  const where = path`vhosts/${name}`;
  const about = h("div");
  const rights = h("div");
  const trouble = h("p", { class: "bad", hidden: true });
  const updates = live((signal) => Promise.all([get(where, signal), get(`${where}/permissions`, signal)]), ([one, list]) => {
    trouble.hidden = true;
    replace(about, facts(["Description", one.description], ["Tags", (one.tags ?? []).join(", ")], ["Default queue type", one.default_queue_type],
      ["Ready", count(one.messages_ready)], ["Unacked", count(one.messages_unacknowledged)]));
    replace(rights, permissionTable(list, "user", updates.now));
  }, (error) => {
    trouble.textContent = error.message;
    trouble.hidden = false;
  });
  const destroy = async () => {
    if (await confirm(`Delete the vhost ${name} with every queue, exchange and message in it?`, "Delete it")) {
      if (await attempt(() => remove(where), "Deleted.")) location.hash = "#/vhosts";
    }
  };
  const element = h("div", {}, h("p", { class: "path" }, link("#/vhosts", "Vhosts")), h("h1", {}, name), trouble, about,
    section("Permissions", rights), fold("Set permissions", permissionForm({ vhost: name }, updates.now)),
    h("div", { class: "buttons" }, h("button", { type: "button", class: "danger", onclick: destroy }, "Delete this vhost")));
  return { title: name, element, stop: updates.stop };
}

/** Permissions, without the end that is known from where they are shown. */
export function permissionTable(list, end, changed) {
  const clear = (row) => h("button", {
    type: "button", class: "small danger",
    onclick: async () => {
      if (await attempt(() => remove(path`permissions/${row.vhost}/${row.user}`), "Cleared.")) changed();
    },
  }, "Clear");
  return plain([
    { title: end === "user" ? "User" : "Vhost", cell: (row) => link(`#/${end}s/${encodeURIComponent(row[end])}`, row[end]) },
    { title: "Configure", cell: (row) => h("code", {}, row.configure) },
    { title: "Write", cell: (row) => h("code", {}, row.write) },
    { title: "Read", cell: (row) => h("code", {}, row.read) },
    { title: "", cell: clear },
  ], list, "Nobody may do anything here.");
}

export function permissionForm({ vhost: fixed, user }, changed) {
  const fields = [
    fixed === undefined ? vhostField() : { name: "user", label: "User", required: true },
    { name: "configure", label: "Configure", value: ".*" }, { name: "write", label: "Write", value: ".*" }, { name: "read", label: "Read", value: ".*" },
  ];
  return form("Set permissions", fields, async (typed) => {
    const { configure, write, read } = typed;
    await put(path`permissions/${fixed ?? typed.vhost}/${user ?? typed.user}`, { configure, write, read });
    changed();
  }, "They hold from now on.");
}
