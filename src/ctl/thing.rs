//! What requests are about: a path, and what people call it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::error::CtlError;

/// What stays as it is in a segment of a path.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

#[derive(Clone, Debug)]
pub struct Thing {
    path: String,
    name: String,
    is_user: bool,
    /// Of a list that is narrowed to one.
    vhost: Option<String>,
}

impl Thing {
    /// The path below `/api`, as a list of segments that are not encoded yet.
    pub fn at<S: AsRef<str>>(segments: impl IntoIterator<Item = S>) -> Self {
        let mut path = String::new();
        for segment in segments {
            path.push('/');
            path.push_str(&encoded(segment.as_ref()));
        }
        Self { name: format!("/api{path}"), path, is_user: false, vhost: None }
    }

    /// What it is called where it is missing.
    #[must_use]
    pub fn called(self, name: String) -> Self {
        Self { name, ..self }
    }

    pub fn queue(vhost: &str, name: &str) -> Self {
        Self::at(["queues", vhost, name]).called(format!("queue '{name}' in vhost '{vhost}'"))
    }

    /// The default exchange has a name in paths.
    pub fn exchange(vhost: &str, name: &str) -> Self {
        let segment = if name.is_empty() { "amq.default" } else { name };
        let called = format!("exchange '{name}' in vhost '{vhost}'");
        Self::at(["exchanges", vhost, segment]).called(called)
    }

    pub fn user(name: &str) -> Self {
        Self::at(["users", name]).or_user(name)
    }

    /// Where it is missing, the user is.
    #[must_use]
    pub fn or_user(self, name: &str) -> Self {
        Self { is_user: true, ..self.called(format!("user '{name}'")) }
    }

    pub fn vhost(name: &str) -> Self {
        Self::at(["vhosts", name]).called(format!("virtual host '{name}'"))
    }

    /// Something that belongs to it.
    #[must_use]
    pub fn below<S: AsRef<str>>(&self, segments: impl IntoIterator<Item = S>) -> Self {
        Self { path: format!("{}{}", self.path, Self::at(segments).path), ..self.clone() }
    }

    /// With parameters behind a `?`; those that are empty are left out.
    #[must_use]
    pub fn with(&self, parameters: &[(&str, &str)]) -> Self {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let said = parameters.iter().filter(|(_, value)| !value.is_empty());
        let query = query.extend_pairs(said).finish();
        let path = match query.is_empty() {
            true => self.path.clone(),
            false => format!("{}?{query}", self.path),
        };
        Self { path, ..self.clone() }
    }

    /// Of a list: what is in this virtual host.
    #[must_use]
    pub fn in_vhost(self, vhost: &str) -> Self {
        Self { vhost: Some(encoded(vhost)), ..self }
    }

    /// Encoded, as the header `X-Vhost` has it.
    pub fn only_vhost(&self) -> Option<&str> {
        self.vhost.as_deref()
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn missing(&self) -> CtlError {
        match self.is_user {
            true => CtlError::NoUser(self.name.clone()),
            false => CtlError::Data(format!("there is no {}", self.name)),
        }
    }
}

fn encoded(segment: &str) -> String {
    // Some would take these for a way up.
    match segment {
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        segment => utf8_percent_encode(segment, PLAIN).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded() {
        for (thing, path) in [
            (Thing::queue("/", "a b/c?"), "/queues/%2F/a%20b%2Fc%3F"),
            (Thing::queue("/", ".."), "/queues/%2F/%2E%2E"),
            (Thing::exchange("v", "").below(["publish"]), "/exchanges/v/amq.default/publish"),
            (Thing::user("ä+").with(&[("a", "1 2"), ("b", "")]), "/users/%C3%A4%2B?a=1+2"),
        ] {
            assert_eq!(thing.path(), path);
        }
    }
}
