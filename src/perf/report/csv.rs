//! A line for each second, for spreadsheets.

use std::fmt::Write;

use super::{Report, Second, Spread};

const COLUMNS: &str = "at,seconds,sent,received,confirmed,returned,nacked,rejected,redelivered,\
empty_gets,sent_bytes,received_bytes,latency_p50_us,latency_p95_us,latency_p99_us,latency_max_us,\
confirm_p50_us,confirm_p95_us,confirm_p99_us,confirm_max_us\n";

/// Counts are those of the second, not rates; where nothing was timed the field is empty.
pub fn csv(report: &Report) -> String {
    let mut out = COLUMNS.to_owned();
    for Second { at, seconds, counts, latency, confirm_latency } in &report.series {
        let _ = write!(out, "{at:.3},{seconds:.3}");
        for count in [
            counts.sent,
            counts.received,
            counts.confirmed,
            counts.returned,
            counts.nacked,
            counts.rejected,
            counts.redelivered,
            counts.empty_gets,
            counts.sent_bytes,
            counts.received_bytes,
        ] {
            let _ = write!(out, ",{count}");
        }
        for spread in [latency, confirm_latency] {
            match spread {
                Some(Spread { p50_us, p95_us, p99_us, max_us }) => {
                    let _ = write!(out, ",{p50_us},{p95_us},{p99_us},{max_us}");
                }
                None => out.push_str(",,,,"),
            }
        }
        out.push('\n');
    }
    out
}
