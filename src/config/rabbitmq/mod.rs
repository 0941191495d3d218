//! RabbitMQ's `rabbitmq.conf`, as input: its keys become ours.
//!
//! Every key that RabbitMQ 3.10 and 4.x know in their core and in the plugins of their images is known
//! here, and each is one of: a key of ours; a part of one ([`combine`]); accepted, because nobody could
//! tell a difference; accepted with a warning, because it does nothing here; refused with a sentence,
//! because without it the broker would not be what its operator believes it is. An unknown key
//! is refused with the nearest one that is known. The list is in [`keys`].

mod combine;
mod convert;
mod keys;
mod oauth2;
mod syntax;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub(in crate::config) use self::convert::level;
use self::keys::Meaning;
use self::syntax::Line;
use super::error::{ConfigError, Origin};
use super::file::distance;
use super::settings::Settings;
use super::source::{Assignment, Value};

type Segments = Vec<String>;

/// Files that include each other would otherwise never end.
const INCLUDE_DEPTH_MAX: usize = 8;

/// The settings of one or more files. Of those with the same key the last counts.
#[derive(Debug, Default)]
pub(super) struct Conf {
    entries: Vec<Entry>,
    included: Vec<PathBuf>,
}

#[derive(Clone, Debug)]
struct Entry {
    key: Segments,
    value: String,
    path: PathBuf,
    line: usize,
}

/// What the settings are in our terms.
#[derive(Debug, Default)]
pub(super) struct Translated {
    pub(super) assignments: Vec<Assignment>,
    pub(super) warnings: Vec<String>,
}

impl Conf {
    /// Reads a file's text, and the files that it includes.
    pub(super) fn add(
        &mut self,
        path: &Path,
        text: &str,
        env: &impl Fn(&str) -> Option<String>,
    ) -> Result<(), ConfigError> {
        self.add_nested(path, text, env, 0)
    }

