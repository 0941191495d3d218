//! Journals that are cut, or that have changed on the disk.

use std::collections::BTreeMap;

use super::record::{FRAME, MessageRecord, Record};
use super::*;

const HEADER: usize = file::HEADER as usize;

/// A real journal in three files, with everything in it that a log can hold.
fn journal() -> Files {
    let files = journal_in(900);
    assert_eq!(
        files.len(),
        3,
        "{:?}",
        files.iter().map(|(_, file)| file.len()).collect::<Vec<_>>()
    );
    files
}

fn journal_in(file_bytes: u64) -> Files {
    let rig = Rig::with_files_of(file_bytes);
    let (journal, _) = rig.open();
    let step = |position| assert!(wait(&journal, position));
    let large = "large ".repeat(20);
    step(put(&journal, 1, 1, &["a", "b", &large, "d"]));
    let stored = journal.store(&mut [with_keys("both"), message("one")].iter(), NOW);
    journal.enqueue(0, 1, 5, stored.first(), 2);
    step(journal.enqueue(0, 2, 1, stored.first(), 1));
    step(journal.settle(0, 1, &[(2, 2), (5, 5)]));
    step(put(&journal, 2, 2, &["e", "f", "g", "h", "i"]));
    let moving = store(&journal, &["moving", "too"]);
    let group = journal.new_group();
    journal.settle(group, 2, &[(2, 3)]);
    journal.enqueue(group, 3, 1, moving.first(), 2);
    step(journal.end_group(group));
    step(put(&journal, 4, 1, &["gone", "also"]));
    step(journal.moved(1, 1, 1));
    step(put(&journal, 1, 7, &["j", "k", "l"]));
    step(journal.queue_gone(4));
    step(journal.settle(0, 1, &[(1, 1), (8, 8)]));
    step(put(&journal, 3, 3, &["m", "n"]));
    step(journal.settle(0, 3, &[(3, 3)]));
    rig.files()
}

/// Where the records of a file begin, and where the last one ends.
pub fn boundaries(file: &[u8]) -> Vec<usize> {
    let mut boundaries = vec![HEADER];
    loop {
        let at = *boundaries.last().unwrap();
        let Some(length) = file.get(at..at + 4) else { return boundaries };
        let length = u32::from_le_bytes(length.try_into().unwrap()) as usize;
        boundaries.push(at + FRAME + length);
    }
}

/// What a journal of these records says, worked out message by message.
pub fn replay<'a>(contents: impl Iterator<Item = &'a [u8]>) -> Contents {
    let mut bodies: BTreeMap<u64, String> = BTreeMap::new();
    let mut places: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    let mut group: Vec<Record<'a>> = Vec::new();
    for content in contents {
        let record = Record::decode(content).unwrap();
        let mut apply = vec![record];
        match record {
            Record::Enqueue { group: 1.., .. } | Record::Settle { group: 1.., .. } => {
                group.append(&mut apply);
            }
            Record::GroupEnd { records, .. } => {
                apply = std::mem::take(&mut group);
                // Rather once more than never.
                let whole = apply.len() == records as usize;
                apply.retain(|record| whole || matches!(record, Record::Enqueue { .. }));
            }
            _ => {}
        }
        for record in apply {
            match record {
                Record::Message(MessageRecord { number, body, .. }) => {
                    bodies.insert(number, String::from_utf8(body.to_vec()).unwrap());
                }
                Record::Enqueue { queue, runs, .. } => {
                    for (position, number, count) in runs.iter() {
                        let run = (position..).zip(number..).take(count as usize);
                        places.extend(run.map(|(position, number)| ((queue, position), number)));
                    }
                }
                Record::Settle { queue, ranges, .. } | Record::Settled { queue, ranges } => {
                    let settled =
                        |position| ranges.iter().any(|(a, b)| a <= position && position <= b);
                    places.retain(|&(of, position), _| of != queue || !settled(position));
                }
                Record::Moved { queue, first, last } => {
                    places.retain(|&(of, at), _| of != queue || at < first || last < at);
                }
                Record::QueueGone { queue } => places.retain(|&(of, _), _| of != queue),
                other => panic!("{other:?}"),
            }
        }
    }
    let found = |((queue, position), number)| Some((queue, position, bodies.get(&number)?.clone()));
    places.into_iter().filter_map(found).collect()
}

/// The contents of all records, but for those that `without` names by file and number.
pub fn records(
    files: &[(String, Vec<u8>)],
    without: impl Fn(usize, usize) -> bool,
) -> impl Iterator<Item = &[u8]> {
    files.iter().enumerate().flat_map(move |(file, (_, bytes))| {
        let boundaries = boundaries(bytes);
        let kept: Vec<_> = (0..boundaries.len() - 1)
            .filter(|record| !without(file, *record))
            .map(|record| &bytes[boundaries[record] + FRAME..boundaries[record + 1]])
            .collect();
        kept
    })
}

