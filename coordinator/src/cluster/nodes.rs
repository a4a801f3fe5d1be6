//! Agents: who has joined, what they offer, and who has gone.

use std::collections::BTreeMap;

use lockstep_proto::VERSION;
use lockstep_proto::gpu::Gpu;
use lockstep_proto::identity::{NodeId, WorkerId};
use lockstep_proto::slot::SlotDevice;

use super::Cluster;
use super::command::Command;
use super::event::{AgentHello, Connection, Exit};
use super::job::JobEvent;
use super::scheduler::Offer;
use super::time::Timestamp;
use super::timeouts::{REATTACH, SILENCE};

/// An agent that has joined.
pub(super) struct Agent {
    pub hello: AgentHello,
    /// Grows from agent to agent: slots are given in this order.
    order: u64,
    /// Its stream, if it is open.
    connection: Option<Connection>,
    heard: Timestamp,
    /// It was told to end and takes no more workers.
    leaving: bool,
}

impl Agent {
    /// Whether it can start workers now.
    fn is_there(&self, now: Timestamp) -> bool {
        self.connection.is_some() && !self.leaving && now < self.heard.plus(SILENCE)
    }

    /// Whether it tells what becomes of its processes.
    pub fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// When time alone ends it: one whose stream is gone is forgotten then.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.connection.is_none().then(|| self.heard.plus(REATTACH))
    }

    /// Time that the coordinator missed does not count.
    pub fn forgive(&mut self, now: Timestamp) {
        self.heard = now;
    }
}

impl Cluster {
    pub(super) fn agent_joined(
        &mut self,
        now: Timestamp,
        connection: Connection,
        hello: AgentHello,
        out: &mut Vec<Command>,
    ) {
        if hello.version != VERSION {
            let reason = format!(
                "the agent on {} is version {}, this coordinator is version {VERSION}: use the same",
                hello.host, hello.version
            );
            out.push(Command::Refuse { connection, reason });
            return;
        }
        if let Some(known) = self.agents.get(&hello.node).filter(|known| known.hello.process != hello.process) {
            // The name is free again once the other one has gone.
            if known.connection.is_some() && now < known.heard.plus(SILENCE) {
                let reason = format!("node {} has an agent already, on host {}", hello.node, known.hello.host);
                out.push(Command::Refuse { connection, reason });
                return;
            }
            let node = hello.node.clone();
            self.node_is_gone(now, &node, "another agent took its place", out);
        }
        let node = hello.node.clone();
        let AgentHello { host, slots, threads, device, gpus, .. } = &hello;
        let slots = counted(*slots, "slot");
        let threads = match device {
            SlotDevice::Cpu => counted(*threads, "thread"),
            SlotDevice::Cuda => "1 GPU".into(),
        };
        let runs = hello.workers.clone();
        let order = self.agents.get(&node).map(|agent| agent.order);
        let leaving = self.agents.get(&node).is_some_and(|agent| agent.leaving);
        let again = if order.is_some() { " again" } else { "" };
        let excluded: String = gpus.iter().filter_map(Gpu::exclusion).map(|line| format!("; {line}")).collect();
        let reason = format!("the agent on {host} offers {slots} of {threads}{again}{excluded}");
        self.agents_joined += u64::from(order.is_none());
        let order = order.unwrap_or(self.agents_joined);
        let agent = Agent { hello, order, connection: Some(connection), heard: now, leaving };
        self.agents.insert(node.clone(), agent);
        out.push(Command::WelcomeAgent { connection, node: node.clone(), reason });
        self.compare_workers(now, &node, &runs, out);
    }

    /// What the agent runs against what is known: who ended while nobody listened is gone, and who is not known may
    /// yet come back by itself.
    fn compare_workers(&mut self, now: Timestamp, node: &NodeId, runs: &[WorkerId], out: &mut Vec<Command>) {
        let ended = |(worker, process): (&WorkerId, &super::workers::Process)| {
            (process.node == *node && !runs.contains(worker)).then(|| worker.clone())
        };
        let ended: Vec<WorkerId> = self.workers.iter().filter_map(ended).collect();
        for worker in ended {
            let exit = Exit { cause: "it ended while its agent had no coordinator".into(), clean: false };
            self.gone(now, worker, exit, out);
        }
        self.unclaimed.retain(|_, (other, _)| other != node);
        for worker in runs {
            self.stop_again(worker, out);
            if !self.workers.contains_key(worker) {
                self.unclaimed.insert(worker.clone(), (node.clone(), Some(now.plus(REATTACH))));
            }
        }
    }

