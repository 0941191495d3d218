//! Short numbers for the words that bindings spell out: words of topic patterns, names of headers.
//!
//! Numbering lets a route hash each word of a message once, however many bindings wait for it, and
//! tells a word that no binding mentions before any binding is looked at.

use ahash::AHashMap;

/// Stands for one word. Numbers rise and none is given twice, so that one can be trusted without
/// its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct WordNumber(u64);

/// The words in use and their numbers.
#[derive(Default)]
pub(super) struct Vocabulary {
    words: AHashMap<Box<[u8]>, Entry>,
    numbers_given: u64,
}

struct Entry {
    number: WordNumber,
    uses: usize,
}

impl Vocabulary {
    /// The number for one more use of `word`.
    pub(super) fn acquire(&mut self, word: &[u8]) -> WordNumber {
        if let Some(entry) = self.words.get_mut(word) {
            entry.uses += 1;
            return entry.number;
        }
        let number = WordNumber(self.numbers_given);
        self.numbers_given += 1;
        self.words.insert(Box::from(word), Entry { number, uses: 1 });
        number
    }

    /// Ends one use of `word`; with the last one the word is forgotten.
    pub(super) fn release(&mut self, word: &[u8]) {
        let Some(entry) = self.words.get_mut(word) else {
            debug_assert!(false, "a word is released only after it was acquired");
            return;
        };
        entry.uses -= 1;
        if entry.uses == 0 {
            self.words.remove(word);
        }
    }

    pub(super) fn number(&self, word: &[u8]) -> Option<WordNumber> {
        self.words.get(word).map(|entry| entry.number)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }
}
