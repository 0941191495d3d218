//! The data directory: one process at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

/// Why a data directory cannot be used. One line each.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    #[error("the data directory {0} is in use by another process")]
    Held(PathBuf),
    #[error("cannot use the data directory {path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
}

/// Holds the directory's lock until it is dropped, or the process ends in whatever way.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    _lock: File,
}

impl DataDirectory {
    /// Creates the directory if need be, and locks it.
    pub fn open(path: &Path) -> Result<Self, DirectoryError> {
        let io = |source| DirectoryError::Io { path: path.to_owned(), source };
        std::fs::create_dir_all(path).map_err(io)?;
        let options = OpenOptions::new().create(true).truncate(false).write(true).to_owned();
        let lock = options.open(path.join("lock")).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DirectoryError::Held(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_holder_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        let held = DataDirectory::open(&path).unwrap();
        assert!(matches!(DataDirectory::open(&path), Err(DirectoryError::Held(_))));
        drop(held);
        assert!(DataDirectory::open(&path).is_ok());
    }

    #[test]
    fn a_file_in_the_way_is_reported() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("file");
        std::fs::write(&path, "").unwrap();
        let error = DataDirectory::open(&path).unwrap_err().to_string();
        assert!(error.starts_with("cannot use the data directory "), "{error}");
    }
}
