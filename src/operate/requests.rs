//! The Kubernetes client: how it is built, what its requests count as, and how long they may take.
//!
//! What is asked of the API server is elsewhere.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{Method, Request, header::CONTENT_TYPE};
use kube::{
    Client, Config,
    client::{Body, ClientBuilder},
};
use secrecy::ExposeSecret;
use tower::{Layer, Service};

use super::{
    deadline::Deadlines,
    metrics::{Metrics, Resource, Verb},
};

/// Makes rustls use ring. `main` calls it first: kube would use it of itself, reqwest has no provider of its own, and
/// with two providers compiled in and none installed the first TLS connection panics. A second call changes nothing.
pub fn install_crypto_provider() {
    // Refused only where one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A client that counts its requests, gives each an end, and never retries by itself: a write that took effect could
/// come back as a conflict of our own making.
///
/// # Errors
/// The configuration's certificates, credentials or proxy can't be used.
pub fn client(mut config: Config, metrics: Metrics, under_way: UnderWay) -> kube::Result<Client> {
    config.default_retry = false;
    // One hop away: what takes longer is a dead node, and another try is better. The default is 30 s.
    config.connect_timeout = Some(Duration::from_secs(5));
    // For the whole connection, so it would cut an idle watch. `Deadlines` ends all other requests, and kube's watcher
    // ends a watch that is silent for longer than the server should let it be.
    config.read_timeout = None;
    Ok(ClientBuilder::try_from(config)?
        .with_layer(&Deadlines)
        .with_layer(&CountRequests { metrics, under_way })
        .build())
}

/// The API server's audiences, as far as the operator's own token tells: its `aud` and `iss`. The token is not verified here: it
/// is our own.
pub fn own_audiences(config: &Config) -> Vec<String> {
    #[derive(serde::Deserialize)]
    struct Claims {
        #[serde(default)]
        iss: Option<String>,
        #[serde(default)]
        aud: serde_json::Value,
    }
    let given = config.auth_info.token.as_ref().map(|token| token.expose_secret().to_owned());
    let read = || std::fs::read_to_string(config.auth_info.token_file.as_ref()?).ok();
    let Some(token) = given.or_else(read).map(zeroize::Zeroizing::new) else { return Vec::new() };
    let Ok(claims) = jsonwebtoken::dangerous::insecure_decode_claims::<Claims>(token.trim()) else { return Vec::new() };
    let audiences = match claims.aud {
        serde_json::Value::String(audience) => vec![audience],
        serde_json::Value::Array(audiences) => {
            audiences.iter().filter_map(|audience| audience.as_str().map(str::to_owned)).collect()
        }
        _ => Vec::new(),
    };
    audiences.into_iter().chain(claims.iss).collect()
}

/// How many requests wait for their answer now. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct UnderWay(Arc<AtomicUsize>);

impl UnderWay {
    /// So many.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// One more, until what is returned is dropped.
    pub fn one_more(&self) -> OneMore {
        self.0.fetch_add(1, Ordering::Relaxed);
        OneMore(self.clone())
    }
}

/// A request that is under way.
#[derive(Debug)]
pub struct OneMore(UnderWay);

impl Drop for OneMore {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts requests, by verb and resource, and those under way.
#[derive(Clone, Debug)]
struct CountRequests {
    metrics: Metrics,
    under_way: UnderWay,
}

impl<S> Layer<S> for CountRequests {
    type Service = CountedRequests<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CountedRequests { inner, count: self.clone() }
    }
}

/// What `CountRequests` wraps a service in.
#[derive(Clone, Debug)]
struct CountedRequests<S> {
    inner: S,
    count: CountRequests,
}

impl<S: Service<Request<Body>>> Service<Request<Body>> for CountedRequests<S>
where
    S::Response: 'static,
    S::Error: 'static,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (verb, resource) = classify(&request);
        self.count.metrics.api_request(verb, resource);
        let one_more = self.count.under_way.one_more();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let _one_more = one_more;
            answer.await
        })
    }
}

/// A request's verb, as RBAC names it (but apply is told from patch), and its resource.
pub(super) fn classify<B>(request: &Request<B>) -> (Verb, Resource) {
    let path = Path::of(request.uri().path());
    let verb = match *request.method() {
        Method::POST => Verb::Create,
        Method::PUT => Verb::Update,
        Method::DELETE => Verb::Delete,
        Method::PATCH if applies(request) => Verb::Apply,
        Method::PATCH => Verb::Patch,
        // kube watches one object as a list of one, by a field selector.
        _ if watches(request) => Verb::Watch,
        _ if path.named => Verb::Get,
        _ => Verb::List,
    };
    (verb, path.resource())
}

fn applies<B>(request: &Request<B>) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/apply-patch+"))
}

fn watches<B>(request: &Request<B>) -> bool {
    let query = request.uri().query().unwrap_or_default();
    query.split('&').any(|pair| pair == "watch=true" || pair == "watch=1")
}

/// A path of the API, taken apart.
struct Path<'a> {
    group: &'a str,
    plural: &'a str,
    named: bool,
    subresource: Option<&'a str>,
}

impl<'a> Path<'a> {
    /// `/api/v1/…` or `/apis/GROUP/VERSION/…`, then `[namespaces/NAMESPACE/]PLURAL[/NAME[/SUBRESOURCE]]`.
    fn of(path: &'a str) -> Self {
        let segments: Vec<_> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let (group, rest) = match segments.as_slice() {
            ["api", _version, rest @ ..] => ("", rest),
            ["apis", group, _version, rest @ ..] => (*group, rest),
            _ => ("", [].as_slice()),
        };
        let rest = match rest {
            // The subresources of a namespace itself.
            ["namespaces", _, "status" | "finalize"] => rest,
            ["namespaces", _, rest @ ..] if !rest.is_empty() => rest,
            rest => rest,
        };
        Self {
            group,
            plural: rest.first().copied().unwrap_or_default(),
            named: rest.len() > 1,
            subresource: rest.get(2).copied(),
        }
    }

