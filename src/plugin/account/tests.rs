use serde_json::{Value, json};

use super::*;

const NOW: &str = "2026-11-23T12:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": type_, "status": status, "reason": reason, "message": message, "lastTransitionTime": "2026-11-23T09:00:00Z"})
}

fn credential(spec: Value, status: Value) -> OAuthCredential {
    let metadata = json!({"name": "calendar", "namespace": "team-a", "generation": 1});
    serde_json::from_value(json!({
        "apiVersion": "oauth-operator.dev/v1alpha1", "kind": "OAuthCredential",
        "metadata": metadata, "spec": spec, "status": status,
    }))
    .unwrap()
}

fn spec() -> Value {
    json!({
        "provider": {"endpoints": {"token": "https://login.example.com/token"}},
        "client": {"id": "c", "secretRef": {"name": "calendar-client", "key": "client_secret"}},
        "grant": {"refreshToken": {"secretRef": {"name": "calendar-client", "key": "refresh_token"}}},
    })
}

fn ready() -> Value {
    json!({
        "observedGeneration": 1, "revision": 3,
        "lastRefreshTime": "2026-11-23T11:30:00Z", "nextRefreshTime": "2026-11-23T12:10:00Z",
        "expirationTime": "2026-11-23T12:30:00Z", "refreshTokenExpirationTime": "2026-12-23T11:30:00Z",
        "conditions": [
            condition("Ready", "True", "Issued", "The Secret calendar-token holds a valid access token."),
            condition("Refreshed", "True", "Issued", "The last attempt brought an access token."),
        ],
    })
}

fn secret(type_: &str, keys: &[&str], credential: Option<&str>) -> Seen<SecretFacts> {
    Seen::There(SecretFacts {
        type_: type_.to_owned(),
        keys: keys.iter().map(|key| ((*key).to_owned(), true)).collect(),
        credential: credential.map(str::to_owned),
        revision: credential.map(|_| 3),
    })
}

fn facts(spec: Value, status: Value, secrets: &[(&str, Seen<SecretFacts>)]) -> Facts {
    let credential = credential(spec, status);
    let provider = credential.spec.provider.clone().map_or(Seen::Absent, Seen::There);
    let secrets = secrets.iter().map(|(name, seen)| (("team-a".to_owned(), (*name).to_owned()), seen.clone()));
    Facts { credential, provider, secrets: secrets.collect(), shared_namespace: "team-a".to_owned() }
}

fn all_there() -> Vec<(&'static str, Seen<SecretFacts>)> {
    vec![
        ("calendar-client", secret("Opaque", &["client_secret", "refresh_token"], None)),
        ("calendar-oauth-state", secret(STATE_TYPE, &["format", "state.json"], Some("calendar"))),
        ("calendar-token", secret("Opaque", &["access_token", "expires_at"], Some("calendar"))),
    ]
}

#[test]
fn a_credential_that_is_well_is_told_from_provider_to_output() {
    let account = account(&facts(spec(), ready(), &all_there()), now());
    assert!(account.is_ready());
    assert_eq!(
        account.text(now()),
        "\
Credential: team-a/calendar
Ready:      True  Issued  (since 3h ago)
            The Secret calendar-token holds a valid access token.
Refreshed:  True  Issued  (since 3h ago)
            The last attempt brought an access token.
Provider:   inline
            https://login.example.com/token
Grant:      refreshToken
Inputs:     Secret calendar-client, key client_secret: there
            Secret calendar-client, key refresh_token: there
State:      Secret calendar-oauth-state: there, revision 3
Output:     Secret calendar-token: there, revision 3, keys access_token, expires_at
Timeline:   2026-11-23T11:30:00Z  30m ago       the token in the Secret was obtained
            -- now --
            2026-11-23T12:10:00Z  in 10m        next attempt
            2026-11-23T12:30:00Z  in 30m        the token in the Secret expires
            2026-12-23T11:30:00Z  in 29d        the refresh token ends, unless it is used before
Next step:  Nothing to do.
"
    );
}

#[test]
fn what_is_missing_is_named_with_what_to_do() {
    let message = "The Secret calendar-client has no key refresh_token: add it.";
    let status = json!({
        "observedGeneration": 1,
        "conditions": [
            condition("Ready", "False", "SourceSecretNotFound", message),
            condition("Refreshed", "False", "SourceSecretNotFound", message),
        ],
    });
    let half = [("calendar-client", secret("Opaque", &["client_secret"], None))];
    let told = account(&facts(spec(), status.clone(), &half), now());
    assert_eq!(told.inputs[1].found, Found::NoSuchKey);
    assert!(told.next_step.starts_with(message) && told.next_step.contains("Add the key refresh_token"));
    assert_eq!((told.output.found, told.state.as_ref().unwrap().found), (Found::NotYet, Found::NotYet));
    // The sentence that Ready says already isn't repeated.
    assert_eq!(told.text(now()).matches(message).count(), 2);

    let none = account(&facts(spec(), status, &[]), now());
    assert!(
        none.next_step.contains(
            "kubectl --namespace team-a create secret generic calendar-client --from-file=client_secret=FILE"
        )
    );
}

