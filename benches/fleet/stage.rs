//! What a case runs on: a fresh API server and token server, so that no case inherits another's objects.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use kube::api::ListParams;
use oauth_operator::api::ConditionType;
use serde_json::{Value, json};

use crate::{
    process,
    support::{Cluster, Conditions, Namespace, Operator},
    tokens::Tokens,
};

const WRITES_OF_STATUS: [&str; 2] = [r#"verb="patch""#, r#"resource="oauthcredentials/status""#];
/// Longer than any case takes.
const PATIENCE: Duration = Duration::from_secs(1800);

pub struct Stage {
    pub namespace: Namespace,
    pub tokens: Tokens,
    // Ends last.
    cluster: Arc<Cluster>,
}

impl Stage {
    pub async fn set() -> Self {
        Self::at(Arc::new(Cluster::start().await), "fleet").await
    }

    /// Another one at the same API server.
    pub async fn beside(&self, namespace: &str) -> Self {
        Self::at(self.cluster.clone(), namespace).await
    }

    async fn at(cluster: Arc<Cluster>, namespace: &str) -> Self {
        Self { namespace: cluster.namespace(namespace).await, tokens: Tokens::start().await, cluster }
    }

    /// The processor time that each process but the operator has used so far: those of the control plane, the token server, this one.
    pub fn spent(&self) -> BTreeMap<String, Duration> {
        let pids = std::fs::read_to_string(self.namespace.dir.join("pids")).unwrap();
        let control_plane = pids.lines().map(|line| line.split_once(' ').unwrap());
        let mut spent: BTreeMap<_, _> =
            control_plane.map(|(name, pid)| (name.to_owned(), process::cpu(pid.parse().unwrap()))).collect();
        spent.insert("token-server".to_owned(), process::cpu(self.tokens.pid()));
        spent.insert("benchmark".to_owned(), process::cpu(std::process::id()));
        spent
    }

    /// The same since then, in milliseconds for each of `count` credentials.
    pub fn spent_since(&self, before: &BTreeMap<String, Duration>, count: usize) -> Value {
        let now = self.spent().into_iter();
        now.map(|(name, spent)| {
            let each = (spent - before[&name]).as_secs_f64() * 1000.0 / count as f64;
            (name, json!(each))
        })
        .collect()
    }

    /// How many credentials are Ready.
    pub async fn ready(&self) -> usize {
        let listed = self.namespace.credentials().list(&ListParams::default()).await.unwrap().items;
        listed.iter().filter(|credential| credential.is(ConditionType::Ready)).count()
    }

    /// The operator as it is installed, with what it is served with here. Its metrics are read all the time, so they don't tell of each
    /// credential: that would be most of what is measured.
    pub async fn operator(&self) -> Operator {
        self.operator_with(&[]).await
    }

    /// The same with more flags.
    pub async fn operator_with(&self, flags: &[&str]) -> Operator {
        let own = ["--allow-insecure-http", "--credential-metrics=false"];
        Operator::start(&self.namespace, &[&own[..], flags].concat()).await
    }
}

/// Waits until every credential is Ready, each after one write of its status; says when it was so. The operator's own count tells
/// when to look, so that looking costs nothing meanwhile; and that is asked the seldomer the more is left to do.
pub async fn all_ready(stage: &Stage, operator: &Operator, count: usize) -> Instant {
    let (began, end) = (Instant::now(), Instant::now() + PATIENCE);
    loop {
        let written = operator.metric("oauth_operator_api_requests_total", &WRITES_OF_STATUS).await as usize;
        let now = Instant::now();
        if written >= count && stage.ready().await >= count {
            return now;
        }
        assert!(now < end, "{written} statuses of {count} credentials were written");
        let left = count.saturating_sub(written) as f64 / written.max(1) as f64;
        let pause = began.elapsed().mul_f64((left / 4.0).min(1.0));
        tokio::time::sleep(pause.clamp(Duration::from_millis(10), Duration::from_secs(2))).await;
    }
}

/// Waits until the operator uses next to no processor time; says since when.
pub async fn settled(operator: &Operator) -> Instant {
    const WINDOW: Duration = Duration::from_secs(2);
    let end = Instant::now() + PATIENCE;
    let mut window = (Instant::now(), process::cpu(operator.pid()));
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let cpu = process::cpu(operator.pid());
        if (cpu - window.1).as_secs_f64() > WINDOW.as_secs_f64() / 50.0 {
            window = (Instant::now(), cpu);
        } else if window.0.elapsed() >= WINDOW {
            return window.0;
        }
    }
    panic!("the operator doesn't come to rest");
}

/// Every request that the operator sent, by verb and resource.
pub async fn requests(operator: &Operator) -> Value {
    let metrics = operator.metrics().await;
    let lines = metrics.lines().filter_map(|line| line.strip_prefix("oauth_operator_api_requests_total{"));
    let counts = lines.map(|line| {
        let mut words = line.split('"');
        let (verb, resource) = (words.nth(1).unwrap(), words.nth(1).unwrap());
        let count: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        (format!("{verb} {resource}"), json!(count))
    });
    Value::Object(counts.collect())
}

/// What the operator has used since it was started, over `count` credentials.
pub async fn used(operator: &Operator, count: usize) -> Value {
    let pid = operator.pid();
    json!({
        "cpu_ms_per_credential": process::cpu(pid).as_secs_f64() * 1000.0 / count as f64,
        "peak_mib": process::peak(pid),
        "requests": requests(operator).await,
    })
}

/// The memory that the operator keeps, in MiB: what allocators give back, they give back soon.
pub async fn kept(operator: &Operator) -> f64 {
    tokio::time::sleep(Duration::from_secs(5)).await;
    process::resident(operator.pid())
}
