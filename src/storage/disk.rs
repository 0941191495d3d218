//! The one way in which storage reaches the file system.
//!
//! [`Disk`] has exactly the operations that storage needs, so that a test can put a [`FaultyDisk`] in
//! the place of the [`RealDisk`] and let each operation fail in turn, or cut the power.
//!
//! What the operations promise when they fail: nothing. An append may have written some of its bytes,
//! a failed sync leaves it unknown which bytes will survive, and a second sync may then lie. So whoever
//! writes treats the first error as final.
//!
//! Invariant: no other file of `storage` names `std::fs`, but for the lock on the data directory.

mod faulty;
mod memory;
mod real;

use std::io::{self, IoSlice};
use std::path::Path;

pub use self::faulty::{Fault, FaultyDisk};
pub use self::memory::MemoryDisk;
pub use self::real::RealDisk;

/// A file system. Names of files in a directory are plain text; other names are not listed.
pub trait Disk: Send + Sync {
    /// Creates the directory and its parents; fine when it is there.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Names of the files in a directory, sorted.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;

    /// Creates an empty file, which must not be there yet. It survives a loss of power once the
    /// directory is synced.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file to append to it, and creates it if need be.
    fn open_append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskRead>>;

    /// Cuts a file to its first `length` bytes, and syncs that.
    fn truncate(&self, path: &Path, length: u64) -> io::Result<()>;

    /// Survives a loss of power once the directory is synced; may be undone by one before.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Replaces `to`. Survives like [`remove`](Self::remove).
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes what was created, removed and renamed in a directory survive a loss of power.
    fn sync_dir(&self, directory: &Path) -> io::Result<()>;

    /// Bytes that this process may still write to the file system that holds `path`.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;

    /// A whole file in one piece, for small ones.
    fn read_all(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.open_read(path)?;
        let mut bytes = vec![0; usize::try_from(file.len()?).unwrap_or(usize::MAX)];
        let read = file.read_at(0, &mut bytes)?;
        bytes.truncate(read);
        Ok(bytes)
    }
}

/// A file that grows at its end.
pub trait DiskFile: Send {
    /// Appends all pieces, in order, with as few system calls as it takes.
    fn append(&mut self, pieces: &mut [IoSlice<'_>]) -> io::Result<()>;

    /// Makes everything appended so far survive a loss of power.
    fn sync_data(&mut self) -> io::Result<()>;

    fn len(&self) -> io::Result<u64>;

    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// A file to read from, at any place and from any thread.
pub trait DiskRead: Send + Sync {
    /// Fills `buffer` from `offset` on; less than all of it only at the end of the file.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    fn len(&self) -> io::Result<u64>;

    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

#[cfg(test)]
mod tests;
