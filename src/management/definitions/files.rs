//! Files that a broker starts with: `load_definitions`.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{Document, FILES_HASH, Target, apply};
use crate::auth::Authenticator;
use crate::broker::Broker;
use crate::storage::{Done, StoreError, Together};
use crate::time::Time;

/// Bytes of one file.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Documents of definitions, read and not yet checked.
#[derive(Debug)]
pub struct DefinitionFiles {
    paths: Vec<PathBuf>,
    documents: Vec<Map<String, Value>>,
    hash: String,
}

/// Why a broker cannot start with its definitions. One sentence.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionsError {
    #[error("cannot read the definitions in {}: {cause}", path.display())]
    Unreadable { path: PathBuf, cause: io::Error },
    #[error("the definitions in {} are wrong: {problem}", path.display())]
    Wrong { path: PathBuf, problem: String },
    #[error(transparent)]
    NotStored(#[from] StoreError),
}

impl DefinitionFiles {
    /// Reads a file, or those of a directory whose names end in `.json`, by name.
    pub fn read(path: &Path) -> Result<Self, DefinitionsError> {
        let unreadable = |cause| DefinitionsError::Unreadable { path: path.to_owned(), cause };
        let paths = match path.is_dir() {
            false => vec![path.to_owned()],
            true => files_of(path).map_err(unreadable)?,
        };
        if paths.is_empty() {
            tracing::warn!("load_definitions: there is no *.json in {}", path.display());
        }
        let mut hash = Sha256::new();
        let mut documents = Vec::with_capacity(paths.len());
        for path in &paths {
            let bytes = bytes(path)
                .map_err(|cause| DefinitionsError::Unreadable { path: path.clone(), cause })?;
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(&bytes);
            let document = serde_json::from_slice(&bytes).map_err(|error| {
                let problem = format!("it is not a JSON object: {error}");
                DefinitionsError::Wrong { path: path.clone(), problem }
            })?;
            documents.push(document);
        }
        let hash = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { paths, documents, hash })
    }

    /// Whether a broker that begins with them has users without its default one.
    pub fn has_users(&self) -> bool {
        let users = |document: &Map<String, Value>| {
            document.get("users").and_then(Value::as_array).is_some_and(|users| !users.is_empty())
        };
        self.documents.iter().any(users)
    }

    /// Checks all of them as one document, then applies them. Blocks until they are durable.
    ///
    /// Does nothing, with `unless_unchanged`, if they are what was loaded so before.
    pub fn load(
        self,
        broker: &Arc<Broker>,
        authenticator: &Authenticator,
        unless_unchanged: bool,
        now: Time,
    ) -> Result<(), DefinitionsError> {
        let hash = Value::from(self.hash.as_str()).to_string();
        let known = broker.global_parameter(FILES_HASH);
        if unless_unchanged && known.is_some_and(|known| *known == *hash) {
            tracing::info!("the definitions in {} have not changed", self.shown());
            return Ok(());
        }
        let target = Target { broker, authenticator, now };
        let document = Document::read(&self.documents, None, target).map_err(|wrong| {
            let path = self.paths.get(wrong.document).cloned().unwrap_or_default();
            let entry = wrong.entry.map(|entry| format!("{entry}: ")).unwrap_or_default();
            DefinitionsError::Wrong { path, problem: entry + &wrong.refusal.sentence() }
        })?;
        let store = broker.definition_store();
        {
            let _together = Together::new(&**store);
            if self.has_users() {
                authenticator.forgo_first_user();
            }
            apply(document, target);
            if unless_unchanged {
                // Whoever waits below hears of it.
                let unheard = || -> Done { Box::new(|_| {}) };
                broker.put_global_parameter(FILES_HASH, hash, &unheard);
            }
        }
        store.wait_committed(store.requested())?;
        tracing::info!("loaded the definitions in {}", self.shown());
        Ok(())
    }

    fn shown(&self) -> String {
        let paths: Vec<String> = self.paths.iter().map(|path| path.display().to_string()).collect();
        paths.join(", ")
    }
}

fn files_of(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let is_json = path.extension().is_some_and(|extension| extension == "json");
        // Left behind by editors.
        let is_hidden =
            path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if is_json && !is_hidden {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > FILE_BYTES_MAX {
        true => Err(io::Error::other("it is larger than 256 MiB")),
        false => Ok(bytes),
    }
}
