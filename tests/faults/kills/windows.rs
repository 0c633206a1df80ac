//! How long the two windows of docs/rotation.md last, with nobody killed: from the token server's commit to our durable write, and
//! from the fence's check to the first byte. Both ends of the first are told by others: by the token server's log and by the
//! proxy before the API server, on one clock. `WINDOW_SAMPLES` says how many are taken.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::lane::Lane;
use super::{server, setting};
use crate::support::{Cluster, say};

#[tokio::test(flavor = "multi_thread")]
async fn how_long_they_last() {
    let samples = setting("WINDOW_SAMPLES").unwrap_or(48);
    let cluster = Cluster::shared().await;
    for at_once in [1, 24] {
        let name = format!("windows-{at_once}");
        let mut lane =
            Lane::start(cluster, &name, server("3600", None).await, 24, StdRng::seed_from_u64(0), false).await;
        for _ in 0..samples.div_ceil(at_once) {
            lane.refresh(at_once).await;
        }
        let figures = lane.close();
        assert!(figures.commit_to_save.len() >= samples, "the servers' clocks agree on every one");
        say(&format!("{at_once} refreshes at once:"));
        figures.windows().iter().for_each(|line| say(line));
    }
}
