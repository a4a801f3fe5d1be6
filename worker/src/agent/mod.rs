//! The agent: offers a node's slots to the coordinator, starts one worker process a slot, forwards their logs and
//! says how they ended. Once it was welcomed it comes back to a coordinator that it lost; its workers go on meanwhile.
//!
//! All of it runs on one thread. The kernel ends a worker when the thread that started it ends (parent-death signal),
//! so that thread has to live as long as the agent.

mod backlog;
mod child;
mod exit_cause;
mod options;
mod out_of_memory;
pub mod preflight;

use std::collections::BTreeMap;
use std::time::Duration;

use lockstep_proto::VERSION;
use lockstep_proto::gpu::Gpu;
use lockstep_proto::identity::{NodeId, WorkerId};
use lockstep_proto::slot::SlotDevice;
use lockstep_proto::wire::{self, agent_command, agent_event};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;

use backlog::Backlog;
use child::Launch;

pub use options::{AgentError, AgentOptions, Shutdown};

use crate::link::{self, ConnectError, Incoming, Link};
use crate::trainer::Hardware;

/// Between signs of life; the coordinator's loss detection is a multiple of it.
const ALIVE_EVERY: Duration = Duration::from_secs(2);
/// What a leaving agent waits for its workers to be taken out of their jobs.
const LEAVE_WITHIN: Duration = Duration::from_secs(20);
/// What it waits to be dismissed once it has no worker any more.
const DISMISSED_WITHIN: Duration = Duration::from_secs(1);
const END_WITHIN: Duration = Duration::from_secs(10);

/// Runs an agent on this thread until `shutdown`; ends its workers before it returns.
///
/// # Errors
/// If the coordinator can't be reached at first, or refuses the agent.
pub fn run(options: AgentOptions, shutdown: impl Into<Shutdown>) -> Result<(), AgentError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, Agent::join_and_serve(options, shutdown.into()))
}

struct Agent {
    options: AgentOptions,
    node: NodeId,
    /// Tells this process from another of the same node.
    process: String,
    link: Link<wire::AgentEvent, wire::AgentCommand>,
    standing: Standing,
    /// From the workers' tasks.
    reports: mpsc::UnboundedReceiver<wire::AgentEvent>,
    reporter: mpsc::UnboundedSender<wire::AgentEvent>,
    backlog: Backlog,
    running: BTreeMap<WorkerId, Running>,
    /// One task a worker process; it ends with the process.
    workers: JoinSet<WorkerId>,
    /// When it stops to wait, once it leaves.
    leaves: Option<Instant>,
}

/// A worker process.
struct Running {
    /// Ends it at once.
    stop: CancellationToken,
    hardware: Hardware,
}

/// How this agent stands with the coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Not yet welcomed.
    New,
    Welcomed,
    /// It was welcomed before.
    Lost,
}

impl Agent {
    async fn join_and_serve(options: AgentOptions, shutdown: Shutdown) -> Result<(), AgentError> {
        let node = options.name.clone().unwrap_or_else(random_node);
        let address = options.coordinator.clone();
        let client = link::connect(&address).await.map_err(|error| match error {
            ConnectError::Address => AgentError::Address(address.clone()),
            ConnectError::Unreachable(reason) => AgentError::Unreachable { address: address.clone(), reason },
        })?;
        let link = Link::over(client, &address, |mut client, messages| {
            Box::pin(async move {
                let stream = client.agent(UnboundedReceiverStream::new(messages)).await;
                stream.map(tonic::Response::into_inner)
            })
        });
        let (reporter, reports) = mpsc::unbounded_channel();
        let mut agent = Self {
            options,
            node,
            process: random_hex(),
            link,
            standing: Standing::New,
            reports,
            reporter,
            backlog: Backlog::default(),
            running: BTreeMap::new(),
            workers: JoinSet::new(),
            leaves: None,
        };
        let ended = agent.serve(&shutdown).await;
        agent.end_workers().await;
        ended
    }

