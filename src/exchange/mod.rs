//! Headers and key in, destinations out.
