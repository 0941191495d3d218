//! A strict reader of Prometheus' text format: what it does not like, a scraper might not.

use std::collections::{BTreeMap, BTreeSet};

/// What a text says.
pub struct Exposition {
    /// Families in order, with their types.
    families: Vec<(String, String)>,
    /// Samples by name, with labels as they stand in the text, in order.
    samples: BTreeMap<String, Vec<(String, f64)>>,
}

impl Exposition {
    pub fn value(&self, name: &str, labels: &str) -> Option<f64> {
        let samples = self.samples.get(name)?;
        samples.iter().find(|(known, _)| known == labels).map(|(_, value)| *value)
    }

    pub fn has(&self, name: &str) -> bool {
        self.samples.contains_key(name)
    }

    /// Names of families, in order.
    pub fn names(&self) -> Vec<&str> {
        self.families.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// The values of a label, in order.
    pub fn labels(&self, name: &str, label: &str) -> Vec<String> {
        let samples = self.samples.get(name).into_iter().flatten();
        let value = |(labels, _): &(String, f64)| {
            let pairs = pairs(labels).unwrap();
            pairs.into_iter().find(|(key, _)| key == label).map(|(_, value)| value)
        };
        samples.filter_map(value).collect()
    }
}

/// Reads a text, or says what is wrong with it.
pub fn parse(text: &str) -> Result<Exposition, String> {
    if !text.ends_with('\n') {
        return Err("it does not end with a line break".to_owned());
    }
    let mut families: Vec<(String, String)> = Vec::new();
    let mut helps = BTreeSet::new();
    let mut samples: BTreeMap<String, Vec<(String, f64)>> = BTreeMap::new();
    for line in text.lines() {
        let wrong = |why: &str| Err(format!("{why}: {line}"));
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let Some((name, kind)) = rest.split_once(' ') else { return wrong("no type") };
            if families.iter().any(|(known, _)| known == name) {
                return wrong("a second TYPE");
            }
            if !["counter", "gauge", "histogram"].contains(&kind) || !is_name(name) {
                return wrong("a bad TYPE");
            }
            if kind == "counter" && !name.ends_with("_total") {
                return wrong("a counter whose name does not say so");
            }
            families.push((name.to_owned(), kind.to_owned()));
        } else if let Some(rest) = line.strip_prefix("# HELP ") {
            let Some((name, help)) = rest.split_once(' ') else { return wrong("no help") };
            if !helps.insert(name.to_owned()) || help.is_empty() {
                return wrong("a second HELP, or none");
            }
            if families.last().is_none_or(|(last, _)| last != name) {
                return wrong("HELP of another family");
            }
        } else {
            let (name, labels, value) = sample(line)?;
            let Some((family, kind)) = families.last() else { return wrong("before any TYPE") };
            let suffix = name.strip_prefix(family.as_str());
            let belongs = match kind.as_str() {
                "histogram" => matches!(suffix, Some("_bucket" | "_sum" | "_count")),
                _ => suffix == Some(""),
            };
            if !belongs || !helps.contains(family) {
                return wrong("not of the family before it");
            }
            if kind != "gauge" && value < 0.0 {
                return wrong("less than nothing");
            }
            let known = samples.entry(name.to_owned()).or_default();
            known.push((labels.to_owned(), value));
        }
    }
    for (name, known) in &samples {
        let distinct: BTreeSet<&String> = known.iter().map(|(labels, _)| labels).collect();
        if distinct.len() < known.len() {
            return Err(format!("{name} has the same labels twice"));
        }
    }
    let exposition = Exposition { families, samples };
    let histograms = exposition.families.iter().filter(|(_, kind)| kind == "histogram");
    histograms.into_iter().try_for_each(|(name, _)| exposition.check_histogram(name))?;
    Ok(exposition)
}

