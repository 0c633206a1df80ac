//! What is counted, and how it is said.

use std::collections::BTreeMap;
use std::time::Duration;

use super::aim::Aim;
use super::ledger::{Micros, Progress};

#[derive(Default)]
pub struct Tally {
    pub kills: usize,
    by_aim: BTreeMap<&'static str, usize>,
    by_progress: BTreeMap<Progress, usize>,
    pub requests: usize,
    pub replays: usize,
    pub lost_after_commit: usize,
    pub lost_on_the_way: usize,
    pub restarts: Vec<Duration>,
    pub commit_to_save: Vec<Micros>,
    /// By the operators' own clocks, over all their lives.
    pub fence_to_send: Vec<Micros>,
    pub reply_to_save: Vec<Micros>,
}

impl Tally {
    pub fn killed(&mut self, aim: Aim, progress: Progress) {
        self.kills += 1;
        *self.by_aim.entry(aim.as_str()).or_default() += 1;
        *self.by_progress.entry(progress).or_default() += 1;
    }

    pub fn add(&mut self, other: Self) {
        self.kills += other.kills;
        for (aim, count) in other.by_aim {
            *self.by_aim.entry(aim).or_default() += count;
        }
        for (progress, count) in other.by_progress {
            *self.by_progress.entry(progress).or_default() += count;
        }
        self.requests += other.requests;
        self.replays += other.replays;
        self.lost_after_commit += other.lost_after_commit;
        self.lost_on_the_way += other.lost_on_the_way;
        self.restarts.extend(other.restarts);
        self.commit_to_save.extend(other.commit_to_save);
        self.fence_to_send.extend(other.fence_to_send);
        self.reply_to_save.extend(other.reply_to_save);
    }

    /// One line each.
    pub fn lines(&self) -> Vec<String> {
        let aims: Vec<_> = self.by_aim.iter().map(|(aim, count)| format!("{count} {aim}")).collect();
        let hit: Vec<_> =
            self.by_progress.iter().rev().map(|(progress, count)| format!("{} {count}", progress.as_str())).collect();
        let restarts = self.restarts.iter().map(|took| u64::try_from(took.as_micros()).unwrap()).collect();
        vec![
            format!("{} kills: {}", self.kills, aims.join(", ")),
            format!("the attempt nearest to a loss at each kill: {}", hit.join("; ")),
            format!(
                "{} token requests, {} of them replays, all within policy; refresh tokens lost inside the published window: {} \
                 (the server had committed) + {} (it committed what was on the way); lost outside it: 0",
                self.requests, self.replays, self.lost_after_commit, self.lost_on_the_way
            ),
            format!("from a restart until all is honest: {}", spread(restarts)),
        ]
    }

    /// The two windows, and our part of the first: one line each.
    pub fn windows(&self) -> Vec<String> {
        vec![
            format!("from the server's commit to our durable write: {}", spread(self.commit_to_save.clone())),
            format!("of that, from the reply's arrival: {}", spread(self.reply_to_save.clone())),
            format!("from the fence's check to the first byte: {}", spread(self.fence_to_send.clone())),
        ]
    }
}

/// As p50, p99 and the greatest.
pub fn spread(mut samples: Vec<Micros>) -> String {
    samples.sort_unstable();
    let Some(greatest) = samples.last() else { return "no samples".to_owned() };
    let at = |share: usize| samples[(samples.len() * share / 100).min(samples.len() - 1)];
    let ms = |micros: Micros| format!("{}.{:03} ms", micros / 1000, micros % 1000);
    format!("p50 {}, p99 {}, max {} ({} samples)", ms(at(50)), ms(at(99)), ms(*greatest), samples.len())
}
