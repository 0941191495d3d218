//! The words of topic keys and of topic patterns.

/// The words of a key or a pattern. An empty key has none; every dot separates two words, either of
/// which may be empty (B4.11).
pub(super) fn split(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    let words = (!key.is_empty()).then(|| key.split(|byte| *byte == b'.'));
    words.into_iter().flatten()
}

/// One word of a pattern. Only a word that is exactly `*` or `#` is special.
#[derive(Clone, Copy)]
pub(super) enum PatternWord<'a> {
    Literal(&'a [u8]),
    /// `*`: exactly one word.
    Star,
    /// `#`: any number of words, none included.
    Hash,
}

pub(super) fn pattern(key: &[u8]) -> impl Iterator<Item = PatternWord<'_>> {
    split(key).map(|word| match word {
        b"*" => PatternWord::Star,
        b"#" => PatternWord::Hash,
        literal => PatternWord::Literal(literal),
    })
}
