//! One attempt to obtain a token, as a state machine: the only order in which effects may happen. Pure: it names the next
//! effect, is told how it ended, and moves on. Between two effects a process may die; what must hold then is in the rules
//! of the rotation protocol (docs/rotation.md), quoted here by number.
//!
//! The same machine serves grants that consume nothing: they skip the intent, and those that keep nothing skip the save.

use std::time::Duration;

use jiff::Timestamp;

use super::record::{Authorized, Intent, Issued, Received, StateRecord};
use crate::oauth::values::RefreshToken;

#[cfg(test)]
mod tests;

/// What an attempt has to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Keeps {
    /// Nothing: another request gets another token.
    Nothing,
    /// A refresh token that may be used again: the reply is saved, no intent is needed.
    Reusable,
    /// A refresh token that works once (the careful assumption).
    SingleUse,
}

/// A write of the state Secret, with the precondition that makes it safe.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(test, derive(Hash))]
pub struct Write {
    pub record: StateRecord,
    /// The resourceVersion to replace; None: create, and fail if it is there.
    pub replaces: Option<String>,
}

/// How a request ended without a token.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(test, derive(Hash))]
pub enum NoToken<F> {
    /// Nothing consumable can have been spent (rule 3).
    NotSpent(F),
    /// Whether the token was spent can't be known (rule 3).
    Unknown(F),
}

/// The next effect to carry out.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Resolve, connect, shake hands: everything that can be done before a byte of the request leaves (rule 2).
    Connect,
    /// Write the intent (rule 1).
    WriteIntent(Box<Write>),
    /// Read the state uncached, after this pause. Reports whether the credential still exists, too.
    ReadState { after: Duration },
    /// Send the request through the fence (rule 2) and read the reply.
    Send,
    /// Take the intent back: nothing was spent.
    ClearIntent(Box<Write>),
    /// Save what was received (rule 4), after this pause. Retried as long as the process lives.
    SaveReply { write: Box<Write>, after: Duration },
}

/// How an effect ended. `F` is why there is no token.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<F> {
    /// The connection stands; no byte of the request may leave after `send_by`.
    Connected {
        now: Timestamp,
        send_by: Timestamp,
    },
    Written {
        resource_version: String,
    },
    /// 409, 404 or an answer that was lost: only a read tells what is there (rules 1 and 4).
    WriteInDoubt,
    /// Refused for good: no permission, quota, too large.
    WriteRefused(F),
    Read {
        state: Option<(Box<StateRecord>, String)>,
        credential_exists: bool,
    },
    ReadFailed,
    Received(Box<Issued>),
    /// The same under a person's consent, and who that was: a verified `sub`, where there is one.
    Consented {
        issued: Box<Issued>,
        subject: Option<String>,
    },
    /// A reply that is of no use but for the refresh token in it, which may be the only one that still works.
    Salvaged {
        refresh_token: RefreshToken,
        why: F,
    },
    Failed(NoToken<F>),
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ended<F> {
    /// A token was received, and is saved where there is something to keep (with the state's new resourceVersion).
    Issued { issued: Box<Issued>, saved: Option<(Box<StateRecord>, String)> },
    /// No token, and nothing lost: nothing was spent, or what replaces it is saved. The state as it is now, where it is known.
    NotSpent { why: F, state: Option<(Box<StateRecord>, String)> },
    /// No token, and the intent stays open.
    Unknown { why: F, state: Option<(Box<StateRecord>, String)> },
    /// The state belongs to another attempt now: look again before doing anything. Nothing that was received is lost.
    Superseded,
    /// The credential went while its reply was under way; there is nobody to keep the token for.
    Gone,
}

#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(test, derive(Hash))]
enum Phase {
    Connecting,
    WritingIntent,
    ReadingIntent { tries: u32 },
    Sending,
    Clearing,
    Saving { received: Box<Received>, write: Box<Write>, tries: u32 },
    ReadingForSave { received: Box<Received>, tries: u32 },
}

/// One attempt under way.
#[derive(Clone, Debug)]
#[cfg_attr(test, derive(Hash))]
pub struct Attempt<F> {
    keeps: Keeps,
    attempt: String,
    /// The state before the attempt; its lineage and binding are the attempt's. An intent in it is one whose outcome is not
    /// known: what doesn't settle it leaves it there.
    base: Option<StateRecord>,
    /// The new lineage that a reply begins, where it is a person's consent that is spent. Until then `base` stays as it is.
    begun: Option<Box<StateRecord>>,
    intent: Option<Intent>,
    /// The resourceVersion of the state as this attempt last saw it.
    seen: Option<String>,
    phase: Phase,
    why: Option<NoToken<F>>,
}

