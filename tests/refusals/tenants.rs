//! Namespaces that don't trust each other, and one operator with rights over all of them. What neighbours of this operator were found to do
//! for one tenant with another's Secrets is tried here, as their advisories tell it: each test says which.

use std::collections::BTreeSet;

use oauth_operator::api::{ConditionType, crd};
use serde_json::{Value, json};

use crate::{
    answers::{Answers, error},
    apply::create,
    case::{client, spec},
    objects::{credential, merged, object, secret},
    support::{Cluster, Conditions, Namespace, Operator, SOON, namespace::apply, until},
};

/// In everything that belongs to somebody else than mallory.
const CANARY: &str = "Qx7tenantZ9";

/// The namespaces of the operator, of a tenant with something to lose, and of one who is after it.
struct Stage {
    operators: Namespace,
    victim: Namespace,
    mallory: Namespace,
    /// Where the administrators' clients belong.
    bank: Answers,
    /// What mallory listens to.
    evil: Answers,
    operator: Operator,
}

impl Stage {
    async fn set(name: &str) -> Self {
        let cluster = Cluster::shared().await;
        let operators = cluster.namespace(&format!("tenants-{name}")).await;
        let victim = cluster.namespace(&format!("tenants-{name}-victim")).await;
        let mallory = cluster.namespace(&format!("tenants-{name}-mallory")).await;
        let served = [format!("--namespace={}", victim.name), format!("--namespace={}", mallory.name)];
        let operator = Operator::start(&operators, &["--allow-insecure-http", &served[0], &served[1]]).await;
        apply(&mallory.client, &mallory.name, vec![client()]).await.unwrap();
        let (bank, evil) = (Answers::start().await, Answers::start().await);
        Self { operators, victim, mallory, bank, evil, operator }
    }

    /// Mallory's credential, which has mallory's own server and client where `patch` doesn't say otherwise.
    async fn tries(&self, name: &str, patch: &Value) {
        let manifest = credential(name, &spec(&self.evil.url(name), patch));
        apply(&self.mallory.client, &self.mallory.name, vec![manifest]).await.unwrap();
    }

    /// Waits until it is said of mallory's credential why there is no token. Gives the reason and the sentence.
    async fn refused(&self, name: &str) -> (String, String) {
        let refused = |reason: &str| !["Pending", "Issued"].contains(&reason);
        let said = self
            .mallory
            .credential_until(name, "refused", SOON, |credential| {
                credential.reason(ConditionType::Ready).is_some_and(refused)
            })
            .await;
        (said.reason(ConditionType::Ready).unwrap().to_owned(), said.message(ConditionType::Ready).to_owned())
    }

    /// Nothing of anybody else's has come to mallory: over the wire, in an object of the namespace, or in what the operator says.
    async fn nothing_reached_mallory(&self) {
        let all = kube::api::ListParams::default();
        let secrets = self.mallory.secrets().list(&all).await.unwrap().items;
        let texts = secrets.iter().flat_map(|secret| secret.data.iter().flatten());
        let texts: Vec<_> = texts.map(|(key, value)| format!("{key}: {}", String::from_utf8_lossy(&value.0))).collect();
        assert!(!texts.is_empty());
        let credentials = self.mallory.credentials().list(&all).await.unwrap().items;
        let told = [
            ("a request", self.evil.received()),
            ("a Secret", texts.join("\n")),
            ("a credential", serde_json::to_string(&credentials).unwrap()),
            ("an Event", serde_json::to_string(&self.mallory.events().await).unwrap()),
            ("the log", self.operator.log()),
        ];
        for (place, text) in told {
            let found = text.to_lowercase().contains(&CANARY.to_lowercase());
            assert!(!found, "{place} holds something of another namespace:\n{text}");
        }
    }
}

/// A Secret with every key that a test asks for, each another's secret.
fn treasure(name: &str) -> Value {
    let keys = ["secret", "token", "ca.crt", "tls.crt", "tls.key", "access_token", "id"];
    secret(name, &keys.map(|key| (key, CANARY)))
}