impl Exposition {
    /// Buckets rise with their ends, and the last one holds all.
    fn check_histogram(&self, name: &str) -> Result<(), String> {
        let buckets = self.samples.get(&format!("{name}_bucket")).ok_or("no buckets")?;
        let mut by_labels: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
        for (labels, count) in buckets {
            let (ends, others): (Vec<_>, Vec<_>) =
                pairs(labels)?.into_iter().partition(|(key, _)| key == "le");
            let [(_, end)] = &ends[..] else { return Err(format!("{name}: a bucket without end")) };
            let end: f64 = end.parse().map_err(|_| format!("{name}: a bad end {end}"))?;
            let others = others.iter().map(|(key, value)| format!("{key}=\"{value}\""));
            let others = others.collect::<Vec<_>>().join(",");
            by_labels.entry(others).or_default().push((end, *count));
        }
        for (labels, buckets) in by_labels {
            let rises = |pair: &[(f64, f64)]| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1;
            if !buckets.windows(2).all(rises) {
                return Err(format!("{name}: buckets that do not rise"));
            }
            let (end, all) = buckets[buckets.len() - 1];
            if end != f64::INFINITY || self.value(&format!("{name}_count"), &labels) != Some(all) {
                return Err(format!("{name}: the last bucket is not the count"));
            }
            if self.value(&format!("{name}_sum"), &labels).is_none() {
                return Err(format!("{name}: no sum"));
            }
        }
        Ok(())
    }
}

fn is_name(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    name.chars().all(is_part) && name.chars().next().is_some_and(|c| !c.is_ascii_digit())
}

/// Name, labels and value of a line.
fn sample(line: &str) -> Result<(&str, &str, f64), String> {
    let (rest, value) = line.rsplit_once(' ').ok_or_else(|| format!("no value: {line}"))?;
    let value: f64 = value.parse().map_err(|_| format!("no number: {line}"))?;
    if value.is_nan() {
        return Err(format!("no number: {line}"));
    }
    let (name, labels) = match rest.split_once('{') {
        None => (rest, ""),
        Some((name, labels)) => {
            let labels = labels.strip_suffix('}').ok_or_else(|| format!("no end: {line}"))?;
            (name, labels)
        }
    };
    if !is_name(name) {
        return Err(format!("no name: {line}"));
    }
    pairs(labels)?;
    Ok((name, labels, value))
}

/// Labels and their values, unescaped.
fn pairs(labels: &str) -> Result<Vec<(String, String)>, String> {
    let wrong = || format!("bad labels: {labels}");
    let (mut pairs, mut rest) = (Vec::new(), labels);
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").ok_or_else(wrong)?;
        if !is_name(name) || pairs.iter().any(|(known, _)| known == name) {
            return Err(wrong());
        }
        let (mut value, mut chars) = (String::new(), after.char_indices());
        let end = loop {
            match chars.next().ok_or_else(wrong)? {
                (index, '"') => break index + 1,
                (_, '\\') => match chars.next().ok_or_else(wrong)?.1 {
                    'n' => value.push('\n'),
                    c @ ('\\' | '"') => value.push(c),
                    _ => return Err(wrong()),
                },
                (_, c) => value.push(c),
            }
        };
        pairs.push((name.to_owned(), value));
        rest = &after[end..];
        if !rest.is_empty() {
            rest = rest.strip_prefix(',').filter(|rest| !rest.is_empty()).ok_or_else(wrong)?;
        }
    }
    Ok(pairs)
}

#[test]
fn the_reader_is_strict() {
    let head = "# TYPE a gauge\n# HELP a Help\n";
    for (text, problem) in [
        ("a 1", "line break"),
        ("a 1\n", "before any TYPE"),
        (&format!("{head}a 1\n{head}a 2\n"), "second TYPE"),
        (&format!("{head}b 1\n"), "not of the family"),
        (&format!("{head}a x\n"), "no number"),
        (&format!("{head}a{{l=\"x\"}} 1\na{{l=\"x\"}} 2\n"), "twice"),
        (&format!("{head}a{{l=\"x\"y\"}} 1\n"), "bad labels"),
        (&format!("{head}a{{l=\"x\\y\"}} 1\n"), "bad labels"),
        ("# TYPE a counter\n# HELP a Help\na 1\n", "does not say so"),
        (
            "# TYPE h histogram\n# HELP h Help\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
            "do not rise",
        ),
    ] {
        let found = parse(text).err().unwrap_or_else(|| panic!("{text} passed"));
        assert!(found.contains(problem), "{text}: {found}");
    }
    assert!(parse(&format!("{head}a{{l=\"x\\\"\\\\\\n\"}} 1\n")).is_ok());
}
