//! Holds the shape of the code: which room may import which, and where time may come from.
//!
//! The code is read as tokens, not as text, so that comments and strings do not count, and every
//! path counts wherever it stands: `use crate::{a, b::c}`, `crate::a::f()` in the middle of a
//! function, and `super::a` in a file where `super` is the crate. Test modules may import anything
//! and may ask for the time.

// All of this is a test: whatever it stumbles over fails it.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use source::{Token, paths, tokens, without_tests};

#[path = "architecture/source.rs"]
mod source;

/// A room, the rooms it may import, and whether it may also import whatever those may. To change
/// this table is to change the architecture: in a commit of its own that says why.
const ROOMS: [(&str, &[&str], Below); 19] = [
    ("protocol", &[], Below::No),
    ("names", &["protocol"], Below::No),
    ("time", &[], Below::No),
    // A queued message has a deadline.
    ("message", &["names", "time", "protocol"], Below::No),
    ("exchange", &["names", "message", "protocol"], Below::No),
    ("delivery", &["names", "message"], Below::No),
    // Messages lie in segments with their deadlines.
    ("storage", &["names", "time", "message", "protocol"], Below::No),
    ("queue", &["names", "time", "message", "protocol", "delivery", "storage"], Below::No),
    // Users and permissions are stored; tokens expire.
    ("auth", &["names", "time", "protocol", "storage"], Below::No),
    ("broker", &["exchange", "queue", "delivery", "storage"], Below::Yes),
    ("session", &["protocol", "broker", "queue", "delivery", "auth"], Below::Yes),
    // AMQP and HTTP listeners use the same.
    ("transport", &["config"], Below::No),
    ("management", &["broker", "queue", "auth", "config", "transport"], Below::Yes),
    ("server", &["session", "config", "transport"], Below::Yes),
    ("config", &["names"], Below::No),
    // It has a setting for everything, a name for what is told of who did what, and dates.
    ("log", &["names", "config", "time"], Below::No),
    // It talks to the system, and to nobody in the house.
    ("process", &[], Below::No),
    // A client of any broker, that measures it: it must not know this one.
    ("perf", &["protocol", "names", "config", "transport"], Below::No),
    // A client of the HTTP API. Settings are checked, and passwords hashed, where there is no broker.
    ("ctl", &["config", "auth", "transport"], Below::No),
];

/// The rooms that drive the others and tell them the time.
const CLOCKS: [&str; 7] = ["main", "server", "management", "storage", "log", "perf", "ctl"];

#[derive(Clone, Copy, PartialEq)]
enum Below {
    Yes,
    No,
}

#[test]
fn rooms_import_only_what_the_table_allows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    read_sources(root, &root.join("src"), &mut sources);
    assert!(!sources.is_empty(), "there is no source to check");

    let violations = check(&sources);
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

/// Paths are relative to the package, with `/` between their parts.
fn read_sources(root: &Path, directory: &Path, sources: &mut Vec<(String, String)>) {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            read_sources(root, &path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let parts: Vec<_> = path.strip_prefix(root).unwrap().iter().collect();
            let name = parts.join("/".as_ref()).into_string().unwrap();
            sources.push((name, std::fs::read_to_string(&path).unwrap()));
        }
    }
}

fn check(sources: &[(String, String)]) -> Vec<String> {
    let files: Vec<_> =
        sources.iter().map(|(path, source)| (path, Module::of(path), tokens(source))).collect();
    let test_modules: Vec<Vec<String>> = files
        .iter()
        .flat_map(|(_, module, tokens)| {
            let names = without_tests(tokens).1;
            names.into_iter().map(|name| module.child(&name))
        })
        .collect();

    let mut violations = Vec::new();
    for (path, module, tokens) in &files {
        for (line, problem) in sleeps(tokens) {
            violations.push(format!("{path}:{line}: {problem}"));
        }
        if !test_modules.iter().any(|test| module.0.starts_with(test)) {
            let (tokens, _) = without_tests(tokens);
            for (line, problem) in module.problems(&tokens) {
                violations.push(format!("{path}:{line}: {problem}"));
            }
        }
    }
    violations.dedup();
    violations
}

type Problem = (usize, String);

fn sleeps(tokens: &[Token]) -> Vec<Problem> {
    paths(tokens, &[])
        .into_iter()
        .filter(|path| path.has("thread", "sleep"))
        .map(|path| (path.line, "thread::sleep stops everybody".to_owned()))
        .collect()
}