/// GHSA-77v3-r3jw-j2v2 (External Secrets Operator): a function of the template language fetched any namespace's Secret with the operator's
/// rights. Here a template reaches what it is given, and nothing else has a name.
#[tokio::test(flavor = "multi_thread")]
async fn no_template_fetches_a_secret_of_another_namespace() {
    let stage = Stage::set("templates").await;
    let victims = stage.victim.name.clone();
    apply(&stage.victim.client, &victims, vec![treasure("theirs")]).await.unwrap();
    apply(&stage.operators.client, &stage.operators.name, vec![treasure("theirs")]).await.unwrap();
    let templates = [
        format!("{{{{ getSecretKey('theirs', '{victims}', 'token') }}}}"),
        format!("{{{{ secret('{victims}/theirs') }}}}"),
        format!("{{{{ lookup('v1', 'Secret', '{victims}', 'theirs') }}}}"),
        format!("{{{{ '{victims}/theirs' | getSecretKey }}}}"),
        "{% include '/var/run/secrets/kubernetes.io/serviceaccount/token' %}".to_owned(),
        "{% import '/proc/self/environ' as e %}".to_owned(),
        "{{ env('KUBECONFIG') }}".to_owned(),
        "{{ load_file('/etc/passwd') }}".to_owned(),
        "{{ credential.client.secret }}".to_owned(),
        "{{ credential['__class__'].__mro__ }}".to_owned(),
        "{{ client_secret }}".to_owned(),
        "{{ debug() }}".to_owned(),
    ];
    for (number, template) in templates.iter().enumerate() {
        let name = format!("output-{number}");
        stage.tries(&name, &json!({"secret": {"template": {"token": template}}})).await;
        let header = json!([{"name": "X-Loot", "template": template}]);
        // A header's template sees the request's own parameters, its own client secret among them.
        if !template.contains("client_secret") {
            stage.tries(&format!("header-{number}"), &json!({"provider": {"tokenRequest": {"headers": header}}})).await;
        }
    }
    let tried = stage.mallory.credentials().list(&Default::default()).await.unwrap().items;
    let names: Vec<String> = tried.into_iter().map(|credential| credential.metadata.name.unwrap()).collect();
    assert_eq!(names.len(), 2 * templates.len() - 1);
    for name in names {
        let (reason, sentence) = stage.refused(&name).await;
        assert!(["InvalidSpec", "InvalidResponse"].contains(&reason.as_str()), "{name}: {reason} {sentence}");
        assert!(stage.mallory.secret(&format!("{name}-token")).await.is_none(), "{name} has an output");
    }
    stage.nothing_reached_mallory().await;
}

/// What a name in mallory's namespace can refer to, by the field that refers.
pub fn references(name: &str) -> Vec<(&'static str, Value)> {
    let key = |key: &str| json!({"name": name, "key": key});
    let account = json!({"name": name, "audiences": ["https://sts.example.com"]});
    let exchange = |token: Value| json!({"grant": {"clientCredentials": null, "tokenExchange": {"subjectToken": token, "subjectTokenType": "urn:ietf:params:oauth:token-type:jwt"}}});
    let grant = |grant: Value| json!({"grant": merged(&json!({"clientCredentials": null}), &grant)});
    vec![
        ("providerRef", json!({"provider": null, "providerRef": {"name": name}})),
        ("secretRef", json!({"client": {"secretRef": key("secret")}})),
        ("idSecretRef", json!({"client": {"id": null, "idSecretRef": key("id")}})),
        ("fallbackSecretRefs", json!({"client": {"fallbackSecretRefs": [key("secret")]}})),
        ("privateKeySecretRef", json!({"client": {"secretRef": null, "privateKeySecretRef": key("tls.key")}})),
        ("certificateSecretRef", json!({"client": {"certificateSecretRef": {"name": name}}})),
        ("serviceAccountRef", json!({"client": {"secretRef": null, "serviceAccountRef": account}})),
        ("secretRef", grant(json!({"refreshToken": {"secretRef": key("token")}}))),
        (
            "usernameSecretRef",
            grant(
                json!({"password": {"usernameSecretRef": key("id"), "passwordSecretRef": {"name": "client", "key": "secret"}}}),
            ),
        ),
        (
            "passwordSecretRef",
            grant(
                json!({"password": {"usernameSecretRef": {"name": "client", "key": "secret"}, "passwordSecretRef": key("secret")}}),
            ),
        ),
        ("privateKeySecretRef", grant(json!({"jwtBearer": {"privateKeySecretRef": key("tls.key")}}))),
        ("serviceAccountRef", grant(json!({"jwtBearer": {"serviceAccountRef": account}}))),
        ("secretRef", exchange(json!({"secretRef": key("token")}))),
        ("credentialRef", exchange(json!({"credentialRef": {"name": name}}))),
        ("serviceAccountRef", exchange(json!({"serviceAccountRef": account}))),
        ("valueSecretRef", json!({"parameters": [{"name": "loot", "valueSecretRef": key("token")}]})),
        (
            "valueSecretRef",
            json!({"provider": {"tokenRequest": {"headers": [{"name": "X-Loot", "valueSecretRef": key("token")}]}}}),
        ),
        ("caSecretRef", json!({"provider": {"tls": {"caSecretRef": key("ca.crt")}}})),
        ("caConfigMapRef", json!({"provider": {"tls": {"caConfigMapRef": key("ca.crt")}}})),
    ]
}

