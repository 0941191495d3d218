mod access;

use std::sync::atomic::AtomicUsize;
use std::sync::mpsc;
use std::time::Duration;

use redb::StorageBackend;

use super::*;
use crate::protocol::{FieldTable, FieldValue};
use crate::storage::{
    BindingRecord, ExchangeRecord, ParameterRecord, PolicyRecord, QueueRecord, Record,
};

fn every_type() -> FieldTable {
    let nested: FieldTable =
        [("a", FieldValue::I32(1)), ("b", FieldValue::Void)].into_iter().collect();
    let values = vec![
        FieldValue::Bool(true),
        FieldValue::Bool(false),
        FieldValue::I8(-1),
        FieldValue::U8(255),
        FieldValue::I16(i16::MIN),
        FieldValue::U16(u16::MAX),
        FieldValue::I32(i32::MIN),
        FieldValue::U32(u32::MAX),
        FieldValue::I64(i64::MIN),
        FieldValue::F32(1.5),
        FieldValue::F64(-0.0),
        FieldValue::Decimal { scale: 2, value: 12345 },
        FieldValue::LongString(b"not \xFF text".to_vec()),
        FieldValue::LongString(vec![b'x'; 100_000]),
        FieldValue::Timestamp(u64::MAX),
        FieldValue::Table(nested.clone()),
        FieldValue::Void,
        FieldValue::Binary(vec![0, 1, 2]),
    ];
    let mut table: FieldTable =
        values.iter().enumerate().map(|(n, value)| (format!("key {n}"), value.clone())).collect();
    table.insert("array", FieldValue::Array(values));
    // A name may occur twice.
    table.0.push(("array".into(), FieldValue::Table(nested)));
    table
}

fn queue(name: &str, id: u64) -> Change {
    let arguments = FieldTable::new();
    Change::PutQueue(QueueRecord {
        name: name.into(),
        id: QueueId(id),
        auto_delete: false,
        arguments,
        undelivered: None,
    })
}

fn binding(source: &str, destination: &str, key: &str, arguments: FieldTable) -> BindingRecord {
    BindingRecord {
        source: source.into(),
        to_queue: true,
        destination: destination.into(),
        routing_key: key.into(),
        arguments,
    }
}

fn never_fails() -> OnFailure {
    Box::new(|error| panic!("{error}"))
}

fn open(directory: &Path) -> RedbDefinitions {
    RedbDefinitions::open(directory, never_fails()).unwrap()
}

fn put(store: &RedbDefinitions, vhost: &str, changes: impl IntoIterator<Item = Change>) {
    for change in changes {
        store.commit(&vhost.into(), change, Box::new(|result| result.unwrap()));
    }
    store.wait_committed(store.requested()).unwrap();
}

fn names(definitions: &[Definition]) -> Vec<String> {
    let name = |definition: &Definition| {
        let vhost = &definition.vhost;
        match &definition.record {
            Record::Vhost(_) => format!("{vhost}"),
            Record::Exchange(exchange) => format!("{vhost} exchange {}", exchange.name),
            Record::Queue(queue) => format!("{vhost} queue {}", queue.name),
            Record::Policy(policy) => format!("{vhost} policy {}", policy.name),
            Record::Parameter(parameter) => format!("{vhost} parameter {}", parameter.name),
            Record::GlobalParameter { name, value } => format!("global {name} {value}"),
            Record::Binding(binding) => {
                format!(
                    "{vhost} {}-{}->{}",
                    binding.source, binding.routing_key, binding.destination
                )
            }
        }
    };
    definitions.iter().map(name).collect()
}

