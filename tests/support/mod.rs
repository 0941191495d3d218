//! A broker and scripted clients, without sockets, tasks or a clock.
//!
//! A [`World`] owns a broker and the time; [`World::connect`] gives a [`Peer`], which is a client that
//! a test drives line by line. Whatever a peer sends is handled at once, by all sessions that it
//! concerns, so that the next line can expect the answer, or another peer's delivery:
//!
//! ```ignore
//! let world = World::new();
//! let peer = world.connect();
//! peer.open_channel(1);
//! peer.send(1, queue::Purge { queue: "nowhere", nowait: false });
//! peer.expect_channel_error(1, 404, "NOT_FOUND - no queue 'nowhere' in vhost '/'")
//!     .for_method(50, 30);
//! ```
//!
//! `peer` is what is sent and expected, frame by frame; `verbs` is what most tests do with it;
//! `received` is what comes back; `link` moves the bytes as the server's task does.

// Every test file is a crate of its own and uses a part of this; whatever fails here fails a test.
#![allow(dead_code, unused_imports, clippy::indexing_slicing, clippy::unwrap_used)]

mod link;
mod peer;
mod received;
mod verbs;

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use leveret::auth::{Authenticator, External};
use leveret::broker::{Broker, Found, Limits, Resource};
use leveret::delivery::Outgoing;
use leveret::message::Position;
use leveret::session::{Offer, Services};
use leveret::storage::disk::RealDisk;
use leveret::storage::journal::{Journal, Options};
use leveret::storage::memory::{HeldStore, MemoryDefinitions, MemoryMessages, Record};
use leveret::storage::{
    Change, DefinitionStore, DurableMessages, Figures, MessageStore, Pager, RedbDefinitions,
    Segment, SegmentStore, StoreError,
};
use leveret::time::Time;

use self::link::Link;
pub use self::peer::{Client, Peer};
pub use self::received::{Content, Delivery, Received, Returned};
pub use self::verbs::{
    channel_close, header_frame, method_frame, persistent, publish, raw_frame, text,
};

/// When a world begins.
const NOW: Time = Time(1_700_000_000_000);

/// A broker, the time, and everybody who is connected.
pub struct World {
    pub broker: Arc<Broker>,
    pub authenticator: Arc<Authenticator>,
    shared: Rc<Shared>,
    held: Option<Arc<HeldStore>>,
}

/// What a world and its peers work with.
struct Shared {
    services: Arc<Services>,
    now: Cell<Time>,
    links: RefCell<Vec<Weak<RefCell<Link>>>>,
    on_disk: Option<OnDisk>,
}

/// Stores with threads of their own, which are waited for.
struct OnDisk {
    definitions: Arc<dyn DefinitionStore>,
    messages: Arc<dyn MessageStore>,
}

impl OnDisk {
    fn wait(&self) {
        self.definitions.wait_committed(self.definitions.requested()).unwrap();
        let (done, waiting) = std::sync::mpsc::channel();
        let wake = Box::new(move || done.send(()).unwrap());
        self.messages.when_durable(self.messages.position(), wake);
        waiting.recv().expect("what was handed in becomes durable");
        if let Some(pager) = self.messages.pager() {
            wait_for_pager(&*pager);
        }
    }
}

/// Waits until a pager's threads have done what they were asked to do.
fn wait_for_pager(pager: &dyn Pager) {
    let nothing = Segment {
        number: u64::MAX,
        queue: None,
        first: Position(1),
        last: Position(1),
        figures: Figures::default(),
        persistent: 0,
        span: None,
        recovered: false,
    };
    let (done, waiting) = std::sync::mpsc::channel();
    let read = done.clone();
    pager.read(&nothing, Box::new(move |_| read.send(()).unwrap()));
    pager.remove(&nothing, Box::new(move || done.send(()).unwrap()));
    waiting.iter().take(2).for_each(drop);
}

impl World {
    /// Everything is as durable as it gets at once.
    pub fn new() -> Self {
        Self::with(Limits::default(), Offer::default())
    }

    pub fn with(limits: Limits, offer: Offer) -> Self {
        let (definitions, messages) =
            (Arc::new(MemoryDefinitions::default()), Arc::new(MemoryMessages));
        Self::build(limits, offer, definitions, messages, None)
    }

    /// Another way to judge logins, where `guest` is the only user.
    pub fn judged_by(authenticator: Authenticator) -> Self {
        let (definitions, messages) =
            (Arc::new(MemoryDefinitions::default()), Arc::new(MemoryMessages));
        let broker = Broker::new(Limits::default(), definitions, messages);
        Self::guarded(broker, authenticator, Offer::default(), None, None)
    }

