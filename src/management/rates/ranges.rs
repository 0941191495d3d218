//! Which samples a request wants, by its query (reference 4).

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::series::{Range, SAMPLES_MAX};
use crate::management::Api;
use crate::management::refusal::Refusal;

/// None where a request does not ask for samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::management) struct Ranges {
    pub messages: Option<Range>,
    pub data: Option<Range>,
    pub lengths: Option<Range>,
    pub node: Option<Range>,
}

impl Ranges {
    pub(in crate::management) fn parse(query: &str) -> Result<Self, Refusal> {
        Ok(Self {
            messages: range(query, "msg_rates")?,
            data: range(query, "data_rates")?,
            lengths: range(query, "lengths")?,
            node: range(query, "node_stats")?,
        })
    }
}

/// Both an age and a step are needed.
fn range(query: &str, kind: &str) -> Result<Option<Range>, Refusal> {
    let (Some(age_seconds), Some(step_seconds)) =
        (seconds(query, &format!("{kind}_age"))?, seconds(query, &format!("{kind}_incr"))?)
    else {
        return Ok(None);
    };
    if step_seconds == 0 || age_seconds / step_seconds > SAMPLES_MAX {
        return Err(Refusal::InvalidRange);
    }
    Ok(Some(Range { age_seconds, step_seconds }))
}

fn seconds(query: &str, key: &str) -> Result<Option<u64>, Refusal> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let Some((_, value)) = pairs.find(|(name, _)| *name == key) else { return Ok(None) };
    value.parse().map(Some).map_err(|_| Refusal::InvalidRange)
}

impl FromRequestParts<Arc<Api>> for Ranges {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Api>) -> Result<Self, Refusal> {
        Self::parse(parts.uri.query().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_needs_an_age_and_a_step_that_give_no_more_than_500_samples() {
        let range = |age_seconds, step_seconds| Some(Range { age_seconds, step_seconds });
        for (query, expected) in [
            ("", Ok(None)),
            ("msg_rates_age=60", Ok(None)),
            ("msg_rates_incr=5", Ok(None)),
            ("lengths_age=60&lengths_incr=5", Ok(None)),
            ("msg_rates_age=60&msg_rates_incr=5", Ok(range(60, 5))),
            ("a=b&msg_rates_incr=1&c&msg_rates_age=500", Ok(range(500, 1))),
            ("msg_rates_age=501&msg_rates_incr=1", Err(Refusal::InvalidRange)),
            ("msg_rates_age=60&msg_rates_incr=0", Err(Refusal::InvalidRange)),
            ("msg_rates_age=x&msg_rates_incr=5", Err(Refusal::InvalidRange)),
            ("msg_rates_age=-1&msg_rates_incr=5", Err(Refusal::InvalidRange)),
        ] {
            assert_eq!(Ranges::parse(query).map(|ranges| ranges.messages), expected, "{query}");
        }
    }
}
