//! Prometheus' text format, written in pieces.
//!
//! A family is its name, help and type once, and then its samples; the next piece is made when the last
//! one has been sent, so however many samples there are, little of the text is in memory at a time.

use std::convert::Infallible;
use std::fmt::Write;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Bytes, HttpBody};
use hyper::body::Frame;

/// What the text is called (reference 8).
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A piece is sent when it has grown to this.
const PIECE_BYTES: usize = 64 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Gives the samples of a family one after another: writes the one with that number, a line or a few,
/// behind the family's name. False when there is none any more.
pub(super) type Samples = Box<dyn FnMut(&str, usize, &mut String) -> bool + Send>;

pub(super) struct Family {
    pub name: String,
    pub help: &'static str,
    pub kind: Kind,
    pub samples: Samples,
}

/// All families, in order.
pub(super) struct Text {
    families: std::vec::IntoIter<Family>,
    current: Option<(Family, usize)>,
}

impl Text {
    pub(super) fn new(families: Vec<Family>) -> Self {
        Self { families: families.into_iter(), current: None }
    }

    fn piece(&mut self) -> String {
        let mut out = String::new();
        while out.len() < PIECE_BYTES {
            let Some((family, next)) = &mut self.current else {
                let Some(family) = self.families.next() else { break };
                let Family { name, help, kind, .. } = &family;
                let _ = writeln!(out, "# TYPE {name} {}\n# HELP {name} {help}", kind.as_str());
                self.current = Some((family, 0));
                continue;
            };
            if (family.samples)(&family.name, *next, &mut out) {
                *next += 1;
            } else {
                self.current = None;
            }
        }
        out
    }
}

impl HttpBody for Text {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.piece();
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece.into()))))
    }
}

/// Adds a label to others: `name="value"`, the value escaped.
pub(super) fn label(labels: &mut String, name: &str, value: &str) {
    if !labels.is_empty() {
        labels.push(',');
    }
    labels.push_str(name);
    labels.push_str("=\"");
    for c in value.chars() {
        match c {
            '\\' => labels.push_str("\\\\"),
            '"' => labels.push_str("\\\""),
            '\n' => labels.push_str("\\n"),
            c => labels.push(c),
        }
    }
    labels.push('"');
}

pub(super) fn labels(pairs: &[(&str, &str)]) -> String {
    let mut labels = String::new();
    pairs.iter().for_each(|(name, value)| label(&mut labels, name, value));
    labels
}

/// A sample's line.
pub(super) fn sample(out: &mut String, name: &str, suffix: &str, labels: &str, value: f64) {
    // Writing to a string does not fail.
    let _ = match labels {
        "" => writeln!(out, "{name}{suffix} {value}"),
        labels => writeln!(out, "{name}{suffix}{{{labels}}} {value}"),
    };
}

/// A histogram's lines. `ends` are the buckets' upper ends as they are to be written, `counts` those of
/// each bucket alone with one more for what is beyond the last.
pub(super) fn histogram(
    out: &mut String,
    name: &str,
    labels: &str,
    ends: impl Iterator<Item = String>,
    counts: &[u64],
    sum: f64,
) {
    let mut total = 0;
    for (end, count) in ends.chain(["+Inf".to_owned()]).zip(counts) {
        total += count;
        let mut own = labels.to_owned();
        label(&mut own, "le", &end);
        sample(out, name, "_bucket", &own, total as f64);
    }
    sample(out, name, "_sum", labels, sum);
    sample(out, name, "_count", labels, total as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_labels_are_escaped() {
        assert_eq!(
            labels(&[("a", "x"), ("b", "1\\2\"3\n4 {}é")]),
            "a=\"x\",b=\"1\\\\2\\\"3\\n4 {}é\""
        );
    }

    #[test]
    fn buckets_are_cumulative() {
        let mut out = String::new();
        let ends = ["1", "2"].map(str::to_owned).into_iter();
        histogram(&mut out, "h", "a=\"b\"", ends, &[3, 0, 4], 1.5);
        let expected = "h_bucket{a=\"b\",le=\"1\"} 3\nh_bucket{a=\"b\",le=\"2\"} 3\n\
                        h_bucket{a=\"b\",le=\"+Inf\"} 7\nh_sum{a=\"b\"} 1.5\nh_count{a=\"b\"} 7\n";
        assert_eq!(out, expected);
    }

    #[test]
    fn a_long_text_comes_in_pieces() {
        let samples: Samples = Box::new(|name, index, out| {
            sample(out, name, "", &format!("n=\"{index}\""), index as f64);
            index < 99_999
        });
        let family = Family { name: "f".to_owned(), help: "Help", kind: Kind::Gauge, samples };
        let mut text = Text::new(vec![family]);
        let pieces: Vec<String> =
            std::iter::from_fn(|| Some(text.piece()).filter(|piece| !piece.is_empty())).collect();
        assert!(pieces.len() > 10 && pieces.iter().all(|piece| piece.len() < PIECE_BYTES + 100));
        let all = pieces.concat();
        assert!(all.starts_with("# TYPE f gauge\n# HELP f Help\nf{n=\"0\"} 0\n"));
        assert_eq!(all.lines().count(), 100_002);
        assert_eq!(all.matches("# TYPE").count(), 1);
    }
}