/// Where a file's contents stand in the crate: empty for `lib.rs` and `main.rs`.
struct Module(Vec<String>, &'static str);

impl Module {
    fn of(path: &str) -> Self {
        let path = path.trim_start_matches("src/").trim_end_matches(".rs");
        match path {
            "lib" => Self(Vec::new(), "lib"),
            "main" => Self(Vec::new(), "main"),
            path => {
                let path = path.trim_end_matches("/mod");
                Self(path.split('/').map(str::to_owned).collect(), "")
            }
        }
    }

    fn child(&self, name: &str) -> Vec<String> {
        let mut path = self.0.clone();
        path.push(name.to_owned());
        path
    }

    fn room(&self) -> &str {
        self.0.first().map_or(self.1, String::as_str)
    }

    fn problems(&self, tokens: &[Token]) -> Vec<Problem> {
        let room = self.room();
        let mut problems = Vec::new();
        let allowed = allowed(room);
        if allowed.is_none() && !self.0.is_empty() {
            problems.push((1, format!("{room} has no row in the table of rooms")));
        }
        for path in paths(tokens, &self.0) {
            if let (Some(allowed), Some("crate")) = (&allowed, path.part(0)) {
                let imported = path.part(1).unwrap_or("*");
                if imported != room && !allowed.contains(imported) {
                    problems.push((path.line, format!("{room} may not import {imported}")));
                }
            }
            let asks_time = path.has("Instant", "now") || path.has("SystemTime", "now");
            if asks_time && !CLOCKS.contains(&room) {
                let problem = format!("{room} may not ask for the time: take `now` as an argument");
                problems.push((path.line, problem));
            }
        }
        problems
    }
}

/// What `room` may import, or nothing if the table does not know it.
fn allowed(room: &str) -> Option<BTreeSet<&'static str>> {
    let (_, imports, below) = ROOMS.iter().find(|(name, ..)| *name == room)?;
    let mut allowed: BTreeSet<_> = imports.iter().copied().collect();
    if *below == Below::Yes {
        let further: Vec<_> = imports.iter().filter_map(|room| self::allowed(room)).collect();
        allowed.extend(further.into_iter().flatten());
    }
    Some(allowed)
}

mod checker {
    use super::*;

    fn expect(path: &str, source: &str, expected: &[&str]) {
        let found = check(&[(path.to_owned(), source.to_owned())]);
        assert_eq!(found, expected, "{path}:\n{source}");
    }

    #[test]
    fn finds_imports_however_they_are_written() {
        let path = "src/queue/mod.rs";
        let refused = &[&*format!("{path}:1: queue may not import session")];
        for source in [
            "use crate::session;",
            "use crate::session::Channel;",
            "pub(crate) use crate::session::Channel as C;",
            "use crate::{session, names};",
            "use crate::{names::{QueueName, UserName}, session::{self, Channel}};",
            "use {std::fmt, crate::session::Channel};",
            "fn f(x: crate::session::Channel) {}",
            "fn f() -> Vec<crate::session::Channel> { Vec::new() }",
            "fn f() { let x = 'a'; crate::session::run(\"}\"); }",
            "macro_rules! m { () => { $crate::session::run() } }",
            "use super::session::Channel;",
            "fn f() { self::super::session::run() }",
            "mod inner { use super::super::session::Channel; }",
            "mod inner { fn f() {} } use super::session::Channel;",
            "#[cfg(not(test))] use crate::session::Channel;",
            "#[cfg(any(test, unix))] use crate::session::Channel;",
            "#[cfg(test)] use crate::broker::Broker; use crate::session::Channel;",
            "struct S { #[cfg(test)] a: u8, b: crate::session::Channel }",
            "fn f<'a>(x: &'a str) -> char { crate::session::run(x); '\\'' }",
            "const R: &str = r#\"\"{\"#; use crate::session::Channel;",
            "/* /* */ */ use crate::session::Channel;",
        ] {
            expect(path, source, refused);
        }
        expect(
            "src/queue/ready.rs",
            "//! Doc.\n\nuse super::super::broker::Vhost;\nuse crate::*;",
            &[
                "src/queue/ready.rs:3: queue may not import broker",
                "src/queue/ready.rs:4: queue may not import *",
            ],
        );
    }

