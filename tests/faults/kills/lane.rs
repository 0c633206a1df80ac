//! One operator with credentials of its own, killed again and again: after each restart every credential is Ready or says
//! honestly what it waits for, and a grant that is lost was lost inside the published window.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use oauth_operator::api::{ConditionType, OAuthCredential};
use rand::Rng;
use rand::rngs::StdRng;

use super::aim::Aim;
use super::ledger::{Lost, Micros, Try};
use super::log::ServerLog;
use super::tally::Tally;
use super::tap::Tap;
use super::watch::{Eyes, Watch};
use crate::manifests::input;
use crate::support::proxy::Proxy;
use crate::support::{Cluster, Conditions, Namespace, Oidc, Operator, until};

/// A kill that is aimed at something waits no longer for it.
const PATIENCE: Duration = Duration::from_secs(3);
/// Within this, all is honest after a restart.
const HONEST_WITHIN: Duration = Duration::from_secs(60);
/// Within this, all is well again when there are no more kills: what another pod left open takes the longest.
const WELL_WITHIN: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(40);

/// A token server.
pub struct Server {
    pub oidc: Oidc,
    pub log: Mutex<ServerLog>,
    /// None: strict.
    pub grace: Option<&'static str>,
}

pub struct Lane {
    namespace: Namespace,
    server: Arc<Server>,
    watch: Arc<Watch>,
    _tap: Tap,
    _proxy: Proxy,
    operator: Operator,
    pod: String,
    /// The open intents of the former pod are judged by their age.
    moved: bool,
    /// Given a new refresh token, and not yet Ready with it.
    recovering: HashSet<String>,
    random: StdRng,
    /// Attempts in the ledger, and bytes in the operator's log, when all had their first token.
    begun: (usize, usize),
    pub tally: Tally,
}

/// What a credential says of itself.
#[derive(Debug, PartialEq)]
enum Says {
    Honest,
    /// Nothing yet, or what was true before the kill.
    NotYet,
    Lost,
}

impl Lane {
    pub async fn start(
        cluster: &'static Cluster,
        name: &str,
        server: Arc<Server>,
        credentials: usize,
        random: StdRng,
        holds_up: bool,
    ) -> Self {
        let namespace = cluster.namespace(name).await;
        let watch = Arc::new(Watch::new(holds_up));
        let eyes = Arc::new(Eyes(watch.clone()));
        let tap = Tap::start(server.oidc.token_url(), eyes.clone()).await;
        let proxy = Proxy::watched(cluster, eyes).await;
        let operator = Operator::behind(&proxy, &namespace, &flags(false)).await;
        let names: Vec<String> = (0..credentials).map(|at| format!("killed-{at}")).collect();
        for (name, seed) in names.iter().zip(server.oidc.seeds("web-post", credentials).await) {
            namespace.apply(&credential(name, &tap.url(), server.grace, &seed)).await;
        }
        let pod = namespace.name.clone();
        let mut lane = Self {
            namespace,
            server,
            watch,
            _tap: tap,
            _proxy: proxy,
            operator,
            pod,
            moved: false,
            recovering: HashSet::new(),
            random,
            begun: (0, 0),
            tally: Tally::default(),
        };
        lane.await_honesty().await;
        lane.begun = (lane.watch.ledger().tries().len(), lane.operator.log().len());
        lane
    }

    /// One kill and one restart. `hurried`: the next kill may come before all is honest again.
    pub async fn round(&mut self, hurried: bool, other_pod: bool) {
        let aim = Aim::draw(&mut self.random);
        let progress = self.watch.kill(self.operator.pid(), aim, PATIENCE).await;
        // It is dead already; this waits for its end.
        self.operator.kill();
        self.tally.killed(aim, progress);
        let election = self.random.random_ratio(1, 3);
        if election {
            self.free_lease().await;
        }
        self.moved = other_pod;
        if other_pod {
            self.pod = format!("{}-{}", self.namespace.name, self.random.random::<u32>());
        }
        let began = Instant::now();
        self.operator.relaunch(&self.pod, &flags(election));
        if !hurried {
            self.await_honesty().await;
            self.tally.restarts.push(began.elapsed());
        }
    }

