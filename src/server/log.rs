//! The log, and the audit log, which is a part of it or a file of its own.
//!
//! Whatever a client calls itself or its things, it cannot begin a line: JSON escapes, and the fields of
//! the text format are escaped here.

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{self, FormatFields};
use tracing_subscriber::fmt::{self as lines, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::config::{LogFormat, Settings};
use crate::names::AUDIT;

/// Begins to log to stderr, and what belongs there to the audit log's file.
pub fn start(settings: &Settings) -> io::Result<()> {
    let file = settings.audit_log_file.as_deref().map(AuditFile::open).transpose()?;
    let audit = if settings.audit_log && file.is_none() { "info" } else { "off" };
    // The more exact of two directives counts.
    let filter = EnvFilter::new(format!("{},{AUDIT}={audit}", settings.log_level));
    let log = layer(settings.log_format, io::stderr).with_filter(filter);
    let own = file.map(|file| {
        let only = Targets::new().with_target(AUDIT, tracing::Level::INFO);
        layer(settings.log_format, file).with_filter(only)
    });
    Registry::default().with(log).with(own).init();
    Ok(())
}

fn layer<S, W>(format: LogFormat, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // It would report a broken stderr on stderr, and that panics.
    let layer = lines::layer().with_writer(writer).with_ansi(false).log_internal_errors(false);
    match format {
        LogFormat::Text => layer.fmt_fields(escaped()).boxed(),
        LogFormat::Json => layer.json().boxed(),
    }
}

/// Fields as the text format has them, without what would break the line or colour it.
fn escaped() -> impl for<'a> FormatFields<'a> + Send + Sync + 'static {
    let field =
        |writer: &mut format::Writer<'_>, field: &tracing::field::Field, value: &dyn fmt::Debug| {
            if field.name() != "message" {
                write!(writer, "{field}=")?;
            }
            write!(Escaped(writer), "{value:?}")
        };
    format::debug_fn(field).delimited(" ")
}

struct Escaped<'a, 'w>(&'a mut format::Writer<'w>);

impl fmt::Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Two characters are not control characters and end a line for some who show it.
        let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
        let mut rest = text;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| breaks(*c)) {
            let (before, behind) = rest.split_at(at);
            self.0.write_str(before)?;
            write!(self.0, "{}", c.escape_default())?;
            rest = behind.get(c.len_utf8()..).unwrap_or_default();
        }
        self.0.write_str(rest)
    }
}

/// A file to which lines are added. One that cannot be written to is reported once, on stderr.
struct AuditFile {
    file: File,
    failed: AtomicBool,
}

impl AuditFile {
    fn open(path: &Path) -> io::Result<Self> {
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