/// Every field of the schemas that names another object.
fn fields_that_refer() -> BTreeSet<String> {
    fn visit(schema: &Value, found: &mut BTreeSet<String>) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            if name.ends_with("Ref") || name.ends_with("Refs") {
                found.insert(name.clone());
            }
            visit(property, found);
        }
        for within in ["items", "additionalProperties"] {
            schema.get(within).into_iter().for_each(|within| visit(within, found));
        }
    }
    let mut found = BTreeSet::new();
    for (_, crd) in crd::all().unwrap() {
        let crd = serde_json::to_value(crd).unwrap();
        visit(crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec").unwrap(), &mut found);
    }
    found
}

/// GHSA-wv26-88m5-6h59 (External Secrets Operator): a reference to authorities had a namespace field that nobody checked, and its failures
/// told what exists elsewhere. GHSA-99j8-wv67-4c72 (Aiven's operator): the same with Secrets. Here no field can say it, and a name finds what
/// is in the namespace of who names it, whatever others have.
#[tokio::test(flavor = "multi_thread")]
async fn no_reference_reaches_another_namespace() {
    let stage = Stage::set("references").await;
    for namespace in [&stage.victim, &stage.operators] {
        let theirs = vec![
            treasure("theirs"),
            treasure("theirs-token"),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs"}, "data": {"ca.crt": CANARY}}),
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {
                "name": "theirs",
                "annotations": {"oauth-operator.dev/allowed-audiences": "https://sts.example.com"},
            }}),
            object("OAuthProvider", "theirs", json!({"spec": {"endpoints": {"token": stage.bank.url("theirs")}}})),
            client(),
        ];
        apply(&namespace.client, &namespace.name, theirs).await.unwrap();
    }
    let theirs = credential(
        "theirs",
        &merged(&spec(&stage.bank.url("theirs"), &json!({})), &json!({"secret": {"name": "its-output"}})),
    );
    apply(&stage.victim.client, &stage.victim.name, vec![theirs]).await.unwrap();
    stage.victim.ready("theirs").await;

    let (there, nowhere) = (references("theirs"), references("nobodys"));
    let tried: BTreeSet<String> = there.iter().map(|(field, _)| (*field).to_owned()).collect();
    assert_eq!(tried, fields_that_refer(), "a field refers, and isn't tried here");
    for (number, ((_, there), (_, nowhere))) in there.iter().zip(&nowhere).enumerate() {
        for (name, patch) in [(format!("there-{number}"), there), (format!("nowhere-{number}"), nowhere)] {
            // Where there is a second secret to fall back on, the first is refused.
            if patch.to_string().contains("fallbackSecretRefs") {
                stage.evil.set(&name, error("401 Unauthorized", "invalid_client"));
            }
            stage.tries(&name, patch).await;
        }
    }
    for (number, (field, patch)) in there.iter().enumerate() {
        let (reason, sentence) = stage.refused(&format!("there-{number}")).await;
        let nowhere = stage.refused(&format!("nowhere-{number}")).await;
        // What exists elsewhere makes no difference that mallory could tell.
        assert_eq!((reason, sentence.replace("theirs", "nobodys")), nowhere, "{field}: {patch}");
        assert!(*field == "fallbackSecretRefs" || sentence.contains("theirs"), "{field}: {sentence}");
    }

    // Nor can a field say where: no schema has one, and no name is a path.
    let refused = async |patch: &Value, says: &str| {
        let manifest = merged(
            &credential("says", &spec("https://evil.example/", patch)),
            &json!({"metadata": {"namespace": stage.mallory.name}}),
        );
        match create(&stage.mallory.client, &manifest, true).await {
            Err(kube::Error::Api(status)) => assert!(status.message.contains(says), "{patch}: {}", status.message),
            other => panic!("{patch} is accepted: {other:?}"),
        }
    };
    for (field, patch) in references(&format!("{}/theirs", stage.victim.name)) {
        refused(&patch, field).await;
    }
    for (_, patch) in references("theirs") {
        let with_namespace = patch
            .to_string()
            .replace("\"name\":\"theirs\"", &format!("\"name\":\"theirs\",\"namespace\":\"{}\"", stage.victim.name));
        refused(&serde_json::from_str(&with_namespace).unwrap(), "unknown field").await;
    }
    stage.nothing_reached_mallory().await;
}

