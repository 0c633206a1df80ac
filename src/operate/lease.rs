//! The decisions of a leader election: what was seen of the Lease, whether this process leads, and what to do next.
//!
//! Pure: no client and no clock. The effects are in `leader`. A remote time is never compared with a local one: whether
//! a Lease stands is judged by how long it has been seen unchanged on our own boot-time clock. Why never two lead:
//! a holder believes from *sending* its renewal for its duration less `MARGIN`; another process takes the Lease only after
//! seeing the outcome of that renewal, which is later, stand for the whole duration, and writes with the resourceVersion
//! that it saw. `MARGIN` is for clocks that don't run at the same rate.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock::{BootTime, Moment};

/// A holder stops believing this much before its Lease runs out: the send fence of the design.
pub const MARGIN: Duration = Duration::from_secs(5);

/// Who contends, and for how long a Lease stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    pub identity: String,
    pub duration: Duration,
}

impl Terms {
    /// From one successful renewal to the next.
    pub fn renew_every(&self) -> Duration {
        self.duration / 3
    }

    /// How often a contender looks, and how long one request may take: two may fail before a holder must stop.
    pub fn look_every(&self) -> Duration {
        self.duration / 6
    }

    /// From a failed request to the next.
    pub fn retry_after(&self) -> Duration {
        self.duration / 20
    }

    /// As the Lease says it: rounded up, so that nobody takes it early.
    pub fn whole_seconds(&self) -> i32 {
        let seconds = self.duration.as_secs() + u64::from(self.duration.subsec_nanos() > 0);
        i32::try_from(seconds).unwrap_or(i32::MAX)
    }
}

/// What a Lease object says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// None where it was released.
    pub holder: Option<String>,
    /// None where it is missing or not positive.
    pub duration: Option<Duration>,
    /// By the holder's wall clock: only ever compared with itself.
    pub renewed: Option<Timestamp>,
    pub resource_version: Option<String>,
}

/// What a read, or the answer to a write, showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Absent,
    Present(Record),
}

/// What was last seen, and since when on our clock it has been seen so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    pub seen: Seen,
    pub since: BootTime,
}

/// A time for which this process may believe that it leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// When this unbroken leadership began. Another value is another leadership: somebody may have led in between.
    pub since: BootTime,
    /// When the request that renewed the Lease was sent (not when it was answered).
    pub last_renewed: BootTime,
    /// Send nothing from here on: `last_renewed` + the Lease's duration − `MARGIN`. A send fence uses this.
    pub valid_until: BootTime,
    /// The same on the wall clock, which also moves where a paused virtual machine's boot-time clock doesn't.
    pub valid_until_wall: Timestamp,
}

impl Renewal {
    fn new(sent: Moment, since: Option<BootTime>, terms: &Terms) -> Self {
        let valid_for = terms.duration.saturating_sub(MARGIN);
        Self {
            since: since.unwrap_or(sent.boot),
            last_renewed: sent.boot,
            valid_until: sent.boot.plus(valid_for),
            // An unrepresentable time is one that never comes; the boot-time clock still rules.
            valid_until_wall: sent.wall.checked_add(valid_for).unwrap_or(Timestamp::MAX),
        }
    }

