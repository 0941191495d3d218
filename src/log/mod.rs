//! The log: what the other rooms tell, as lines for the console and for a file.
//!
//! ```text
//! 2026-11-23 00:01:41.056638+00:00 [info] <leveret::session> text key=value
//! ```
//!
//! The line is RabbitMQ's, with the room that tells it where RabbitMQ has an Erlang process, so that
//! what greps for ` [error] ` finds it. A file is exchanged for a new one by size and time
//! ([`file`]), and opened again when something else has moved it.
//!
//! What is told of who did what is the audit log: a part of this one, or a file of its own, or nothing.
//!
//! Invariant: a log that cannot be written stops nobody.

mod audit;
mod file;
mod journal;
mod line;
mod moment;

use std::io;
use std::sync::Arc;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use self::audit::AuditFile;
use self::file::LogFile;
use self::line::Line;
use crate::config::{LogConsole, LogFormat, LogLevel, Settings};
use crate::names::AUDIT;

/// The running log. Dropping it changes nothing.
pub struct Log {
    filter: reload::Handle<EnvFilter, Registry>,
    file: Option<Arc<LogFile>>,
    /// How much of the audit log is in here.
    audit: &'static str,
}

impl Log {
    /// Everything that is told from now on is logged. Fails if a file cannot be opened, or if there is
    /// a log already.
    pub fn start(settings: &Settings) -> io::Result<Self> {
        let audit_file = settings.audit_log_file.as_deref().map(AuditFile::open).transpose()?;
        let audit = if settings.audit_log && audit_file.is_none() { "info" } else { "off" };
        let file = settings.log_file.as_ref().map(|path| {
            let limits = file::Limits {
                size_max: settings.log_file_size_max,
                rotation: settings.log_file_rotation,
                kept: settings.log_files_kept,
            };
            LogFile::open(path, limits).map(Arc::new)
        });
        let file = file.transpose()?;
        let mut layers = Vec::new();
        let level = level(settings.log_console_level);
        match settings.log_console {
            LogConsole::Stderr => {
                let line = Line::to_console(settings.log_format, &io::stderr());
                layers.push(layer(line, io::stderr).with_filter(level).boxed());
            }
            LogConsole::Stdout => {
                let line = Line::to_console(settings.log_format, &io::stdout());
                layers.push(layer(line, io::stdout).with_filter(level).boxed());
            }
            LogConsole::None => {}
        }
        if let Some(file) = &file {
            let writer = Arc::clone(file);
            let layer = layer(Line::to_file(settings.log_file_format), move || writer.writer());
            layers.push(layer.with_filter(self::level(settings.log_file_level)).boxed());
        }
        let (filter, handle) = reload::Layer::new(filter(&settings.log_level, audit));
        let own = audit_file.map(|file| {
            let only = Targets::new().with_target(AUDIT, tracing::Level::INFO);
            layer(Line::to_file(settings.log_format), file).with_filter(only)
        });
        Registry::default()
            .with(layers.with_filter(filter))
            .with(own)
            .try_init()
            .map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Self { filter: handle, file, audit })
    }

    /// Changes how much is logged. The text has been checked by the settings.
    pub fn set_level(&self, level: &str) {
        // It fails only when there is no log any more.
        let _ = self.filter.reload(filter(level, self.audit));
    }

    /// Opens the file of that name again, after something has moved the one that was there.
    pub fn reopen(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), |file| file.reopen())
    }
}

/// The line on stderr of a program that ends with this error.
pub fn failure(error: &dyn std::error::Error) -> String {
    let priority = match journal::is_at(&io::stderr()) {
        true => journal::priority(tracing::Level::ERROR),
        false => "",
    };
    format!("{priority}leveret: {error}")
}

/// The more exact of two directives counts.
fn filter(level: &str, audit: &str) -> EnvFilter {
    EnvFilter::new(format!("{level},{AUDIT}={audit}"))
}

fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

fn layer<S, W>(line: Line, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let format = line.format;
    let layer = tracing_subscriber::fmt::layer()
        .event_format(line)
        .with_ansi(false)
        // It would report a broken stderr on stderr, and that panics.
        .log_internal_errors(false)
        .with_writer(writer);
    match format {
        LogFormat::Text => layer.fmt_fields(line::escaped()).boxed(),
        LogFormat::Json => layer.fmt_fields(JsonFields::new()).boxed(),
    }
}
