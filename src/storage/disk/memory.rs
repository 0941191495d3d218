//! A file system in memory, for tests that open hundreds of logs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::{Disk, DiskFile, DiskRead};

/// Clones are the same disk.
#[derive(Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<Tree>>);

#[derive(Default)]
struct Tree {
    directories: BTreeSet<PathBuf>,
    files: BTreeMap<PathBuf, Content>,
}

/// A file lives while it has a name or is open, as on any Unix.
type Content = Arc<Mutex<Vec<u8>>>;

impl MemoryDisk {
    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.0.lock()
    }
}

impl Tree {
    fn file(&self, path: &Path) -> io::Result<Content> {
        self.files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn create(&mut self, path: &Path) -> io::Result<Content> {
        if !path.parent().is_some_and(|parent| self.directories.contains(parent)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let content = Content::default();
        self.files.insert(path.to_owned(), content.clone());
        Ok(content)
    }
}

impl Disk for MemoryDisk {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.tree().directories.extend(path.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let tree = self.tree();
        if !tree.directories.contains(directory) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = tree.files.keys().filter(|path| path.parent() == Some(directory));
        let name = |path: &PathBuf| path.file_name()?.to_str().map(str::to_owned);
        Ok(inside.filter_map(name).collect())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut tree = self.tree();
        if tree.files.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Ok(Box::new(tree.create(path)?))
    }

    fn open_append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut tree = self.tree();
        let there = tree.file(path);
        Ok(Box::new(there.or_else(|_| tree.create(path))?))
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskRead>> {
        Ok(Box::new(self.tree().file(path)?))
    }

    fn truncate(&self, path: &Path, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        self.tree().file(path)?.lock().resize(length, 0);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let removed = self.tree().files.remove(path);
        removed.map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut tree = self.tree();
        let content = tree.file(from)?;
        tree.files.remove(from);
        tree.files.insert(to.to_owned(), content);
        Ok(())
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        let there = self.tree().directories.contains(directory);
        there.then_some(()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

impl DiskFile for Content {
    fn append(&mut self, pieces: &mut [IoSlice<'_>]) -> io::Result<()> {
        let mut bytes = self.lock();
        pieces.iter().for_each(|piece| bytes.extend_from_slice(piece));
        Ok(())
    }

    fn sync_data(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().len() as u64)
    }
}

impl DiskRead for Content {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.lock();
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = bytes.get(start..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(rest) {
            *to = *from;
        }
        Ok(count)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().len() as u64)
    }
}
