import { get, path, put, remove } from "../api.js";
import { facts, fold, h, link, replace, section, tag } from "../dom.js";
import { form } from "../form.js";
import { live } from "../live.js";
import { attempt, confirm } from "../notice.js";
import { table } from "../table.js";
import { permissionForm, permissionTable } from "./vhosts.js";

const tags = (row) => [row.tags ?? []].flat().map((one) => tag(one));

export function users() {
  const list = table({
    name: "users", where: () => "users",
    columns: [
      { key: "name", title: "Name", cell: (row) => link(`#/users/${encodeURIComponent(row.name)}`, row.name) },
      { key: "tags", title: "Tags", cell: tags },
      { key: "password_hash", title: "Password", sort: false, cell: (row) => (row.password_hash ? "set" : h("span", { class: "quiet" }, "none")) },
    ],
  });
  const fields = [
    { name: "name", label: "Name", required: true }, { name: "password", label: "Password", kind: "password" },
    { name: "tags", label: "Tags", hint: "administrator, monitoring, policymaker, management; with commas between" },
  ];
  const add = form("Add user", fields, async ({ name, password, tags: given }) => {
    await put(path`users/${name}`, { password, tags: given });
    list.now();
  }, "The user is there. Permissions come next.");
  return { element: h("div", {}, list.element, fold("Add a user", add)), stop: list.stop };
}

export function user(_, name) {
  const where = path`users/${name}`;
  const about = h("div");
  const rights = h("div");
  const trouble = h("p", { class: "bad", hidden: true });
  const updates = live((signal) => Promise.all([get(where, signal), get(`${where}/permissions`, signal)]), ([one, list]) => {
    trouble.hidden = true;
    replace(about, facts(["Tags", tags(one)], ["Password", one.password_hash ? "set" : "none"]));
    replace(rights, permissionTable(list, "vhost", updates.now));
  }, (error) => {
    trouble.textContent = error.message;
    trouble.hidden = false;
  });
  const change = form("Change", [
    { name: "password", label: "New password", kind: "password", required: true },
    { name: "tags", label: "Tags", hint: "replace those there are" },
  ], async (typed) => {
    await put(where, typed);
    updates.now();
  }, "Changed.");
  const destroy = async () => {
    if (await confirm(`Delete the user ${name}? Open connections end.`, "Delete the user")) {
      if (await attempt(() => remove(where), "Deleted.")) location.hash = "#/users";
    }
  };
  const element = h("div", {}, h("p", { class: "path" }, link("#/users", "Users")), h("h1", {}, name), trouble, about,
    section("Permissions", rights), fold("Set permissions", permissionForm({ user: name }, updates.now)), fold("Password and tags", change),
    h("div", { class: "buttons" }, h("button", { type: "button", class: "danger", onclick: destroy }, "Delete this user")));
  return { title: name, element, stop: updates.stop };
}
