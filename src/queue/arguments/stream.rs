//! The arguments of a stream (behaviour B5.6).

use super::{ArgumentReader, Options};
use crate::protocol::{AmqpError, FieldValue, ReplyCode};
use crate::queue::QueueKind;
use crate::queue::stream::{SEGMENT_BYTES_MAX, StreamOptions, age_millis};

impl ArgumentReader<'_> {
    pub(super) fn stream(&self) -> Result<Options, AmqpError> {
        let kind = QueueKind::Stream;
        kind.check_foreign(self.arguments, self.resource)?;
        let max_length_bytes = self.integer("x-max-length-bytes", 0, i64::MAX)?;
        let max_age_millis = self.max_age()?;
        self.integer("x-initial-cluster-size", 1, i64::MAX)?;
        self.leader_locator()?;
        // 0 is what RabbitMQ takes for its own size.
        let segment_bytes = self.segment_bytes()?.filter(|bytes| *bytes > 0);
        self.filter_size()?;
        let stream = StreamOptions { max_age_millis, segment_bytes };
        Ok(Options { kind, max_length_bytes, stream, ..Options::default() })
    }

    fn max_age(&self) -> Result<Option<u64>, AmqpError> {
        let name = "x-max-age";
        match self.string(name)?.map(age_millis) {
            None => Ok(None),
            Some(Some(millis)) => Ok(Some(millis)),
            Some(None) => self.invalid(name, "invalid_max_age"),
        }
    }

    fn segment_bytes(&self) -> Result<Option<u64>, AmqpError> {
        let name = "x-stream-max-segment-size-bytes";
        match self.integer(name, 0, i64::MAX)? {
            Some(bytes) if bytes > SEGMENT_BYTES_MAX => {
                refused(format!("Exceeded max value for {name}"))
            }
            bytes => Ok(bytes),
        }
    }

    /// How large RabbitMQ's filters are. Here nothing is filtered by chance, so there is no size.
    fn filter_size(&self) -> Result<(), AmqpError> {
        let name = "x-stream-filter-size-bytes";
        match self.arguments.get(name).map(FieldValue::as_int) {
            None | Some(Some(16..=255)) => Ok(()),
            Some(Some(_)) => refused(format!("Invalid value for {name}")),
            Some(None) => refused(format!("Invalid type for {name}")),
        }
    }
}

fn refused<T>(text: String) -> Result<T, AmqpError> {
    Err(AmqpError::new(ReplyCode::PreconditionFailed, text))
}
