// The HTTP API, as the one who is logged in.

const KEY = "leveret.credentials";

/** An answer that is no success. */
export class ApiError extends Error {
  constructor(status, reason) {
    super(reason);
    this.status = status;
  }
}

/** Told of on `window` when the broker no longer knows who is logged in. */
export const LOGGED_OUT = "leveret:logged-out";

export const session = {
  get credentials() {
    return sessionStorage.getItem(KEY);
  },
  open(name, password) {
    const bytes = new TextEncoder().encode(`${name}:${password}`);
    sessionStorage.setItem(KEY, btoa(String.fromCharCode(...bytes)));
  },
  close() {
    sessionStorage.removeItem(KEY);
  },
};

/** A path, with each part that is put in encoded: path`queues/${vhost}/${name}`. */
export function path(strings, ...parts) {
  return strings.reduce((all, text, index) => all + encodeURIComponent(parts[index - 1]) + text);
}

/** Adds what is asked for behind the question mark; empty values are left out. */
export function query(where, parameters) {
  const pairs = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return pairs.length ? `${where}?${new URLSearchParams(pairs)}` : where;
}

async function call(method, where, body, signal) {
  const headers = {};
  if (session.credentials) headers.authorization = `Basic ${session.credentials}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  let answer;
  try {
    answer = await fetch(`api/${where}`, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
      credentials: "omit",
      cache: "no-store",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The broker does not answer.");
  }
  const text = await answer.text();
  let value = null;
  try {
    value = text ? JSON.parse(text) : null;
  } catch {
    value = null;
  }
  if (answer.status === 401 && value?.error === "not_authorized") {
    session.close();
    window.dispatchEvent(new Event(LOGGED_OUT));
    throw new ApiError(401, "The user or the password is not right.");
  }
  if (!answer.ok) throw new ApiError(answer.status, value?.reason ?? answer.statusText ?? `Status ${answer.status}`);
  return value;
}

export const get = (where, signal) => call("GET", where, undefined, signal);
export const put = (where, body) => call("PUT", where, body ?? {});
export const post = (where, body) => call("POST", where, body ?? {});
export const remove = (where) => call("DELETE", where);