#[test]
fn parameters_survive_until_they_are_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let parameter = |name: &str| ParameterRecord {
        component: "shovel".to_owned(),
        name: name.to_owned(),
        value: r#"{"a":[1,null]}"#.to_owned(),
    };
    let global = |name: &str| Change::PutGlobalParameter {
        name: name.to_owned(),
        value: "\"x\"".to_owned(),
    };
    put(
        &store,
        "v",
        [Change::PutParameter(parameter("one")), Change::PutParameter(parameter("two"))],
    );
    put(&store, "", [global("a"), global("b")]);
    let (component, name) = ("shovel".to_owned(), "one".to_owned());
    put(&store, "v", [Change::DeleteParameter { component, name }]);
    put(&store, "", [Change::DeleteGlobalParameter { name: "a".to_owned() }]);
    store.close();
    let store = open(directory.path());
    let loaded = store.load().unwrap();
    assert_eq!(names(&loaded), ["global b \"x\"", "v parameter two"]);
    assert_eq!(loaded[1].record, Record::Parameter(parameter("two")));
    put(&store, "v", [Change::DeleteVhost]);
    assert_eq!(names(&store.load().unwrap()), ["global b \"x\""]);
}

#[test]
fn every_definition_and_argument_type_survives() {
    let directory = tempfile::tempdir().unwrap();
    let exchange = ExchangeRecord {
        name: "an exchange".into(),
        kind: "x-unknown".to_owned(),
        auto_delete: true,
        internal: true,
        arguments: every_type(),
        delay_queues: Some(QueueId(u64::MAX / 3)),
    };
    let queue = QueueRecord {
        name: "a queue".into(),
        id: QueueId(u64::MAX),
        auto_delete: true,
        arguments: every_type(),
        undelivered: Some(QueueId(u64::MAX - 1)),
    };
    let longest = "ü".repeat(127);
    let bindings = [
        binding(&longest, &longest, &longest, every_type()),
        BindingRecord { to_queue: false, ..binding("", "q", "", FieldTable::new()) },
    ];
    let policy = PolicyRecord {
        name: longest.clone(),
        operator: false,
        pattern: "^ä|".repeat(1000),
        apply_to: "quorum_queues".to_owned(),
        priority: i64::MIN,
        definition: every_type(),
    };
    // One name, two policies.
    let operator = PolicyRecord { operator: true, ..policy.clone() };
    let store = open(directory.path());
    let [one, two] = bindings.clone();
    // In the wrong order, which the file puts right.
    put(
        &store,
        "v\0",
        [
            Change::PutPolicy(operator.clone()),
            Change::PutPolicy(policy.clone()),
            Change::PutPolicy(PolicyRecord { name: "gone".to_owned(), ..policy.clone() }),
            Change::DeletePolicy { operator: true, name: "gone".to_owned() },
            Change::DeletePolicy { operator: false, name: "gone".to_owned() },
            Change::PutBinding(one),
            Change::PutBinding(two),
            Change::PutQueue(queue.clone()),
            Change::PutExchange(exchange.clone()),
            Change::PutVhost(every_type()),
        ],
    );
    let expected = [
        Record::Vhost(every_type()),
        Record::Exchange(exchange),
        Record::Queue(queue),
        Record::Binding(bindings[1].clone()),
        Record::Binding(bindings[0].clone()),
        Record::Policy(policy),
        Record::Policy(operator),
    ];
    let expected = expected.map(|record| Definition { vhost: "v\0".into(), record });
    assert_eq!(store.load().unwrap(), expected);
    drop(store);
    assert_eq!(open(directory.path()).load().unwrap(), expected);
}

#[test]
fn a_float_that_is_not_a_number_keeps_its_bits() {
    let directory = tempfile::tempdir().unwrap();
    let bits = 0x7FF8_0000_DEAD_BEEF;
    let arguments = [("nan", FieldValue::F64(f64::from_bits(bits)))].into_iter().collect();
    let store = open(directory.path());
    put(&store, "/", [Change::PutBinding(binding("x", "q", "", arguments))]);
    let loaded = store.load().unwrap();
    let Record::Binding(binding) = &loaded[0].record else { panic!("{loaded:?}") };
    let Some(FieldValue::F64(nan)) = binding.arguments.get("nan") else { panic!("{binding:?}") };
    assert_eq!(nan.to_bits(), bits);
    // It is still the same binding.
    put(&store, "/", [Change::DeleteBinding(binding.clone())]);
    assert_eq!(store.load().unwrap(), []);
}

