//! What befalls reads through the proxy: watches that are held back, that lose events, or are cut; a 410; a list as it was
//! some time ago, as an API server's stale watch cache would answer; and an API server that isn't there at all.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream;
use http::{Method, Response, Uri, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::json;
use tokio::sync::watch;

use super::{Answer, Body, Proxy, broken, refusal, whole};

/// A read of more than one object.
pub enum Read {
    /// By path and query.
    List(String),
    /// By path.
    Watch(String),
}

impl Read {
    pub fn of(method: &Method, uri: &Uri) -> Option<Self> {
        let last = uri.path().rsplit('/').next()?;
        let plurals = ["oauthcredentials", "oauthproviders", "clusteroauthproviders", "namespaces", "secrets"];
        if *method != Method::GET || !plurals.contains(&last) {
            return None;
        }
        let watches = uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "watch=true"));
        Some(if watches { Self::Watch(uri.path().to_owned()) } else { Self::List(uri.to_string()) })
    }
}

/// How an API server says that a watch can't go on from where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// 200, and an event of type ERROR: what a watch cache does.
    Event,
    /// The status 410 itself.
    Status,
}

/// How events pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Flow {
    #[default]
    Open,
    Held,
    Lost,
}

#[derive(Clone, Copy, Debug, Default)]
struct Course {
    flow: Flow,
    /// A watch that began in an earlier epoch is cut.
    epoch: u64,
    absent: bool,
}

/// What the proxy answers by itself, by path.
#[derive(Default)]
struct Answers {
    listed: HashMap<String, Bytes>,
    stale: HashMap<String, Bytes>,
    watched: HashSet<String>,
    gone: HashMap<String, Gone>,
}

#[derive(Default)]
pub struct Watches {
    course: watch::Sender<Course>,
    answers: Mutex<Answers>,
}

impl Proxy {
    fn steer(&self, change: impl FnOnce(&mut Course)) {
        self.shared.watches.course.send_modify(change);
    }

    /// From now on events wait, until `let_events_pass`.
    pub fn hold_events(&self) {
        self.steer(|course| course.flow = Flow::Held);
    }

    /// From now on events are lost, until `let_events_pass`.
    pub fn lose_events(&self) {
        self.steer(|course| course.flow = Flow::Lost);
    }

    pub fn let_events_pass(&self) {
        self.steer(|course| course.flow = Flow::Open);
    }

    /// Cuts every watch; each may go on where it was.
    pub fn cut_watches(&self) {
        self.steer(|course| course.epoch += 1);
    }

    /// Cuts every watch, and none may go on where it was: each has to list anew.
    pub fn expire_watches(&self, gone: Gone) {
        let mut answers = self.shared.watches.answers();
        answers.gone = answers.watched.iter().map(|path| (path.clone(), gone)).collect();
        drop(answers);
        self.cut_watches();
    }

    /// The next list of each kind is answered as its last one was.
    pub fn serve_former_lists(&self) {
        let mut answers = self.shared.watches.answers();
        answers.stale = answers.listed.clone();
    }

    /// From now on no request is answered, and what is open breaks; until `come_back`.
    pub fn go_away(&self) {
        self.steer(|course| (course.absent, course.epoch) = (true, course.epoch + 1));
    }

    pub fn come_back(&self) {
        self.steer(|course| course.absent = false);
    }
}

impl Watches {
    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the API server doesn't get to see.
    pub fn answer_itself(&self, read: Option<&Read>) -> io::Result<Option<Answer>> {
        if self.course.borrow().absent {
            return Err(broken());
        }
        let mut answers = self.answers();
        Ok(match read {
            Some(Read::List(uri)) => answers.stale.remove(uri).map(json_answer),
            Some(Read::Watch(path)) => {
                answers.watched.insert(path.clone());
                answers.gone.remove(path).map(|gone| match gone {
                    Gone::Status => refusal(410),
                    Gone::Event => json_answer(Bytes::from(format!("{}\n", expired()))),
                })
            }
            None => None,
        })
    }

    /// What comes of a request, unless the API server goes away meanwhile.
    pub async fn unless_absent<T>(&self, request: impl Future<Output = T>) -> io::Result<T> {
        let mut course = self.course.subscribe();
        tokio::select! {
            answer = request => Ok(answer),
            _ = course.wait_for(|course| course.absent) => Err(broken()),
        }
    }

    pub async fn pass_on(&self, read: Read, response: Answer) -> io::Result<Answer> {
        let (head, body) = response.into_parts();
        let body = match read {
            Read::List(uri) => {
                let body = body.collect().await?.to_bytes();
                if head.status.is_success() {
                    self.answers().listed.insert(uri, body.clone());
                }
                whole(body)
            }
            Read::Watch(_) => self.events(body),
        };
        Ok(Response::from_parts(head, body))
    }

    /// A watch's events, a line each.
    fn events(&self, body: Body) -> Body {
        let mut course = self.course.subscribe();
        let began = course.borrow_and_update().epoch;
        let state = (body.into_data_stream(), BytesMut::new(), course);
        let lines = stream::try_unfold(state, move |(mut chunks, mut buffer, mut course)| async move {
            loop {
                let Course { flow, epoch, .. } = *course.borrow_and_update();
                if epoch != began {
                    return Err(broken());
                }
                let end = buffer.iter().position(|byte| *byte == b'\n').filter(|_| flow != Flow::Held);
                if let Some(end) = end {
                    let line = buffer.split_to(end + 1).freeze();
                    if flow == Flow::Open {
                        return Ok(Some((Frame::data(line), (chunks, buffer, course))));
                    }
                    continue;
                }
                tokio::select! {
                    chunk = chunks.next() => match chunk {
                        Some(chunk) => buffer.extend_from_slice(&chunk?),
                        None => return Ok(None),
                    },
                    Ok(()) = course.changed() => {}
                }
            }
        });
        StreamBody::new(lines).boxed_unsync()
    }
}

fn json_answer(body: Bytes) -> Answer {
    Response::builder().header(header::CONTENT_TYPE, "application/json").body(whole(body)).unwrap()
}

fn expired() -> serde_json::Value {
    json!({"type": "ERROR", "object": {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "too old resource version", "reason": "Expired", "code": 410,
    }})
}
