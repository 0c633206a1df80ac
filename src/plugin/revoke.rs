//! `kubectl oauth revoke`: sets the annotation by which a person has revoked what the operator keeps, and may wait for what comes of it.

use jiff::Timestamp;

use super::{
    Verdict,
    confirm::confirm,
    connection::Connection,
    failure::Failure,
    flags::Revoke,
    put_as,
    refresh::{Answer, Waited, annotate, wait_until},
    status, tell,
};
use crate::api::{OAuthCredential, REVOKE_REQUESTED_AT};

/// Asks for revocation, once the person agrees.
pub async fn run(connection: &Connection, asked: &Revoke) -> Result<Verdict, Failure> {
    let credential = status::credential(connection, &asked.name).await?;
    if keeps_nothing(&credential) {
        let why = "not asked: for its grant nothing is kept that could be revoked.";
        return finish(asked, &Answer::new(&credential, false, why.to_owned()));
    }
    let question = format!(
        "Revoke the tokens of {} in namespace {}? {}",
        asked.name,
        connection.namespace,
        consequence(&credential)
    );
    if !asked.yes && !confirm(&question)? {
        tell("Nothing was revoked.\n")?;
        return Ok(Verdict::Good);
    }
    let at = Timestamp::now().to_string();
    annotate(connection, &credential, REVOKE_REQUESTED_AT, &at).await?;
    let answer = Answer::new(&credential, true, "revocation requested".to_owned());
    if !asked.wait {
        return finish(asked, &answer);
    }
    answer.say(asked.output, false)?;
    let obeyed = |seen: &OAuthCredential| last(seen).is_some_and(|(request, ..)| request == at);
    let (succeeded, message) = match wait_until(connection, &credential, asked.timeout, obeyed).await? {
        Waited::Seen(Some(seen)) => match last(&seen) {
            Some((_, true, _)) => (true, "revoked".to_owned()),
            Some((_, false, message)) => (false, format!("not revoked: {message}")),
            None => (false, "not revoked".to_owned()),
        },
        Waited::Seen(None) => (false, "is gone".to_owned()),
        Waited::InVain(sentence) => (false, sentence),
    };
    finish(asked, &Answer { succeeded: Some(succeeded), message, ..answer })
}

fn finish(asked: &Revoke, answer: &Answer) -> Result<Verdict, Failure> {
    match asked.output {
        Some(format) => put_as(format, answer)?,
        None => answer.say(None, false)?,
    }
    Ok(Verdict::of(answer.requested && answer.succeeded != Some(false)))
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
