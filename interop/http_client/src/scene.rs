//! What a scenario gets: the client, a vhost of its own, and users that are gone afterwards. What goes wrong ends in a panic.

use std::cell::RefCell;
use std::panic::resume_unwind;
use std::time::{Duration, Instant};

use rabbitmq_http_client::blocking_api::Client;
use rabbitmq_http_client::error::Error;
use rabbitmq_http_client::password_hashing::{base64_encoded_salted_password_hash_sha256, salt};
use rabbitmq_http_client::requests::{Permissions, UserParams, VirtualHostParams};
use url::Url;

const DEADLINE: Duration = Duration::from_secs(50);

pub type Api = Client<String, String, String>;
pub type Answer<T> = rabbitmq_http_client::blocking_api::Result<T>;

/// The end of a scenario that this broker cannot do.
pub struct Skipped;

pub struct Scene {
    pub api: Api,
    pub vhost: String,
    /// Who runs the scenario, and where AMQP is spoken.
    pub uri: Url,
    endpoint: String,
    vhosts: RefCell<Vec<String>>,
    users: RefCell<Vec<String>>,
}

impl Scene {
    pub fn new() -> Self {
        let Ok(http) = std::env::var("HTTP_URI") else {
            println!("HTTP_URI is not set");
            std::process::exit(77);
        };
        let uri: Url = std::env::var("AMQP_URI").expect("AMQP_URI").parse().unwrap();
        let endpoint = format!("{}/api", http.trim_end_matches('/'));
        let api = login(&endpoint, uri.username(), uri.password().unwrap_or_default());
        let vhost = name("vhost");
        api.create_vhost(&VirtualHostParams::named(&vhost)).unwrap();
        let vhosts = RefCell::new(vec![vhost.clone()]);
        Self { api, vhost, uri, endpoint, vhosts, users: RefCell::default() }
    }

    /// Ends the scenario on RabbitMQ before 4, which does not have this, or not so that this client understands it.
    pub fn not_on_rabbitmq_3(&self, what: &str) {
        let overview = self.api.overview().unwrap();
        if overview.product_name == "RabbitMQ" && !overview.rabbitmq_version.starts_with('4') {
            skip(&format!("RabbitMQ {} {what}", overview.rabbitmq_version));
        }
    }

    /// Ends the scenario on every RabbitMQ.
    pub fn not_on_rabbitmq(&self, what: &str) {
        if self.api.overview().unwrap().product_name == "RabbitMQ" {
            skip(&format!("RabbitMQ {what}"));
        }
    }

    /// Ends the scenario on a RabbitMQ where the plugin that would have given this answer is not enabled.
    pub fn needs_plugin<T>(&self, plugin: &str, answer: Answer<T>) {
        let rabbitmq = self.api.overview().unwrap().product_name == "RabbitMQ";
        if rabbitmq && matches!(answer, Err(Error::NotFound)) {
            skip(&format!("it needs the plugin {plugin}"));
        }
    }

    pub fn node(&self) -> String {
        self.api.overview().unwrap().node
    }

    /// The name of a vhost that the scenario makes.
    pub fn vhost_name(&self) -> String {
        let vhost = name("other");
        self.vhosts.borrow_mut().push(vhost.clone());
        vhost
    }

    /// The name of a user that the scenario makes.
    pub fn user_name(&self) -> String {
        let user = name("user");
        self.users.borrow_mut().push(user.clone());
        user
    }

    /// A user with these tags who may do everything in the scenario's vhost, and the API as that user.
    pub fn new_user(&self, tags: &str) -> (String, Api) {
        let user = self.user_name();
        let hash = base64_encoded_salted_password_hash_sha256(&salt(), "secret");
        self.api.create_user(&UserParams::new(&user, &hash, tags)).unwrap();
        let rights = Permissions::full_access(&user, &self.vhost);
        self.api.declare_permissions(&rights).unwrap();
        let api = self.login(&user, "secret");
        (user, api)
    }

    pub fn login(&self, user: &str, password: &str) -> Api {
        login(&self.endpoint, user, password)
    }

    pub fn clean_up(&self) {
        for vhost in self.vhosts.borrow().iter() {
            let _ = self.api.delete_vhost(vhost, true);
        }
        for user in self.users.borrow().iter() {
            let _ = self.api.delete_user(user, true);
        }
    }
}

fn login(endpoint: &str, user: &str, password: &str) -> Api {
    Client::new(endpoint.to_owned(), user.to_owned(), password.to_owned())
}

pub fn name(kind: &str) -> String {
    // A slash, since names may have one.
    format!("interop/{kind}.{:016x}", rand::random::<u64>())
}

pub fn skip(why: &str) -> ! {
    println!("{why}");
    // Without the message of a panic.
    resume_unwind(Box::new(Skipped))
}

/// Waits until the condition gives something, as some figures are some seconds old.
#[track_caller]
pub fn until<T>(what: &str, condition: impl Fn() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(started.elapsed() < DEADLINE, "timed out waiting until {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[track_caller]
pub fn not_found<T: std::fmt::Debug>(answer: Answer<T>) {
    assert!(matches!(answer, Err(Error::NotFound)), "{answer:?}");
}

/// The answer is a refusal with this status, whose reason contains this text.
#[track_caller]
pub fn refused<T: std::fmt::Debug>(answer: Answer<T>, status: u16, text: &str) {
    let Err(Error::ClientErrorResponse { status_code, body, .. }) = answer else {
        panic!("it was not refused: {answer:?}");
    };
    assert_eq!(status_code.as_u16(), status);
    let body = body.unwrap_or_default();
    assert!(body.contains(text), "{body:?} does not say {text:?}");
}