#[test]
fn a_log_cut_anywhere_is_good_up_to_the_last_whole_record() {
    let files = journal();
    for last in 0..files.len() {
        let boundaries = boundaries(&files[last].1);
        for cut in 0..=files[last].1.len() {
            let mut torn = files[..=last].to_vec();
            torn[last].1.truncate(cut);
            let rig = Rig::of(&torn);
            let whole = boundaries.partition_point(|end| *end <= cut).saturating_sub(1);
            let expected =
                replay(records(&files[..=last], |file, record| file == last && record >= whole));

            let (journal, recovered) = rig.open();
            assert_eq!(contents(&recovered), expected, "file {last} cut to {cut}");
            assert_eq!(recovered.report, [""; 0], "file {last} cut to {cut}");
            let kept = if cut < HEADER { 0 } else { boundaries[whole] };
            assert_eq!(recovered.torn_bytes, (cut - kept) as u64, "file {last} cut to {cut}");
            // And one can go on from there.
            let position = recovered.queues.get(&1).map_or(1, |queue| queue.next_position);
            assert!(wait(&journal, put(&journal, 1, position, &["new"])));
            drop(journal);
            let (_journal, recovered) = rig.open();
            let mut expected = expected;
            expected.insert((1, position, "new".to_owned()));
            assert_eq!(contents(&recovered), expected, "file {last} cut to {cut}");
            assert_eq!(recovered.report, [""; 0], "file {last} cut to {cut}");
        }
    }
}

#[test]
fn a_flipped_byte_anywhere_is_reported_and_costs_one_record() {
    let files = journal();
    let (middle, path) = (1, "00000002.log");
    assert_eq!(files[middle].0, path);
    let boundaries = boundaries(&files[middle].1);
    for at in 0..files[middle].1.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = files.clone();
            damaged[middle].1[at] ^= flip;
            let rig = Rig::of(&damaged);
            let hit = boundaries.partition_point(|start| *start <= at).checked_sub(1);
            let without = |file, record| file == middle && Some(record) == hit;
            let expected = replay(records(&files, without));
            let place = hit.map_or(0, |record| boundaries[record]);

            let (journal, recovered) = rig.open();
            let context = format!("byte {at} flipped by {flip:#x}: {:?}", recovered.report);
            assert_eq!(contents(&recovered), expected, "{context}");
            let said = format!("{path} is damaged at offset {place}:");
            assert!(recovered.report[0].contains(&said), "{context}");
            let files_now = rig.files();
            let aside = files_now.iter().find(|(name, _)| *name == format!("{path}.damaged-1"));
            assert_eq!(aside.map(|(_, bytes)| bytes), Some(&damaged[middle].1), "{context}");
            let said = "00000002.log.damaged-1";
            assert!(recovered.report.iter().any(|line| line.ends_with(said)), "{context}");
            // A message that is enqueued somewhere and unreadable is missed.
            let lost = recovered.report.iter().any(|line| line.contains("has lost"));
            let missing = replay(records(&files, |_, _| false)).len() > expected.len();
            let enqueue = hit.is_some_and(|record| {
                let kind = files[middle].1[boundaries[record] + FRAME];
                kind == record::Kind::Enqueue as u8
            });
            assert_eq!(lost, missing && !enqueue, "{context}");
            drop(journal);

            let (_journal, recovered) = rig.open();
            assert_eq!(contents(&recovered), expected, "{context}");
            assert_eq!(recovered.report, [""; 0], "{context}");
        }
    }
}

/// Some file systems leave zeros where data was to come.
#[test]
fn a_tail_of_zeros_is_a_torn_tail() {
    let mut files = journal();
    let expected = replay(records(&files, |_, _| false));
    for zeros in [1, 7, 8, 9, 5000] {
        let length = files[2].1.len();
        files[2].1.resize(length + zeros, 0);
        let (_journal, recovered) = Rig::of(&files).open();
        assert_eq!((recovered.torn_bytes, recovered.report.len()), (zeros as u64, 0));
        assert_eq!(contents(&recovered), expected);
        files[2].1.truncate(length);
    }
}

/// Somebody publishes a file of the journal: what is in it must not come to life when the record that
/// holds it is torn or damaged.
#[test]
fn a_journal_inside_a_message_is_text() {
    let rig = Rig::new();
    let (journal, _) = rig.open();
    assert!(wait(&journal, put(&journal, 1, 1, &["first"])));
    let inner = rig.files().pop().unwrap().1;
    let mut header = vec![0, 60, 0, 0];
    header.extend_from_slice(&(inner.len() as u64).to_be_bytes());
    header.extend_from_slice(&[0, 0]);
    let traits = Traits::default();
    let message = Message::with_inline_body(b"\0\0", &header, &inner, traits, &mut Vec::new());
    let stored = journal.store(&mut [message].iter(), NOW);
    assert!(wait(&journal, journal.enqueue(0, 1, 2, stored.first(), 1)));
    let mut files = rig.files();
    let boundaries = boundaries(&files[0].1);
    let end = boundaries[boundaries.len() - 2];
    files[0].1.truncate(end - 1);
    let rig = Rig::of(&files);
    let (_journal, recovered) = rig.open();
    assert_eq!(recovered.torn_bytes as usize, end - 1 - boundaries[2]);
    assert_eq!((recovered.records, recovered.report.len()), (2, 0));
}

