// Numbers and times as people read them.

const locale = new Intl.NumberFormat("en");
const brief = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const count = (value) => (value === undefined || value === null ? "" : locale.format(value));
export const short = (value) => (value === undefined || value === null ? "" : brief.format(value));

export function bytes(value) {
  if (value === undefined || value === null) return "";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit && value < 100 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

export function rate(value) {
  if (value === undefined || value === null) return "";
  if (value === 0) return "0/s";
  return value < 10 ? `${value.toFixed(1)}/s` : `${short(value)}/s`;
}

export function duration(millis) {
  if (millis === undefined || millis === null) return "";
  const units = [["d", 86400000], ["h", 3600000], ["min", 60000], ["s", 1000]];
  const start = units.findIndex(([, size]) => millis >= size);
  if (start < 0) return `${Math.round(millis)} ms`;
  const [name, size] = units[start];
  const whole = Math.floor(millis / size);
  const next = units[start + 1];
  const rest = next ? Math.floor((millis % size) / next[1]) : 0;
  return rest ? `${whole} ${name} ${rest} ${next[0]}` : `${whole} ${name}`;
}

export function date(millis) {
  return millis ? new Date(millis).toLocaleString() : "";
}

/** A value of any kind, on one line. */
export function value(any) {
  return typeof any === "string" ? any : JSON.stringify(any);
}

/** The rate of a counter in a `message_stats` object. */
export const rateOf = (stats, key) => rate(stats?.[`${key}_details`]?.rate ?? (stats ? 0 : undefined));
