//! One page for one run or several: self-contained, without scripts and without requests to anywhere.

use std::fmt::Write;

use super::plot::{Axis, Line, Scale, plot};
use super::text::{grouped, micros, percentiles};
use super::{Ended, Latency, Report, Second};

/// As many as the style sheet has.
const COLOURS: usize = 8;

/// Colours that can be told apart by most, in both lights.
const STYLE: &str = "
:root { color-scheme: light dark; --text: #1d2433; --back: #ffffff; --soft: #5d6675; --grid: #e3e6eb;
  --c0: #2563c9; --c1: #d1690e; --c2: #12826b; --c3: #b5307f; --c4: #7a5195; --c5: #8a7400; --c6: #4b6472; --c7: #c23b3b; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e8ef; --back: #14181f; --soft: #98a2b3; --grid: #2b323d;
  --c0: #6ea8ff; --c1: #ff9f4a; --c2: #43c6a8; --c3: #f07cbb; --c4: #b79bd9; --c5: #d3bd45; --c6: #93b3c4; --c7: #ff8080; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); max-width: 920px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; margin-bottom: 0; } h2 { font-size: 1.15em; margin: 2em 0 .4em; }
p, figcaption { color: var(--soft); } figcaption { font-weight: 600; color: var(--text); }
figure { margin: 1.6em 0; } svg { width: 100%; height: auto; } code { font-size: .9em; overflow-wrap: anywhere; }
.table { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3em .7em; border-bottom: 1px solid var(--grid); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: normal; }
svg text { fill: var(--soft); font-size: 12px; } svg .y { text-anchor: end; } svg .x, svg .name { text-anchor: middle; }
.grid { stroke: var(--grid); stroke-width: 1; } polyline { fill: none; stroke-width: 2; stroke-linejoin: round; }
polyline.dashed { stroke-dasharray: 5 4; } circle { stroke: none; }
.legend { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: .2em 1.4em; }
.legend i { display: inline-block; width: 1.6em; margin-right: .5em; vertical-align: middle; border-top: 3px solid; }
.legend .dashed i { border-top-style: dashed; }
";

const THROUGHPUT: Axis = Axis { scale: Scale::Linear, name: "messages a second", show: short };
const TIME: Axis = Axis { scale: Scale::Linear, name: "seconds", show: grouped };
const LATENCY: Axis = Axis { scale: Scale::Logarithmic, name: "latency", show: micros };
const PERCENTILE: Axis = Axis { scale: Scale::Percentile, name: "percentile", show: percentile };

/// The page. With several runs each line is a run; with one, each is something that was counted.
pub fn page(reports: &[Report]) -> String {
    let title = match reports {
        [one] => one.name.clone(),
        several => format!("{} runs side by side", several.len()),
    };
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>{0}</title><style>{STYLE}{1}</style></head><body>\n<h1>{0}</h1>\n",
        escape(&title),
        colours()
    );
    if let [one] = reports {
        let _ = writeln!(out, "<p>{}</p>", about(one));
    }
    out.push_str(&rates(reports));
    out.push_str(&latencies(reports));
    out.push_str(&plots(reports));
    out.push_str("<h2>How it was measured</h2>\n");
    for report in reports {
        let command = escape(&report.command.join(" "));
        let name = if reports.len() > 1 {
            format!("<b>{}</b>: ", escape(&report.name))
        } else {
            String::new()
        };
        let about = if reports.len() > 1 { about(report) } else { String::new() };
        let _ = writeln!(out, "<p>{name}{about} <code>{command}</code></p>");
    }
    let _ = writeln!(
        out,
        "<p>Latency counts from when a message was due until a consumer had it; of confirms, until the \
         broker had confirmed it.</p>\n</body></html>"
    );
    out
}

fn colours() -> String {
    let of = |n| {
        format!(
            "polyline.c{n} {{ stroke: var(--c{n}) }} circle.c{n} {{ fill: var(--c{n}) }} .legend .c{n} i {{ border-color: var(--c{n}) }}\n"
        )
    };
    (0..COLOURS).map(of).collect()
}

fn about(report: &Report) -> String {
    let ended = match (&report.ended, &report.error) {
        (_, Some(error)) => format!(" It failed: {}.", escape(error)),
        (Ended::Interrupted, None) => " It was interrupted.".to_owned(),
        _ => String::new(),
    };
    format!(
        "{:.1} s with {} at {}; {} producers, {} consumers, {} queues.{ended}",
        report.seconds,
        escape(&report.broker),
        escape(&report.uris.join(", ")),
        report.producers,
        report.consumers,
        report.queues
    )
}

