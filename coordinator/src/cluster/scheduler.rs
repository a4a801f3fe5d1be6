//! Which queued jobs get which slots: first in, first out, whole gangs.
//!
//! Pure; its answer is an input of the jobs' own decisions. A job that waits for busy slots holds back those behind
//! it, so it can't starve. A job that asks for more than all agents offer waits for agents, not for slots, and holds
//! back nobody. A job that runs already and lacks workers takes what there is, one by one.

use lockstep_proto::identity::{JobId, NodeId};

/// What an agent has, in the order in which agents joined.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Which agent.
    pub node: NodeId,
    /// All its slots.
    pub slots: u32,
    /// Slots without a worker.
    pub free: u32,
}

/// What a queued job wants, in the order of submission.
#[derive(Clone, Debug)]
pub struct Want {
    /// Which job.
    pub job: JobId,
    /// Slots.
    pub slots: u32,
    /// All at once, or as they come.
    pub gang: bool,
    /// Nodes that it doesn't want any more.
    pub excluded: Vec<NodeId>,
}

/// What a queued job gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// One slot of each of these nodes; node by node.
    Allotted(Vec<NodeId>),
    /// Nothing yet, and why.
    Waits(String),
}

/// A verdict for each queued job.
pub fn allot(mut offers: Vec<Offer>, queue: &[Want]) -> Vec<(JobId, Verdict)> {
    let mut ahead: Option<&JobId> = None;
    let mut verdicts = Vec::with_capacity(queue.len());
    for want in queue {
        let usable = |offer: &&Offer| !want.excluded.contains(&offer.node);
        let offered: u32 = offers.iter().filter(usable).map(|offer| offer.slots).sum();
        let free: u32 = offers.iter().filter(usable).map(|offer| offer.free).sum();
        let verdict = if !want.gang {
            match want.slots.min(free) {
                0 => Verdict::Waits(shortage(want.slots, free, &offers)),
                some => Verdict::Allotted(take(&mut offers, some, &want.excluded)),
            }
        } else if want.slots > offered {
            Verdict::Waits(shortage(want.slots, free, &offers))
        } else if let Some(first) = ahead {
            Verdict::Waits(format!("waits behind job {first}"))
        } else if want.slots > free {
            ahead = Some(&want.job);
            Verdict::Waits(shortage(want.slots, free, &offers))
        } else {
            Verdict::Allotted(take(&mut offers, want.slots, &want.excluded))
        };
        verdicts.push((want.job.clone(), verdict));
    }
    verdicts
}

/// Takes slots from the first agents that have some: as few nodes as their order allows.
fn take(offers: &mut [Offer], mut slots: u32, excluded: &[NodeId]) -> Vec<NodeId> {
    let mut seats = Vec::new();
    for offer in offers.iter_mut().filter(|offer| !excluded.contains(&offer.node)) {
        let taken = offer.free.min(slots);
        offer.free -= taken;
        slots -= taken;
        seats.extend((0..taken).map(|_| offer.node.clone()));
    }
    seats
}

fn shortage(wanted: u32, free: u32, offers: &[Offer]) -> String {
    let offered: u32 = offers.iter().map(|offer| offer.slots).sum();
    let slots = if wanted == 1 { "1 slot".into() } else { format!("{wanted} slots") };
    let agents = match offers.len() {
        0 => return format!("waits for {slots}: no agent has joined"),
        1 => "1 agent".into(),
        count => format!("{count} agents"),
    };
    format!("waits for {slots}: {free} free of {offered} offered by {agents}")
}
