//! The file that the journal is writing.
//!
//! Invariant: whatever fails here is final; nobody tries again.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use super::file::{self, HEADER};
use super::record::{FRAME, split_next};
use crate::storage::StoreError;
use crate::storage::disk::{Disk, DiskFile};

pub struct ActiveFile {
    number: u64,
    salt: u32,
    length: u64,
    path: PathBuf,
    file: Box<dyn DiskFile>,
}

impl ActiveFile {
    /// Creates a file. It is there to stay when this returns: a file whose header could be torn would
    /// make the one before it look like the last, and a torn tail is only forgiven in the last.
    pub fn create(disk: &dyn Disk, directory: &Path, number: u64) -> Result<Self, StoreError> {
        let path = file::path(directory, number);
        let salt = rand::random();
        let create = || {
            let mut file = disk.create(&path)?;
            file.append(&mut [IoSlice::new(&file::header(number, salt))])?;
            file.sync_data()?;
            disk.sync_dir(directory)?;
            Ok(file)
        };
        let file = create().map_err(failed("create", &path))?;
        Ok(Self { number, salt, length: HEADER, path, file })
    }

    pub fn number(&self) -> u64 {
        self.number
    }

    pub fn length(&self) -> u64 {
        self.length
    }

    /// Gives records the checksums that go with their place, `ahead` bytes behind the end of the
    /// file, and hands each content on with its place in `bytes`. Returns how many they are.
    pub fn seal(
        &self,
        ahead: usize,
        bytes: &mut [u8],
        mut each: impl FnMut(usize, &[u8]) -> Result<(), StoreError>,
    ) -> Result<u64, StoreError> {
        let (length, start) = (bytes.len(), self.length + ahead as u64);
        let (mut at, mut rest, mut records) = (0, bytes, 0);
        while let Some((checksum, content, behind)) = split_next(rest) {
            let sum = file::checksum(self.salt, start + at as u64, content);
            *checksum = sum.to_le_bytes();
            each(at, content)?;
            at += FRAME + content.len();
            records += 1;
            rest = behind;
        }
        debug_assert_eq!(at, length, "what was encoded here consists of whole records");
        Ok(records)
    }

    pub fn append(&mut self, pieces: [&[u8]; 2]) -> Result<(), StoreError> {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        let written = self.file.append(&mut pieces.map(IoSlice::new));
        written.map_err(failed("write", &self.path))?;
        self.length += length as u64;
        Ok(())
    }

    pub fn sync(&mut self) -> Result<(), StoreError> {
        self.file.sync_data().map_err(failed("sync", &self.path))
    }
}

/// One line for an operation that failed on a file.
pub fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    move |error| StoreError(format!("cannot {what} {}: {error}", path.display()))
}
