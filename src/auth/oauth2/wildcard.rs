//! The patterns of scopes: text in which `*` stands for any sequence of characters.
//!
//! What is special in them (`*`, `/`, `%`, and `{` where variables count) stands for itself when it is
//! percent-encoded. Matching takes time that is linear in the name for each part between stars.

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wildcard {
    /// What stands between the stars; never empty.
    parts: Vec<Vec<u8>>,
}

impl Wildcard {
    /// `None` when a percent sign is not followed by two hexadecimal digits. `variable` says what a
    /// name in braces stands for, taken literally; braces around anything else stand for themselves.
    pub(super) fn new<'v>(
        pattern: &str,
        variable: impl Fn(&str) -> Option<&'v str>,
    ) -> Option<Self> {
        let mut parts = Vec::new();
        for part in pattern.split('*') {
            let mut literal = Vec::new();
            let mut rest = part;
            while let Some((before, opened)) = rest.split_once('{') {
                decode(before, &mut literal)?;
                let named = opened.split_once('}');
                let named = named.and_then(|(name, behind)| Some((variable(name)?, behind)));
                let (value, behind) = named.unwrap_or(("{", opened));
                literal.extend_from_slice(value.as_bytes());
                rest = behind;
            }
            decode(rest, &mut literal)?;
            parts.push(literal);
        }
        Some(Self { parts })
    }

    /// A pattern without variables.
    pub(super) fn plain(pattern: &str) -> Option<Self> {
        Self::new(pattern, |_| None)
    }

    pub(super) fn is_everything(&self) -> bool {
        self.parts.len() > 1 && self.parts.iter().all(Vec::is_empty)
    }

    pub(super) fn matches(&self, name: &[u8]) -> bool {
        let Some((first, others)) = self.parts.split_first() else { return false };
        let Some((last, middle)) = others.split_last() else { return first == name };
        let Some(name) = name.strip_prefix(&first[..]) else { return false };
        let Some(mut name) = name.strip_suffix(&last[..]) else { return false };
        // The earliest place leaves most room for what follows, so there is nothing to go back to.
        for part in middle {
            let Some(at) = find(name, part) else { return false };
            name = name.get(at + part.len()..).unwrap_or_default();
        }
        true
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    if part.is_empty() {
        return Some(0);
    }
    text.windows(part.len()).position(|window| window == part)
}

fn decode(text: &str, into: &mut Vec<u8>) -> Option<()> {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            into.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        into.push(u8::try_from(high * 16 + low).ok()?);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, matching: &[&str], others: &[&str]) {
        let wildcard = Wildcard::plain(pattern).expect(pattern);
        for name in matching {
            assert!(wildcard.matches(name.as_bytes()), "{pattern} should match {name:?}");
        }
        for name in others {
            assert!(!wildcard.matches(name.as_bytes()), "{pattern} should not match {name:?}");
        }
    }

    #[test]
    fn stars_stand_for_any_sequence() {
        check("*", &["", "a", "foo/bar", "line\nbreak", "ü"], &[]);
        check("**", &["", "a"], &[]);
        check("", &[""], &["a", "*"]);
        check("foo", &["foo"], &["", "fo", "fooo", "xfoo", "FOO"]);
        check("foo*", &["foo", "foobar", "foo*"], &["fo", "barfoo", " foo"]);
        check("*foo", &["foo", "barfoo", "foofoo"], &["foobar", "fo"]);
        check("foo*bar", &["foobar", "foo_bar", "foobarbar"], &["foba", "foobarx", "foobaz"]);
        check("ab*ba", &["abba", "ab-ba"], &["aba", "ab", "ba"]);
        check("start*middle*end", &["startmiddleend", "start1middle2middle3end"], &["startend"]);
        check("*before*after*", &["beforeafter", "1before2after3"], &["afterbefore"]);
        check("a*aa*a", &["aaaa", "abaaba"], &["aaa", "aba", "aa"]);
        check("a.c", &["a.c"], &["abc"]);
    }

    #[test]
    fn what_is_percent_encoded_stands_for_itself() {
        check("%2F", &["/"], &["%2F"]);
        check("%2f*", &["/", "/a"], &["a"]);
        check("100%25", &["100%"], &["100%25"]);
        check("%2A", &["*"], &["a", ""]);
        check("a%2Ab*", &["a*bc"], &["aXbc"]);
        check("%C3%BC", &["ü"], &["u"]);
        check("a+b", &["a+b"], &["a b"]);
        for broken in ["%", "%2", "a%zz", "%2*F", "*%", "%\u{fc}1"] {
            assert_eq!(Wildcard::plain(broken), None, "{broken}");
        }
    }

    #[test]
    fn variables_are_taken_literally() {
        let values = [("sub", "bob"), ("star", "*"), ("percent", "%2F"), ("empty", "")];
        let variable = |name: &str| values.iter().find(|(known, _)| *known == name).map(|v| v.1);
        for (pattern, name, expected) in [
            ("u-{sub}-*", "u-bob-1", true),
            ("u-{sub}-*", "u-eve-1", false),
            ("{star}", "anything", false),
            ("{star}", "*", true),
            ("{percent}", "%2F", true),
            ("{percent}", "/", false),
            ("a{empty}b", "ab", true),
            ("{nobody}", "{nobody}", true),
            ("{nobody}", "", false),
            ("%7Bsub}", "{sub}", true),
            ("%7Bsub}", "bob", false),
            ("{{sub}}", "{bob}", true),
            ("{sub", "{sub", true),
            ("{sub}{sub}", "bobbob", true),
        ] {
            let wildcard = Wildcard::new(pattern, variable).unwrap();
            assert_eq!(wildcard.matches(name.as_bytes()), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        let started = std::time::Instant::now();
        let wildcard = Wildcard::plain(&format!("{}b", "a*".repeat(4000))).unwrap();
        let name = "a".repeat(255);
        (0..1000).for_each(|_| assert!(!wildcard.matches(name.as_bytes())));
        assert!(started.elapsed() < std::time::Duration::from_secs(10));
    }
}
