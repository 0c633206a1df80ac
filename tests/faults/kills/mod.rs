//! SIGKILL, again and again, aimed at the exchange: several operators, each with credentials of a few seconds' lifetime, behind
//! proxies that see every write and every token request, and kill at the very event that a seed chose. The ledger of what the
//! proxies saw, and the token server's own log, tell whether what was lost was lost inside the window that docs/rotation.md
//! publishes. `make chaos` kills a thousand times.
//!
//! `CHAOS_KILLS`, `CHAOS_LANES` and `CHAOS_SEED` say how many, by how many operators at once, and drawn from what. A seed
//! repeats what is aimed at, in order; what the kernel makes of it differs.

mod aim;
mod lane;
mod ledger;
mod log;
mod tally;
mod tap;
mod watch;
mod windows;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::support::{Cluster, Oidc, say};
use lane::{Lane, Server};
use log::ServerLog;
use tally::Tally;

/// Of an access token, in seconds: refreshed after half of it.
const LIFETIME: &str = "6";
const GRACE: &str = "60";
/// Kills of one lane from one settling to the next.
const BETWEEN_SETTLINGS: usize = 25;

#[tokio::test(flavor = "multi_thread")]
async fn no_refresh_token_is_lost_outside_the_window() {
    let kills = setting("CHAOS_KILLS").unwrap_or(24);
    let lanes = setting("CHAOS_LANES").unwrap_or(2);
    let seed: u64 = std::env::var("CHAOS_SEED").map_or_else(|_| rand::rng().random(), |seed| seed.parse().unwrap());
    say(&format!("{kills} kills in {lanes} lanes, CHAOS_SEED={seed}"));
    let cluster = Cluster::shared().await;
    let servers = [server(LIFETIME, None).await, server(LIFETIME, Some("60s")).await];
    let done = Arc::new(AtomicUsize::new(0));
    let progress = std::env::var_os("CHAOS_KILLS").map(|_| tokio::spawn(tell(done.clone(), kills)));
    let running = (0..lanes).map(|at| {
        let (server, done) = (servers[at % 2].clone(), done.clone());
        let random = StdRng::seed_from_u64(seed ^ u64::try_from(at).unwrap());
        let share = kills / lanes + usize::from(at < kills % lanes);
        run(cluster, at, server, random, share, done)
    });
    let mut tally = Tally::default();
    for lane in join_all(running).await {
        tally.add(lane);
    }
    if let Some(telling) = progress {
        telling.abort();
    }
    tally.lines().iter().chain(&tally.windows()).for_each(|line| say(line));
    assert_eq!(tally.kills, kills);
}

fn setting(name: &str) -> Option<usize> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

/// A token server whose access tokens last so many seconds.
async fn server(lifetime: &str, grace: Option<&'static str>) -> Arc<Server> {
    let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    let mut flags = vec!["--access-token-ttl", lifetime, "--log", path.to_str().unwrap()];
    if grace.is_some() {
        flags.extend(["--reuse-grace-period", GRACE]);
    }
    let oidc = Oidc::start(&flags).await;
    let log = ServerLog::open(&path);
    Arc::new(Server { oidc, log: log.into(), grace })
}

async fn run(
    cluster: &'static Cluster,
    at: usize,
    server: Arc<Server>,
    mut random: StdRng,
    kills: usize,
    done: Arc<AtomicUsize>,
) -> Tally {
    let aims = StdRng::from_rng(&mut random);
    let mut lane = Lane::start(cluster, &format!("kills-{at}"), server, 24, aims, true).await;
    for kill in 1..=kills {
        let last = kill == kills || kill % BETWEEN_SETTLINGS == 0;
        // What a dead process left open, another pod judges by its age: only where there is time for that.
        let other_pod = kill % BETWEEN_SETTLINGS == 0 && random.random_ratio(1, 2);
        lane.round(!last && random.random_ratio(1, 6), other_pod).await;
        done.fetch_add(1, Ordering::Relaxed);
        if last {
            lane.settle().await;
        }
    }
    lane.close()
}

/// A line every few seconds, for whoever waits.
async fn tell(done: Arc<AtomicUsize>, kills: usize) {
    let began = Instant::now();
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let done = done.load(Ordering::Relaxed);
        let left = kills.saturating_sub(done);
        let eta = began.elapsed().as_secs_f64() / done.max(1) as f64 * left as f64;
        say(&format!("{done} of {kills} kills, {} s so far, about {eta:.0} s to go", began.elapsed().as_secs()));
    }
}