    async fn serve(&mut self, shutdown: &Shutdown) -> Result<(), AgentError> {
        let mut alive = tokio::time::interval(ALIVE_EVERY);
        loop {
            let leaves = self.leaves;
            let waited = async {
                match leaves {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = shutdown.now.cancelled() => return Ok(()),
                () = shutdown.leave.cancelled(), if leaves.is_none() => {
                    if self.standing != Standing::Welcomed {
                        return Ok(());
                    }
                    let leaving = wire::AgentLeaving { reason: "its agent was told to end".into() };
                    self.send(agent_event::Event::Leaving(leaving));
                    self.leaves = Some(Instant::now() + LEAVE_WITHIN);
                }
                () = waited => return Ok(()),
                _ = alive.tick() => self.send(agent_event::Event::Alive(wire::AgentAlive {})),
                Some(event) = self.reports.recv() => self.report(event),
                Some(Ok(worker)) = self.workers.join_next() => self.ended(&worker),
                incoming = self.link.next() => match incoming {
                    Incoming::Connected => self.greet(),
                    Incoming::Message(message) => match message.command {
                        Some(agent_command::Command::Dismissed(_)) => return Ok(()),
                        Some(command) => self.obey(command)?,
                        None => {}
                    },
                    Incoming::Lost(reason) => self.lost(reason)?,
                },
            }
        }
    }

    fn greet(&mut self) {
        self.send(agent_event::Event::Hello(wire::AgentHello {
            version: VERSION.into(),
            node: self.node.to_string(),
            host: host_name(),
            slots: self.options.slots,
            threads: self.options.threads,
            workers: self.running.keys().map(ToString::to_string).collect(),
            process: self.process.clone(),
            device: self.options.device.name().into(),
            gpus: self.options.gpus.iter().cloned().map(wire::Gpu::from).collect(),
        }));
    }

    fn obey(&mut self, command: agent_command::Command) -> Result<(), AgentError> {
        match command {
            agent_command::Command::Welcome(_) => self.welcomed(),
            agent_command::Command::Refused(refused) => return Err(AgentError::Refused(refused.reason)),
            agent_command::Command::StartWorker(start) => self.start(start),
            agent_command::Command::StopWorker(stop) => {
                if let Some(running) = WorkerId::try_from(stop.worker).ok().and_then(|id| self.running.get(&id)) {
                    tracing::info!(reason = %stop.reason, "ending a worker");
                    running.stop.cancel();
                }
            }
            agent_command::Command::Dismissed(_) => {}
        }
        Ok(())
    }

    fn welcomed(&mut self) {
        match std::mem::replace(&mut self.standing, Standing::Welcomed) {
            Standing::Lost => tracing::warn!("the coordinator at {} is back", self.link.address()),
            Standing::New | Standing::Welcomed => {
                let AgentOptions { coordinator, slots, device, gpus, instead, .. } = &self.options;
                gpus.iter().filter_map(Gpu::exclusion).for_each(|line| tracing::warn!("{line}"));
                instead.iter().for_each(|why| tracing::info!("computing on the CPU: {why}"));
                tracing::info!(%coordinator, slots, device = device.name(), "joined");
            }
        }
        for event in self.backlog.take() {
            self.send(event);
        }
    }

    /// A coordinator that was there once will come back; a leaving agent does not wait for it.
    fn lost(&mut self, reason: String) -> Result<(), AgentError> {
        let address = self.link.address().to_owned();
        match self.standing {
            Standing::New => return Err(AgentError::Unreachable { address, reason }),
            Standing::Lost => {}
            Standing::Welcomed => {
                tracing::warn!("lost the coordinator at {address}: {reason}: workers go on; trying again");
                self.standing = Standing::Lost;
            }
        }
        if self.leaves.is_some() {
            self.leaves = Some(Instant::now());
        }
        Ok(())
    }

    fn start(&mut self, start: wire::StartWorker) {
        let Ok(worker) = WorkerId::try_from(start.worker.clone()) else { return };
        let Some(hardware) = self.free_hardware() else {
            let cause = "every GPU of its agent has a worker already".into();
            let exited = wire::WorkerExited { worker: start.worker, cause, clean: false };
            return self.report(wire::AgentEvent { event: Some(agent_event::Event::WorkerExited(exited)) });
        };
        let stop = CancellationToken::new();
        self.running.insert(worker.clone(), Running { stop: stop.clone(), hardware });
        let launch = Launch {
            executable: self.options.executable.clone(),
            coordinator: self.options.coordinator.clone(),
            node: self.node.clone(),
            worker: worker.clone(),
            threads: match (hardware, start.threads) {
                // Its lanes come one after the other, each with all of the GPU.
                (Hardware::Gpu(_), _) => 1,
                (Hardware::Cpu, 0) => self.options.threads,
                (Hardware::Cpu, threads) => threads,
            },
            hardware,
            echo: self.options.echo,
            data: self.options.data.clone(),
        };
        let reporter = self.reporter.clone();
        self.workers.spawn_local(async move {
            child::attend(launch, stop, reporter).await;
            worker
        });
    }

    /// What the next worker computes with: the first GPU that no worker has. None if there is no such GPU.
    fn free_hardware(&self) -> Option<Hardware> {
        let taken = |hardware: &Hardware| self.running.values().any(|running| running.hardware == *hardware);
        match self.options.device {
            SlotDevice::Cpu => Some(Hardware::Cpu),
            SlotDevice::Cuda => {
                let offered = self.options.gpus.iter().filter(|gpu| gpu.excluded.is_none());
                offered.map(|gpu| Hardware::Gpu(gpu.index as usize)).find(|hardware| !taken(hardware))
            }
        }
    }

    fn ended(&mut self, worker: &WorkerId) {
        self.running.remove(worker);
        if self.running.is_empty()
            && let Some(leaves) = &mut self.leaves
        {
            *leaves = (*leaves).min(Instant::now() + DISMISSED_WITHIN);
        }
    }

    /// Ends all workers and waits until the kernel has taken them.
    async fn end_workers(&mut self) {
        for running in self.running.values() {
            running.stop.cancel();
        }
        let all_gone = async { while self.workers.join_next().await.is_some() {} };
        if tokio::time::timeout(END_WITHIN, all_gone).await.is_err() {
            tracing::warn!("some workers have not ended yet; they end with this process");
        }
    }

    /// Passes on what a worker's task tells, now or when there is a coordinator again.
    fn report(&mut self, event: wire::AgentEvent) {
        let Some(event) = event.event else { return };
        match self.standing {
            Standing::Welcomed => {
                self.backlog.said(&event);
                self.send(event);
            }
            Standing::New | Standing::Lost => self.backlog.keep(event),
        }
    }

    fn send(&self, event: agent_event::Event) {
        self.link.send(wire::AgentEvent { event: Some(event) });
    }
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn random_node() -> NodeId {
    NodeId::try_from(random_hex()).unwrap_or_else(|_| unreachable!("hex digits are plain characters"))
}

fn random_hex() -> String {
    let mut bytes = [0u8; 8];
    // The kernel's generator answers small requests whole once the machine is up.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