/// An attempt either goes on or has ended.
#[derive(Clone, Debug)]
pub enum Step<F> {
    Next(Box<Attempt<F>>),
    End(Ended<F>),
}

impl<F: Clone> Attempt<F> {
    /// An attempt for a grant that keeps nothing.
    pub fn stateless(attempt: String) -> Self {
        Self {
            keeps: Keeps::Nothing,
            attempt,
            base: None,
            begun: None,
            intent: None,
            seen: None,
            phase: Phase::Connecting,
            why: None,
        }
    }

    /// An attempt that sends `base`'s refresh token. `seen` is the state Secret's resourceVersion, None if there is none.
    pub fn stateful(keeps: Keeps, base: StateRecord, seen: Option<String>, intent: Intent) -> Self {
        Self {
            keeps,
            attempt: intent.attempt.clone(),
            base: Some(base),
            begun: None,
            intent: Some(intent),
            seen,
            phase: Phase::Connecting,
            why: None,
        }
    }

    /// An attempt that spends what a person's consent brought: its reply begins the lineage of `begun`, over whatever `base` has
    /// become by then.
    pub fn consenting(
        keeps: Keeps,
        base: StateRecord,
        begun: StateRecord,
        seen: Option<String>,
        intent: Intent,
    ) -> Self {
        Self { begun: Some(Box::new(begun)), ..Self::stateful(keeps, base, seen, intent) }
    }

    /// What to do next.
    pub fn effect(&self) -> Effect {
        match &self.phase {
            Phase::Connecting => Effect::Connect,
            Phase::WritingIntent => Effect::WriteIntent(Box::new(self.intended())),
            Phase::ReadingIntent { tries } => Effect::ReadState { after: pause(*tries) },
            Phase::Sending => Effect::Send,
            Phase::Clearing => Effect::ClearIntent(Box::new(Write { replaces: self.seen.clone(), ..self.cleared() })),
            Phase::Saving { write, tries, .. } => Effect::SaveReply { write: write.clone(), after: pause(*tries) },
            Phase::ReadingForSave { tries, .. } => Effect::ReadState { after: pause(*tries) },
        }
    }

    /// Whether a reply was received that isn't saved yet: such a process must not end.
    pub fn holds_reply(&self) -> bool {
        matches!(self.phase, Phase::Saving { .. } | Phase::ReadingForSave { .. })
    }

