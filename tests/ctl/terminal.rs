//! With somebody at a terminal: questions, hidden passwords, and the keys of `top`.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::broker::Broker;
use crate::server::PATIENCE;

/// The binary, and the terminal that it believes to be at.
struct Terminal {
    child: Child,
    keyboard: File,
    shown: Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    fn start(broker: &Broker, words: &str) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let end = || Stdio::from(File::options().read(true).write(true).open(&name).unwrap());
        let mut command = broker.command();
        command.args(words.split_whitespace()).stdin(end()).stdout(end()).stderr(end());
        let child = command.spawn().unwrap();
        // Its ends of the terminal are its own from now on.
        drop(command);
        let mut screen = File::from(master);
        let keyboard = screen.try_clone().unwrap();
        let (send, shown) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // It ends with an error when nobody has the other end any more.
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                if send.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keyboard, shown, seen: String::new() }
    }

    /// Waits until this was shown, and gives all that was by then; it is not looked at again.
    #[track_caller]
    fn until(&mut self, text: &str) -> String {
        while !self.seen.contains(text) {
            match self.shown.recv_timeout(PATIENCE) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("never {text:?}: {:?}", self.seen)
                }
            }
        }
        std::mem::take(&mut self.seen)
    }

    fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Its exit code, and what else it showed.
    fn ends(mut self) -> (i32, String) {
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        while let Ok(bytes) = self.shown.recv_timeout(PATIENCE) {
            self.seen.push_str(&String::from_utf8_lossy(&bytes));
        }
        (code, std::mem::take(&mut self.seen))
    }
}

#[test]
fn what_destroys_is_asked_for() {
    let broker = Broker::start();
    broker.ctl("queues declare q").ok();
    for (answer, code) in [("n\n", 1), ("\n", 1), ("y\n", 0)] {
        let mut terminal = Terminal::start(&broker, "queues delete q");
        terminal.until("delete queue 'q' in vhost '/' and its messages? [y/N] ");
        assert!(broker.server.queue("q").is_some());
        terminal.types(answer);
        let (ended, shown) = terminal.ends();
        assert_eq!(ended, code, "{shown}");
        assert_eq!(broker.server.queue("q").is_some(), code == 1, "{shown}");
        assert_eq!(shown.contains("nothing was done"), code == 1, "{shown}");
    }
    broker.ctl("queues declare q").ok();
    let (code, shown) = Terminal::start(&broker, "queues delete q --yes").ends();
    assert!(code == 0 && !shown.contains('?'), "{shown}");
    // Who only makes something is not asked.
    assert_eq!(Terminal::start(&broker, "queues declare q").ends().0, 0);
}

#[test]
fn passwords_are_not_shown() {
    let broker = Broker::start();
    let mut terminal = Terminal::start(&broker, "users add carol");
    terminal.until("Password: ");
    terminal.types("s3cret\n");
    let (code, shown) = terminal.ends();
    assert!(code == 0 && !shown.contains("s3cret"), "{shown}");
    assert_eq!(broker.ctl("users authenticate carol s3cret").code, 0);
}

#[test]
fn top_obeys_keys_and_leaves_the_terminal_as_it_was() {
    let broker = Broker::start();
    broker.ctl("queues declare one").ok();
    let mut terminal = Terminal::start(&broker, "top --interval 1");
    // The last line of a frame.
    let first = terminal.until("q quit");
    for text in ["\x1b[?1049h\x1b[?25l", "publish_rate▼", "one"] {
        assert!(first.contains(text), "no {text:?}: {first:?}");
    }
    terminal.types("m");
    terminal.until("messages▼");
    terminal.types("v");
    terminal.until("messages▲");
    terminal.types("\t");
    terminal.until("received_rate▼");
    // It looks again by itself.
    terminal.until("received_rate▼");
    terminal.types("xq");
    let (code, shown) = terminal.ends();
    assert!(code == 0 && shown.ends_with("\x1b[?25h\x1b[?1049l"), "{code} {shown:?}");
}
