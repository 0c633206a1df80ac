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
    let (herd, crowd) = match size {
        Size::Smoke => (200, 50),
        Size::Usual | Size::Full => (10_000, 5_000),
    };
    let herd_wanted = wanted("herd") && size != Size::Full;
    let mut away = None;
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
                None => cold::operated(cold::staged(count, false).await, count).await.1,
            };
            report.add(&restart, restart::run(count, settled).await);
        }
        drop(settled);
        let herds = herd_wanted && count == herd;
        let mut settled = None;
        if wanted(&single_use) {
            let (figures, last) = cold::run(count, true, pairs(size, count)).await;
            report.add(&single_use, figures);
            settled = Some(last);
        } else if herds {
            settled = Some(cold::operated(cold::staged(count, true).await, count).await.1);
        }
        if let Some(mut settled) = settled.filter(|_| herds) {
            settled.operator.leave().await;
            away = Some(settled);
        }
    }
    // While the herd's tokens live, and its operator is away.
    if wanted("bulkheads") && size != Size::Full {
        report.add("bulkheads", beside::run(crowd).await);
    }
    if let Some(away) = away {
        report.add("herd", herd::come_back(away, herd).await);
    }
    if wanted("siege") && size != Size::Usual {
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