    /// Moves on. An event that doesn't belong to the current effect ends the attempt as superseded, or has a reply that isn't
    /// saved looked after: nothing is assumed.
    pub fn on(mut self, event: Event<F>) -> Step<F> {
        match (self.phase.clone(), event) {
            (Phase::Connecting, Event::Connected { now, send_by }) if self.keeps == Keeps::SingleUse => {
                // What may have been spent by an earlier attempt has been unknown since then.
                let open = self.base.as_ref().and_then(|base| base.intent.as_ref());
                if let Some(intent) = &mut self.intent {
                    let since = open.filter(|open| open.token_hash == intent.token_hash).map(|open| open.started_at);
                    (intent.started_at, intent.send_by) = (since.unwrap_or(now), send_by);
                }
                self.go(Phase::WritingIntent)
            }
            (Phase::Connecting, Event::Connected { .. }) => self.go(Phase::Sending),
            (Phase::Connecting, Event::Failed(NoToken::NotSpent(why) | NoToken::Unknown(why))) => {
                let state = self.known_state();
                Step::End(Ended::NotSpent { why, state })
            }

            (Phase::WritingIntent, Event::Written { resource_version }) => {
                self.seen = Some(resource_version);
                self.go(Phase::Sending)
            }
            (Phase::WritingIntent, Event::WriteRefused(why)) => {
                let state = self.known_state();
                Step::End(Ended::NotSpent { why, state })
            }
            (Phase::WritingIntent, Event::WriteInDoubt) => self.go(Phase::ReadingIntent { tries: 0 }),
            (Phase::ReadingIntent { .. }, Event::Read { state: Some((record, resource_version)), .. })
                if self.is_ours(&record) && !self.was_answered(&record) =>
            {
                // What others have added to it since is kept.
                let intent = self.base.take().and_then(|base| base.intent);
                self.base = Some(StateRecord { intent, ..*record });
                self.seen = Some(resource_version);
                self.go(Phase::Sending)
            }
            (Phase::ReadingIntent { tries }, Event::ReadFailed) if tries < 3 => {
                self.go(Phase::ReadingIntent { tries: tries + 1 })
            }

            (Phase::Sending, Event::Received(issued)) => match &self.base {
                None => Step::End(Ended::Issued { issued, saved: None }),
                Some(_) => self.received(Received::Issued(issued)),
            },
            (Phase::Sending, Event::Consented { issued, subject }) => {
                if let Some(begun) = &mut self.begun {
                    begun.authorized = Some(Authorized { subject, at: issued.obtained_at });
                }
                self.received(Received::Issued(issued))
            }
            (Phase::Sending, Event::Salvaged { refresh_token, why }) => {
                self.why = Some(NoToken::NotSpent(why.clone()));
                match &self.base {
                    None => Step::End(Ended::NotSpent { why, state: None }),
                    Some(_) => self.received(Received::RefreshToken(refresh_token)),
                }
            }
            (Phase::Sending, Event::Failed(NoToken::NotSpent(why))) if self.keeps == Keeps::SingleUse => {
                self.why = Some(NoToken::NotSpent(why));
                self.go(Phase::Clearing)
            }
            // A token that may be used again isn't spent by anything.
            (Phase::Sending, Event::Failed(NoToken::Unknown(why))) if self.keeps == Keeps::SingleUse => {
                let state = self.intended_state();
                Step::End(Ended::Unknown { why, state })
            }
            (Phase::Sending, Event::Failed(NoToken::NotSpent(why) | NoToken::Unknown(why))) => {
                let state = self.known_state();
                Step::End(Ended::NotSpent { why, state })
            }

            (Phase::Clearing, Event::Written { resource_version }) => {
                self.seen = Some(resource_version);
                let state = self.known_state();
                self.not_spent(state)
            }
            // The intent stands, and is known not to have been spent by this process; another one judges it by its age.
            (Phase::Clearing, Event::WriteInDoubt | Event::WriteRefused(_)) => self.not_spent(None),

            (Phase::Saving { received, write, .. }, Event::Written { resource_version }) => {
                Step::End(if write.record.attempt.as_deref() == Some(&self.attempt) {
                    self.saved(*received, Box::new(write.record), resource_version)
                } else {
                    Ended::Superseded
                })
            }
            (Phase::ReadingForSave { received, tries }, Event::Read { state, credential_exists }) => {
                self.save_over(received, tries, state, credential_exists)
            }
            // What was received is never let go, whatever happens: what is there is read, until that tells what to do.
            (Phase::Saving { received, tries, .. } | Phase::ReadingForSave { received, tries }, _) => {
                self.go(Phase::ReadingForSave { received, tries: tries.saturating_add(1) })
            }
            // Should the intent stand, nothing was sent: whoever looks next finds it, and it is this boot's own.
            _ => Step::End(Ended::Superseded),
        }
    }

    fn go(mut self, phase: Phase) -> Step<F> {
        self.phase = phase;
        Step::Next(Box::new(self))
    }

    fn received(self, received: Received) -> Step<F> {
        let record = self.base.as_ref().map(|base| self.replied(base, &received)).unwrap_or_default();
        let write = Box::new(Write { record, replaces: self.seen.clone() });
        self.go(Phase::Saving { received: Box::new(received), write, tries: 0 })
    }

    fn saved(self, received: Received, record: Box<StateRecord>, resource_version: String) -> Ended<F> {
        let state = Some((record, resource_version));
        match (received, self.why) {
            (Received::Issued(issued), _) => Ended::Issued { issued, saved: state },
            (Received::RefreshToken(_), Some(NoToken::NotSpent(why) | NoToken::Unknown(why))) => {
                Ended::NotSpent { why, state }
            }
            (Received::RefreshToken(_), None) => Ended::Superseded,
        }
    }