fn rates(reports: &[Report]) -> String {
    let mut out = table(&[
        "messages a second",
        "sent",
        "received",
        "confirmed",
        "returned",
        "nacked",
        "MB/s in",
        "MB/s out",
    ]);
    for report in reports {
        let rates = &report.rates;
        let mut cells = vec![escape(&report.name)];
        let rate = |rate: f64| if rate > 0.0 { grouped(rate) } else { "–".to_owned() };
        cells.extend(
            [rates.sent, rates.received, rates.confirmed, rates.returned, rates.nacked].map(rate),
        );
        cells.extend(
            [rates.sent_bytes, rates.received_bytes].map(|bytes| format!("{:.1}", bytes / 1e6)),
        );
        row(&mut out, &cells);
    }
    out + "</tbody></table></div>\n"
}

fn latencies(reports: &[Report]) -> String {
    let mut rows = String::new();
    for report in reports {
        for (what, latency) in [("", &report.latency), (", confirms", &report.confirm_latency)] {
            if let Some(latency) = latency {
                let mut cells = vec![escape(&report.name) + what];
                cells.extend(percentiles(latency).map(micros));
                row(&mut rows, &cells);
            }
        }
    }
    if rows.is_empty() {
        return rows;
    }
    table(&["latency", "p50", "p75", "p95", "p99", "p99.9", "max"])
        + &rows
        + "</tbody></table></div>\n"
}

fn table(heads: &[&str]) -> String {
    let heads: String = heads.iter().map(|head| format!("<th>{head}</th>")).collect();
    format!("<div class=\"table\"><table><thead><tr>{heads}</tr></thead><tbody>\n")
}

/// The cells are HTML.
fn row(out: &mut String, cells: &[String]) {
    out.push_str("<tr>");
    cells.iter().for_each(|cell| {
        let _ = write!(out, "<td>{cell}</td>");
    });
    out.push_str("</tr>\n");
}

fn plots(reports: &[Report]) -> String {
    let over_time = |value: fn(&Second) -> Option<f64>| {
        move |report: &Report| -> Vec<(f64, f64)> {
            report.series.iter().filter_map(|second| Some((second.at, value(second)?))).collect()
        }
    };
    let received = over_time(|second| Some(second.rate(second.counts.received)));
    let sent = over_time(|second| Some(second.rate(second.counts.sent)));
    let confirmed = over_time(|second| Some(second.rate(second.counts.confirmed)));
    let p50 = over_time(|second| Some(second.latency?.p50_us));
    let p99 = over_time(|second| Some(second.latency?.p99_us));
    let confirms_p50 = over_time(|second| Some(second.confirm_latency?.p50_us));
    let confirms_p99 = over_time(|second| Some(second.confirm_latency?.p99_us));

    let several = reports.len() > 1;
    let (mut throughput, mut latency, mut spread) = (Vec::new(), Vec::new(), Vec::new());
    for (index, report) in reports.iter().enumerate() {
        let name =
            |what: &str| if several { format!("{}, {what}", report.name) } else { what.to_owned() };
        let colour = |own: usize| if several { index % COLOURS } else { own };
        let line = |lines: &mut Vec<Line>, what: &str, own, dashed, points: Vec<(f64, f64)>| {
            lines.push(Line { name: name(what), points, colour: colour(own), dashed });
        };
        let counts = &report.counts;
        if counts.sent > 0 {
            line(&mut throughput, "sent", 0, several, sent(report));
        }
        if counts.received > 0 {
            line(&mut throughput, "received", 1, false, received(report));
        }
        if counts.confirmed > 0 && !several {
            line(&mut throughput, "confirmed", 2, false, confirmed(report));
        }
        line(&mut latency, "p50", 0, several, p50(report));
        line(&mut latency, "p99", 1, false, p99(report));
        if !several || report.latency.is_none() {
            line(&mut latency, "confirms p50", 2, several, confirms_p50(report));
            line(&mut latency, "confirms p99", 3, false, confirms_p99(report));
        }
        let distribution = |latency: &Option<Latency>| {
            latency.as_ref().map_or_else(Vec::new, |latency| latency.distribution.clone())
        };
        line(&mut spread, "latency", 0, false, distribution(&report.latency));
        line(&mut spread, "confirms", 2, several, distribution(&report.confirm_latency));
    }
    plot("Throughput over time", &TIME, &THROUGHPUT, &throughput)
        + &plot("Latency over time", &TIME, &LATENCY, &latency)
        + &plot("Distribution of latency", &PERCENTILE, &LATENCY, &spread)
}

/// A rate on an axis.
fn short(rate: f64) -> String {
    match rate {
        rate if rate >= 1e6 => format!("{} M", trimmed(rate / 1e6)),
        rate if rate >= 1e3 => format!("{} k", trimmed(rate / 1e3)),
        rate => trimmed(rate),
    }
}

fn percentile(value: f64) -> String {
    if value >= 100.0 { "max".to_owned() } else { trimmed_to(value, 4) + " %" }
}

fn trimmed(number: f64) -> String {
    trimmed_to(number, 1)
}

fn trimmed_to(number: f64, digits: usize) -> String {
    let text = format!("{number:.digits$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Text that means itself in HTML, between tags and in attributes.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            letter => out.push(letter),
        }
    }
    out
}
