//! The audit log's own file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing_subscriber::fmt::MakeWriter;

/// A file to which lines are added. One that cannot be written to is reported once, on stderr.
pub(super) struct AuditFile {
    file: File,
    failed: AtomicBool,
}

impl AuditFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let open = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        let explained = |error: io::Error| {
            io::Error::new(
                error.kind(),
                format!("cannot open the audit log {}: {error}", path.display()),
            )
        };
        Ok(Self { file: open.map_err(explained)?, failed: AtomicBool::new(false) })
    }
}

impl<'a> MakeWriter<'a> for AuditFile {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl Write for &AuditFile {
    /// A whole line: it is not torn by another one.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let written = (&self.file).write_all(line);
        if let Err(error) = &written
            && !self.failed.swap(true, Ordering::Relaxed)
        {
            // Not by the log, which would come here again.
            let _ = writeln!(io::stderr(), "leveret: cannot write the audit log: {error}");
        }
        written.map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
