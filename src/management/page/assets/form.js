// Forms: fields with labels, and what was typed as an object.

import { h } from "./dom.js";
import { attempt } from "./notice.js";

/** A field: {name, label, kind: text|number|password|checkbox|select|area|pairs, options, value, hint, required}. */
function field(spec) {
  const { name, label, kind = "text", options = [], value, hint, required, placeholder } = spec;
  const common = { name, required, id: `field-${name}-${Math.random().toString(36).slice(2)}` };
  let input;
  if (kind === "select") {
    input = h("select", common, options.map((option) => {
      const [key, text] = Array.isArray(option) ? option : [option, option];
      return h("option", { value: key, selected: key === value }, text);
    }));
  } else if (kind === "area" || kind === "pairs") {
    input = h("textarea", { ...common, rows: spec.rows ?? 3, value: value ?? "", placeholder, spellcheck: false });
  } else if (kind === "checkbox") {
    input = h("input", { ...common, type: "checkbox", checked: Boolean(value) });
  } else {
    input = h("input", { ...common, type: kind, value: value ?? "", placeholder, autocomplete: kind === "password" ? "new-password" : "off" });
  }
  return h("div", { class: `field ${kind}` },
    h("label", { htmlFor: common.id }, label), input, hint && h("small", {}, hint));
}

/** Arguments, one `name = value` a line; numbers, true, false and JSON are taken as such. */
export function pairs(text) {
  const table = {};
  for (const line of text.split("\n")) {
    const at = line.indexOf("=");
    if (!line.trim()) continue;
    if (at < 1) throw new Error(`“${line}” is not “name = value”`);
    const [name, raw] = [line.slice(0, at).trim(), line.slice(at + 1).trim()];
    try {
      table[name] = JSON.parse(raw);
    } catch {
      table[name] = raw;
    }
  }
  return table;
}

function values(form, fields) {
  const found = {};
  for (const { name, kind } of fields) {
    const input = form.elements.namedItem(name);
    if (kind === "checkbox") found[name] = input.checked;
    else if (kind === "number") found[name] = input.value === "" ? undefined : Number(input.value);
    else if (kind === "pairs") found[name] = pairs(input.value);
    else found[name] = input.value;
  }
  return found;
}

/** A form that hands its values to `submit`, and says `done` when that went well. */
export function form(verb, fields, submit, done) {
  const element = h("form", {
    class: "form",
    onsubmit: async (event) => {
      event.preventDefault();
      const button = element.querySelector("button[type=submit]");
      button.disabled = true;
      const went = await attempt(async () => submit(values(element, fields), element), done);
      button.disabled = false;
      if (went) element.dispatchEvent(new CustomEvent("done", { bubbles: true }));
    },
  }, fields.map(field), h("div", { class: "buttons" }, h("button", { type: "submit", class: "main" }, verb)));
  return element;
}
