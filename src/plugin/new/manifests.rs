//! The manifests' text, checked by the operator's own validation before anybody sees it.

use serde_yaml_ng::{Mapping, Value};

use super::wanted::{Form, Provider, Wanted, grant_name};
use crate::{
    api::{ClientAuthentication, Endpoints, OAuthCredential, ProviderSpec, UrlText},
    credential::validate::{GivenProvider, Limits, validate},
    plugin::{failure::Failure, flags::GrantName},
};

/// What stands for a value that only its owner knows.
const REPLACE: &str = "REPLACE-ME";

/// The manifests of the credential: of its provider where that is to be written, its input Secret, itself.
pub fn write(wanted: &Wanted, namespace: Option<&str>) -> Result<String, Failure> {
    let (provider_text, spec) = provider(&wanted.provider, namespace)?;
    let authentication = authentication(wanted, &spec);
    let inputs = inputs(wanted, authentication);
    let credential = text(&credential(wanted, &spec, authentication, namespace))?;
    check(&wanted.name, &credential, &spec, namespace)?;

    let mut documents = Vec::new();
    documents.extend(provider_text);
    if !inputs.is_empty() {
        documents.push(text(&secret(wanted, &inputs, namespace))?);
    }
    documents.push(credential);
    Ok(preface(wanted, !inputs.is_empty()) + &documents.join("---\n"))
}

/// What to do with it, in comments.
fn preface(wanted: &Wanted, has_inputs: bool) -> String {
    let mut lines = Vec::new();
    if let Provider::Listed { entry, .. } = &wanted.provider {
        lines.push(format!("{}.", entry.title()));
        lines.extend(entry.notes().into_iter().filter(|note| !note.contains("YOUR-")).map(str::to_owned));
        lines.extend(entry.registration().map(|url| format!("Register a client: {url}")));
    }
    if has_inputs {
        lines.push(format!("Replace each {REPLACE} before you apply this, and keep the values out of Git."));
    }
    lines.into_iter().map(|line| format!("# {line}\n")).collect()
}

/// The provider's own manifest, where it is to be written, and what it says.
fn provider(provider: &Provider, namespace: Option<&str>) -> Result<(Option<String>, ProviderSpec), Failure> {
    let url = |url: &str| Some(UrlText(url.to_owned()));
    match provider {
        Provider::Listed { entry, values, form } => {
            let filled = entry.filled(values);
            let object: Mapping = serde_yaml_ng::from_str(&filled).map_err(broken)?;
            let spec = object.get("spec").cloned().unwrap_or_default();
            let spec = serde_yaml_ng::from_value(spec).map_err(broken)?;
            let place = namespace.map_or_else(String::new, |namespace| format!(", namespace: {namespace}"));
            let text = match form {
                Form::Inline => None,
                Form::Cluster => Some(filled),
                Form::Namespaced => {
                    Some(filled.replacen("kind: ClusterOAuthProvider", "kind: OAuthProvider", 1).replacen(
                        &format!("{{name: {}}}", entry.name),
                        &format!("{{name: {}{place}}}", entry.name),
                        1,
                    ))
                }
            };
            Ok((text, spec))
        }
        // What it says isn't known here: something that any server could be.
        Provider::Existing { .. } => {
            Ok((None, ProviderSpec { issuer: url("https://server.invalid"), ..ProviderSpec::default() }))
        }
        Provider::Issuer(issuer) => Ok((None, ProviderSpec { issuer: url(issuer), ..ProviderSpec::default() })),
        Provider::TokenUrl(token) => {
            let endpoints = Endpoints { token: url(token), ..Endpoints::default() };
            Ok((None, ProviderSpec { endpoints: Some(endpoints), ..ProviderSpec::default() }))
        }
    }
}

fn broken(error: serde_yaml_ng::Error) -> Failure {
    Failure::Embedded(error.to_string())
}

fn authentication(wanted: &Wanted, provider: &ProviderSpec) -> ClientAuthentication {
    let named = provider.client.as_ref().and_then(|client| client.authentication);
    match named {
        _ if wanted.public_client => ClientAuthentication::None,
        Some(named) => named,
        None => ClientAuthentication::ClientSecretBasic,
    }
}

/// A key of the input Secret, and the field that refers to it.
struct Input {
    key: &'static str,
    field: &'static str,
}

/// What the client proves itself with.
fn material(authentication: ClientAuthentication) -> Option<Input> {
    match authentication {
        ClientAuthentication::ClientSecretBasic
        | ClientAuthentication::ClientSecretPost
        | ClientAuthentication::ClientSecretJwt => Some(Input { key: "client_secret", field: "secretRef" }),
        ClientAuthentication::PrivateKeyJwt => Some(Input { key: "private_key", field: "privateKeySecretRef" }),
        ClientAuthentication::TlsClientAuth
        | ClientAuthentication::SelfSignedTlsClientAuth
        | ClientAuthentication::None => None,
    }
}

fn grant_inputs(grant: GrantName) -> Vec<Input> {
    match grant {
        GrantName::RefreshToken => vec![Input { key: "refresh_token", field: "secretRef" }],
        GrantName::Password => vec![
            Input { key: "username", field: "usernameSecretRef" },
            Input { key: "password", field: "passwordSecretRef" },
        ],
        GrantName::ClientCredentials | GrantName::AuthorizationCode | GrantName::DeviceCode => Vec::new(),
    }
}

fn inputs(wanted: &Wanted, authentication: ClientAuthentication) -> Vec<Input> {
    material(authentication).into_iter().chain(grant_inputs(wanted.grant)).collect()
}

