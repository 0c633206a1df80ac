//! One thing that is wrong: what the operator must say of it, and how it ends.

use kube::core::PartialObjectMeta;
use oauth_operator::api::{ConditionStatus, ConditionType, OAuthCredential};
use serde_json::{Value, json};

use crate::{
    answers::CANARY,
    objects::{credential, merged, secret},
    support::{Conditions, Namespace, Operator, SOON, namespace::apply},
};

/// A credential with something wrong.
pub struct Case {
    pub name: &'static str,
    /// Applied before the credential.
    pub given: Vec<Value>,
    pub spec: Value,
    pub expect: Expect,
    /// Applied to end it. A credential of this name is one more version of it.
    pub cure: Vec<Value>,
}

/// What the operator says.
#[derive(Clone)]
pub struct Expect {
    /// Of Ready, and of Reconciling or Stalled.
    pub reason: &'static str,
    /// Of Refreshed.
    pub refreshed: &'static str,
    pub stalled: bool,
    /// Parts of the sentence: what is wrong, and what to do next.
    pub says: Vec<String>,
}

impl Expect {
    /// No token before a person changes something.
    pub fn stalled(reason: &'static str, says: &[&str]) -> Self {
        Self { stalled: true, ..Self::retried(reason, says) }
    }

    /// It may pass, and is tried again.
    pub fn retried(reason: &'static str, says: &[&str]) -> Self {
        let says = says.iter().map(|&part| part.to_owned()).collect();
        Self { reason, refreshed: reason, stalled: false, says }
    }

    fn met(&self, credential: &OAuthCredential) -> bool {
        credential.reason(ConditionType::Ready) == Some(self.reason)
            && !credential.is(ConditionType::Ready)
            && self.says.iter().all(|part| credential.message(ConditionType::Ready).contains(part))
    }
}

/// The spec of a credential that asks `url` for a token with the secret of [`client`], and `patch` over it.
pub fn spec(url: &str, patch: &Value) -> Value {
    let good = json!({
        "provider": {"endpoints": {"token": url}},
        "client": {"id": "it", "secretRef": {"name": "client", "key": "secret"}},
        "grant": {"clientCredentials": {}},
    });
    merged(&good, patch)
}

/// The Secret with the client secret.
pub fn client() -> Value {
    secret("client", &[("secret", "hunter2")])
}

impl Case {
    /// A credential that its own next version cures.
    pub fn of_spec(name: &'static str, wrong: Value, expect: Expect, right: &Value) -> Self {
        Self { name, given: Vec::new(), spec: wrong, expect, cure: vec![credential(name, right)] }
    }

    /// Applies it, and waits until the operator says what it must.
    pub async fn goes_wrong(&self, namespace: &Namespace) -> OAuthCredential {
        self.apply(namespace, self.given.clone()).await;
        self.apply(namespace, vec![credential(self.name, &self.spec)]).await;
        self.is_said(namespace).await
    }

    /// Applies what ends it, and waits until it has ended.
    pub async fn is_cured(&self, namespace: &Namespace) {
        self.apply(namespace, self.cure.clone()).await;
        self.recovers(namespace).await;
    }

    /// Waits until there is a token, and nothing left of what was wrong.
    pub async fn recovers(&self, namespace: &Namespace) {
        let cured = namespace.ready(self.name).await;
        let types: Vec<ConditionType> = conditions(&cured).map(|condition| condition.type_).collect();
        assert_eq!(types, [ConditionType::Ready, ConditionType::Refreshed], "{}", self.name);
        assert!(cured.is(ConditionType::Refreshed), "{}", self.name);
        let status = cured.status.as_ref().unwrap();
        assert!(status.failed_attempts.is_none() && status.last_failure_time.is_none(), "{}: {status:?}", self.name);
        namespace.keep("current", &cured);
    }

    /// Wrong, then right.
    pub async fn run(&self, namespace: &Namespace) {
        self.goes_wrong(namespace).await;
        self.is_cured(namespace).await;
    }

