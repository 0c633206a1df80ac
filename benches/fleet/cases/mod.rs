//! The cases, in the order of docs/performance.md.

mod beside;
mod cold;
mod herd;
mod restart;
mod siege;
mod steady;

use crate::{Size, report::Report};

/// Runs those that are wanted, one after the other: two at once would measure each other.
pub async fn run(size: Size, wanted: impl Fn(&str) -> bool, report: &mut Report) {
    let counts: &[usize] = match size {
        Size::Smoke => &[200],
        Size::Usual => &[1_000, 10_000],
        Size::Full => &[100_000],
    };
    for &count in counts {
        let (cold, single_use, restart) =
            (format!("cold-{count}"), format!("single-use-{count}"), format!("restart-{count}"));
        let mut settled = None;
        if wanted(&cold) {
            let (figures, last) = cold::run(count, false, pairs(size, count)).await;
            report.add(&cold, figures);
            settled = Some(last);
        }
        if wanted(&restart) && (count >= 10_000 || size == Size::Smoke) {
            let settled = match settled.take() {
                Some(settled) => settled,
                None => cold::operated(count, false).await.1,
            };
            report.add(&restart, restart::run(count, settled).await);
        }
        drop(settled);
        if wanted(&single_use) {
            report.add(&single_use, cold::run(count, true, pairs(size, count)).await.0);
        }
    }
    let (herd, crowd) = match size {
        Size::Smoke => (200, 50),
        Size::Usual | Size::Full => (10_000, 5_000),
    };
    if wanted("bulkheads") && size != Size::Full {
        report.add("bulkheads", beside::run(crowd).await);
    }
    if wanted("herd") && size != Size::Full {
        report.add("herd", herd::run(herd).await);
    }
    if wanted("siege") && size != Size::Full {
        report.add("siege", siege::run(size).await);
    }
    if wanted("steady") {
        report.add("steady", steady::run(size).await);
    }
}

/// Pairs of a limit and a run. Their ratios' median is what counts, where there is time for several.
fn pairs(size: Size, count: usize) -> usize {
    if size == Size::Usual && count == 1_000 { 5 } else { 1 }
}
