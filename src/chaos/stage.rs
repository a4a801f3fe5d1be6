//! A cluster of real processes on this machine, and what can be done to it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rustix::process::Signal;

use super::process::Process;
use super::proxy::Proxy;
use super::schedule::Fault;

/// How long a process may take to come up.
const COMES_UP: Duration = Duration::from_secs(30);
/// How long an agent that was asked to leave may take.
const LEAVES: Duration = Duration::from_secs(40);

/// Coordinator, agents, and the proxies between them.
pub struct Stage {
    scratch: PathBuf,
    runtime: tokio::runtime::Runtime,
    address: SocketAddr,
    coordinator: Process,
    nodes: Vec<Node>,
    slots: u32,
}

struct Node {
    agent: Process,
    proxy: Proxy,
    log: PathBuf,
}

impl Stage {
    /// Starts a coordinator and `nodes` agents of `slots` slots, all below `scratch`.
    pub fn start(scratch: &Path, nodes: u32, slots: u32) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (coordinator, line) = coordinator(scratch, "127.0.0.1:0")?;
        let address = line.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next());
        let address: SocketAddr = address.context("the coordinator does not tell its address")?.parse()?;
        let mut stage = Self { scratch: scratch.to_owned(), runtime, address, coordinator, nodes: Vec::new(), slots };
        for index in 0..nodes {
            let proxy = stage.runtime.block_on(Proxy::start(address))?;
            let log = stage.scratch.join(format!("agent-{index}.log"));
            let agent = agent(&proxy, slots, &log)?;
            stage.nodes.push(Node { agent, proxy, log });
        }
        Ok(stage)
    }

    /// Where clients find the coordinator.
    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where the coordinator keeps its state.
    pub fn state(&self) -> PathBuf {
        self.scratch.join("state")
    }

    /// Lets a fault happen; gives what was done in words, or nothing where there was no victim. Blocks for as long as
    /// the fault lasts.
    pub fn inflict(&mut self, fault: Fault, run: &Path) -> Result<Option<String>> {
        let done = match fault {
            Fault::KillWorker(who) => {
                return Ok(self.signal_worker(who, Signal::KILL).map(|()| "killed a worker".into()));
            }
            Fault::StopWorker(who, time) => return Ok(self.stop_worker(who, time)),
            Fault::KillAgent(who, time) => self.kill_agent(who, time)?,
            Fault::StopAgent(who, time) => {
                let node = self.node(who);
                node.agent.signal(Signal::STOP);
                std::thread::sleep(time);
                node.agent.signal(Signal::CONT);
                format!("stopped an agent for {time:?}")
            }
            Fault::RetireAgent(who) => self.retire_agent(who)?,
            Fault::KillCoordinator(time) => {
                self.restart_coordinator(time, false)?;
                format!("killed the coordinator; it was back after {time:?}")
            }
            Fault::ForgetCoordinator(time) => {
                self.restart_coordinator(time, true)?;
                format!("killed the coordinator; it was back without its memory after {time:?}")
            }
            Fault::StopCoordinator(time) => {
                self.coordinator.signal(Signal::STOP);
                std::thread::sleep(time);
                self.coordinator.signal(Signal::CONT);
                format!("stopped the coordinator for {time:?}")
            }
            Fault::CutConnections(who) => {
                self.node(who).proxy.cut();
                "cut the connections of a node".into()
            }
            Fault::StallConnections(who, time) => {
                let node = self.node(who);
                node.proxy.stall(true);
                std::thread::sleep(time);
                node.proxy.stall(false);
                format!("stalled the connections of a node for {time:?}")
            }
            Fault::FillQuota(time) => return super::disk::fill(run, time),
            Fault::DamageCheckpoint(how) => return super::disk::damage_newest(run, how),
        };
        Ok(Some(done))
    }

    fn node(&mut self, who: u64) -> &mut Node {
        let index = (who % self.nodes.len() as u64) as usize;
        &mut self.nodes[index]
    }

    fn signal_worker(&self, who: u64, signal: Signal) -> Option<()> {
        let workers: Vec<_> = self.nodes.iter().flat_map(|node| node.agent.children()).collect();
        let victim = workers.get((who % workers.len().max(1) as u64) as usize)?;
        victim.signal(signal);
        Some(())
    }

    fn stop_worker(&self, who: u64, time: Duration) -> Option<String> {
        let workers: Vec<_> = self.nodes.iter().flat_map(|node| node.agent.children()).collect();
        let victim = workers.get((who % workers.len().max(1) as u64) as usize)?;
        victim.signal(Signal::STOP);
        std::thread::sleep(time);
        victim.signal(Signal::CONT);
        Some(format!("stopped a worker for {time:?}"))
    }

    fn kill_agent(&mut self, who: u64, time: Duration) -> Result<String> {
        let slots = self.slots;
        let node = self.node(who);
        node.agent.kill();
        std::thread::sleep(time);
        node.agent = agent(&node.proxy, slots, &node.log)?;
        Ok(format!("killed an agent with its workers; another came after {time:?}"))
    }

    fn retire_agent(&mut self, who: u64) -> Result<String> {
        let slots = self.slots;
        let node = self.node(who);
        node.agent.signal(Signal::TERM);
        if !node.agent.wait(LEAVES) {
            return Err(anyhow!("an agent that was asked to leave is still there after {LEAVES:?}"));
        }
        node.agent = agent(&node.proxy, slots, &node.log)?;
        Ok("asked an agent to leave; another took its place".into())
    }

    fn restart_coordinator(&mut self, time: Duration, forget: bool) -> Result<()> {
        self.coordinator.kill();
        if forget {
            for file in ["coordinator.db", "coordinator.db-wal", "coordinator.db-shm"] {
                // The last two may not be there.
                let _ = std::fs::remove_file(self.state().join(file));
            }
        }
        std::thread::sleep(time);
        self.coordinator = coordinator(&self.scratch, &self.address.to_string())?.0;
        Ok(())
    }
}

/// Starts a coordinator; gives the line that says where it listens.
fn coordinator(scratch: &Path, listen: &str) -> Result<(Process, String)> {
    let log = scratch.join("coordinator.log");
    let from = std::fs::metadata(&log).map_or(0, |file| file.len());
    let state = scratch.join("state");
    let state = state.to_str().context("a scratch folder that is not UTF-8")?;
    let mut process = Process::start(&["serve", "--listen", listen, "--state", state], &log)?;
    let line = process.await_line(from, "serving", COMES_UP)?;
    Ok((process, line))
}

/// Starts an agent and waits until it has joined.
fn agent(proxy: &Proxy, slots: u32, log: &Path) -> Result<Process> {
    let from = std::fs::metadata(log).map_or(0, |file| file.len());
    let (address, slots) = (format!("http://{}", proxy.address), slots.to_string());
    let arguments = ["agent", "--coordinator", &address, "--slots", &slots, "--threads", "1"];
    let mut process = Process::start(&arguments, log)?;
    process.await_line(from, "joined", COMES_UP)?;
    Ok(process)
}
