//! A model of the data plane: who meets in a generation, who gives the state to whom, and when a reduction is whole.

use lockstep_proto::identity::Generation;
use lockstep_proto::wire;

use crate::model::State;
use crate::random::hash;
use crate::trainer::Work;
use crate::world::World;

/// A generation as its members' compute threads see it.
pub(crate) struct Group {
    pub generation: Generation,
    /// By rank, once it has entered.
    pub members: Vec<Option<usize>>,
    /// Ranks that left it without the others' consent.
    gone: u64,
    /// All have met.
    connected: bool,
    /// What the source gives to the others.
    pub payload: Option<(State, Vec<wire::Report>)>,
    /// Step and taint of the state that all start from, as the first was ready with it.
    pub start: Option<(u64, u64)>,
    /// The reduction of the next step, and of the one before that not all have committed yet.
    reductions: [Reduction; 2],
}

/// One step's reduction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reduction {
    step: u64,
    /// Ranks whose contribution has arrived.
    arrived: u64,
    /// Wishes to stop.
    pub flags: u64,
    /// What was wrong with a contribution.
    pub taint: u64,
    /// It is whole.
    pub done: bool,
}

/// What one member contributes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contribution {
    pub step: u64,
    pub flags: u64,
    pub taint: u64,
}

impl Group {
    fn new(generation: Generation, members: usize) -> Self {
        Self {
            generation,
            members: vec![None; members],
            gone: 0,
            connected: false,
            payload: None,
            start: None,
            reductions: [Reduction::default(); 2],
        }
    }

    /// The reduction behind `step` committed steps.
    pub fn reduction(&self, step: u64) -> Option<&Reduction> {
        Some(&self.reductions[(step % 2) as usize]).filter(|reduction| reduction.step == step && reduction.arrived != 0)
    }
}

impl World {
    /// A member enters; gives the group.
    pub(crate) fn enter_group(&mut self, worker: usize, generation: Generation, rank: usize, members: usize) -> usize {
        let known = self.groups.iter().rposition(|group| group.generation.id == generation.id);
        let index = known.unwrap_or_else(|| {
            self.groups.push(Group::new(generation, members));
            self.groups.len() - 1
        });
        if let Some(place) = self.groups[index].members.get_mut(rank) {
            *place = Some(worker);
        }
        index
    }

    /// Connects a group's members, once all are there and hear each other.
    pub(crate) fn meet(&mut self, index: usize) {
        let group = &self.groups[index];
        if group.connected || group.gone != 0 || group.members.contains(&None) || !self.hear_each_other(index) {
            return;
        }
        self.groups[index].connected = true;
        self.let_members(index, |_| true, 30, Work::Connected);
    }

    /// Schedules `work` for members.
    pub(crate) fn let_members(&mut self, index: usize, which: impl Fn(usize) -> bool, longest: u64, work: Work) {
        for rank in 0..self.groups[index].members.len() {
            let Some(worker) = self.groups[index].members[rank].filter(|_| which(rank)) else { continue };
            if self.workers[worker].trainer.is_in(index) {
                let takes = self.random.within(1, longest);
                self.compute_later(worker, takes, work);
            }
        }
    }

    /// Whether no two nodes of a group are cut from each other.
    fn hear_each_other(&self, index: usize) -> bool {
        let nodes = || self.groups[index].members.iter().flatten().map(|&worker| self.workers[worker].node);
        !self
            .cuts
            .iter()
            .any(|&(a, b, until)| self.now < until && nodes().any(|node| node == a) && nodes().any(|node| node == b))
    }

    /// A contribution arrives. Gives whether it is one of several, and which have come.
    pub(crate) fn contribute(&mut self, index: usize, rank: usize, contribution: Contribution) -> u64 {
        let Contribution { step, flags, taint } = contribution;
        let reduction = &mut self.groups[index].reductions[(step % 2) as usize];
        if reduction.step != step || reduction.arrived == 0 {
            *reduction = Reduction { step, ..Reduction::default() };
        }
        reduction.arrived |= 1 << rank;
        reduction.flags |= flags;
        if taint != 0 {
            reduction.taint = hash(reduction.taint ^ taint) | 1;
        }
        let arrived = reduction.arrived;
        self.reduce(index, step);
        arrived
    }

    /// The reduction is whole, once all contributions are there and nobody is gone.
    fn reduce(&mut self, index: usize, step: u64) {
        let group = &self.groups[index];
        let all = (1 << group.members.len()) - 1;
        let whole = group.reduction(step).is_some_and(|reduction| reduction.arrived == all && !reduction.done);
        if !whole || group.gone != 0 || !self.hear_each_other(index) {
            return;
        }
        self.groups[index].reductions[(step % 2) as usize].done = true;
        self.let_members(index, |_| true, 15, Work::Commit);
    }

    /// A member is gone from its group: those on other nodes notice, those on its own wait for it.
    pub(crate) fn gone_from_group(&mut self, index: usize, rank: usize) {
        self.groups[index].gone |= 1 << rank;
        let node =
            |world: &Self, rank: usize| world.groups[index].members[rank].map(|worker| world.workers[worker].node);
        let own = node(self, rank);
        let elsewhere: Vec<bool> =
            (0..self.groups[index].members.len()).map(|other| node(self, other) != own).collect();
        self.let_members(index, |other| elsewhere[other], 80, Work::Lost(rank as u32));
    }

    /// Nodes may hear each other again: what waited for that goes on.
    pub(crate) fn nodes_heal(&mut self) {
        for index in 0..self.groups.len() {
            self.meet(index);
            for slot in 0..2 {
                self.reduce(index, self.groups[index].reductions[slot].step);
            }
        }
    }
}
