//! `leveret ctl top`: queues or connections, the busiest first, again and again.

use std::io::{IsTerminal, Read, stdin, stdout};
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{MissedTickBehavior, interval};
use unicode_width::UnicodeWidthChar;

use super::Ctl;
use super::error::CtlError;
use super::escape::escaped;
use super::node::{alarms, node, overview_of};
use super::output::{count_of, duration, field_path, number_of, rows_of, size, text_of, write};
use super::table::{Cell, aligned, cells};
use super::terminal;
use super::thing::Thing;

#[derive(Args)]
pub struct TopOptions {
    #[arg(value_enum, default_value_t)]
    what: View,
    /// In the order of this column, the largest first [default: publish_rate, received_rate]
    #[arg(long, value_name = "COLUMN")]
    sort: Option<String>,
    /// The smallest first
    #[arg(long)]
    reverse: bool,
    /// Seconds between two looks
    #[arg(short, long, value_name = "SECS", default_value = "2", value_parser = clap::value_parser!(u16).range(1..))]
    interval: u16,
    /// Lines of the list [default: as many as fit, 20 with --once]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=500))]
    rows: Option<u16>,
    /// Look once, and write it as text; so it is, too, where the output is no terminal
    #[arg(long)]
    once: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum View {
    #[default]
    Queues,
    Connections,
}

/// Lines above the list and below it.
const FRAME: u16 = 7;

impl View {
    fn path(self) -> &'static str {
        match self {
            Self::Queues => "queues",
            Self::Connections => "connections",
        }
    }

    fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Queues => &[
                "vhost",
                "name",
                "ready",
                "unacked",
                "messages",
                "consumers",
                "publish_rate",
                "deliver_rate",
                "ack_rate",
            ],
            Self::Connections => {
                &["name", "user", "vhost", "state", "channels", "received_rate", "sent_rate"]
            }
        }
    }

    /// Keys, and the columns that they sort by; the first one does from the start.
    fn orders(self) -> &'static [(u8, &'static str)] {
        match self {
            Self::Queues => &[
                (b'p', "publish_rate"),
                (b'd', "deliver_rate"),
                (b'a', "ack_rate"),
                (b'm', "messages"),
                (b'r', "ready"),
                (b'u', "unacked"),
                (b'c', "consumers"),
                (b'n', "name"),
            ],
            Self::Connections => &[
                (b'i', "received_rate"),
                (b'o', "sent_rate"),
                (b'c', "channels"),
                (b'u', "user"),
                (b'n', "name"),
            ],
        }
    }

    fn first_order(self) -> &'static str {
        self.orders().first().map_or("name", |(_, column)| column)
    }

    fn other(self) -> Self {
        match self {
            Self::Queues => Self::Connections,
            Self::Connections => Self::Queues,
        }
    }
}

/// What is shown, and how.
struct Top<'a> {
    ctl: &'a Ctl,
    view: View,
    sort: String,
    reverse: bool,
    rows: Option<u16>,
}

pub async fn run(ctl: &Ctl, options: TopOptions) -> Result<(), CtlError> {
    let TopOptions { what: view, sort, reverse, interval, rows, once } = options;
    let sort = sort.unwrap_or_else(|| view.first_order().to_owned());
    let mut top = Top { ctl, view, sort, reverse, rows };
    if once || !stdout().is_terminal() {
        write(&top.frame(rows.unwrap_or(20), None).await?);
        return Ok(());
    }
    top.watch(Duration::from_secs(interval.into())).await
}

