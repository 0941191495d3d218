//! Just enough of a reader of Rust: source to tokens, tokens to the paths they use.

pub(super) struct UsedPath {
    pub(super) line: usize,
    parts: Vec<String>,
}

impl UsedPath {
    pub(super) fn part(&self, index: usize) -> Option<&str> {
        self.parts.get(index).map(String::as_str)
    }

    /// Whether the two names follow each other.
    pub(super) fn has(&self, first: &str, second: &str) -> bool {
        let mut pairs = self.parts.windows(2);
        pairs.any(|pair| pair == [first, second])
    }
}

/// Every path in the source, groups unfolded. One that begins with `super` is made to begin with
/// `crate`, seen from `module` and the inline modules inside it.
pub(super) fn paths(tokens: &[Token], module: &[String]) -> Vec<UsedPath> {
    let mut found = Vec::new();
    let mut inline: Vec<(usize, String)> = Vec::new(); // With the depth of their braces.
    let mut depth = 0;
    let mut at = 0;
    while at < tokens.len() {
        let text = tokens[at].text.as_str();
        let next = |offset: usize| tokens.get(at + offset).map(|token| token.text.as_str());
        match text {
            "{" => depth += 1,
            "}" => {
                inline.retain(|(opened, _)| *opened < depth);
                depth -= 1;
            }
            "mod" if next(2) == Some("{") => {
                inline.push((depth + 1, next(1).unwrap().to_owned()));
            }
            _ => {}
        }
        if !is_word(text) {
            at += 1;
            continue;
        }
        let first = found.len();
        at = unfold(tokens, at, &[], &mut found);
        let inline = inline.iter().map(|(_, name)| name.clone());
        let here: Vec<String> = module.iter().cloned().chain(inline).collect();
        for path in &mut found[first..] {
            resolve(path, &here);
        }
    }
    found
}

/// Reads the path, or the tree of paths, at `at`; returns where it ends.
fn unfold(tokens: &[Token], mut at: usize, prefix: &[String], found: &mut Vec<UsedPath>) -> usize {
    let mut parts = prefix.to_vec();
    let line = tokens[at].line;
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            "{" => {
                at += 1;
                while let Some(token) = tokens.get(at).filter(|token| token.text != "}") {
                    at = match token.text.as_str() {
                        "," => at + 1,
                        "as" => at + 2,
                        _ => unfold(tokens, at, &parts, found),
                    };
                }
                return at + 1;
            }
            text => parts.push(text.to_owned()),
        }
        at += 1;
        let goes_on = tokens.get(at).is_some_and(|token| token.text == "::")
            && (tokens.get(at + 1)).is_some_and(|token| {
                is_word(&token.text) || matches!(token.text.as_str(), "{" | "*")
            });
        if !goes_on {
            break;
        }
        at += 1;
    }
    found.push(UsedPath { line, parts });
    at
}

fn resolve(path: &mut UsedPath, here: &[String]) {
    let leading = |word: &str| path.parts.iter().take_while(|part| *part == word).count();
    let selves = leading("self");
    let supers = path.parts[selves..].iter().take_while(|part| *part == "super").count();
    // A path of nothing but `super` is a visibility, as in `pub(super)`.
    if supers > 0 && path.parts.len() > selves + supers {
        let outer = here.len().saturating_sub(supers);
        let rest = path.parts.split_off(selves + supers);
        path.parts = vec!["crate".to_owned()];
        path.parts.extend_from_slice(&here[..outer]);
        path.parts.extend(rest);
    } else if path.parts == ["crate"] {
        // Likewise `pub(crate)`: not an import.
        path.parts.clear();
    }
}

/// The tokens outside of test code, and the names of test modules that are files of their own.
pub(super) fn without_tests(tokens: &[Token]) -> (Vec<Token>, Vec<String>) {
    let mut kept = Vec::new();
    let mut modules = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let Some(end) = attribute_end(tokens, at) else {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        };
        let is_test = is_test(&tokens[at..end]);
        if !is_test {
            kept.extend_from_slice(&tokens[at..end]);
            at = end;
            continue;
        }
        if tokens[at + 1].text == "!" {
            return (Vec::new(), modules); // The whole file is for tests.
        }
        at = end;
        while let Some(end) = attribute_end(tokens, at) {
            at = end;
        }
        let end = item_end(tokens, at);
        let item: Vec<_> = tokens[at..end].iter().map(|token| &*token.text).collect();
        if let [.., "mod", name, ";"] = item.as_slice() {
            modules.push((*name).to_owned());
        }
        at = end;
    }
    (kept, modules)
}

