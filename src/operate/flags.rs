//! The operator's flags and their environment variables.
//!
//! Values are checked here as far as they can be without a cluster or a file; what they do is elsewhere. How their texts
//! are parsed is in `flag_values`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{ArgAction, Parser, ValueEnum, builder::BoolishValueParser};
use url::Url;

pub use super::flag_values::{AddressRule, InputLabel};
use super::flag_values::{
    UnquotedUrl, log_directives, parse_lease_duration, parse_namespace, parse_otlp_endpoint, parse_proxy,
    parse_public_url, parse_request_timeout, parse_secret_type,
};

/// Keeps OAuth 2.0 access tokens fresh in Kubernetes Secrets.
///
/// Every flag can also be set by the environment variable named with it. A flag wins over its variable. Repeatable flags
/// also take a comma-separated list.
#[derive(Clone, Debug, Parser)]
#[command(name = "oauth-operator", version, max_term_width = 110)]
pub struct Flags {
    /// Serve the OAuthCredentials and OAuthProviders of this namespace only.
    ///
    /// Repeatable. By default those of all namespaces are served, which needs a ClusterRole.
    /// Example: --namespace team-a --namespace team-b
    #[arg(long = "namespace", env = "OAUTH_OPERATOR_NAMESPACE", value_name = "NAME", value_delimiter = ',', value_parser = parse_namespace)]
    pub namespaces: Vec<String>,

    /// The operator's own namespace: the Secrets that ClusterOAuthProviders name, and the Lease, are there.
    ///
    /// By default the environment variable POD_NAMESPACE, or else the namespace of the kubeconfig or ServiceAccount in use.
    /// Example: --operator-namespace oauth-operator
    #[arg(long, env = "OAUTH_OPERATOR_OPERATOR_NAMESPACE", value_name = "NAME", value_parser = parse_namespace)]
    pub operator_namespace: Option<String>,

    /// Address and port of /metrics, /healthz and /readyz, served as plain HTTP where there is no --metrics-cert-file.
    ///
    /// Example: --metrics-listen [::]:8080
    #[arg(long, env = "OAUTH_OPERATOR_METRICS_LISTEN", value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8080")]
    pub metrics_listen: SocketAddr,

    /// PEM file of the certificate, its chain after it, under which /metrics, /healthz and /readyz are served by TLS.
    ///
    /// It and its key are read again when they change. Example: --metrics-cert-file /etc/oauth-operator/metrics-tls/tls.crt
    #[arg(long, env = "OAUTH_OPERATOR_METRICS_CERT_FILE", value_name = "FILE", requires = "metrics_key_file")]
    pub metrics_cert_file: Option<PathBuf>,

    /// PEM file of that certificate's key.
    ///
    /// Example: --metrics-key-file /etc/oauth-operator/metrics-tls/tls.key
    #[arg(long, env = "OAUTH_OPERATOR_METRICS_KEY_FILE", value_name = "FILE", requires = "metrics_cert_file")]
    pub metrics_key_file: Option<PathBuf>,

    /// File of a token that /metrics demands as "Authorization: Bearer TOKEN". By default everybody may read /metrics.
    ///
    /// It is read for each request, without white space around it. Example: --metrics-token-file /etc/oauth-operator/metrics-token/token
    #[arg(long, env = "OAUTH_OPERATOR_METRICS_TOKEN_FILE", value_name = "FILE")]
    pub metrics_token_file: Option<PathBuf>,

    /// Tell in /metrics of each single credential: ready, expiry, next refresh, end of its refresh token.
    ///
    /// The leader alone does. With tens of thousands of credentials, set it to false where that is too much for Prometheus.
    /// Example: --credential-metrics=false
    #[arg(long, env = "OAUTH_OPERATOR_CREDENTIAL_METRICS", action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        value_name = "true|false", default_value = "true", default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub credential_metrics: bool,

    /// Address and port of the pages on which people consent, served as plain HTTP on every replica.
    ///
    /// Put an Ingress or a Gateway with a certificate before it. Nothing is served there without --public-url.
    /// Example: --listen [::]:8081
    #[arg(long, env = "OAUTH_OPERATOR_LISTEN", value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8081")]
    pub listen: SocketAddr,