    pub(super) fn agent_alive(&mut self, now: Timestamp, node: &NodeId) {
        if let Some(agent) = self.agents.get_mut(node) {
            agent.heard = now;
        }
    }

    /// Its workers are taken out of their jobs at a step boundary; then it is dismissed.
    pub(super) fn agent_leaving(&mut self, now: Timestamp, node: &NodeId, reason: &str, out: &mut Vec<Command>) {
        let Some(agent) = self.agents.get_mut(node) else { return };
        agent.leaving = true;
        agent.heard = now;
        for job in self.open.clone() {
            let event = JobEvent::NodeLeaves { node: node.clone(), reason: reason.to_owned() };
            self.job_step(now, &job, event, out);
        }
        self.dismiss_agent_without_workers(node, out);
    }

    /// A leaving agent that has no worker any more may end.
    pub(super) fn dismiss_agent_without_workers(&mut self, node: &NodeId, out: &mut Vec<Command>) {
        let leaving = self.agents.get(node).is_some_and(|agent| agent.leaving);
        if leaving && !self.workers.values().any(|process| process.node == *node) {
            out.push(Command::DismissAgent { node: node.clone() });
        }
    }

    /// An agent's stream ended. It may come back; its workers speak for themselves meanwhile.
    pub(super) fn agent_lost(
        &mut self,
        now: Timestamp,
        node: &NodeId,
        connection: Connection,
        cause: &str,
        out: &mut Vec<Command>,
    ) {
        let Some(agent) = self.agents.get_mut(node).filter(|agent| agent.connection == Some(connection)) else {
            out.push(Command::Ignore {
                reason: format!("a stream of node {node} that is not its newest ended: {cause}"),
            });
            return;
        };
        (agent.connection, agent.heard) = (None, now);
        let idle = !self.workers.values().any(|process| process.node == *node);
        if idle {
            self.node_is_gone(now, node, cause, out);
        }
    }

    /// Agents whose stream is gone for long are forgotten, with the workers that they might have had.
    pub(super) fn forget_agents(&mut self, now: Timestamp, out: &mut Vec<Command>) {
        let gone = |agent: &Agent| agent.deadline().is_some_and(|deadline| now >= deadline);
        let gone: Vec<NodeId> =
            self.agents.values().filter(|a| gone(a)).map(|agent| agent.hello.node.clone()).collect();
        for node in gone {
            let lives = self.workers.values().any(|process| process.node == node && process.connection.is_some());
            if lives {
                // Its workers answer: it may come back.
                self.agents.values_mut().filter(|agent| agent.hello.node == node).for_each(|agent| agent.forgive(now));
            } else {
                self.node_is_gone(now, &node, "its connection is gone and it did not come back", out);
            }
        }
    }

    /// No worker outlives its agent.
    fn node_is_gone(&mut self, now: Timestamp, node: &NodeId, cause: &str, out: &mut Vec<Command>) {
        let Some(agent) = self.agents.remove(node) else { return };
        self.unclaimed.retain(|_, (other, _)| other != node);
        let workers = self.workers.iter().filter(|(_, process)| process.node == *node);
        let workers: Vec<_> = workers.map(|(worker, _)| worker.clone()).collect();
        for worker in workers {
            let cause = format!("the agent of host {} was lost: {cause}", agent.hello.host);
            self.gone(now, worker, Exit { cause, clean: false }, out);
        }
    }

    /// What agents have, in the order in which they joined.
    pub(super) fn offers(&self, now: Timestamp) -> Vec<Offer> {
        let mut agents: Vec<_> = self.agents.values().filter(|agent| agent.is_there(now)).collect();
        agents.sort_by_key(|agent| agent.order);
        let mut busy: BTreeMap<&NodeId, u32> = BTreeMap::new();
        let runs = self.workers.values().map(|process| &process.node);
        for node in runs.chain(self.unclaimed.values().map(|(node, _)| node)) {
            *busy.entry(node).or_default() += 1;
        }
        let offer = |agent: &Agent| {
            let (node, slots) = (agent.hello.node.clone(), agent.hello.slots);
            let free = slots.saturating_sub(busy.get(&node).copied().unwrap_or(0));
            Offer { node, device: agent.hello.device, slots, free }
        };
        agents.into_iter().map(offer).collect()
    }

    /// Agents that can start workers now, in the order in which they joined, each with what it offers.
    pub fn agents(&self, now: Timestamp) -> Vec<(&AgentHello, Offer)> {
        let offers = self.offers(now).into_iter();
        offers.filter_map(|offer| Some((&self.agents.get(&offer.node)?.hello, offer))).collect()
    }
}

/// "1 slot", "2 slots".
fn counted(count: u32, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
