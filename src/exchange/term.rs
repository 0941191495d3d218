//! Values in error texts, the way RabbitMQ shows them.

use std::fmt;

/// Octets as RabbitMQ prints a string in its texts: `<<"text">>`, or as numbers what is not text.
pub(super) struct Term<'a>(pub(super) &'a [u8]);

impl fmt::Display for Term<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<<")?;
        match std::str::from_utf8(self.0) {
            Ok("") => {}
            Ok(text) if !text.contains(char::is_control) => {
                write!(f, "\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))?;
            }
            _ => {
                for (index, octet) in self.0.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma}{octet}")?;
                }
            }
        }
        f.write_str(">>")
    }
}
