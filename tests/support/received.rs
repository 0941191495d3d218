//! What a peer gets: methods with their content, and views of the usual ones.

use std::fmt;

use leveret::protocol::method::basic;
use leveret::protocol::{Method, OwnedProperties, Properties};

/// A method, with its content if it carries any.
#[derive(Clone, PartialEq)]
pub struct Received {
    pub channel: u16,
    /// The method frame's payload.
    pub payload: Vec<u8>,
    pub content: Option<Content>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Content {
    /// Flags and values, as they came.
    pub properties: Vec<u8>,
    pub body: Vec<u8>,
    /// The sizes of the body frames.
    pub frames: Vec<usize>,
}

/// `basic.deliver` or `basic.get-ok`.
#[derive(Clone, PartialEq, Debug)]
pub struct Delivery {
    /// Empty for `get-ok`.
    pub consumer_tag: String,
    pub delivery_tag: u64,
    pub redelivered: bool,
    pub exchange: String,
    pub routing_key: String,
    /// What remained in the queue; only `get-ok` says so.
    pub message_count: Option<u32>,
    pub content: Content,
}

/// `basic.return`.
#[derive(Clone, PartialEq, Debug)]
pub struct Returned {
    pub reply_code: u16,
    pub reply_text: String,
    pub exchange: String,
    pub routing_key: String,
    pub content: Content,
}

impl Received {
    pub fn method(&self) -> Method<'_> {
        Method::decode(&self.payload).expect("it was decoded before")
    }

    #[track_caller]
    pub fn delivery(self) -> Delivery {
        let content = self.content.clone();
        let (consumer_tag, delivery_tag, redelivered, exchange, routing_key, message_count) =
            match self.method() {
                Method::Basic(basic::Method::Deliver(m)) => {
                    (m.consumer_tag, m.delivery_tag, m.redelivered, m.exchange, m.routing_key, None)
                }
                Method::Basic(basic::Method::GetOk(m)) => {
                    let count = Some(m.message_count);
                    ("", m.delivery_tag, m.redelivered, m.exchange, m.routing_key, count)
                }
                other => panic!("expected a delivery, got {other:?}"),
            };
        Delivery {
            consumer_tag: consumer_tag.to_owned(),
            delivery_tag,
            redelivered,
            exchange: lossy(exchange),
            routing_key: lossy(routing_key),
            message_count,
            content: content.expect("content"),
        }
    }

    #[track_caller]
    pub fn returned(self) -> Returned {
        let content = self.content.clone();
        let Method::Basic(basic::Method::Return(method)) = self.method() else {
            panic!("expected basic.return, got {self:?}");
        };
        Returned {
            reply_code: method.reply_code,
            reply_text: method.reply_text.to_owned(),
            exchange: lossy(method.exchange),
            routing_key: lossy(method.routing_key),
            content: content.expect("content"),
        }
    }
}

impl Delivery {
    /// The body as text.
    pub fn text(&self) -> String {
        self.content.text()
    }
}

impl Content {
    pub fn text(&self) -> String {
        lossy(&self.body)
    }

    pub fn properties(&self) -> OwnedProperties {
        Properties::parse(&self.properties).expect("good properties").to_owned()
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "channel {}: {:?}", self.channel, self.method())?;
        if let Some(content) = &self.content {
            write!(f, " {:?}", content.text())?;
        }
        Ok(())
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
