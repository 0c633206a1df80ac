//! The fuzz targets (`fuzz/`) over the inputs that are kept of them: what `make fuzz` found once stays found, and whatever reaches
//! another place in the code is read again at each change.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the message")]

use std::{
    collections::BTreeSet,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

#[path = "../fuzz/src/lib.rs"]
mod targets;

use targets::TARGETS;

/// The most that may be kept of all targets, in bytes.
const MOST_KEPT: u64 = 1 << 20;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name)
}

fn inputs(target: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(folder("corpus").join(target)).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn what_is_kept_finds_nothing() {
    for (name, run) in TARGETS {
        let inputs = inputs(name);
        assert!(!inputs.is_empty(), "{name} has no inputs");
        for path in inputs {
            let input = fs::read(&path).unwrap();
            let ended = catch_unwind(AssertUnwindSafe(|| run(&input)));
            assert!(ended.is_ok(), "{} is a finding: its message stands above", path.display());
        }
    }
}

#[test]
fn every_target_can_be_fuzzed_and_little_is_kept() {
    let named: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let names = |folder: PathBuf| -> BTreeSet<String> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    for kind in ["targets", "corpus", "dictionaries"] {
        assert_eq!(names(folder(kind)), named, "fuzz/{kind}");
    }
    let manifest = fs::read_to_string(folder("Cargo.toml")).unwrap();
    for (name, _) in TARGETS {
        assert!(manifest.contains(&format!("path = \"targets/{name}.rs\"")), "{name} is not in fuzz/Cargo.toml");
    }
    let sizes = TARGETS.iter().flat_map(|(name, _)| inputs(name)).map(|path| fs::metadata(path).unwrap().len());
    let kept: u64 = sizes.sum();
    assert!(kept <= MOST_KEPT, "{kept} bytes");
}
