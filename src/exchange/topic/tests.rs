//! Topic matching as rows of data, against a naive model, and under patterns made to hurt.

use std::collections::HashSet;

use proptest::prelude::*;

use super::trie::Trie;
use super::words::{PatternWord, pattern, split};

fn matches(trie: &Trie<u32>, key: &str) -> Vec<u32> {
    let mut found = Vec::new();
    trie.matches(key.as_bytes(), &mut |destination| found.push(*destination));
    found.sort_unstable();
    found
}

fn check(binding_key: &str, matching: &[&str], other: &[&str]) {
    let mut trie = Trie::default();
    trie.insert(binding_key.as_bytes(), &1);
    for key in matching {
        assert_eq!(matches(&trie, key), [1], "{binding_key:?} has to match {key:?}");
    }
    for key in other {
        assert!(matches(&trie, key).is_empty(), "{binding_key:?} must not match {key:?}");
    }
    trie.remove(binding_key.as_bytes(), &1);
    assert!(trie.is_pristine(), "{binding_key:?} leaves something behind");
}

#[test]
fn the_matrix_of_patterns_and_keys_holds() {
    let some = ["", "a", ".", "a.", ".a", "a.b", "a..b", "..", "a.b.c", "b.a.b"];
    let but_empty = &some[1..];
    check("#", &some, &[]);
    check("#.#", &some, &[]);
    check("#.#.#", &some, &[]);
    check("*", &["a", "bb", "*", "#"], &["", "a.b", "."]);
    check("a.*", &["a.b", "a."], &["a", "a.b.c", "", "b.a"]);
    check("a.#", &["a", "a.", "a..b", "a.b.c"], &["b.a", "", "aa", ".a"]);
    check("#.a", &["a", ".a", "b.a", "b.c.a", "a.a"], &["a.b", "", "a."]);
    check("a.*.b", &["a.x.b", "a..b", "a.b.b"], &["a.b", "a.x.y.b", "a.x.b."]);
    check("a.#.b", &["a.b", "a..b", "a.x.b", "a.x.y.b", "a.b.b"], &["a", "b", "a.b.", "a.b.c"]);
    check("*.*", &["a.b", ".", "a.", ".a"], &["..", "", "a"]);
    check("*.*.*", &["..", "a..b", "a.b.c"], &["a.b", "", "a.b.c.d"]);
    check("*.#", but_empty, &[""]);
    check("#.*", but_empty, &[""]);
    check("#.*.#", but_empty, &[""]);
    check("#.*.*", &["a.b", ".", "a.b.c"], &["", "a"]);
    check("#.a.#", &["a", "a.b", "b.a", "b.a.b", "a.a", ".a."], &["", "b", "aa", "b.c"]);
    check("", &[""], &[".", "a", "#"]);
    check(".", &["."], &["", "a", "..", "a."]);
    check("a.", &["a."], &["a", "a.b", "a.."]);
    check("a", &["a"], &["", "a.", ".a", "b", "A", "aa"]);
}

#[test]
fn only_a_word_that_is_exactly_a_wildcard_is_special() {
    check("a*", &["a*"], &["a", "ab", "a.b"]);
    check("*a.#b", &["*a.#b"], &["xa.b", "a.b", "xa.xb"]);
    check("##", &["##"], &["", "a", "#.#"]);
    check("**.a", &["**.a"], &["b.a", "b.c.a"]);
    // In the key of a message, nothing is special.
    check("a.b", &["a.b"], &["a.*", "a.#", "#", "*.*"]);
}

#[test]
fn a_key_that_is_not_utf_8_matches_by_its_bytes() {
    let mut trie = Trie::default();
    trie.insert("a.*".as_bytes(), &1);
    let mut found = 0;
    trie.matches(b"a.\xff\xfe", &mut |_| found += 1);
    trie.matches(b"\xff.a", &mut |_| found += 10);
    assert_eq!(found, 1);
}

#[test]
fn every_matching_pattern_is_reported_once() {
    let mut trie = Trie::default();
    for (number, pattern) in ["#", "a.#", "#.a.#", "*.a", "a.a", "#.#.a", "b.#"].iter().enumerate()
    {
        trie.insert(pattern.as_bytes(), &(number as u32));
    }
    assert_eq!(matches(&trie, "a.a"), [0, 1, 2, 3, 4, 5]);
    assert_eq!(matches(&trie, "b"), [0, 6]);
}

#[test]
fn a_pattern_bound_twice_stays_until_its_second_unbinding() {
    let mut trie = Trie::default();
    trie.insert(b"a.#", &1);
    trie.insert(b"a.#", &1);
    trie.insert(b"a.#", &2);
    trie.remove(b"a.#", &1);
    assert_eq!(matches(&trie, "a.b"), [1, 2]);
    trie.remove(b"a.#", &1);
    assert_eq!(matches(&trie, "a.b"), [2]);
    trie.remove(b"a.#", &2);
    assert!(trie.is_pristine());
}