#[test]
fn bindings_are_told_apart_by_the_types_of_their_arguments_but_not_by_their_order() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let with =
        |pairs: &[(&str, FieldValue)]| binding("x", "q", "k", pairs.iter().cloned().collect());
    let (a, b) = (("a", FieldValue::I32(1)), ("b", FieldValue::I32(2)));
    let long = ("a", FieldValue::I64(1));
    put(
        &store,
        "/",
        [
            Change::PutBinding(with(&[a.clone(), b.clone()])),
            Change::PutBinding(with(&[long, b.clone()])),
            Change::PutBinding(with(&[])),
            Change::DeleteBinding(with(&[b, a])),
        ],
    );
    assert_eq!(store.load().unwrap().len(), 2);
}

#[test]
fn deleted_things_and_vhosts_are_gone_and_their_neighbours_are_not() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for vhost in ["a", "ab", "b"] {
        let binding = binding("x", "q", "k", FieldTable::new());
        put(
            &store,
            vhost,
            [Change::PutVhost(FieldTable::new()), queue("q", 1), Change::PutBinding(binding)],
        );
    }
    put(&store, "ab", [Change::DeleteVhost]);
    put(&store, "b", [Change::DeleteQueue { name: "q".into() }]);
    let expected = ["a", "a queue q", "a x-k->q", "b", "b x-k->q"];
    assert_eq!(names(&store.load().unwrap()), expected);
    drop(store);
    assert_eq!(names(&open(directory.path()).load().unwrap()), expected);
}

#[test]
fn queue_ids_are_never_given_out_twice() {
    let directory = tempfile::tempdir().unwrap();
    let mut last = QueueId(0);
    for _ in 0..3 {
        // Used by nothing that was committed.
        let store = open(directory.path());
        for _ in 0..3 {
            let id = store.next_queue_id();
            assert!(id > last, "{id:?} after {last:?}");
            last = id;
        }
    }
}

#[test]
fn queue_ids_that_run_out_are_extended_in_time() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    // Far beyond what was set aside at open.
    store.shared.next_queue_id.fetch_add(3 * QUEUE_IDS_RESERVED, Ordering::Relaxed);
    let id = store.next_queue_id();
    put(&store, "/", [queue("q", id.0)]);
    drop(store);
    assert!(open(directory.path()).next_queue_id() > id);
}

#[test]
fn a_closed_store_has_committed_what_was_waiting_and_takes_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for n in 0..100 {
        store.commit(&"/".into(), queue(&n.to_string(), n), Box::new(|result| result.unwrap()));
    }
    store.close();
    assert_eq!((store.requested(), store.committed()), (100, 100));
    let (done, result) = mpsc::channel();
    store.commit(&"/".into(), queue("late", 1), Box::new(move |r| done.send(r).unwrap()));
    assert!(result.try_recv().unwrap().is_err());
    assert_eq!(open(directory.path()).load().unwrap().len(), 100);
}

// Files that are not what they should be.

#[track_caller]
fn refused(directory: &Path) -> String {
    match RedbDefinitions::open(directory, never_fails()).map(|store| store.load()) {
        Ok(Ok(definitions)) => panic!("read {definitions:?}"),
        Ok(Err(error)) | Err(error) => {
            let error = error.to_string();
            assert!(error.contains("definitions.redb") && !error.contains('\n'), "{error}");
            error
        }
    }
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let database = Database::create(directory.path().join(FILE)).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(META).unwrap().insert(FORMAT_ROW, FORMAT + 1).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = refused(directory.path());
    assert!(error.ends_with("format is 4, and this version of leveret reads format 3"), "{error}");
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    for content in [&b""[..], b"{}", &[0; 10_000]] {
        std::fs::write(directory.path().join(FILE), content).unwrap();
        refused(directory.path());
    }
}

