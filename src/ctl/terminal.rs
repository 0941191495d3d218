//! Asks the person at the terminal.

use std::io::{BufRead, IsTerminal, Read, Write, stderr, stdin, stdout};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
};

use super::error::CtlError;
use super::escape::escaped;

/// Whether somebody is there to be asked.
pub fn is_attended() -> bool {
    stdin().is_terminal()
}

/// Whether the answer to a question begins with y.
pub fn agrees(question: &str) -> bool {
    // Who cannot read it will not answer it either.
    let _ = write!(stderr(), "{} [y/N] ", escaped(question));
    let mut answer = String::new();
    let _ = stdin().lock().read_line(&mut answer);
    answer.trim_start().starts_with(['y', 'Y'])
}

/// The first line of the input, which is not shown where it is typed.
pub fn password(prompt: &str) -> Result<String, CtlError> {
    // Before it is asked for: some type fast.
    let _hidden =
        is_attended().then(|| Changed::new(|modes| modes.local_modes.remove(LocalModes::ECHO)));
    if is_attended() {
        let _ = write!(stderr(), "{prompt}: ");
    }
    let mut line = String::new();
    let read = stdin().lock().read_line(&mut line);
    if is_attended() {
        let _ = writeln!(stderr());
    }
    read.map_err(|error| CtlError::Io(format!("cannot read the password: {error}")))?;
    let password = line.trim_end_matches(['\n', '\r']);
    match password.is_empty() {
        true => Err(CtlError::Usage(
            "there is no password, neither as argument nor as input".to_owned(),
        )),
        false => Ok(password.to_owned()),
    }
}

/// All of the input, or of a file.
pub fn contents(file: &str) -> Result<Vec<u8>, CtlError> {
    let mut bytes = Vec::new();
    let read = match file {
        "-" => stdin().lock().read_to_end(&mut bytes).map(drop),
        file => std::fs::read(file).map(|read| bytes = read),
    };
    match read {
        Ok(()) => Ok(bytes),
        Err(error) => Err(CtlError::Io(format!("cannot read {file}: {error}"))),
    }
}

/// Lines and columns of the terminal that is written to.
pub fn window() -> Option<(u16, u16)> {
    let window = tcgetwinsize(stdout()).ok()?;
    (window.ws_row > 0 && window.ws_col > 0).then_some((window.ws_row, window.ws_col))
}

/// A terminal that gives single keys, and does not show them, until this is dropped.
pub fn keys() -> Changed {
    Changed::new(|modes| {
        modes.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON);
        // A read comes back with each key.
        modes.special_codes[SpecialCodeIndex::VMIN] = 1;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
    })
}

/// A terminal in another mode than before.
pub struct Changed(Option<Termios>);

impl Changed {
    fn new(change: impl FnOnce(&mut Termios)) -> Self {
        let Ok(before) = tcgetattr(stdin()) else { return Self(None) };
        let mut modes = before.clone();
        change(&mut modes);
        let _ = tcsetattr(stdin(), OptionalActions::Now, &modes);
        Self(Some(before))
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(stdin(), OptionalActions::Now, before);
        }
    }
}
