//! The election on a modelled API server: contenders whose clocks run at different rates and whose requests are lost,
//! late or unanswered. Wall clocks jump at will and must not matter.

use proptest::prelude::*;

use super::*;

const DURATION: Duration = Duration::from_secs(15);

/// The API server's one Lease.
#[derive(Default)]
struct Server {
    lease: Option<Record>,
    version: u64,
}

#[derive(Clone, Debug)]
enum Ask {
    Read,
    Create(Record),
    /// Under this resourceVersion.
    Update(Record, Option<String>),
}

#[derive(Clone, Debug)]
enum Answer {
    Seen(Seen),
    Wrote(Record),
    Conflict,
}

impl Server {
    fn handle(&mut self, ask: &Ask) -> Answer {
        let allowed = match (ask, &self.lease) {
            (Ask::Read, lease) => return Answer::Seen(lease.clone().map_or(Seen::Absent, Seen::Present)),
            (Ask::Create(_), lease) => lease.is_none(),
            (Ask::Update(_, version), lease) => lease.as_ref().is_some_and(|lease| lease.resource_version == *version),
        };
        let (Ask::Create(record) | Ask::Update(record, _)) = ask else { return Answer::Conflict };
        if !allowed {
            return Answer::Conflict;
        }
        self.version += 1;
        let record = Record { resource_version: Some(self.version.to_string()), ..record.clone() };
        self.lease = Some(record.clone());
        Answer::Wrote(record)
    }
}

/// A request under way, with its answer once the server has handled it.
struct Flight {
    ask: Ask,
    sent: Moment,
    answer: Option<Answer>,
}

struct Node {
    election: Election,
    /// Percent of true time.
    rate: u64,
    boot: Duration,
    wall: Timestamp,
    flight: Option<Flight>,
}

impl Node {
    fn new(name: String, rate: u64, boot: Duration) -> Self {
        let election = Election::new(Terms { identity: name, duration: DURATION });
        Self { election, rate, boot, wall: Timestamp::UNIX_EPOCH, flight: None }
    }

    fn now(&self, time: Duration) -> Moment {
        let elapsed = Duration::from_millis(u64::try_from(time.as_millis()).unwrap() * self.rate / 100);
        Moment { boot: BootTime(self.boot + elapsed), wall: self.wall }
    }

    /// By the boot-time clock alone: the wall clock can only end a belief earlier.
    fn believes(&self, time: Duration) -> bool {
        self.election.renewal().is_some_and(|renewal| self.now(time).boot < renewal.valid_until)
    }

    fn observed_version(&self) -> Option<String> {
        match &self.election.observed {
            Some(Observed { seen: Seen::Present(record), .. }) => record.resource_version.clone(),
            _ => None,
        }
    }

    fn record(&self, holder: Option<String>) -> Record {
        Record { holder, duration: Some(DURATION), renewed: Some(self.wall), resource_version: None }
    }

    /// Sends what the election wants next, if it wants anything.
    fn ask(&mut self, time: Duration) {
        let sent = self.now(time);
        let mine = self.record(Some(self.election.terms.identity.clone()));
        let ask = match self.election.next(sent.boot) {
            _ if self.flight.is_some() => return,
            LeaseAction::Wait { .. } => return,
            LeaseAction::Read => Ask::Read,
            LeaseAction::Create => Ask::Create(mine),
            LeaseAction::Update => Ask::Update(mine, self.observed_version()),
        };
        self.flight = Some(Flight { ask, sent, answer: None });
    }

    /// Hears the answer, if there is one.
    fn hear(&mut self, time: Duration) {
        let received = self.now(time);
        match self.flight.take() {
            Some(Flight { answer: Some(answer), sent, .. }) => match answer {
                Answer::Seen(seen) => self.election.saw(seen, received.boot),
                Answer::Wrote(record) => self.election.wrote(record, sent, received),
                Answer::Conflict => self.election.conflicted(),
            },
            unanswered => self.flight = unanswered,
        }
    }
}

struct World {
    time: Duration,
    server: Server,
    nodes: Vec<Node>,
    /// Requests that nobody waits for any more, but that may still arrive.
    ghosts: Vec<Ask>,
    starts: u64,
}

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Ask(usize),
    Handle(usize),
    Hear(usize),
    /// The three at once, as on a good day.
    Exchange(usize),
    GiveUp(usize),
    GhostArrives(usize),
    WallJumps(usize, i64),
    Crash(usize),
    Release(usize),
}

