//! A coordinator and an agent inside of this process, for jobs that are trained on this machine: who uses it submits jobs
//! at its address.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow};
use lockstep_coordinator::{Coordinator, Handle, ServeOptions, StateFolder, listen};
use lockstep_worker::agent::{self, AgentError, AgentOptions, Shutdown};
use lockstep_worker::datasets::NamedFolder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::device::Offered;

/// The parts that run inside of this process.
pub struct Embedded {
    /// The coordinator's.
    pub address: String,
    /// Of the coordinator.
    pub handle: Handle,
    coordinator: tokio::task::JoinHandle<Result<(), lockstep_coordinator::ServeError>>,
    agent: JoinHandle<Result<(), AgentError>>,
    agent_ended: tokio::sync::oneshot::Receiver<()>,
    end_agent: Shutdown,
    shutdown: CancellationToken,
}

impl Embedded {
    /// Starts both. The agent offers `slots` workers of `threads` threads, and knows these folders of named datasets.
    ///
    /// # Errors
    /// If this machine has no room for them.
    pub async fn start(slots: u32, threads: u32, offered: &Offered, data: Vec<NamedFolder>) -> Result<Self> {
        let listener = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let address = format!("http://{}", listener.local_addr()?);
        let coordinator = Coordinator::open(&ServeOptions { state: StateFolder::Memory, allow_run_folder: true })?;
        let handle = coordinator.handle();
        let (shutdown, end_agent) = (CancellationToken::new(), Shutdown::default());
        let coordinator = tokio::spawn(coordinator.serve(listener, shutdown.clone()));
        let options = AgentOptions {
            coordinator: address.clone(),
            slots,
            device: offered.device,
            gpus: offered.gpus.clone(),
            instead: offered.instead.clone(),
            threads,
            executable: std::env::current_exe().context("cannot find this program's own file")?,
            echo: false,
            data,
            name: None,
        };
        let (ending, agent_ended) = tokio::sync::oneshot::channel();
        let agent_shutdown = end_agent.clone();
        // A thread of its own, which lives as long as the agent: workers die with the thread that started them.
        let agent = std::thread::Builder::new().name("agent".into()).spawn(move || {
            let ended = agent::run(options, agent_shutdown);
            // The receiver is gone once the jobs have ended.
            let _ = ending.send(());
            ended
        })?;
        Ok(Self { address, handle, coordinator, agent, agent_ended, end_agent, shutdown })
    }

    /// Waits until the agent has ended, which it should not before it is told to.
    pub async fn agent_ends(&mut self) {
        // A sender that is gone says the same.
        let _ = (&mut self.agent_ended).await;
    }

    /// Ends agent, workers and coordinator, in this order. In order: workers leave by themselves.
    ///
    /// # Errors
    /// If one of them broke down.
    pub async fn end(self, in_order: bool) -> Result<()> {
        if in_order {
            self.end_agent.leave.cancel();
        } else {
            self.end_agent.now.cancel();
        }
        let agent = tokio::task::spawn_blocking(move || self.agent.join()).await?;
        self.shutdown.cancel();
        agent.map_err(|_| anyhow!("the agent panicked"))??;
        Ok(self.coordinator.await??)
    }
}

/// What a signal asks for.
pub enum Asked {
    /// The first stops after the step in flight, with a checkpoint; the second at once.
    Stop(&'static str),
    /// A checkpoint, and to go on.
    Checkpoint,
}

/// Ctrl-C, SIGTERM and SIGUSR1.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    user: Signal,
}

impl Signals {
    /// From now on they end no process.
    ///
    /// # Errors
    /// If the operating system lets nobody listen.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            user: signal(SignalKind::user_defined1())?,
        })
    }

    /// Waits for the next.
    pub async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::Stop("stopped by Ctrl-C"),
            _ = self.terminate.recv() => Asked::Stop("stopped by SIGTERM"),
            _ = self.user.recv() => Asked::Checkpoint,
        }
    }
}