    /// Rule 4: the write after the reply is fenced by content.
    fn save_over(
        self,
        received: Box<Received>,
        tries: u32,
        state: Option<(Box<StateRecord>, String)>,
        credential_exists: bool,
    ) -> Step<F> {
        let Some(base) = self.base.clone() else { return Step::End(Ended::Superseded) };
        let write = match state {
            None if !credential_exists => return Step::End(Ended::Gone),
            None => Write { record: self.replied(&base, &received), replaces: None },
            // An earlier write of ours took effect, and only its answer was lost.
            Some((record, resource_version)) if record.attempt.as_deref() == Some(&self.attempt) => {
                return Step::End(self.saved(*received, record, resource_version));
            }
            Some((record, resource_version)) if self.is_ours(&record) || self.is_base(&record) => {
                Write { record: self.replied(&record, &received), replaces: Some(resource_version) }
            }
            Some((record, _)) if record.candidates.iter().chain(&record.aside).any(|c| c.attempt == self.attempt) => {
                return Step::End(Ended::Superseded);
            }
            Some((record, resource_version)) => {
                // A reply to the very token that is there is this lineage's, by whatever name it was begun.
                let same =
                    self.begun.is_none() && base.refresh_token.is_some() && base.refresh_token == record.refresh_token;
                let lineage = if same { record.lineage.as_str() } else { self.lineage(&base) };
                let record = record.with_stray(&self.attempt, lineage, self.sent_hash(), (*received).clone());
                Write { record, replaces: Some(resource_version) }
            }
        };
        self.go(Phase::Saving { received, write: Box::new(write), tries })
    }

    fn replied(&self, over: &StateRecord, received: &Received) -> StateRecord {
        match &self.begun {
            Some(begun) => begun.over(over).with_reply(&self.attempt, self.sent_hash(), received.clone()),
            None => over.with_reply(&self.attempt, self.sent_hash(), received.clone()),
        }
    }

    /// The lineage that a reply is for.
    fn lineage<'a>(&'a self, base: &'a StateRecord) -> &'a str {
        self.begun.as_ref().map_or(&base.lineage, |begun| &begun.lineage)
    }

    fn sent_hash(&self) -> Option<&str> {
        self.intent.as_ref().map(|intent| intent.token_hash.as_str())
    }

    fn is_ours(&self, record: &StateRecord) -> bool {
        record.intent.as_ref().is_some_and(|intent| intent.attempt == self.attempt)
    }

    /// Whether the token to send was answered to another attempt since this one began: it is spent by now.
    fn was_answered(&self, record: &StateRecord) -> bool {
        let spent = |record: &StateRecord| self.sent_hash().is_some_and(|hash| record.is_spent(hash));
        spent(record) && !self.base.as_ref().is_some_and(spent)
    }

    /// A reusable token's attempt has no intent: the state is still its own while the newest token is the one it began with.
    /// A consent's reply replaces the lineage that it was to replace, whatever became of that.
    fn is_base(&self, record: &StateRecord) -> bool {
        if self.begun.is_some() {
            return self.base.as_ref().is_some_and(|base| base.lineage == record.lineage);
        }
        self.keeps == Keeps::Reusable
            && self.base.as_ref().is_some_and(|base| {
                base.lineage == record.lineage && base.attempt == record.attempt && record.intent == base.intent
            })
    }

    fn intended(&self) -> Write {
        let base = self.base.clone();
        let record = StateRecord { intent: self.intent.clone(), ..base.unwrap_or_default() };
        Write { record, replaces: self.seen.clone() }
    }

    fn cleared(&self) -> Write {
        Write { record: self.base.clone().unwrap_or_default(), replaces: None }
    }

    fn known_state(&self) -> Option<(Box<StateRecord>, String)> {
        Some((Box::new(self.base.clone()?), self.seen.clone()?))
    }

    fn intended_state(&self) -> Option<(Box<StateRecord>, String)> {
        Some((Box::new(self.intended().record), self.seen.clone()?))
    }

    fn not_spent(self, state: Option<(Box<StateRecord>, String)>) -> Step<F> {
        Step::End(match self.why {
            Some(NoToken::NotSpent(why) | NoToken::Unknown(why)) => Ended::NotSpent { why, state },
            None => Ended::Superseded,
        })
    }
}

/// Pauses between the tries of one effect: none before the first, then doubling from 100 ms to 5 s.
fn pause(tries: u32) -> Duration {
    match tries {
        0 => Duration::ZERO,
        tries => Duration::from_millis(100).saturating_mul(1 << tries.min(7)).min(Duration::from_secs(5)),
    }
}
