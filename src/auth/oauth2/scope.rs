//! What the scopes of a token allow: `read:*/*`, `write:shop/orders-*/eu.*`, `tag:management`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::wildcard::Wildcard;
use crate::auth::{Access, Tag};
use crate::names::VhostName;

/// Everything that a token allows, wherever.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Scopes {
    rules: Vec<Rule>,
    pub(super) tags: Vec<Tag>,
    /// What a name in braces stands for in rules about topics: the token's claims that are text.
    variables: BTreeMap<String, String>,
}

#[derive(Debug, PartialEq)]
struct Rule {
    access: Access,
    vhost: Wildcard,
    name: String,
    routing_key: String,
}

/// What a token allows in one virtual host.
#[derive(Debug)]
pub struct VhostScopes {
    rules: Vec<VhostRule>,
    /// Some rule says more about topics than about names.
    has_topics: bool,
}

#[derive(Debug)]
struct VhostRule {
    access: Access,
    name: Wildcard,
    /// The same with the variables put in, which count for topics only, as in RabbitMQ.
    topic_name: Wildcard,
    routing_key: Wildcard,
}

impl Scopes {
    /// Of scopes without their prefix. What says nothing that is understood is left out.
    pub(super) fn new<'s>(
        scopes: impl Iterator<Item = &'s str>,
        variables: BTreeMap<String, String>,
    ) -> Self {
        let mut all = Self { variables, ..Self::default() };
        for scope in scopes {
            if let Some(tag) = scope.strip_prefix("tag:") {
                if !tag.is_empty() && !all.tags.iter().any(|known| known.as_str() == tag) {
                    all.tags.push(Tag::from(tag));
                }
            } else {
                all.rules.extend(Rule::parse(scope));
            }
        }
        all
    }

    /// Any access to anything in it will do.
    pub(super) fn may_access_vhost(&self, vhost: &VhostName) -> bool {
        self.rules.iter().any(|rule| rule.vhost.matches(vhost.as_bytes()))
    }

    pub(super) fn in_vhost(&self, vhost: &VhostName) -> Arc<VhostScopes> {
        let variable = |name: &str| match name {
            "vhost" => Some(vhost.as_str()),
            name => self.variables.get(name).map(String::as_str),
        };
        let here = self.rules.iter().filter(|rule| rule.vhost.matches(vhost.as_bytes()));
        let rules = here.filter_map(|rule| {
            Some(VhostRule {
                access: rule.access,
                name: Wildcard::plain(&rule.name)?,
                topic_name: Wildcard::new(&rule.name, variable)?,
                routing_key: Wildcard::new(&rule.routing_key, variable)?,
            })
        });
        let rules: Vec<VhostRule> = rules.collect();
        let has_topics = rules
            .iter()
            .any(|rule| !rule.routing_key.is_everything() || rule.name != rule.topic_name);
        Arc::new(VhostScopes { rules, has_topics })
    }
}

impl Rule {
    /// `ACCESS:VHOST/NAME` or `ACCESS:VHOST/NAME/ROUTING_KEY`.
    fn parse(scope: &str) -> Option<Self> {
        let (access, place) = scope.split_once(':')?;
        let access = match access {
            "configure" => Access::Configure,
            "write" => Access::Write,
            "read" => Access::Read,
            _ => return None,
        };
        let mut parts = place.split('/');
        let (vhost, name) = (parts.next()?, parts.next()?);
        let routing_key = parts.next().unwrap_or("*");
        if parts.next().is_some() {
            return None;
        }
        // Looked at now, so that a rule either counts everywhere or nowhere.
        Wildcard::plain(name)?;
        Wildcard::plain(routing_key)?;
        let (name, routing_key) = (name.to_owned(), routing_key.to_owned());
        Some(Self { access, vhost: Wildcard::plain(vhost)?, name, routing_key })
    }
}

impl VhostScopes {
    pub fn allows(&self, access: Access, name: &str) -> bool {
        let mut rules = self.rules.iter().filter(|rule| rule.access == access);
        rules.any(|rule| rule.name.matches(name.as_bytes()))
    }

    /// To be asked of topic exchanges only, on top of [`allows`](Self::allows).
    pub fn allows_topic(&self, access: Access, exchange: &str, routing_key: &[u8]) -> bool {
        access == Access::Configure
            || self.rules.iter().filter(|rule| rule.access == access).any(|rule| {
                rule.topic_name.matches(exchange.as_bytes())
                    && rule.routing_key.matches(routing_key)
            })
    }