#[test]
fn damage_in_the_last_file_is_no_torn_tail_while_records_follow() {
    let mut files = journal();
    let last = files.pop().unwrap();
    let boundaries = boundaries(&last.1);
    let mut damaged = last.1.clone();
    damaged[boundaries[1] + FRAME] ^= 1;
    files = vec![("00000001.log".to_owned(), damaged)];
    let rig = Rig::of(&files);
    // Its header says that it is another file, which is damage too.
    let (_journal, recovered) = rig.open();
    let offsets: Vec<_> = [0, boundaries[1]].iter().map(|at| format!("offset {at}:")).collect();
    for (line, offset) in recovered.report.iter().zip(offsets) {
        assert!(line.contains(&offset), "{:?}", recovered.report);
    }
    assert!(!recovered.clean);
    assert_eq!(recovered.torn_bytes, 0);
}

#[test]
fn a_missing_file_is_reported() {
    let mut files = journal();
    files.remove(1);
    let rig = Rig::of(&files);
    let (_journal, recovered) = rig.open();
    let line = "journal files 00000002.log to 00000002.log are missing";
    assert_eq!(recovered.report[0], line);
}

#[test]
fn a_file_of_another_version_is_refused_and_not_touched() {
    let mut files = journal();
    let header = &mut files[2].1[..HEADER];
    header[8] += 1;
    let sum = crc32c::crc32c(&header[..HEADER - 4]).to_le_bytes();
    header[HEADER - 4..].copy_from_slice(&sum);
    // Damage elsewhere must not make anybody change files before this is known.
    files[0].1[HEADER + FRAME] ^= 1;
    let rig = Rig::of(&files);
    let Err(error) = rig.try_open() else { panic!("it was opened") };
    assert!(
        error.0.ends_with("00000003.log has format version 3, which this program does not know")
    );
    assert_eq!(rig.files(), files);
}

/// What was written by a version that is out there has to be read by all later ones. These files were
/// written when a version was made, and hold each kind of record that it wrote but for those of a clean
/// end.
#[test]
fn journals_of_earlier_versions_stay_readable() {
    check_version(include_bytes!("version-1.log"), None, None);
    check_version(include_bytes!("version-2.log"), Some(NOW), Some(BCC));
}

fn check_version(bytes: &[u8], stored: Option<Time>, extra_keys: Option<&[u8]>) {
    let file = |bytes: &[u8]| [("00000001.log".to_owned(), bytes.to_vec())];
    let (journal, recovered) = Rig::of(&file(bytes)).open();
    assert_eq!((recovered.report.len(), recovered.torn_bytes, recovered.clean), (0, 0, false));
    let large = "large ".repeat(20);
    let expected = [
        (1, 3, large.as_str()),
        (1, 4, "d"),
        (1, 6, "one"),
        (1, 7, "j"),
        (1, 9, "l"),
        (2, 1, "both"),
        (2, 4, "g"),
        (2, 5, "h"),
        (2, 6, "i"),
        (3, 1, "moving"),
        (3, 2, "too"),
        (3, 4, "n"),
    ];
    assert_eq!(contents(&recovered), expect(&expected));
    assert_eq!(recovered.queues[&1].settled, [(1, 2), (5, 5), (8, 8)]);
    drop(journal);

    // The same after all of it was written anew, because it is damaged where nothing is said.
    let mut damaged = bytes.to_vec();
    damaged[HEADER - 1] ^= 1;
    let (_journal, rewritten) = Rig::of(&file(&damaged)).open();
    assert_eq!(contents(&rewritten), expect(&expected));
    for recovered in [recovered, rewritten] {
        for found in recovered.queues.values().flat_map(|queue| &queue.messages) {
            assert_eq!(found.stored, stored);
            let has_keys = found.message.inline_body() == b"both";
            assert_eq!(found.message.extra_keys(), extra_keys.filter(|_| has_keys));
        }
    }
}

#[test]
fn files_that_are_not_of_the_journal_are_left_alone() {
    let mut files = journal();
    files.push(("00000009.log.damaged-1".to_owned(), b"kept".to_vec()));
    files.push(("notes.txt".to_owned(), b"kept".to_vec()));
    files[1].1[HEADER + FRAME] ^= 1;
    let rig = Rig::of(&files);
    let (_journal, recovered) = rig.open();
    assert!(!recovered.report.is_empty());
    for file in &files[3..] {
        assert!(rig.files().contains(file));
    }
}
