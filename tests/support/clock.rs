//! A wall clock that a test sets while the operator runs, by libfaketime (Debian: faketime). The monotonic and the boot-time
//! clock stay as they are: nobody can set those on a real machine either.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Namespace, say};

static SERIAL: AtomicU32 = AtomicU32::new(0);

pub struct Clock {
    preload: String,
    /// Read by libfaketime at each look at the clock.
    offset: PathBuf,
}

impl Clock {
    /// A clock that is right. None, and a word about it, where faketime isn't installed.
    pub fn new(namespace: &Namespace) -> Option<Self> {
        let found = Command::new("faketime").args(["-m", "-f", "+0", "printenv", "LD_PRELOAD"]).output();
        let Some(found) = found.ok().filter(|found| found.status.success()) else {
            say(&format!("skipped, as faketime is not installed: {}", namespace.name));
            return None;
        };
        let preload = String::from_utf8(found.stdout).unwrap().trim().to_owned();
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let clock = Self { preload, offset: namespace.dir.join(format!("{}-clock-{serial}", namespace.name)) };
        clock.set(0);
        Some(clock)
    }

    /// Sets it to so many seconds ahead of the right time, or behind it.
    pub fn set(&self, seconds: i64) {
        // In one step: half a file would be read as another time.
        let next = self.offset.with_extension("next");
        std::fs::write(&next, format!("{seconds:+}\n")).unwrap();
        std::fs::rename(next, &self.offset).unwrap();
    }

    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("LD_PRELOAD", self.preload.clone()),
            ("FAKETIME_TIMESTAMP_FILE", self.offset.to_str().unwrap().to_owned()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }

    /// What libfaketime leaves behind of a process that was killed, and trips over when another gets its number.
    pub fn clean_up(pid: u32) {
        for name in [format!("faketime_shm_{pid}"), format!("sem.faketime_sem_{pid}")] {
            drop(std::fs::remove_file(Path::new("/dev/shm").join(name)));
        }
    }
}
