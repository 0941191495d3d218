// The frame of the page: who is logged in, where one is, and the way to everywhere else.

import { LOGGED_OUT, get, session } from "./api.js";
import { h, link, replace } from "./dom.js";
import { notice } from "./notice.js";
import { learnRights, may } from "./rights.js";
import { login } from "./views/login.js";
import { overview } from "./views/overview.js";
import { connection, connections } from "./views/connections.js";
import { channel, channels } from "./views/channels.js";
import { exchange, exchanges } from "./views/exchanges.js";
import { queue, queues } from "./views/queues.js";
import { admin, adminParts, refused } from "./views/admin.js";
import { user } from "./views/users.js";
import { learnVhosts, vhost } from "./views/vhosts.js";

// As in RabbitMQ's page, so that bookmarks stay good.
const ROUTES = [
  [/^$/, overview],
  [/^connections$/, connections],
  [/^connections\/([^/]+)$/, connection],
  [/^channels$/, channels],
  [/^channels\/([^/]+)$/, channel],
  [/^exchanges$/, exchanges],
  [/^exchanges\/([^/]+)\/([^/]+)$/, exchange],
  [/^queues$/, queues],
  [/^queues\/([^/]+)\/([^/]+)$/, queue],
  [/^users\/([^/]+)$/, (...given) => (may.administer ? user(...given) : refused("User"))],
  [/^vhosts\/([^/]+)$/, (...given) => (may.administer ? vhost(...given) : refused("Vhost"))],
  [/^(users|vhosts|policies|limits|definitions)$/, admin],
];

const TABS = [
  ["", "Overview", "o"], ["connections", "Connections", "c"], ["channels", "Channels", "h"],
  ["exchanges", "Exchanges", "e"], ["queues", "Queues", "q"], ["users", "Admin", "a"],
];

const ADMIN = ["users", "vhosts", "policies", "limits", "definitions"];

/** The pages that are of use to who is logged in. */
function tabs() {
  const first = adminParts()[0];
  return TABS.flatMap(([tab, ...rest]) => (tab !== "users" ? [[tab, ...rest]] : first ? [[first, ...rest]] : []));
}

/** Who is logged in: {name, tags}. */
let me = null;
let stop = null;

function theme() {
  const chosen = localStorage.getItem("leveret.theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
  else delete document.documentElement.dataset.theme;
}

function turnTheme() {
  const dark = getComputedStyle(document.documentElement).getPropertyValue("--is-dark").trim() === "1";
  localStorage.setItem("leveret.theme", dark ? "light" : "dark");
  theme();
}

function header(where) {
  const first = where.split("/")[0];
  const current = ADMIN.includes(first) ? adminParts()[0] : first;
  const element = document.getElementById("header");
  replace(element,
    h("a", { class: "brand", href: "#/" }, h("img", { src: "icon.svg", alt: "", width: 24, height: 24 }), "leveret"),
    h("nav", { "aria-label": "Main" }, tabs().map(([tab, text, key]) =>
      h("a", { href: `#/${tab}`, "aria-current": current === tab ? "page" : undefined, title: `g then ${key}` }, text))),
    h("div", { class: "who" }, me.name, " ",
      h("button", { type: "button", title: "Light or dark", "aria-label": "Light or dark", onclick: turnTheme }, "◐"),
      h("button", {
        type: "button",
        onclick: () => {
          history.replaceState(null, "", "#/");
          leave();
        },
      }, "Log out")));
  element.hidden = false;
}

async function route() {
  stop?.();
  stop = null;
  const main = document.getElementById("main");
  if (!me) {
    try {
      if (session.credentials) {
        me = await get("whoami");
        learnRights(me);
        await learnVhosts();
      }
    } catch (error) {
      session.close();
      if (error.status !== 401) notice(error.message, "bad");
    }
  }
  if (!me) {
    document.getElementById("header").hidden = true;
    document.title = "Log in – leveret";
    replace(main, login(route));
    return;
  }
  const where = location.hash.replace(/^#\/?/, "");
  header(where);
  for (const [pattern, view] of ROUTES) {
    const match = where.match(pattern);
    if (!match) continue;
    const page = view({ me }, ...match.slice(1).map(decodeURIComponent));
    document.title = `${page.title} – leveret`;
    replace(main, page.element);
    stop = page.stop;
    return;
  }
  replace(main, h("h1", {}, "There is no such page"), h("p", {}, link("#/", "To the overview")));
}

// Keys: / for the filter, g and a letter for a page.
let going = false;
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select, dialog")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (going) {
    going = false;
    const tab = me && tabs().find(([, , key]) => key === event.key);
    if (tab) location.hash = `#/${tab[0]}`;
  } else if (event.key === "g") {
    going = true;
  } else if (event.key === "/") {
    const filter = document.querySelector(".filter");
    if (filter) {
      event.preventDefault();
      filter.focus();
    }
  }
});

function leave() {
  session.close();
  me = null;
  learnRights(null);
  route();
}

window.addEventListener("hashchange", route);
// Not while somebody is at the door.
window.addEventListener(LOGGED_OUT, () => me && leave());
theme();
route();
