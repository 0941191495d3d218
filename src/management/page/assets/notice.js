// What is said to the user at the edge of the page, and what is asked before something is lost.

import { h } from "./dom.js";

export function notice(text, kind = "good") {
  const box = h("div", { class: `notice ${kind}` }, text);
  document.getElementById("notices").append(box);
  setTimeout(() => box.remove(), kind === "bad" ? 9000 : 4000);
}

/** Runs something, says how it went, and returns whether it went well. */
export async function attempt(work, done) {
  try {
    const result = await work();
    if (done) notice(typeof done === "function" ? done(result) : done);
    return true;
  } catch (error) {
    if (error.name !== "AbortError") notice(error.message, "bad");
    return false;
  }
}

/** Asks before something that cannot be undone. */
export function confirm(text, verb) {
  return new Promise((resolve) => {
    const answer = (value) => () => {
      dialog.close();
      resolve(value);
    };
    const dialog = h("dialog", { oncancel: answer(false), onclose: () => dialog.remove() },
      h("p", {}, text),
      h("div", { class: "buttons" },
        h("button", { class: "danger", type: "button", onclick: answer(true) }, verb),
        h("button", { type: "button", onclick: answer(false), autofocus: true }, "Cancel")));
    document.body.append(dialog);
    dialog.showModal();
  });
}
