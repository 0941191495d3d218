import { get, session } from "../api.js";
import { h } from "../dom.js";
import { form } from "../form.js";

export function login(opened) {
  const fields = [
    { name: "name", label: "User", required: true },
    { name: "password", label: "Password", kind: "password" },
  ];
  const element = form("Log in", fields, async ({ name, password }) => {
    session.open(name, password);
    try {
      await get("whoami");
    } catch (error) {
      session.close();
      throw error;
    }
    opened();
  });
  setTimeout(() => element.querySelector("input")?.focus());
  return h("div", { class: "login" }, h("h1", {}, "leveret"), element);
}
