import { get, path, query, remove } from "../api.js";
import { RANGE, chart, rates } from "../chart.js";
import { facts, h, link, replace, section, tag } from "../dom.js";
import { bytes, count, date, rate, value } from "../format.js";
import { live } from "../live.js";
import { attempt, confirm } from "../notice.js";
import { may } from "../rights.js";
import { plain, table } from "../table.js";
import { columns as channelColumns } from "./channels.js";

export const toConnection = (name) => link(`#/connections/${encodeURIComponent(name)}`, name);

function state(row) {
  const bad = ["blocked", "blocking", "flow"].includes(row.state);
  return tag(row.state ?? "", bad ? "warn" : "", bad ? "its messages are not read at the moment" : undefined);
}

export function connections() {
  const list = table({
    name: "connections",
    where: () => "connections",
    fields: ["client_properties", "ssl"],
    empty: "Nobody is connected.",
    columns: [
      { key: "name", title: "Name", cell: (row) => [toConnection(row.name), row.client_properties?.connection_name && h("small", {}, ` ${row.client_properties.connection_name}`)] },
      { key: "vhost", title: "Vhost" },
      { key: "user", title: "User" },
      { key: "state", title: "State", cell: state },
      { key: "ssl", title: "TLS", cell: (row) => (row.ssl ? tag("TLS") : ""), optional: true },
      { key: "protocol", title: "Protocol", optional: true },
      { key: "channels", title: "Channels", number: true, cell: (row) => count(row.channels) },
      { key: "recv_oct_details.rate", title: "From client", number: true, cell: (row) => perSecond(row.recv_oct_details) },
      { key: "send_oct_details.rate", title: "To client", number: true, cell: (row) => perSecond(row.send_oct_details) },
      { key: "connected_at", title: "Since", cell: (row) => date(row.connected_at), optional: true },
    ],
  });
  return { title: "Connections", element: h("div", {}, h("h1", {}, "Connections"), list.element), stop: list.stop };
}

const perSecond = (details) => (details ? `${bytes(details.rate ?? 0)}/s` : "");

export function connection(_, name) {
  const traffic = chart("Bytes a second", (amount) => `${bytes(amount)}/s`);
  const about = h("div");
  const channels = h("div");
  const actions = h("div", { class: "buttons" });
  const trouble = h("p", { class: "bad", hidden: true });
  const where = path`connections/${name}`;
  const updates = live(
    async (signal) => Promise.all([get(query(where, RANGE), signal), get(`${where}/channels`, signal)]),
    ([one, list]) => {
      trouble.hidden = true;
      traffic.update([
        { name: "From client", color: "c1", points: rates(one.recv_oct_details) },
        { name: "To client", color: "c2", points: rates(one.send_oct_details) },
      ]);
      const properties = Object.entries(one.client_properties ?? {}).filter(([key]) => key !== "capabilities");
      replace(about, facts(
        ["User", one.user], ["Vhost", one.vhost], ["State", state(one)], ["Since", date(one.connected_at)],
        ["Protocol", one.protocol], ["TLS", one.ssl ? `${one.ssl_protocol ?? "yes"} ${one.ssl_cipher ?? ""}` : "no"],
        ["Login by", one.auth_mechanism], ["Heartbeat", one.timeout !== undefined && `${one.timeout} s`],
        ["Largest frame", one.frame_max && bytes(one.frame_max)], ["Channels at most", count(one.channel_max)],
        ...properties.map(([key, any]) => [key, value(any)])));
      replace(channels, plain(channelColumns, list, "No channel is open."));
      if (may.close(one.user) && !actions.firstChild) actions.append(close);
    },
    (error) => {
      trouble.textContent = error.status === 404 ? "It is closed." : error.message;
      trouble.hidden = false;
    });
  const close = h("button", {
    type: "button", class: "danger",
    onclick: async () => {
      if (await confirm(`Close the connection ${name}? Most clients connect again by themselves.`, "Close it")) {
        if (await attempt(() => remove(where), "Closed.")) location.hash = "#/connections";
      }
    },
  }, "Close this connection");
  const element = h("div", {}, h("p", { class: "path" }, link("#/connections", "Connections")), h("h1", {}, name), trouble,
    h("div", { class: "charts" }, traffic.element), about, section("Channels", channels), actions);
  return { title: name, element, stop: updates.stop };
}
