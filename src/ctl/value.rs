//! Values that are written on a command line.

use serde_json::{Map, Number, Value};

use super::error::CtlError;

/// `NAME=VALUE`: numbers and booleans are such, `name:=JSON` is anything.
pub fn pairs(texts: &[String]) -> Result<Map<String, Value>, CtlError> {
    texts.iter().map(|text| pair(text)).collect()
}

fn pair(text: &str) -> Result<(String, Value), CtlError> {
    let wrong = |why: &str| CtlError::Usage(format!("'{text}': {why}"));
    let (name, value) = text.split_once('=').ok_or_else(|| wrong("write NAME=VALUE"))?;
    match name.strip_suffix(':') {
        Some(name) => {
            let json = serde_json::from_str(value).map_err(|error| wrong(&error.to_string()))?;
            Ok((name.to_owned(), json))
        }
        None => Ok((name.to_owned(), guessed(value))),
    }
}

/// What looks like a number or a boolean is one.
fn guessed(text: &str) -> Value {
    match (text, text.parse::<i64>(), text.parse::<f64>()) {
        ("true", ..) => true.into(),
        ("false", ..) => false.into(),
        (_, Ok(number), _) => number.into(),
        (_, _, Ok(number)) if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {
            Number::from_f64(number).map_or_else(|| text.into(), Value::Number)
        }
        (text, ..) => text.into(),
    }
}

/// JSON, as it is written for the API.
pub fn json(text: &str, what: &str) -> Result<Value, CtlError> {
    serde_json::from_str(text)
        .map_err(|error| CtlError::Data(format!("{what} is no JSON: {error}")))
}

/// A JSON object, or pairs with commas between: `max-length=10,overflow=reject-publish`.
pub fn object(text: &str, what: &str) -> Result<Value, CtlError> {
    if text.trim_start().starts_with('{') {
        return json(text, what);
    }
    let texts: Vec<String> = text.split(',').map(|text| text.trim().to_owned()).collect();
    pairs(&texts).map(Value::Object)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_what_they_look_like() {
        let texts = ["a=1", "b=true", "c=x=y", "d=1.5", "e:=[1,{}]", "f=-3", "g=inf", "h="];
        let pairs = pairs(&texts.map(str::to_owned)).unwrap();
        let expected = json!({
            "a": 1, "b": true, "c": "x=y", "d": 1.5, "e": [1, {}], "f": -3, "g": "inf", "h": "",
        });
        assert_eq!(Value::Object(pairs), expected);
        for wrong in ["a", "a:=", "a:={"] {
            assert!(super::pairs(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
        assert_eq!(object("a=1, b=x", "it").unwrap(), json!({ "a": 1, "b": "x" }));
        assert_eq!(object(" {\"a\":1}", "it").unwrap(), json!({ "a": 1 }));
        assert!(object("{", "it").is_err());
    }
}
