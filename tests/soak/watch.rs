//! What the broker's process holds, and the disk.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// How much more may be held in the last quarter than in the second: the queues are not always as long,
/// and connections come and go.
const MEMORY_MORE: u64 = 32 * 1024 * 1024;
const HANDLES_MORE: u64 = 64;

/// Looks, again and again, until it is stopped.
pub struct Watch {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Vec<Sample>>,
}

#[derive(Clone, Copy, Default)]
struct Sample {
    memory: u64,
    handles: u64,
}

/// The most that was held, by quarters of the time.
pub struct Held([Sample; 4]);

impl Watch {
    pub fn start(process: u32) -> Self {
        let (stop, mut stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let mut samples = Vec::new();
            loop {
                samples.push(Sample::of(process));
                tokio::select! {
                    _ = &mut stopped => return samples,
                    () = sleep(Duration::from_millis(200)) => {}
                }
            }
        });
        Self { stop, task }
    }

    pub async fn stop(self) -> Held {
        let _ = self.stop.send(());
        let samples = self.task.await.unwrap();
        let quarter = samples.len().div_ceil(4);
        let most = |quarter: &[Sample]| Sample {
            memory: quarter.iter().map(|sample| sample.memory).max().unwrap_or(0),
            handles: quarter.iter().map(|sample| sample.handles).max().unwrap_or(0),
        };
        let mut quarters = samples.chunks(quarter).map(most);
        Held(std::array::from_fn(|_| quarters.next().unwrap_or_default()))
    }
}

impl Sample {
    fn of(process: u32) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB"));
        let memory = kilobytes.and_then(|number| number.trim().parse::<u64>().ok()).unwrap_or(0);
        let handles = std::fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count);
        Self { memory: memory * 1024, handles: handles as u64 }
    }
}

impl Held {
    pub fn assert_flat(&self) {
        let [_, early, _, late] = self.0;
        assert!(early.memory > 0 && late.handles > 0, "it was looked at");
        assert!(late.memory <= early.memory * 5 / 4 + MEMORY_MORE, "memory grows: {self}");
        assert!(late.handles <= early.handles + HANDLES_MORE, "file handles grow: {self}");
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let memory = self.0.map(|sample| sample.memory >> 20);
        let handles = self.0.map(|sample| sample.handles);
        write!(f, "{memory:?} MiB, {handles:?} handles")
    }
}

/// Returns when the files below a directory occupy less than so many bytes.
pub async fn shrunk(directory: &Path, bytes: u64) {
    while disk(directory) >= bytes {
        sleep(Duration::from_millis(100)).await;
    }
}

/// Bytes that the files below a directory occupy.
pub fn disk(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => disk(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        // It went meanwhile.
        Err(_) => 0,
    });
    sizes.sum()
}
