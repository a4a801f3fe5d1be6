//! Agents: who has joined, and what they offer.

use lockstep_proto::identity::NodeId;
use lockstep_proto::{VERSION, identity::JobId};

use super::command::Command;
use super::event::{AgentHello, Connection, Exit};
use super::scheduler::{Offer, Want};
use super::time::Timestamp;
use super::{Cluster, job::State};

/// An agent that has joined.
pub(super) struct Agent {
    pub hello: AgentHello,
    /// Grows from agent to agent: slots are given in this order.
    pub order: u64,
}

impl Cluster {
    pub(super) fn agent_joined(&mut self, connection: Connection, hello: AgentHello, out: &mut Vec<Command>) {
        if hello.version != VERSION {
            let reason = format!(
                "the agent on {} is version {}, this coordinator is version {VERSION}: use the same",
                hello.host, hello.version
            );
            out.push(Command::Refuse { connection, reason });
            return;
        }
        if self.agents.contains_key(&hello.node) {
            let reason = format!("node {} has an agent already", hello.node);
            out.push(Command::Refuse { connection, reason });
            return;
        }
        self.agents_joined += 1;
        let node = hello.node.clone();
        let AgentHello { host, slots, threads, .. } = &hello;
        let (slots, threads) = (counted(*slots, "slot"), counted(*threads, "thread"));
        let reason = format!("the agent on {host} offers {slots} of {threads}");
        self.agents.insert(node.clone(), Agent { hello, order: self.agents_joined });
        out.push(Command::WelcomeAgent { connection, node, reason });
    }

    /// No worker outlives its agent, so its workers are gone as well.
    pub(super) fn agent_lost(&mut self, now: Timestamp, node: &NodeId, cause: &str, out: &mut Vec<Command>) {
        let Some(agent) = self.agents.remove(node) else {
            out.push(Command::Ignore { reason: format!("node {node} has no agent") });
            return;
        };
        let workers = self.workers.iter().filter(|(_, process)| process.node == *node);
        let workers: Vec<_> = workers.map(|(worker, _)| worker.clone()).collect();
        for worker in workers {
            let cause = format!("the agent of host {} was lost: {cause}", agent.hello.host);
            let exit = Exit { cause, clean: false };
            self.gone(now, worker, exit, out);
        }
    }

    /// What agents have, in the order in which they joined.
    pub(super) fn offers(&self) -> Vec<Offer> {
        let mut agents: Vec<_> = self.agents.values().collect();
        agents.sort_by_key(|agent| agent.order);
        let offer = |agent: &Agent| {
            let node = agent.hello.node.clone();
            let busy = self.workers.values().filter(|process| process.node == node).count();
            let slots = agent.hello.slots;
            let free = slots.saturating_sub(u32::try_from(busy).unwrap_or(u32::MAX));
            Offer { node, slots, free }
        };
        agents.into_iter().map(offer).collect()
    }

    /// Jobs that wait for slots, in the order of submission.
    pub(super) fn queue(&self) -> Vec<Want> {
        let want = |id: &JobId| {
            let job = self.jobs.get(id)?;
            let queued = matches!(job.state, State::Queued);
            queued.then(|| Want { job: id.clone(), slots: job.spec.cluster.workers })
        };
        self.open.iter().filter_map(want).collect()
    }
}

/// "1 slot", "2 slots".
fn counted(count: u32, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
