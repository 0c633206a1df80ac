//! Kubernetes Events: best effort, never in the way of anything.
//!
//! Sending one only puts it into a queue, and a full queue drops it. Which transitions deserve an Event, and that no
//! server's words are in it, is up to the sender.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::{
    metrics::{Dropped, Metrics},
    paces::Paces,
    requests::UnderWay,
};

/// Events that may wait. At the rate below it is drained in under a minute.
const WAITING: usize = 512;
/// Over all objects. An Event costs the API server as much as a write of ours.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(10).unwrap();
const BURST: NonZeroU32 = NonZeroU32::new(50).unwrap();
/// For one object: a burst, then one every `OBJECT_REFILL`, as client-go has it.
const OBJECT_BURST: NonZeroU32 = NonZeroU32::new(10).unwrap();
const OBJECT_REFILL: Duration = Duration::from_secs(300);
/// With so many requests under way, an Event gives way to them, so long; it looks as often.
const BUSY: usize = 8;
const GIVES_WAY: Duration = Duration::from_secs(60);
const LOOKS: Duration = Duration::from_millis(100);
/// For one request; the next Event shouldn't wait for a dead connection.
const PUBLISH: Duration = Duration::from_secs(10);
/// The API's bound on a note, in bytes.
const NOTE: usize = 1024;

/// How grave an Event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    Normal,
    Warning,
}

#[derive(Debug)]
struct Note {
    about: ObjectReference,
    kind: EventKind,
    reason: &'static str,
    text: String,
    since: Instant,
}

/// Where Events are put. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Events {
    queue: mpsc::Sender<Note>,
    metrics: Metrics,
}

impl Events {
    /// Starts the task that publishes as `instance` of the controller `oauth-operator`; Events give way to other requests that are
    /// `under_way`. It ends, what is queued being published, when all clones are gone.
    pub fn start(client: Client, instance: String, under_way: UnderWay, metrics: Metrics) -> (Self, JoinHandle<()>) {
        let (events, queue) = Self::queue(metrics.clone());
        let reporter = Reporter { controller: "oauth-operator".to_owned(), instance: Some(instance) };
        let task = tokio::spawn(publish(Recorder::new(client, reporter), queue, under_way, Limits::new(), metrics));
        (events, task)
    }

    fn queue(metrics: Metrics) -> (Self, mpsc::Receiver<Note>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self { queue: sender, metrics }, receiver)
    }

    /// Queues an Event about an object; the sender neither waits nor learns what becomes of it. Within six minutes a
    /// repeated reason of one object counts up the first Event and keeps its note.
    pub fn send(&self, about: ObjectReference, kind: EventKind, reason: &'static str, note: String) {
        if self.queue.try_send(Note { about, kind, reason, text: note, since: Instant::now() }).is_err() {
            self.metrics.event_dropped(Dropped::QueueFull);
        }
    }
}

/// How many Events may be published, over all and of one object.
struct Limits {
    all: DefaultDirectRateLimiter,
    object: Paces<Arc<str>>,
    clock: DefaultClock,
}

impl Limits {
    fn new() -> Self {
        Self {
            all: RateLimiter::direct(Quota::per_second(PER_SECOND).allow_burst(BURST)),
            object: Paces::new(OBJECT_BURST, OBJECT_REFILL),
            clock: DefaultClock::default(),
        }
    }

    /// Whether this object may have another Event.
    fn allow(&self, about: &ObjectReference) -> bool {
        self.object.check(&key(about)).is_ok()
    }

    /// Waits for the rate over all.
    async fn turn(&self) {
        while let Err(early) = self.all.check() {
            tokio::time::sleep(early.wait_time_from(self.clock.now())).await;
        }
    }
}

/// Stands for an object.
fn key(about: &ObjectReference) -> Arc<str> {
    let parts = [&about.uid, &about.kind, &about.namespace, &about.name];
    parts.map(|part| part.as_deref().unwrap_or_default()).join("/").into()
}

async fn publish(
    recorder: Recorder,
    mut queue: mpsc::Receiver<Note>,
    under_way: UnderWay,
    limits: Limits,
    metrics: Metrics,
) {
    while let Some(mut note) = queue.recv().await {
        // The recorder joins repeated Events by the whole reference: another version is the same object.
        note.about.resource_version = None;
        if !limits.allow(&note.about) {
            metrics.event_dropped(Dropped::RateLimited);
            continue;
        }
        while under_way.count() >= BUSY && note.since.elapsed() < GIVES_WAY {
            sleep(LOOKS).await;
        }
        limits.turn().await;
        let outcome = timeout(PUBLISH, recorder.publish(&event(&note), &note.about)).await;
        if !matches!(outcome, Ok(Ok(()))) {
            metrics.event_dropped(Dropped::Refused);
            tracing::debug!(reason = note.reason, "an Event was not published");
        }
    }
}

