//! The patterns of a topic exchange as a trie over words, read like a state machine.
//!
//! ```text
//!   a.*.b   a.#   #.b          root ──a──▶ ● ──*──▶ ● ──b──▶ ◉
//!                               │          └──#──▶ ◉⟲
//!                               └──#──▶ ●⟲ ──b──▶ ◉
//! ```
//!
//! A route moves a set of nodes through the words of the key. A node behind a word or a `*` is
//! reached by exactly one word and left with the next. A node behind a `#` (⟲) is reached as soon as
//! its parent is, consumes anything, and so stays for the rest of the key: it is *lasting*. Its
//! destinations match at the moment it is reached, because it can swallow whatever follows.
//!
//! The set holds no node twice. Every node has one parent and one edge, so an ordinary node comes at
//! most once per word; a lasting one would come again only when its parent does, which takes another
//! `#` further up, and exactly those are remembered in `Walk::reached`. A route therefore visits at
//! most nodes × words, and patterns full of `#` cannot make it exponential.
//!
//! Invariant: every node but the root has a destination or a child.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hash};

use ahash::AHasher;
use smallvec::SmallVec;

use super::words::{self, PatternWord};
use crate::exchange::destinations::Destinations;
use crate::exchange::vocabulary::{Vocabulary, WordNumber};

pub(super) struct Trie<D> {
    root: Node<D>,
    vocabulary: Vocabulary,
}

struct Node<D> {
    literals: Literals<D>,
    star: Option<Box<Self>>,
    hash: Option<Box<Self>>,
    destinations: Destinations<D>,
    /// A node behind a `#` whose parent, ordinary itself, has another `#` above it: one key may
    /// reach it several times.
    reached_again: bool,
}

/// The hasher has no random key: word numbers are ours, so nobody outside can make them collide.
type Literals<D> = HashMap<WordNumber, Box<Node<D>>, BuildHasherDefault<AHasher>>;

impl<D: Clone + Eq + Hash> Trie<D> {
    pub(super) fn insert(&mut self, pattern: &[u8], destination: &D) {
        let mut node = &mut self.root;
        let mut above = Above::default();
        for word in words::pattern(pattern) {
            let reached_again = above.pass(word);
            let child = match word {
                PatternWord::Star => node.star.get_or_insert_default(),
                PatternWord::Hash => node.hash.get_or_insert_default(),
                PatternWord::Literal(literal) => {
                    let known = self.vocabulary.number(literal);
                    let has_edge = known.is_some_and(|number| node.literals.contains_key(&number));
                    let number = match known {
                        Some(number) if has_edge => number,
                        _ => self.vocabulary.acquire(literal),
                    };
                    node.literals.entry(number).or_default()
                }
            };
            child.reached_again = reached_again;
            node = child;
        }
        node.destinations.add(destination);
    }

    pub(super) fn remove(&mut self, pattern: &[u8], destination: &D) {
        let mut words = words::pattern(pattern);
        remove_below(&mut self.root, &mut words, destination, &mut self.vocabulary);
    }

    /// Calls `found` for the destinations of every pattern that matches `key`, once per pattern, and
    /// returns how many nodes it took.
    pub(super) fn matches(&self, key: &[u8], found: &mut dyn FnMut(&D)) -> usize {
        let mut walk = Walk::new(found);
        walk.reach(&self.root);
        for word in words::split(key) {
            if !walk.next_word(|| self.vocabulary.number(word)) {
                break;
            }
        }
        walk.end()
    }

    #[cfg(test)]
    pub(super) fn is_pristine(&self) -> bool {
        self.root.is_bare() && self.vocabulary.is_empty()
    }
}

/// Follows the rest of a pattern down, takes the destination away at its end, and drops each node
/// that this leaves bare on the way back. As deep as a pattern has words: at most 256.
fn remove_below<'a, D: Clone + Eq + Hash>(
    node: &mut Node<D>,
    words: &mut dyn Iterator<Item = PatternWord<'a>>,
    destination: &D,
    vocabulary: &mut Vocabulary,
) {
    let Some(word) = words.next() else {
        node.destinations.remove(destination);
        return;
    };
    let number = match word {
        PatternWord::Literal(literal) => vocabulary.number(literal),
        PatternWord::Star | PatternWord::Hash => None,
    };
    let child = match word {
        PatternWord::Star => node.star.as_mut(),
        PatternWord::Hash => node.hash.as_mut(),
        PatternWord::Literal(_) => number.and_then(|number| node.literals.get_mut(&number)),
    };
    let Some(child) = child else {
        debug_assert!(false, "a pattern is removed only after it was inserted");
        return;
    };
    remove_below(child, words, destination, vocabulary);
    if !child.is_bare() {
        return;
    }
    match word {
        PatternWord::Star => node.star = None,
        PatternWord::Hash => node.hash = None,
        PatternWord::Literal(literal) => {
            vocabulary.release(literal);
            if let Some(number) = number {
                node.literals.remove(&number);
            }
            if node.literals.is_empty() {
                node.literals.shrink_to_fit();
            }
        }
    }
}