    /// Where people's browsers reach --listen: an https URL, perhaps with a path.
    ///
    /// With /oauth/callback behind it, it is the default redirect URI. Plain http is taken for loopback hosts only.
    /// Example: --public-url https://oauth.example.com
    #[arg(long, env = "OAUTH_OPERATOR_PUBLIC_URL", value_name = "URL", value_parser = parse_public_url)]
    pub public_url: Option<Url>,

    /// How many refreshes may be under way at once, over all providers; at most 32 of them wait for one token server.
    ///
    /// When all are in use, the namespace with the fewest under way goes next, and of it the token that expires first.
    /// Example: --max-concurrent-refreshes 256
    #[arg(
        long,
        env = "OAUTH_OPERATOR_MAX_CONCURRENT_REFRESHES",
        value_name = "COUNT",
        default_value_t = 64,
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    pub max_concurrent_refreshes: u16,

    /// Private or loopback addresses that token requests may go to.
    ///
    /// A CIDR, one address, or a host name (whatever private address it resolves to). Repeatable. Public addresses need
    /// no permission. Link-local and cloud metadata addresses are refused always.
    /// Example: --allow-egress 10.20.0.0/16 --allow-egress keycloak.identity.svc
    #[arg(long, env = "OAUTH_OPERATOR_ALLOW_EGRESS", value_name = "CIDR|HOST", value_delimiter = ',')]
    pub allow_egress: Vec<AddressRule>,

    /// Addresses that token requests may not go to, even where --allow-egress or a ClusterOAuthProvider allows them.
    ///
    /// A CIDR, one address, or a host name. Repeatable. Example: --deny-egress 203.0.113.0/24
    #[arg(long, env = "OAUTH_OPERATOR_DENY_EGRESS", value_name = "CIDR|HOST", value_delimiter = ',')]
    pub deny_egress: Vec<AddressRule>,

    /// HTTP proxy that every token request goes through, by CONNECT.
    ///
    /// By default requests go directly: HTTP_PROXY and HTTPS_PROXY are not obeyed. User name and password can't be given.
    /// Example: --egress-proxy http://proxy.corp.example:3128
    #[arg(long, env = "OAUTH_OPERATOR_EGRESS_PROXY", value_name = "URL", hide_env_values = true, value_parser = UnquotedUrl(parse_proxy))]
    pub egress_proxy: Option<Url>,

    /// PEM file of certificate authorities to trust for token servers and --otlp-endpoint, besides the system's.
    ///
    /// Example: --ca-file /etc/oauth-operator/ca/ca.crt
    #[arg(long, env = "OAUTH_OPERATOR_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,

    /// Allow token requests over plain http. For tests only: everyone on the way reads the tokens.
    #[arg(long, env = "OAUTH_OPERATOR_ALLOW_INSECURE_HTTP", action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        value_name = "true|false", default_value = "false", default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub allow_insecure_http: bool,

    /// A label that a Secret must bear before a credential or provider can name it as input.
    ///
    /// A key, or a key and its value. By default any Secret of the namespace can be named.
    /// Example: --require-input-label oauth-operator.dev/input=true
    #[arg(long, env = "OAUTH_OPERATOR_REQUIRE_INPUT_LABEL", value_name = "KEY[=VALUE]")]
    pub require_input_label: Option<InputLabel>,

