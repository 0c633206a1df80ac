//! What the operator costs the API server, by that server's own count and by the operator's. The API server is this
//! test's own, and only one operator runs on it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::manifests::{MACHINES, machine, web};
use crate::support::{Cluster, Namespace, Oidc, Operator, SOON, say, until};

const CROWD: usize = 1_000;
const STATEFUL: usize = 200;

/// How many requests there were of each verb and resource.
type Counts = BTreeMap<String, i64>;

/// The resources that the operator has to do with. The API server's own housekeeping touches none of them but Leases
/// (in kube-system) and, when it starts, Namespaces.
const RESOURCES: [&str; 7] = [
    "secrets",
    "oauthcredentials",
    "oauthcredentials/status",
    "oauthproviders",
    "clusteroauthproviders",
    "events",
    "serviceaccounts",
];

/// By the API server's count.
async fn served(namespace: &Namespace) -> Counts {
    let request = http::Request::get("/metrics").body(Vec::new()).unwrap();
    let metrics = namespace.client.request_text(request).await.unwrap();
    let mut counts = Counts::new();
    for line in metrics.lines().filter(|line| line.starts_with("apiserver_request_total{")) {
        let label = |name: &str| {
            let rest = line.split_once(&format!("{name}=\"")).map_or("", |(_, rest)| rest);
            rest.split('"').next().unwrap_or_default().to_owned()
        };
        let resource = match label("subresource").as_str() {
            "" => label("resource"),
            subresource => format!("{}/{subresource}", label("resource")),
        };
        if RESOURCES.contains(&resource.as_str()) {
            let count: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
            *counts.entry(format!("{} {resource}", label("verb"))).or_default() += count as i64;
        }
    }
    counts
}

/// By the operator's own count: every request it sends, whatever it is about.
async fn sent(operator: &Operator) -> Counts {
    let mut counts = Counts::new();
    for line in operator.metrics().await.lines().filter(|line| line.starts_with("oauth_operator_api_requests_total{")) {
        let mut words = line.split('"');
        let (verb, resource) = (words.nth(1).unwrap(), words.nth(1).unwrap());
        let count: i64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        counts.insert(format!("{verb} {resource}"), count);
    }
    counts
}

fn difference(before: &Counts, after: &Counts) -> Counts {
    let grown = after.iter().map(|(what, count)| (what.clone(), count - before.get(what).copied().unwrap_or(0)));
    grown.filter(|(_, count)| *count != 0).collect()
}

/// Without the Lease and the watches (which begin anew every few minutes).
fn work(counts: &Counts) -> Counts {
    let idle = |what: &str| what.ends_with(" leases") || what.to_lowercase().starts_with("watch ");
    counts.iter().filter(|(what, _)| !idle(what)).map(|(what, count)| (what.clone(), *count)).collect()
}

/// Waits until the operator has sent nothing but Lease renewals and watches for a second.
async fn rest(operator: &Operator) -> Counts {
    let mut last = (Counts::new(), Instant::now());
    until("the operator rests", Duration::from_secs(60), async || {
        let now = sent(operator).await;
        if work(&now) != work(&last.0) {
            last = (now, Instant::now());
            return None;
        }
        (last.1.elapsed() > Duration::from_secs(1)).then_some(now)
    })
    .await
}

