// Tables of things of which there may be very many: the broker filters, sorts and cuts them into pages.

import { get, query } from "./api.js";
import { h, replace } from "./dom.js";
import { live } from "./live.js";
import { count } from "./format.js";

const remembered = (key) => {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? {};
  } catch {
    return {};
  }
};

/**
 * A table. `where()` is its path in the API; `columns` are {key, title, cell(row), sort, number, optional}: `key` is
 * the field that is asked for and sorted by; `fields` are asked for beside those. `name` is what it is remembered by.
 */
export function table({ name, where, columns, fields = [], empty = "Nothing here.", filter = true, size = 100 }) {
  const key = `leveret.table.${name}`;
  const state = { page: 1, name: "", regex: false, sort: "", reverse: false, hidden: null, ...remembered(key) };
  state.page = 1;
  state.hidden ??= columns.filter((column) => column.optional).map((column) => column.key);
  const remember = () => localStorage.setItem(key, JSON.stringify({ sort: state.sort, reverse: state.reverse, hidden: state.hidden }));
  const shown = () => columns.filter((column) => !state.hidden.includes(column.key));

  const head = h("tr");
  const body = h("tbody");
  const summary = h("span", { class: "quiet" });
  const pages = h("nav", { class: "pages", "aria-label": "Pages" });
  const trouble = h("p", { class: "bad", hidden: true });
  let updates = null;
  let delay = null;
  const again = () => {
    state.page = 1;
    updates?.now();
  };

  const search = h("input", {
    type: "search", class: "filter", placeholder: "Filter by name  ( / )", "aria-label": "Filter by name",
    oninput: (event) => {
      state.name = event.target.value;
      clearTimeout(delay);
      delay = setTimeout(again, 200);
    },
  });
  const regex = h("label", { class: "check" }, h("input", {
    type: "checkbox",
    onchange: (event) => {
      state.regex = event.target.checked;
      again();
    },
  }), "regex");
  const chooser = h("details", { class: "chooser" }, h("summary", {}, "Columns"),
    h("div", {}, columns.map((column) => h("label", {}, h("input", {
      type: "checkbox", checked: !state.hidden.includes(column.key),
      onchange: (event) => {
        state.hidden = event.target.checked ? state.hidden.filter((other) => other !== column.key) : [...state.hidden, column.key];
        remember();
        heading();
        updates?.now();
      },
    }), column.title))));

  function heading() {
    replace(head, shown().map((column) => {
      const sorted = state.sort === column.key;
      const direction = sorted ? (state.reverse ? "descending" : "ascending") : undefined;
      if (column.sort === false) return h("th", { scope: "col", class: column.number && "number" }, column.title);
      return h("th", { scope: "col", "aria-sort": direction, class: column.number && "number" },
        h("button", {
          type: "button",
          onclick: () => {
            // Numbers are mostly looked for from the largest down.
            state.reverse = sorted ? !state.reverse : Boolean(column.number);
            state.sort = column.key;
            remember();
            heading();
            again();
          },
        }, column.title, sorted && (state.reverse ? " ↓" : " ↑")));
    }));
  }

  function request(signal) {
    const wanted = [...new Set([...fields, ...shown().map((column) => column.key)])];
    return get(query(where(), {
      page: state.page, page_size: size, pagination: true, name: state.name, use_regex: state.regex,
      sort: state.sort, sort_reverse: state.sort ? state.reverse : "", columns: wanted.join(","),
    }), signal);
  }

  function show(answer) {
    trouble.hidden = true;
    const { items, filtered_count: filtered, total_count: total, page, page_count: last } = answer;
    const rows = items.map((row) => h("tr", {}, shown().map((column) =>
      h("td", { class: column.number && "number" }, column.cell ? column.cell(row) : row[column.key] ?? ""))));
    replace(body, rows.length ? rows : h("tr", {}, h("td", { colSpan: shown().length, class: "quiet" }, state.name ? "No match." : empty)));
    replace(summary, filtered === total ? `${count(total)}` : `${count(filtered)} of ${count(total)}`);
    const turn = (to, text, label) => h("button", {
      type: "button", disabled: to < 1 || to > last, "aria-label": label,
      onclick: () => {
        state.page = to;
        updates?.now();
      },
    }, text);
    replace(pages, last > 1 && [turn(page - 1, "←", "Previous page"), ` page ${page} of ${last} `, turn(page + 1, "→", "Next page")]);
  }

  function fail(error) {
    // The page that was looked at may have gone.
    if (error.status === 400 && state.page > 1) {
      state.page = 1;
      return;
    }
    trouble.textContent = error.message;
    trouble.hidden = false;
  }

  heading();
  const element = h("div", { class: "listing" },
    h("div", { class: "tools" }, filter && search, filter && regex, summary, pages, chooser),
    trouble,
    h("div", { class: "scroll" }, h("table", {}, h("thead", {}, head), body)));
  updates = live(request, show, fail);
  return { element, stop: updates.stop, now: updates.now };
}

/** A table of what is at hand. */
export function plain(columns, rows, empty = "None.") {
  if (!rows.length) return h("p", { class: "quiet" }, empty);
  return h("div", { class: "scroll" }, h("table", {},
    h("thead", {}, h("tr", {}, columns.map((column) => h("th", { scope: "col", class: column.number && "number" }, column.title)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, columns.map((column) =>
      h("td", { class: column.number && "number" }, column.cell ? column.cell(row) : row[column.key] ?? "")))))));
}
