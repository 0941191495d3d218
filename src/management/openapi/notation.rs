//! JSON schemas in a few words.
//!
//! A type is `string`, `integer`, `number`, `boolean`, `object`, `any`, `null`, the name of a schema, a list
//! `[T]`, a map `{T}`, or one of several, `T|U`. A schema is a type, or fields with commas between them:
//! `name: T` is always there, `name?: T` sometimes, `name*: T` and `name*?: T` have `name_details` beside
//! them, and `...Name` stands for the fields of another schema.

use serde_json::{Map, Value, json};

/// The JSON schema of a type or of fields. `find` knows the schemas that are named.
pub(super) fn schema(text: &str, find: &dyn Fn(&str) -> Option<&'static str>) -> Value {
    match text.contains(':') || text.trim_start().starts_with("...") {
        false => kind(text.trim()),
        true => {
            let (mut properties, mut required) = (Map::new(), Vec::new());
            fields(text, find, &mut properties, &mut required);
            let mut schema = json!({ "type": "object", "properties": properties });
            // An empty list of them is not allowed.
            if !required.is_empty() {
                put(&mut schema, "required", required.into());
            }
            schema
        }
    }
}

/// Adds a key to what is an object.
pub(super) fn put(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

fn fields(
    text: &str,
    find: &dyn Fn(&str) -> Option<&'static str>,
    properties: &mut Map<String, Value>,
    required: &mut Vec<Value>,
) {
    for field in text.split(',').map(str::trim).filter(|field| !field.is_empty()) {
        if let Some(name) = field.strip_prefix("...") {
            fields(find(name).unwrap_or_default(), find, properties, required);
            continue;
        }
        let (name, of) = field.split_once(':').unwrap_or((field, "any"));
        let (name, is_optional) = split(name.trim(), '?');
        let (name, has_details) = split(name, '*');
        let details = has_details.then(|| (format!("{name}_details"), kind("Rate")));
        for (name, schema) in [(name.to_owned(), kind(of.trim()))].into_iter().chain(details) {
            if !is_optional {
                required.push(name.as_str().into());
            }
            properties.insert(name, schema);
        }
    }
}

fn split(name: &str, mark: char) -> (&str, bool) {
    name.strip_suffix(mark).map_or((name, false), |name| (name, true))
}

fn kind(text: &str) -> Value {
    let within = |start, end| text.strip_prefix(start)?.strip_suffix(end);
    if let Some(item) = within('[', ']') {
        return json!({ "type": "array", "items": kind(item) });
    }
    if let Some(value) = within('{', '}') {
        return json!({ "type": "object", "additionalProperties": kind(value) });
    }
    if text.contains('|') {
        return json!({ "anyOf": text.split('|').map(kind).collect::<Vec<_>>() });
    }
    match text {
        "any" => json!({}),
        "string" | "integer" | "number" | "boolean" | "object" | "null" => json!({ "type": text }),
        name => json!({ "$ref": format!("#/components/schemas/{name}") }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notation_becomes_json_schema() {
        let find = |name: &str| (name == "Base").then_some("id: integer, note?: string|null");
        let text = "...Base, total*: integer, all: [Base], map?: {number}, free: any";
        assert_eq!(
            schema(text, &find),
            json!({
                "type": "object",
                "properties": {
                    "id": { "type": "integer" },
                    "note": { "anyOf": [{ "type": "string" }, { "type": "null" }] },
                    "total": { "type": "integer" },
                    "total_details": { "$ref": "#/components/schemas/Rate" },
                    "all": {
                        "type": "array", "items": { "$ref": "#/components/schemas/Base" },
                    },
                    "map": { "type": "object", "additionalProperties": { "type": "number" } },
                    "free": {},
                },
                "required": ["id", "total", "total_details", "all", "free"],
            })
        );
        assert_eq!(
            schema("[string]", &find),
            json!({ "type": "array", "items": { "type": "string" } })
        );
        assert_eq!(schema("a?: string", &find).get("required"), None);
    }
}