#[test]
fn a_file_whose_creation_was_cut_short_is_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(NEW_FILE), [0; 4096]).unwrap();
    assert_eq!(open(directory.path()).load().unwrap(), []);
    assert!(!directory.path().join(NEW_FILE).exists());
}

#[test]
fn a_row_that_cannot_be_read_is_named() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let database = Database::create(directory.path().join(FILE)).unwrap();
    let transaction = database.begin_write().unwrap();
    let key = ("/", 2, &b"orders"[..]);
    transaction.open_table(DEFINITIONS).unwrap().insert(key, &[1, 2][..]).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = refused(directory.path());
    assert!(error.contains("the row of kind 2 named 'orders' in vhost '/'"), "{error}");
}

/// Every byte that matters is covered by a checksum: what is read is what was written, or nothing.
#[test]
fn a_flipped_byte_is_reported_or_does_not_matter() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    put(&store, "/", (0..200).map(|n| queue(&format!("queue {n}"), n)));
    let expected = store.load().unwrap();
    drop(store);
    let path = directory.path().join(FILE);
    let bytes = std::fs::read(&path).unwrap();
    let mut reported = 0;
    // The header, and a step through the rest.
    let offsets = (0..320).step_by(7).chain((320..bytes.len()).step_by(1021));
    for offset in offsets {
        let mut bytes = bytes.clone();
        bytes[offset] ^= 0x55;
        std::fs::write(&path, &bytes).unwrap();
        match RedbDefinitions::open(directory.path(), never_fails()).map(|store| store.load()) {
            Ok(Ok(definitions)) => assert!(definitions == expected, "offset {offset}"),
            Ok(Err(_)) | Err(_) => reported += 1,
        }
    }
    assert!(reported > 0);
}

// A disk that waits, and one that fails.

/// A disk in memory.
#[derive(Clone, Debug, Default)]
struct Disk(Arc<Platter>);

#[derive(Debug, Default)]
struct Platter {
    bytes: Mutex<Vec<u8>>,
    /// Held by a test that stops syncs.
    gate: Mutex<()>,
    /// Writes and syncs that still work.
    good: AtomicUsize,
}

impl Disk {
    fn new() -> Self {
        let disk = Self::default();
        disk.0.good.store(usize::MAX, Ordering::Relaxed);
        initialize(&disk.database()).unwrap();
        disk
    }

    fn database(&self) -> Database {
        builder().create_with_backend(self.clone()).unwrap()
    }

    fn open(&self, on_failure: OnFailure) -> RedbDefinitions {
        let database = self.database();
        let reserved = prepare(&database).unwrap();
        RedbDefinitions::start(database, reserved, on_failure).unwrap()
    }

