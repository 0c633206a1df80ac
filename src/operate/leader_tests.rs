//! The effects of the election, on a scripted API server that keeps one Lease.

use std::{
    convert::Infallible,
    sync::{Mutex, PoisonError},
};

use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use serde_json::{Value, json};

use super::*;

/// The Lease on the server, and each write it got.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<(Option<Value>, Vec<Value>)>>);

impl Server {
    fn with(lease: Value) -> Self {
        Self(Arc::new(Mutex::new((Some(lease), Vec::new()))))
    }

    fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (parts, body) = request.into_parts();
                let bytes = body.collect_bytes().await.unwrap();
                let (status, reply) = server.answer(&parts.method, &bytes);
                let reply = Body::from(serde_json::to_vec(&reply).unwrap());
                Ok::<_, Infallible>(Response::builder().status(status).body(reply).unwrap())
            }
        });
        Client::new(service, "default")
    }

    fn answer(&self, method: &Method, body: &[u8]) -> (StatusCode, Value) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (lease, writes) = &mut *state;
        let refused = |code: StatusCode, reason: &str| {
            let status = json!({"status": "Failure", "message": "", "reason": reason, "code": code.as_u16()});
            (code, status)
        };
        if *method == Method::GET {
            return lease
                .clone()
                .map_or_else(|| refused(StatusCode::NOT_FOUND, "NotFound"), |lease| (StatusCode::OK, lease));
        }
        let mut written: Value = serde_json::from_slice(body).unwrap();
        writes.push(written.clone());
        let version = |lease: &Value| lease["metadata"]["resourceVersion"].clone();
        if lease.as_ref().map(version).unwrap_or_default() != version(&written) {
            return refused(StatusCode::CONFLICT, "Conflict");
        }
        written["metadata"]["resourceVersion"] = json!(format!("{}", 100 + writes.len()));
        *lease = Some(written.clone());
        (StatusCode::OK, written)
    }

    fn writes(&self) -> Vec<Value> {
        self.0.lock().unwrap().1.clone()
    }
}

fn contend(server: &Server, shutdown: Shutdown) -> (Leadership, JoinHandle<()>) {
    let config = LeaseConfig {
        namespace: "operator".to_owned(),
        name: LeaseConfig::NAME.to_owned(),
        identity: "me_1".to_owned(),
        duration: Duration::from_secs(15),
    };
    lead(server.client(), config, shutdown, Metrics::new("0"))
}

fn lease_of(holder: &str) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "oauth-operator", "namespace": "operator", "resourceVersion": "7", "labels": {"a": "b"}},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 30, "leaseTransitions": 4,
            "renewTime": "2020-01-01T00:00:00.000000Z"},
    })
}

#[tokio::test]
async fn makes_a_lease_where_there_was_none_and_releases_it() {
    let server = Server::default();
    let (_trigger, shutdown) = Shutdown::by_hand();
    let (leadership, task) = contend(&server, shutdown);
    let renewal = leadership.acquired().await;
    assert_eq!(renewal.valid_until, renewal.last_renewed.plus(Duration::from_secs(10)));
    assert_eq!(leadership.held(), Some(renewal));
    leadership.release();
    task.await.unwrap();
    leadership.lost().await;
    let writes = server.writes();
    assert_eq!(writes.len(), 2);
    assert_eq!(writes[0]["spec"]["holderIdentity"], "me_1");
    assert_eq!(writes[0]["spec"]["leaseDurationSeconds"], 15);
    assert_eq!(writes[0]["spec"]["leaseTransitions"], 0);
    assert_eq!(writes[1]["spec"]["holderIdentity"], "");
    assert_eq!(writes[1]["metadata"]["resourceVersion"], "101");
}

#[tokio::test]
async fn takes_a_released_lease_under_its_version_and_keeps_what_is_not_ours() {
    let server = Server::with(lease_of(""));
    let (_trigger, shutdown) = Shutdown::by_hand();
    let (leadership, task) = contend(&server, shutdown);
    leadership.acquired().await;
    task.abort();
    let write = &server.writes()[0];
    assert_eq!(write["metadata"]["resourceVersion"], "7");
    assert_eq!(write["metadata"]["labels"], json!({"a": "b"}));
    assert_eq!(write["spec"]["leaseTransitions"], 5);
    assert_eq!(write["spec"]["acquireTime"], write["spec"]["renewTime"]);
}

#[tokio::test]
async fn leaves_anothers_lease_however_old_its_time_is() {
    let server = Server::with(lease_of("another_2"));
    let (trigger, shutdown) = Shutdown::by_hand();
    let (leadership, task) = contend(&server, shutdown);
    trigger.request();
    task.await.unwrap();
    assert!(leadership.held().is_none() && server.writes().is_empty());
}

#[tokio::test]
async fn a_leader_that_is_asked_to_end_leads_until_it_releases() {
    let server = Server::default();
    let (trigger, shutdown) = Shutdown::by_hand();
    let (leadership, task) = contend(&server, shutdown);
    leadership.acquired().await;
    trigger.request();
    tokio::task::yield_now().await;
    assert!(leadership.held().is_some() && !task.is_finished());
    leadership.release();
    task.await.unwrap();
    assert!(leadership.held().is_none());
}

#[tokio::test]
async fn without_election_it_is_always_held() {
    let leadership = Leadership::always();
    assert_eq!(Some(leadership.acquired().await), leadership.held());
    assert!(timeout(Duration::ZERO, leadership.lost()).await.is_err());
}
