use super::*;
use crate::storage::disk::RealDisk;

fn disk() -> (tempfile::TempDir, FaultyDisk) {
    (tempfile::tempdir().unwrap(), FaultyDisk::new(RealDisk))
}

fn append(file: &mut dyn DiskFile, bytes: &[u8]) -> io::Result<()> {
    let (head, tail) = bytes.split_at(bytes.len() / 2);
    file.append(&mut [IoSlice::new(head), IoSlice::new(&[]), IoSlice::new(tail)])
}

#[test]
fn what_was_not_synced_is_lost_with_the_power() {
    let (directory, disk) = disk();
    let (path, other) = (directory.path().join("a"), directory.path().join("b"));
    let mut file = disk.create(&path).unwrap();
    append(&mut *file, b"synced").unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(directory.path()).unwrap();
    append(&mut *file, b" and not").unwrap();
    disk.create(&other).unwrap().sync_data().unwrap();
    assert_eq!(disk.list(directory.path()).unwrap(), ["a", "b"]);

    disk.power_off();
    assert!(append(&mut *file, b"!").is_err());
    disk.power_on(|unsynced| if unsynced == 8 { 4 } else { 0 }).unwrap();

    assert_eq!(disk.list(directory.path()).unwrap(), ["a"]);
    assert_eq!(disk.read_all(&path).unwrap(), b"synced and");
    assert!(append(&mut *file, b"!").is_err(), "the handle is of the life before");
}

#[test]
fn a_removal_that_was_not_synced_is_undone() {
    let (directory, disk) = disk();
    let (a, b) = (directory.path().join("a"), directory.path().join("b"));
    for path in [&a, &b] {
        let mut file = disk.create(path).unwrap();
        append(&mut *file, b"text").unwrap();
        file.sync_data().unwrap();
    }
    disk.sync_dir(directory.path()).unwrap();
    disk.remove(&a).unwrap();
    disk.rename(&b, &a).unwrap();
    assert_eq!(disk.list(directory.path()).unwrap(), ["a"]);
    disk.power_on(|_| 0).unwrap();
    assert_eq!(disk.list(directory.path()).unwrap(), ["a", "b"]);
    assert_eq!(disk.read_all(&a).unwrap(), b"text");

    disk.remove(&a).unwrap();
    disk.sync_dir(directory.path()).unwrap();
    disk.power_on(|_| 0).unwrap();
    assert_eq!(disk.list(directory.path()).unwrap(), ["b"]);
    assert_eq!(RealDisk.list(directory.path()).unwrap(), ["b"], "nothing hidden stays");
}

#[test]
fn operations_fail_as_planned() {
    let (directory, disk) = disk();
    let path = directory.path().join("a");
    let mut file = disk.open_append(&path).unwrap();
    disk.fail_once(1, Fault::Short);
    append(&mut *file, b"1234").unwrap();
    let error = append(&mut *file, b"5678").unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
    append(&mut *file, b"9").unwrap();
    assert_eq!(disk.read_all(&path).unwrap(), b"1234569");

    disk.fail_from(0, Fault::Io);
    for _ in 0..2 {
        assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(libc::EIO));
    }
    disk.heal();
    file.sync_data().unwrap();
    disk.sync_dir(directory.path()).unwrap();
    disk.power_on(|_| 0).unwrap();
    assert_eq!(
        disk.read_all(&path).unwrap(),
        b"",
        "a sync after a failed one is not to be trusted"
    );
}