    /// Whether both clocks are before the end.
    pub fn stands(&self, now: Moment) -> bool {
        now.boot < self.valid_until && now.wall < self.valid_until_wall
    }
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseAction {
    /// Nothing, until then.
    Wait { until: BootTime },
    /// Look at the Lease.
    Read,
    /// Make it, with us as the holder.
    Create,
    /// Take or renew it, under the resourceVersion last seen.
    Update,
}

/// Decides from what was observed, and nothing else. `renewal` is our own, if there is one.
pub fn decide(
    observed: &Observed,
    terms: &Terms,
    renewal: Option<&Renewal>,
    looked: BootTime,
    seen_before: bool,
    now: BootTime,
) -> LeaseAction {
    let look = looked.plus(terms.look_every());
    let once_free = |free: BootTime, then: LeaseAction| {
        if now >= free {
            then
        } else if now >= look {
            LeaseAction::Read
        } else {
            LeaseAction::Wait { until: free.min(look) }
        }
    };
    match &observed.seen {
        // A Lease that we saw and that is gone was deleted, maybe under a holder that doesn't know yet. One that was
        // never seen is taken at once: an installation's first start shouldn't wait.
        Seen::Absent if !seen_before => LeaseAction::Create,
        Seen::Absent => once_free(observed.since.plus(terms.duration), LeaseAction::Create),
        Seen::Present(Record { holder: None, .. }) => LeaseAction::Update,
        Seen::Present(record) if record.holder.as_ref() == Some(&terms.identity) => match renewal {
            Some(renewal) if now < renewal.valid_until.min(renewal.last_renewed.plus(terms.renew_every())) => {
                LeaseAction::Wait { until: renewal.last_renewed.plus(terms.renew_every()) }
            }
            _ => LeaseAction::Update,
        },
        Seen::Present(record) => {
            once_free(observed.since.plus(record.duration.unwrap_or(terms.duration)), LeaseAction::Update)
        }
    }
}

/// One process's part in the election: its observations, and `decide` applied to them.
#[derive(Clone, Debug)]
pub struct Election {
    terms: Terms,
    observed: Option<Observed>,
    /// The Lease may have changed since, by a write of ours whose outcome is unknown or by somebody else's: look first.
    stale: bool,
    /// A Lease was there at some time in this process's life.
    seen_before: bool,
    looked: BootTime,
    retry_at: BootTime,
    renewal: Option<Renewal>,
}

impl Election {
    pub fn new(terms: Terms) -> Self {
        let start = BootTime(Duration::ZERO);
        Self { terms, observed: None, stale: false, seen_before: false, looked: start, retry_at: start, renewal: None }
    }

    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The newest renewal; it may be over.
    pub fn renewal(&self) -> Option<Renewal> {
        self.renewal
    }

    /// Whether the Lease, as last seen, is ours to release.
    pub fn is_ours(&self) -> bool {
        matches!(&self.observed, Some(Observed { seen: Seen::Present(record), .. }) if self.owns(record)) && !self.stale
    }

    fn owns(&self, record: &Record) -> bool {
        record.holder.as_ref() == Some(&self.terms.identity)
    }

    /// What to do now.
    pub fn next(&self, now: BootTime) -> LeaseAction {
        match &self.observed {
            _ if now < self.retry_at => LeaseAction::Wait { until: self.retry_at },
            Some(observed) if !self.stale => {
                decide(observed, &self.terms, self.renewal.as_ref(), self.looked, self.seen_before, now)
            }
            _ => LeaseAction::Read,
        }
    }

    /// A read was answered; `received` is the time of the answer.
    pub fn saw(&mut self, seen: Seen, received: BootTime) {
        let ours = matches!(&seen, Seen::Present(record) if self.owns(record));
        if !ours {
            self.renewal = None;
        }
        self.seen_before |= matches!(seen, Seen::Present(_));
        if self.observed.as_ref().is_none_or(|observed| observed.seen != seen) {
            self.observed = Some(Observed { seen, since: received });
        }
        self.stale = false;
        self.looked = received;
    }

    /// A write that was sent at `sent` and answered at `received` succeeded and left `record`.
    pub fn wrote(&mut self, record: Record, sent: Moment, received: Moment) {
        // An admission webhook might have changed it.
        let ours = self.owns(&record);
        let unbroken = self.renewal.filter(|renewal| renewal.stands(received)).map(|renewal| renewal.since);
        self.saw(Seen::Present(record), received.boot);
        if ours {
            self.renewal = Some(Renewal::new(sent, unbroken, &self.terms));
        }
    }

    /// A write was refused, as the Lease is not what we saw.
    pub fn conflicted(&mut self) {
        self.stale = true;
    }

    /// A request failed, or its answer was lost: a write may have taken effect, now or later.
    pub fn failed(&mut self, now: BootTime) {
        self.stale = true;
        self.retry_at = now.plus(self.terms.retry_after());
    }

    /// Leads no more. Before a release is sent.
    pub fn resign(&mut self) {
        self.renewal = None;
    }
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