    async fn apply(&self, namespace: &Namespace, objects: Vec<Value>) {
        apply(&namespace.client, &namespace.name, objects)
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    async fn is_said(&self, namespace: &Namespace) -> OAuthCredential {
        let what = format!("{} {:?}", self.expect.reason, self.expect.says);
        let said = namespace.credential_until(self.name, &what, SOON, |credential| self.expect.met(credential)).await;
        self.check_conditions(&said);
        namespace.keep(if self.expect.stalled { "failed" } else { "inprogress" }, &said);
        self.check_event(namespace, &said).await;
        said
    }

    fn check_conditions(&self, said: &OAuthCredential) {
        let name = self.name;
        let found: Vec<_> =
            conditions(said).map(|condition| (condition.type_, condition.status, condition.reason.as_str())).collect();
        let abnormal = if self.expect.stalled { ConditionType::Stalled } else { ConditionType::Reconciling };
        let expected = [
            (ConditionType::Ready, ConditionStatus::False, self.expect.reason),
            (ConditionType::Refreshed, ConditionStatus::False, self.expect.refreshed),
            (abnormal, ConditionStatus::True, self.expect.reason),
        ];
        assert_eq!(found, expected, "{name}");
        let sentence = said.message(ConditionType::Ready);
        for condition in conditions(said) {
            assert_eq!(condition.message, sentence, "{name}: {:?}", condition.type_);
            assert_eq!(Some(condition.observed_generation), said.metadata.generation, "{name}: {:?}", condition.type_);
        }
        // A sentence, which may begin with a field's name.
        let first = sentence.split(' ').next().unwrap();
        assert!(
            first.contains(|c: char| c.is_uppercase() || c == '.') && sentence.ends_with('.'),
            "{name}: {sentence}"
        );
        assert!(sentence.len() <= 512 && !sentence.contains('\n'), "{name}: {sentence}");
    }

    async fn check_event(&self, namespace: &Namespace, said: &OAuthCredential) {
        let sentence = said.message(ConditionType::Ready);
        let what = format!("a Warning of {}: {} {sentence}", self.name, self.expect.reason);
        namespace
            .event_where(&what, |event| {
                event.regarding.as_ref().and_then(|object| object.uid.as_ref()) == said.metadata.uid.as_ref()
                    && event.type_.as_deref() == Some("Warning")
                    && [self.expect.reason, self.expect.refreshed].map(Some).contains(&event.reason.as_deref())
                    && event.note.as_deref() == Some(sentence)
            })
            .await;
    }
}

fn conditions(credential: &OAuthCredential) -> impl Iterator<Item = &oauth_operator::api::Condition> {
    credential.status.iter().flat_map(|status| &status.conditions)
}

/// Runs all at once.
pub async fn run_all(namespace: &Namespace, cases: &[Case]) {
    futures::future::join_all(cases.iter().map(|case| case.run(namespace))).await;
}

/// Nothing that came from a server or a Secret is to be seen anywhere.
pub async fn nothing_leaked(namespace: &Namespace, operator: &Operator) {
    let credentials = namespace.credentials().list(&kube::api::ListParams::default()).await.unwrap();
    let statuses: Vec<_> = credentials.items.iter().map(|credential| &credential.status).collect();
    namespace.event("Issued").await;
    // Each with a word that shows that it was read.
    let seen = [
        ("a status", "conditions", serde_json::to_string(&statuses).unwrap()),
        ("an Event", "Issued", serde_json::to_string(&namespace.events().await).unwrap()),
        ("the log", "leading", operator.log()),
        ("a metric", "oauth_operator_", operator.metrics().await),
        ("the metadata of a Secret", "oauth-operator.dev/credential", metadata(namespace).await),
    ];
    for (place, word, text) in seen {
        assert!(text.contains(word), "{place}: {text}");
        for secret in [CANARY, "hunter2", "<html", "access-", "refresh-token-"] {
            assert!(!text.contains(secret), "{place} has {secret}: {text}");
        }
    }
}

async fn metadata(namespace: &Namespace) -> String {
    let secrets = namespace.secrets().list_metadata(&kube::api::ListParams::default()).await.unwrap();
    let theirs =
        |secret: &&PartialObjectMeta<_>| secret.metadata.labels.as_ref().is_some_and(|labels| !labels.is_empty());
    let written: Vec<_> = secrets.items.iter().filter(theirs).map(|secret| &secret.metadata).collect();
    serde_json::to_string(&written).unwrap()
}
