//! Completions of the whole program for shells.

use clap::Command;
use clap_complete::{Shell, generate};

use super::output::write;
use crate::config;

/// `ctl`: the commands that this room has.
pub fn write_for(shell: Shell, ctl: Command) {
    let ctl = ctl.name("ctl").bin_name("leveret ctl");
    let mut whole = config::command_line().mut_subcommand("ctl", |_| ctl);
    let mut script = Vec::new();
    generate(shell, &mut whole, "leveret", &mut script);
    write(&String::from_utf8_lossy(&script));
}
