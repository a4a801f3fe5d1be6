//! What gradients of a generation go by: from device to device where all members have the same way, else through the
//! hosts' memory. With `optimizer.reduction = "tree"` that changes no bit. The others are the devices' own way, so that
//! all workers must have it, and their number changes only when somebody asks for that.

use lockstep_proto::job::Reduction;

use super::team::Team;
use super::{Job, Turn};
use crate::cluster::event::{Failure, WorkerHello};

impl Job {
    /// Whether its weights are the same bits for any workers.
    pub(super) fn is_reproducible(&self) -> bool {
        self.spec.optimizer.reduction == Reduction::Tree
    }

    /// The transport of a generation of these seats; empty for the hosts' memory.
    pub(super) fn transport(&self, team: &Team, members: &[usize], turn: &mut Turn<'_>) -> String {
        let hellos: Vec<&WorkerHello> = members.iter().filter_map(|&index| team.seats[index].hello.as_ref()).collect();
        let [first, _, ..] = hellos.as_slice() else { return String::new() };
        let name = &first.transport.name;
        let why = if let Some(hello) = hellos.iter().find(|hello| !hello.transport.missing.is_empty()) {
            format!("{}: {}", team.name(&hello.worker), hello.transport.missing)
        } else if let Some(hello) = hellos.iter().find(|hello| hello.transport.name != *name) {
            format!("{} has {}, others {name}", team.name(&hello.worker), hello.transport.name)
        } else {
            return name.clone();
        };
        self.log(vec![format!("gradients go through the hosts' memory, which is slower: {why}")], turn);
        String::new()
    }

    /// Workers without the others' way from device to device get no lanes of a job that goes by it alone. The inner
    /// option is the job's failure.
    pub(super) fn transport_fits(
        &mut self,
        team: &mut Team,
        hello: &WorkerHello,
        turn: &mut Turn<'_>,
    ) -> Option<Option<Failure>> {
        // Also a job of one worker, which may be scaled at any time.
        if self.is_reproducible() {
            return None;
        }
        let name = team.name(&hello.worker);
        let other = team.hello_of_another(&hello.worker).map(|other| other.transport.name.clone());
        let reason = match (&hello.transport, other) {
            (transport, _) if !transport.missing.is_empty() => transport.missing.clone(),
            (transport, _) if transport.name.is_empty() => "it has no GPU".into(),
            (transport, Some(other)) if transport.name != other => format!("it has {}, others {other}", transport.name),
            _ => return None,
        };
        let reason = format!("{name}: optimizer.reduction needs one NCCL on all GPUs, but {reason}");
        Some(self.does_not_fit(team, &hello.worker, reason, turn))
    }

    /// Workers that must be there for a generation to begin, whatever became of others.
    pub(super) fn least_workers(&self) -> usize {
        if self.is_reproducible() { 1 } else { self.workers as usize }
    }
}
