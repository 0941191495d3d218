// Elements without markup: whatever comes from the broker is text, and never anything else.

/** Makes an element. `props` are properties, `on…` handlers, `class`, `data`, or attributes with a dash. */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") element.className = value;
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.includes("-") || !(name in element)) element.setAttribute(name, value === true ? "" : value);
    else element[name] = value;
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** The same for drawings. */
export function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value !== undefined && value !== null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export function replace(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const link = (href, ...children) => h("a", { href }, ...children);

/** A short word in a box: a feature, a state. */
export const tag = (text, kind, title) => h("span", { class: `tag ${kind ?? ""}`, title }, text);

/** Names and values, one per row; rows without a value are left out. */
export function facts(...rows) {
  const shown = rows.filter((row) => row && row[1] !== undefined && row[1] !== null && row[1] !== false && row[1] !== "");
  return h("dl", { class: "facts" }, shown.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

export function section(title, ...children) {
  return h("section", {}, h("h2", {}, title), ...children);
}

/** Something that is folded away until it is asked for. */
export function fold(title, ...children) {
  return h("details", { class: "fold" }, h("summary", {}, title), ...children);
}