fn secret_name(wanted: &Wanted) -> String {
    format!("{}-client", wanted.name)
}

fn secret(wanted: &Wanted, inputs: &[Input], namespace: Option<&str>) -> Value {
    let data = inputs.iter().map(|input| (input.key.into(), REPLACE.into())).collect::<Mapping>();
    map([
        ("apiVersion", "v1".into()),
        ("kind", "Secret".into()),
        ("metadata", metadata(&secret_name(wanted), namespace)),
        ("stringData", data.into()),
    ])
}

fn credential(
    wanted: &Wanted,
    provider: &ProviderSpec,
    authentication: ClientAuthentication,
    namespace: Option<&str>,
) -> Value {
    let reference = |input: &Input| {
        let key = map([("name", secret_name(wanted).into()), ("key", input.key.into())]);
        (Value::from(input.field), key)
    };
    let mut client = Mapping::from_iter([("id".into(), wanted.client_id.clone().into())]);
    client.extend(material(authentication).iter().map(reference));
    if matches!(authentication, ClientAuthentication::TlsClientAuth | ClientAuthentication::SelfSignedTlsClientAuth) {
        let certificate = map([("name", format!("{}-tls", wanted.name).into())]);
        client.insert("certificateSecretRef".into(), certificate);
    }
    let own_way = matches!(&wanted.provider, Provider::Listed { form: Form::Inline, .. });
    if own_way || wanted.public_client {
        client.insert("authentication".into(), serde_yaml_ng::to_value(authentication).unwrap_or_default());
    }
    let encoding = provider.client.as_ref().and_then(|client| client.basic_encoding).filter(|_| own_way);
    if let Some(encoding) = encoding {
        client.insert("basicEncoding".into(), serde_yaml_ng::to_value(encoding).unwrap_or_default());
    }

    let mut grant: Mapping = grant_inputs(wanted.grant).iter().map(reference).collect();
    let takes_redirect = matches!(wanted.grant, GrantName::RefreshToken | GrantName::AuthorizationCode);
    if let Some(uri) = wanted.redirect_uri.as_ref().filter(|_| takes_redirect) {
        grant.insert("redirectURI".into(), uri.clone().into());
    }

    let (how, value) = provider_field(wanted, provider);
    let mut spec = Mapping::from_iter([
        (how.into(), value),
        ("client".into(), client.into()),
        ("grant".into(), map([(grant_name(wanted.grant).as_str(), grant.into())])),
    ]);
    if !wanted.scopes.is_empty() {
        spec.insert("scopes".into(), wanted.scopes.clone().into());
    }
    if let Some(name) = &wanted.secret_name {
        spec.insert("secret".into(), map([("name", name.clone().into())]));
    }
    map([
        ("apiVersion", "oauth-operator.dev/v1alpha1".into()),
        ("kind", "OAuthCredential".into()),
        ("metadata", metadata(&wanted.name, namespace)),
        ("spec", spec.into()),
    ])
}

/// The provider in the spec: inline, or by reference.
fn provider_field(wanted: &Wanted, provider: &ProviderSpec) -> (&'static str, Value) {
    let reference = |name: &str, is_cluster: bool| {
        let kind = if is_cluster { "ClusterOAuthProvider" } else { "OAuthProvider" };
        ("providerRef", map([("kind", kind.into()), ("name", name.into())]))
    };
    match &wanted.provider {
        Provider::Listed { entry, form: Form::Namespaced, .. } => reference(entry.name, false),
        Provider::Listed { entry, form: Form::Cluster, .. } => reference(entry.name, true),
        Provider::Existing { name, is_cluster } => reference(name, *is_cluster),
        Provider::Listed { entry, values, form: Form::Inline } => {
            // As the file has it, without what would only be defaults.
            let object: Mapping = serde_yaml_ng::from_str(&entry.filled(values)).unwrap_or_default();
            let mut spec = object.get("spec").and_then(Value::as_mapping).cloned().unwrap_or_default();
            // An inline provider has no client: how it authenticates is in the credential's.
            spec.remove("client");
            ("provider", spec.into())
        }
        Provider::Issuer(_) | Provider::TokenUrl(_) => {
            ("provider", serde_yaml_ng::to_value(provider).unwrap_or_default())
        }
    }
}

/// As the operator will check it.
fn check(name: &str, credential: &str, provider: &ProviderSpec, namespace: Option<&str>) -> Result<(), Failure> {
    let credential: OAuthCredential = serde_yaml_ng::from_str(credential).map_err(broken)?;
    let namespace = namespace.unwrap_or("default");
    let given = GivenProvider {
        spec: credential.spec.provider.as_ref().unwrap_or(provider),
        namespace,
        allowed_addresses: &[],
        id: String::new(),
        hash: String::new(),
        metadata: None,
    };
    // What its flags may change doesn't matter here.
    let limits = Limits {
        request_timeout: std::time::Duration::from_secs(30),
        secret_types: Vec::new(),
        api_audiences: Vec::new(),
        callback: Some("https://operator.example/oauth/callback".to_owned()),
    };
    match validate(namespace, name, &credential.spec, &given, &limits) {
        Ok(_) => Ok(()),
        Err(problem) => Err(Failure::Usage(format!("the operator would refuse this credential: {}", problem.message))),
    }
}

fn metadata(name: &str, namespace: Option<&str>) -> Value {
    let mut metadata = Mapping::from_iter([("name".into(), name.into())]);
    metadata.extend(namespace.map(|namespace| ("namespace".into(), namespace.into())));
    metadata.into()
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Mapping(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

fn text(value: &Value) -> Result<String, Failure> {
    serde_yaml_ng::to_string(value).map_err(broken)
}
