//! Completion. kubectl asks an executable `kubectl_complete-oauth` in the PATH, with the words after `kubectl oauth`, and understands what
//! Cobra's completions print: a line a candidate, with its description after a tab, and a directive at the end.

use std::{
    ffi::{OsStr, OsString},
    io,
    time::Duration,
};

use clap::CommandFactory;
use clap_complete::{
    aot,
    engine::{CompletionCandidate, complete},
};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api,
    api::{ListParams, PartialObjectMeta},
};

use super::{
    catalog,
    connection::Connection,
    failure::Failure,
    flags::{Flags, Shell, Target},
    put,
};
use crate::api::OAuthCredential;

/// Cobra's ShellCompDirectiveNoFileComp: the shell adds no files of its own.
const NO_FILES: &str = ":4";

/// A cluster that doesn't answer must not hold up a person who types.
const PATIENCE: Duration = Duration::from_secs(3);

/// For kubectl: it runs `kubectl_complete-oauth`.
const KUBECTL_SCRIPT: &str = "#!/bin/sh\n\
# Completion for `kubectl oauth`. kubectl runs this: make it executable and put it into the PATH, as kubectl_complete-oauth.\n\
exec kubectl oauth __complete \"$@\"\n";

/// Prints the script.
pub fn script(shell: Shell) -> Result<(), Failure> {
    let generate = |shell: aot::Shell| {
        let mut script = Vec::new();
        aot::generate(shell, &mut Flags::command().bin_name("kubectl-oauth"), "kubectl-oauth", &mut script);
        String::from_utf8(script).map_err(|error| Failure::Embedded(error.to_string()))
    };
    put(&match shell {
        Shell::Kubectl => KUBECTL_SCRIPT.to_owned(),
        Shell::Bash => generate(aot::Shell::Bash)?,
        Shell::Zsh => generate(aot::Shell::Zsh)?,
        Shell::Fish => generate(aot::Shell::Fish)?,
    })
}

/// Prints what the last of the words after `kubectl oauth` could become.
pub fn answer(words: &[OsString]) -> Result<(), Failure> {
    let candidates = candidates(words).map_err(Failure::Output)?;
    put(&format!("{candidates}{NO_FILES}\n"))
}

fn candidates(words: &[OsString]) -> io::Result<String> {
    let mut words: Vec<_> = std::iter::once("kubectl-oauth".into()).chain(words.iter().cloned()).collect();
    if words.len() == 1 {
        words.push(OsString::new());
    }
    let last = words.len() - 1;
    let found = complete(&mut Flags::command(), words, last, None)?;
    let line = |candidate: &CompletionCandidate| {
        let value = candidate.get_value().to_string_lossy().into_owned();
        let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
        match help.lines().next() {
            Some(help) => format!("{value}\t{help}\n"),
            None => format!("{value}\n"),
        }
    };
    Ok(found.iter().filter(|candidate| !candidate.is_hide_set()).map(line).collect())
}

/// Names of the catalogue.
pub fn providers(typed: &OsStr) -> Vec<CompletionCandidate> {
    let entries = catalog::entries().into_iter();
    let candidates = entries.map(|entry| CompletionCandidate::new(entry.name).help(Some(entry.title().into())));
    beginning_with(typed, candidates)
}

/// Names of credentials.
pub fn credentials(typed: &OsStr) -> Vec<CompletionCandidate> {
    let names = names(async |connection| {
        let api: Api<OAuthCredential> = connection.namespaced(&connection.namespace);
        Some(api.list_metadata(&ListParams::default()).await.ok()?.items.into_iter().filter_map(name).collect())
    });
    beginning_with(typed, names.into_iter().map(CompletionCandidate::new))
}

/// Names of namespaces.
pub fn namespaces(typed: &OsStr) -> Vec<CompletionCandidate> {
    let names = names(async |connection| {
        let api: Api<Namespace> = Api::all(connection.client.clone());
        Some(api.list_metadata(&ListParams::default()).await.ok()?.items.into_iter().filter_map(name).collect())
    });
    beginning_with(typed, names.into_iter().map(CompletionCandidate::new))
}

fn name<K>(object: PartialObjectMeta<K>) -> Option<String> {
    object.metadata.name
}

fn beginning_with(typed: &OsStr, all: impl Iterator<Item = CompletionCandidate>) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    all.filter(|candidate| candidate.get_value().to_string_lossy().starts_with(&*typed)).collect()
}

/// What the cluster that is meant answers; nothing where it doesn't.
fn names(ask: impl AsyncFnOnce(Connection) -> Option<Vec<String>>) -> Vec<String> {
    let target = target(&std::env::args().collect::<Vec<_>>());
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return Vec::new() };
    let asked = async {
        let connection = Connection::open(&target).await.ok()?;
        ask(connection).await
    };
    let answered = runtime.block_on(async { tokio::time::timeout(PATIENCE, asked).await });
    answered.ok().flatten().unwrap_or_default()
}

/// Which cluster and namespace the words so far mean. The last word is still being typed.
fn target(words: &[String]) -> Target {
    let words = words.split_last().map_or(words, |(_, words)| words);
    let value = |names: &[&str]| {
        let stands_alone = words.windows(2).rev().find(|pair| names.contains(&pair[0].as_str())).map(|pair| &*pair[1]);
        let joined = words.iter().rev().find_map(|word| {
            let (name, value) = word.split_once('=')?;
            names.contains(&name).then_some(value)
        });
        stands_alone.or(joined).map(str::to_owned)
    };
    Target {
        namespace: value(&["-n", "--namespace"]),
        context: value(&["--context"]),
        kubeconfig: value(&["--kubeconfig"]).map(Into::into),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(words: &[&str]) -> String {
        candidates(&words.iter().map(Into::into).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn commands_flags_and_values_are_completed() {
        assert!(completed(&[]).contains("status\tHow one credential is"), "{}", completed(&[]));
        assert_eq!(completed(&["pru"]).lines().count(), 1);
        assert!(completed(&["refresh", "--al"]).contains("--all-namespaces\t"));
        assert!(completed(&["status", "-o", ""]).contains("json"));
        assert!(completed(&["new", "--provider", "keyc"]).starts_with("keycloak\tKeycloak"));
        assert!(!completed(&[""]).contains("__complete"));
    }

    #[test]
    fn the_words_so_far_say_which_cluster_is_meant() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let meant = target(&words("oauth status -n team-a --context=prod ca"));
        assert_eq!((meant.namespace.as_deref(), meant.context.as_deref()), (Some("team-a"), Some("prod")));
        assert!(target(&words("oauth status -n tea")).namespace.is_none());
    }
}