    #[test]
    fn passes_what_is_no_import_or_is_for_tests() {
        for source in [
            "use crate::names::QueueName; use crate::{message::Message, delivery, storage};",
            "use crate::queue::ready::Ready; use super::queue::Ready; use self::ready::Ready;",
            "pub(crate) fn f() {} pub(super) fn g() {} pub(in crate::queue) fn h() {}",
            "// use crate::session::Channel;\n/// [`crate::session`]\nfn f() {}",
            "/* crate::session::f() /* */ crate::session::g() */",
            "fn f() -> &'static str { \"crate::session::Channel\" }",
            "fn f() -> &'static str { r#\" \" crate::session::Channel\"# }",
            "#[cfg(test)] mod tests { use crate::session::Channel; mod a { use crate::broker; } }",
            "#[cfg(test)] #[allow(unused)] use crate::session::{Channel};",
            "#[cfg(all(test, unix))] fn f(a: u8, b: u8) { crate::session::f() }",
            "#[test] fn f() { crate::session::f() }",
            "struct S { #[cfg(test)] a: crate::session::Channel }",
            "#![cfg(test)] use crate::session::Channel;",
            "mod inner { use super::super::names; }",
            "use std::collections::HashMap as session; fn f() { session::new() }",
        ] {
            expect("src/queue/mod.rs", source, &[]);
        }
        expect("src/main.rs", "use leveret::session; fn main() {}", &[]);
        expect("src/lib.rs", "pub mod session; pub use crate::session::X;", &[]);
    }

    #[test]
    fn passes_files_that_are_test_modules() {
        let sources = [
            ("src/queue/ready.rs", "#[cfg(test)]\nmod tests;"),
            ("src/queue/ready/tests.rs", "use crate::session::Channel;"),
            ("src/queue/ready/tests/deep.rs", "use crate::session::Channel;"),
            ("src/queue/tests.rs", "use crate::session::Channel;"),
        ];
        let sources = sources.map(|(path, source)| (path.to_owned(), source.to_owned()));
        let expected = ["src/queue/tests.rs:1: queue may not import session"];
        assert_eq!(check(&sources), expected, "nobody declared the last one for tests");
    }

    #[test]
    fn follows_the_table_downwards_only_where_it_says_so() {
        let import = |room: &str| format!("use crate::{room}::Thing;");
        for (room, imported, is_allowed) in [
            ("broker", "message", true), // Below its queue.
            ("broker", "auth", false),
            ("session", "storage", true),
            ("session", "server", false),
            ("server", "broker", true),
            ("server", "management", false),
            ("management", "names", true),
            ("management", "session", false),
            ("delivery", "protocol", false),
            ("config", "names", true),
            ("config", "protocol", false),
            ("auth", "config", false),
            ("protocol", "names", false),
        ] {
            let path = format!("src/{room}/mod.rs");
            let problem = format!("{path}:1: {room} may not import {imported}");
            let expected = if is_allowed { vec![] } else { vec![&*problem] };
            expect(&path, &import(imported), &expected);
        }
    }

    #[test]
    fn asks_for_a_row_for_a_new_room() {
        let expected = "src/cellar/wine.rs:1: cellar has no row in the table of rooms";
        expect("src/cellar/wine.rs", "", &[expected]);
    }

    #[test]
    fn finds_clocks_outside_the_rooms_that_have_one() {
        for source in [
            "fn f() { Instant::now(); }",
            "fn f() { std::time::SystemTime::now(); }",
            "use tokio::time::{self, Instant}; fn f() { time::Instant::now(); }",
        ] {
            let refused = "may not ask for the time: take `now` as an argument";
            let path = "src/session/mod.rs";
            expect(path, source, &[&format!("{path}:1: session {refused}")]);
            expect("src/names.rs", source, &[&format!("src/names.rs:1: names {refused}")]);
            for path in ["src/main.rs", "src/server/accept.rs", "src/storage/journal/mod.rs"] {
                expect(path, source, &[]);
            }
            expect(path, &format!("#[cfg(test)] mod tests {{ {source} }}"), &[]);
        }
        expect("src/session/mod.rs", "fn f(now: Instant) { g(now) }", &[]);
    }

    #[test]
    fn finds_sleeping_threads_everywhere() {
        for source in [
            "fn f() { std::thread::sleep(d); }",
            "use std::thread; fn f() { thread::sleep(d); }",
            "use std::{thread::{self, sleep}};",
            "#[cfg(test)] mod tests { fn f() { ::std::thread::sleep(d); } }",
        ] {
            for path in ["src/main.rs", "src/server/mod.rs", "src/queue/mod.rs"] {
                expect(path, source, &[&format!("{path}:1: thread::sleep stops everybody")]);
            }
        }
        expect("src/server/mod.rs", "async fn f() { tokio::time::sleep(d).await }", &[]);
    }
}
