//! Results for people at a terminal.

use std::fmt::Write;

use super::{Ended, Latency, Report, Second};

/// One second in one line.
pub fn progress_line(second: &Second) -> String {
    let counts = &second.counts;
    let mut line = format!("{:>6.0} s", second.at);
    for (what, count, always) in [
        ("sent", counts.sent, true),
        ("received", counts.received, true),
        ("confirmed", counts.confirmed, false),
        ("returned", counts.returned, false),
        ("nacked", counts.nacked, false),
        ("rejected", counts.rejected, false),
    ] {
        if always || count > 0 {
            // Writing to a String cannot fail.
            let _ = write!(line, "  {what} {}/s", grouped(second.rate(count)));
        }
    }
    for (what, spread) in [("latency", second.latency), ("confirms", second.confirm_latency)] {
        if let Some(spread) = spread {
            let (p50, p99) = (micros(spread.p50_us), micros(spread.p99_us));
            let _ = write!(line, "  {what} p50 {p50} p99 {p99}");
        }
    }
    if counts.blocked > 0 {
        line.push_str("  publishers are blocked");
    }
    line
}

/// What a run comes to.
pub fn totals(report: &Report) -> String {
    let mut out = String::new();
    let how = match report.ended {
        Ended::Interrupted => ", interrupted",
        Ended::Failed => ", failed",
        Ended::Duration | Ended::Count => "",
    };
    let _ = writeln!(
        out,
        "{}: {:.1} s{how} with {} at {}",
        report.name,
        report.seconds,
        report.broker,
        report.uris.join(", ")
    );
    let plural =
        |count: u64, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    let _ = writeln!(
        out,
        "{}, {}, {}\n",
        plural(report.producers, "producer"),
        plural(report.consumers, "consumer"),
        plural(report.queues, "queue")
    );
    let _ = writeln!(out, "{:<12}{:>16}{:>16}{:>12}", "", "messages", "a second", "MB/s");
    let (counts, rates) = (&report.counts, &report.rates);
    for (what, count, rate, bytes, always) in [
        ("sent", counts.sent, rates.sent, Some(rates.sent_bytes), report.producers > 0),
        (
            "received",
            counts.received,
            rates.received,
            Some(rates.received_bytes),
            report.consumers > 0,
        ),
        ("confirmed", counts.confirmed, rates.confirmed, None, false),
        ("returned", counts.returned, rates.returned, None, false),
        ("nacked", counts.nacked, rates.nacked, None, false),
        ("rejected", counts.rejected, rates.rejected, None, false),
        (
            "redelivered",
            counts.redelivered,
            counts.redelivered as f64 / report.seconds.max(1e-3),
            None,
            false,
        ),
    ] {
        if always || count > 0 {
            let bytes = bytes.map_or_else(String::new, |bytes| format!("{:.1}", bytes / 1e6));
            let (count, rate) = (grouped(count as f64), grouped(rate));
            let line = format!("{what:<12}{count:>16}{rate:>16}{bytes:>12}");
            let _ = writeln!(out, "{}", line.trim_end());
        }
    }
    if report.latency.is_some() || report.confirm_latency.is_some() {
        let _ = write!(out, "\n{:<12}", "");
        for what in ["p50", "p75", "p95", "p99", "p99.9", "max"] {
            let _ = write!(out, "{what:>12}");
        }
        out.push('\n');
    }
    for (what, latency) in [("latency", &report.latency), ("confirms", &report.confirm_latency)] {
        if let Some(latency) = latency {
            let _ = write!(out, "{what:<12}");
            percentiles(latency).iter().for_each(|us| {
                let _ = write!(out, "{:>12}", micros(*us));
            });
            out.push('\n');
        }
    }
    if counts.blocked > 0 {
        let _ = writeln!(out, "\nThe broker blocked publishers {} times.", counts.blocked);
    }
    out
}

pub fn percentiles(latency: &Latency) -> [f64; 6] {
    let Latency { p50_us, p75_us, p95_us, p99_us, p999_us, max_us, .. } = *latency;
    [p50_us, p75_us, p95_us, p99_us, p999_us, max_us]
}

/// A duration in the unit that suits it, to three digits.
pub fn micros(us: f64) -> String {
    let (value, unit) = match us {
        us if us < 1000.0 => (us, "µs"),
        us if us < 1e6 => (us / 1000.0, "ms"),
        us => (us / 1e6, "s"),
    };
    let digits = match value {
        value if value < 10.0 => 2,
        value if value < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {unit}")
}

/// A number with a comma for every thousand; small ones with a digit behind the point.
pub fn grouped(number: f64) -> String {
    if number < 10.0 && number.fract() != 0.0 {
        return format!("{number:.1}");
    }
    let digits = format!("{number:.0}");
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
