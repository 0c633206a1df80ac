//! What the schema has and this version doesn't carry out yet: refused with a sentence, never half done.

use super::observed::Problem;
use crate::api::{OAuthCredentialSpec, Reason};

/// Refuses what this version can't do.
pub fn refuse(spec: &OAuthCredentialSpec) -> Result<(), Problem> {
    let wanted = [(!spec.rollout_restart.is_empty(), "rolloutRestart", "leave it out")];
    match wanted.into_iter().find(|(wanted, ..)| *wanted) {
        Some((_, what, instead)) => Err(not_yet(what, instead)),
        None => Ok(()),
    }
}

fn not_yet(what: &str, instead: &str) -> Problem {
    Problem::stalled(
        Reason::InvalidSpec,
        format!(
            "This version of oauth-operator does not carry out {what} yet: {instead}, or install a version that does."
        ),
    )
}
