//! Bytes that mean nothing, given to everything that reads.

use super::wire::{put, take};
use super::*;

/// A small generator of our own, so that a failure can be repeated from its seed alone.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Octets of which most are small or letters of types, since lengths and types are what leads
    /// a parser astray.
    fn fill(&mut self, buffer: &mut Vec<u8>) {
        buffer.clear();
        let length = self.next() % 48;
        for _ in 0..length {
            let noise = self.next();
            let octet = (noise >> 8) as u8;
            buffer.push(match noise % 4 {
                0 => octet,
                1 | 2 => octet % 6,
                _ => b"tbBsuIilLfdDSATFVx"[usize::from(octet) % 18],
            });
        }
    }
}

#[test]
fn noise_makes_nobody_panic() {
    const CLASSES: [u8; 8] = [10, 20, 30, 40, 50, 60, 85, 90];
    let mut noise = Noise(0x01EE_E7E7);
    let mut input = Vec::new();
    let mut decoded = 0;
    for _ in 0..200_000 {
        noise.fill(&mut input);
        let _ = frame::parse_frame(&input, 4096);
        let ready = frame::whole_frames(&input, 4096);
        assert!(ready.whole <= input.len());
        let _ = ContentHeader::parse(&input);
        let _ = Properties::parse(&input);
        let valid = table::validate_table(&input);
        assert_eq!(FieldTable::try_from(TableReader::new(&input)).is_ok(), valid, "{input:?}");
        let _ = take::table(&input);

        let class = CLASSES[noise.next() as usize % CLASSES.len()];
        let number = (noise.next() % 13 * 10 + noise.next() % 2) as u8;
        let payload = [&[0, class, 0, number], &input[..]].concat();
        decoded += usize::from(Method::decode(&payload).is_ok());
    }
    assert!(decoded > 100, "the noise is no longer close to methods: {decoded} decoded");
}

#[test]
fn shortstr_is_cut_to_what_its_length_can_say() {
    let mut out = Vec::new();
    put::shortstr(&mut out, &"é".repeat(200));
    assert_eq!(take::shortstr(&out), Ok((&[][..], &*"é".repeat(127))));
    out.clear();
    put::short_bytes(&mut out, &[1; 300]);
    assert_eq!(out.len(), 256);
}
