//! `kubectl oauth revoke`: sets the annotation by which a person has revoked what the operator keeps, and may wait for what comes of it.

use jiff::Timestamp;

use super::{
    Verdict,
    confirm::confirm,
    connection::Connection,
    failure::Failure,
    flags::Revoke,
    put,
    refresh::{Waited, annotate, title, wait_until},
    status,
};
use crate::api::{OAuthCredential, REVOKE_REQUESTED_AT};

/// Asks for revocation, once the person agrees.
pub async fn run(connection: &Connection, asked: &Revoke) -> Result<Verdict, Failure> {
    let credential = status::credential(connection, &asked.name).await?;
    let title = title(&credential, false);
    if keeps_nothing(&credential) {
        put(&format!("{title} not asked: for its grant nothing is kept that could be revoked.\n"))?;
        return Ok(Verdict::Bad);
    }
    let question = format!(
        "Revoke the tokens of {} in namespace {}? {}",
        asked.name,
        connection.namespace,
        consequence(&credential)
    );
    if !asked.yes && !confirm(&question)? {
        put("Nothing was revoked.\n")?;
        return Ok(Verdict::Good);
    }
    let at = Timestamp::now().to_string();
    annotate(connection, &credential, REVOKE_REQUESTED_AT, &at).await?;
    put(&format!("{title} revocation requested\n"))?;
    if !asked.wait {
        return Ok(Verdict::Good);
    }
    let obeyed = |seen: &OAuthCredential| last(seen).is_some_and(|(request, ..)| request == at);
    let (good, sentence) = match wait_until(connection, &credential, asked.timeout, obeyed).await? {
        Waited::Seen(Some(seen)) => match last(&seen) {
            Some((_, true, _)) => (true, "revoked".to_owned()),
            Some((_, false, message)) => (false, format!("not revoked: {message}")),
            None => (false, "not revoked".to_owned()),
        },
        Waited::Seen(None) => (false, "is gone".to_owned()),
        Waited::InVain(sentence) => (false, sentence),
    };
    put(&format!("{title} {sentence}\n"))?;
    Ok(Verdict::of(good))
}

/// The request that was dealt with last, whether it was obeyed, and what is said of it.
fn last(seen: &OAuthCredential) -> Option<(&str, bool, &str)> {
    let last = seen.status.as_ref()?.last_revocation.as_ref()?;
    Some((&last.request, last.revoked, &last.message))
}

fn keeps_nothing(credential: &OAuthCredential) -> bool {
    let grant = &credential.spec.grant;
    let keeps = [
        grant.refresh_token.is_some(),
        grant.password.is_some(),
        grant.authorization_code.is_some(),
        grant.device_code.is_some(),
    ];
    !keeps.contains(&true)
}

fn consequence(credential: &OAuthCredential) -> &'static str {
    let grant = &credential.spec.grant;
    if grant.password.is_some() {
        return "The operator then asks for others with the password.";
    }
    if grant.refresh_token.is_some() {
        return "Workloads then need a new refresh token in the input Secret.";
    }
    "Workloads then need somebody's consent again."
}
