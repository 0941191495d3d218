//! What a run is to do: the flags, read and checked against one another.

use super::consumer::Consuming;
use super::content::{Content, STAMP_BYTES, Sizes, Stamp};
use super::options::{Options, rate, seconds};
use super::pace::{Pace, Step};
use super::uri::Uri;
use crate::protocol::{FieldTable, FieldValue, Headers, OwnedProperties};

/// Bodies larger than this are refused by every broker's default settings.
const SIZE_MAX: usize = 512 * 1024 * 1024;
/// One more would not be a plan but a slip of the finger.
const COUNT_MAX: u64 = 100_000;

pub struct Plan {
    pub options: Options,
    pub uris: Vec<Uri>,
    pub queues: Vec<String>,
    pub exchange: String,
    pub queue_args: FieldTable,
    pub exchange_args: FieldTable,
    pub binding_args: FieldTable,
    /// None without an exchange of one's own.
    pub binding_keys: Vec<String>,
    steps: Vec<Step>,
    properties: OwnedProperties,
    sizes: Sizes,
    stamp: Stamp,
    consumer_args: FieldTable,
}

impl Plan {
    /// Errors name the flag.
    pub fn new(options: Options) -> Result<Self, String> {
        check(&options)?;
        let uris = options.uri.iter().map(|uri| Uri::parse(uri)).collect::<Result<_, _>>();
        let sizes = sizes(&options.size).map_err(|error| format!("--size: {error}"))?;
        let stamp = stamp(options.stamp.as_deref(), &sizes)?;
        let exchange = match (&options.exchange, &options.kind) {
            (Some(exchange), _) => exchange.clone(),
            (None, Some(_)) => "leveret-perf".to_owned(),
            (None, None) => String::new(),
        };
        let table = |flag, text: &Option<String>| {
            let table = text.as_deref().map_or_else(|| Ok(FieldTable::new()), table);
            table.map_err(|error| format!("{flag}: {error}"))
        };
        Ok(Self {
            uris: uris.map_err(|error| format!("--uri: {error}"))?,
            queues: queues(&options.queue, options.queues),
            queue_args: table("--queue-args", &options.queue_args)?,
            exchange_args: table("--exchange-args", &options.exchange_args)?,
            binding_args: table("--binding-args", &options.binding_args)?,
            consumer_args: table("--consumer-args", &options.consumer_args)?,
            binding_keys: binding_keys(&options),
            steps: steps(&options)?,
            properties: properties(&options, table("--headers", &options.headers)?)?,
            exchange,
            sizes,
            stamp,
            options,
        })
    }

    pub fn producer_count(&self) -> usize {
        (self.options.producers * self.options.producer_channels) as usize
    }

    pub fn consumer_count(&self) -> usize {
        (self.options.consumers * self.options.consumer_channels) as usize
    }

    /// What a queue is bound with: `%q` in a key is its name.
    pub fn keys_of(&self, queue: &str) -> Vec<String> {
        if self.binding_keys.is_empty() {
            return vec![queue.to_owned()];
        }
        self.binding_keys.iter().map(|key| key.replace("%q", queue)).collect()
    }

    /// What producer number `index` sends.
    pub fn content(&self, index: usize) -> Content {
        let routing_keys = if self.options.routing_key.is_empty() {
            // The queues are shared in turn; where there are more of them, by each producer too.
            let (queues, producers) = (self.queues.len(), self.producer_count());
            let own = (index % queues..queues).step_by(producers.max(1).min(queues));
            let count = if producers >= queues { 1 } else { usize::MAX };
            own.take(count).filter_map(|queue| self.queues.get(queue).cloned()).collect()
        } else {
            numbered(&self.options.routing_key, self.options.routing_key_count)
        };
        Content {
            exchange: self.exchange.clone(),
            routing_keys,
            mandatory: self.options.mandatory,
            properties: self.properties.clone(),
            sizes: self.sizes.clone(),
            stamp: self.stamp,
        }
    }

    pub fn pace(&self, index: usize) -> Option<Pace> {
        let phase = index as f64 / self.producer_count().max(1) as f64;
        match (self.options.rate, self.steps.is_empty()) {
            (Some(rate), _) => Some(Pace::steady(rate, phase)),
            (None, false) => Some(Pace::new(self.steps.clone(), phase)),
            (None, true) => None,
        }
    }

