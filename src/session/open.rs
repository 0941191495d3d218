//! An open connection: frames to handlers, deliveries to bytes, errors to closes.

use std::sync::Arc;

use bytes::Bytes;

use super::Services;
use super::channel::{Answer, Channel, Channels};
use super::class::publish::{Body, Content};
use super::class::{self, publish};
use super::content::{Assembly, BodyParts, PUBLISH, check_header};
use super::context::{Context, settlement_of};
use super::delivery_count::counted;
use super::transaction::Kind;
use super::unacked::Held;
use crate::broker::{TooManyChannels, node_name};
use crate::delivery::{Delivery, Outgoing, SourceId};
use crate::message::INLINE_BODY_MAX;
use crate::names::AUDIT;
use crate::protocol::frame::{FRAME_OVERHEAD, parse_frame};
use crate::protocol::method::{access, basic, channel as channel_method, connection};
use crate::protocol::{
    AmqpError, ChannelNumber, ContentHeader, Frame, FrameKind, Method, MethodId, ReplyCode, Scope,
    put_long_header,
};
use crate::queue::offset_of;
use crate::time::Time;

/// Deliveries are encoded only while fewer bytes than this wait for the socket.
const OUTPUT_HIGH: usize = 256 * 1024;

/// A client that does not take its answers is not read any further beyond this.
const OUTPUT_STOP: usize = 4 * 1024 * 1024;

/// What parked channels may keep before the connection is not read any further.
const PARKED_STOP: usize = 1024 * 1024;

/// The header that says where in its stream a message stands (B13.13).
const STREAM_OFFSET: &str = "x-stream-offset";

/// What a batch of frames means for the connection as a whole.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    GoOn,
    /// The client said goodbye.
    Closed,
    /// The broker says goodbye, for this reason.
    Shutdown(String),
}

pub struct Open {
    pub ctx: Context,
    pub channels: Channels,
    entries: Vec<Outgoing>,
    starved: Vec<SourceId>,
}

impl Open {
    pub fn new(ctx: Context) -> Self {
        Self { ctx, channels: Channels::default(), entries: Vec::new(), starved: Vec::new() }
    }

    /// Handles whole frames, and says how many bytes of them it took: all, unless publishing got the
    /// client blocked in the middle. An error ends the connection.
    pub fn receive(&mut self, chunk: &Bytes, now: Time) -> Result<(Turn, usize), AmqpError> {
        self.ctx.now = now;
        self.ctx.look_for_changed_rights();
        if self.ctx.services.broker.alarms.any() || self.ctx.throttle.is_some() {
            return self.receive_slowly(chunk);
        }
        let mut input = &chunk[..];
        let mut turn = Turn::GoOn;
        while let Some((frame, rest)) = parse_frame(input, self.ctx.frame_max)? {
            input = match self.publish_at_once(&frame, rest)? {
                Some(rest) => rest,
                None => {
                    turn = self.frame(&frame, chunk)?;
                    rest
                }
            };
            if turn != Turn::GoOn {
                break;
            }
        }
        self.end_batch();
        Ok((turn, chunk.len()))
    }

    /// The same frame by frame. While there is an alarm, reading stops behind the first one that
    /// carries content (behaviour B11.2), also in the middle of a message. Where there is a limit of
    /// messages per second, reading stops before the one that is too many.
    #[cold]
    fn receive_slowly(&mut self, chunk: &Bytes) -> Result<(Turn, usize), AmqpError> {
        let alarmed = self.ctx.services.broker.alarms.any();
        let mut input = &chunk[..];
        let mut turn = Turn::GoOn;
        while turn == Turn::GoOn
            && !self.ctx.is_blocked
            && let Some((frame, rest)) = parse_frame(input, self.ctx.frame_max)?
        {
            if is_publish(&frame) {
                let now = self.ctx.now;
                if self.ctx.throttle.as_mut().is_some_and(|throttle| !throttle.take(now)) {
                    break;
                }
                self.settle_before_publish();
            }
            turn = self.frame(&frame, chunk)?;
            input = rest;
            if alarmed && matches!(frame.kind, FrameKind::Header | FrameKind::Body) {
                self.ctx.block();
            }
        }
        self.end_batch();
        let taken = if turn == Turn::GoOn { chunk.len() - input.len() } else { chunk.len() };
        Ok((turn, taken))
    }

