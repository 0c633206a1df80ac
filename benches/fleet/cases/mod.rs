//! The cases, in the order of docs/performance.md.

mod beside;
mod cold;
mod herd;
mod restart;
mod siege;
mod steady;

use std::time::Duration;

use crate::{Size, report::Report};

/// Runs those that are wanted, one after the other: two at once would measure each other.
pub async fn run(size: Size, wanted: impl Fn(&str) -> bool, report: &mut Report) {
    let counts: &[usize] = match size {
        Size::Smoke => &[200],
        Size::Usual => &[1_000, 10_000],
        Size::Full => &[1_000, 10_000, 100_000],
    };
    for &count in counts {
        for (name, single_use) in [("cold", false), ("single-use", true)] {
            let name = format!("{name}-{count}");
            if wanted(&name) {
                report.add(&name, cold::run(count, single_use, pairs(size, count)).await);
            }
        }
    }
    for &count in &counts[counts.len().saturating_sub(2)..] {
        let name = format!("restart-{count}");
        if wanted(&name) && (count >= 10_000 || size == Size::Smoke) {
            report.add(&name, restart::run(count).await);
        }
    }
    let (herd, lives, crowd) = match size {
        Size::Smoke => (200, Duration::from_secs(20), 50),
        Size::Usual | Size::Full => (10_000, Duration::from_secs(300), 5_000),
    };
    if wanted("bulkheads") {
        report.add("bulkheads", beside::run(crowd).await);
    }
    if wanted("herd") {
        report.add("herd", herd::run(herd, lives).await);
    }
    if wanted("siege") {
        report.add("siege", siege::run(size).await);
    }
    if wanted("steady") {
        report.add("steady", steady::run(size).await);
    }
}

/// Pairs of a limit and a run. Their ratios' median is what counts, where there is time for several.
fn pairs(size: Size, count: usize) -> usize {
    match (size, count) {
        (Size::Smoke, _) => 1,
        (Size::Usual, 1_000) | (Size::Full, ..=10_000) => 5,
        (Size::Usual | Size::Full, _) => 1,
    }
}
