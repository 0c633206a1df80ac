//! What can be asked of `kubectl oauth`: its commands and flags, named as kubectl's are.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCompleter;

use super::completion;

const EXIT_STATUS: &str = "\
Exit status: 0 all is well; 1 it is not (not Ready, not refreshed, no consent, not revoked, a check failed); 2 the command line is wrong; 3 the \
cluster could not be asked.";

/// Credentials of oauth-operator: see how they are, ask for refreshes, write new ones.
#[derive(Debug, Parser)]
#[command(name = "kubectl-oauth", bin_name = "kubectl oauth", version, max_term_width = 110, after_help = EXIT_STATUS)]
pub struct Flags {
    #[command(flatten)]
    pub target: Target,
    #[command(subcommand)]
    pub command: Command,
}

/// Which cluster and namespace are meant.
#[derive(Clone, Debug, Args)]
pub struct Target {
    /// Namespace; default: that of the context
    #[arg(short, long, global = true, value_name = "NAME", add = ArgValueCompleter::new(completion::namespaces))]
    pub namespace: Option<String>,
    /// Context of the kubeconfig
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// Kubeconfig; default: KUBECONFIG, or ~/.kube/config
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// How one credential is, from provider to output, and what to do next; without NAME, a table of all
    Status(Status),
    /// Give your consent: opens the provider's page in a browser, and waits until the credential is Ready
    Authorize(Authorize),
    /// Ask the operator for a new token now
    Refresh(Refresh),
    /// Have everything revoked that the operator keeps for a credential
    Revoke(Revoke),
    /// Delete the state Secrets of credentials that are gone
    Prune(Prune),
    /// Whether everything is in order: CRDs, operator, rights, credentials
    Check(Check),
    /// Write the manifests of a new credential to standard output
    New(Box<New>),
    /// Print a completion script
    Completion(Completion),
    /// Print what the last of the words could become, for kubectl_complete-oauth
    #[command(name = "__complete", hide = true, disable_help_flag = true)]
    Complete {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<OsString>,
    },
}

/// The namespace that is meant, or all.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Everywhere {
    /// All namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
}

/// Which form the answer has, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Json,
    Yaml,
}

#[derive(Debug, Args)]
pub struct Status {
    /// One credential
    #[arg(conflicts_with = "all_namespaces", add = ArgValueCompleter::new(completion::credentials))]
    pub name: Option<String>,
    #[command(flatten)]
    pub everywhere: Everywhere,
    /// For programs
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<Format>,
    #[command(flatten)]
    pub operator: Operator,
}

#[derive(Debug, Args)]
pub struct Authorize {
    /// The credential, of grant authorizationCode or deviceCode
    #[arg(add = ArgValueCompleter::new(completion::credentials))]
    pub name: String,
    /// Read the address that the provider redirected to, or the code in it, from standard input
    #[arg(long)]
    pub paste: bool,
    /// Listen for the provider's redirect on this machine: for a redirect URI such as http://127.0.0.1:8000/callback
    #[arg(long, conflicts_with = "paste")]
    pub loopback: bool,
    /// Only print the address, open no browser
    #[arg(long)]
    pub no_browser: bool,
    /// How long to wait; nothing is taken after an hour
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = duration)]
    pub timeout: Duration,
    /// For programs: how it ended
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// Where the operator is.
#[derive(Clone, Debug, Args)]
pub struct Operator {
    /// Namespace of the operator: its Lease, and the Secrets that ClusterOAuthProviders name, are there
    #[arg(long, value_name = "NAME", default_value = "oauth-operator")]
    pub operator_namespace: String,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["name", "selector", "all"]))]
pub struct Refresh {
    /// One credential
    #[arg(conflicts_with = "all_namespaces", add = ArgValueCompleter::new(completion::credentials))]
    pub name: Option<String>,
    /// Those with these labels, as in -l team=billing
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub selector: Option<String>,
    /// All of the namespace; with -A, of the cluster
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub everywhere: Everywhere,
    /// Wait until each attempt has ended, and say how
    #[arg(long)]
    pub wait: bool,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration, requires = "wait")]
    pub timeout: Duration,
    /// For programs: what came of it
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<Format>,
}

#[derive(Debug, Args)]
pub struct Revoke {
    /// The credential
    #[arg(add = ArgValueCompleter::new(completion::credentials))]
    pub name: String,
    /// Revoke without asking
    #[arg(short, long)]
    pub yes: bool,
    /// Wait until it has ended, and say how
    #[arg(long)]
    pub wait: bool,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration, requires = "wait")]
    pub timeout: Duration,
    /// For programs: what came of it
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<Format>,
}

