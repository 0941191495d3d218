//! The regular expressions of permissions (behaviour B10.3).
//!
//! They are searched for, not anchored, in time that is linear in the name, however they are written;
//! so what needs backtracking (look-around, back references) is refused. What one may cost in memory is
//! limited.

use std::fmt;
use std::sync::Arc;

use regex::bytes::{Regex, RegexBuilder};

/// Bytes of an expression.
const PATTERN_BYTES_MAX: usize = 64 * 1024;

/// Bytes of what it is compiled to, without and with what searching adds.
const COMPILED_BYTES_MAX: usize = 1024 * 1024;

/// Parentheses within parentheses.
const NESTING_MAX: u32 = 100;

/// `Display` shows it as it was given.
#[derive(Clone)]
pub struct Pattern {
    text: Arc<str>,
    matcher: Matcher,
}

#[derive(Clone)]
enum Matcher {
    Everything,
    /// The empty pattern matches the empty name alone, and nothing that is asked about has it.
    Nothing,
    Regex(Regex),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid regular expression '{pattern}': {reason}")]
pub struct InvalidPattern {
    pattern: String,
    reason: String,
}

impl Pattern {
    pub fn new(text: &str) -> Result<Self, InvalidPattern> {
        Self::of(text, text)
    }

    /// Matches every name.
    pub fn everything() -> Self {
        Self { text: ".*".into(), matcher: Matcher::Everything }
    }

    /// Matches no name.
    pub(super) fn nothing() -> Self {
        Self { text: "".into(), matcher: Matcher::Nothing }
    }

    /// For topics: `{username}` and `{vhost}` stand for those names (behaviour B10.6). They stand for
    /// themselves: a user called `.*` may not do more for it.
    pub fn for_topics(text: &str, user: &str, vhost: &str) -> Result<Self, InvalidPattern> {
        let expanded = text
            .replace("{username}", &regex::escape(user))
            .replace("{vhost}", &regex::escape(vhost));
        Self::of(text, &expanded)
    }

    fn of(text: &str, expanded: &str) -> Result<Self, InvalidPattern> {
        let matcher = match expanded {
            "" => Matcher::Nothing,
            ".*" => Matcher::Everything,
            expanded => Matcher::Regex(compile(expanded).map_err(|reason| InvalidPattern {
                pattern: crate::protocol::wire::put::cut(text, 200).to_owned(),
                reason,
            })?),
        };
        Ok(Self { text: text.into(), matcher })
    }

    pub fn matches(&self, name: &[u8]) -> bool {
        match &self.matcher {
            Matcher::Everything => true,
            Matcher::Nothing => name.is_empty(),
            Matcher::Regex(regex) => regex.is_match(name),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn compile(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(format!("it is longer than {PATTERN_BYTES_MAX} bytes"));
    }
    let built = RegexBuilder::new(pattern)
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(COMPILED_BYTES_MAX)
        .nest_limit(NESTING_MAX)
        .build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "it is too large when compiled".to_owned(),
        // The last line says what is wrong, those before show where.
        error => {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default();
            reason.strip_prefix("error: ").unwrap_or(reason).to_owned()
        }
    })
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn pattern_is_searched_for_in_the_name() {
        for (pattern, name, expected) in [
            (".*", "orders", true),
            (".*", "", true),
            ("", "orders", false),
            ("", "", true),
            ("^$", "orders", false),
            ("order", "my orders", true),
            ("^order", "my orders", false),
            ("^orders$", "orders", true),
            ("^orders$", "orders\n", false),
            ("^(orders|bills)\\.", "bills.new", true),
            ("ä", "häsin", true),
            ("^amq\\.default$", "amq.default", true),
            ("ORDER", "orders", false),
            ("(?i)ORDER", "orders", true),
        ] {
            let found = Pattern::new(pattern).unwrap().matches(name.as_bytes());
            assert_eq!(found, expected, "{pattern} in {name}");
        }
        assert!(Pattern::new("^a.b$").unwrap().matches(b"a-b"));
        assert!(!Pattern::new("^a.b$").unwrap().matches(b"a\xffb"), "a key need not be UTF-8");
    }

    #[test]
    fn names_in_topic_patterns_stand_for_themselves() {
        for (pattern, user, key, expected) in [
            ("^{username}\\.", "hare", "hare.a", true),
            ("^{username}\\.", "hare", "fox.a", false),
            ("^{vhost}-{username}$", "hare", "/-hare", true),
            ("^{username}$", ".*", "fox", false),
            ("^{username}$", ".*", ".*", true),
            ("{username}", "", "fox", false),
        ] {
            let pattern = Pattern::for_topics(pattern, user, "/").unwrap();
            assert_eq!(pattern.matches(key.as_bytes()), expected, "{pattern:?} {user} {key}");
        }
        let pattern = Pattern::for_topics("^{username}$", "hare", "/").unwrap();
        assert_eq!(pattern.as_str(), "^{username}$");
    }

    #[test]
    fn what_cannot_be_matched_in_linear_time_or_little_memory_is_refused() {
        let started = Instant::now();
        let long = "a".repeat(PATTERN_BYTES_MAX + 1);
        let deep = format!("{}a{}", "(".repeat(1000), ")".repeat(1000));
        for (pattern, reason) in [
            ("(", "unclosed group"),
            ("*", "repetition operator missing expression"),
            ("^(?!secret)", "look-around, including look-ahead and look-behind, is not supported"),
            ("(a)\\1", "backreferences are not supported"),
            ("((a{1000}){1000}){1000}", "it is too large when compiled"),
            ("\\w{5000}", "it is too large when compiled"),
            (&long, "it is longer than 65536 bytes"),
            (&deep, "exceed the maximum number of nested parentheses/brackets (100)"),
        ] {
            let refused = Pattern::new(pattern).unwrap_err();
            assert_eq!(refused.reason, reason, "{}", refused.pattern);
            assert!(refused.to_string().len() < 400);
        }
        // It would take a backtracking matcher longer than anybody lives.
        let pattern = Pattern::new("^(a+)+$").unwrap();
        assert!(!pattern.matches(format!("{}b", "a".repeat(255)).as_bytes()));
        assert!(started.elapsed() < Duration::from_secs(10));
    }
}