    /// Hands over what was gathered and wakes whom it concerns: once a read.
    pub(super) fn end_batch(&mut self) {
        self.flush();
        self.ctx.stats.output_bytes.set(self.ctx.output.len() as u64);
        self.ctx.effects.wakes.ring();
    }

    pub(super) fn flush(&mut self) {
        self.ctx.flush_publishes(&mut self.channels);
        self.ctx.flush_settlements(&mut self.channels);
        self.ctx.act();
    }

    /// What is acknowledged before the first publish of a batch makes room for it (B6.18). Later ones
    /// come after the publishes: a client that publishes a result and then acknowledges its task must
    /// not lose both.
    #[inline]
    fn settle_before_publish(&mut self) {
        if !self.ctx.settled.is_empty() && !self.ctx.publisher.has_gathered() {
            self.ctx.flush_settlements(&mut self.channels);
        }
    }

    /// The usual publish: method, header and at most one small body, one after another in this read.
    /// Handled where it lies; the answer is what follows. `None` for everything else, which takes the
    /// long way.
    #[inline]
    fn publish_at_once<'a>(
        &mut self,
        frame: &Frame<'a>,
        rest: &'a [u8],
    ) -> Result<Option<&'a [u8]>, AmqpError> {
        if !is_publish(frame) {
            return Ok(None);
        }
        self.settle_before_publish();
        let frame_max = self.ctx.frame_max;
        // A malformed frame is reported by the long way, in its turn.
        let Ok(Some((header_frame, rest))) = parse_frame(rest, frame_max) else {
            return Ok(None);
        };
        if header_frame.kind != FrameKind::Header || header_frame.channel != frame.channel {
            return Ok(None);
        }
        let header = ContentHeader::parse(header_frame.payload)?;
        if check_header(&header).is_err() || header.body_size > INLINE_BODY_MAX as u64 {
            return Ok(None);
        }
        let (body, rest) = if header.body_size == 0 {
            (&[][..], rest)
        } else {
            let Ok(Some((body, rest))) = parse_frame(rest, frame_max) else {
                return Ok(None);
            };
            if body.kind != FrameKind::Body
                || body.channel != frame.channel
                || body.payload.len() as u64 != header.body_size
            {
                return Ok(None);
            }
            (body.payload, rest)
        };
        let Some(channel) = self.channels.get_mut(frame.channel) else {
            return Ok(None);
        };
        if channel.closing || channel.parked.is_some() || channel.content.is_some() {
            return Ok(None);
        }
        let Method::Basic(basic::Method::Publish(method)) = Method::decode(frame.payload)? else {
            return Ok(None);
        };
        let content = Content {
            address: method.exchange_and_key,
            mandatory: method.mandatory,
            immediate: method.immediate,
            header: header_frame.payload,
            body: Body::Small(body),
        };
        if let Err(error) = publish::publish(&mut self.ctx, channel, content) {
            self.channel_error(frame.channel, error.at(PUBLISH))?;
        }
        Ok(Some(rest))
    }

    fn frame(&mut self, frame: &Frame<'_>, chunk: &Bytes) -> Result<Turn, AmqpError> {
        let number = frame.channel;
        if number == ChannelNumber::CONNECTION {
            return self.connection_frame(frame);
        }
        let Some(channel) = self.channels.get_mut(number) else {
            self.open_channel(frame)?;
            return Ok(Turn::GoOn);
        };
        if channel.closing {
            self.closing_frame(frame);
            return Ok(Turn::GoOn);
        }
        if let Some(parked) = &mut channel.parked {
            parked.keep(frame.kind, frame.payload);
            return Ok(Turn::GoOn);
        }
        let mut id = PUBLISH;
        let result = match (&mut channel.content, frame.kind) {
            (Some(_), _) => self.content_frame(frame, chunk),
            (None, FrameKind::Method) => {
                id = MethodId::default();
                Method::decode(frame.payload).and_then(|method| {
                    id = method.id();
                    self.method(number, method)
                })
            }
            (None, _) => {
                id = MethodId::default();
                let text = "expected method frame, got non method frame instead";
                Err(AmqpError::new(ReplyCode::UnexpectedFrame, text))
            }
        };
        if let Err(error) = result {
            self.channel_error(number, error.at(id))?;
        }
        Ok(Turn::GoOn)
    }

    /// The long way of a publish.
    fn content_frame(&mut self, frame: &Frame<'_>, chunk: &Bytes) -> Result<(), AmqpError> {
        let Some(channel) = self.channels.get_mut(frame.channel) else {
            return Ok(());
        };
        let Some(assembly) = &mut channel.content else {
            return Ok(());
        };
        let awaits_header = assembly.header.is_none();
        let complete = assembly.add(frame, chunk)?;
        if awaits_header {
            publish::check_size(&self.ctx, assembly.body_size())?;
        }
        if !complete {
            return Ok(());
        }
        let Some(Assembly { mandatory, immediate, address, header, body, .. }) =
            channel.content.take()
        else {
            return Ok(());
        };
        let body = match &body {
            BodyParts::Small(body) => Body::Small(body),
            BodyParts::Large(parts) => Body::Large(parts.clone()),
        };
        let header = header.unwrap_or_default();
        let content = Content { address: &address, mandatory, immediate, header: &header, body };
        publish::publish(&mut self.ctx, channel, content)
    }

    /// A frame on a number that is not in use: only `channel.open` makes sense (B3.1, B3.2).
    fn open_channel(&mut self, frame: &Frame<'_>) -> Result<(), AmqpError> {
        if frame.kind != FrameKind::Method {
            let text = "expected method frame, got non method frame instead";
            return Err(AmqpError::new(ReplyCode::UnexpectedFrame, text));
        }
        let method = Method::decode(frame.payload)?;
        let Method::Channel(channel_method::Method::Open(_)) = method else {
            let text = "expected 'channel.open'";
            return Err(AmqpError::new(ReplyCode::ChannelError, text).at(method.id()));
        };
        let (open, max) = (self.channels.count(), usize::from(self.ctx.channel_max));
        if open >= max {
            // The count is limited, not the number (B2.14).
            let text = format!(
                "number of channels opened ({open}) has reached the negotiated channel_max ({max})"
            );
            return Err(AmqpError::new(ReplyCode::NotAllowed, text));
        }
        self.count_channel()?;
        let stats = self.ctx.stats.open_channel(frame.channel.0);
        self.ctx.services.broker.churn.channel_created.add(1);
        self.channels.insert(Channel::new(frame.channel, stats));
        let ok = channel_method::Method::OpenOk(channel_method::OpenOk {});
        self.ctx.send(frame.channel, &Method::Channel(ok));
        Ok(())
    }

    /// Channels are limited over all connections, too (B2.14).
    fn count_channel(&self) -> Result<(), AmqpError> {
        let Services { broker, authenticator, .. } = &*self.ctx.services;
        let user = &self.ctx.user;
        let limits = authenticator.users().find(user).map(|user| user.limits);
        let user_max = limits.and_then(|limits| limits.channels_max);
        let opened = broker.open_channel(user, user_max).map_err(|why| match why {
            TooManyChannels::OnNode(max) => format!(
                "number of channels opened on node '{}' has reached the maximum allowed limit of ({max})",
                node_name()
            ),
            TooManyChannels::OfUser(max) => format!(
                "number of channels opened for user '{user}' has reached the maximum allowed user limit of ({max})"
            ),
        });
        opened.map_err(|text| AmqpError::new(ReplyCode::NotAllowed, text))
    }

    /// We said close: everything but the answer, or the client's own close crossing ours, is dropped
    /// (B0.3).
    fn closing_frame(&mut self, frame: &Frame<'_>) {
        if frame.kind != FrameKind::Method {
            return;
        }
        match Method::decode(frame.payload) {
            Ok(Method::Channel(channel_method::Method::CloseOk(_))) => {
                self.channels.remove(frame.channel);
            }
            Ok(Method::Channel(channel_method::Method::Close(_))) => {
                let ok = channel_method::Method::CloseOk(channel_method::CloseOk {});
                self.ctx.send(frame.channel, &Method::Channel(ok));
            }
            _ => {}
        }
    }

    /// Channel 0 (B1.6).
    fn connection_frame(&mut self, frame: &Frame<'_>) -> Result<Turn, AmqpError> {
        match frame.kind {
            FrameKind::Heartbeat => return Ok(Turn::GoOn),
            FrameKind::Method => {}
            _ => {
                let text = "expected method frame, got non method frame instead";
                return Err(AmqpError::new(ReplyCode::UnexpectedFrame, text));
            }
        }
        let method = Method::decode(frame.payload)?;
        match &method {
            Method::Connection(connection::Method::Close(_)) => Ok(Turn::Closed),
            Method::Connection(connection::Method::UpdateSecret(update)) => {
                self.update_secret(update.new_secret)?;
                Ok(Turn::GoOn)
            }
            _ => {
                let text = "unexpected method in connection state running";
                Err(AmqpError::new(ReplyCode::ChannelError, text).at(method.id()))
            }
        }
    }

    /// A method on a running channel, to its handler.
    fn method(&mut self, number: ChannelNumber, method: Method<'_>) -> Result<(), AmqpError> {
        let is_request =
            !matches!(method, Method::Basic(basic::Method::Publish(_) | basic::Method::Ack(_)));
        if is_request {
            self.flush();
        }
        if let Method::Channel(method) = method {
            return self.channel_method(number, &method);
        }
        let Some(channel) = self.channels.get_mut(number) else {
            return Ok(());
        };
        if is_request {
            channel.stats.requests.add(1);
        }
        let ctx = &mut self.ctx;
        match method {
            Method::Basic(method) => basic_method(ctx, channel, method),
            Method::Exchange(method) => {
                let _who = ctx.who().entered();
                class::exchange::handle(ctx, channel, method)
            }
            Method::Queue(method) => {
                let _who = ctx.who().entered();
                class::queue::handle(ctx, channel, method)
            }
            Method::Confirm(method) => class::confirm::handle(ctx, channel, &method),
            Method::Tx(method) => class::tx::handle(ctx, channel, &method),
            Method::Access(access::Method::Request(_)) => {
                // Tickets mean nothing any more; old clients still ask for one (B1.13).
                let ok = access::Method::RequestOk(access::RequestOk { ticket: 1 });
                ctx.send(number, &Method::Access(ok));
                Ok(())
            }
            Method::Access(_) | Method::Connection(_) | Method::Channel(_) => {
                Err(not_for_servers())
            }
        }
    }

    fn channel_method(
        &mut self,
        number: ChannelNumber,
        method: &channel_method::Method<'_>,
    ) -> Result<(), AmqpError> {
        let reply = match method {
            channel_method::Method::Open(_) => {
                return Err(AmqpError::new(ReplyCode::ChannelError, "second 'channel.open' seen"));
            }
            channel_method::Method::Flow(flow) if flow.active => {
                channel_method::Method::FlowOk(channel_method::FlowOk { active: true })
            }
            channel_method::Method::Flow(_) => {
                return Err(AmqpError::new(ReplyCode::NotImplemented, "active=false"));
            }
            channel_method::Method::Close(_) => {
                // The number is free before close-ok says so (B3.3).
                self.ctx.end_channel(&mut self.channels, number);
                channel_method::Method::CloseOk(channel_method::CloseOk {})
            }
            _ => return Err(not_for_servers()),
        };
        self.ctx.send(number, &Method::Channel(reply));
        Ok(())
    }

    /// Turns a channel exception into `channel.close`; passes on what ends the connection (B0).
    pub(super) fn channel_error(
        &mut self,
        number: ChannelNumber,
        error: AmqpError,
    ) -> Result<(), AmqpError> {
        if error.scope == Scope::Connection {
            return Err(error);
        }
        let (connection, channel) = (self.ctx.id.0, number.0);
        tracing::info!(
            connection,
            channel,
            "Channel error on connection ({}): {error}",
            self.ctx.peer.name
        );
        if error.code == ReplyCode::AccessRefused {
            let _who = self.ctx.who().entered();
            let (vhost, why) = (self.ctx.vhost.name.as_str(), error.reply_text());
            tracing::warn!(target: AUDIT, vhost, why = &*why, "access refused");
        }
        // What was published before the offence has been accepted.
        self.flush();
        self.ctx.end_channel(&mut self.channels, number);
        let text = error.reply_text();
        let close = channel_method::Close {
            reply_code: error.code.number(),
            reply_text: &text,
            class_id: error.method.class,
            method_id: error.method.method,
        };
        self.ctx.send(number, &Method::Channel(channel_method::Method::Close(close)));
        let mut channel = Channel::new(number, Arc::default());
        channel.closing = true;
        self.channels.insert(channel);
        Ok(())
    }

    /// Encodes what lies in the outbox, as long as the client takes it.
    pub fn pump(&mut self, now: Time) -> Result<Turn, AmqpError> {
        self.ctx.now = now;
        // What comes from parked channels is judged by it.
        self.ctx.look_for_changed_rights();
        let mut turn = Turn::GoOn;
        while self.ctx.output.len() < OUTPUT_HIGH && turn == Turn::GoOn {
            let (mut entries, mut starved) =
                (std::mem::take(&mut self.entries), std::mem::take(&mut self.starved));
            self.ctx.outbox.take(&mut entries, &mut starved);
            let idle = entries.is_empty() && starved.is_empty();
            let mut completed = Vec::new();
            for entry in entries.drain(..) {
                match entry {
                    Outgoing::Delivery(delivery) => self.deliver(delivery),
                    Outgoing::StreamDelivery(delivery) => self.deliver_from_stream(delivery),
                    Outgoing::Cancelled(source) => self.queue_gone(source),
                    Outgoing::Completed { channel, ticket, error } => {
                        completed.push((ChannelNumber(channel), ticket, error));
                    }
                    Outgoing::Shutdown(reason) => turn = Turn::Shutdown(reason),
                }
            }
            self.ctx.count_deliveries(&mut self.channels);
            for source in starved.drain(..) {
                self.resume(source);
            }
            (self.entries, self.starved) = (entries, starved);
            // Only now, because what a channel kept may end consumers, channels or all of this, and
            // nobody could give back deliveries that are no longer in the outbox and not yet held.
            for (channel, ticket, error) in completed {
                self.unpark(channel, ticket, error)?;
            }
            if idle {
                break;
            }
        }
        self.ctx.answer_confirms(&mut self.channels);
        if self.ctx.waiting_secret.is_some() {
            self.look_for_secret()?;
        }
        if self.ctx.is_congested {
            self.ctx.look_for_congestion();
        }
        if self.ctx.is_blocked {
            self.ctx.look_for_unblocking();
        }
        self.end_batch();
        if self.ctx.connected.inquiries.is_asked() {
            self.report();
        }
        Ok(turn)
    }

    /// Numbers a delivery and writes it.
    #[inline]
    fn deliver(&mut self, delivery: Delivery) {
        let Delivery { source: id, queued } = delivery;
        let Some(source) = self.ctx.sources.get_mut(id) else {
            return;
        };
        let Some(channel) = self.channels.get_mut(source.channel) else {
            return;
        };
        let tag = channel.next_delivery_tag();
        let mut tag_and_flag = [0; 9];
        let (tag_bytes, flag) = tag_and_flag.split_at_mut(8);
        tag_bytes.copy_from_slice(&tag.to_be_bytes());
        flag.fill(u8::from(queued.redelivered));
        let method = [&source.deliver[..], &tag_and_flag, queued.message.address(), &[]];
        let (number, frame_max) = (channel.number, self.ctx.frame_max);
        if source.delivered == 0 {
            self.ctx.uncounted.push(id);
        }
        source.delivered += 1;
        source.redelivered += u32::from(queued.redelivered);
        if source.counts_deliveries {
            self.ctx.output.content(number, frame_max, method, &counted(&queued));
        } else {
            self.ctx.output.content(number, frame_max, method, &queued.message);
        }
        if !source.no_ack {
            source.unacked += 1;
            if channel.unacked.push(tag, Held { source: id, queued }, self.ctx.now) {
                self.ctx.expect_settlement(channel.patience);
            }
            return;
        }
        // On its way is as good as done: nobody will acknowledge it.
        if queued.kept {
            let settlement = settlement_of(&mut self.ctx.settled, id);
            settlement.positions.push(queued.position);
        }
        if self.ctx.sources.deduplicate(id) {
            settlement_of(&mut self.ctx.settled, id).left.push(queued.position);
        }
    }

    /// The same for one from a stream: its headers say at which offset it stands there (B13.13), and it
    /// waits for its acknowledgement, always.
    fn deliver_from_stream(&mut self, delivery: Delivery) {
        let Delivery { source: id, queued } = delivery;
        let Some(source) = self.ctx.sources.get_mut(id) else {
            return;
        };
        let Some(channel) = self.channels.get_mut(source.channel) else {
            return;
        };
        let tag = channel.next_delivery_tag();
        let tag_and_flag = [&tag.to_be_bytes()[..], &[0]].concat();
        let method = [&source.deliver[..], &tag_and_flag, queued.message.address(), &[]];
        let (number, frame_max) = (channel.number, self.ctx.frame_max);
        let (header, scratch) = (queued.message.header(), &mut self.ctx.scratch);
        put_long_header(header, STREAM_OFFSET, offset_of(queued.position), scratch);
        // It would not fit into a frame, and a frame it has to be.
        let fits = scratch.len() + FRAME_OVERHEAD <= frame_max as usize;
        let header = if fits { &scratch[..] } else { header };
        self.ctx.output.content_with(number, frame_max, method, header, &queued.message);
        if source.delivered == 0 {
            self.ctx.uncounted.push(id);
        }
        source.delivered += 1;
        source.unacked += 1;
        if channel.unacked.push(tag, Held { source: id, queued }, self.ctx.now) {
            self.ctx.expect_settlement(channel.patience);
        }
    }

    /// A consumer's queue was deleted (B6.9): clients that want to know are told.
    fn queue_gone(&mut self, id: SourceId) {
        // As long as its deliveries can be told to be its.
        self.ctx.count_deliveries(&mut self.channels);
        let Some(source) = self.ctx.sources.get_mut(id) else {
            return;
        };
        if !std::mem::take(&mut source.live) {
            return;
        }
        source.subscription = None;
        let (number, tag) = (source.channel, source.tag.clone());
        if let Some(channel) = self.channels.get_mut(number) {
            channel.consumers.remove(&tag);
        }
        if self.ctx.capabilities.consumer_cancel_notify {
            let cancel = basic::Cancel { consumer_tag: &tag, nowait: true };
            self.ctx.send(number, &Method::Basic(basic::Method::Cancel(cancel)));
        }
        self.ctx.sources.remove_if_over(id);
    }

    fn resume(&mut self, id: SourceId) {
        if let Some(source) = self.ctx.sources.get(id)
            && let (Some(queue), Some(subscription)) = (&source.queue, source.subscription)
        {
            queue.resume(subscription, self.ctx.now, &mut self.ctx.effects);
        }
    }

    /// What a channel waited for has happened: it answers, and handles what came meanwhile, in order.
    fn unpark(
        &mut self,
        number: ChannelNumber,
        ticket: u64,
        error: Option<String>,
    ) -> Result<(), AmqpError> {
        let Some(channel) = self.channels.get_mut(number) else {
            return Ok(());
        };
        let Some(parked) = channel.parked.take_if(|parked| parked.ticket == ticket) else {
            return Ok(());
        };
        if let Some(error) = error {
            tracing::error!(channel = number.0, error, "a change could not be made durable");
            return Err(AmqpError::new(ReplyCode::InternalError, ""));
        }
        let Answer::Method(payload) = parked.answer;
        if let Some(payload) = payload {
            self.ctx.output.encoded_method(number, &payload);
        }
        let mut frames = parked.frames;
        while let Some((kind, payload)) = frames.pop_front() {
            self.frame(&Frame { kind, channel: number, payload: &payload }, &payload)?;
            let Some(channel) = self.channels.get_mut(number) else { continue };
            if let Some(parked) = &mut channel.parked {
                // The next one that is answered later: the rest goes on waiting as it is.
                parked.keep_all(frames);
                break;
            }
        }
        Ok(())
    }

    /// Whether more frames may come: the client takes its answers, and no parked channel piles up.
    pub fn wants_input(&self) -> bool {
        // Most connections never parked anything.
        self.ctx.output.len() < OUTPUT_STOP
            && !self.ctx.is_congested
            && !self.ctx.is_blocked
            && self.ctx.throttle.as_ref().is_none_or(|throttle| !throttle.is_closed())
            && (self.ctx.tickets == 0 || self.channels.parked_bytes() < PARKED_STOP)
    }

    /// Gives back what steady traffic keeps, when there has been none for a while.
    pub fn shrink(&mut self) {
        self.entries = Vec::new();
        self.starved = Vec::new();
        self.ctx.scratch = Vec::new();
        self.ctx.settled = Vec::new();
        self.ctx.confirming = Vec::new();
        self.ctx.output.shrink();
        self.ctx.publisher.shrink();
        self.ctx.effects = Default::default();
    }
}