    /// The store answers when it is told to: [`sync`](Self::sync) and
    /// [`finish_commits`](Self::finish_commits).
    pub fn held() -> Self {
        let store = Arc::new(HeldStore::default());
        let (definitions, messages) = (Arc::clone(&store), Arc::clone(&store));
        let world =
            Self::build(Limits::default(), Offer::default(), definitions, messages, Some(store));
        // The vhost itself.
        world.finish_commits(&Ok(()));
        world
    }

    /// With what the store kept. Its thread is waited for wherever something is sent.
    pub fn on_disk(definitions: Arc<RedbDefinitions>) -> Self {
        let (messages, limits) = (Arc::new(MemoryMessages), Limits::default());
        Self::restored(definitions, messages, Found::default(), NOW, limits)
    }

    /// With all that a directory keeps, as the binary starts, at `now` or later. To drop it and all
    /// its peers is to kill it when nothing is under way.
    pub fn in_directory(directory: &Path, now: Time) -> Self {
        Self::in_directory_with(directory, now, Limits::default())
    }

    pub fn in_directory_with(directory: &Path, now: Time, limits: Limits) -> Self {
        let definitions = RedbDefinitions::open(directory, Box::new(|error| panic!("{error}")));
        let definitions = Arc::new(definitions.unwrap());
        let (path, options) = (directory.join("journal"), Options::default());
        let failed = Box::new(|error| panic!("{error}"));
        let opened = Journal::open(Arc::new(RealDisk), &path, options, failed.clone());
        let (journal, found) = opened.unwrap();
        let path = directory.join("segments");
        let (segments, scanned) = SegmentStore::open(Arc::new(RealDisk), &path, failed).unwrap();
        assert_eq!((found.report, scanned.report), (vec![], vec![]));
        for (queue, segment) in scanned
            .segments
            .iter()
            .flat_map(|(queue, all)| all.iter().map(move |segment| (*queue, segment)))
        {
            journal.in_segments(queue, segment.first.0, segment.last.0);
        }
        journal.segments_known();
        let found = Found { queues: found.queues, segments: scanned.segments, clean: found.clean };
        let messages = DurableMessages::new(journal, Arc::clone(&definitions) as _, segments);
        Self::restored(definitions, Arc::new(messages), found, now.max(NOW), limits)
    }

    fn restored(
        definitions: Arc<RedbDefinitions>,
        messages: Arc<dyn MessageStore>,
        found: Found,
        now: Time,
        limits: Limits,
    ) -> Self {
        let kept = definitions.load().unwrap();
        let on_disk = OnDisk { definitions, messages };
        let (definitions, messages) =
            (Arc::clone(&on_disk.definitions), Arc::clone(&on_disk.messages));
        let broker = Broker::new(limits, definitions, messages);
        broker.recover(kept, now);
        broker.recover_messages(found, &[], now);
        let world = Self::around(broker, Offer::default(), None, Some(on_disk));
        world.shared.now.set(now);
        world
    }

    fn build(
        limits: Limits,
        offer: Offer,
        definitions: Arc<dyn DefinitionStore>,
        messages: Arc<dyn MessageStore>,
        held: Option<Arc<HeldStore>>,
    ) -> Self {
        Self::around(Broker::new(limits, definitions, messages), offer, held, None)
    }

    fn around(
        broker: Arc<Broker>,
        offer: Offer,
        held: Option<Arc<HeldStore>>,
        on_disk: Option<OnDisk>,
    ) -> Self {
        let authenticator = Authenticator::new(vec!["guest".into()]);
        Self::guarded(broker, authenticator, offer, held, on_disk)
    }

    fn guarded(
        broker: Arc<Broker>,
        authenticator: Authenticator,
        offer: Offer,
        held: Option<Arc<HeldStore>>,
        on_disk: Option<OnDisk>,
    ) -> Self {
        broker.create_vhost(&"/".into());
        let authenticator = Arc::new(authenticator);
        authenticator.add_default_user("guest".into(), "guest", "/".into());
        let services = Arc::new(Services {
            broker: Arc::clone(&broker),
            authenticator: Arc::clone(&authenticator),
            offer,
        });
        let now = Cell::new(NOW);
        let shared = Rc::new(Shared { services, now, links: RefCell::default(), on_disk });
        Self { broker, authenticator, shared, held }
    }

    /// A client that has logged in as `guest` and opened the vhost `/`.
    #[track_caller]
    pub fn connect(&self) -> Peer {
        self.connect_as(&Client::default())
    }