fn event(note: &Note) -> Event {
    Event {
        type_: match note.kind {
            EventKind::Normal => EventType::Normal,
            EventKind::Warning => EventType::Warning,
        },
        reason: note.reason.to_owned(),
        note: Some(note.text[..note.text.floor_char_boundary(NOTE)].to_owned()),
        action: "Reconcile".to_owned(),
        secondary: None,
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, sync::Mutex};

    use http::{Request, Response};
    use kube::client::Body;

    use super::*;

    fn object(name: &str) -> ObjectReference {
        ObjectReference {
            kind: Some("OAuthCredential".to_owned()),
            namespace: Some("a".to_owned()),
            name: Some(name.to_owned()),
            ..ObjectReference::default()
        }
    }

    /// An API server that takes whatever comes, and what came: the requests' methods.
    fn api() -> (Client, Arc<Mutex<Vec<String>>>) {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&sent);
        let api = tower::service_fn(move |request: Request<Body>| {
            log.lock().unwrap().push(request.method().to_string());
            async move {
                let body = request.into_body().collect_bytes().await.unwrap();
                Ok::<_, Infallible>(Response::new(Body::from(body)))
            }
        });
        (Client::new(api, "default"), sent)
    }

    /// The value of one reason of events_dropped_total.
    fn dropped(metrics: &Metrics, why: Dropped) -> usize {
        let name = format!("oauth_operator_events_dropped_total{{reason=\"{}\"}} ", why.as_str());
        metrics.encode().lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap()
    }

    #[tokio::test]
    async fn a_full_queue_drops_and_counts() {
        let metrics = Metrics::new("0");
        let (events, _queue) = Events::queue(metrics.clone());
        for _ in 0..WAITING + 3 {
            events.send(object("b"), EventKind::Normal, "Issued", String::new());
        }
        assert_eq!(dropped(&metrics, Dropped::QueueFull), 3);
    }

    #[tokio::test]
    async fn publishes_within_the_limits() {
        let (client, sent) = api();
        let metrics = Metrics::new("0");
        let (events, task) = Events::start(client, "pod_1".to_owned(), UnderWay::default(), metrics.clone());
        for version in 0..OBJECT_BURST.get() + 2 {
            let about = ObjectReference { resource_version: Some(version.to_string()), ..object("b") };
            events.send(about, EventKind::Warning, "InvalidGrant", "ü".repeat(NOTE));
        }
        drop(events);
        task.await.unwrap();
        let sent = sent.lock().unwrap().clone();
        assert_eq!((sent.len(), sent[0].as_str(), sent[1].as_str()), (10, "POST", "PATCH"));
        assert_eq!((dropped(&metrics, Dropped::RateLimited), dropped(&metrics, Dropped::Refused)), (2, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn gives_way_for_a_minute_at_the_most() {
        let (client, sent) = api();
        let under_way = UnderWay::default();
        let (events, _task) = Events::start(client, "pod_1".to_owned(), under_way.clone(), Metrics::new("0"));
        let sent_after = async |seconds| {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            sent.lock().unwrap().len()
        };
        let send = |name| events.send(object(name), EventKind::Normal, "Issued", String::new());
        let mut requests: Vec<_> = (0..BUSY).map(|_| under_way.one_more()).collect();
        send("a");
        assert_eq!(sent_after(50).await, 0);
        send("b");
        assert_eq!(sent_after(11).await, 1, "a has waited long enough, b has not");
        requests.pop();
        assert_eq!(sent_after(1).await, 2);
        send("c");
        assert_eq!(sent_after(1).await, 3, "there is nothing to give way to");
    }

    #[test]
    fn a_long_note_is_cut_between_characters() {
        let (about, kind, text) = (object("b"), EventKind::Normal, "ü€".repeat(NOTE));
        let note = Note { about, kind, reason: "Issued", text, since: Instant::now() };
        let text = event(&note).note.unwrap();
        assert!(text.len() <= NOTE && text.len() > NOTE - 4);
    }
}