async fn refreshes(operator: &Operator) -> i64 {
    operator.metric("oauth_operator_refreshes_total", &[r#"outcome="success""#]).await as i64
}

/// What the operator has sent, what has reached the API server, and the refreshes, at one time: nothing is sent while it is looked at.
async fn counted(namespace: &Namespace, operator: &Operator) -> (Counts, Counts, i64) {
    until("a look without a request in between", SOON * 2, async || {
        let counted = (rest(operator).await, served(namespace).await, refreshes(operator).await);
        (work(&sent(operator).await) == work(&counted.0)).then_some(counted)
    })
    .await
}

/// The requests of some refreshes in steady state, divided by their number.
async fn per_refresh(namespace: &Namespace, operator: &Operator, what: &str) -> Counts {
    let begin = refreshes(operator).await;
    until("the first tokens", SOON, async || (refreshes(operator).await > begin).then_some(())).await;
    let before = counted(namespace, operator).await;
    until("three refreshes", SOON, async || (refreshes(operator).await >= before.2 + 3).then_some(())).await;
    let after = counted(namespace, operator).await;
    let count = after.2 - before.2;
    let (own, theirs) = (work(&difference(&before.0, &after.0)), work(&difference(&before.1, &after.1)));
    say(&format!("{count} refreshes of {what}: the API server counts {theirs:?}, the operator {own:?}"));
    assert_eq!(own.values().sum::<i64>(), theirs.values().sum::<i64>(), "the two agree");
    own.into_iter()
        .map(|(what, requests)| {
            assert_eq!(requests % count, 0, "{requests} {what} in {count} refreshes");
            (what, requests / count)
        })
        .collect()
}

fn counts<const N: usize>(expected: [(&str, i64); N]) -> Counts {
    expected.into_iter().map(|(what, count)| (what.to_owned(), count)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_costs_two_writes_or_four_and_a_restart_none() {
    let cluster = Cluster::start().await;
    let namespace = cluster.namespace("counts").await;
    let quick = Oidc::start(&["--access-token-ttl", "8"]).await;
    let mut operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    namespace.apply(MACHINES).await;

    namespace.apply(&machine("machine", "post", &quick.token_url(), "")).await;
    let nothing_consumed = per_refresh(&namespace, &operator, "clientCredentials").await;
    assert_eq!(nothing_consumed, counts([("apply secrets", 1), ("patch oauthcredentials/status", 1)]));
    namespace.delete_credential("machine").await;

    namespace.apply(&web("person", &quick, &quick.seed("web-post").await, "")).await;
    let single_use = per_refresh(&namespace, &operator, "a single-use refresh token").await;
    let expected = [("apply secrets", 1), ("patch oauthcredentials/status", 1), ("update secrets", 2)];
    assert_eq!(single_use, counts(expected));
    namespace.delete_credential("person").await;
    assert_eq!(quick.replays().await, 0);

    restart_over_fresh_credentials(&namespace, &mut operator).await;
}

async fn restart_over_fresh_credentials(namespace: &Namespace, operator: &mut Operator) {
    let oidc = Oidc::start(&[]).await;
    let seeds = oidc.seeds("web-post", STATEFUL).await;
    let token_url = oidc.token_url();
    let stateless = (STATEFUL..CROWD).map(|at| machine(&format!("fresh-{at}"), "basic", &token_url, ""));
    let stateful = seeds.iter().enumerate().map(|(at, seed)| web(&format!("fresh-{at}"), &oidc, seed, ""));
    let manifests: Vec<String> = stateful.chain(stateless).collect();
    let began = Instant::now();
    let applied = manifests.chunks(100).map(|chunk| async move { namespace.apply(&chunk.join("\n---\n")).await });
    futures::future::join_all(applied).await;
    let all_ready = async |operator: &Operator| {
        until("all are Ready", Duration::from_secs(120), async || {
            let ready = operator.metric("oauth_operator_credentials", &[r#"ready="true""#]).await;
            (ready as usize == CROWD).then_some(())
        })
        .await;
    };
    all_ready(operator).await;
    say(&format!("{CROWD} credentials ({STATEFUL} of them with state) applied and Ready in {:?}", began.elapsed()));
    let asked = oidc.log().await.len();
    assert_eq!(asked, CROWD);

    operator.terminate();
    assert!(operator.end(SOON).await.success());
    let before = served(namespace).await;
    operator.resume().await;
    all_ready(operator).await;
    let own = rest(operator).await;
    let after = served(namespace).await;
    let requests = work(&difference(&before, &after));
    say(&format!("a restart over {CROWD} fresh credentials: the API server counts {requests:?}, the operator {own:?}"));
    assert!(requests.keys().all(|what| what.starts_with("LIST ")), "lists and nothing else: {requests:?}");
    assert!(
        own.keys().all(|what| ["list ", "watch ", "get leases", "update leases", "create leases"]
            .iter()
            .any(|allowed| what.starts_with(allowed))),
        "{own:?}"
    );
    assert_eq!(oidc.log().await.len(), asked, "no token request");

    // At rest: the Lease is renewed at every third of its 15 s, and nothing else moves.
    let leases =
        |counts: &Counts| counts.iter().filter(|(what, _)| what.ends_with(" leases")).map(|(_, n)| n).sum::<i64>();
    until("three renewals", SOON, async || (leases(&sent(operator).await) >= leases(&own) + 3).then_some(())).await;
    let later = sent(operator).await;
    say(&format!("at rest, until the third renewal of the Lease: {:?}", difference(&own, &later)));
    assert_eq!(work(&difference(&own, &later)), Counts::new());
    assert_eq!(work(&difference(&after, &served(namespace).await)), Counts::new());
    assert_eq!(oidc.log().await.len(), asked);
}
