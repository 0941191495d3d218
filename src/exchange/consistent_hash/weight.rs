//! The key of a binding, as a number (B4.16).

use crate::exchange::term::Term;
use crate::names::RoutingKey;
use crate::protocol::{AmqpError, ReplyCode};

/// How much a destination gets, compared with the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Weight(u32);

impl Weight {
    /// Digits, with a sign if need be, as RabbitMQ reads them; from 1 to 4294967295.
    pub(super) fn parse(key: &RoutingKey) -> Result<Self, AmqpError> {
        let text = key.as_str();
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            let key = Term(key.as_bytes());
            return refuse(format!("The binding key must be an integer: {key}"));
        }
        let digits = digits.trim_start_matches('0');
        if digits.is_empty() || text.starts_with('-') {
            return refuse("The binding key must be greater than 0".to_owned());
        }
        match digits.parse() {
            Ok(weight) => Ok(Self(weight)),
            Err(_) => refuse(format!("The binding key must not exceed {}", u32::MAX)),
        }
    }

    /// What a draw is worth: the higher wins. Of `n` and `m` tickets in one lottery the best is as
    /// likely among the `n` as `n : m`, and the best of `n` draws of `u` is distributed as
    /// `u^(1/n)`; this is the logarithm of that.
    pub(super) fn weigh(self, draw: u64) -> f64 {
        let unit = ((draw >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        unit.ln() / f64::from(self.0)
    }
}

fn refuse(text: String) -> Result<Weight, AmqpError> {
    Err(AmqpError::new(ReplyCode::PreconditionFailed, text))
}