    fn operate(&self) -> std::io::Result<()> {
        let less = |good: usize| match good {
            usize::MAX => Some(usize::MAX),
            good => good.checked_sub(1),
        };
        match self.0.good.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less) {
            Ok(_) => Ok(()),
            Err(_) => Err(std::io::Error::other("a broken disk")),
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> std::io::Result<u64> {
        Ok(self.0.bytes.lock().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        let offset = offset as usize;
        out.copy_from_slice(&self.0.bytes.lock()[offset..offset + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.operate()?;
        self.0.bytes.lock().resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> std::io::Result<()> {
        drop(self.0.gate.lock());
        self.operate()
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.operate()?;
        let offset = offset as usize;
        self.0.bytes.lock()[offset..offset + data.len()].copy_from_slice(data);
        Ok(())
    }
}

#[test]
fn what_comes_during_a_sync_is_one_group_and_answered_in_order() {
    let disk = Disk::new();
    let store = disk.open(never_fails());
    let (done, order) = mpsc::channel();
    let commit = |n: u64| {
        let done = done.clone();
        let answer = move |result: Result<(), StoreError>| done.send((n, result.is_ok())).unwrap();
        assert_eq!(
            store.commit(&"/".into(), queue(&n.to_string(), n), Box::new(answer)),
            Commit::Later
        );
    };
    let gate = disk.0.gate.lock();
    commit(0);
    // Until the thread is at the gate with it.
    while !store.shared.state.lock().waiting.is_empty() {
        std::thread::yield_now();
    }
    (1..1000).for_each(commit);
    let waiter = done.clone();
    let answer = move |result: Result<(), StoreError>| waiter.send((1000, result.is_ok())).unwrap();
    assert_eq!(store.when_committed(1000, Box::new(answer)), Commit::Later);
    assert_eq!((store.requested(), store.committed()), (1000, 0));
    assert_eq!(order.recv_timeout(Duration::from_millis(20)), Err(mpsc::RecvTimeoutError::Timeout));
    drop(gate);
    for n in 0..=1000 {
        assert_eq!(order.recv(), Ok((n, true)));
    }
    store.wait_committed(1000).unwrap();
    assert_eq!((store.committed(), store.transactions()), (1000, 2));
    assert_eq!(store.when_committed(1000, Box::new(|_| panic!("it is"))), Commit::Now);
}

/// Whatever fails: what was answered well is there afterwards, nothing is answered well after the
/// failure, and it is reported once.
#[test]
fn a_failing_disk_poisons_the_store_and_loses_nothing_that_was_answered() {
    let mut failures = 0;
    for good in 0.. {
        let disk = Disk::new();
        let (failed, reports) = mpsc::channel();
        let store = disk.open(Box::new(move |error| failed.send(error).unwrap()));
        disk.0.good.store(good, Ordering::Relaxed);
        let (done, results) = mpsc::channel();
        for n in 0..20 {
            let done = done.clone();
            let answer = move |result: Result<(), StoreError>| done.send(result.is_ok()).unwrap();
            store.commit(&"/".into(), queue(&n.to_string(), n), Box::new(answer));
            if n % 3 == 0 {
                let _ = store.wait_committed(n + 1);
            }
        }
        let results: Vec<bool> = (0..20).map(|_| results.recv().unwrap()).collect();
        let answered = results.iter().take_while(|ok| **ok).count();
        assert!(results[answered..].iter().all(|ok| !ok), "{results:?}");
        if answered < 20 {
            failures += 1;
            let error = store.wait_committed(20).unwrap_err().to_string();
            assert!(error.starts_with("definitions cannot be stored: "), "{error}");
            store.close();
            assert_eq!(reports.iter().count(), 1);
        } else {
            store.close();
        }
        disk.0.good.store(usize::MAX, Ordering::Relaxed);
        let there = disk.open(never_fails()).load().unwrap().len();
        assert!(there >= answered, "{there} of {answered} after {good} operations");
        if answered == 20 {
            break;
        }
    }
    assert!(failures > 5, "{failures}");
}

#[test]
fn changes_that_are_held_together_are_one_transaction() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    put(&store, "v", [queue("before", 1)]);
    let transactions = store.transactions();
    let (done, committed) = mpsc::channel();
    let together = crate::storage::Together::new(&store);
    let inner = crate::storage::Together::new(&store);
    for id in 2..100 {
        let done = done.clone();
        let change = queue(&format!("q{id}"), id);
        store.commit(&"v".into(), change, Box::new(move |result| done.send(result).unwrap()));
    }
    drop(inner);
    assert_eq!((store.transactions(), store.load().unwrap().len()), (transactions, 1));
    assert!(committed.try_recv().is_err());
    drop(together);
    store.wait_committed(store.requested()).unwrap();
    assert_eq!((store.transactions(), store.load().unwrap().len()), (transactions + 1, 99));
    assert_eq!(committed.try_iter().count(), 98);
}

/// As at a crash: it was not finished.
#[test]
fn what_is_still_held_at_the_end_is_not_stored() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    put(&store, "v", [queue("before", 1)]);
    store.hold();
    let (done, told) = mpsc::channel();
    store.commit(&"v".into(), queue("half", 2), Box::new(move |result| done.send(result).unwrap()));
    store.close();
    assert!(told.recv().unwrap().is_err());
    drop(store);
    assert_eq!(names(&open(directory.path()).load().unwrap()), ["v queue before"]);
}
