import { get, path, post, put, remove } from "../api.js";
import { h, replace, section } from "../dom.js";
import { form } from "../form.js";
import { live } from "../live.js";
import { attempt } from "../notice.js";
import { may } from "../rights.js";
import { plain } from "../table.js";
import { policies } from "./policies.js";
import { users } from "./users.js";
import { learnVhosts, vhostField, vhosts } from "./vhosts.js";

const PARTS = [["users", "Users", users], ["vhosts", "Vhosts", vhosts], ["policies", "Policies", policies], ["limits", "Limits", limits], ["definitions", "Definitions", definitions]];

const parts = () => PARTS.filter(([key]) => may.administer || (key === "policies" && may.makePolicies));

/** The parts that are for who is logged in. */
export const adminParts = () => parts().map(([key]) => key);

/** What is shown instead of what only administrators may see. */
export const refused = (title) => ({ title, element: h("div", {}, h("h1", {}, title), h("p", {}, "This is for administrators.")) });

export function admin() {
  const where = location.hash.replace(/^#\/?/, "");
  const [, title, make] = parts().find(([key]) => key === where) ?? [];
  if (!make) return refused("Admin");
  const part = make();
  const tabs = h("nav", { class: "tabs", "aria-label": "Admin" }, parts().map(([key, text]) =>
    h("a", { href: `#/${key}`, "aria-current": key === where ? "page" : undefined }, text)));
  return { title, element: h("div", {}, h("h1", {}, "Admin"), tabs, part.element), stop: part.stop };
}

function limitTable(rows, kind, changed) {
  const flat = rows.flatMap((row) => Object.entries(row.value).map(([limit, most]) => ({ whose: row[kind], limit, most })));
  return plain([
    { title: kind === "vhost" ? "Vhost" : "User", key: "whose" }, { title: "Limit", key: "limit" }, { title: "At most", key: "most", number: true },
    {
      title: "", cell: (row) => h("button", {
        type: "button", class: "small danger",
        onclick: async () => {
          if (await attempt(() => remove(path`${kind}-limits/${row.whose}/${row.limit}`), "Cleared.")) changed();
        },
      }, "Clear"),
    },
  ], flat, "No limits.");
}

function limits() {
  const shown = h("div");
  const trouble = h("p", { class: "bad", hidden: true });
  const updates = live((signal) => Promise.all([get("vhost-limits", signal), get("user-limits", signal)]), ([ofVhosts, ofUsers]) => {
    trouble.hidden = true;
    replace(shown, section("Of vhosts", limitTable(ofVhosts, "vhost", updates.now)), section("Of users", limitTable(ofUsers, "user", updates.now)));
  }, (error) => {
    trouble.textContent = error.message;
    trouble.hidden = false;
  });
  const ofVhost = form("Set", [vhostField(), { name: "limit", label: "Limit", kind: "select", options: ["max-connections", "max-queues"] }, { name: "value", label: "At most", kind: "number", required: true }],
    async ({ vhost, limit, value }) => {
      await put(path`vhost-limits/${vhost}/${limit}`, { value });
      updates.now();
    }, "Set.");
  const ofUser = form("Set", [{ name: "user", label: "User", required: true }, { name: "limit", label: "Limit", kind: "select", options: ["max-connections", "max-channels"] }, { name: "value", label: "At most", kind: "number", required: true }],
    async ({ user, limit, value }) => {
      await put(path`user-limits/${user}/${limit}`, { value });
      updates.now();
    }, "Set.");
  return { element: h("div", {}, trouble, shown, h("h3", {}, "Limit a vhost"), ofVhost, h("h3", {}, "Limit a user"), ofUser), stop: updates.stop };
}

function definitions() {
  const save = async () => {
    const all = await get("definitions");
    const url = URL.createObjectURL(new Blob([JSON.stringify(all, null, 2)], { type: "application/json" }));
    h("a", { href: url, download: `definitions-${new Date().toISOString().slice(0, 10)}.json` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
  };
  const load = h("form", {
    class: "form",
    onsubmit: (event) => {
      event.preventDefault();
      attempt(async () => {
        const [file] = load.elements.namedItem("file").files;
        if (!file) throw new Error("Choose a file first.");
        await post("definitions", JSON.parse(await file.text()));
        await learnVhosts();
      }, "They are in force.");
    },
  }, h("div", { class: "field" }, h("label", { htmlFor: "definitions-file" }, "File"), h("input", { id: "definitions-file", name: "file", type: "file", accept: ".json,application/json" })),
  h("div", { class: "buttons" }, h("button", { type: "submit", class: "main" }, "Import")));
  const element = h("div", {},
    section("Export", h("p", {}, "Users, vhosts, permissions, policies, exchanges, queues and bindings, as RabbitMQ writes them; no messages."),
      h("div", { class: "buttons" }, h("button", { type: "button", class: "main", onclick: () => attempt(save) }, "Download"))),
    section("Import", h("p", {}, "What is in the file is added to what there is, or changes it. Files of RabbitMQ and LavinMQ are good, too."), load));
  return { element, stop: undefined };
}

