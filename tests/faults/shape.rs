//! What is to be the same in the end, whatever happened on the way: status, output and state of a credential, without times,
//! tokens, counts and what the API server numbers.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;
use oauth_operator::api::{ConditionType, OAuthCredential};
use serde_json::{Value, json};

use crate::support::{Conditions, Namespace, SOON, until};

/// Waits until the operator has looked at the newest spec and rests with a token, and gives the credential's shape.
pub async fn settled(namespace: &Namespace, name: &str) -> Value {
    let what = format!("{name} is Ready and Refreshed under its newest spec, and says the same everywhere");
    let waited = tokio::time::timeout(SOON * 2, until(&what, SOON * 4, async || at_rest(namespace, name).await)).await;
    let Ok((credential, output, state)) = waited else {
        panic!("in vain: {what}. It says {}", json!(namespace.status(name).await));
    };
    let status = credential.status.unwrap();
    let shape = json!({
        "status": of_status(serde_json::to_value(&status).unwrap()),
        "output": of_output(&output, &state),
        "state": {
            "intent": state["intent"], "candidates": state["candidates"], "aside": state["aside"],
            "token": state["issued"]["refreshToken"] == state["refreshToken"],
            "binding": state["binding"]["clientId"], "spent": !state["spent"].as_array().unwrap().is_empty(),
        },
    });
    let uid = credential.metadata.uid.unwrap();
    serde_json::from_str(&shape.to_string().replace(name, "NAME").replace(&uid, "UID")).unwrap()
}

/// None: a refresh is under way, or due.
async fn at_rest(namespace: &Namespace, name: &str) -> Option<(OAuthCredential, Secret, Value)> {
    let credential = namespace.credentials().get_opt(name).await.unwrap()?;
    let status = credential.status.as_ref()?;
    let asked = credential.metadata.annotations.as_ref();
    let asked = asked.and_then(|asked| asked.get("oauth-operator.dev/refresh-requested-at"));
    let output = namespace.secret(&status.secret.as_ref()?.name).await?;
    let published = output.metadata.annotations.as_ref()?.get("oauth-operator.dev/revision")?.parse().ok();
    let state = namespace.state(name).await;
    let rests = status.observed_generation == credential.metadata.generation
        && asked == status.last_handled_refresh_request.as_ref()
        && credential.is(ConditionType::Ready)
        && credential.is(ConditionType::Refreshed)
        && status.revision == published
        && status.revision == state["revision"].as_i64()
        && state["intent"].is_null();
    rests.then_some((credential, output, state))
}

fn of_status(mut status: Value) -> Value {
    let fields = status.as_object_mut().unwrap();
    fields.remove("revision");
    fields.remove("observedGeneration");
    for said in
        ["expirationTime", "lastRefreshTime", "nextRefreshTime", "seedHash", "tokenHash", "lastHandledRefreshRequest"]
    {
        fields.entry(said).and_modify(|value| *value = "said".into());
    }
    for numbered in ["uid", "resourceVersion"] {
        status["secret"].as_object_mut().unwrap().remove(numbered);
    }
    for condition in status["conditions"].as_array_mut().unwrap() {
        let condition = condition.as_object_mut().unwrap();
        condition.remove("lastTransitionTime");
        condition.remove("observedGeneration");
    }
    status
}

fn of_output(output: &Secret, state: &Value) -> Value {
    let metadata = &output.metadata;
    let known = [(&state["issued"]["accessToken"], "ACCESS TOKEN"), (&state["issued"]["expiresAt"], "EXPIRY")];
    let data = output.data.iter().flatten().map(|(key, value)| {
        let text = String::from_utf8(value.0.clone()).unwrap();
        let text = match known.iter().find(|(value, _)| value.as_str() == Some(&text)) {
            Some((_, name)) => (*name).to_owned(),
            None if key == "expires_at" => "EXPIRY".to_owned(),
            None => text,
        };
        (key.clone(), Value::from(text))
    });
    let annotations = metadata.annotations.iter().flatten().map(|(key, value)| {
        let ours = key.starts_with("oauth-operator.dev/");
        (key.clone(), Value::from(if ours { "said" } else { value }))
    });
    json!({
        "name": metadata.name, "type": output.type_, "labels": metadata.labels,
        "owners": metadata.owner_references.iter().flatten().map(|owner| &owner.name).collect::<Vec<_>>(),
        "annotations": annotations.collect::<serde_json::Map<_, _>>(),
        "data": data.collect::<serde_json::Map<_, _>>(),
    })
}

/// Where they differ, shows only the lines that do.
pub fn assert_same(shape: &Value, undisturbed: &Value, what: &str) {
    if shape == undisturbed {
        return;
    }
    let lines =
        |shape| serde_json::to_string_pretty(shape).unwrap().lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (shape, undisturbed) = (lines(shape), lines(undisturbed));
    let only = |these: &BTreeSet<_>, those: &BTreeSet<_>| these.difference(those).cloned().collect::<Vec<String>>();
    panic!("{what}: {:#?} instead of {:#?}", only(&shape, &undisturbed), only(&undisturbed, &shape));
}