    /// Whether [`allows_topic`](Self::allows_topic) could refuse what [`allows`](Self::allows) allows.
    pub fn has_topics(&self) -> bool {
        self.has_topics
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(text: &str) -> Scopes {
        Scopes::new(text.split(' '), BTreeMap::from([("sub".to_owned(), "bob".to_owned())]))
    }

    /// Which of configure, write and read `text` allows on `name` in `vhost`.
    #[track_caller]
    fn check(text: &str, vhost: &str, name: &str, expected: &str) {
        let here = scopes(text).in_vhost(&vhost.into());
        let all = [(Access::Configure, 'c'), (Access::Write, 'w'), (Access::Read, 'r')];
        let allowed = all.into_iter().filter(|(access, _)| here.allows(*access, name));
        let allowed: String = allowed.map(|(_, letter)| letter).collect();
        assert_eq!(allowed, expected, "{text} on {name} in {vhost}");
    }

    #[test]
    fn scopes_allow_what_they_name() {
        check("configure:*/* write:*/* read:*/*", "any", "thing", "cwr");
        check("read:*/*", "/", "q", "r");
        check("read:%2F/*", "/", "q", "r");
        check("read:%2F/*", "shop", "q", "");
        check("read:shop/*", "shop", "q", "r");
        check("read:shop/orders-*", "shop", "orders-1", "r");
        check("read:shop/orders-*", "shop", "bills", "");
        check("write:shop/orders configure:shop/*", "shop", "orders", "cw");
        check("write:sh*/o*s read:*/nothing", "shop", "orders", "w");
        check("write:shop/orders", "shopping", "orders", "");
        check("write:*/amq.default", "/", "amq.default", "w");
        // A third part is about topics; the name is allowed all the same.
        check("write:*/x/a.*", "/", "x", "w");
        check("write:*/x:y", "/", "x:y", "w");
        check("write:*/a%2Fb", "/", "a/b", "w");
    }

    #[test]
    fn what_is_no_scope_allows_nothing() {
        for text in [
            "",
            "read",
            "read:",
            "read:*",
            "Read:*/*",
            "read :*/*",
            "reads:*/*",
            "read:*/*/*/*",
            "read:%/*",
            "read:*/%2",
            "read:*/*/%",
            "tag:",
            "*:*/*",
            "*/*",
            "write-read:*/*",
        ] {
            let all = scopes(text);
            assert!(all.tags.is_empty() && !all.may_access_vhost(&"/".into()), "{text}");
            check(text, "/", "q", "");
        }
    }

    #[test]
    fn any_rule_lets_into_its_vhost() {
        for (text, vhost, expected) in [
            ("read:shop/nothing", "shop", true),
            ("configure:sh*/x", "shop", true),
            ("read:shop/*", "/", false),
            ("tag:administrator", "/", false),
            ("read:%2F/x", "/", true),
        ] {
            assert_eq!(scopes(text).may_access_vhost(&vhost.into()), expected, "{text} {vhost}");
        }
    }

    #[test]
    fn tags_are_those_of_users() {
        let all = scopes("tag:administrator tag:mine tag:administrator read:*/* tag:impersonator");
        let expected = [Tag::Administrator, Tag::Custom("mine".to_owned()), Tag::Impersonator];
        assert_eq!(all.tags, expected);
    }

    #[test]
    fn third_part_is_the_routing_key() {
        for (text, access, exchange, key, expected) in [
            ("write:*/x/a.*", Access::Write, "x", "a.b", true),
            ("write:*/x/a.*", Access::Write, "x", "b.a", false),
            ("write:*/x/a.*", Access::Write, "y", "a.b", false),
            ("write:*/x/a.*", Access::Read, "x", "a.b", false),
            ("write:*/x/a.*", Access::Configure, "x", "a.b", true),
            ("write:*/x", Access::Write, "x", "anything", true),
            ("write:*/x/a.* write:*/x/b", Access::Write, "x", "b", true),
            ("write:*/x/u-{sub}-*", Access::Write, "x", "u-bob-1", true),
            ("write:*/x/u-{sub}-*", Access::Write, "x", "u-eve-1", false),
            ("write:*/{vhost}-x/*", Access::Write, "shop-x", "k", true),
            ("write:*/{vhost}-x/*", Access::Write, "home-x", "k", false),
            ("write:*/x/{nobody}", Access::Write, "x", "", false),
        ] {
            let here = scopes(text).in_vhost(&"shop".into());
            let found = here.allows_topic(access, exchange, key.as_bytes());
            assert_eq!(found, expected, "{text} {access} {exchange} {key}");
        }
        for (text, expected) in [
            ("write:*/* read:*/*/*", false),
            ("write:*/x/**", false),
            ("write:*/x/a", true),
            ("write:*/{sub}", true),
            ("write:*/{nobody}", false),
            ("write:other/x/a", false),
        ] {
            assert_eq!(scopes(text).in_vhost(&"shop".into()).has_topics(), expected, "{text}");
        }
    }
}
