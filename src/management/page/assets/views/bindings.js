// Bindings of a queue or an exchange.

import { path, post, remove } from "../api.js";
import { h, link } from "../dom.js";
import { form } from "../form.js";
import { value } from "../format.js";
import { attempt, confirm } from "../notice.js";
import { plain } from "../table.js";

const place = (binding) =>
  path`bindings/${binding.vhost}/e/${binding.source === "" ? "amq.default" : binding.source}/` +
  path`${binding.destination_type === "queue" ? "q" : "e"}/${binding.destination}`;

/** A table of bindings; `end` says which end is shown: "from" or "to". */
export function bindings(list, end, changed) {
  const target = (binding) => {
    const [kind, name] = end === "to" ? [binding.destination_type, binding.destination] : ["exchange", binding.source];
    if (name === "") return h("span", { class: "quiet" }, "(default exchange)");
    return link(`#/${kind}s/${encodeURIComponent(binding.vhost)}/${encodeURIComponent(name)}`, name);
  };
  const unbind = (binding) => binding.source !== "" && h("button", {
    type: "button", class: "small danger",
    onclick: async () => {
      if (await confirm(`Remove the binding of ${binding.destination} to ${binding.source}?`, "Remove it")) {
        if (await attempt(() => remove(`${place(binding)}/${encodeURIComponent(binding.properties_key)}`), "Removed.")) changed();
      }
    },
  }, "Unbind");
  const rest = (binding) => Object.entries(binding.arguments ?? {}).map(([key, any]) => `${key} = ${value(any)}`).join(", ");
  return plain([
    { title: end === "to" ? "To" : "From", cell: target },
    { title: "Routing key", key: "routing_key" },
    { title: "Arguments", cell: rest },
    { title: "", cell: unbind },
  ], list, "No bindings.");
}

/** A form that binds; one of `source` and `queue` is given. */
export function bindingForm({ vhost, source, queue }, changed) {
  const fields = [
    source === undefined
      ? { name: "source", label: "From exchange", required: true }
      : { name: "kind", label: "To", kind: "select", options: [["q", "queue"], ["e", "exchange"]] },
    ...(queue === undefined ? [{ name: "destination", label: "Name", required: true }] : []),
    { name: "routing_key", label: "Routing key" },
    { name: "arguments", label: "Arguments", kind: "pairs", hint: "one name = value a line" },
  ];
  return form("Bind", fields, async (typed) => {
    const where = path`bindings/${vhost}/e/${source ?? typed.source}/${typed.kind ?? "q"}/${queue ?? typed.destination}`;
    await post(where, { routing_key: typed.routing_key, arguments: typed.arguments });
    changed();
  }, "Bound.");
}
