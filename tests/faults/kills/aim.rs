//! When to kill: at a boundary between two effects, shortly after one, or at any moment; drawn from a seed.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use crate::support::proxy::Write;

/// What a proxy sees of an exchange. Between each of these and the next lies one boundary of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A write came to the API server.
    Before(Write),
    /// The API server has answered it.
    After(Write),
    /// The request came to the token server.
    Request,
    /// The token server has answered.
    Reply,
}

/// The boundaries of an undisturbed refresh, in their order.
const BOUNDARIES: [Seen; 10] = [
    Seen::Before(Write::Intent),
    Seen::After(Write::Intent),
    Seen::Request,
    Seen::Reply,
    Seen::Before(Write::State),
    Seen::After(Write::State),
    Seen::Before(Write::Output),
    Seen::After(Write::Output),
    Seen::Before(Write::Status),
    Seen::After(Write::Status),
];

/// Which moment a kill is for.
#[derive(Clone, Copy, Debug)]
pub enum Aim {
    /// Exactly when this passes by for the `nth` time. Without `goes_on` it gets no further: it dies with the process.
    At { seen: Seen, nth: u32, goes_on: bool },
    /// So long after.
    After { seen: Seen, nth: u32, delay: Duration },
    /// So long from now.
    Anywhere(Duration),
}

impl Aim {
    pub fn draw(random: &mut StdRng) -> Self {
        let seen = *BOUNDARIES.choose(random).unwrap();
        let nth = random.random_range(0..6);
        match random.random_range(0..10) {
            0..5 => Aim::At { seen, nth, goes_on: random.random() },
            5..8 => Aim::After { seen, nth, delay: Duration::from_micros(random.random_range(0..15_000)) },
            _ => Aim::Anywhere(Duration::from_millis(random.random_range(0..700))),
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Aim::At { .. } => "at a boundary",
            Aim::After { .. } => "shortly after one",
            Aim::Anywhere(_) => "at any moment",
        }
    }
}