/// What a pattern has above the word being placed.
#[derive(Default)]
struct Above {
    hash_anywhere: bool,
    hash_directly: bool,
}

impl Above {
    /// Moves past `word`; true if its node may be reached several times by one key. Directly behind
    /// another `#` it may not: that node is reached once, and this one together with it.
    fn pass(&mut self, word: PatternWord<'_>) -> bool {
        let is_hash = matches!(word, PatternWord::Hash);
        let reached_again = is_hash && self.hash_anywhere && !self.hash_directly;
        self.hash_anywhere |= is_hash;
        self.hash_directly = is_hash;
        reached_again
    }
}

/// One key on its way through the trie. The inline sizes keep all but crowded routes off the heap.
struct Walk<'a, 'f, D> {
    /// Ordinary nodes that the words so far lead to.
    here: SmallVec<[&'a Node<D>; 16]>,
    /// Nodes behind a `#` that have children waiting for a later word.
    lasting: SmallVec<[&'a Node<D>; 16]>,
    /// The nodes marked `reached_again` that were reached.
    reached: Reached<D>,
    found: &'f mut dyn FnMut(&D),
    visited: usize,
}

impl<'a, 'f, D: Clone + Eq + Hash> Walk<'a, 'f, D> {
    fn new(found: &'f mut dyn FnMut(&D)) -> Self {
        let (here, lasting) = (SmallVec::new(), SmallVec::new());
        Self { here, lasting, reached: Reached::default(), found, visited: 0 }
    }

    /// Adds an ordinary node, and the nodes behind its `#`s, which match no word as well.
    fn reach(&mut self, node: &'a Node<D>) {
        self.visited += 1;
        self.here.push(node);
        let mut parent = node;
        while let Some(lasting) = parent.hash.as_deref() {
            self.visited += 1;
            if lasting.reached_again && !self.reached.insert(lasting) {
                return;
            }
            lasting.destinations.each(self.found);
            if lasting.has_words() {
                self.lasting.push(lasting);
            }
            parent = lasting;
        }
    }

    /// Consumes one word, whose number is asked for only if a node waits for it. False if no node is
    /// left that another word could matter to.
    fn next_word(&mut self, number: impl FnOnce() -> Option<WordNumber>) -> bool {
        if self.here.is_empty() && self.lasting.is_empty() {
            return false;
        }
        let number = number();
        // What this word leads to is appended, and begins to wait with the next word.
        let (here_before, lasting_before) = (self.here.len(), self.lasting.len());
        for at in 0..here_before {
            if let Some(node) = self.here.get(at).copied() {
                self.step(node, number);
            }
        }
        for at in 0..lasting_before {
            if let Some(node) = self.lasting.get(at).copied() {
                self.step(node, number);
            }
        }
        self.here.drain(..here_before);
        true
    }

    fn step(&mut self, node: &'a Node<D>, number: Option<WordNumber>) {
        self.visited += 1;
        if let Some(child) = number.and_then(|number| node.literals.get(&number)) {
            self.reach(child);
        }
        if let Some(child) = &node.star {
            self.reach(child);
        }
    }

    /// The key is over: the ordinary nodes left are the ends of patterns that match.
    fn end(self) -> usize {
        for node in &self.here {
            node.destinations.each(self.found);
        }
        self.visited
    }
}

/// A set of nodes, told apart by address, that stays off the heap while it is small.
struct Reached<D> {
    few: SmallVec<[*const Node<D>; 8]>,
    /// Takes over when `few` is full.
    many: HashSet<*const Node<D>, BuildHasherDefault<AHasher>>,
}

impl<D> Reached<D> {
    /// Whether `node` is new to the set.
    fn insert(&mut self, node: &Node<D>) -> bool {
        let node: *const _ = node;
        if self.many.is_empty() {
            if self.few.contains(&node) {
                return false;
            }
            if self.few.len() < self.few.inline_size() {
                self.few.push(node);
                return true;
            }
            self.many.extend(self.few.drain(..));
        }
        self.many.insert(node)
    }
}

impl<D> Default for Reached<D> {
    fn default() -> Self {
        Self { few: SmallVec::new(), many: HashSet::default() }
    }
}

impl<D: Clone + Eq + Hash> Node<D> {
    fn has_words(&self) -> bool {
        self.star.is_some() || !self.literals.is_empty()
    }

    fn is_bare(&self) -> bool {
        !self.has_words() && self.hash.is_none() && self.destinations.is_empty()
    }
}

impl<D> Default for Node<D> {
    fn default() -> Self {
        Self {
            literals: Literals::default(),
            star: None,
            hash: None,
            destinations: Destinations::default(),
            reached_again: false,
        }
    }
}

impl<D> Default for Trie<D> {
    fn default() -> Self {
        Self { root: Node::default(), vocabulary: Vocabulary::default() }
    }
}
