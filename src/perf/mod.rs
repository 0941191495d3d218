//! `leveret perf`: a load generator for any AMQP 0-9-1 broker.
//!
//! ```text
//! flags → plan → connections (login → channels → producers and consumers) → samples → series → report
//! ```
//!
//! It is a client of its own, over nothing but the codec: messages are copied from prepared pieces into
//! one buffer per connection, written together, and read in one buffer, so that it takes a fast broker
//! to keep it busy. Reading order: `options` and `plan` (what is asked for), `run` (who does what when),
//! `workers` and `connection` (the tasks and their sockets), `client`, `producer` and `consumer` (what
//! happens on a connection), `sample` and `series` (what is measured), `report` (how it is shown).
//!
//! Times are honest: with a rate, a message's latency counts from when it was due, however late it was
//! sent (`pace`).
//!
//! Invariant: nothing of the broker is imported but `protocol`; `login`, `client`, `producer`,
//! `consumer`, `window` and `pace` have no socket and no clock.

mod client;
mod clock;
mod connection;
mod consumer;
mod content;
mod error;
mod login;
mod options;
mod pace;
mod plan;
mod producer;
mod report;
mod run;
mod sample;
mod series;
mod socket;
mod topology;
mod uri;
mod window;
mod workers;

use std::ffi::OsString;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use self::error::PerfError;
use self::options::{Command, CommandLine};
use self::plan::Plan;
use self::report::{Report, csv, page, progress_line, totals, write};
use self::run::run;

/// Runs the sub-command. `args` begins with the program's name and `perf`. Exit codes: 0, also after
/// Ctrl-C; 1 when something failed, with one line on stderr; 2 for flags that make no sense.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    // One word for clap: "leveret perf".
    let args: Vec<OsString> = args.skip(1).collect();
    let CommandLine { command, options } = match CommandLine::try_parse_from(&args) {
        Ok(command_line) => command_line,
        Err(error) => {
            // Help is written to stdout; when nobody listens nothing is said.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    if let Some(Command::Report { files, output }) = command {
        return finish(compare(&files, &output));
    }
    let wants_progress = options.progress || stderr().is_terminal();
    let (json, csv_file, html) = (options.json.clone(), options.csv.clone(), options.html.clone());
    let plan = match Plan::new(options) {
        Ok(plan) => plan,
        Err(problem) => {
            say(stderr(), &format!("leveret perf: {problem}"));
            return ExitCode::from(2);
        }
    };
    let ran = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(PerfError::Runtime)
        .and_then(|runtime| {
            let progress = |second: &_| {
                if wants_progress {
                    say(stderr(), &progress_line(second));
                }
            };
            runtime.block_on(run(plan, public(&args), run::ctrl_c(), progress))
        });
    let ran = match ran {
        Ok(ran) => ran,
        Err(error) => return finish(Err(error)),
    };
    let report =
        Report { tool: format!("leveret perf {}", env!("CARGO_PKG_VERSION")), ..ran.report };
    say(stdout(), totals(&report).trim_end());
    let written = [
        json.map(|path| write(&path, &report.json())),
        csv_file.map(|path| write(&path, &csv(&report))),
        html.map(|path| write(&path, &page(std::slice::from_ref(&report)))),
    ];
    let written = written.into_iter().flatten().collect::<Result<(), _>>();
    finish(ran.error.map_or(written, Err))
}

fn compare(files: &[PathBuf], output: &std::path::Path) -> Result<(), PerfError> {
    let reports = files.iter().map(|file| {
        let mut report = Report::read(file)?;
        // Runs that were not given names are told apart by their files.
        if files.len() > 1
            && let Some(stem) = file.file_stem()
        {
            report.name = stem.to_string_lossy().into_owned();
        }
        Ok(report)
    });
    let reports = reports.collect::<Result<Vec<_>, PerfError>>()?;
    write(output, &page(&reports))
}

fn finish(result: Result<(), PerfError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(stderr(), &format!("leveret perf: {}", login::one_line(&error.to_string())));
            ExitCode::FAILURE
        }
    }
}

/// The command as it may be written to files: without what stands before the @ of a URI.
fn public(args: &[OsString]) -> Vec<String> {
    let shown = |arg: &OsString| {
        let arg = arg.to_string_lossy();
        match (arg.find("://"), arg.rfind('@')) {
            (Some(scheme), Some(at)) if scheme < at => {
                let (before, after) = (arg.get(..scheme + 3), arg.get(at..));
                format!("{}…{}", before.unwrap_or_default(), after.unwrap_or_default())
            }
            _ => arg.into_owned(),
        }
    };
    ["leveret".to_owned()].into_iter().chain(args.iter().map(shown)).collect()
}

/// Where nobody listens any more, nothing is said; that is no reason to stop.
fn say(mut out: impl Write, line: &str) {
    let _ = writeln!(out, "{line}");
}