    /// An audience of the API server, besides those of the operator's own token: no ServiceAccount token is requested for it.
    ///
    /// Repeatable. Example: --api-server-audience https://kubernetes.default.svc
    #[arg(
        long = "api-server-audience",
        env = "OAUTH_OPERATOR_API_SERVER_AUDIENCE",
        value_name = "AUDIENCE",
        value_delimiter = ','
    )]
    pub api_server_audiences: Vec<String>,

    /// A type that output Secrets may have besides Opaque, kubernetes.io/basic-auth and kubernetes.io/dockerconfigjson.
    ///
    /// Repeatable. Example: --allow-secret-type example.com/registry
    #[arg(long = "allow-secret-type", env = "OAUTH_OPERATOR_ALLOW_SECRET_TYPE", value_name = "TYPE", value_delimiter = ',', value_parser = parse_secret_type)]
    pub allow_secret_types: Vec<String>,

    /// How long one token request may take, connecting included. From 1s to 5m.
    ///
    /// The pod's terminationGracePeriodSeconds must exceed it by a minute. Example: --request-timeout 1m30s
    #[arg(long, env = "OAUTH_OPERATOR_REQUEST_TIMEOUT", value_name = "DURATION", default_value = "30s", value_parser = parse_request_timeout)]
    pub request_timeout: Duration,

    /// Let one of several replicas lead by a Lease. With false, exactly one replica may run.
    ///
    /// Example: --leader-election=false
    #[arg(long, env = "OAUTH_OPERATOR_LEADER_ELECTION", action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        value_name = "true|false", default_value = "true", default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub leader_election: bool,

    /// How long a dead leader's Lease stands before another replica takes over. Whole seconds, from 10s to 5m.
    ///
    /// It is renewed at every third of this time, and the leader sends nothing in its last 5 seconds.
    /// Example: --lease-duration 30s
    #[arg(long, env = "OAUTH_OPERATOR_LEASE_DURATION", value_name = "DURATION", default_value = "15s", value_parser = parse_lease_duration)]
    pub lease_duration: Duration,

    /// Format of the log, which goes to standard error.
    #[arg(long, env = "OAUTH_OPERATOR_LOG_FORMAT", value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// What to log: error, warn, info, debug or trace, also by module.
    ///
    /// Messages of HTTP and TLS libraries that could show a Secret stay out whatever is said here.
    /// Example: --log-level info,oauth_operator::controller=debug
    #[arg(long, env = "OAUTH_OPERATOR_LOG_LEVEL", value_name = "DIRECTIVES", default_value = "info", value_parser = log_directives)]
    pub log_level: String,

    /// Send traces to this OpenTelemetry collector, by OTLP in protobuf over HTTP. By default there are none.
    ///
    /// A base URL: /v1/traces is appended. Headers come from OTEL_EXPORTER_OTLP_HEADERS, further attributes from
    /// OTEL_RESOURCE_ATTRIBUTES, the sampler from OTEL_TRACES_SAMPLER. Neither --egress-proxy nor HTTP_PROXY is used.
    /// Example: --otlp-endpoint http://otel-collector.observability.svc:4318
    #[arg(long, env = "OAUTH_OPERATOR_OTLP_ENDPOINT", value_name = "URL", hide_env_values = true, value_parser = UnquotedUrl(parse_otlp_endpoint))]
    pub otlp_endpoint: Option<Url>,

    /// What to do instead of operating.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the program does once, and then ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Subcommand)]
pub enum Command {
    /// Take the operator's finalizer off every credential, when it is uninstalled for good.
    ///
    /// Waits until no operator leads. Nothing is revoked. --namespace and --operator-namespace go before it.
    /// Example: oauth-operator --namespace team-a remove-finalizers
    RemoveFinalizers,
}

