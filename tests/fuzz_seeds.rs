//! The fuzz target's check, over its committed seeds and what is close to them. The fuzzer itself
//! needs a nightly compiler; this runs everywhere.

#[path = "../fuzz/checks/decode.rs"]
mod decode;

use std::path::Path;

#[test]
fn seeds_and_their_neighbours_pass() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/decode");
    let mut count = 0;
    for entry in std::fs::read_dir(seeds).unwrap() {
        let seed = std::fs::read(entry.unwrap().path()).unwrap();
        count += 1;
        decode::check(&seed);
        for at in 0..seed.len() {
            decode::check(&seed[..at]);
            decode::check(&seed[at..]);
            let mut changed = seed.clone();
            for octet in [0, 1, 0x7F, 0xFF, b'F', changed[at].wrapping_add(1)] {
                changed[at] = octet;
                decode::check(&changed);
            }
        }
    }
    assert!(count >= 5, "only {count} seeds found");
}