#[inline]
fn is_publish(frame: &Frame<'_>) -> bool {
    frame.kind == FrameKind::Method && frame.payload.starts_with(&[0, 60, 0, 40])
}

fn basic_method(
    ctx: &mut Context,
    channel: &mut Channel,
    method: basic::Method<'_>,
) -> Result<(), AmqpError> {
    match method {
        basic::Method::Publish(method) => {
            channel.content = Some(Assembly::new(&method));
            Ok(())
        }
        basic::Method::Ack(ack) => {
            class::settle::settle(ctx, channel, ack.delivery_tag, ack.multiple, Kind::Ack)
        }
        basic::Method::Nack(nack) => {
            let kind = if nack.requeue { Kind::Requeue } else { Kind::Reject };
            class::settle::settle(ctx, channel, nack.delivery_tag, nack.multiple, kind)
        }
        basic::Method::Reject(reject) => {
            let kind = if reject.requeue { Kind::Requeue } else { Kind::Reject };
            class::settle::settle(ctx, channel, reject.delivery_tag, false, kind)
        }
        basic::Method::Qos(qos) => class::consume::qos(ctx, channel, &qos),
        basic::Method::Consume(consume) => class::consume::consume(ctx, channel, &consume),
        basic::Method::Cancel(cancel) => class::consume::cancel(ctx, channel, &cancel),
        basic::Method::Get(get) => class::get::get(ctx, channel, &get),
        basic::Method::Recover(recover) => {
            class::settle::recover(ctx, channel, recover.requeue, true)
        }
        basic::Method::RecoverAsync(recover) => {
            class::settle::recover(ctx, channel, recover.requeue, false)
        }
        // The answer to a cancel of ours (B1.12).
        basic::Method::CancelOk(_) => Ok(()),
        _ => Err(not_for_servers()),
    }
}

/// A method that only servers send (B1.12).
#[cold]
pub fn not_for_servers() -> AmqpError {
    AmqpError::new(ReplyCode::CommandInvalid, "unimplemented method")
}