impl World {
    fn new(rates: &[u64]) -> Self {
        let boots = [0, 7_000_000, 33];
        let nodes =
            rates.iter().zip(boots).map(|(rate, boot)| Node::new(String::new(), *rate, Duration::from_secs(boot)));
        let mut world = Self {
            time: Duration::ZERO,
            server: Server::default(),
            nodes: nodes.collect(),
            ghosts: Vec::new(),
            starts: 0,
        };
        (0..rates.len()).for_each(|node| world.restart(node));
        world
    }

    /// A new process on the same machine. What was sent is still on its way.
    fn restart(&mut self, node: usize) {
        self.starts += 1;
        let Node { rate, boot, wall, flight, .. } = &self.nodes[node];
        self.ghosts.extend(flight.iter().filter(|flight| flight.answer.is_none()).map(|flight| flight.ask.clone()));
        self.nodes[node] = Node { wall: *wall, ..Node::new(format!("node-{}", self.starts), *rate, *boot) };
    }

    fn step(&mut self, step: &Step) {
        let count = self.nodes.len();
        match *step {
            Step::Pass(millis) => self.time += Duration::from_millis(millis),
            Step::Ask(node) => self.nodes[node % count].ask(self.time),
            Step::Handle(node) => {
                if let Some(flight) = self.nodes[node % count].flight.as_mut().filter(|flight| flight.answer.is_none())
                {
                    flight.answer = Some(self.server.handle(&flight.ask));
                }
            }
            Step::Hear(node) => self.nodes[node % count].hear(self.time),
            Step::Exchange(node) => {
                for step in [Step::Ask(node), Step::Handle(node), Step::Hear(node)] {
                    self.step(&step);
                }
            }
            Step::GiveUp(node) => {
                let now = self.nodes[node % count].now(self.time).boot;
                if let Some(flight) = self.nodes[node % count].flight.take() {
                    self.nodes[node % count].election.failed(now);
                    self.ghosts.extend(flight.answer.is_none().then_some(flight.ask));
                }
            }
            Step::GhostArrives(ghost) => {
                if !self.ghosts.is_empty() {
                    let ask = self.ghosts.swap_remove(ghost % self.ghosts.len());
                    self.server.handle(&ask);
                }
            }
            Step::WallJumps(node, seconds) => {
                let wall = &mut self.nodes[node % count].wall;
                *wall = wall.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap();
            }
            Step::Crash(node) => self.restart(node % count),
            Step::Release(node) => {
                let node = node % count;
                if self.nodes[node].election.is_ours() && self.nodes[node].flight.is_none() {
                    let empty = Ask::Update(self.nodes[node].record(None), self.nodes[node].observed_version());
                    self.ghosts.push(empty);
                    self.restart(node);
                }
            }
        }
    }

    fn believers(&self) -> usize {
        self.nodes.iter().filter(|node| node.believes(self.time)).count()
    }
}

fn step() -> impl Strategy<Value = Step> {
    let node = 0..3_usize;
    prop_oneof![
        20 => (1..4_000_u64).prop_map(Step::Pass),
        2 => (4_000..40_000_u64).prop_map(Step::Pass),
        20 => node.clone().prop_map(Step::Exchange),
        5 => node.clone().prop_map(Step::Ask),
        5 => node.clone().prop_map(Step::Handle),
        5 => node.clone().prop_map(Step::Hear),
        2 => node.clone().prop_map(Step::GiveUp),
        2 => any::<usize>().prop_map(Step::GhostArrives),
        1 => (node.clone(), -100_000..100_000_i64).prop_map(|(node, seconds)| Step::WallJumps(node, seconds)),
        1 => node.clone().prop_map(Step::Crash),
        1 => node.prop_map(Step::Release),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]
    #[test]
    fn never_two_believe(
        rates in proptest::collection::vec(90..=110_u64, 2..=3),
        steps in proptest::collection::vec(step(), 1..300),
    ) {
        let mut world = World::new(&rates);
        for step in &steps {
            world.step(step);
            prop_assert!(world.believers() <= 1, "two lead after {:?}", step);
        }
    }

    /// With no faults somebody leads soon, whatever happened before.
    #[test]
    fn somebody_leads_in_the_end(steps in proptest::collection::vec(step(), 0..100)) {
        let mut world = World::new(&[100, 100]);
        steps.iter().for_each(|step| world.step(step));
        [0, 1].into_iter().for_each(|node| world.step(&Step::GiveUp(node)));
        world.ghosts.clear();
        for _ in 0..200 {
            world.step(&Step::Pass(100));
            [0, 1].into_iter().for_each(|node| world.step(&Step::Exchange(node)));
        }
        prop_assert_eq!(world.believers(), 1);
    }
}

