//! What a person wants, from the command line and from answers, each value checked.

use clap::ValueEnum;
use url::Url;

use super::ask::Asker;
use crate::{
    plugin::{
        catalog::{self, Entry},
        failure::Failure,
        flags::{GrantName, New},
    },
    secrets::{CONSENT_SUFFIX, STATE_SUFFIX},
};

/// A credential that is to be written.
pub struct Wanted {
    pub name: String,
    pub provider: Provider,
    pub grant: GrantName,
    pub client_id: String,
    /// The client has no secret.
    pub public_client: bool,
    pub scopes: Vec<String>,
    pub redirect_uri: Option<String>,
    pub secret_name: Option<String>,
}

/// Where the token comes from.
pub enum Provider {
    /// Of the catalogue, with what its placeholders stand for.
    Listed {
        entry: Entry,
        values: Vec<(String, String)>,
        form: Form,
    },
    /// There already, under this name.
    Existing {
        name: String,
        is_cluster: bool,
    },
    Issuer(String),
    TokenUrl(String),
}

/// How a provider of the catalogue is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Inline,
    /// An OAuthProvider of the namespace.
    Namespaced,
    /// A ClusterOAuthProvider.
    Cluster,
}

/// The grant's name in the spec.
pub fn grant_name(grant: GrantName) -> String {
    grant.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// Asks for what wasn't given.
pub fn gather(asked: &New, asker: &mut Asker<'_>) -> Result<Wanted, Failure> {
    let name = asker.answer(asked.name.as_deref(), "NAME", "Name of the credential", object_name)?;
    let secret_name = asked.secret_name.as_deref();
    let secret_name = secret_name.map(|name| asker.answer(Some(name), "--secret-name", "", output_name)).transpose()?;
    let provider = provider(asked, asker)?;
    let grant = grant(asked, &provider, asker)?;
    let client_id = asker.answer(asked.client_id.as_deref(), "--client-id", "Client id", |id| bounded(id, 512))?;
    let redirect_uri = asked.redirect_uri.as_deref();
    let redirect_uri = redirect_uri.map(|uri| asker.answer(Some(uri), "--redirect-uri", "", url)).transpose()?;
    let given = (!asked.scopes.is_empty() || !asker.can_ask()).then(|| asked.scopes.join(" "));
    let scopes = asker.answer(given.as_deref(), "--scope", "Scopes, separated by spaces (may be none)", scopes)?;
    Ok(Wanted {
        name,
        provider,
        grant,
        client_id,
        public_client: asked.public_client,
        scopes,
        redirect_uri,
        secret_name,
    })
}

fn provider(asked: &New, asker: &mut Asker<'_>) -> Result<Provider, Failure> {
    if let Some(token_url) = &asked.token_url {
        return Ok(Provider::TokenUrl(asker.answer(Some(token_url), "--token-url", "", url)?));
    }
    let given = asked.provider.as_deref();
    if asked.existing_provider {
        let name = asker.answer(given, "--provider", "Name of the provider's object", object_name)?;
        return Ok(Provider::Existing { name, is_cluster: asked.cluster_provider });
    }
    let question = "Provider: a name of the catalogue (--list-providers), or the URL of an issuer";
    let found = asker.answer(given, "--provider", question, |text| match text.contains("://") {
        true => url(text).map(Err),
        false => catalog::find(text).map(Ok).ok_or_else(|| unlisted(text)),
    })?;
    let entry = match found {
        Ok(entry) => entry,
        Err(issuer) => return Ok(Provider::Issuer(issuer)),
    };
    let form = match (asked.inline, asked.cluster_provider) {
        (true, _) => Form::Inline,
        (_, true) => Form::Cluster,
        _ => Form::Namespaced,
    };
    for note in entry.notes() {
        asker.say(&format!("  {note}"))?;
    }
    Ok(Provider::Listed { values: tenant(asked, &entry, asker)?, entry, form })
}

fn unlisted(name: &str) -> String {
    let similar = catalog::similar(name);
    let hint = match similar.is_empty() || name.is_empty() {
        true => "`kubectl oauth new --list-providers` lists it".to_owned(),
        false => format!("it has {}", similar.join(", ")),
    };
    format!("the catalogue has no {name:?}: {hint}. For another server give the URL of its issuer, or --token-url.")
}

/// What the entry's placeholders stand for.
fn tenant(asked: &New, entry: &Entry, asker: &mut Asker<'_>) -> Result<Vec<(String, String)>, Failure> {
    let keys = entry.placeholders();
    let key_of = |text: &str| text.trim_start_matches("YOUR-").to_owned();
    let mut given = Vec::new();
    for text in &asked.tenant {
        match (text.split_once('='), keys.len()) {
            (Some((key, value)), _) if keys.contains(key_of(key).as_str()) => given.push((key_of(key), value)),
            (None, 1) => given.extend(keys.iter().map(|key| ((*key).to_owned(), text.as_str()))),
            (_, 0) => return Err(Failure::Usage(format!("--tenant: {} is the same for everyone.", entry.name))),
            _ => {
                let forms = keys.iter().map(|key| format!("--tenant {key}=...")).collect::<Vec<_>>().join(" ");
                return Err(Failure::Usage(format!("--tenant {text}: {} wants {forms}", entry.name)));
            }
        }
    }
    keys.iter()
        .map(|key| {
            let value = given.iter().find(|(of, _)| of == key).map(|(_, value)| *value);
            let flag = format!("--tenant {key}=...");
            let value =
                asker.answer(value, &flag, &format!("YOUR-{key}, in the provider's addresses"), tenant_value)?;
            Ok(((*key).to_owned(), value))
        })
        .collect()
}

fn grant(asked: &New, provider: &Provider, asker: &mut Asker<'_>) -> Result<GrantName, Failure> {
    let offered = match provider {
        Provider::Listed { entry, .. } => entry.grants(),
        Provider::Existing { .. } | Provider::Issuer(_) | Provider::TokenUrl(_) => GrantName::value_variants().to_vec(),
    };
    if let ([only], None) = (offered.as_slice(), asked.grant) {
        return Ok(*only);
    }
    let names = offered.iter().map(|grant| grant_name(*grant)).collect::<Vec<_>>().join(", ");
    let given = asked.grant.map(grant_name);
    asker.answer(given.as_deref(), "--grant", &format!("Grant: {names}"), |text| {
        let named = offered.iter().find(|grant| grant_name(**grant) == text);
        named.copied().ok_or_else(|| format!("this provider documents {names}; choose one of these."))
    })
}

/// As the CRD has it: a name that is a label value too.
fn object_name(text: &str) -> Result<String, String> {
    let label = |label: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !label.is_empty() && label.chars().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    match text.len() <= 63 && text.split('.').all(label) {
        true => Ok(text.to_owned()),
        false => {
            Err("a name has at most 63 lowercase letters, digits, - and ., and begins and ends with a letter or digit."
                .to_owned())
        }
    }
}

fn output_name(text: &str) -> Result<String, String> {
    if [STATE_SUFFIX, CONSENT_SUFFIX].iter().any(|suffix| text.ends_with(suffix)) {
        return Err(
            "names that end in -oauth-state and -oauth-consent are the operator's own: choose another.".to_owned()
        );
    }
    object_name(text)
}

fn bounded(text: &str, most: usize) -> Result<String, String> {
    match text.is_empty() || text.chars().count() > most || text.contains(char::is_control) {
        true => Err(format!("one line of 1 to {most} characters.")),
        false => Ok(text.to_owned()),
    }
}

fn url(text: &str) -> Result<String, String> {
    let is_web = Url::parse(text).is_ok_and(|url| ["https", "http"].contains(&url.scheme()) && url.has_host());
    match is_web && text.len() <= 2048 {
        true => Ok(text.to_owned()),
        false => Err("a URL such as https://login.example.com".to_owned()),
    }
}

/// A part of an address: nothing that would change what is around it.
fn tenant_value(text: &str) -> Result<String, String> {
    let part = |c: char| c.is_ascii_alphanumeric() || "-._~:/".contains(c);
    match !text.is_empty() && text.len() <= 253 && text.chars().all(part) && !text.contains("//") {
        true => Ok(text.to_owned()),
        false => Err("a part of an address: letters, digits, and - . _ ~ : / only.".to_owned()),
    }
}

fn scopes(text: &str) -> Result<Vec<String>, String> {
    let scopes: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
    match scopes.len() <= 64 && scopes.iter().all(|scope| scope.chars().count() <= 512) {
        true => Ok(scopes),
        false => Err("at most 64 scopes of at most 512 characters.".to_owned()),
    }
}