    fn resource(&self) -> Resource {
        match (self.group, self.plural, self.subresource) {
            (crate::api::GROUP, "oauthcredentials", Some("status")) => Resource::CredentialStatus,
            (crate::api::GROUP, "oauthcredentials", _) => Resource::Credentials,
            (crate::api::GROUP, "oauthproviders", _) => Resource::Providers,
            (crate::api::GROUP, "clusteroauthproviders", _) => Resource::ClusterProviders,
            ("", "secrets", _) => Resource::Secrets,
            ("", "namespaces", _) => Resource::Namespaces,
            ("", "serviceaccounts", _) => Resource::ServiceAccounts,
            ("", "configmaps", _) => Resource::ConfigMaps,
            ("" | "events.k8s.io", "events", _) => Resource::Events,
            ("coordination.k8s.io", "leases", _) => Resource::Leases,
            _ => Resource::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::Response;

    use super::*;

    #[test]
    fn classifies_what_kube_sends() {
        const MERGE: &str = "application/merge-patch+json";
        const APPLY: &str = "application/apply-patch+yaml";
        let ours = "/apis/oauth-operator.dev/v1alpha1";
        for (method, path, content_type, verb, resource) in [
            ("GET", format!("{ours}/oauthcredentials?limit=500"), "", Verb::List, Resource::Credentials),
            ("GET", format!("{ours}/oauthcredentials?&watch=true&x=y"), "", Verb::Watch, Resource::Credentials),
            ("GET", format!("{ours}/namespaces/a/oauthcredentials/b"), "", Verb::Get, Resource::Credentials),
            ("PATCH", format!("{ours}/namespaces/a/oauthcredentials/b"), MERGE, Verb::Patch, Resource::Credentials),
            (
                "PATCH",
                format!("{ours}/namespaces/a/oauthcredentials/b/status?force=true"),
                APPLY,
                Verb::Apply,
                Resource::CredentialStatus,
            ),
            (
                "PUT",
                format!("{ours}/namespaces/a/oauthcredentials/b/status"),
                "",
                Verb::Update,
                Resource::CredentialStatus,
            ),
            ("GET", format!("{ours}/namespaces/a/oauthproviders"), "", Verb::List, Resource::Providers),
            ("GET", format!("{ours}/clusteroauthproviders/b"), "", Verb::Get, Resource::ClusterProviders),
            ("POST", "/api/v1/namespaces/a/secrets?".to_owned(), "", Verb::Create, Resource::Secrets),
            (
                "PATCH",
                "/api/v1/namespaces/a/secrets/b?fieldManager=x".to_owned(),
                APPLY,
                Verb::Apply,
                Resource::Secrets,
            ),
            ("DELETE", "/api/v1/namespaces/a/secrets/b".to_owned(), "", Verb::Delete, Resource::Secrets),
            ("GET", "/api/v1/secrets?watch=true".to_owned(), "", Verb::Watch, Resource::Secrets),
            ("GET", "/api/v1/namespaces".to_owned(), "", Verb::List, Resource::Namespaces),
            ("GET", "/api/v1/namespaces/a".to_owned(), "", Verb::Get, Resource::Namespaces),
            ("GET", "/api/v1/namespaces/a/status".to_owned(), "", Verb::Get, Resource::Namespaces),
            (
                "POST",
                "/api/v1/namespaces/a/serviceaccounts/b/token".to_owned(),
                "",
                Verb::Create,
                Resource::ServiceAccounts,
            ),
            ("GET", "/api/v1/namespaces/a/configmaps/b".to_owned(), "", Verb::Get, Resource::ConfigMaps),
            ("POST", "/apis/events.k8s.io/v1/namespaces/a/events".to_owned(), "", Verb::Create, Resource::Events),
            (
                "PUT",
                "/apis/coordination.k8s.io/v1/namespaces/a/leases/b".to_owned(),
                "",
                Verb::Update,
                Resource::Leases,
            ),
            ("GET", "/apis/elsewhere.io/v1/namespaces/a/secrets/b".to_owned(), "", Verb::Get, Resource::Other),
            ("GET", "/version".to_owned(), "", Verb::List, Resource::Other),
        ] {
            let mut request = Request::builder().method(method).uri(&path);
            if !content_type.is_empty() {
                request = request.header(CONTENT_TYPE, content_type);
            }
            assert_eq!(classify(&request.body(()).unwrap()), (verb, resource), "{method} {path}");
        }
    }

    #[tokio::test]
    async fn counts_through_the_layer() {
        let (metrics, under_way) = (Metrics::new("0"), UnderWay::default());
        let inner = tower::service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(())) });
        let mut service = CountRequests { metrics: metrics.clone(), under_way: under_way.clone() }.layer(inner);
        let request = || Request::get("/api/v1/namespaces/a/secrets/b").body(Body::empty()).unwrap();
        let (answered, given_up) = (service.call(request()), service.call(request()));
        assert_eq!(under_way.count(), 2);
        answered.await.unwrap();
        assert_eq!(under_way.count(), 1);
        drop(given_up);
        assert_eq!(under_way.count(), 0);
        let line = "oauth_operator_api_requests_total{verb=\"get\",resource=\"secrets\"} 2";
        assert!(metrics.encode().lines().any(|l| l == line));
    }
}