/// Routes a key of `words` equal words. A visit is a node that was reached or that a word was offered
/// to, so an honest walk visits each node at most three times per word.
fn check_work(patterns: &[String], words: usize, expected: usize) {
    let mut trie = Trie::default();
    for (number, pattern) in patterns.iter().enumerate() {
        trie.insert(pattern.as_bytes(), &(number as u32));
    }
    let key = vec!["a"; words].join(".");
    let mut found = 0;
    let visited = trie.matches(key.as_bytes(), &mut |_| found += 1);
    let words_of = |pattern: &String| pattern.split('.').map(String::from).collect::<Vec<_>>();
    let prefixes = patterns.iter().map(words_of).flat_map(|pattern| {
        (0..=pattern.len()).map(move |length| pattern[..length].to_vec()).collect::<Vec<_>>()
    });
    let nodes = prefixes.collect::<HashSet<_>>().len();
    assert!(visited <= 3 * nodes * (words + 1), "{visited} visits for {patterns:?}");
    assert_eq!(found, expected, "{patterns:?}");
}

#[test]
fn the_work_for_patterns_full_of_hashes_is_bounded_by_nodes_times_words() {
    // The short keys come first: a walk that is exponential fails there, and would not end below.
    for (repeated, words) in [(8, 24), (64, 128)] {
        let pattern = |part: &str| vec![part; repeated].join(".");
        check_work(&[pattern("#")], words, 1);
        check_work(&[pattern("#.a")], words, 1);
        check_work(&[pattern("#.*")], words, 1);
        check_work(&[pattern("#.*.#")], words, 1);
        check_work(&[pattern("#.a") + ".b"], words, 0);
        check_work(&[pattern("#.a.#") + ".b.#"], words, 0);
    }
}

#[test]
fn every_mixture_of_wildcards_at_once_still_costs_nodes_times_words() {
    let mut patterns = vec![String::from("a")];
    for _ in 0..6 {
        let longer = |word| patterns.iter().map(move |pattern| format!("{pattern}.{word}"));
        patterns = longer("a").chain(longer("*")).chain(longer("#")).collect();
    }
    let with_hash = patterns.iter().filter(|pattern| pattern.contains('#')).count();
    for words in [16, 100] {
        check_work(&patterns, words, with_hash);
    }
}

/// The definition, word by word, with no thought for speed.
fn naive(pattern: &[PatternWord<'_>], key: &[&[u8]]) -> bool {
    match (pattern.split_first(), key.split_first()) {
        (None, key_left) => key_left.is_none(),
        (Some((PatternWord::Hash, rest)), key_left) => {
            naive(rest, key) || key_left.is_some_and(|(_, after)| naive(pattern, after))
        }
        (Some(_), None) => false,
        (Some((PatternWord::Star, rest)), Some((_, after))) => naive(rest, after),
        (Some((PatternWord::Literal(word), rest)), Some((first, after))) => {
            word == first && naive(rest, after)
        }
    }
}

fn model(bound: &[(String, u32)], key: &str) -> Vec<u32> {
    let key: Vec<_> = split(key.as_bytes()).collect();
    let matching = bound.iter().filter(|(binding_key, _)| {
        let words: Vec<_> = pattern(binding_key.as_bytes()).collect();
        naive(&words, &key)
    });
    let mut found: Vec<_> = matching.map(|(_, destination)| *destination).collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[derive(Clone, Debug)]
enum Operation {
    Bind(String, u32),
    /// Takes away the binding at this place of the list, modulo its length.
    Unbind(usize),
    Route(String),
}

fn operation() -> impl Strategy<Value = Operation> {
    let joined = |words: Vec<&'static str>| words.join(".");
    let binding_key =
        prop::collection::vec(prop::sample::select(vec!["", "a", "b", "*", "#", "#"]), 0..6);
    let routing_key = prop::collection::vec(prop::sample::select(vec!["", "a", "b", "c"]), 0..6);
    prop_oneof![
        (binding_key.prop_map(joined), 0..4_u32).prop_map(|(key, to)| Operation::Bind(key, to)),
        any::<usize>().prop_map(Operation::Unbind),
        routing_key.prop_map(joined).prop_map(Operation::Route),
    ]
}

proptest! {
    #[test]
    fn the_trie_agrees_with_the_naive_matcher(operations in prop::collection::vec(operation(), 1..80)) {
        let mut trie = Trie::default();
        let mut bound: Vec<(String, u32)> = Vec::new();
        for operation in operations {
            match operation {
                Operation::Bind(key, destination) => {
                    trie.insert(key.as_bytes(), &destination);
                    bound.push((key, destination));
                }
                Operation::Unbind(_) if bound.is_empty() => {}
                Operation::Unbind(at) => {
                    let (key, destination) = bound.swap_remove(at % bound.len());
                    trie.remove(key.as_bytes(), &destination);
                }
                Operation::Route(key) => {
                    let mut found = matches(&trie, &key);
                    found.dedup();
                    prop_assert_eq!(found, model(&bound, &key), "{:?} with {:?}", key, &bound);
                }
            }
        }
        for (key, destination) in bound {
            trie.remove(key.as_bytes(), &destination);
        }
        prop_assert!(trie.is_pristine());
    }
}