    /// As the administrator of a cluster may, who knows that the holder is dead: else the next would wait for its end.
    async fn free_lease(&self) {
        let leases: Api<Lease> = Api::namespaced(self.namespace.client.clone(), &self.namespace.name);
        match leases.delete("oauth-operator", &DeleteParams::default()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => panic!("{error}"),
        }
    }

    async fn await_honesty(&mut self) {
        let end = Instant::now() + HONEST_WITHIN;
        loop {
            let mut waiting = Vec::new();
            for credential in self.list().await {
                if self.hear(&credential).await == Says::NotYet {
                    waiting.push(credential);
                }
            }
            if waiting.is_empty() {
                return;
            }
            assert!(Instant::now() < end, "not honest in {} s: {}", HONEST_WITHIN.as_secs(), self.story(&waiting[0]));
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Kills nothing until every credential has a new token, of its old grant or of the one that replaces a lost one.
    pub async fn settle(&mut self) {
        let revisions: HashMap<String, Option<i64>> =
            self.list().await.into_iter().map(|credential| (name(&credential), revision(&credential))).collect();
        let end = Instant::now() + WELL_WITHIN;
        loop {
            let mut waiting = Vec::new();
            for credential in self.list().await {
                let said = self.hear(&credential).await;
                let renewed = revision(&credential) > revisions[&name(&credential)];
                let well = credential.is(ConditionType::Ready) && credential.is(ConditionType::Refreshed);
                if said != Says::Honest || !renewed || !well {
                    waiting.push(credential);
                }
            }
            if waiting.is_empty() {
                break;
            }
            assert!(Instant::now() < end, "not well in {} s: {}", WELL_WITHIN.as_secs(), self.story(&waiting[0]));
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Asks for a refresh of so many credentials at once, and waits for their end.
    pub async fn refresh(&mut self, at_once: usize) {
        let names: Vec<String> = self.list().await.iter().map(name).take(at_once).collect();
        let newest = |name: &String| self.watch.ledger().newest(name).unwrap().clone();
        let before: Vec<_> = names.iter().map(newest).collect();
        let at = Timestamp::now().to_string();
        join_all(names.iter().map(|name| self.namespace.request_refresh(name, &at))).await;
        for (name, before) in names.iter().zip(before) {
            until("the refresh has ended", HONEST_WITHIN, async || {
                let newest = newest(name);
                (newest.attempt != before.attempt && newest.reported.is_some()).then_some(())
            })
            .await;
        }
    }

    async fn list(&self) -> Vec<OAuthCredential> {
        self.namespace.credentials().list(&ListParams::default()).await.unwrap().items
    }

    /// Judges what a credential says; a lost grant is counted and replaced.
    async fn hear(&mut self, credential: &OAuthCredential) -> Says {
        let name = name(credential);
        let said = self.judge(credential);
        if said == Says::Lost {
            let lost = {
                let mut log = self.server.log.lock().unwrap_or_else(PoisonError::into_inner);
                self.watch.ledger().lost(&name, log.catch_up())
            };
            // Until the new refresh token is read, the old one's loss is what the status says.
            if lost.is_none() && self.recovering.contains(&name) {
                return Says::NotYet;
            }
            let Some(lost) = lost else { panic!("lost outside the window: {}", self.story(credential)) };
            assert!(self.server.grace.is_none(), "lost under a server with a grace: {}", self.story(credential));
            match lost {
                Lost::AfterCommit => self.tally.lost_after_commit += 1,
                Lost::OnTheWay => self.tally.lost_on_the_way += 1,
            }
            self.watch.ledger().reseeded(&name);
            self.recovering.insert(name.clone());
            let seed = self.server.oidc.seed("web-post").await;
            self.namespace.apply(&input(&name, "web-post-secret", &seed)).await;
            return Says::NotYet;
        }
        if said == Says::Honest && credential.is(ConditionType::Ready) {
            self.recovering.remove(&name);
        }
        said
    }

    fn judge(&self, credential: &OAuthCredential) -> Says {
        if credential.reason(ConditionType::Stalled) == Some("AuthorizationRequired") {
            return Says::Lost;
        }
        assert!(!credential.is(ConditionType::Stalled), "{}", self.story(credential));
        let name = name(credential);
        let open = |newest: &Try| newest.killed.is_some() && newest.intended.is_some() && !newest.is_settled();
        let open = self.watch.ledger().newest(&name).is_some_and(open);
        let unknown = credential.reason(ConditionType::Refreshed) == Some("OutcomeUnknown");
        let expires = credential.status.as_ref().and_then(|status| status.expiration_time);
        let serves = credential.is(ConditionType::Ready) && expires.is_some_and(|expires| expires > Timestamp::now());
        match (serves, open) {
            (true, false) => Says::Honest,
            _ if open && (unknown || self.moved) => Says::Honest,
            _ => Says::NotYet,
        }
    }

    fn story(&self, credential: &OAuthCredential) -> String {
        let ledger = self.watch.ledger();
        let name = name(credential);
        let tries: Vec<_> = ledger.tries().iter().rev().filter(|seen| seen.credential == name).take(4).collect();
        let status = serde_yaml_ng::to_string(&credential.status).unwrap();
        format!("{name} in {}:\n{status}\nits newest attempts: {tries:#?}", self.namespace.name)
    }

    /// No more kills: what the proxies and the token server saw is complete.
    pub fn close(mut self) -> Tally {
        let mut log = self.server.log.lock().unwrap_or_else(PoisonError::into_inner);
        let ledger = self.watch.ledger();
        let wrong: Vec<_> = ledger.wrong.iter().cloned().chain(ledger.unexplained_replays()).collect();
        assert!(wrong.is_empty(), "{}: {wrong:#?}", self.namespace.name);
        let entries = log.catch_up();
        self.tally.commit_to_save.extend(ledger.commit_to_save(self.begun.0, entries));
        let tokens: HashSet<&str> = ledger.tries().iter().map(|seen| seen.token.as_str()).collect();
        for entry in tokens.into_iter().filter_map(|token| entries.get(token)).flatten() {
            self.tally.requests += 1;
            self.tally.replays += usize::from(entry.replay);
            let refused = entry.replay && entry.status != Some(200);
            assert!(!refused || self.server.grace.is_none(), "a replay after the grace: {entry:?}");
        }
        drop(ledger);
        drop(log);
        for line in self.operator.log()[self.begun.1..].lines() {
            self.tally.fence_to_send.extend(field(line, "fence_to_send_us="));
            self.tally.reply_to_save.extend(field(line, "reply_to_save_us="));
        }
        self.tally
    }
}

fn flags(election: bool) -> Vec<&'static str> {
    let election = if election { "--leader-election=true" } else { "--leader-election=false" };
    let log = "--log-level=info,oauth_operator::controller::attempt=debug";
    vec!["--allow-insecure-http", "--request-timeout=15s", "--lease-duration=10s", election, log]
}

fn field(line: &str, name: &str) -> Option<Micros> {
    line.split_once(name)?.1.split(' ').next()?.parse().ok()
}

fn name(credential: &OAuthCredential) -> String {
    credential.metadata.name.clone().unwrap()
}

fn revision(credential: &OAuthCredential) -> Option<i64> {
    credential.status.as_ref()?.revision
}

/// With an input Secret, for oidc-provider's client `web-post`.
fn credential(name: &str, token_url: &str, grace: Option<&str>, seed: &str) -> String {
    let tokens = grace.map_or_else(String::new, |grace| format!(", refreshTokens: {{reuseGracePeriod: {grace}}}"));
    format!(
        r#"
{input}
---
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthCredential
metadata: {{name: {name}}}
spec:
  provider: {{endpoints: {{token: "{token_url}"}}{tokens}}}
  client:
    id: web-post
    secretRef: {{name: {name}-input, key: client_secret}}
    authentication: client_secret_post
  grant: {{refreshToken: {{secretRef: {{name: {name}-input, key: refresh_token}}}}}}
"#,
        input = input(name, "web-post-secret", seed)
    )
}
