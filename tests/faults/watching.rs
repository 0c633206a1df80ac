//! What the operator sees late, twice or never: events held back, lost or cut off, and lists that are older than what it had
//! seen before. In the end everything is as if it had seen all of it at once, and no refresh token was sent twice.

use std::time::Duration;

use kube::Api;
use kube::api::DeleteParams;
use oauth_operator::api::OAuthProvider;
use serde_json::{Value, json};

use crate::manifests::{hover, input};
use crate::shape::{assert_same, settled};
use crate::support::proxy::{Gone, Proxy};
use crate::support::standin::{Hover, Standin};
use crate::support::{Cluster, Namespace, Operator, SOON, throughout, until};

/// Long enough for a few refreshes, whose events are then late or lost as well.
const WHILE: Duration = Duration::from_secs(4);
const LIFETIME: Duration = Duration::from_secs(10);

/// What disturbs the operator's view while people act.
#[derive(Clone, Copy, Debug)]
enum Disturbance {
    Nothing,
    /// Events come, late.
    Late,
    /// Watches break, again and again, and go on where they were.
    Cut,
    /// Events are lost, and each watch has to list anew.
    Missed(Gone),
    /// It dies, and its successor is first shown everything as it was some time ago.
    StaleLists,
    /// It is gone while people act.
    Away,
}

/// A life of a credential, of which the operator sees what the disturbance lets it.
async fn life(disturbance: Disturbance) -> Value {
    let name = format!("{disturbance:?}").to_lowercase().replace(['(', ')'], "-");
    let cluster = Cluster::shared().await;
    let namespace = cluster.namespace(&format!("view-{}", name.trim_end_matches('-'))).await;
    let standin = Standin::start(Hover { access_token_lifetime: LIFETIME, ..Hover::default() }).await;
    let proxy = Proxy::start(cluster).await;
    let mut operator = Operator::behind(&proxy, &namespace, &["--allow-insecure-http"]).await;
    namespace.apply(&provider(&standin, "1h")).await;
    namespace.apply(&of_provider(hover("kept", &standin, ""), &standin)).await;
    namespace.apply(&hover("gone", &standin, "")).await;
    namespace.ready("kept").await;
    namespace.ready("gone").await;
    if matches!(disturbance, Disturbance::StaleLists) {
        // What is listed now is what will be shown later.
        proxy.expire_watches(Gone::Event);
        namespace.revision("kept", 3, SOON).await;
    }
    let lineages = [namespace.state("kept").await["lineage"].clone(), namespace.state("gone").await["lineage"].clone()];

    match disturbance {
        Disturbance::Nothing => {}
        Disturbance::Late => proxy.hold_events(),
        Disturbance::Cut => proxy.cut_watches(),
        Disturbance::Missed(_) => proxy.lose_events(),
        Disturbance::StaleLists => {
            operator.kill();
            proxy.serve_former_lists();
            proxy.hold_events();
        }
        Disturbance::Away => operator.kill(),
    }
    people_act(&namespace, &standin).await;
    if matches!(disturbance, Disturbance::StaleLists | Disturbance::Away) {
        operator.resume().await;
    }
    throughout("no token is sent twice", WHILE, async || {
        if matches!(disturbance, Disturbance::Cut) {
            proxy.cut_watches();
        }
        (standin.replays() > 0).then(|| "a replay".to_owned())
    })
    .await;
    if let Disturbance::Missed(gone) = disturbance {
        proxy.expire_watches(gone);
    }
    proxy.let_events_pass();

    let ends = namespace.secret_until("kept-token", "as the spec has it now", |secret| {
        secret.data.as_ref().is_some_and(|data| data.contains_key("only"))
    });
    ends.await;
    for (name, former) in ["kept", "gone"].into_iter().zip(&lineages) {
        let what = format!("{name}: a token of the newest seed");
        until(&what, SOON, async || {
            let state = namespace.state(name).await;
            (&state["lineage"] != former && !state["issued"].is_null()).then_some(())
        })
        .await;
    }
    let shapes = json!([settled(&namespace, "kept").await, settled(&namespace, "gone").await]);
    assert_eq!(standin.replays(), 0, "{disturbance:?}");
    let refused: Vec<_> = standin.requests().into_iter().filter_map(|request| request.refused).collect();
    assert!(refused.is_empty(), "{disturbance:?}: {refused:?}");
    shapes
}

fn provider(standin: &Standin, default_lifetime: &str) -> String {
    let url = standin.token_url();
    format!(
        r#"
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthProvider
metadata: {{name: shared}}
spec: {{endpoints: {{token: "{url}"}}, tokenRequest: {{encoding: JSON}}, defaultLifetime: {default_lifetime}}}
"#
    )
}

/// The manifest with a reference in place of its inline provider.
fn of_provider(manifest: String, standin: &Standin) -> String {
    let url = standin.token_url();
    let inline = format!("  provider:\n    endpoints: {{token: \"{url}\"}}\n    tokenRequest: {{encoding: JSON}}\n");
    assert!(manifest.contains(&inline));
    manifest.replace(&inline, "  providerRef: {name: shared}\n")
}

/// Provider, spec, input and output change, a refresh is asked for, and a credential is deleted and made anew under the same name, with
/// another seed.
async fn people_act(namespace: &Namespace, standin: &Standin) {
    let providers: Api<OAuthProvider> = Api::namespaced(namespace.client.clone(), &namespace.name);
    providers.delete("shared", &DeleteParams::default()).await.unwrap();
    namespace.apply(&provider(standin, "2h")).await;
    let template = json!({"spec": {"secret": {"template": {"only": "{{ access_token }}"}}}});
    namespace.patch_credential("kept", &template).await;
    namespace.apply(&input("kept", "s3cr3t", &standin.seed())).await;
    namespace.delete_secret("kept-token").await;
    namespace.request_refresh("kept", "2026-01-01T00:00:00Z").await;
    namespace.delete_credential("gone").await;
    namespace.apply(&hover("gone", standin, "  secret: {labels: {again: \"true\"}}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_was_seen_the_end_is_the_same() {
    let disturbances = [
        Disturbance::Nothing,
        Disturbance::Late,
        Disturbance::Cut,
        Disturbance::Missed(Gone::Event),
        Disturbance::Missed(Gone::Status),
        Disturbance::StaleLists,
        Disturbance::Away,
    ];
    let ends = futures::future::join_all(disturbances.map(life)).await;
    for (disturbance, end) in disturbances.iter().zip(&ends) {
        assert_same(end, &ends[0], &format!("{disturbance:?}"));
    }
}
