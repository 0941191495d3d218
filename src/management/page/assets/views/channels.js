import { get, path, query } from "../api.js";
import { RANGE, chart, messageRates } from "../chart.js";
import { facts, h, link, replace, section, tag } from "../dom.js";
import { count, rateOf } from "../format.js";
import { live } from "../live.js";
import { plain, table } from "../table.js";

const toChannel = (name) => link(`#/channels/${encodeURIComponent(name)}`, name);

const mode = (row) => [row.confirm && tag("C", "", "confirms"), row.transactional && tag("T", "", "transactions")];

const prefetch = (row) => [row.prefetch_count ? count(row.prefetch_count) : h("span", { class: "quiet", title: "as many as there are" }, "unlimited"),
  row.global_prefetch_count ? ` (${row.global_prefetch_count} together)` : ""];

export const columns = [
  { key: "name", title: "Channel", cell: (row) => toChannel(row.name) },
  { key: "vhost", title: "Vhost" },
  { key: "user", title: "User" },
  { key: "confirm", title: "Mode", cell: mode, sort: false },
  { key: "state", title: "State", cell: (row) => tag(row.state ?? "") },
  { key: "consumer_count", title: "Consumers", number: true, cell: (row) => count(row.consumer_count) },
  { key: "prefetch_count", title: "Prefetch", number: true, cell: prefetch },
  { key: "messages_unacknowledged", title: "Unacked", number: true, cell: (row) => count(row.messages_unacknowledged) },
  { key: "messages_unconfirmed", title: "Unconfirmed", number: true, cell: (row) => count(row.messages_unconfirmed) },
  { key: "message_stats.publish_details.rate", title: "Publish", number: true, cell: (row) => rateOf(row.message_stats, "publish") },
  { key: "message_stats.deliver_get_details.rate", title: "Deliver", number: true, cell: (row) => rateOf(row.message_stats, "deliver_get") },
  { key: "message_stats.ack_details.rate", title: "Ack", number: true, cell: (row) => rateOf(row.message_stats, "ack") },
];

export function channels() {
  const list = table({
    name: "channels", where: () => "channels", fields: ["transactional", "global_prefetch_count", "message_stats"],
    columns, empty: "No channel is open.",
  });
  return { title: "Channels", element: h("div", {}, h("h1", {}, "Channels"), list.element), stop: list.stop };
}

export function channel(_, name) {
  const flow = chart("Message rates", (amount) => `${count(Math.round(amount))}/s`);
  const about = h("div");
  const consumers = h("div");
  const trouble = h("p", { class: "bad", hidden: true });
  const updates = live((signal) => get(query(path`channels/${name}`, RANGE), signal), (one) => {
    trouble.hidden = true;
    flow.update(messageRates(one.message_stats));
    const of = one.connection_details?.name;
    replace(about, facts(
      ["Connection", of && link(`#/connections/${encodeURIComponent(of)}`, of)], ["User", one.user], ["Vhost", one.vhost],
      ["Mode", mode(one)], ["State", one.state], ["Prefetch", prefetch(one)],
      ["Unacked", count(one.messages_unacknowledged)], ["Unconfirmed", count(one.messages_unconfirmed)],
      ["Uncommitted", one.transactional && count(one.messages_uncommitted)]));
    replace(consumers, plain([
      { title: "Tag", key: "consumer_tag" },
      { title: "Queue", cell: (row) => row.queue && link(`#/queues/${encodeURIComponent(row.queue.vhost)}/${encodeURIComponent(row.queue.name)}`, row.queue.name) },
      { title: "Acknowledges", cell: (row) => (row.ack_required ? "yes" : "no") },
      { title: "Prefetch", number: true, cell: (row) => count(row.prefetch_count) },
    ], one.consumer_details ?? []));
  }, (error) => {
    trouble.textContent = error.status === 404 ? "It is closed." : error.message;
    trouble.hidden = false;
  });
  const element = h("div", {}, h("p", { class: "path" }, link("#/channels", "Channels")), h("h1", {}, name), trouble,
    h("div", { class: "charts" }, flow.element), about, section("Consumers", consumers));
  return { title: name, element, stop: updates.stop };
}
