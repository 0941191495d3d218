//! One connection over its socket: the login, questions with answers while things are set up, and then
//! the loop that moves bytes as fast as both sides can.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use tokio::io::ReadBuf;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::client::{Client, Role, channel_closed};
use super::clock::{Clock, Moment, Timer};
use super::error::PerfError;
use super::login::{Agreed, FRAME_MAX, Login, closed};
use super::sample::Shard;
use super::socket::{PATIENCE, Socket, dial};
use super::uri::Uri;
use crate::protocol::frame::{FRAME_OVERHEAD, parse_frame, write_method};
use crate::protocol::method::{channel, connection};
use crate::protocol::{ChannelNumber, FrameKind, Method, MethodId};

/// Two frames of the largest kind.
const INPUT: usize = 2 * (FRAME_MAX as usize + FRAME_OVERHEAD);
/// An output buffer that grew beyond this for a large message shrinks again.
const OUTPUT_KEPT: usize = 1024 * 1024;

/// How far the run has come; all connections look at it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Everybody gets ready. Consumers take what there is.
    Setup,
    /// Producers send, from this moment on.
    Run(Moment),
    /// They stop, and wait for what is not confirmed. Consumers go on.
    Drain,
    /// The same, and consumers stop.
    Settle,
    /// Everybody stops.
    Stop,
}

/// A connection that is open.
pub struct Connection {
    address: String,
    socket: Socket,
    input: Input,
    output: Output,
    pub agreed: Agreed,
}

impl Connection {
    /// Dials and logs in. `heartbeat` in seconds; what the broker wishes without.
    pub async fn open(
        uri: &Uri,
        tls: Option<&TlsConnector>,
        name: &str,
        heartbeat: Option<u16>,
    ) -> Result<Self, PerfError> {
        let socket = dial(uri, tls).await?;
        let mut connection = Self {
            address: uri.to_string(),
            socket,
            input: Input::default(),
            output: Output::default(),
            agreed: Agreed::default(),
        };
        let mut login = Login::start(uri, name, heartbeat, &mut connection.output.bytes);
        match timeout(PATIENCE, connection.log_in(&mut login)).await {
            Ok(agreed) => connection.agreed = agreed?,
            Err(_) => {
                let (address, seconds) = (connection.address, PATIENCE.as_secs());
                return Err(PerfError::NoAnswer { address, seconds });
            }
        }
        Ok(connection)
    }

    async fn log_in(&mut self, login: &mut Login<'_>) -> Result<Agreed, PerfError> {
        loop {
            self.flush().await?;
            if self.input.bytes().starts_with(b"AMQP") {
                return Err(PerfError::NotAmqp { address: self.address.clone() });
            }
            // Anything may answer on a port; frames of a megabyte are none of AMQP's.
            let parsed = parse_frame(self.input.bytes(), FRAME_MAX)
                .map_err(|_| PerfError::NotAmqp { address: self.address.clone() })?;
            let Some((frame, rest)) = parsed else {
                if self.read().await? == 0 {
                    return Err(login.lost(self.address.clone()));
                }
                continue;
            };
            let taken = self.input.bytes().len() - rest.len();
            let mut agreed = None;
            if frame.kind == FrameKind::Method && frame.channel == ChannelNumber::CONNECTION {
                let method = Method::decode(frame.payload)
                    .map_err(|error| PerfError::Protocol(error.text))?;
                agreed = login.receive(&method, &mut self.output.bytes)?;
            }
            self.input.take(taken);
            if let Some(agreed) = agreed {
                return Ok(agreed);
            }
        }
    }

    /// Opens a channel.
    pub async fn open_channel(&mut self, channel: ChannelNumber) -> Result<(), PerfError> {
        self.call(channel, channel::Open {}, channel::OpenOk::ID).await.map(drop)
    }

