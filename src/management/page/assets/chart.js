// Line charts over time, drawn as SVG.

import { h, replace, svg } from "./dom.js";

const HEIGHT = 180;
const LEFT = 68;
const BOTTOM = 20;
const TOP = 8;

/** A round number at or above `value`: 1, 2 or 5 times a power of ten. */
function ceiling(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}

/**
 * A chart: `series` are {name, color, points: [[millis, value]]}, oldest first; `show` renders a value. Its
 * `update(series)` draws anew.
 */
export function chart(title, show) {
  const canvas = svg("svg", { role: "img", "aria-label": title });
  const legend = h("ul", { class: "legend" });
  const tip = h("output", { class: "tip" });
  const element = h("figure", { class: "chart" }, h("figcaption", {}, title, tip), canvas, legend);
  let given = [];
  let drawn = [];
  let scale = null;
  // In pixels, so that letters and lines are as wide as they are everywhere.
  let width = 640;
  new ResizeObserver(([{ contentRect }]) => {
    if (contentRect.width === 0 || contentRect.width === width) return;
    width = contentRect.width;
    update(given);
  }).observe(canvas);

  function update(series) {
    given = series;
    drawn = series.filter((one) => one.points.length > 0);
    const times = drawn.flatMap((one) => one.points.map(([at]) => at));
    const now = Math.max(...times, 0);
    const since = Math.min(...times, now - 60000);
    const top = ceiling(Math.max(...drawn.flatMap((one) => one.points.map(([, value]) => value)), 1));
    const x = (at) => LEFT + ((at - since) / Math.max(now - since, 1)) * (width - LEFT);
    const y = (value) => TOP + (1 - Math.max(value, 0) / top) * (HEIGHT - BOTTOM - TOP);
    scale = { since, now };
    const grid = [0, 0.5, 1].map((part) => svg("g", {},
      svg("line", { class: "grid", x1: LEFT, x2: width, y1: y(top * part), y2: y(top * part) }),
      svg("text", { x: LEFT - 6, y: y(top * part) + 4, "text-anchor": "end" }, show(top * part))));
    const span = Math.round((now - since) / 1000);
    const ago = span >= 120 ? `${Math.round(span / 60)} min ago` : `${span} s ago`;
    const axis = [
      svg("text", { x: LEFT, y: HEIGHT - 5 }, ago),
      svg("text", { x: width, y: HEIGHT - 5, "text-anchor": "end" }, "now"),
    ];
    const lines = drawn.map((one) => svg("polyline", {
      class: `line ${one.color}`,
      points: one.points.map(([at, value]) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(" "),
    }));
    replace(canvas, ...grid, ...axis, ...lines);
    replace(legend, series.map((one) => h("li", {},
      h("i", { class: one.color }), one.name, " ",
      h("b", {}, one.points.length ? show(one.points.at(-1)[1]) : "–"))));
  }

  canvas.addEventListener("pointermove", (event) => {
    if (!scale || !drawn.length) return;
    const box = canvas.getBoundingClientRect();
    const at = scale.since + ((event.clientX - box.left - LEFT) / (width - LEFT)) * (scale.now - scale.since);
    const nearest = (points) => points.reduce((best, point) => (Math.abs(point[0] - at) < Math.abs(best[0] - at) ? point : best));
    const time = nearest(drawn[0].points)[0];
    tip.textContent = `${new Date(time).toLocaleTimeString()}: ${drawn.map((one) => `${one.name} ${show(nearest(one.points)[1])}`).join(", ")}`;
  });
  canvas.addEventListener("pointerleave", () => { tip.textContent = ""; });
  return { element, update };
}

/** The samples of a `…_details` object, oldest first. */
export function samples(details) {
  return (details?.samples ?? []).map(({ timestamp, sample }) => [timestamp, sample]).reverse();
}

/** The same for a counter: how much it rose a second between samples. */
export function rates(details) {
  const points = samples(details);
  return points.slice(1).map(([at, value], index) => {
    const [before, last] = points[index];
    return [at, at > before ? ((value - last) * 1000) / (at - before) : 0];
  });
}

/** What to ask for so that samples come along. */
export const RANGE = {
  lengths_age: 600, lengths_incr: 5, msg_rates_age: 600, msg_rates_incr: 5, data_rates_age: 600, data_rates_incr: 5,
};

const STATS = [
  ["publish", "Publish", "c1"], ["deliver_get", "Deliver", "c2"], ["ack", "Acknowledge", "c3"],
  ["redeliver", "Redeliver", "c4"], ["confirm", "Confirm", "c5"], ["return_unroutable", "Unroutable", "c6"],
];

/** Series of a `message_stats` object. */
export function messageRates(stats) {
  return STATS.filter(([key]) => stats?.[key] !== undefined)
    .map(([key, name, color]) => ({ name, color, points: rates(stats[`${key}_details`]) }));
}

/** Series of an object that says how many messages wait. */
export function queued(object) {
  return [["messages_ready", "Ready", "c1"], ["messages_unacknowledged", "Unacked", "c2"], ["messages", "Total", "c3"]]
    .map(([key, name, color]) => ({ name, color, points: samples(object?.[`${key}_details`]) }));
}
