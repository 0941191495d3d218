import { path, post } from "../api.js";
import { form, pairs } from "../form.js";

/** A form that publishes to an exchange. */
export function publishForm(vhost, exchange, routingKey) {
  const fields = [
    { name: "routing_key", label: "Routing key", value: routingKey },
    { name: "payload", label: "Payload", kind: "area", rows: 4 },
    { name: "payload_encoding", label: "Payload is", kind: "select", options: [["string", "text"], ["base64", "Base64"]] },
    { name: "persistent", label: "Persistent", kind: "checkbox", value: true },
    { name: "properties", label: "Properties", kind: "area", hint: "one name = value a line: content_type, priority, expiration, …", rows: 2 },
    { name: "headers", label: "Headers", kind: "area", hint: "one name = value a line", rows: 2 },
  ];
  return form("Publish", fields, async (typed) => {
    const properties = pairs(typed.properties);
    for (const key of ["expiration", "message_id", "correlation_id", "type", "app_id", "user_id", "reply_to"]) {
      if (properties[key] !== undefined) properties[key] = String(properties[key]);
    }
    const headers = pairs(typed.headers);
    if (Object.keys(headers).length) properties.headers = headers;
    if (typed.persistent) properties.delivery_mode = 2;
    const { routing_key, payload, payload_encoding } = typed;
    const answer = await post(path`exchanges/${vhost}/${exchange}/publish`, { routing_key, payload, payload_encoding, properties });
    if (!answer.routed) throw new Error("It was published, and no queue took it: nothing is bound for that key.");
  }, "Published.");
}
