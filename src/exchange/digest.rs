//! Numbers that stand for bytes, the same on every machine and after every restart.
//!
//! The hashes of maps are neither: they have other keys in each process. What decides where a message
//! goes has to last longer.

use std::hash::Hash;

/// What a binding may lead to, for exchanges that choose among their destinations.
pub trait Target: Clone + Eq + Hash + Send + Sync + 'static {
    /// Follows from what the destination is and how it is called, and from nothing else.
    fn digest(&self) -> u64;
}

/// Plain numbers, for tests and benchmarks.
impl Target for u32 {
    fn digest(&self) -> u64 {
        digest(b'n', &self.to_be_bytes())
    }
}

/// 64 well mixed bits of `bytes`, where `kind` tells apart what may have the same bytes. Not for
/// secrets: whoever chooses the bytes can choose the result.
pub fn digest(kind: u8, bytes: &[u8]) -> u64 {
    // FNV-1a, whose high bits need the mixing.
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
    mix(bytes.iter().fold(step(0xCBF2_9CE4_8422_2325, &kind), step))
}

/// Every bit of the result depends on every bit of `number`, and no two numbers have the same.
#[inline]
pub fn mix(number: u64) -> u64 {
    // The end of SplitMix64.
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

/// The place in a list of `len` that `number`, one of all 64-bit numbers, falls on.
#[inline]
pub(super) fn place(number: u64, len: usize) -> usize {
    ((u128::from(number) * len as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change of these moves messages to other queues at an upgrade.
    #[test]
    fn digests_never_change() {
        assert_eq!(digest(b'q', b""), 0x4CCE_86D2_AE43_B7A5);
        assert_eq!(digest(b'q', b"orders"), 0xADA6_DDFF_C1C0_D62B);
        assert_eq!(digest(b'x', b"orders"), 0x5AD2_FFE9_61EA_9251);
    }

    #[test]
    fn places_cover_the_list_evenly() {
        let numbers = [0, u64::MAX / 3, u64::MAX / 3 * 2, u64::MAX];
        assert_eq!(numbers.map(|number| place(number, 4)), [0, 1, 2, 3]);
        assert_eq!(numbers.map(|number| place(number, 1)), [0; 4]);
    }
}
