//! Random stories of several clients on one broker, and the committed seeds, through the check that the
//! fuzz target uses.
//!
//! A failure prints its seed and the shortest input that still fails; put that into a file in
//! `fuzz/seeds/session` together with the fix. To run a seed again, or many more of them:
//!
//! ```text
//! LEVERET_SEED=42 cargo test --test session_fuzz
//! LEVERET_ROUNDS=1000000 cargo test --release --test session_fuzz
//! ```

#[path = "../fuzz/checks/session.rs"]
mod session;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

#[test]
fn random_stories_end_well() {
    let number = |name: &str| {
        let text = std::env::var(name).ok()?;
        Some(text.parse::<u64>().unwrap_or_else(|_| panic!("{name} is not a number")))
    };
    let seeds: Vec<u64> = match number("LEVERET_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("LEVERET_ROUNDS").unwrap_or(400)).map(|_| rand::random()).collect(),
    };
    for seed in seeds {
        let mut random = SmallRng::seed_from_u64(seed);
        let length = random.random_range(50..4000);
        let input: Vec<u8> = (0..length).map(|_| random.random()).collect();
        if fails(&input) {
            let input = shortest(input);
            eprintln!("LEVERET_SEED={seed} fails, as does {input:?}");
            session::check(&input);
        }
    }
}

#[test]
fn seeds_end_well() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/session");
    let mut count = 0;
    for entry in std::fs::read_dir(seeds).unwrap() {
        let path = entry.unwrap().path();
        eprintln!("{}", path.display());
        session::check(&std::fs::read(&path).unwrap());
        count += 1;
    }
    assert!(count >= 5, "only {count} seeds found");
}

fn fails(input: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| session::check(input))).is_err()
}

/// Leaves out pieces, large ones first, as long as it still fails.
fn shortest(mut input: Vec<u8>) -> Vec<u8> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let mut piece = input.len() / 2;
    while piece > 0 {
        let mut at = 0;
        while at < input.len() {
            let mut shorter = input.clone();
            shorter.drain(at..(at + piece).min(input.len()));
            if fails(&shorter) {
                input = shorter;
            } else {
                at += piece;
            }
        }
        piece /= 2;
    }
    std::panic::set_hook(hook);
    input
}