#[derive(Debug, Args)]
pub struct Prune {
    #[command(flatten)]
    pub everywhere: Everywhere,
    /// Show what would be deleted, delete nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Delete without asking
    #[arg(short, long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    pub everywhere: Everywhere,
    /// For programs
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<Format>,
    #[command(flatten)]
    pub operator: Operator,
}

/// The grants that `new` can write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "camelCase")]
pub enum GrantName {
    RefreshToken,
    ClientCredentials,
    AuthorizationCode,
    DeviceCode,
    Password,
}

/// What isn't given is asked for, where there is a terminal.
#[derive(Clone, Debug, Default, Args)]
pub struct New {
    /// Name of the credential
    pub name: Option<String>,
    /// A provider of the catalogue, or the URL of an issuer (see also --token-url)
    #[arg(long, value_name = "NAME|URL", add = ArgValueCompleter::new(completion::providers))]
    pub provider: Option<String>,
    /// List the providers of the catalogue
    #[arg(long, exclusive = true)]
    pub list_providers: bool,
    /// What the provider's YOUR-... placeholders stand for; KEY=VALUE where there are several
    #[arg(long, value_name = "[KEY=]VALUE")]
    pub tenant: Vec<String>,
    /// The token endpoint of a provider that is not in the catalogue
    #[arg(long, value_name = "URL", conflicts_with = "provider")]
    pub token_url: Option<String>,
    /// How the first token is got
    #[arg(long, value_enum)]
    pub grant: Option<GrantName>,
    /// The client id
    #[arg(long, value_name = "ID")]
    pub client_id: Option<String>,
    /// The client has no secret
    #[arg(long)]
    pub public_client: bool,
    /// Scopes to ask for; repeat it, or separate them by spaces
    #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ' ')]
    pub scopes: Vec<String>,
    /// The redirect URI that the client is registered with
    #[arg(long, value_name = "URI")]
    pub redirect_uri: Option<String>,
    /// Name of the Secret that the token comes in; default: NAME-token
    #[arg(long, value_name = "NAME")]
    pub secret_name: Option<String>,
    /// Write the provider into the credential, not as an object of its own
    #[arg(long)]
    pub inline: bool,
    /// The provider is a ClusterOAuthProvider, for all namespaces
    #[arg(long, conflicts_with = "inline")]
    pub cluster_provider: bool,
    /// The provider's object is there already: only refer to it
    #[arg(long, conflicts_with = "inline")]
    pub existing_provider: bool,
}

#[derive(Debug, Args)]
pub struct Completion {
    pub shell: Shell,
}

/// What the completion script is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// `kubectl oauth`, in every shell where kubectl's own completion is: save it as kubectl_complete-oauth in the PATH
    Kubectl,
    /// `kubectl-oauth`, called by itself
    Bash,
    Zsh,
    Fish,
}

fn duration(text: &str) -> Result<Duration, String> {
    crate::duration::parse(text)
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "a duration such as 90s, 5m or 1h30m".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, error::ErrorKind};

    use super::*;

    fn kind(arguments: &[&str]) -> ErrorKind {
        Flags::try_parse_from([&["kubectl-oauth"], arguments].concat()).unwrap_err().kind()
    }

    #[test]
    fn the_definition_is_sound() {
        Flags::command().debug_assert();
    }

    #[test]
    fn kubectls_flags_stand_anywhere() {
        for arguments in [["-n", "a", "status", "x"], ["status", "-n", "a", "x"], ["status", "x", "--namespace", "a"]] {
            let flags = Flags::try_parse_from([&["kubectl-oauth"][..], &arguments].concat()).unwrap();
            assert_eq!(flags.target.namespace.as_deref(), Some("a"));
        }
    }

    #[test]
    fn what_is_meant_must_be_clear() {
        assert_eq!(kind(&["refresh"]), ErrorKind::MissingRequiredArgument);
        assert_eq!(kind(&["refresh", "a", "--all"]), ErrorKind::ArgumentConflict);
        assert_eq!(kind(&["refresh", "a", "-A"]), ErrorKind::ArgumentConflict);
        assert_eq!(kind(&["status", "a", "-A"]), ErrorKind::ArgumentConflict);
        assert_eq!(kind(&["refresh", "a", "--wait", "--timeout", "soon"]), ErrorKind::ValueValidation);
        assert_eq!(
            kind(&["new", "a", "--provider", "google", "--token-url", "https://a"]),
            ErrorKind::ArgumentConflict
        );
    }
}
