//! Which segments there are, at the start of the broker.

use std::collections::BTreeMap;
use std::path::Path;

use super::Segment;
use super::file::{self, Named, Place};
use super::format::{self, Bad};
use crate::storage::disk::Disk;
use crate::storage::{StoreError, failed};

/// What lies in the directory.
#[derive(Debug, Default)]
pub struct Scanned {
    /// By queue, in the order of their numbers. Their figures are those of their persistent messages.
    pub segments: BTreeMap<u64, Vec<Segment>>,
    /// Lines for the operator: what was damaged and set aside.
    pub report: Vec<String>,
}

/// Reads the header of every segment; the messages stay where they are. Removes what the last process
/// left behind that is not needed.
pub fn scan(disk: &dyn Disk, directory: &Path) -> Result<(Scanned, u64), StoreError> {
    let place = Place::new(directory);
    disk.create_dir_all(&place.transient).map_err(failed("create", &place.transient))?;
    if let Some(parent) = directory.parent() {
        disk.sync_dir(parent).map_err(failed("sync", parent))?;
    }
    for name in disk.list(&place.transient).map_err(failed("list", &place.transient))? {
        let path = place.transient.join(name);
        disk.remove(&path).map_err(failed("remove", &path))?;
    }
    let (mut scanned, mut next_number) = (Scanned::default(), 1);
    for name in disk.list(directory).map_err(failed("list", directory))? {
        let path = directory.join(&name);
        match file::parse(&name) {
            Named::Other => {}
            Named::Unfinished => disk.remove(&path).map_err(failed("remove", &path))?,
            Named::Segment { queue, number } => {
                next_number = next_number.max(number.saturating_add(1));
                match read_header(disk, &path)? {
                    Ok(segment) if (segment.queue, segment.number) == (Some(queue), number) => {
                        scanned.segments.entry(queue.0).or_default().push(segment);
                    }
                    Err(Bad::Version(version)) => {
                        let text = format!("{} has format version {version}", path.display());
                        return Err(StoreError(format!(
                            "{text}, which this program does not know"
                        )));
                    }
                    _ => {
                        let aside =
                            file::set_aside(disk, &path).map_err(failed("rename", &path))?;
                        scanned.report.push(format!(
                            "{} is damaged at offset 0: its messages are lost, it is kept as {}",
                            path.display(),
                            aside.display()
                        ));
                    }
                }
            }
        }
    }
    for segments in scanned.segments.values_mut() {
        segments.sort_unstable_by_key(|segment| (segment.first, segment.number));
    }
    Ok((scanned, next_number))
}

fn read_header(disk: &dyn Disk, path: &Path) -> Result<Result<Segment, Bad>, StoreError> {
    let file = disk.open_read(path).map_err(failed("open", path))?;
    let length = file.len().map_err(failed("read", path))?;
    let mut header = [0; format::HEADER];
    let read = file.read_at(0, &mut header).map_err(failed("read", path))?;
    let header = header.get(..read).unwrap_or_default();
    Ok(format::decode_header(header, length).map(|header| header.segment))
}