    /// The same with channel 1 open.
    #[track_caller]
    pub fn open(&self) -> Peer {
        let peer = self.connect();
        peer.open_channel(1);
        peer
    }

    /// A client with other wishes.
    #[track_caller]
    pub fn connect_as(&self, client: &Client) -> Peer {
        let peer = self.dial();
        peer.handshake(client);
        peer
    }

    /// A connection over which nothing has been sent yet.
    pub fn dial(&self) -> Peer {
        self.dial_with(External::NotOffered)
    }

    /// The same over TLS, where clients are asked for a certificate.
    pub fn dial_with(&self, external: External) -> Peer {
        Peer::new(Rc::clone(&self.shared), true, external)
    }

    /// The same from another machine.
    pub fn dial_from_afar(&self) -> Peer {
        Peer::new(Rc::clone(&self.shared), false, External::NotOffered)
    }

    pub fn now(&self) -> Time {
        self.shared.now.get()
    }

    /// Lets time pass: everybody's timers, and the broker's, run when they are due.
    pub fn advance(&self, duration: Duration) {
        self.shared.advance(duration);
    }

    /// Lets everybody do what they were called for.
    pub fn settle(&self) {
        self.shared.settle();
    }

    /// Time passes, and no timer runs: they are late.
    pub fn pass_unnoticed(&self, duration: Duration) {
        self.shared.now.set(self.now() + duration);
    }

    /// Sets or clears an alarm, and lets everybody notice.
    pub fn set_alarm(&self, resource: Resource, on: bool) {
        self.broker.alarms.set(resource, on);
        self.shared.settle();
    }

    /// The broker stops: everybody is told why.
    pub fn shut_down(&self, reason: &str) {
        for link in self.shared.links() {
            let link = link.borrow();
            link.session.outbox().notify(Outgoing::Shutdown(reason.to_owned()));
            link.session.outbox().ring();
        }
        self.shared.settle();
    }

    /// Makes the messages that were handed to the store so far durable.
    pub fn sync(&self) {
        self.held.as_ref().expect("a held world").sync();
        self.shared.settle();
    }

    /// What the held store was told about messages since the last time this was asked.
    pub fn take_records(&self) -> Vec<Record> {
        self.held.as_ref().expect("a held world").take_records()
    }

    /// Ends the changes of definitions that the store has, well or badly, and says what they were.
    pub fn finish_commits(&self, result: &Result<(), StoreError>) -> Vec<Change> {
        let changes = self.finish_commits_unseen(result);
        self.shared.settle();
        changes
    }

    /// The same, but no connection has looked yet: what happens next comes to it in the same batch.
    pub fn finish_commits_unseen(&self, result: &Result<(), StoreError>) -> Vec<Change> {
        self.held.as_ref().expect("a held world").finish_commits(result)
    }
}

impl Shared {
    fn links(&self) -> Vec<Rc<RefCell<Link>>> {
        let mut links = self.links.borrow_mut();
        links.retain(|link| link.strong_count() > 0);
        links.iter().filter_map(Weak::upgrade).collect()
    }

    /// Moves bytes until nobody has anything to do.
    fn settle(&self) {
        let links = self.links();
        let now = self.now.get();
        loop {
            if let Some(on_disk) = &self.on_disk {
                on_disk.wait();
            }
            let mut any = false;
            let broker = &self.services.broker;
            if broker.next_deadline() == Time(0) {
                // Something that was waited for has come. Timers are another matter.
                broker.tick(now);
                any = true;
            }
            while links.iter().any(|link| link.borrow_mut().step(now)) {
                any = true;
            }
            if !any {
                break;
            }
        }
    }

    fn advance(&self, duration: Duration) {
        let until = self.now.get() + duration;
        self.settle();
        loop {
            let links = self.links();
            let due = |link: &Rc<RefCell<Link>>| link.borrow().deadline();
            let broker = &self.services.broker;
            let next = links.iter().map(due).min().unwrap_or(Time::NEVER);
            let next = next.min(broker.next_deadline());
            if next > until {
                break;
            }
            self.now.set(next.max(self.now.get()));
            while broker.next_deadline() <= self.now.get() {
                broker.tick(self.now.get());
            }
            for link in links.iter().filter(|link| due(link) <= next) {
                let mut link = link.borrow_mut();
                link.tick(self.now.get());
                assert!(link.deadline() > next, "a timer that ran is due again");
            }
            self.settle();
        }
        self.now.set(until);
    }
}
