//! The beginning of a generation: who takes part, with which lanes, from which state.

use lockstep_proto::identity::NodeId;

use super::team::{Current, Seat, Stage, Team};
use super::{Job, Turn};
use crate::cluster::command::{Begin, Command, From, Start};
use crate::cluster::record::{GenerationRecord, Member};

impl Job {
    /// Begins a generation with those who are there, if they are enough.
    pub(super) fn begin_if_possible(&mut self, team: &mut Team, turn: &mut Turn<'_>) {
        self.see_whether_holders_agree(team, turn);
        let able = team.seats.iter().filter(|seat| seat.able()).count();
        let coming = team.seats.iter().any(|seat| seat.coming() || !seat.connected());
        let wanted = self.wanted();
        let forgotten = team.gathers.is_some();
        let in_memory = team.seats.iter().any(|seat| seat.able() && seat.held.is_some());
        let enough = match (team.begun, in_memory) {
            _ if forgotten => false,
            // Survivors wait for nobody but those who may be about to come back to a coordinator that was restarted.
            (_, true) => able >= 1 && !team.seats.iter().any(Seat::returning),
            // Nobody has the state in memory: whoever comes up may have it on disk.
            (true, false) => able >= 1 && !coming,
            // There may not be as many slots without those of nodes that are not used any more.
            (false, false) => able >= wanted || (able >= 1 && !coming && self.losses.excluded().next().is_some()),
        };
        let least = self.least_workers();
        if enough && able >= least {
            self.begin(team, turn);
        } else if enough {
            self.reason = format!(
                "{able} of {least} workers are there: an optimizer.reduction that depends on them is resized by scale alone"
            );
        }
    }

    fn begin(&mut self, team: &mut Team, turn: &mut Turn<'_>) {
        let members = ranked(team);
        let transport = self.transport(team, &members, turn);
        let lanes = self.deal(team, &members);
        let start = self.start_point(team, &members);
        self.void_above(start.step, turn);
        let number = self.highest_generation.max(self.generations.last().map_or(0, |newest| newest.number)) + 1;
        let generation = turn.entropy.generation(number);
        self.highest_generation = number;
        self.reason = format!(
            "generation {number} from step {} ({}): {} lanes dealt as {lanes:?}",
            start.step,
            start.from.as_str(),
            self.spec.batch.lanes(),
        );
        let workers: Vec<_> = members.iter().map(|&index| team.seats[index].worker.clone()).collect();
        for &index in &members {
            let seat = &mut team.seats[index];
            (seat.member, seat.ready, seat.outcome, seat.held) = (true, false, None, None);
            (seat.moved, seat.weights_sha256) = (turn.now, None);
            seat.recorder.note(turn.now, format!("told to begin generation {number}"));
        }
        team.current = Some(Current {
            generation,
            members: workers,
            lanes: lanes.clone(),
            first_step: start.step,
            start: Some((start.from.clone(), start.source)),
            ready: false,
            stage: Stage::Going,
            acknowledged: turn.now,
        });
        self.integrity.begin(start.step);
        self.record_generation(team, &start, &transport, turn);
        self.tell_begin(team, &members, &start, &transport, turn);
    }

    fn record_generation(&mut self, team: &Team, start: &Start, transport: &str, turn: &mut Turn<'_>) {
        let Some(current) = &team.current else { return };
        let generation = current.generation;
        let record = GenerationRecord {
            number: generation.number,
            id: generation.id.iter().map(|byte| format!("{byte:02x}")).collect(),
            began: turn.now.seconds(),
            reason: self.reason.clone(),
            first_step: start.step,
            from: start.from.as_str().into(),
            transport: transport.into(),
            members: team.placements(),
        };
        self.placements = record.members.clone();
        self.generations.push(record.clone());
        turn.records.push(Command::SaveGeneration { job: self.id.clone(), generation: Box::new(record) });
        self.save_run(turn);
    }