/// Where the attribute that begins at `at` ends, if one does.
fn attribute_end(tokens: &[Token], at: usize) -> Option<usize> {
    let text = |at: usize| tokens.get(at).map(|token| token.text.as_str());
    let open = match (text(at)?, text(at + 1)?) {
        ("#", "[") => at + 1,
        ("#", "!") if text(at + 2) == Some("[") => at + 2,
        _ => return None,
    };
    let mut depth = 0;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "[" => depth += 1,
            "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(index + 1);
        }
    }
    None
}

/// `#[test]`, or a `cfg` that only tests fulfil.
fn is_test(attribute: &[Token]) -> bool {
    let words: Vec<_> =
        attribute.iter().map(|token| &*token.text).filter(|text| is_word(text)).collect();
    match words.as_slice() {
        ["test"] => true,
        ["cfg", conditions @ ..] => {
            conditions.contains(&"test")
                && !conditions.contains(&"not")
                && !conditions.contains(&"any")
        }
        _ => false,
    }
}

/// Where the item, statement or field that begins at `at` ends.
fn item_end(tokens: &[Token], at: usize) -> usize {
    const ITEMS: [&str; 14] = [
        "pub", "mod", "use", "fn", "impl", "struct", "enum", "trait", "const", "static", "type",
        "unsafe", "async", "extern",
    ];
    let is_item = (tokens.get(at)).is_some_and(|token| ITEMS.contains(&&*token.text));
    let mut depth = 0;
    for (index, token) in tokens.iter().enumerate().skip(at) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" if depth == 0 => return index, // The end of what holds it.
            ")" | "]" => depth -= 1,
            "}" => {
                depth -= 1;
                if depth == 0 {
                    return index + 1;
                }
            }
            ";" if depth == 0 => return index + 1,
            "," if depth == 0 && !is_item => return index + 1,
            _ => {}
        }
    }
    tokens.len()
}

#[derive(Clone)]
pub(super) struct Token {
    line: usize,
    text: String,
}

fn is_word(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// Words, `::`, and single characters; no comments, strings or character literals.
pub(super) fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let char_at = |at: usize| chars.get(at).copied().unwrap_or('\0');
    let find = |mut at: usize, end: &str| {
        let end: Vec<char> = end.chars().collect();
        while at < chars.len() && !chars[at..].starts_with(&end) {
            at += 1;
        }
        (at + end.len()).min(chars.len())
    };
    let mut found = Vec::new();
    let mut line = 1;
    let mut at = 0;
    while at < chars.len() {
        let start = at;
        let char = chars[at];
        match (char, char_at(at + 1)) {
            ('/', '/') => at = find(at, "\n") - usize::from(source.ends_with('\n')),
            ('/', '*') => at = block_comment_end(&chars, at),
            ('"', _) => at = quote_end(&chars, at),
            ('\'', '\\') => at = quote_end(&chars, at),
            ('\'', _) if char_at(at + 2) == '\'' => at += 3,
            (':', ':') => {
                at += 2;
                found.push(Token { line, text: "::".to_owned() });
            }
            _ if char.is_alphanumeric() || char == '_' => {
                while char_at(at).is_alphanumeric() || char_at(at) == '_' {
                    at += 1;
                }
                let text: String = chars[start..at].iter().collect();
                let hashes = (at..).take_while(|at| char_at(*at) == '#').count();
                if text.ends_with('r') && text.len() <= 2 && char_at(at + hashes) == '"' {
                    let end = format!("\"{}", "#".repeat(hashes));
                    at = find(at + hashes + 1, &end);
                } else {
                    found.push(Token { line, text });
                }
            }
            _ => {
                at += 1;
                if !char.is_whitespace() {
                    found.push(Token { line, text: char.to_string() });
                }
            }
        }
        line += chars[start..at].iter().filter(|char| **char == '\n').count();
    }
    found
}

/// Block comments nest.
fn block_comment_end(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at < chars.len() {
        if chars[at..].starts_with(&['/', '*']) {
            depth += 1;
            at += 2;
        } else if chars[at..].starts_with(&['*', '/']) {
            depth -= 1;
            at += 2;
        } else {
            at += 1;
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The end of a string or character literal that begins at `at`.
fn quote_end(chars: &[char], at: usize) -> usize {
    let quote = chars[at];
    let mut end = at + 1;
    while end < chars.len() && chars[end] != quote {
        end += if chars[end] == '\\' { 2 } else { 1 };
    }
    (end + 1).min(chars.len())
}
