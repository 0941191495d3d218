//! What every disk does, faulty ones too while nothing is planned for them.

use super::*;

fn check(disk: &dyn Disk, root: &Path) {
    let directory = root.join("some/where");
    assert!(disk.list(&directory).is_err() && disk.sync_dir(&directory).is_err());
    disk.create_dir_all(&directory).unwrap();
    disk.create_dir_all(&directory).unwrap();
    let (a, b) = (directory.join("a"), directory.join("b"));
    assert!(disk.open_read(&a).is_err() && disk.remove(&a).is_err());

    let mut file = disk.create(&a).unwrap();
    assert!(disk.create(&a).is_err(), "it is there");
    assert!(file.is_empty().unwrap());
    let mut pieces = ["", "one ", "", "two", ""].map(|text| IoSlice::new(text.as_bytes()));
    file.append(&mut pieces).unwrap();
    file.append(&mut []).unwrap();
    disk.open_append(&a).unwrap().append(&mut [IoSlice::new(b" three")]).unwrap();
    file.append(&mut [IoSlice::new(b" four")]).unwrap();
    file.sync_data().unwrap();
    assert_eq!(file.len().unwrap(), 18);
    assert_eq!(disk.read_all(&a).unwrap(), b"one two three four");

    let read = disk.open_read(&a).unwrap();
    assert_eq!(read.len().unwrap(), 18);
    let mut buffer = [0; 5];
    assert_eq!(read.read_at(4, &mut buffer).unwrap(), 5);
    assert_eq!(&buffer, b"two t");
    assert_eq!(read.read_at(16, &mut buffer).unwrap(), 2);
    assert_eq!(read.read_at(18, &mut buffer).unwrap(), 0);

    disk.truncate(&a, 3).unwrap();
    disk.open_append(&b).unwrap().append(&mut [IoSlice::new(b"b")]).unwrap();
    assert_eq!(disk.list(&directory).unwrap(), ["a", "b"]);
    disk.rename(&a, &b).unwrap();
    assert_eq!(disk.list(&directory).unwrap(), ["b"]);
    assert_eq!(disk.read_all(&b).unwrap(), b"one");
    disk.remove(&b).unwrap();
    disk.sync_dir(&directory).unwrap();
    assert_eq!(disk.list(&directory).unwrap(), [""; 0]);
    assert!(disk.free_bytes(&directory).unwrap() > 0);
}

#[test]
fn disks_agree() {
    let directories = [(); 2].map(|()| tempfile::tempdir().unwrap());
    check(&RealDisk, directories[0].path());
    check(&FaultyDisk::new(RealDisk), directories[1].path());
    check(&MemoryDisk::default(), Path::new("/"));
    check(&FaultyDisk::new(MemoryDisk::default()), Path::new("/"));
}
