//! The lines of a `rabbitmq.conf`.
//!
//! ```text
//! # a comment
//! key.with.points = value          # and another
//! default_pass = 'with a # in it'
//! default_user = $(SEED_USER)
//! include conf.d/*.conf
//! ```
//!
//! As in RabbitMQ 4.x: a value ends at a `#`, unless it stands in single quotes; `$(NAME)` is the
//! environment variable of that name; double quotes are a part of the value.

use super::Segments;

/// What a line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Nothing,
    Include(String),
    Setting { key: Segments, value: String },
}

/// Errors are the half of a sentence that follows the line's number.
pub(super) fn line(text: &str, env: impl Fn(&str) -> Option<String>) -> Result<Line, String> {
    let text = text.trim();
    if text.is_empty() || text.starts_with('#') {
        return Ok(Line::Nothing);
    }
    if let Some(rest) = text.strip_prefix("include")
        && rest.starts_with([' ', '\t'])
    {
        let path = value(rest.trim())?;
        return Ok(Line::Include(interpolate(&path, env)?));
    }
    let Some((key, rest)) = text.split_once('=') else {
        return Err(format!("expected KEY = VALUE, found {text:?}"));
    };
    let key = segments(key.trim_end())?;
    let value = value(rest.trim_start())?;
    if value.is_empty() {
        return Err(format!("{key} has no value", key = super::dotted(&key)));
    }
    Ok(Line::Setting { key, value: interpolate(&value, env)? })
}

/// A point behind a backslash belongs to the name: `loopback_users.john\.doe`.
fn segments(key: &str) -> Result<Segments, String> {
    let mut segments = vec![String::new()];
    let mut letters = key.chars();
    while let (Some(letter), Some(last)) = (letters.next(), segments.last_mut()) {
        match letter {
            '\\' => last.extend(letters.next()),
            '.' => segments.push(String::new()),
            letter => last.push(letter),
        }
    }
    let is_key = |segment: &String| !segment.is_empty() && !segment.contains(char::is_whitespace);
    if segments.iter().all(is_key) { Ok(segments) } else { Err(format!("{key:?} is not a key")) }
}

fn value(text: &str) -> Result<String, String> {
    if let Some(quoted) = text.strip_prefix('\'')
        && let Some((inside, behind)) = closed(quoted)
    {
        let behind = behind.trim_start();
        if behind.is_empty() || behind.starts_with('#') {
            return Ok(inside);
        }
    }
    Ok(text.split('#').next().unwrap_or_default().trim_end().to_owned())
}

/// What stands before the closing quote, and what behind it.
fn closed(text: &str) -> Option<(String, &str)> {
    let mut inside = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\'' => return Some((inside, text.get(at + 1..)?)),
            '\\' if letters.as_str().starts_with('\'') => {
                letters.next();
                inside.push('\'');
            }
            letter => inside.push(letter),
        }
    }
    None
}

fn interpolate(value: &str, env: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut text = String::new();
    let mut rest = value;
    while let Some((before, name)) = rest.split_once("$(") {
        let Some((name, behind)) = name.split_once(')') else {
            break;
        };
        let found = env(name).ok_or_else(|| {
            format!("the environment variable {name} is not set, which $({name}) names")
        })?;
        text.push_str(before);
        text.push_str(&found);
        rest = behind;
    }
    text.push_str(rest);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Line, String> {
        line(text, |name| (name == "USER").then(|| "hare".to_owned()))
    }

    #[track_caller]
    fn check(text: &str, key: &[&str], value: &str) {
        let key = key.iter().map(|&segment| segment.to_owned()).collect();
        assert_eq!(read(text), Ok(Line::Setting { key, value: value.to_owned() }), "{text}");
    }

    /// But for quotes and variables, which it does not know, RabbitMQ 3.10 reads all of these so.
    #[test]
    fn values_are_read_as_rabbitmq_reads_them() {
        check("a.b = 1 # trailing", &["a", "b"], "1");
        check("a.c=x#y", &["a", "c"], "x");
        check("  a.f   =   spaced value here   ", &["a", "f"], "spaced value here");
        check(r"a.g = ^amq\.", &["a", "g"], r"^amq\.");
        check("a.i = x = y", &["a", "i"], "x = y");
        check("\ta.j = tab\t", &["a", "j"], "tab");
        check(r"a\.k.l = 1", &["a.k", "l"], "1");
        check("a-b.c_d = 5\r", &["a-b", "c_d"], "5");
        check("a = \"dq\"", &["a"], "\"dq\"");
        check("a = 'mixed' tail", &["a"], "'mixed' tail");
        check("a = 'unclosed", &["a"], "'unclosed");
        check("a = a'b", &["a"], "a'b");
        for text in ["", "  ", "# a = 1", "## "] {
            assert_eq!(read(text), Ok(Line::Nothing), "{text}");
        }
        assert_eq!(read("include x/*.conf"), Ok(Line::Include("x/*.conf".to_owned())));
    }

    #[test]
    fn single_quotes_keep_what_is_in_them() {
        check("a = 'with a # in it' # comment", &["a"], "with a # in it");
        check(r"a = 'it\'s'", &["a"], "it's");
        check("a = ' spaces '", &["a"], " spaces ");
    }

    #[test]
    fn variables_stand_for_their_values() {
        check("a = $(USER)", &["a"], "hare");
        check("a = x-$(USER)-$(USER)", &["a"], "x-hare-hare");
        check("a = $(USER", &["a"], "$(USER");
        check("a = $USER", &["a"], "$USER");
        let error = "the environment variable NO is not set, which $(NO) names";
        assert_eq!(read("a = $(NO)"), Err(error.to_owned()));
    }

    #[test]
    fn what_is_no_setting_is_refused() {
        for (text, error) in [
            ("a.b 1", "expected KEY = VALUE, found \"a.b 1\""),
            ("[section]", "expected KEY = VALUE, found \"[section]\""),
            ("a b = 1", "\"a b\" is not a key"),
            ("a..b = 1", "\"a..b\" is not a key"),
            ("= 1", "\"\" is not a key"),
            ("a.h =", "a.h has no value"),
            ("a.h = # nothing", "a.h has no value"),
        ] {
            assert_eq!(read(text), Err(error.to_owned()), "{text}");
        }
    }
}