    fn tell_begin(&self, team: &Team, members: &[usize], start: &Start, transport: &str, turn: &mut Turn<'_>) {
        let Some(current) = &team.current else { return };
        let secret = turn.entropy.secret();
        let placed = members.iter().zip(&current.lanes);
        let all: Vec<Member> = placed.filter_map(|(&index, lanes)| team.seats[index].as_member(*lanes)).collect();
        for (rank, worker) in current.members.iter().enumerate() {
            turn.orders.push(Command::Begin(Box::new(Begin {
                worker: worker.clone(),
                generation: current.generation,
                secret,
                rank: rank as u32,
                members: all.clone(),
                start: start.clone(),
                transport: transport.to_owned(),
                ledger_rows: self.complete_rows(),
                recorded_step: self.progress.recorded_step,
            })));
        }
    }

    /// The newest state that a member has: in memory, else on disk, else the initial one.
    fn start_point(&self, team: &Team, members: &[usize]) -> Start {
        let seats = || members.iter().enumerate().map(|(rank, &index)| (rank as u32, &team.seats[index]));
        let in_memory = seats().filter_map(|(rank, seat)| Some((seat.held.as_ref()?, rank)));
        // Of equal ones the first rank's.
        let in_memory = in_memory.max_by_key(|(held, rank)| (held.step, u32::MAX - rank));
        let on_disk = self.newest_checkpoint(seats());
        let have = |seat: &Seat, step: u64| seat.held.as_ref().is_some_and(|held| held.step == step);
        match (in_memory, on_disk) {
            (Some((held, source)), on_disk) if on_disk.as_ref().is_none_or(|(disk, ..)| disk.step <= held.step) => {
                Start {
                    step: held.step,
                    digest: held.digest.clone(),
                    source,
                    from: From::Memory,
                    share: seats().any(|(_, seat)| !have(seat, held.step)),
                }
            }
            (_, Some((held, name, source))) => Start {
                step: held.step,
                digest: held.digest,
                source,
                from: From::Checkpoint(name),
                share: members.len() > 1,
            },
            (_, None) => Start { step: 0, digest: String::new(), source: 0, from: From::Initial, share: false },
        }
    }

    /// What is recorded of steps above this one is void: they are committed anew.
    fn void_above(&mut self, step: u64, turn: &mut Turn<'_>) {
        let rows = self.progress.ledger.rows().len();
        self.progress.ledger.void_above(step);
        let kept = self.progress.ledger.rows().len();
        // Before the first report nobody knows what a run that is gone on with has in its files.
        let recorded = self.progress.recorded_step;
        if kept == rows && (1..=step).contains(&recorded) {
            return;
        }
        self.progress.recorded_step = self.progress.recorded_step.min(step);
        self.progress.evaluations.retain(|evaluation| evaluation.step <= step);
        if self.progress.probed.0 > step {
            self.progress.probed.1.clear();
        }
        let recorded = self.progress.recorded_step;
        // What was to be acknowledged is not what stays; the beginning tells that.
        turn.orders.retain(|order| !matches!(order, Command::Acknowledge { .. }));
        turn.records.push(Command::VoidAbove { job: self.id.clone(), step, rows: kept, recorded });
    }
}

/// Seats of those who take part, by rank: node by node, nodes in the order of their first seat.
fn ranked(team: &Team) -> Vec<usize> {
    let able: Vec<usize> = (0..team.seats.len()).filter(|&index| team.seats[index].able()).collect();
    let mut nodes: Vec<&NodeId> = Vec::new();
    for &index in &able {
        if !nodes.contains(&&team.seats[index].node) {
            nodes.push(&team.seats[index].node);
        }
    }
    let of_node = |node: &&NodeId| able.iter().copied().filter(|&index| team.seats[index].node == **node).collect();
    nodes.iter().flat_map(|node| -> Vec<usize> { of_node(node) }).collect()
}