/// Steps two nodes every 100 ms for so long.
fn run(world: &mut World, nodes: &[usize], time: Duration) {
    for _ in 0..time.as_millis() / 100 {
        world.step(&Step::Pass(100));
        nodes.iter().for_each(|node| world.step(&Step::Exchange(*node)));
        nodes.iter().for_each(|node| world.step(&Step::Exchange(*node)));
    }
}

#[test]
fn the_leader_keeps_leading() {
    let mut world = World::new(&[100, 100]);
    run(&mut world, &[0], Duration::from_secs(1));
    for _ in 0..600 {
        run(&mut world, &[0, 1], Duration::from_millis(100));
        assert!(world.nodes[0].believes(world.time));
    }
    // One request each third of the duration, after the first.
    assert!((11..=13).contains(&world.server.version), "{}", world.server.version);
}

#[test]
fn another_takes_over_after_the_duration_and_no_sooner() {
    let mut world = World::new(&[100, 100]);
    run(&mut world, &[0, 1], Duration::from_secs(7));
    let renewed = world.nodes[0].election.renewal().unwrap().last_renewed.0;
    let just_short = renewed + DURATION - world.time - Duration::from_millis(100);
    run(&mut world, &[1], just_short);
    assert_eq!(world.believers(), 0);
    run(&mut world, &[1], Duration::from_secs(3));
    assert!(world.nodes[1].believes(world.time));
}

#[test]
fn a_leadership_that_ran_out_is_another_one_afterwards() {
    let since = |world: &World| world.nodes[0].election.renewal().unwrap().since;
    let mut world = World::new(&[100]);
    run(&mut world, &[0], Duration::from_secs(1));
    let first = since(&world);
    run(&mut world, &[0], Duration::from_secs(60));
    assert_eq!(since(&world), first);
    world.step(&Step::Pass(10_000));
    run(&mut world, &[0], Duration::from_secs(1));
    assert!(since(&world) > first);
}

#[test]
fn a_released_lease_is_taken_at_the_next_look() {
    let mut world = World::new(&[100, 100]);
    run(&mut world, &[0], Duration::from_secs(1));
    run(&mut world, &[1], Duration::from_secs(1));
    world.step(&Step::Release(0));
    world.step(&Step::GhostArrives(0));
    run(&mut world, &[1], Duration::from_millis(2_600));
    assert!(world.nodes[1].believes(world.time));
}

#[test]
fn a_deleted_lease_is_not_made_anew_before_its_holder_must_have_noticed() {
    let mut world = World::new(&[100, 100]);
    run(&mut world, &[0, 1], Duration::from_secs(6));
    world.server.lease = None;
    run(&mut world, &[1], Duration::from_secs(14));
    assert!(world.server.lease.is_none() && world.believers() == 0);
    run(&mut world, &[1], Duration::from_secs(4));
    assert!(world.nodes[1].believes(world.time));
}

#[test]
fn a_holder_stops_before_its_lease_runs_out() {
    let mut world = World::new(&[100]);
    run(&mut world, &[0], Duration::from_secs(1));
    let renewal = world.nodes[0].election.renewal().unwrap();
    assert_eq!(renewal.valid_until, renewal.last_renewed.plus(DURATION - MARGIN));
    assert!(renewal.stands(Moment { boot: renewal.last_renewed, wall: Timestamp::UNIX_EPOCH }));
    assert!(!renewal.stands(Moment { boot: renewal.valid_until, wall: Timestamp::UNIX_EPOCH }));
    // A virtual machine was paused, and only the wall clock knows.
    assert!(!renewal.stands(Moment { boot: renewal.last_renewed, wall: renewal.valid_until_wall }));
}
