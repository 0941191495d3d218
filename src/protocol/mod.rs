//! Bytes to frames to methods, and back.
