//! What gradients of a generation go by: from device to device where all members have the same way, else through the
//! hosts' memory. With `optimizer.reduction = "tree"` that changes no bit. The others are the devices' own way, so that
//! all workers must have it, and their number changes only when somebody asks for that.

use lockstep_proto::job::Reduction;

use super::team::{Seat, Team};
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
        let name = hellos.first().map(|hello| hello.transport.name.clone()).unwrap_or_default();
        let different = hellos.iter().find(|hello| hello.transport.name != name);
        let missing = hellos.iter().find(|hello| !hello.transport.missing.is_empty());
        let why = match (different, missing) {
            _ if members.len() < 2 => return String::new(),
            (_, Some(hello)) => format!("{}: {}", team.name(&hello.worker), hello.transport.missing),
            (Some(hello), None) => format!("{} has {}, others {name}", team.name(&hello.worker), hello.transport.name),
            (None, None) if hellos.len() == members.len() => return name,
            // One that came back has told before, to a coordinator that is gone.
            (None, None) => return String::new(),
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
        if self.is_reproducible() || self.wanted() < 2 {
            return None;
        }
        let name = team.name(&hello.worker);
        let others = |seat: &Seat| seat.hello.clone().filter(|other| other.worker != hello.worker);
        let other = team.seats.iter().find_map(others).map(|other| other.transport.name);
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
