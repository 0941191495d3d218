//! The web page's files.

use super::NOT_FOUND;
use super::api::start;

#[test]
fn page_and_its_files_need_no_user_and_come_from_here_alone() {
    let api = start();
    let accept = "Accept: text/html,application/xhtml+xml;q=0.9";
    let page = api.ask("GET", "/", &[accept]);
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    // Everything that the page and its modules name is there, and is nothing from elsewhere.
    let mut wanted = vec!["/".to_owned()];
    let mut seen = Vec::new();
    while let Some(path) = wanted.pop() {
        let file = api.ask("GET", &path, &["Accept: */*"]);
        assert_eq!(file.status, 200, "{path}");
        let kind = file.header("content-type").unwrap().to_owned();
        let from = path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        assert!(!file.body.contains("https://"), "{path}");
        seen.push(path);
        for (before, named) in quoted(&file.body) {
            let is_module = before.ends_with("from ") && kind.starts_with("text/javascript");
            let is_linked = kind.starts_with("text/html") && before.ends_with(['=']);
            let is_file = [".js", ".css", ".svg"].iter().any(|end| named.ends_with(end));
            if is_file && (is_module || is_linked) {
                let named = match named.strip_prefix("../") {
                    Some(above) => format!("/{above}"),
                    None => format!("{from}/{}", named.trim_start_matches("./")),
                };
                if !seen.contains(&named) && !wanted.contains(&named) {
                    wanted.push(named);
                }
            }
        }
    }
    assert!(seen.len() > 20, "{seen:?}");
}

/// What stands in double quotes, and what stands before it.
fn quoted(text: &str) -> Vec<(&str, &str)> {
    let parts: Vec<&str> = text.split('"').collect();
    parts.chunks(2).filter_map(|pair| Some((*pair.first()?, *pair.get(1)?))).collect()
}

#[test]
fn file_that_is_known_is_not_sent_again() {
    let api = start();
    let tag = api.ask("GET", "/main.js", &[]).header("etag").unwrap().to_owned();
    let again = api.ask("GET", "/main.js", &[&format!("If-None-Match: {tag}")]);
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    let other = api.ask("GET", "/main.js", &["If-None-Match: \"other\""]);
    assert_eq!(other.status, 200);
}

#[test]
fn other_files_are_not_there() {
    let api = start();
    for path in ["/none.js", "/views/none.js", "/views/..%2Fmod.rs", "/..%2f..%2fCargo.toml"] {
        api.ask("GET", path, &[]).expect(404, NOT_FOUND);
    }
}