    fn add_nested(
        &mut self,
        path: &Path,
        text: &str,
        env: &impl Fn(&str) -> Option<String>,
        depth: usize,
    ) -> Result<(), ConfigError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let first = text.lines().map(str::trim).find(|line| !line.is_empty());
        let is_erlang = first.is_some_and(|line| line.starts_with("[{") || line.starts_with('%'))
            || first == Some("[");
        if is_erlang || path.extension().is_some_and(|extension| extension == "config") {
            return Err(erlang(path));
        }
        for (index, text) in text.lines().enumerate() {
            let line = index + 1;
            let refuse = |problem| ConfigError::Syntax {
                origin: Origin::File { path: path.to_owned(), line },
                problem,
            };
            match syntax::line(text, env).map_err(refuse)? {
                Line::Nothing => {}
                Line::Setting { key, value } => {
                    self.entries.retain(|entry| entry.key != key);
                    self.entries.push(Entry { key, value, path: path.to_owned(), line });
                }
                Line::Include(_) if depth == INCLUDE_DEPTH_MAX => {
                    return Err(refuse("files include each other too deeply".to_owned()));
                }
                Line::Include(pattern) => {
                    let beside = path.parent().unwrap_or_else(|| Path::new("")).join(pattern);
                    for path in matching(&beside)? {
                        let text = std::fs::read_to_string(&path).map_err(|cause| {
                            ConfigError::Unreadable { path: path.clone(), cause }
                        })?;
                        self.included.push(path.clone());
                        self.add_nested(&path, &text, env, depth + 1)?;
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn included(&mut self) -> Vec<PathBuf> {
        std::mem::take(&mut self.included)
    }

    /// The settings in our terms, or the first mistake.
    pub(super) fn translate(&self) -> Result<Translated, ConfigError> {
        let mut translated = Translated::default();
        for entry in &self.entries {
            self.translate_entry(entry, &mut translated)?;
        }
        combine::all(self, &mut translated)?;
        let is_there = |assignment: &&Assignment| Settings::KEYS.contains(&assignment.key);
        match translated.assignments.iter().find(|assignment| !is_there(assignment)) {
            None => Ok(translated),
            Some(Assignment { origin, key, .. }) => Err(ConfigError::BadValue {
                origin: origin.clone(),
                key,
                problem: "is not supported in this version".to_owned(),
            }),
        }
    }

    fn translate_entry(&self, entry: &Entry, to: &mut Translated) -> Result<(), ConfigError> {
        let Some(meaning) = keys::find(&entry.key) else {
            return Err(entry.unknown());
        };
        match meaning {
            Meaning::Ours(key, form) => {
                let value =
                    convert::value(form, &entry.value).map_err(|problem| entry.wrong(problem))?;
                to.assignments.push(entry.assign(key, value));
            }
            Meaning::Together(_) | Meaning::Checked(_) | Meaning::Accepted => {}
            Meaning::Only(words, _) if words.contains(&entry.value.as_str()) => {}
            Meaning::Only(_, sentence) | Meaning::Refused(sentence) => {
                return Err(entry.wrong(sentence.to_owned()));
            }
            Meaning::Idle(sentence) => to.warnings.push(entry.warning(sentence)),
        }
        Ok(())
    }

    /// The entries below a key, the members of a list.
    fn below(&self, prefix: &str) -> impl Iterator<Item = (&str, &Entry)> {
        let prefix: Segments = prefix.split('.').map(str::to_owned).collect();
        self.entries.iter().filter_map(move |entry| {
            match entry.key.strip_prefix(prefix.as_slice())? {
                [name] => Some((name.as_str(), entry)),
                _ => None,
            }
        })
    }

    fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| dotted(&entry.key) == key)
    }
}

impl Entry {
    fn origin(&self) -> Origin {
        Origin::Conf { path: self.path.clone(), line: self.line, key: dotted(&self.key) }
    }

    fn assign(&self, key: &'static str, value: Value) -> Assignment {
        Assignment { origin: self.origin(), key, value }
    }

    fn wrong(&self, problem: String) -> ConfigError {
        ConfigError::BadValue { origin: self.origin(), key: "", problem }
    }

    fn warning(&self, sentence: &str) -> String {
        format!("{}: {}: {sentence}", self.origin(), dotted(&self.key))
    }

    fn unknown(&self) -> ConfigError {
        ConfigError::UnknownKey {
            origin: self.origin(),
            key: dotted(&self.key),
            nearest: nearest(&self.key),
        }
    }
}

/// The format before RabbitMQ 3.7, and that of what the newer one cannot say.
pub(super) fn erlang(path: &Path) -> ConfigError {
    ConfigError::Conflict(format!(
        "{} is in Erlang's notation (advanced.config, or rabbitmq.config of old), which leveret does \
         not read: write its settings as keys of rabbitmq.conf, or as TOML",
        path.display()
    ))
}

/// The files that a path with a `*` in its last part means, or the `*.conf` of a directory, by name. A
/// file that is named without one must be there.
pub(super) fn matching(path: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let (directory, pattern) = if path.is_dir() {
        (path, "*.conf")
    } else {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match path.parent() {
            Some(parent) if name.contains('*') => (parent, name),
            _ => return Ok(vec![path.to_owned()]),
        }
    };
    let unreadable = |cause| ConfigError::Unreadable { path: directory.to_owned(), cause };
    let shown = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(shown).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        let (before, behind) = pattern.split_once('*').unwrap_or((pattern, ""));
        let matches = name.to_str().is_some_and(|name| {
            name.len() >= before.len() + behind.len()
                && name.starts_with(before)
                && name.ends_with(behind)
                // Left behind by editors.
                && !name.starts_with('.')
        });
        if matches {
            found.push(directory.join(name));
        }
    }
    found.sort();
    Ok(found)
}

fn dotted(key: &[String]) -> String {
    key.iter().map(|segment| segment.replace('.', "\\.")).collect::<Vec<_>>().join(".")
}

/// The known key that was probably meant. Names that are free in it are taken over.
fn nearest(unknown: &[String]) -> Option<String> {
    let text = dotted(unknown);
    let longer = format!("{text}.");
    if let Some(pattern) = keys::patterns().find(|pattern| pattern.starts_with(&longer)) {
        return Some(pattern.replace('*', "NAME"));
    }
    let filled = keys::patterns().map(|pattern| {
        let segments = pattern.split('.').enumerate().map(|(index, segment)| match segment {
            "*" => unknown.get(index).map_or("NAME", String::as_str),
            segment => segment,
        });
        segments.collect::<Vec<_>>().join(".")
    });
    let (distance, key) =
        filled.map(|key| (distance(&text.to_lowercase(), &key.to_lowercase()), key)).min()?;
    (distance <= text.len().max(3) / 3).then_some(key)
}
