//! Each documented request and reply, through everything that a pass of the operator takes a provider through: check, request,
//! encoding, and the reading of the reply.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::Duration,
};

use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;
use oauth_operator::{
    api::{OAuthCredentialSpec, ProviderSpec, Reason},
    credential::{
        assertion::{Fresh, ServiceAccountTokens},
        checked::{Checked, RequestSource},
        request::token_request,
        validate::{GivenProvider, Limits, validate},
    },
    oauth::{
        encode::EncodedRequest,
        failure::Failure,
        reply::TokenReply,
        request::ParameterValue,
        values::{RefreshToken, SecretText},
    },
};
use serde::Deserialize;
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use crate::{
    files::{self, File},
    placeholders::{CLIENT_ID, fill, fill_json, value},
};

/// What one page of a provider's documentation says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Entry {
    provider: String,
    source: String,
    refresh: Option<Exchange>,
    client_credentials: Option<Exchange>,
    /// The second request of the authorization code grant.
    code: Option<Exchange>,
    password: Option<Exchange>,
    /// Any other grant: its name is in `credential`.
    custom: Option<Exchange>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    /// What a person's credential says for this request, beyond client and grant (RFC 7396).
    #[serde(default)]
    credential: Value,
    request: Request,
    reply: Option<Reply>,
    /// The reply to a refresh token, a code or a client that is dead.
    refused: Option<Refused>,
}

