//! Why a command could not be carried out, in sentences that say what to do next.

use std::io;

use kube::client::AuthError;

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line, or an answer to a question, can't be obeyed.
    #[error("{0}")]
    Usage(String),
    #[error("no cluster to talk to: {0}. Set KUBECONFIG, or use --kubeconfig and --context.")]
    Kubeconfig(String),
    #[error(
        "the API server can't be reached: {0}. Is it the right cluster? --context and --kubeconfig choose another."
    )]
    Unreachable(String),
    #[error(
        "there is no OAuthCredential {name} in namespace {namespace}: `kubectl oauth status -A` lists all there are."
    )]
    NoCredential { namespace: String, name: String },
    #[error(
        "this cluster has no OAuthCredentials: the CRDs of oauth-operator are not installed (docs/install.md), or it is the wrong cluster."
    )]
    NotInstalled,
    #[error("the API server refuses you: log in again, or use another --context.")]
    Unauthorized,
    /// Without what was said: it may be what a login program printed, with a token in it.
    #[error(
        "the kubeconfig's way of logging in fails: does `kubectl get namespaces` work? Log in again, or use another --context."
    )]
    Login,
    /// The API server's own sentence says who may not do what.
    #[error(
        "you may not {doing}: {message}. Ask an administrator for it; docs/kubectl-oauth.md lists the rights each command needs."
    )]
    Forbidden { doing: String, message: String },
    #[error("could not {doing}: the API server says: {message}")]
    Refused { doing: String, message: String },
    /// Without what was said: it may hold a Secret's bytes.
    #[error("could not {0}: the API server's answer is not one that this version of kubectl-oauth understands.")]
    Unreadable(String),
    /// What this program carries along is broken.
    #[error("this kubectl-oauth is broken: {0}. Install it again, and report it.")]
    Embedded(String),
    #[error("could not write: {0}")]
    Output(io::Error),
}

impl Failure {
    /// The process's exit status.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            _ => 3,
        }
    }

    /// What came of a request that was to do this, such as "read the Secret a".
    pub fn of(doing: impl Into<String>, error: kube::Error) -> Self {
        let doing = doing.into();
        match error {
            kube::Error::Api(status) => match status.code {
                401 => Self::Unauthorized,
                403 => Self::Forbidden { doing, message: status.message },
                // The answer to a path that isn't served, not to a name that isn't there.
                404 if status.details.as_ref().is_none_or(|details| details.name.is_empty()) => Self::NotInstalled,
                _ => Self::Refused { doing, message: status.message },
            },
            kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => Self::Unreadable(doing),
            other if is_of_login(&other) => Self::Login,
            other => Self::Unreachable(other.to_string()),
        }
    }

    /// Why no client could be made of the kubeconfig.
    pub fn unusable(error: kube::Error) -> Self {
        if is_of_login(&error) { Self::Login } else { Self::Kubeconfig(error.to_string()) }
    }
}

/// Whether it is about getting a credential for the API server.
fn is_of_login(error: &kube::Error) -> bool {
    let error: &(dyn std::error::Error + 'static) = error;
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.any(|cause| cause.is::<AuthError>())
}

/// Whether the API server says that the person has no right to this.
pub fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403)
}

/// Whether the API server says that there is no such object, or no such kind.
pub fn is_absent(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// Whether a precondition didn't hold.
pub fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}
