//! One event, one line.

use std::fmt::{self, Write};
use std::os::fd::AsFd;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::journal;
use super::moment::Moment;
use crate::config::LogFormat;

pub(super) struct Line {
    pub(super) format: LogFormat,
    journal: bool,
}

impl Line {
    pub(super) fn to_console(format: LogFormat, stream: &impl AsFd) -> Self {
        Self { format, journal: journal::is_at(stream) }
    }

    pub(super) fn to_file(format: LogFormat) -> Self {
        Self { format, journal: false }
    }
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let (now, level) = (Moment::now(), name(*metadata.level()));
        if self.journal {
            writer.write_str(journal::priority(*metadata.level()))?;
        }
        match self.format {
            LogFormat::Text => {
                let mut text = Text::default();
                event.record(&mut text);
                let Text { message, fields } = text;
                write!(writer, "{now} [{level}] <{}> ", metadata.target())?;
                for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
                    let extensions = span.extensions();
                    let about = extensions.get::<FormattedFields<N>>();
                    let about = about.map_or("", |about| about.fields.as_str());
                    write!(writer, "{}{{{about}}}: ", span.name())?;
                }
                writeln!(writer, "{message}{fields}")
            }
            LogFormat::Json => {
                let mut object = Object::default();
                event.record(&mut object);
                let mut fields = object.0;
                fields.insert("time".to_owned(), now.to_string().into());
                fields.insert("level".to_owned(), level.into());
                fields.insert("target".to_owned(), metadata.target().into());
                if let Some(span) = context.lookup_current() {
                    let extensions = span.extensions();
                    let about = extensions.get::<FormattedFields<N>>();
                    let about = about.and_then(|about| serde_json::from_str(&about.fields).ok());
                    fields.insert("span".to_owned(), about.unwrap_or_default());
                }
                fields.insert("pid".to_owned(), std::process::id().into());
                writeln!(writer, "{}", Value::Object(fields))
            }
        }
    }
}

/// As RabbitMQ calls them.
fn name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// The message, and ` key=value` for everything else. Neither can begin a line of its own.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // A string takes whatever is written to it.
        let _ = match field.name() {
            "message" => write!(OneLine(&mut self.message), "{value:?}"),
            name => write!(OneLine(&mut self.fields), " {name}={value:?}"),
        };
    }
}

/// The fields of a span, as those of a line.
pub(super) fn escaped() -> impl for<'a> FormatFields<'a> + Send + Sync + 'static {
    let field = |writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug| {
        let mut text = String::new();
        write!(OneLine(&mut text), "{}={value:?}", field.name())?;
        writer.write_str(&text)
    };
    tracing_subscriber::fmt::format::debug_fn(field).delimited(" ")
}

/// What clients send gets into messages, and must not look like other messages.
struct OneLine<'a>(&'a mut String);

impl Write for OneLine<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for letter in text.chars() {
            match letter {
                // The last two are not control characters and end a line for some who show it.
                letter if letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}') => {
                    self.0.extend(letter.escape_default())
                }
                letter => self.0.push(letter),
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Object(Map<String, Value>);

impl Object {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        let name = match field.name() {
            "message" => "msg",
            name => name,
        };
        self.0.insert(name.to_owned(), value.into());
    }
}

impl Visit for Object {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing::level_filters::LevelFilter;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, event: impl FnOnce()) -> String {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let layer = super::super::layer(Line::to_file(format), move || writer.clone());
        let layer = tracing_subscriber::Layer::with_filter(layer, LevelFilter::INFO);
        tracing::subscriber::with_default(
            tracing_subscriber::Registry::default().with(layer),
            event,
        );
        let bytes = buffer.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn text_is_rabbitmqs_line() {
        let line = logged(LogFormat::Text, || {
            tracing::error!(queue = "a\nb", depth = 3, "no room\nfor {}", "more");
            tracing::debug!("not at this level");
        });
        let (time, rest) = line.split_once(" [").unwrap();
        let room = "error] <leveret::log::line::tests>";
        assert_eq!(rest, format!("{room} no room\\nfor more queue=\"a\\nb\" depth=3\n"));
        assert!(time.ends_with("+00:00") && time.len() == "2026-11-23 00:01:41.056638+00:00".len());
    }

    #[test]
    fn json_is_an_object_a_line() {
        let line = logged(LogFormat::Json, || tracing::warn!(depth = 3, why = "a\nb", "no room"));
        assert_eq!(line.lines().count(), 1);
        let object: Value = serde_json::from_str(&line).unwrap();
        for (key, expected) in [
            ("level", Value::from("warning")),
            ("msg", "no room".into()),
            ("depth", 3.into()),
            ("why", "a\nb".into()),
            ("target", "leveret::log::line::tests".into()),
            ("pid", std::process::id().into()),
        ] {
            assert_eq!(object[key], expected, "{key}");
        }
        assert!(object["time"].as_str().unwrap().ends_with("+00:00"));
    }
}
