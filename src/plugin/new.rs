//! `kubectl oauth new`: the manifests of a new credential. Nothing is sent to a cluster, and no secret is asked for: the input
//! Secret has placeholders.

use std::io::{self, IsTerminal};

use super::{Verdict, catalog, failure::Failure, flags::New, put, text::table};

mod ask;
mod manifests;
#[cfg(test)]
mod tests;
mod wanted;

use ask::Asker;

/// Prints the manifests, or the catalogue.
pub fn run(asked: &New, namespace: Option<&str>) -> Result<Verdict, Failure> {
    if asked.list_providers {
        put(&listing())?;
        return Ok(Verdict::Good);
    }
    let stdin = io::stdin();
    let (mut input, mut output) = (stdin.lock(), io::stderr());
    let is_terminal = io::stdin().is_terminal();
    let mut asker = if is_terminal { Asker::with(&mut input, &mut output) } else { Asker::without() };
    let wanted = wanted::gather(asked, &mut asker)?;
    put(&manifests::write(&wanted, namespace)?)?;
    Ok(Verdict::Good)
}

fn listing() -> String {
    let rows = catalog::entries().into_iter().map(|entry| {
        let grants = entry.grants().into_iter().map(wanted::grant_name).collect::<Vec<_>>().join(", ");
        let tenant = entry.placeholders().into_iter().collect::<Vec<_>>().join(", ");
        vec![entry.name.to_owned(), entry.title().to_owned(), grants, tenant]
    });
    table(&["NAME", "PROVIDER", "GRANTS", "TENANT"], &rows.collect::<Vec<_>>())
}