/// GHSA-fq7h-9x26-6j22 (External Secrets Operator): an output of a type, and with an annotation, for which Kubernetes itself puts a token of
/// any ServiceAccount into the Secret.
#[tokio::test(flavor = "multi_thread")]
async fn no_output_has_kubernetes_mint_a_token() {
    let stage = Stage::set("types").await;
    let types = [
        "kubernetes.io/service-account-token",
        "bootstrap.kubernetes.io/token",
        "helm.sh/release.v1",
        "oauth-operator.dev/consent",
    ];
    for (number, type_) in types.iter().enumerate() {
        let name = format!("type-{number}");
        stage.tries(&name, &json!({"secret": {"type": type_, "template": {"extra": "{{ access_token }}"}}})).await;
        let (reason, sentence) = stage.refused(&name).await;
        assert!(reason == "InvalidSpec" && sentence.contains(type_), "{reason} {sentence}");
        assert!(stage.mallory.secret(&format!("{name}-token")).await.is_none());
    }
    for (place, key) in [
        ("annotations", "kubernetes.io/service-account.name"),
        ("annotations", "kubernetes.io/service-account.uid"),
        ("labels", "argocd.argoproj.io/secret-type"),
        ("labels", "oauth-operator.dev/credential"),
    ] {
        let manifest =
            credential("marked", &spec(&stage.evil.url("marked"), &json!({"secret": {place: {key: "default"}}})));
        let error = apply(&stage.mallory.client, &stage.mallory.name, vec![manifest]).await.unwrap_err().to_string();
        assert!(error.contains("they can turn a Secret into another system's credentials"), "{key}: {error}");
    }
    assert_eq!(stage.evil.received(), "");
}

/// GHSA-fcxq-v2r3-cc8h (External Secrets Operator): objects were found by label over all namespaces. Here two credentials of one name, with
/// outputs of one name and label, know nothing of each other, in life and in death.
#[tokio::test(flavor = "multi_thread")]
async fn no_label_leads_to_another_namespaces_secret() {
    let stage = Stage::set("labels").await;
    apply(&stage.victim.client, &stage.victim.name, vec![client()]).await.unwrap();
    let same = |url: String| vec![credential("same", &spec(&url, &json!({"secret": {"name": "same-output"}})))];
    apply(&stage.victim.client, &stage.victim.name, same(stage.bank.url("same"))).await.unwrap();
    stage.victim.ready("same").await;
    let before = stage.victim.secret("same-output").await.unwrap();

    apply(&stage.mallory.client, &stage.mallory.name, same(stage.evil.url("same"))).await.unwrap();
    stage.mallory.ready("same").await;
    stage.mallory.patch_secret("same-output", &json!({"stringData": {"access_token": "altered"}})).await;
    stage
        .mallory
        .secret_until("same-output", "restored", |secret| {
            crate::support::text(secret, "access_token").is_some_and(|token| token != "altered")
        })
        .await;
    apply(
        &stage.mallory.client,
        &stage.mallory.name,
        vec![credential("same", &spec(&stage.evil.url("same"), &json!({"secret": {"name": "renamed"}})))],
    )
    .await
    .unwrap();
    stage.mallory.secret_until("renamed", "there", |_| true).await;
    until("the old name is gone", SOON, async || stage.mallory.secret("same-output").await.is_none().then_some(()))
        .await;
    stage.mallory.delete_credential("same").await;

    let after = stage.victim.secret("same-output").await.unwrap();
    assert_eq!(
        (after.metadata.uid, after.metadata.resource_version),
        (before.metadata.uid, before.metadata.resource_version)
    );
    assert_eq!(stage.bank.arrivals("same").len(), 1);
    assert!(stage.victim.credential("same").await.is(ConditionType::Ready));
}