    /// What consumer number `index` does.
    pub fn consuming(&self, index: usize) -> Consuming {
        let options = &self.options;
        Consuming {
            queue: self.queues.get(index % self.queues.len().max(1)).cloned().unwrap_or_default(),
            arguments: self.consumer_args.clone(),
            no_ack: options.auto_ack,
            ack_every: options.multi_ack,
            nack_share: options.nack,
            requeue: options.requeue,
            think: options.think.saturating_mul(1000),
            poll: options.poll.then(|| options.poll_interval.saturating_mul(1000)),
            stamp: self.stamp,
            messages: options.consume,
        }
    }

    /// Whether time has to be kept to less than a millisecond.
    pub fn is_timed(&self) -> bool {
        self.options.rate.is_some() || !self.steps.is_empty()
    }
}

fn check(options: &Options) -> Result<(), String> {
    for (flag, value) in [
        ("--producers", options.producers),
        ("--consumers", options.consumers),
        ("--queues", options.queues),
        ("--routing-key-count", options.routing_key_count),
        ("--binding-key-count", options.binding_key_count),
    ] {
        if value > COUNT_MAX {
            return Err(format!("{flag}: at most {COUNT_MAX}"));
        }
    }
    for (flag, value) in [
        ("--queues", options.queues),
        ("--producer-channels", options.producer_channels),
        ("--consumer-channels", options.consumer_channels),
        ("--multi-ack", options.multi_ack),
        ("--confirm", options.confirm.unwrap_or(1)),
        ("--messages", options.messages.unwrap_or(1)),
        ("--consume", options.consume.unwrap_or(1)),
        ("--routing-key-count", options.routing_key_count),
        ("--binding-key-count", options.binding_key_count),
    ] {
        if value == 0 {
            return Err(format!("{flag}: at least 1"));
        }
    }
    if options.producer_channels.max(options.consumer_channels) > u64::from(u16::MAX) {
        return Err("--producer-channels, --consumer-channels: at most 65535".to_owned());
    }
    if options.prefetch > u64::from(u16::MAX) {
        return Err("--prefetch: at most 65535".to_owned());
    }
    if options.prefetch > 0 && options.multi_ack > options.prefetch {
        // Nothing more would come, and nothing be acknowledged but after a pause.
        return Err("--multi-ack: at most the --prefetch".to_owned());
    }
    if !(0.0..=1.0).contains(&options.nack) {
        return Err("--nack: 0 to 1".to_owned());
    }
    if options.rate == Some(0.0) {
        return Err("--rate: more than 0".to_owned());
    }
    if options.producers + options.consumers == 0 {
        return Err("neither --producers nor --consumers: nothing to do".to_owned());
    }
    if options.warm_up > 0.0 && options.duration.is_some_and(|end| end <= options.warm_up) {
        return Err("--warm-up: less than the --duration".to_owned());
    }
    if options.exclusive && options.consumers == 0 {
        return Err("--exclusive: queues end with the connection that consumes, and there is none"
            .to_owned());
    }
    if options.kind.is_some() && options.exchange.as_deref() == Some("") {
        return Err("--kind: the default exchange has its own".to_owned());
    }
    Ok(())
}

fn queues(name: &str, count: u64) -> Vec<String> {
    let numbered = |number: u64| match name.contains("%d") {
        true => name.replace("%d", &number.to_string()),
        false if count == 1 => name.to_owned(),
        false => format!("{name}-{number}"),
    };
    (1..=count).map(numbered).collect()
}

/// Every `%d` from 1 on.
fn numbered(keys: &[String], count: u64) -> Vec<String> {
    let of = |key: &String| -> Vec<String> {
        if !key.contains("%d") {
            return vec![key.clone()];
        }
        (1..=count).map(|number| key.replace("%d", &number.to_string())).collect()
    };
    keys.iter().flat_map(of).collect()
}

/// None is the queue's own name.
fn binding_keys(options: &Options) -> Vec<String> {
    if !options.binding_key.is_empty() {
        return numbered(&options.binding_key, options.binding_key_count);
    }
    numbered(&options.routing_key, options.routing_key_count)
}

fn sizes(text: &str) -> Result<Sizes, String> {
    let size = |text: &str| match text.trim().parse() {
        Ok(size) if size <= SIZE_MAX => Ok(size),
        Ok(_) => Err(format!("{text}: at most {SIZE_MAX}")),
        Err(_) => Err(format!("{text:?} is no number of bytes")),
    };
    if let Some((min, max)) = text.split_once('-') {
        let (min, max) = (size(min)?, size(max)?);
        return if min <= max {
            Ok(Sizes::Between(min, max))
        } else {
            Err(format!("{min} > {max}"))
        };
    }
    text.split(',').map(size).collect::<Result<_, _>>().map(Sizes::InTurn)
}