/// At most one of form, json and multipart.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    method: String,
    url: String,
    #[serde(default)]
    query: BTreeMap<String, String>,
    /// Beyond Accept, Content-Length, Content-Type, Host and User-Agent.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    form: Option<BTreeMap<String, String>>,
    json: Option<Value>,
    multipart: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Reply {
    status: u16,
    json: Option<Value>,
    form: Option<BTreeMap<String, String>>,
    /// When the request left, for replies that name a time of day.
    sent_at: Option<Timestamp>,
    understood: Understood,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Understood {
    /// Seconds, or `never`. Where the reply names none, what the documentation says.
    expires_in: Value,
    /// Whether there is `$new_refresh_token`; or another placeholder, whose value is the next refresh token.
    refresh_token: Value,
    /// Seconds.
    refresh_token_expires_in: Option<i64>,
    scope: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    status: u16,
    json: Option<Value>,
    form: Option<BTreeMap<String, String>>,
    understood: Refusal,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refusal {
    /// The refresh token is known to be dead: a person must act.
    permanent: bool,
    /// Where it matters which: the condition's reason.
    reason: Option<String>,
}

fn entries() -> Vec<Entry> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/catalog");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let tables = paths.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    let read = |path: std::path::PathBuf| -> Vec<Entry> {
        let text = fs::read_to_string(&path).unwrap();
        serde_yaml_ng::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    tables.flat_map(read).collect()
}

#[test]
fn every_file_is_in_a_table_and_every_entry_has_a_file() {
    let files: BTreeSet<String> = files::all().into_iter().map(|file| file.name).collect();
    let tables: BTreeSet<String> = entries().into_iter().map(|entry| entry.provider).collect();
    assert_eq!(files.difference(&tables).collect::<Vec<_>>(), Vec::<&String>::new(), "in no table");
    assert_eq!(tables.difference(&files).collect::<Vec<_>>(), Vec::<&String>::new(), "without a file");
}

#[test]
fn requests_and_replies_are_as_documented() {
    let files: BTreeMap<String, File> = files::all().into_iter().map(|file| (file.name.clone(), file)).collect();
    let mut wrong = Vec::new();
    let mut exchanges = 0;
    for entry in entries() {
        assert!(entry.source.starts_with("https://"), "{}: {}", entry.provider, entry.source);
        let Some(file) = files.get(&entry.provider) else { continue };
        let kinds = [
            (Kind::Refresh, &entry.refresh),
            (Kind::ClientCredentials, &entry.client_credentials),
            (Kind::Code, &entry.code),
            (Kind::Password, &entry.password),
            (Kind::Custom, &entry.custom),
        ];
        let documented: Vec<_> = kinds.into_iter().filter_map(|(kind, it)| Some((kind, it.as_ref()?))).collect();
        assert!(!documented.is_empty(), "{}: an entry without a request", entry.provider);
        for (kind, exchange) in documented {
            exchanges += 1;
            if let Err(why) = compare(file, kind, exchange) {
                wrong.push(format!("{} {kind:?}, see {}: {why}", entry.provider, entry.source));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(exchanges >= files.len());
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Refresh,
    ClientCredentials,
    Code,
    Password,
    Custom,
}

impl Kind {
    fn grant(self) -> Value {
        match self {
            Self::Refresh => json!({"refreshToken": {"secretRef": key("refresh_token")}}),
            Self::ClientCredentials | Self::Code => json!({"clientCredentials": {}}),
            Self::Password => {
                json!({"password": {"usernameSecretRef": key("username"), "passwordSecretRef": key("password")}})
            }
            Self::Custom => json!({}),
        }
    }
}

fn key(key: &str) -> Value {
    json!({"name": "inputs", "key": key})
}

/// Err: what is not as documented.
fn compare(file: &File, kind: Kind, exchange: &Exchange) -> Result<(), String> {
    let provider = ProviderSpec::from(file.provider.spec.clone());
    let checked = check(&provider, kind, &exchange.credential)?;
    let request = request(&checked, kind, &exchange.request)?;
    same_request(&exchange.request, &request)?;
    let source = source(&checked, kind);
    if let Some(reply) = &exchange.reply {
        let sent_at = reply.sent_at.unwrap_or(Timestamp::UNIX_EPOCH);
        let read = read(source, reply.status, &reply.json, &reply.form, sent_at);
        let tokens =
            read.map_err(|failure| format!("the documented reply was not understood: {}", failure.sentence()))?;
        understood(&reply.understood, &tokens, sent_at)?;
    }
    if let Some(refused) = &exchange.refused {
        let read = read(source, refused.status, &refused.json, &refused.form, Timestamp::UNIX_EPOCH);
        let Err(failure) = read else { return Err("the documented refusal was taken for a success".into()) };
        refusal(&refused.understood, &failure)?;
    }
    Ok(())
}

fn check(provider: &ProviderSpec, kind: Kind, credential: &Value) -> Result<Checked, String> {
    let mut spec = json!({
        "client": {"id": CLIENT_ID, "secretRef": key("client_secret")},
        "grant": kind.grant(),
    });
    merge(&mut spec, credential);
    let spec: OAuthCredentialSpec = serde_json::from_value(spec).map_err(|error| error.to_string())?;
    let (namespace, id) = ("operator", "catalog".into());
    let given =
        GivenProvider { spec: provider, namespace, allowed_addresses: &[], id, hash: String::new(), metadata: None };
    let limits = Limits {
        request_timeout: Duration::from_secs(30),
        secret_types: Vec::new(),
        api_audiences: Vec::new(),
        callback: None,
    };
    validate("default", "catalog", &spec, &given, &limits).map_err(|problem| problem.message)
}

/// RFC 7396.
fn merge(base: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else { return };
    for (name, value) in patch {
        match value {
            Value::Null => drop(base.as_object_mut().unwrap().remove(name)),
            Value::Object(_) if base[name].is_object() => merge(&mut base[name], value),
            value => base[name] = fill_json(value),
        }
    }
}

fn source(checked: &Checked, kind: Kind) -> &RequestSource {
    match kind {
        Kind::Refresh => &checked.refresh,
        _ => &checked.first,
    }
}

fn request(checked: &Checked, kind: Kind, documented: &Request) -> Result<EncodedRequest, String> {
    let input = |key: &str| SecretText::new(value(&format!("${key}")));
    let values = checked.inputs.iter().map(|reference| (reference.clone(), input(&reference.key))).collect();
    let spent = RefreshToken::new(value("$refresh_token"));
    let tokens = ServiceAccountTokens::new();
    let fresh = Fresh {
        now: Timestamp::UNIX_EPOCH,
        client_assertion_id: String::new(),
        grant_assertion_id: String::new(),
        tokens: &tokens,
        secret: 0,
    };
    let spent = matches!(kind, Kind::Refresh).then_some(&spent);
    let mut request = token_request(checked, &values, spent, &fresh).map_err(|unmade| format!("{unmade:?}"))?;
    if let Kind::Code = kind {
        let text = |name: &str| ParameterValue::text(value(name));
        request.standard = vec![
            ("grant_type", ParameterValue::text("authorization_code")),
            ("code", text("$code")),
            ("redirect_uri", text("$redirect_uri")),
        ];
        // Else the credential says `pkce: Disabled`.
        if documented.sends("$code_verifier") {
            request.standard.push(("code_verifier", text("$code_verifier")));
        }
    }
    request.encode().map_err(|error| error.to_string())
}

impl Request {
    fn sends(&self, placeholder: &str) -> bool {
        let fields = [Some(&self.query), self.form.as_ref(), self.multipart.as_ref()];
        let in_json = self.json.as_ref().is_some_and(|json| json.to_string().contains(&format!("\"{placeholder}\"")));
        in_json || fields.into_iter().flatten().any(|fields| fields.values().any(|value| value == placeholder))
    }
}

fn same_request(documented: &Request, sent: &EncodedRequest) -> Result<(), String> {
    same("method", documented.method.as_str(), sent.method().as_str())?;
    let mut url = sent.url().clone();
    url.set_query(None);
    let documented_url = Url::parse(&documented.url).map_err(|error| error.to_string())?;
    same("url", documented_url.as_str(), url.as_str())?;
    same("query", filled(&documented.query), sorted(sent.url().query_pairs()))?;
    let content_type = sent.headers().get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap());
    let body = sent.body();
    match (&documented.form, &documented.json, &documented.multipart) {
        (Some(form), None, None) => {
            same("content type", Some("application/x-www-form-urlencoded"), content_type)?;
            same("form", filled(form), sorted(form_urlencoded::parse(body)))?;
        }
        (None, Some(json), None) => {
            same("content type", Some("application/json"), content_type)?;
            let sent: Value = serde_json::from_slice(body).map_err(|error| format!("no JSON: {error}"))?;
            same("json", fill_json(json), sent)?;
        }
        (None, None, Some(fields)) => {
            let boundary = content_type.and_then(|it| it.strip_prefix("multipart/form-data; boundary="));
            let boundary = boundary.ok_or_else(|| format!("content type: {content_type:?}"))?;
            same("multipart", filled(fields), sorted(parts(body, boundary)))?;
        }
        (None, None, None) => same("body", (None, 0), (content_type, body.len()))?,
        _ => return Err("the table has more than one body".into()),
    }
    let ours = [header::ACCEPT, header::CONTENT_LENGTH, header::CONTENT_TYPE, header::USER_AGENT];
    let is_named =
        |name: &header::HeaderName| documented.headers.keys().any(|it| it.eq_ignore_ascii_case(name.as_str()));
    let sent = sent.headers().iter().filter(|(name, _)| !ours.contains(name) || is_named(name));
    let sent: Vec<_> = sent.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    let named: Vec<_> = documented.headers.iter().map(|(name, text)| (name.to_lowercase(), fill(text))).collect();
    same("headers", sorted(named.into_iter()), sorted(sent.into_iter()))
}

fn same<T: PartialEq<U> + std::fmt::Debug, U: std::fmt::Debug>(
    what: &str,
    documented: T,
    sent: U,
) -> Result<(), String> {
    if documented == sent { Ok(()) } else { Err(format!("{what}: documented {documented:?}, sent {sent:?}")) }
}

fn filled(fields: &BTreeMap<String, String>) -> Vec<(String, String)> {
    fields.iter().map(|(name, text)| (name.clone(), fill(text))).collect()
}

fn sorted(pairs: impl Iterator<Item = (impl Into<String>, impl Into<String>)>) -> Vec<(String, String)> {
    let mut pairs: Vec<_> = pairs.map(|(name, value)| (name.into(), value.into())).collect();
    pairs.sort();
    pairs
}

/// The fields of a multipart body (RFC 7578), as our encoder writes them.
fn parts(body: &[u8], boundary: &str) -> std::vec::IntoIter<(String, String)> {
    let body = std::str::from_utf8(body).unwrap();
    let delimiter = format!("--{boundary}");
    let parts = body.split(&delimiter).filter_map(|part| {
        let (head, value) = part.strip_suffix("\r\n")?.split_once("\r\n\r\n")?;
        let name = head.trim().strip_prefix("Content-Disposition: form-data; name=\"")?.strip_suffix('"')?;
        Some((name.to_owned(), value.to_owned()))
    });
    parts.collect::<Vec<_>>().into_iter()
}

fn read(
    source: &RequestSource,
    status: u16,
    json: &Option<Value>,
    form: &Option<BTreeMap<String, String>>,
    sent_at: Timestamp,
) -> Result<TokenReply, Failure> {
    let body = match (json, form) {
        (Some(json), None) => fill_json(json).to_string(),
        (None, Some(form)) => form_urlencoded::Serializer::new(String::new()).extend_pairs(filled(form)).finish(),
        (None, None) => String::new(),
        (Some(_), Some(_)) => panic!("the table has two bodies of one reply"),
    };
    source.reply.read(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes(), sent_at)
}

fn understood(documented: &Understood, tokens: &TokenReply, sent_at: Timestamp) -> Result<(), String> {
    same("access token", value("$access_token"), tokens.access_token.expose())?;
    let seconds = |at: Option<Timestamp>| at.map(|at| at.duration_since(sent_at).as_secs());
    let lifetime = match &documented.expires_in {
        Value::String(never) if never == "never" => None,
        Value::Number(seconds) if seconds.is_i64() => seconds.as_i64(),
        other => panic!("expires_in is {other}: seconds or never"),
    };
    same("lifetime", lifetime, seconds(tokens.expires_at))?;
    let refresh_token = match &documented.refresh_token {
        Value::Bool(false) => None,
        Value::Bool(true) => Some(value("$new_refresh_token")),
        Value::String(name) => Some(value(name)),
        other => panic!("refresh_token is {other}: true, false or a placeholder"),
    };
    same("refresh token", refresh_token, tokens.refresh_token.as_ref().map(RefreshToken::expose))?;
    same("its lifetime", documented.refresh_token_expires_in, seconds(tokens.refresh_token_expires_at))?;
    match &documented.scope {
        Some(scope) => same("scope", Some(scope.as_str()), tokens.scope.as_deref()),
        None => Ok(()),
    }
}

fn refusal(documented: &Refusal, failure: &Failure) -> Result<(), String> {
    let reason = failure.reason();
    same("permanent", documented.permanent, reason == Reason::InvalidGrant)?;
    match &documented.reason {
        Some(name) => same("reason", name.as_str(), format!("{reason:?}").as_str()),
        None => Ok(()),
    }
}