/// A ClusterOAuthProvider's client serves whom its administrator lets, at its own server and nowhere else, and says what its administrator
/// has it say.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_providers_client_is_pointed_nowhere_else() {
    let stage = Stage::set("shared").await;
    let shared = secret("shared-client", &[("secret", CANARY)]);
    apply(&stage.operators.client, &stage.operators.name, vec![shared]).await.unwrap();
    // Somebody's own Secret of that name is not what the provider means.
    let decoy = secret("shared-client", &[("secret", "mallorys-own")]);
    let provider = |name: &str, allowed: Value| {
        object(
            "ClusterOAuthProvider",
            name,
            json!({"spec": {
                "endpoints": {"token": stage.bank.url(name)},
                "client": {"id": "shared", "secretRef": {"name": "shared-client", "key": "secret"}, "authentication": "client_secret_post"},
                "allowedNamespaces": allowed,
            }}),
        )
    };
    let victims_only = json!({"matchLabels": {"kubernetes.io/metadata.name": stage.victim.name}});
    // The whole of a spec.
    let by_provider = |name: &str, patch: Value| {
        let base =
            json!({"grant": {"clientCredentials": {}}, "providerRef": {"kind": "ClusterOAuthProvider", "name": name}});
        merged(&base, &patch)
    };
    let write = async |name: &str, spec: &Value| {
        apply(&stage.mallory.client, &stage.mallory.name, vec![credential(name, spec)]).await
    };
    let objects = vec![decoy, provider("tenants-bank", json!({})), provider("tenants-vault", victims_only)];
    apply(&stage.mallory.client, &stage.mallory.name, objects).await.unwrap();
    write("honest", &by_provider("tenants-bank", json!({}))).await.unwrap();
    stage.mallory.ready("honest").await;
    assert!(stage.bank.received().contains(CANARY) && !stage.bank.received().contains("mallorys-own"));

    // The API server refuses what would say both.
    for (patch, says) in [
        (
            json!({"provider": {"endpoints": {"token": stage.evil.url("both")}}}),
            "exactly one of provider (inline) and providerRef",
        ),
        (
            json!({"parameters": [{"name": "client_secret", "value": "x"}]}),
            "parameters may not set grant_type, client_*",
        ),
        (
            json!({"parameters": [{"name": "redirect_uri", "value": stage.evil.url("to")}]}),
            "parameters may not set grant_type",
        ),
    ] {
        let error = write("both", &by_provider("tenants-bank", patch)).await.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    for field in ["endpoints", "tls", "allowedAddresses"] {
        let spec = by_provider("tenants-bank", json!({"providerRef": {field: {}}}));
        let manifest = merged(&credential("both", &spec), &json!({"metadata": {"namespace": stage.mallory.name}}));
        let error = create(&stage.mallory.client, &manifest, true).await.unwrap_err().to_string();
        assert!(error.contains("unknown field"), "{error}");
    }

    // The operator refuses the rest, each with a sentence, and asks nobody.
    let asked = stage.bank.arrivals("tenants-bank").len();
    let header = |name: &str| json!({"parameters": [{"name": name, "value": "evil.example", "in": "Header"}]});
    let of_own =
        object("OAuthProvider", "tenants-bank", json!({"spec": {"endpoints": {"token": stage.evil.url("own")}}}));
    apply(&stage.mallory.client, &stage.mallory.name, vec![of_own]).await.unwrap();
    for (name, patch, reason, says) in [
        ("not-allowed", by_provider("tenants-vault", json!({})), "NotAllowed", "doesn't allow this namespace"),
        ("host", by_provider("tenants-bank", header("Host")), "InvalidSpec", "host"),
        (
            "dictates",
            by_provider("tenants-bank", json!({"client": {"assertion": {"audience": stage.evil.url("aud")}}})),
            "InvalidSpec",
            "client.assertion",
        ),
        (
            "half",
            by_provider("tenants-bank", json!({"client": {"id": "mallory", "authentication": "client_secret_post"}})),
            "InvalidSpec",
            "needs a client id and a client secret",
        ),
        (
            "own",
            json!({"grant": {"clientCredentials": {}}, "providerRef": {"name": "tenants-bank"}, "parameters": [{"name": "a", "valueSecretRef": {"name": "nobodys", "key": "a"}}]}),
            "SourceSecretNotFound",
            "nobodys",
        ),
    ] {
        write(name, &patch).await.unwrap();
        let (found, sentence) = stage.refused(name).await;
        assert!(found == reason && sentence.contains(says), "{name}: {found} {sentence}");
    }
    assert_eq!(stage.bank.arrivals("tenants-bank").len(), asked);
    assert!(stage.bank.arrivals("tenants-vault").is_empty());
    // What mallory's own server gets is mallory's own.
    let own = json!({"client": {"id": "it", "authentication": "none"}, "grant": {"clientCredentials": {}}, "providerRef": {"name": "tenants-bank"}});
    write("own", &own).await.unwrap();
    stage.mallory.ready("own").await;
    assert!(stage.evil.received().contains("client_id=it"));
    stage.nothing_reached_mallory().await;
}
