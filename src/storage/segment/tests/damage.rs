use std::io::IoSlice;

use super::super::format::{self, Bad};
use super::*;

fn file(messages: &[Queued]) -> (Vec<u8>, Segment) {
    let mut file = Vec::new();
    let segment = format::encode(1, OWNER, messages.iter(), &mut file);
    (file, segment)
}

#[test]
fn a_flipped_bit_costs_one_message_or_the_header() {
    let messages = batch(6);
    let (whole, segment) = file(&messages);
    for offset in 0..whole.len() {
        let mut file = whole.clone();
        file[offset] ^= 1 << (offset % 8);
        if offset < format::HEADER {
            let header = format::decode_header(&file, file.len() as u64);
            assert_eq!(header, Err(Bad::Damaged), "at {offset}");
            continue;
        }
        let found = format::decode(&file, &segment);
        assert_eq!(found.messages.len(), messages.len() - 1, "at {offset}");
        let left: Vec<_> = positions(&found.messages);
        assert!(left.is_sorted());
        for queued in &found.messages {
            let expected = &messages[queued.position.0 as usize - 1];
            assert_eq!(seen(queued), seen(expected), "at {offset}");
        }
        let [(from, bytes)] = found.damage[..] else { panic!("{:?}", found.damage) };
        assert!((from..from + bytes).contains(&offset), "{offset} in {from}+{bytes}");
    }
}

#[test]
fn a_file_cut_anywhere_is_known_for_one() {
    let (whole, segment) = file(&batch(4));
    for length in 0..whole.len() {
        let cut = &whole[..length];
        assert_eq!(format::decode_header(cut, length as u64), Err(Bad::Damaged), "at {length}");
        let found = format::decode(cut, &segment);
        let expected: Vec<u64> = (1..=found.messages.len() as u64).collect();
        assert_eq!(positions(&found.messages), expected, "a prefix, and nothing invented");
    }
}

#[test]
fn lengths_that_lie_take_no_memory() {
    let (mut file, segment) = file(&batch(1));
    // As long as a message can say it is, with a checksum that fits.
    let content = &file[format::HEADER + 8..];
    let at = content.len() - batch(1)[0].message.weight() - 10;
    for field in [at..at + 2, at + 2..at + 6, at + 6..at + 10] {
        let mut content = content.to_vec();
        content[field].fill(0xFF);
        let checksum = crc32c::crc32c(&content).to_le_bytes();
        let length = (content.len() as u32).to_le_bytes();
        let lying = [&file[..format::HEADER], &length, &checksum, &content].concat();
        assert!(format::decode(&lying, &segment).messages.is_empty());
    }
    let many =
        Segment { figures: Figures { messages: usize::MAX, ..Figures::default() }, ..segment };
    assert_eq!(format::decode(&file, &many).messages.len(), 1);
    file.truncate(format::HEADER);
    assert!(format::decode(&file, &many).messages.is_empty());
}

fn rewrite_file(disk: &MemoryDisk, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = disk.read_all(path).unwrap();
    change(&mut bytes);
    disk.remove(path).unwrap();
    disk.create(path).unwrap().append(&mut [IoSlice::new(&bytes)]).unwrap();
}

#[test]
fn a_damaged_segment_is_set_aside_and_the_rest_of_it_served() {
    let disk = MemoryDisk::default();
    let (store, ..) = open(&disk);
    let segment = write(&store, batch(5)).unwrap();
    let path = path_of(&segment);
    rewrite_file(&disk, &path, |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    });
    let damaged = disk.read_all(&path).unwrap();
    let left = positions(&read(&store, &segment).unwrap());
    assert_eq!(left.len(), 4);
    let aside = PathBuf::from(format!("{}.damaged", path.display()));
    assert_eq!(disk.read_all(&aside).unwrap(), damaged, "kept as it was");
    // What is left of it is whole again.
    drop(store);
    let (store, scanned, _) = open(&disk);
    assert_eq!(scanned.report, Vec::<String>::new());
    let again = &scanned.segments[&7][0];
    assert_eq!(positions(&store.read_now(again).unwrap()), left);
}

/// The journal has let go of what is in a segment: no fault and no loss of power while a damaged one is
/// mended may cost what can still be read of it.
#[test]
fn mending_a_segment_risks_nothing() {
    for (fault, onwards) in [(Fault::Io, false), (Fault::Short, false), (Fault::Full, true)] {
        for skip in 0.. {
            let inner = MemoryDisk::default();
            let disk = FaultyDisk::new(inner.clone());
            let (store, ..) = open(&disk);
            let segment = write(&store, batch(5)).unwrap();
            drop(store);
            disk.power_off();
            disk.power_on(|_| 0).unwrap();
            rewrite_file(&inner, &path_of(&segment), |bytes| {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            });
            let (store, _, failures) = open(&disk);
            let before = disk.operations();
            if onwards {
                disk.fail_from(skip, fault);
            } else {
                disk.fail_once(skip, fault);
            }
            if let Ok(served) = read(&store, &segment) {
                assert_eq!(served.len(), 4, "with {fault:?} at {skip}");
            } else {
                assert!(skip < 2, "only what cannot be read is not served");
            }
            let reached = disk.operations() - before > skip;
            disk.power_off();
            drop(store);
            assert!(failures.try_recv().is_err(), "that is no reason to give up");
            disk.power_on(|_| 0).unwrap();
            let (store, scanned, _) = open(&disk);
            let again = &scanned.segments[&7][0];
            let left = store.read_now(again).unwrap();
            assert_eq!(left.len(), 4, "after {fault:?} at {skip}");
            let names = disk.list(directory()).unwrap();
            let kept = names.iter().filter(|name| name.ends_with(".damaged")).count();
            assert_eq!((names.len(), kept), (2, 1), "{names:?}");
            if !reached {
                break;
            }
        }
    }
}

#[test]
fn a_damaged_header_is_reported_and_the_file_set_aside() {
    let disk = MemoryDisk::default();
    let (store, ..) = open(&disk);
    let bad = write(&store, batch(2)).unwrap();
    let good = write(&store, vec![queued(3, true, b"good")]).unwrap();
    drop(store);
    rewrite_file(&disk, &path_of(&bad), |bytes| bytes[20] ^= 4);
    let (_, scanned, _) = open(&disk);
    assert_eq!(scanned.segments[&7], [Segment { recovered: true, ..good }]);
    let [line] = &scanned.report[..] else { panic!("{:?}", scanned.report) };
    assert!(line.contains(&path_of(&bad).display().to_string()) && line.contains("offset 0"));
    let names = disk.list(directory()).unwrap();
    assert!(names.iter().any(|name| name.ends_with(".damaged")), "{names:?}");
}

#[test]
fn a_later_format_is_refused_and_left_alone() {
    let disk = MemoryDisk::default();
    let (store, ..) = open(&disk);
    let segment = write(&store, batch(2)).unwrap();
    drop(store);
    rewrite_file(&disk, &path_of(&segment), |bytes| {
        bytes[12] = 2;
        let checksum = crc32c::crc32c(&bytes[12..format::HEADER]).to_le_bytes();
        bytes[8..12].copy_from_slice(&checksum);
    });
    let on_failure = Box::new(|error| panic!("{error}"));
    let refused = SegmentStore::open(Arc::new(disk.clone()), directory(), on_failure);
    let error = refused.err().expect("a later version").to_string();
    assert!(error.contains("format version 2"), "{error}");
    assert!(disk.read_all(&path_of(&segment)).is_ok());
}