    /// Sends without waiting for an answer; together with the next thing that has one.
    pub fn say<'m>(&mut self, channel: ChannelNumber, method: impl Into<Method<'m>>) {
        write_method(&mut self.output.bytes, channel, &method.into());
    }

    /// Asks, and returns the payload of the answer. That the broker closes the channel is an error, and
    /// is acknowledged, so that it can be opened again.
    pub async fn call<'m>(
        &mut self,
        channel: ChannelNumber,
        method: impl Into<Method<'m>>,
        answer: MethodId,
    ) -> Result<Vec<u8>, PerfError> {
        self.say(channel, method);
        match timeout(PATIENCE, self.answer(channel, answer)).await {
            Ok(answer) => answer,
            Err(_) => {
                let (address, seconds) = (self.address.clone(), PATIENCE.as_secs());
                Err(PerfError::NoAnswer { address, seconds })
            }
        }
    }

    async fn answer(
        &mut self,
        channel: ChannelNumber,
        expected: MethodId,
    ) -> Result<Vec<u8>, PerfError> {
        self.flush().await?;
        loop {
            let parsed = parse_frame(self.input.bytes(), self.agreed.frame_max)
                .map_err(|error| PerfError::Protocol(error.text))?;
            let Some((frame, rest)) = parsed else {
                if self.read().await? == 0 {
                    return Err(PerfError::Lost { address: self.address.clone(), when: "" });
                }
                continue;
            };
            let taken = self.input.bytes().len() - rest.len();
            let mut answer = None;
            if frame.kind == FrameKind::Method {
                let method = Method::decode(frame.payload)
                    .map_err(|error| PerfError::Protocol(error.text))?;
                match method {
                    Method::Connection(connection::Method::Close(close)) => {
                        return Err(closed(&close));
                    }
                    Method::Channel(channel::Method::Close(close)) => {
                        write_method(
                            &mut self.output.bytes,
                            frame.channel,
                            &channel::CloseOk {}.into(),
                        );
                        answer = Some(Err(channel_closed(&close)));
                    }
                    method if method.id() == expected && frame.channel == channel => {
                        answer = Some(Ok(frame.payload.to_vec()));
                    }
                    // connection.blocked, or what belonged to a channel that is no more.
                    _ => {}
                }
            }
            self.input.take(taken);
            if let Some(answer) = answer {
                return answer;
            }
        }
    }

    /// Says goodbye after things were set up, and does not insist on an answer.
    pub async fn close(mut self) {
        let close = connection::Close { reply_code: 200, ..connection::Close::default() };
        let _ = self.call(ChannelNumber::CONNECTION, close, connection::CloseOk::ID).await;
    }

    /// Runs what the channels are for, until they are done or the phase says so. `ready` is called
    /// once, when all consumers are subscribed.
    pub async fn run(
        mut self,
        roles: Vec<Role>,
        clock: Clock,
        mut timer: Timer,
        shard: Shard,
        mut phase: watch::Receiver<Phase>,
        ready: impl FnOnce(),
    ) -> Result<(), PerfError> {
        let agreed = self.agreed.clone();
        let mut client = Client::new(self.address.clone(), agreed, roles, clock.now());
        let mut ready = Some(ready);
        client.begin(clock.now(), &mut self.output.bytes);
        // It may have come on long before.
        phase.mark_changed();
        loop {
            let now = clock.now();
            if phase.has_changed().unwrap_or_default() {
                let phase = *phase.borrow_and_update();
                follow(&mut client, phase, &mut self.output.bytes);
            }
            if ready.is_some() && client.is_ready() {
                ready.take().into_iter().for_each(|ready| ready());
            }
            client.beat(now, &mut self.output.bytes)?;
            if self.output.is_empty() {
                shard.record(|sample| client.fill(now, &mut self.output.bytes, sample));
                if client.is_done() && self.output.is_empty() {
                    client.close(&mut self.output.bytes);
                }
            }
            let beat = client.next_beat();
            let wake = if self.output.is_empty() {
                [beat, client.wake()].into_iter().flatten().min()
            } else {
                beat
            };
            let wants_input = client.wants_input();
            tokio::select! {
                biased;
                moved = transfer(&mut self.socket, &mut self.input, &mut self.output, wants_input) => {
                    let moved = moved.map_err(|cause| self.failed(cause))?;
                    if moved.written > 0 {
                        client.spoke(now);
                    }
                    match moved.read {
                        Some(0) => {
                            let address = self.address.clone();
                            return Err(PerfError::Lost { address, when: "" });
                        }
                        Some(_) => self.receive(&mut client, clock.now(), &shard).await?,
                        None => {}
                    }
                    if client.is_closed() {
                        return Ok(());
                    }
                }
                () = timer.until(wake) => {}
                // Who has given up the run wants no more of this connection.
                Ok(()) = phase.changed() => phase.mark_changed(),
            }
        }
    }

    async fn receive(
        &mut self,
        client: &mut Client,
        now: Moment,
        shard: &Shard,
    ) -> Result<(), PerfError> {
        let (input, output) = (self.input.bytes(), &mut self.output.bytes);
        let taken = shard.record(|sample| client.receive(input, now, output, sample));
        match taken {
            Ok(taken) => self.input.take(taken),
            Err(error) => {
                // It is told that we understood.
                let _ = timeout(PATIENCE, self.flush()).await;
                return Err(error);
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), PerfError> {
        while !self.output.is_empty() {
            let (input, output) = (&mut self.input, &mut self.output);
            let moved = transfer(&mut self.socket, input, output, false).await;
            moved.map_err(|cause| self.failed(cause))?;
        }
        Ok(())
    }

    async fn read(&mut self) -> Result<usize, PerfError> {
        let (input, output) = (&mut self.input, &mut self.output);
        let moved = transfer(&mut self.socket, input, output, true).await;
        moved.map(|moved| moved.read.unwrap_or_default()).map_err(|cause| self.failed(cause))
    }

    fn failed(&self, cause: io::Error) -> PerfError {
        PerfError::Socket { address: self.address.clone(), cause }
    }
}

fn follow(client: &mut Client, phase: Phase, out: &mut Vec<u8>) {
    match phase {
        Phase::Setup => {}
        Phase::Run(since) => client.start(since),
        Phase::Drain => client.stop_producing(),
        Phase::Settle => {
            client.stop_producing();
            client.stop_consuming(out);
        }
        Phase::Stop => {
            client.stop_consuming(out);
            client.give_up();
        }
    }
}

#[derive(Default)]
struct Moved {
    written: usize,
    read: Option<usize>,
}

/// Writes and reads once each, whichever can be done; waits only while neither can.
async fn transfer(
    socket: &mut Socket,
    input: &mut Input,
    output: &mut Output,
    wants_input: bool,
) -> io::Result<Moved> {
    poll_fn(|context| {
        let mut moved = Moved::default();
        if !output.is_empty()
            && let Poll::Ready(written) = socket.as_mut().poll_write(context, output.rest())
        {
            moved.written = written?;
            if moved.written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            output.take(moved.written);
        }
        if output.is_empty() {
            // TLS keeps some for itself. It stays awake for what it could not get rid of.
            if let Poll::Ready(Err(error)) = socket.as_mut().poll_flush(context) {
                return Poll::Ready(Err(error));
            }
        }
        if wants_input {
            let mut room = ReadBuf::new(input.room());
            if let Poll::Ready(read) = socket.as_mut().poll_read(context, &mut room) {
                read?;
                let count = room.filled().len();
                input.arrived(count);
                moved.read = Some(count);
            }
        }
        if moved.written > 0 || moved.read.is_some() {
            Poll::Ready(Ok(moved))
        } else {
            Poll::Pending
        }
    })
    .await
}

/// What was read and is not understood yet, in a buffer of one size.
struct Input {
    buffer: Vec<u8>,
    begin: usize,
    end: usize,
}

impl Default for Input {
    fn default() -> Self {
        Self { buffer: vec![0; INPUT], begin: 0, end: 0 }
    }
}

impl Input {
    fn bytes(&self) -> &[u8] {
        self.buffer.get(self.begin..self.end).unwrap_or_default()
    }

    /// Never empty: what is kept is less than a frame.
    fn room(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    fn arrived(&mut self, count: usize) {
        self.end += count;
    }

    fn take(&mut self, count: usize) {
        self.begin += count;
        debug_assert!(self.begin <= self.end);
        if self.begin == self.end {
            (self.begin, self.end) = (0, 0);
        } else if self.end - self.begin < INPUT / 64 || self.begin > INPUT / 2 {
            self.buffer.copy_within(self.begin..self.end, 0);
            (self.begin, self.end) = (0, self.end - self.begin);
        }
    }
}

/// What waits to be written.
#[derive(Default)]
struct Output {
    bytes: Vec<u8>,
    written: usize,
}

impl Output {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.written..).unwrap_or_default()
    }

    fn take(&mut self, count: usize) {
        self.written += count;
        if self.written >= self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(OUTPUT_KEPT);
            self.written = 0;
        }
    }
}
