//! What the scenarios of lapin and amqprs share. What goes wrong ends in a panic.

use std::panic::AssertUnwindSafe;
use std::process::{Command, exit};
use std::sync::Mutex;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use url::Url;

const DEADLINE: Duration = Duration::from_secs(50);

pub type Scenario = (&'static str, fn(&'static Broker) -> BoxFuture<'static, ()>);

/// The broker under test, and the names of what one scenario has created on it.
pub struct Broker {
    uri: Mutex<String>,
    pub queues: Mutex<Vec<String>>,
    pub exchanges: Mutex<Vec<String>>,
}

/// Each function under its own name.
#[macro_export]
macro_rules! scenarios {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), |broker| Box::pin($name(broker)))),*] };
}

/// `--list` names the scenarios; a NAME runs one against $AMQP_URI, and then `clean_up`.
pub async fn run(scenarios: &[Scenario], clean_up: fn(&'static Broker) -> BoxFuture<'static, ()>) {
    let wanted = std::env::args().nth(1).expect("--list or a name");
    if wanted == "--list" {
        scenarios.iter().for_each(|(name, _)| println!("{name}"));
        return;
    }
    let broker: &'static Broker = Box::leak(Box::new(Broker {
        uri: Mutex::new(std::env::var("AMQP_URI").expect("AMQP_URI")),
        queues: Mutex::default(),
        exchanges: Mutex::default(),
    }));
    let (_, scenario) =
        scenarios.iter().find(|(name, _)| *name == wanted).expect("no such scenario");
    let result = AssertUnwindSafe(soon(scenario(broker))).catch_unwind().await;
    clean_up(broker).await;
    exit(i32::from(result.is_err()));
}

impl Broker {
    pub fn uri(&self) -> String {
        self.uri.lock().unwrap().clone()
    }

    /// The same with another password.
    pub fn uri_with_password(&self, password: &str) -> String {
        let mut uri: Url = self.uri().parse().unwrap();
        uri.set_password(Some(password)).unwrap();
        uri.into()
    }

    /// The same over TLS, and the file that says who vouches for the broker; or the scenario is skipped.
    pub fn secure(&self) -> (String, String) {
        let (at, folder) = (needed("AMQPS_URI"), needed("TLS_FOLDER"));
        let (at, plain): (Url, Url) = (at.parse().unwrap(), self.uri().parse().unwrap());
        let (user, password) = (plain.username(), plain.password().unwrap());
        let (host, port) = (at.host_str().unwrap(), at.port().unwrap());
        (format!("amqps://{user}:{password}@{host}:{port}/%2f"), format!("{folder}/ca.pem"))
    }

    /// From here on use a broker that may be restarted, by what this returns, or skip the scenario.
    pub fn restartable(&self) -> impl Fn() + use<> {
        *self.uri.lock().unwrap() = needed("RESTART_URI");
        let command = needed("RESTART_BROKER");
        move || assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success())
    }

    pub fn new_queue(&self) -> String {
        let name = name("queue");
        self.queues.lock().unwrap().push(name.clone());
        name
    }

    pub fn new_exchange(&self, kind: &str) -> String {
        let name = name(kind);
        self.exchanges.lock().unwrap().push(name.clone());
        name
    }
}

pub fn name(kind: &str) -> String {
    format!("interop.{kind}.{:016x}", rand::random::<u64>())
}

/// The text of the refusal for a queue that is exclusive to somebody else.
pub fn locked(queue: &str) -> String {
    format!(
        "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{queue}' in vhost '/'. It could be \
         originally declared on another connection or the exclusive property value does not match that of the \
         original declaration."
    )
}

pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what).await.expect("timed out")
}

fn needed(name: &str) -> String {
    std::env::var(name).ok().filter(|value| !value.is_empty()).unwrap_or_else(|| {
        println!("it needs {name}");
        exit(77)
    })
}
