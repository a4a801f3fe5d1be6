//! Which queued jobs get which slots: first in, first out, whole gangs.
//!
//! Pure; its answer is an input of the jobs' own decisions. A job that waits for busy slots holds back those behind
//! it, so it can't starve. A job that asks for more than all agents offer waits for agents, not for slots, and holds
//! back nobody. A job that runs already and lacks workers takes what there is, one by one.

use lockstep_proto::identity::{JobId, NodeId};
use lockstep_proto::slot::SlotDevice;

/// What an agent has, in the order in which agents joined.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Which agent.
    pub node: NodeId,
    /// What they compute with.
    pub device: SlotDevice,
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
    /// Of this kind; of one kind in any case.
    pub device: Option<SlotDevice>,
    /// All at once, or as they come.
    pub gang: bool,
    /// Nodes that it doesn't want any more.
    pub excluded: Vec<NodeId>,
}

impl Want {
    /// Whether a worker on this kind of device may go there.
    fn accepts(&self, offer: &Offer, device: SlotDevice) -> bool {
        offer.device == device && !self.excluded.contains(&offer.node)
    }
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
        let device = want.device.unwrap_or_else(|| best(&offers, want));
        let fits = |offer: &Offer| want.accepts(offer, device);
        let offered = offered(&offers, fits);
        let free: u32 = offers.iter().filter(|offer| fits(offer)).map(|offer| offer.free).sum();
        let verdict = if !want.gang {
            match want.slots.min(free) {
                0 => Verdict::Waits(shortage((want.slots, device), free, &offers)),
                some => Verdict::Allotted(take(&mut offers, some, fits)),
            }
        } else if want.slots > offered {
            Verdict::Waits(shortage((want.slots, device), free, &offers))
        } else if let Some(first) = ahead {
            Verdict::Waits(format!("waits behind job {first}"))
        } else if want.slots > free {
            ahead = Some(&want.job);
            Verdict::Waits(shortage((want.slots, device), free, &offers))
        } else {
            Verdict::Allotted(take(&mut offers, want.slots, fits))
        };
        verdicts.push((want.job.clone(), verdict));
    }
    verdicts
}

/// Takes slots from the first agents that have some: as few nodes as their order allows.
fn take(offers: &mut [Offer], mut slots: u32, fits: impl Fn(&Offer) -> bool) -> Vec<NodeId> {
    let mut seats = Vec::new();
    for offer in offers.iter_mut().filter(|offer| fits(offer)) {
        let taken = offer.free.min(slots);
        offer.free -= taken;
        slots -= taken;
        seats.extend((0..taken).map(|_| offer.node.clone()));
    }
    seats
}

/// GPUs where there are as many as are wanted, or no fewer than slots of CPUs.
fn best(offers: &[Offer], want: &Want) -> SlotDevice {
    let [gpus, cpus] =
        [SlotDevice::Cuda, SlotDevice::Cpu].map(|device| offered(offers, |offer| want.accepts(offer, device)));
    if gpus > 0 && gpus >= want.slots.min(cpus) { SlotDevice::Cuda } else { SlotDevice::Cpu }
}

/// All slots of the offers that fit.
fn offered(offers: &[Offer], fits: impl Fn(&Offer) -> bool) -> u32 {
    offers.iter().filter(|offer| fits(offer)).map(|offer| offer.slots).sum()
}

fn shortage((wanted, device): (u32, SlotDevice), free: u32, offers: &[Offer]) -> String {
    let is_alike = |offer: &Offer| offer.device == device;
    let (offered, agents) = (offered(offers, is_alike), offers.iter().filter(|offer| is_alike(offer)).count());
    let kind = match device {
        SlotDevice::Cpu => "slot",
        SlotDevice::Cuda => "GPU",
    };
    let slots = if wanted == 1 { format!("1 {kind}") } else { format!("{wanted} {kind}s") };
    let agents = match agents {
        0 if offers.is_empty() => return format!("waits for {slots}: no agent has joined"),
        0 => return format!("waits for {slots}: no agent offers any"),
        1 => "1 agent".into(),
        count => format!("{count} agents"),
    };
    format!("waits for {slots}: {free} free of {offered} offered by {agents}")
}
