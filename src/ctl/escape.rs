//! Names and messages come from strangers; a terminal obeys some characters instead of showing them.

use std::fmt::Write;

/// Whether a terminal would do something other than to show it: control characters, and those that
/// turn the direction of writing or cannot be seen.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The text in one line, with what is not safe as in Rust: `\n`, `\t`, `\u{1b}`.
pub fn escaped(text: &str) -> String {
    if !text.chars().any(is_unsafe) {
        return text.to_owned();
    }
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            c if is_unsafe(c) => {
                // Writing to a string does not fail.
                let _ = write!(safe, "\\u{{{:x}}}", u32::from(c));
            }
            c => safe.push(c),
        }
    }
    safe
}

/// JSON means the same afterwards: all that is escaped stands within strings, but for line breaks.
pub fn escaped_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if c != '\n' && is_unsafe(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(c);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_that_moves_the_cursor() {
        let nasty = "a\u{1b}[2Jb\r\nc\td\u{7f}\u{9b}31m\u{202e}e\u{0}ä\u{1F407}";
        let safe = escaped(nasty);
        assert_eq!(safe, "a\\u{1b}[2Jb\\r\\nc\\td\\u{7f}\\u{9b}31m\\u{202e}e\\u{0}ä\u{1F407}");
        assert!(!safe.chars().any(is_unsafe));
    }

    #[test]
    fn json_says_the_same_as_before() {
        let nasty = "a\u{1b}b\u{7f}\u{9b}\u{202e}\n\u{feff}ä";
        let json = serde_json::to_string_pretty(&[nasty]).unwrap();
        let safe = escaped_json(&json);
        assert!(!safe.chars().any(|c| c != '\n' && is_unsafe(c)), "{safe}");
        let [back]: [String; 1] = serde_json::from_str(&safe).unwrap();
        assert_eq!(back, nasty);
    }
}