/// The other screen of a terminal, without a cursor, until this is dropped.
struct Screen(#[expect(dead_code, reason = "it is there to be dropped")] terminal::Changed);

impl Screen {
    fn enter() -> Self {
        let keys = terminal::keys();
        write("\x1b[?1049h\x1b[?25l");
        Self(keys)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        write("\x1b[?25h\x1b[?1049l");
    }
}

impl Top<'_> {
    async fn watch(&mut self, every: Duration) -> Result<(), CtlError> {
        let failed = |error: std::io::Error| CtlError::Io(format!("the terminal: {error}"));
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let _screen = Screen::enter();
        let mut keys = keys();
        // Where the input is no terminal, signals end it.
        let attended = stdin().is_terminal();
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let key = tokio::select! {
                _ = tokio::signal::ctrl_c() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
                key = keys.recv(), if attended => match key {
                    Some(key) => Some(key),
                    None => return Ok(()),
                },
                _ = ticks.tick() => None,
            };
            match key {
                Some(b'q' | b'Q') => return Ok(()),
                Some(key) if !self.press(key) => continue,
                _ => self.draw().await?,
            }
        }
    }

    /// Whether the key means anything.
    fn press(&mut self, key: u8) -> bool {
        let order = self.view.orders().iter().find(|(known, _)| *known == key);
        match (key, order) {
            (b'\t', _) => {
                self.view = self.view.other();
                self.sort = self.view.first_order().to_owned();
                self.reverse = false;
            }
            (b'v', _) => self.reverse = !self.reverse,
            (_, Some((_, column))) => self.sort = (*column).to_owned(),
            _ => return false,
        }
        true
    }

    async fn draw(&self) -> Result<(), CtlError> {
        let (lines, columns) = terminal::window().unwrap_or((24, 80));
        let rows = self.rows.unwrap_or_else(|| lines.saturating_sub(FRAME).max(1));
        let mut keys: Vec<String> = Vec::new();
        for (key, column) in self.view.orders() {
            keys.push(format!("{} {column}", char::from(*key)));
        }
        let keys =
            format!("q quit  TAB {}  v turn round  {}", self.view.other().path(), keys.join("  "));
        let frame = self.frame(rows, Some(&keys)).await?;
        let mut drawn = "\x1b[H".to_owned();
        for line in frame.lines().take(lines.into()) {
            drawn.push_str(&cut(line, columns.into()));
            drawn.push_str("\x1b[K\r\n");
        }
        // Nothing scrolls: the last line has no line behind it.
        let drawn = drawn.strip_suffix("\r\n").unwrap_or(&drawn);
        write(&format!("{drawn}\x1b[J"));
        Ok(())
    }

    /// All lines, in which nothing is that a terminal would obey.
    async fn frame(&self, rows: u16, keys: Option<&str>) -> Result<String, CtlError> {
        let (node, overview) = (node(self.ctl).await?, overview_of(self.ctl).await?);
        let columns = self.view.columns();
        let fields = columns.iter().map(|column| field_path(column)).collect::<Vec<_>>().join(",");
        // The API's own order is from the smallest, names from the first.
        let descends = (self.sort != "name" && self.sort != "user") != self.reverse;
        let rows = rows.to_string();
        let parameters = [
            ("columns", &*fields),
            ("sort", field_path(&self.sort)),
            ("sort_reverse", if descends { "true" } else { "" }),
            ("page", "1"),
            ("page_size", &rows),
        ];
        let mut thing = Thing::at([self.view.path()]).with(&parameters);
        if let Some(vhost) = &self.ctl.vhost {
            thing = thing.in_vhost(vhost);
        }
        let page = self.ctl.client.get(&thing).await?;
        let found = page.get("items").map(rows_of).unwrap_or_default();
        let header = columns.iter().map(|column| Cell::text(&self.marked(column))).collect();
        let mut table = vec![header];
        table.extend(found.iter().map(|row| cells(row, columns, true)));
        let more = count_of(&page, "total_count").saturating_sub(found.len() as u64);
        let mut text = format!("{}\n{}", summary(&node, &overview), aligned(&table));
        if more > 0 {
            text += &format!("… and {more} more\n");
        }
        text.extend(keys.map(|keys| format!("\n{keys}\n")));
        Ok(text)
    }

    /// The column that the order is by has a mark.
    fn marked(&self, column: &str) -> String {
        match (column == self.sort, self.reverse) {
            (false, _) => column.to_owned(),
            (true, false) => format!("{column}▼"),
            (true, true) => format!("{column}▲"),
        }
    }
}

/// The broker in three lines.
fn summary(node: &Value, overview: &Value) -> String {
    let rate = |key: &str| number_of(overview, &format!("message_stats.{key}_details.rate"));
    let total = |key: &str| count_of(overview, &format!("object_totals.{key}"));
    let messages = |key: &str| count_of(overview, &format!("queue_totals.{key}"));
    let on = alarms(node);
    let on = if on.is_empty() { String::new() } else { format!("  ALARM {}", on.join(", ")) };
    let first = format!(
        "{} {}  up {}  memory {} of {}  files {}  connections {}  queues {}{on}",
        text_of(overview, "product_name"),
        text_of(overview, "product_version"),
        duration(count_of(node, "uptime") / 1000),
        size(count_of(node, "mem_used")),
        size(count_of(node, "mem_limit")),
        count_of(node, "fd_used"),
        total("connections"),
        total("queues"),
    );
    let second = format!(
        "messages {}  ready {}  unacked {}  a second: publish {:.0}  deliver {:.0}  ack {:.0}",
        messages("messages"),
        messages("messages_ready"),
        messages("messages_unacknowledged"),
        rate("publish").abs(),
        rate("deliver_get").abs(),
        rate("ack").abs(),
    );
    format!("{}\n{second}\n", escaped(&first))
}

/// What fits into so many columns.
fn cut(line: &str, columns: usize) -> String {
    let mut left = columns;
    let fits = |c: &char| {
        let width = c.width().unwrap_or_default();
        let fits = width <= left;
        left = if fits { left - width } else { 0 };
        fits
    };
    line.chars().take_while(fits).collect()
}

/// Keys as they are pressed, read by a thread that ends with the process. `None` follows when the terminal is
/// gone.
fn keys() -> UnboundedReceiver<u8> {
    let (send, keys) = unbounded_channel();
    std::thread::spawn(move || {
        for key in stdin().lock().bytes() {
            let Ok(key) = key else { return };
            if send.send(key).is_err() {
                return;
            }
        }
    });
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_by_what_is_seen() {
        assert_eq!(
            [cut("abc", 2), cut("abc", 3), cut("日本", 3), cut("a日b", 2)],
            ["ab", "abc", "日", "a"]
        );
    }
}
