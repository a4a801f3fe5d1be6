//! What goes wrong, and what users want, when its time has come.

use lockstep_coordinator::cluster::Event;
use lockstep_coordinator::cluster::event::Wish;
use lockstep_coordinator::cluster::job::State;
use lockstep_coordinator::cluster::record::StateName;

use crate::plan::Fault;
use crate::trainer::Wrong;
use crate::world::{Action, World};

/// Between looks of a user.
const LOOKS_EVERY: u64 = 1_000;

impl World {
    /// A fault of the plan strikes, if there is whom it may hit.
    pub(crate) fn strike(&mut self, index: usize) {
        let fault = self.plan.faults[index].1;
        self.trace.note(self.now, || format!("FAULT {fault:?}"));
        self.back_up();
        if self.hit(fault).is_some() {
            self.counts.faults[fault.kind()] += 1;
        }
    }

    fn hit(&mut self, fault: Fault) -> Option<()> {
        match fault {
            Fault::WorkerDies => {
                let worker = self.some_worker()?;
                self.process_ends(worker, false);
            }
            Fault::WorkerStops(time) => {
                let worker = self.some_worker()?;
                self.workers[worker].stopped = true;
                if let Some(time) = time {
                    self.later(time, Action::Continues { worker });
                }
            }
            Fault::AgentDies(back_after) => {
                let node = self.some_agent()?;
                self.agent_ends(node, back_after);
            }
            Fault::AgentLeaves => {
                let node = self.some_agent()?;
                self.agent_leaves(node);
            }
            Fault::CoordinatorDies { down, folder, midway } => {
                self.coordinator.cluster.as_ref()?;
                self.coordinator.comes_back = Some((down, folder));
                match midway {
                    true => self.coordinator.dies_behind = Some(self.random.within(0, 12) as u32),
                    false => self.coordinator_dies(),
                }
            }
            Fault::CoordinatorSleeps(time) => {
                self.coordinator.cluster.as_ref()?;
                self.coordinator.asleep_until = self.now + time;
            }
            Fault::ClockJumps(time) => {
                self.coordinator.cluster.as_ref()?;
                self.coordinator.ahead += time;
                self.watch_deadline();
            }
            Fault::StreamBreaks { late } => {
                let connection = self.some_stream()?;
                let notice = [self.random.within(1, 1_500), self.random.within(1, 3_000)];
                self.break_stream(connection, late, notice);
            }
            Fault::NodeCutOff(time) => self.cut_off(time),
            Fault::NodesCut(time) => {
                let (a, b) = (self.random.index(self.nodes.len()), self.random.index(self.nodes.len()));
                if a == b {
                    return None;
                }
                self.cuts.push((a, b, self.now + time));
                self.later(time, Action::NodesHeal);
            }
            Fault::CoordinatorDiskFull(time) => {
                self.coordinator.disk_full = true;
                self.later(time, Action::CoordinatorDiskHeals);
            }
            Fault::CheckpointDiskFull(time) => {
                self.disk.full = true;
                self.later(time, Action::CheckpointDiskHeals);
            }
            Fault::CheckpointDamaged => self.disk.damage_newest(),
            Fault::CheckpointLost => self.disk.lose_newest(),
            Fault::WorkerForgets => {
                let worker = self.some_worker()?;
                self.workers[worker].trainer.wrong = Wrong::Memory;
            }
            Fault::WorkerMiscalculates => {
                let worker = self.some_worker()?;
                self.workers[worker].trainer.wrong = Wrong::Gradients;
            }
            Fault::Scale(workers) => self.ask_awake(Wish::Scale(workers))?,
            Fault::Pause => self.ask_awake(Wish::Pause)?,
            Fault::Checkpoint => self.ask_awake(Wish::Checkpoint)?,
            Fault::Cancel => self.ask_awake(Wish::Cancel)?,
            Fault::Interrupt => {
                self.coordinator.cluster.as_ref()?;
                self.hears(Event::Interrupted { reason: "stopped by SIGTERM".into() });
            }
        }
        Some(())
    }

    fn ask_awake(&mut self, wish: Wish) -> Option<()> {
        let awake = self.coordinator.cluster.is_some() && self.now >= self.coordinator.asleep_until;
        awake.then(|| self.ask(wish))
    }

    /// A node and the coordinator don't hear each other: short ones only take time, long ones break streams.
    fn cut_off(&mut self, time: u64) {
        let node = self.random.index(self.nodes.len());
        self.nodes[node].cut_off_until = self.now + time;
        if time < 5_000 {
            return;
        }
        for connection in 0..self.connections.len() {
            let peer = self.connections[connection].peer;
            if self.node_of(peer) == node && self.connections[connection].served {
                let notice = [self.random.within(5_000, 15_000), self.random.within(5_000, 15_000)];
                self.break_stream(connection, false, notice);
            }
        }
    }

    fn some_worker(&mut self) -> Option<usize> {
        let alive = self.workers.iter().enumerate().filter(|(_, worker)| worker.alive && !worker.stopped);
        let alive: Vec<usize> = alive.map(|(index, _)| index).collect();
        (!alive.is_empty()).then(|| alive[self.random.index(alive.len())])
    }

    fn some_agent(&mut self) -> Option<usize> {
        let there: Vec<usize> = (0..self.nodes.len()).filter(|&node| self.nodes[node].agent.is_some()).collect();
        (!there.is_empty()).then(|| there[self.random.index(there.len())])
    }

    fn some_stream(&mut self) -> Option<usize> {
        let open = |connection: &usize| {
            let stream = &self.connections[*connection];
            stream.served && !stream.broken
        };
        let open: Vec<usize> = (0..self.connections.len()).filter(open).collect();
        (!open.is_empty()).then(|| open[self.random.index(open.len())])
    }

    /// Nothing goes wrong any more.
    pub(crate) fn calm(&mut self) {
        self.trace.note(self.now, || "CALM".into());
        self.coordinator.dies_behind = None;
        if self.coordinator.cluster.is_some() {
            self.coordinator.comes_back = None;
        }
        if self.plan.hostile {
            // Streams that were garbled are no streams: all begin anew.
            for connection in 0..self.connections.len() {
                if self.connections[connection].served {
                    self.break_stream(connection, false, [10, 20]);
                }
            }
        }
    }

    /// A user goes on with a job that is paused.
    pub(crate) fn user_looks(&mut self) {
        self.later(LOOKS_EVERY, Action::UserLooks);
        let awake = self.now >= self.coordinator.asleep_until;
        let wants = self.now >= self.plan.calm || self.random.chance(25);
        let Some(job) = self.coordinator.job().filter(|_| awake && wants) else { return };
        if matches!(job.state, State::Paused) || job.state.name() == StateName::Pausing {
            self.ask(Wish::Resume);
        }
    }

    /// Peers that are alive.
    pub(crate) fn anybody_works(&self) -> bool {
        self.workers.iter().any(|worker| worker.alive)
    }
}
