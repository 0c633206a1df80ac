//! The worked examples of docs/providers.md, as they stand there: the API server accepts each, the operator has nothing to say against
//! it, and a provider that the catalogue has too is what the catalogue says.

use std::{fs, path::Path};

use oauth_operator::api::{ConditionType, Reason};
use serde_json::Value;

use crate::{
    apply::create,
    support::{Cluster, Conditions, Operator, SOON, namespace::documents},
};

/// The headings, each with the objects of the YAML below it.
fn examples() -> Vec<(String, Vec<Value>)> {
    let page = include_str!("../../docs/providers.md");
    let (_, rest) = page.split_once("<!-- The ten examples begin. -->").unwrap();
    let (examples, _) = rest.split_once("<!-- The ten examples end. -->").unwrap();
    let example = |section: &str| {
        let (heading, rest) = section.split_once('\n').unwrap();
        let blocks: Vec<&str> = rest.split("```yaml\n").skip(1).map(|it| it.split("```").next().unwrap()).collect();
        (heading.to_owned(), blocks.into_iter().flat_map(documents).collect())
    };
    examples.split("\n### ").skip(1).map(example).collect()
}

/// The catalogue's spec of this provider.
fn of_catalogue(name: &str) -> Option<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/catalog");
    let text = fs::read_to_string(folder.join(format!("{name}.yaml"))).ok()?;
    Some(documents(&text)[0]["spec"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_worked_example_is_as_good_as_it_looks() {
    let namespace = Cluster::shared().await.namespace("worked-examples").await;
    let examples = examples();
    assert_eq!(examples.len(), 10);
    let (mut credentials, mut compared) = (Vec::new(), 0);
    for (heading, objects) in &examples {
        for object in objects {
            let mut object = object.clone();
            object["metadata"]["namespace"] = namespace.name.clone().into();
            create(&namespace.client, &object, false).await.unwrap_or_else(|error| panic!("{heading}: {error}"));
            let name = object["metadata"]["name"].as_str().unwrap();
            match object["kind"].as_str().unwrap() {
                "OAuthCredential" => credentials.push((heading, name.to_owned())),
                kind => {
                    assert_eq!(kind, "OAuthProvider", "{heading}");
                    assert_eq!(
                        of_catalogue(name).as_ref(),
                        Some(&object["spec"]),
                        "{heading}: deploy/catalog/{name}.yaml"
                    );
                    compared += 1;
                }
            }
        }
    }
    assert_eq!((credentials.len(), compared), (10, 8));

    // The Secrets aren't there, so that nothing is sent to anybody.
    let _operator = Operator::start(&namespace, &["--public-url=https://oauth.example.com"]).await;
    for (heading, name) in credentials {
        let judged = namespace
            .credential_until(&name, "judged", SOON, |credential| credential.condition(ConditionType::Ready).is_some())
            .await;
        let said = judged.reason(ConditionType::Ready).unwrap();
        let waits = [Reason::SourceSecretNotFound, Reason::AuthorizationRequired].map(Reason::as_str);
        assert!(waits.contains(&said), "{heading}: {said}: {}", judged.message(ConditionType::Ready));
    }
}