#[test]
fn what_may_not_be_seen_is_not_said_to_be_missing() {
    let hidden = ["calendar-client", "calendar-oauth-state", "calendar-token"].map(|name| (name, Seen::Hidden));
    let account = account(&facts(spec(), ready(), &hidden), now());
    assert!(account.inputs.iter().all(|input| input.found == Found::Hidden));
    assert_eq!((account.output.found, account.state.as_ref().unwrap().found), (Found::Hidden, Found::Hidden));
    assert_eq!(account.next_step, "Nothing to do.");
}

#[test]
fn lost_and_foreign_secrets_are_told_apart() {
    let mut secrets = all_there();
    secrets.retain(|(name, _)| *name != "calendar-oauth-state");
    secrets.retain(|(name, _)| *name != "calendar-token");
    secrets.push(("calendar-token", secret("Opaque", &["password"], None)));
    let account = account(&facts(spec(), ready(), &secrets), now());
    assert_eq!(account.state.as_ref().unwrap().found, Found::Missing);
    assert_eq!(account.output.found, Found::Foreign);
    assert!(account.output.keys.is_empty());
}

#[test]
fn grants_that_keep_nothing_have_no_state() {
    let mut spec = spec();
    spec["grant"] = json!({"clientCredentials": {}});
    assert!(account(&facts(spec, ready(), &[]), now()).state.is_none());
}

#[test]
fn the_next_step_follows_from_what_holds() {
    let step = |status: Value| row(&credential(spec(), status), now()).next_step;
    assert!(step(json!({"observedGeneration": -1})).contains("kubectl oauth check"));
    assert!(step(json!({"observedGeneration": 0})).contains("present spec"));
    let mut overdue = ready();
    overdue["nextRefreshTime"] = "2026-11-23T11:58:59Z".into();
    assert!(step(overdue).contains("overdue"));
    let mut failing = ready();
    failing["conditions"][1] = condition("Refreshed", "False", "ProviderUnavailable", "No answer: check the URL.");
    assert_eq!(step(failing), "No answer: check the URL.");
    let mut lost = ready();
    lost["conditions"].as_array_mut().unwrap().push(condition(
        "Stalled",
        "True",
        "AuthorizationRequired",
        "Consent again.",
    ));
    assert_eq!(step(lost), "Consent again.");
    let mut ending = ready();
    ending["conditions"].as_array_mut().unwrap().push(condition(
        "RefreshTokenExpiring",
        "True",
        "ExpiresSoon",
        "Give a new one.",
    ));
    assert_eq!(step(ending), "Give a new one.");
    let mut asked = ready();
    asked["authorization"] = json!({"verificationURI": "https://d.example", "userCode": "ABCD"});
    assert_eq!(step(asked), "Open https://d.example and enter the code ABCD.");
}

#[test]
fn consent_is_asked_for_when_it_is_needed() {
    let mut spec = spec();
    spec["grant"] = json!({"authorizationCode": {}});
    let step = |status: Value| row(&credential(spec.clone(), status), now()).next_step;
    // The page's address stays in the status.
    let mut status = ready();
    status["authorization"] = json!({"url": "https://oauth.example/consent/team-a/calendar"});
    assert_eq!(step(status.clone()), "Nothing to do.");
    status["conditions"][0] = condition("Ready", "False", "AuthorizationRequired", "Consent is needed.");
    assert_eq!(step(status), "Consent is needed.\nTo consent: kubectl oauth --namespace team-a authorize calendar");
}

#[test]
fn the_table_has_times_from_now() {
    let cells = |status: Value| row(&credential(spec(), status), now()).cells(now(), false);
    assert_eq!(cells(ready()), ["calendar", "True", "Issued", "in 30m", "in 10m", "calendar-token"]);
    assert_eq!(cells(json!({"observedGeneration": -1})), ["calendar", "False", "Pending", "", "", "calendar-token"]);
    let mut for_ever = ready();
    for_ever.as_object_mut().unwrap().retain(|key, _| !key.ends_with("ationTime") && key != "nextRefreshTime");
    assert_eq!(cells(for_ever), ["calendar", "True", "Issued", "never", "", "calendar-token"]);
    let mut late = ready();
    late["nextRefreshTime"] = "2026-11-23T11:55:00Z".into();
    assert_eq!(cells(late)[4], "overdue for 5m");
}

#[test]
fn every_field_is_there_for_programs() {
    let account = serde_json::to_value(account(&facts(spec(), ready(), &all_there()), now())).unwrap();
    assert_eq!(account["ready"]["status"], "True");
    assert_eq!(
        account["inputs"][0],
        json!({"namespace": "team-a", "secret": "calendar-client", "key": "client_secret", "found": "There"})
    );
    assert_eq!(account["state"]["revision"], 3);
    assert_eq!(account["timeline"][0]["time"], "2026-11-23T11:30:00Z");
}
