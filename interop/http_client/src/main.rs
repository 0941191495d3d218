//! RabbitMQ's own client for the HTTP API in Rust, unchanged. It reads answers strictly: a field that is missing or of another
//! type is an error. `--list` names the scenarios; a NAME runs one.

mod amqp;
mod scenarios;
mod scene;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::exit;

use scene::Scene;

fn main() {
    let wanted = std::env::args().nth(1).expect("--list or a name");
    let all = scenarios::all();
    if wanted == "--list" {
        all.iter().for_each(|(name, _)| println!("{name}"));
        return;
    }
    let (_, scenario) = all.iter().find(|(name, _)| *name == wanted).expect("no such scenario");
    let scene = Scene::new();
    let result = catch_unwind(AssertUnwindSafe(|| scenario(&scene)));
    scene.clean_up();
    match result {
        Ok(()) => {}
        Err(panic) if panic.is::<scene::Skipped>() => exit(77),
        Err(_) => exit(1),
    }
}
