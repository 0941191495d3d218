use super::*;

#[test]
fn messages_come_back_as_they_went_in() {
    let keyed = message(true, b"keyed").readdressed(
        b"\x01x\x01k",
        &[0x10, 0, 2],
        Some(b"S\0\0\0\x01k"),
        Traits { persistent: true, ..Traits::default() },
    );
    let messages = vec![
        queued(3, true, b""),
        Queued { deadline: Time(99), ..queued(4, false, b"transient") },
        Queued { redelivered: true, ..queued(9, true, &[7; 20_000]) },
        Queued { message: keyed, ..queued(10, true, b"") },
    ];
    let (store, ..) = open(&MemoryDisk::default());
    let segment = write(&store, messages.clone()).unwrap();
    let expected = Segment {
        number: 1,
        queue: QUEUE,
        first: Position(3),
        last: Position(10),
        figures: Figures {
            messages: 4,
            bytes: 9 + 20_000 + 5,
            deadlines: 1,
            persistent: 3,
            persistent_bytes: 20_005,
        },
        persistent: 3,
        span: None,
        recovered: false,
    };
    assert_eq!(segment, expected);
    for read in [read(&store, &segment), store.read_now(&segment)] {
        assert_eq!(all_seen(&read.unwrap()), all_seen(&messages));
    }
}

#[test]
fn what_is_persistent_is_found_after_a_restart_and_nothing_else() {
    let disk = MemoryDisk::default();
    let (store, scanned, _) = open(&disk);
    assert!(scanned.segments.is_empty() && scanned.report.is_empty());
    let mut messages = batch(3);
    messages[1] = Queued { deadline: Time(5), ..queued(2, false, b"transient") };
    messages[2].deadline = Time(6);
    let mixed = write(&store, messages).unwrap();
    let transient = write(&store, vec![queued(4, false, b"x")]).unwrap();
    assert_eq!(transient.queue, None);
    let later = write(&store, vec![queued(5, true, b"later")]).unwrap();
    drop(store);
    let unfinished = directory().join("0000000000000007-0000000000000009.seg.new");
    disk.create(&unfinished).unwrap();

    let (store, scanned, _) = open(&disk);
    assert_eq!(scanned.report, Vec::<String>::new());
    let (persistent, persistent_bytes) = (2, 12);
    let figures = Figures { messages: 2, bytes: 12, deadlines: 1, persistent, persistent_bytes };
    let found = [
        Segment { figures, recovered: true, ..mixed.clone() },
        Segment { recovered: true, ..later.clone() },
    ];
    assert_eq!(scanned.segments.into_iter().collect::<Vec<_>>(), [(7, found.to_vec())]);
    assert_eq!(positions(&read(&store, &found[0]).unwrap()), [1, 2, 3]);
    assert_eq!(disk.list(&directory().join("transient")).unwrap(), Vec::<String>::new());
    assert_eq!(disk.list(directory()).unwrap().len(), 2);
    let next = write(&store, batch(1)).unwrap();
    assert!(next.number > later.number, "a number is not given twice");
}

#[test]
fn what_is_removed_is_gone() {
    let disk = MemoryDisk::default();
    let (store, _, failures) = open(&disk);
    let segments = [write(&store, batch(1)).unwrap(), write(&store, batch(2)).unwrap()];
    remove(&store, &segments[0]);
    remove(&store, &segments[0]);
    assert_eq!(disk.list(directory()).unwrap().len(), 1);
    assert!(store.read_now(&segments[0]).is_err());
    assert_eq!(positions(&store.read_now(&segments[1]).unwrap()), [1, 2]);
    drop(store);
    assert!(failures.try_recv().is_err(), "to remove what is not there is no failure");
}

#[test]
fn a_segment_is_written_anew_with_what_is_left() {
    let disk = MemoryDisk::default();
    let (store, ..) = open(&disk);
    let segment = write(&store, batch(9)).unwrap();
    let mut live = RangeSet::default();
    live.add(2, 3);
    live.add(8, 8);
    store.rewrite(&segment, live);
    drop(store);
    let (store, scanned, _) = open(&disk);
    let left = &scanned.segments[&7][0];
    assert_eq!((left.first, left.last, left.persistent), (Position(2), Position(8), 3));
    assert_eq!(positions(&store.read_now(left).unwrap()), [2, 3, 8]);
}