fn stamp(text: Option<&str>, sizes: &Sizes) -> Result<Stamp, String> {
    let fits = sizes.min() >= STAMP_BYTES;
    match text {
        None if fits => Ok(Stamp::Body),
        None | Some("header") => Ok(Stamp::Header),
        Some("body") if fits => Ok(Stamp::Body),
        Some("body") => Err(format!("--stamp: a body needs {STAMP_BYTES} bytes for it")),
        Some("none") => Ok(Stamp::None),
        Some(other) => Err(format!("--stamp: {other:?} is none of body, header, none")),
    }
}

fn steps(options: &Options) -> Result<Vec<Step>, String> {
    let Some(text) = &options.variable_rate else { return Ok(Vec::new()) };
    let step = |text: &str| {
        let (per_second, lasts) = text.split_once(':').ok_or("not RATE:SECS")?;
        let (rate, lasts) = (rate(per_second)?, seconds(lasts)?);
        Ok(Step { rate, nanos: (lasts * 1e9) as u64 })
    };
    let steps = text.split(',').map(step).collect::<Result<Vec<Step>, String>>();
    let steps = steps.map_err(|error| format!("--variable-rate: {text}: {error}"))?;
    if steps.iter().any(|step| step.nanos < 1_000_000) {
        return Err("--variable-rate: a step lasts a millisecond at least".to_owned());
    }
    // Less than a message in an hour of it would be waited for in vain.
    let (messages, nanos) = steps.iter().fold((0.0, 0.0), |(messages, nanos), step| {
        (messages + step.rate * step.nanos as f64 / 1e9, nanos + step.nanos as f64)
    });
    if messages / (nanos / 3.6e12) < 1.0 {
        return Err("--variable-rate: less than a message in an hour".to_owned());
    }
    Ok(steps)
}

/// `name=value` pairs: whole numbers, true and false are what they look like, anything else, and what
/// stands in double quotes, is text.
fn table(text: &str) -> Result<FieldTable, String> {
    let mut table = FieldTable::new();
    for pair in text.split(',').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| format!("{pair:?} has no ="))?;
        if name.is_empty() || name.len() > 255 {
            return Err(format!("{pair:?} has no name that fits"));
        }
        table.insert(name, field(value));
    }
    Ok(table)
}

fn field(text: &str) -> FieldValue {
    if let Some(text) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        return text.into();
    }
    if let Ok(number) = text.parse::<i64>() {
        // Clients send small numbers so, and some brokers' checks of arguments expect it.
        return i32::try_from(number).map_or(FieldValue::I64(number), FieldValue::I32);
    }
    text.parse().map_or_else(|_| text.into(), FieldValue::Bool)
}

fn properties(options: &Options, headers: FieldTable) -> Result<OwnedProperties, String> {
    let mut properties = OwnedProperties {
        delivery_mode: options.persistent.then_some(2),
        headers: (!headers.is_empty()).then(|| Headers::from(&headers)),
        ..OwnedProperties::default()
    };
    for pair in &options.property {
        let refuse = |why: &str| format!("--property: {pair:?}: {why}");
        let (name, value) = pair.split_once('=').ok_or_else(|| refuse("no ="))?;
        let number = || value.parse::<u64>().map_err(|_| refuse("not a number"));
        if value.len() > 255 {
            return Err(refuse("longer than 255 bytes"));
        }
        let text = Some(value.as_bytes().to_vec());
        match name {
            "content-type" => properties.content_type = text,
            "content-encoding" => properties.content_encoding = text,
            "priority" => {
                let priority = u8::try_from(number()?).map_err(|_| refuse("at most 255"))?;
                properties.priority = Some(priority);
            }
            "correlation-id" => properties.correlation_id = text,
            "reply-to" => properties.reply_to = text,
            "expiration" => properties.expiration = text,
            "message-id" => properties.message_id = text,
            "timestamp" => properties.timestamp = Some(number()?),
            "type" => properties.kind = text,
            "user-id" => properties.user_id = text,
            "app-id" => properties.app_id = text,
            _ => return Err(refuse("no such property")),
        }
    }
    Ok(properties)
}

#[cfg(test)]
mod tests;
