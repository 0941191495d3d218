// What the one who is logged in may do, by their tags: the page does not offer what would be refused. Whether it is
// done is for the broker to say.

let name = "";
let tags = [];

/** Learns who it is: {name, tags}, or nobody. */
export function learnRights(me) {
  name = me?.name ?? "";
  tags = me?.tags ?? [];
}

export const may = {
  get administer() {
    return tags.includes("administrator");
  },
  get monitor() {
    return may.administer || tags.includes("monitoring");
  },
  get makePolicies() {
    return may.administer || tags.includes("policymaker");
  },
  /** Close a connection of a user. */
  close: (user) => may.administer || user === name,
};
