//! A log file that is exchanged for a new one when it is long or old enough.
//!
//! The old ones are `FILE.0`, the newest, `FILE.1` and so on, as RabbitMQ calls them.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::moment::Moment;
use crate::config::Rotation;

#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes; 0 is no limit. A line that is longer is not cut.
    pub(super) size_max: u64,
    pub(super) rotation: Option<Rotation>,
    /// Old files.
    pub(super) kept: u32,
}

pub(super) struct LogFile {
    path: PathBuf,
    limits: Limits,
    current: Mutex<Current>,
}

struct Current {
    file: File,
    size: u64,
    /// When this file has become too old, in seconds.
    until: Option<u64>,
}

impl LogFile {
    /// Makes its directory; what is in the file stays, unless its time has passed.
    pub(super) fn open(path: &Path, limits: Limits) -> io::Result<Self> {
        let current = Current::open(path, limits.rotation).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot log to {}: {error}", path.display()))
        })?;
        Ok(Self { path: path.to_owned(), limits, current: Mutex::new(current) })
    }

    pub(super) fn reopen(&self) -> io::Result<()> {
        let current = Current::open(&self.path, self.limits.rotation)?;
        *self.current.lock() = current;
        Ok(())
    }

    pub(super) fn writer(self: &Arc<Self>) -> Writer {
        Writer(Arc::clone(self))
    }

    /// One line at one moment.
    fn write(&self, line: &[u8], now: Moment) -> io::Result<()> {
        let mut current = self.current.lock();
        let length = line.len() as u64;
        let max = self.limits.size_max;
        let is_long = max > 0 && current.size > 0 && current.size + length > max;
        let is_old = current.until.is_some_and(|until| now.seconds() >= until);
        if is_long || is_old {
            self.set_aside()?;
            *current = Current::open(&self.path, self.limits.rotation)?;
            // A file that is made now says so only as exactly as the file system does.
            current.until = self.limits.rotation.map(|rotation| now.next(rotation));
        }
        current.file.write_all(line)?;
        current.size += length;
        Ok(())
    }

    fn set_aside(&self) -> io::Result<()> {
        let Some(last) = self.limits.kept.checked_sub(1) else {
            return std::fs::remove_file(&self.path);
        };
        for number in (0..last).rev() {
            // There are not so many yet.
            let _ = std::fs::rename(self.old(number), self.old(number + 1));
        }
        std::fs::rename(&self.path, self.old(0))
    }

    fn old(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

impl Current {
    fn open(path: &Path, rotation: Option<Rotation>) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let metadata = file.metadata()?;
        let size = metadata.len();
        let since = if size > 0 { metadata.modified().map(Moment::of)? } else { Moment::now() };
        Ok(Self { file, size, until: rotation.map(|rotation| since.next(rotation)) })
    }
}

/// What a layer writes its lines to, each at once.
pub(super) struct Writer(Arc<LogFile>);

impl Write for Writer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write(line, Moment::now()).map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Directory(tempfile::TempDir);

    impl Directory {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn open(&self, size_max: u64, rotation: Option<Rotation>, kept: u32) -> LogFile {
            let limits = Limits { size_max, rotation, kept };
            LogFile::open(&self.0.path().join("log/leveret.log"), limits).unwrap()
        }

        /// The file and the old ones, newest first.
        fn texts(&self) -> Vec<String> {
            let names = ["leveret.log", "leveret.log.0", "leveret.log.1", "leveret.log.2"];
            let paths = names.map(|name| self.0.path().join("log").join(name));
            paths.iter().filter_map(|path| std::fs::read_to_string(path).ok()).collect()
        }
    }

    fn at(seconds: u64) -> Moment {
        Moment::from_seconds(seconds)
    }

    #[test]
    fn long_file_is_set_aside_and_the_oldest_goes() {
        let directory = Directory::new();
        let log = directory.open(11, None, 2);
        for line in ["one\n", "two\n", "three\n", "four\n", "five, which is longer\n", "six\n"] {
            log.write(line.as_bytes(), at(0)).unwrap();
        }
        assert_eq!(directory.texts(), ["six\n", "five, which is longer\n", "three\nfour\n"]);
        let log = directory.open(10, None, 0);
        log.write(b"seven\n", at(0)).unwrap();
        log.write(b"eight\n", at(0)).unwrap();
        assert_eq!(directory.texts()[0], "eight\n", "none is kept");
    }

    #[test]
    fn old_file_is_set_aside_at_its_hour() {
        let directory = Directory::new();
        let log = directory.open(0, Some(Rotation::Daily { hour: 0 }), 2);
        // It was opened now, whenever that is.
        let now = Moment::now();
        let midnight = now.next(Rotation::Daily { hour: 0 });
        log.write(b"one\n", now).unwrap();
        log.write(b"two\n", at(midnight - 1)).unwrap();
        log.write(b"three\n", at(midnight)).unwrap();
        log.write(b"four\n", at(midnight + 86_399)).unwrap();
        log.write(b"five\n", at(midnight + 86_400)).unwrap();
        assert_eq!(directory.texts(), ["five\n", "three\nfour\n", "one\ntwo\n"]);
    }

    #[test]
    fn file_goes_on_after_a_restart_and_after_it_was_moved() {
        let directory = Directory::new();
        directory.open(0, None, 1).write(b"one\n", at(0)).unwrap();
        let log = directory.open(0, None, 1);
        log.write(b"two\n", at(0)).unwrap();
        assert_eq!(directory.texts(), ["one\ntwo\n"]);
        let path = directory.0.path().join("log/leveret.log");
        std::fs::rename(&path, path.with_extension("moved")).unwrap();
        log.write(b"three\n", at(0)).unwrap();
        log.reopen().unwrap();
        log.write(b"four\n", at(0)).unwrap();
        assert_eq!(directory.texts(), ["four\n"]);
    }

    #[test]
    fn file_that_cannot_be_opened_is_named() {
        let limits = Limits { size_max: 0, rotation: None, kept: 0 };
        let error = LogFile::open(Path::new("/proc/leveret.log"), limits).err().unwrap();
        assert!(error.to_string().starts_with("cannot log to /proc/leveret.log: "), "{error}");
    }
}
