//! Writes the output Secret: one apply under a precondition, so that nothing foreign is overwritten and no older token
//! replaces a newer one. Where a state is kept, it says what is newest: what others have written since this was decided is
//! not overwritten, but decided anew, from the state as it is then.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Controller,
    effects::{Answer, Fault},
    key::Key,
    observe::{Prepared, View, owns, version},
    seen::SecretSeen,
};
use crate::{
    api::{AdditionalTokenStatus, Reason, SecretStatus},
    credential::{
        checked::Checked,
        observed::Problem,
        published::{Publication, PublishedToken},
        rotation::Keeps,
    },
    secrets::output::{self, Owner, Precondition, Token},
};

/// Tries of one publication against an API server that answers with conflicts, or not at all.
const MOST_TRIES: u32 = 5;

impl Controller {
    /// Publishes a token that was decided on from `view`. Err in the answer: the API server failed, or somebody else has
    /// written, and the pass is repeated. Err within: it can't be published until something changes.
    #[tracing::instrument(level = "debug", skip_all)]
    pub(super) async fn publish(
        &self,
        key: &Key,
        prepared: &Prepared,
        checked: &Checked,
        view: &View,
        publication: Publication<'_>,
    ) -> Answer<Result<PublishedToken, Problem>> {
        let owner = Owner { namespace: &key.namespace, name: &key.name, uid: &prepared.seen.uid };
        let none = BTreeMap::new();
        let additional = publication.record.map_or(&none, |record| &record.additional);
        let rendered = match output::render(checked, owner, publication.issued, additional) {
            Ok(rendered) => rendered,
            Err(problem) => return Ok(Err(problem)),
        };
        let Publication { lineage, revision, issued, .. } = publication;
        let output_key = Key::new(&key.namespace, &checked.output.name);
        let mut seen = view.output_secret.clone();
        for tries in 0..MOST_TRIES {
            let precondition = match &seen {
                None => Precondition::Absent,
                Some(secret) if !owns(key, &prepared.status, secret) => {
                    return Ok(Err(Problem::foreign_output(&checked.output.name)));
                }
                Some(secret) => Precondition::Is {
                    uid: secret.uid.to_string(),
                    resource_version: secret.resource_version.to_string(),
                },
            };
            let token = Token { lineage, revision, issued };
            let object = output::applied(&checked.output, owner, token, &rendered, &precondition);
            match self.cluster.apply_output(&output_key, &object).await {
                Ok(metadata) => {
                    let written = SecretSeen::of(&metadata);
                    self.store().put_secret(&output_key, written.clone());
                    self.remove_former_output(key, prepared, checked).await?;
                    return Ok(Ok(published(key, publication, &prepared.status.additional_tokens, checked, &written)));
                }
                Err(Fault::Invalid) => {
                    if let Some(problem) = self.mend_refused_output(&output_key, key, prepared, checked).await? {
                        return Ok(Err(problem));
                    }
                    seen = None;
                }
                Err(Fault::Forbidden) => return Ok(Err(forbidden(&checked.output.name))),
                // Somebody else's write came first, or the answer was lost: look at what is there.
                Err(Fault::Conflict | Fault::NotFound | Fault::Unanswered) => {
                    tokio::time::sleep(Duration::from_millis(200) * tries).await;
                    let metadata = self.cluster.read_secret_metadata(&output_key).await?;
                    let found = metadata.as_ref().map(SecretSeen::of);
                    match &found {
                        Some(found) => drop(self.store().put_secret(&output_key, found.clone())),
                        None => drop(self.store().remove_secret(&output_key, None)),
                    }
                    if let Some(found) = found.as_ref().filter(|found| is_published(found, publication, checked)) {
                        return Ok(Ok(published(key, publication, &prepared.status.additional_tokens, checked, found)));
                    }
                    let is_as_seen = version(found.as_ref()) == version(seen.as_ref());
                    if checked.rules.keeps != Keeps::Nothing && !is_as_seen {
                        self.memory().forget_state(key);
                        return Err(Fault::Conflict);
                    }
                    seen = found;
                }
            }
        }
        Err(Fault::Conflict)
    }

    /// The API server refused the output. An immutable one is in the way, one of another type is replaced; anything else is
    /// the spec's fault. None: try again.
    async fn mend_refused_output(
        &self,
        output_key: &Key,
        key: &Key,
        prepared: &Prepared,
        checked: &Checked,
    ) -> Answer<Option<Problem>> {
        let Some(secret) = self.cluster.read_secret(output_key).await? else {
            return Ok(Some(refused(&checked.output.name)));
        };
        let seen = SecretSeen::of(&secret.metadata);
        if !owns(key, &prepared.status, &seen) {
            return Ok(Some(Problem::foreign_output(&checked.output.name)));
        }
        if secret.immutable == Some(true) {
            return Ok(Some(Problem::stalled(
                Reason::SecretConflict,
                format!(
                    "The Secret {} is marked immutable: delete it, and it will be written anew.",
                    checked.output.name
                ),
            )));
        }
        if secret.type_.as_deref() == Some(&checked.output.type_) {
            return Ok(Some(refused(&checked.output.name)));
        }
        self.cluster.delete_secret(output_key, &seen.uid, Some(&seen.resource_version)).await?;
        self.store().remove_secret(output_key, Some(&seen.uid));
        Ok(None)
    }

    /// After a rename, the old Secret goes if the policy says so. Until it has gone the status names it. Where it may not be
    /// deleted, the ownerReference is the second net.
    async fn remove_former_output(&self, key: &Key, prepared: &Prepared, checked: &Checked) -> Answer<()> {
        let Some(former) = prepared.status.secret.as_ref().filter(|former| former.name != checked.output.name) else {
            return Ok(());
        };
        if !checked.output.owned {
            return Ok(());
        }
        let former_key = Key::new(&key.namespace, &former.name);
        match self.cluster.delete_secret(&former_key, &former.uid, None).await {
            Ok(()) | Err(Fault::NotFound | Fault::Conflict) => {
                self.store().remove_secret(&former_key, Some(&former.uid));
                Ok(())
            }
            Err(fault @ Fault::Unanswered) => Err(fault),
            Err(fault) => {
                tracing::warn!(credential = %key, fault = fault.label(), "the former output Secret was not removed");
                Ok(())
            }
        }
    }
}

/// Whether this very token is in the output: an earlier write of ours took effect, and only its answer was lost.
fn is_published(found: &SecretSeen, publication: Publication<'_>, checked: &Checked) -> bool {
    found.notes.as_deref().is_some_and(|notes| {
        *notes.lineage == *publication.lineage
            && notes.revision == publication.revision
            && notes.is_written_under(publication.issued, checked)
    })
}

fn published(
    key: &Key,
    publication: Publication<'_>,
    before: &[AdditionalTokenStatus],
    checked: &Checked,
    secret: &SecretSeen,
) -> PublishedToken {
    let token_hash = publication.issued.access_token.hash(&key.to_string());
    let secret = SecretStatus {
        name: checked.output.name.clone(),
        uid: secret.uid.to_string(),
        resource_version: secret.resource_version.to_string(),
    };
    publication.written(&checked.rules, token_hash, before, secret)
}

fn forbidden(name: &str) -> Problem {
    Problem::passing(
        Reason::SecretConflict,
        format!(
            "The API server forbids writing the Secret {name}: check quotas, and that the namespace is not being deleted."
        ),
    )
}

fn refused(name: &str) -> Problem {
    Problem::stalled(
        Reason::InvalidSpec,
        format!(
            "The API server refuses the Secret {name} as invalid: correct the keys, labels, annotations or type in spec.secret."
        ),
    )
}