/// How a log line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Flags {
    /// The operator's own namespace: the flag's, else POD_NAMESPACE's, else `config`'s.
    pub fn resolve_operator_namespace(&self, config: &kube::Config) -> String {
        self.operator_namespace_or(std::env::var("POD_NAMESPACE").ok(), &config.default_namespace)
    }

    fn operator_namespace_or(&self, pod: Option<String>, configured: &str) -> String {
        let pod = pod.filter(|name| !name.is_empty());
        self.operator_namespace.clone().or(pod).unwrap_or_else(|| configured.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, error::ErrorKind};

    use super::*;

    fn parse(arguments: &[&str]) -> Result<Flags, clap::Error> {
        Flags::try_parse_from([&["oauth-operator"], arguments].concat())
    }

    #[test]
    fn the_definition_is_sound() {
        Flags::command().debug_assert();
    }

    #[test]
    fn every_flag_has_its_variable_and_help() {
        for argument in Flags::command().get_arguments().filter(|a| !["help", "version"].contains(&a.get_id().as_str()))
        {
            let long = argument.get_long().unwrap();
            let variable = format!("OAUTH_OPERATOR_{}", long.replace('-', "_").to_uppercase());
            assert_eq!(argument.get_env().unwrap().to_str(), Some(variable.as_str()));
            assert!(argument.get_help().is_some(), "{long}");
        }
    }

    #[test]
    fn defaults() {
        let flags = parse(&[]).unwrap();
        assert!(flags.namespaces.is_empty() && flags.allow_egress.is_empty() && flags.egress_proxy.is_none());
        assert_eq!(flags.metrics_listen.to_string(), "0.0.0.0:8080");
        assert_eq!((flags.listen.to_string().as_str(), flags.public_url), ("0.0.0.0:8081", None));
        assert_eq!((flags.max_concurrent_refreshes, flags.request_timeout), (64, Duration::from_secs(30)));
        assert_eq!((flags.leader_election, flags.lease_duration), (true, Duration::from_secs(15)));
        assert_eq!((flags.log_format, flags.log_level.as_str()), (LogFormat::Text, "info"));
        assert!(flags.credential_metrics && !flags.allow_insecure_http && flags.otlp_endpoint.is_none());
    }

    #[test]
    fn a_certificate_comes_with_its_key() {
        let both = parse(&["--metrics-cert-file", "a", "--metrics-key-file", "b"]).unwrap();
        assert!(both.metrics_cert_file.is_some() && both.metrics_key_file.is_some());
        for alone in ["--metrics-cert-file", "--metrics-key-file"] {
            assert_eq!(parse(&[alone, "a"]).unwrap_err().kind(), ErrorKind::MissingRequiredArgument);
        }
    }

    #[test]
    fn lists_repeat_and_split() {
        let flags = parse(&["--namespace", "a,b", "--namespace", "c", "--allow-egress", "10.0.0.0/8,idp.svc"]).unwrap();
        assert_eq!(flags.namespaces, ["a", "b", "c"]);
        assert_eq!(
            flags.allow_egress,
            [AddressRule::Cidr("10.0.0.0/8".parse().unwrap()), AddressRule::Host("idp.svc".to_owned())]
        );
    }

    #[test]
    fn switches_stand_alone_or_say_which() {
        assert!(parse(&["--allow-insecure-http"]).unwrap().allow_insecure_http);
        assert!(!parse(&["--allow-insecure-http=false"]).unwrap().allow_insecure_http);
        assert!(!parse(&["--leader-election=false"]).unwrap().leader_election);
        assert!(parse(&["--leader-election"]).unwrap().leader_election);
    }

    #[test]
    fn refuses_what_it_cannot_obey() {
        for arguments in [
            ["--namespace", "Team_A"],
            ["--namespace", ""],
            ["--max-concurrent-refreshes", "0"],
            ["--allow-egress", "10.0.0.0/33"],
            ["--allow-egress", "https://idp.example"],
            ["--deny-egress", "10.1.2.3/8"],
            ["--egress-proxy", "https://proxy:3128"],
            ["--egress-proxy", "proxy:3128"],
            ["--require-input-label", "a b"],
            ["--allow-secret-type", "kubernetes.io/service-account-token"],
            ["--request-timeout", "30"],
            ["--request-timeout", "0s"],
            ["--lease-duration", "9s"],
            ["--lease-duration", "15500ms"],
            ["--log-format", "xml"],
            ["--log-level", "a=b=c"],
            ["--metrics-listen", "8080"],
            ["--otlp-endpoint", "otel-collector:4318"],
            ["--otlp-endpoint", "https://otel.example/?token=a"],
        ] {
            let kind = parse(&arguments).unwrap_err().kind();
            assert!([ErrorKind::ValueValidation, ErrorKind::InvalidValue].contains(&kind), "{arguments:?} {kind}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_refused_and_not_repeated() {
        for flag in ["--egress-proxy", "--otlp-endpoint"] {
            let error = parse(&[flag, "http://user:hunter2@proxy:3128"]).unwrap_err().to_string();
            assert!(error.contains(flag) && error.contains("user name"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn the_flag_wins_over_the_pod_over_the_kubeconfig() {
        let named = parse(&["--operator-namespace", "mine"]).unwrap();
        let unnamed = parse(&[]).unwrap();
        assert_eq!(named.operator_namespace_or(Some("pod".to_owned()), "default"), "mine");
        assert_eq!(unnamed.operator_namespace_or(Some("pod".to_owned()), "default"), "pod");
        assert_eq!(unnamed.operator_namespace_or(Some(String::new()), "default"), "default");
        assert_eq!(unnamed.operator_namespace_or(None, "default"), "default");
    }
}
