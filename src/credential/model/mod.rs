//! Everything around one single-use refresh token, explored in every order within bounds: two operators, a Lease, the API
//! server, the token server, time, people. It drives the production code (`decide`, `rotation`, `failed`, `record`, `report`),
//! and checks that no token is lost, and none sent that may not be. stateright explores it.

use std::time::Duration;

use stateright::{Model, Property};

mod choices;
mod cluster;
mod exchange;
mod ledger;
mod liveness;
mod process;
mod server;
mod shared;
mod steps;
mod tests;
mod world;

use ledger::*;
use world::{Action, Left, World};

/// A rule of the protocol that the model's wiring leaves out, so that a test sees its invariant fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// None is left out.
    None,
    /// Write the intent before sending.
    Intent,
    /// Look at the clock just before sending.
    Fence,
    /// After a lost answer, send only if the intent that is there is ours.
    IsOurs,
    /// Wait before judging another process's intent.
    WaitForOthers,
    /// Save what was received until that has succeeded.
    KeepReply,
    /// Save over what was read, and over nothing else.
    SavePrecondition,
    /// Publish over what was read, and over nothing else.
    OutputPrecondition,
    /// Publish from the state what a crash left unpublished.
    Publish,
    /// Tell nothing of a pass that another process has overtaken.
    Overtaken,
}

/// How far is explored.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// The token server's, and the spec's; None: strict.
    pub grace: Option<Duration>,
    /// The first token is there already, and about to be refreshed.
    pub issued: bool,
    /// How long the runs last. A token is refreshed after 180 s, expires after 300 s, and a replay waits for 270 s.
    pub horizon: Duration,
    pub left: Left,
    /// How long a process that runs may go on believing that it leads. A real one lets go of the Lease before another may take it.
    pub belief: Belief,
    pub broken_rule: Rule,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belief {
    ForEver,
    /// Until time goes on.
    Moment,
}

/// Statuses that are written in one run at most: more than any needs that comes to an end.
const MOST_STATUSES: u32 = 30;

// What has to be reached, or the model explores less than it says.
pub const TWO_SENT: &str = "both operators sent";
pub const RESOLVED: &str = "an unknown outcome was resolved";
pub const FIRST_WINDOW: &str =
    "a token was sent again, as its reply was lost with the process that held it, or stood still with it";
pub const SECOND_WINDOW: &str = "a process stood still between the fence and the first byte";
pub const CANDIDATE: &str = "a candidate was kept";
pub const ADOPTED: &str = "a candidate was adopted";
pub const ASIDE: &str = "a reply for a replaced lineage was put aside";
pub const ASKED: &str = "a person was asked for";

impl Model for Bounds {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let mut world = World::new(self);
        if self.issued {
            world.issue_first();
        }
        vec![world]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if world.ledger.broken.is_none() {
            world.actions(self, actions);
        }
    }

    /// Two that both believe that they lead can contradict each other in the status for as long as they do.
    fn within_boundary(&self, world: &World) -> bool {
        world.cluster.status.version <= MOST_STATUSES
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        next.apply(action);
        if next.ledger.broken.is_none() {
            next.check_end(self.horizon);
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        macro_rules! holds {
            ($name:expr) => {
                Property::always($name, |_, world: &World| world.ledger.broken != Some($name))
            };
        }
        macro_rules! happens {
            ($name:expr, $when:expr) => {
                Property::sometimes($name, |_, world: &World| {
                    let when: fn(&World) -> bool = $when;
                    when(world)
                })
            };
        }
        vec![
            holds!(SENT_TWICE),
            holds!(LOST),
            holds!(OVERWRITTEN),
            holds!(WENT_BACK),
            holds!(STATUS_WENT_BACK),
            holds!(STRANDED),
            holds!(FALSE_ALARM),
            happens!(TWO_SENT, |world| world.ledger.sent.iter().any(|sent| sent.pod != world.ledger.sent[0].pod)),
            happens!(RESOLVED, World::resolved),
            happens!(FIRST_WINDOW, World::first_window),
            happens!(SECOND_WINDOW, |world| world.ledger.sent.iter().any(|sent| sent.late)),
            happens!(CANDIDATE, |world| world.record().is_some_and(|record| !record.candidates.is_empty())),
            happens!(ADOPTED, World::adopts),
            happens!(ASIDE, |world| world.record().is_some_and(|record| !record.aside.is_empty())),
            happens!(ASKED, World::asks_for_a_person),
        ]
    }
}
