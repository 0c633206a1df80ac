//! SIGKILL at random moments, again and again, under a strict server with tokens of seconds. After each, every credential goes
//! on, or says honestly that its grant is lost. Only a kill between the server's commit and the first write of its reply may
//! cost a grant, and each grant lost costs one replay: there are no others. `make chaos` makes hundreds of rounds of it.

use std::collections::BTreeSet;
use std::time::Duration;

use oauth_operator::api::ConditionType;
use rand::Rng;

use crate::manifests::{input, web};
use crate::support::{Cluster, Conditions, Namespace, Oidc, Operator, say};

const CREDENTIALS: usize = 10;
/// Of an access token, in seconds.
const LIFETIME: &str = "4";

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_random_moments() {
    let rounds: usize = std::env::var("CHAOS_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(3);
    let namespace = Cluster::shared().await.namespace("random-kills").await;
    let oidc = Oidc::start(&["--access-token-ttl", LIFETIME]).await;
    let flags = ["--allow-insecure-http", "--lease-duration=10s", "--request-timeout=5s"];
    let mut operator = Operator::start(&namespace, &flags).await;
    let names: Vec<String> = (0..CREDENTIALS).map(|at| format!("killed-{at}")).collect();
    for (name, seed) in names.iter().zip(oidc.seeds("web-post", CREDENTIALS).await) {
        namespace.apply(&web(name, &oidc, &seed, "")).await;
    }
    for name in &names {
        namespace.ready(name).await;
    }
    let mut lost = 0;
    for _ in 0..rounds {
        // The moment is what is random here; nothing is waited for.
        tokio::time::sleep(Duration::from_millis(rand::rng().random_range(0..3000))).await;
        operator.restart().await;
        let settled = futures::future::join_all(names.iter().map(|name| goes_on(&namespace, name))).await;
        for (name, goes_on) in names.iter().zip(settled) {
            if !goes_on {
                lost += 1;
                let seed = oidc.seed("web-post").await;
                namespace.apply(&input(name, "web-post-secret", &seed)).await;
                namespace.ready(name).await;
            }
        }
    }
    let log = oidc.log().await;
    say(&format!("{rounds} kills over {CREDENTIALS} credentials, {} token requests: {lost} grants lost", log.len()));
    // A second kill may repeat a replay: it is the tokens that count.
    let replays = log.iter().filter(|entry| entry["replay"] == true);
    let replayed: BTreeSet<String> = replays.map(|entry| entry["refresh_token_sha256"].to_string()).collect();
    assert_eq!(replayed.len(), lost, "a token replayed for each grant that a kill cost, and no other");
}

/// Waits until a new token was published, or the grant is known to be lost.
async fn goes_on(namespace: &Namespace, name: &str) -> bool {
    let revision = namespace.status(name).await.revision;
    let within = Duration::from_secs(60);
    let settled = namespace
        .credential_until(name, "a newer token, or a lost grant", within, |credential| {
            let newer = credential.status.as_ref().is_some_and(|status| status.revision > revision);
            newer || credential.reason(ConditionType::Stalled) == Some("AuthorizationRequired")
        })
        .await;
    settled.condition(ConditionType::Stalled).is_none()
}