#[test]
fn pressure_is_what_is_handed_in_and_not_written() {
    let disk = FaultyDisk::new(MemoryDisk::default());
    let (store, ..) = open(&disk);
    disk.hold_syncs();
    let (done, written) = channel();
    let weight: usize = batch(5).iter().map(|queued| queued.message.weight()).sum();
    store.write(OWNER, Arc::new(batch(5)), Box::new(move |result| _ = done.send(result)));
    disk.wait_for_held_sync();
    assert_eq!(store.pressure(), weight);
    let (wake, relieved) = channel();
    store.when_relieved(Box::new(move || _ = wake.send(())));
    assert!(relieved.try_recv().is_err());
    disk.release_syncs();
    written.recv().unwrap().unwrap();
    relieved.recv().unwrap();
    assert_eq!(store.pressure(), 0);
    let (wake, relieved) = channel();
    store.when_relieved(Box::new(move || _ = wake.send(())));
    relieved.recv().unwrap();
}

/// Each operation of a write in turn: either it is said to have failed, or it survives the power.
#[test]
fn what_was_said_to_be_written_survives_the_power() {
    for fault in [Fault::Io, Fault::Full, Fault::Short] {
        for skip in 0.. {
            let disk = FaultyDisk::new(MemoryDisk::default());
            let (store, _, failures) = open(&disk);
            let before = disk.operations();
            disk.fail_once(skip, fault);
            let written = write(&store, batch(4));
            let reached = disk.operations() - before > skip;
            disk.power_off();
            drop(store);
            disk.power_on(|_| 0).unwrap();
            let (store, scanned, _) = open(&disk);
            let found = scanned.segments.values().flatten().next();
            assert_eq!(scanned.report, Vec::<String>::new(), "{fault:?} at {skip}");
            match written {
                Ok(_) => {
                    let messages = store.read_now(found.expect("it was written")).unwrap();
                    assert_eq!(all_seen(&messages), all_seen(&batch(4)));
                }
                Err(_) => assert!(failures.try_recv().is_ok(), "the failure is told"),
            }
            if !reached {
                break;
            }
        }
    }
}

/// A quorum queue keeps messages whatever their delivery mode, and how often they came back.
#[test]
fn transient_messages_that_are_kept_count_as_durable() {
    let disk = MemoryDisk::default();
    let (store, ..) = open(&disk);
    let kept = Queued { kept: true, delivery_count: 7, ..queued(1, false, b"kept") };
    let messages = vec![kept, queued(2, false, b"lost")];
    let segment = write(&store, messages.clone()).unwrap();
    assert_eq!((segment.queue, segment.persistent, segment.figures.messages), (QUEUE, 1, 2));
    assert_eq!(all_seen(&read(&store, &segment).unwrap()), all_seen(&messages));
}

/// A stream keeps what its publishers called transient, too, and knows when messages came.
#[test]
fn everything_of_a_stream_is_found_after_a_restart() {
    let disk = MemoryDisk::default();
    let (store, ..) = open(&disk);
    let came = |position, persistent, time| Queued {
        deadline: Time(time),
        kept: true,
        ..queued(position, persistent, b"body")
    };
    let messages = vec![came(8, false, 100), came(9, true, 120), came(10, false, 130)];
    let (done, written) = channel();
    let done = Box::new(move |result| done.send(result).unwrap());
    store.write(Owner::Stream(QueueId(7)), Arc::new(messages.clone()), done);
    let segment = written.recv().unwrap().unwrap();
    let span = Span { since: Time(100), until: Time(130), ..Span::of(&messages) };
    assert_eq!((segment.persistent, segment.span), (3, Some(span)));
    drop(store);

    let (store, scanned, _) = open(&disk);
    let found = Segment { recovered: true, ..segment };
    assert_eq!(scanned.segments[&7], std::slice::from_ref(&found));
    assert_eq!(all_seen(&read(&store, &found).unwrap()), all_seen(&messages));
    let path = directory().join("0000000000000007-0000000000000001.seg");
    let file = disk.read_all(&path).unwrap();
    assert_eq!(file.len() as u64, format::HEADER as u64 + span.length);
}
