//! A web server that gives out the keys of tokens, as far as it is told to.

// Every test file is a crate of its own and uses a part of this; whatever fails here fails a test.
#![allow(dead_code, clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

/// Answers every request with the same bytes, until they are changed.
pub struct KeyServer {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// What is answered to which path.
    answers: Vec<(String, String)>,
    asked: Vec<String>,
}

impl KeyServer {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let Some(Ok(first)) = lines.next() else { continue };
                // The rest of the head.
                while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
                let answer = {
                    let mut state = shared.lock().unwrap();
                    let answer = state.answers.iter().find(|(known, _)| *known == path).cloned();
                    state.asked.push(path);
                    answer.map_or_else(
                        || "HTTP/1.1 404 Not Found\r\n\r\n".to_owned(),
                        |(_, text)| text,
                    )
                };
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self { address, state }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// From now on, `path` is answered with `body`.
    pub fn answer(&self, path: &str, body: &str) {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        self.answer_raw(path, &format!("{head}{body}"));
    }

    /// The same with the head.
    pub fn answer_raw(&self, path: &str, answer: &str) {
        let mut state = self.state.lock().unwrap();
        state.answers.retain(|(known, _)| known != path);
        state.answers.push((path.to_owned(), answer.to_owned()));
    }

    /// The paths that were asked for so far.
    pub fn asked(&self) -> Vec<String> {
        self.state.lock().unwrap().asked.clone()
    }
}
