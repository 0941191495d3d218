//! JSON to field values and back.

use serde_json::{Map, Number, Value};

use crate::protocol::{FieldTable, FieldValue};

pub(super) fn from_json(value: &Value) -> FieldValue {
    match value {
        Value::Null => FieldValue::Void,
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => integer.into(),
            None => FieldValue::F64(number.as_f64().unwrap_or(f64::MAX)),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => FieldValue::Array(items.iter().map(from_json).collect()),
        Value::Object(object) => FieldValue::Table(table_from_json(object)),
    }
}

pub(super) fn table_from_json(object: &Map<String, Value>) -> FieldTable {
    object.iter().map(|(key, value)| (key.as_str(), from_json(value))).collect()
}

pub(super) fn to_json(value: &FieldValue) -> Value {
    match value {
        FieldValue::Bool(value) => (*value).into(),
        FieldValue::LongString(bytes) | FieldValue::Binary(bytes) => {
            String::from_utf8_lossy(bytes).into()
        }
        FieldValue::Array(items) => items.iter().map(to_json).collect(),
        FieldValue::Table(table) => table_to_json(table),
        FieldValue::Timestamp(seconds) => (*seconds).into(),
        FieldValue::Decimal { scale, value } => {
            float(f64::from(*value) / 10_f64.powi(i32::from(*scale)))
        }
        other => match (other.as_int(), other.as_float()) {
            (Some(integer), _) => integer.into(),
            (None, Some(number)) => float(number),
            (None, None) => Value::Null,
        },
    }
}

pub(super) fn table_to_json(table: &FieldTable) -> Value {
    table.iter().map(|(key, value)| (key.to_owned(), to_json(value))).collect()
}

/// JSON has no infinities.
fn float(number: f64) -> Value {
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_comes_back_as_it_went_in() {
        let all = json!({
            "null": null, "yes": true, "int": -7, "large": i64::MAX, "float": 1.5, "text": "häsin",
            "list": [1, [], "x"], "object": {"nested": {"empty": {}}},
        });
        assert_eq!(to_json(&from_json(&all)), all);
    }

    #[test]
    fn what_json_does_not_know_becomes_what_is_nearest() {
        for (value, expected) in [
            (FieldValue::U32(7), json!(7)),
            (FieldValue::Timestamp(1_700_000_000), json!(1_700_000_000)),
            (FieldValue::Decimal { scale: 2, value: 275 }, json!(2.75)),
            (FieldValue::F64(f64::NAN), Value::Null),
            (FieldValue::Binary(b"ab".to_vec()), json!("ab")),
        ] {
            assert_eq!(to_json(&value), expected, "{value:?}");
        }
        assert_eq!(from_json(&json!(u64::MAX)), FieldValue::F64(u64::MAX as f64));
    }
}
