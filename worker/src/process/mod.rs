//! A worker process: the thin shell around [`Control`]. Tokio carries messages; one compute thread trains, for as long
//! as the process lives, whether there is a coordinator or not.

mod compute;
mod gauge;
mod inbound;
mod store;

use std::io;
use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use lockstep_collective::Endpoint;
use lockstep_kernels::cuda;
use lockstep_proto::VERSION;
use lockstep_proto::identity::{NodeId, WorkerId};
use lockstep_proto::wire::{self, worker_event};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnboundedReceiverStream;

use compute::Compute;
use gauge::Gauge;

use crate::control::{Command, Control, Event, Weights};
use crate::datasets::NamedFolder;
use crate::link::{Incoming, Link};
use crate::numa::{self, Sysfs};
use crate::program::Program;
use crate::trainer::{self, Hardware, Progress, Seat, Signals, Task};

/// What a worker process is started with.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// The coordinator's address.
    pub coordinator: String,
    /// Who this is.
    pub worker: WorkerId,
    /// The agent's node.
    pub node: NodeId,
    /// Lane threads.
    pub threads: u32,
    /// What it computes with.
    pub hardware: Hardware,
    /// Process id of the agent that started this process.
    pub parent: u32,
    /// The node's own folders of datasets that jobs name.
    pub data: Vec<NamedFolder>,
    /// What the agent found out about this program.
    pub program: Option<Program>,
}

/// What a worker that leaves may take for removals of checkpoints; the coordinator waits longer.
const FINISH_WITHIN: Duration = Duration::from_secs(3);

/// Between signs of life.
const ALIVE_EVERY: Duration = Duration::from_secs(1);

/// Runs a worker until it is told to leave; returns the exit code.
pub fn run(options: &WorkerOptions) -> u8 {
    let result = die_with_parent(options.parent)
        .map(|()| stay_near_the_gpu(options.hardware))
        .and_then(|()| tokio::runtime::Builder::new_current_thread().enable_all().build())
        .map_err(|error| error.to_string())
        .and_then(|runtime| runtime.block_on(async { Ok(Shell::start(options)?.serve().await) }));
    match result {
        Ok(code) => code,
        Err(reason) => {
            eprintln!("error: {reason}");
            1
        }
    }
}

/// On the CPUs of the GPU's NUMA node, before there is memory or a further thread. A GPU that can't be asked for tells why
/// when it is opened; a kernel that refuses costs time, and no result.
fn stay_near_the_gpu(hardware: Hardware) {
    let Hardware::Gpu(index) = hardware else { return };
    let Ok(about) = cuda::about(index) else { return };
    match numa::stay_near(&Sysfs::default(), &about.bus) {
        Ok(Some(node)) => tracing::info!(gpu = index, node, "stays on the CPUs of its GPU's NUMA node"),
        Ok(None) => {}
        Err(error) => tracing::warn!("can't stay on the CPUs of its GPU's NUMA node: {error}"),
    }
}

/// Asks the kernel to end this process with the agent, also if the agent is killed.
pub(crate) fn die_with_parent(parent: u32) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    // The parent may have ended before the call above.
    let now = rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get().unsigned_abs());
    if now == parent { Ok(()) } else { Err(io::Error::other("the agent that started this worker is gone")) }
}

struct Shell {
    worker: WorkerId,
    /// The job's id, once assigned.
    job: String,
    control: Control,
    link: Link<wire::WorkerEvent, wire::WorkerCommand>,
    /// Whether the loss of the coordinator has been logged, and its return not yet.
    lost: bool,
    compute: Compute,
    progress: Arc<Progress>,
    gauge: Gauge,
    events: mpsc::UnboundedSender<Event>,
    inbox: mpsc::UnboundedReceiver<Event>,
    storing: Option<JoinHandle<()>>,
}

impl Shell {
    fn start(options: &WorkerOptions) -> Result<Self, String> {
        let endpoint = Endpoint::bind(address_towards(&options.coordinator))
            .map_err(|error| format!("cannot open the data plane: {error}"))?;
        let control = Control::new(hello(options, &endpoint)?);
        let gauge = Gauge::start(options.hardware).map_err(|error| error.to_string())?;
        let (events, inbox) = mpsc::unbounded_channel();
        let progress = Arc::<Progress>::default();
        let seat = Seat {
            endpoint,
            hardware: options.hardware,
            threads: options.threads.max(1) as usize,
            progress: progress.clone(),
            events: events.clone(),
            data: options.data.clone(),
            #[cfg(feature = "fault-points")]
            fault: trainer::Fault::from_environment(options.worker.as_str()),
        };
        let compute = Compute::start(seat).map_err(|error| format!("cannot start the compute thread: {error}"))?;
        let link = Link::new(&options.coordinator, |mut client, messages| {
            Box::pin(async move {
                let stream = client.worker(UnboundedReceiverStream::new(messages)).await;
                stream.map(tonic::Response::into_inner)
            })
        });
        let (worker, job) = (options.worker.clone(), String::new());
        Ok(Self { worker, job, control, link, lost: false, compute, progress, gauge, events, inbox, storing: None })
    }

    async fn serve(mut self) -> u8 {
        let mut alive = tokio::time::interval(ALIVE_EVERY);
        loop {
            let event = tokio::select! {
                incoming = self.link.next() => match self.received(incoming) {
                    Some(event) => event,
                    None => continue,
                },
                Some(event) = self.inbox.recv() => event,
                _ = alive.tick() => {
                    let gpu = self.gauge.newest().map(wire::GpuReading::from);
                    self.send(worker_event::Event::Alive(wire::WorkerAlive { gpu, ..self.progress.alive() }));
                    continue;
                }
            };
            for command in self.control.step(event) {
                if let Some(code) = self.obey(command) {
                    self.compute.finish(FINISH_WITHIN);
                    return code;
                }
            }
        }
    }

    fn received(&mut self, incoming: Incoming<wire::WorkerCommand>) -> Option<Event> {
        match incoming {
            Incoming::Connected => Some(Event::Connected),
            Incoming::Message(message) => match inbound::checked(message.command?) {
                Ok(event) => {
                    if matches!(event, Event::Welcomed) && std::mem::take(&mut self.lost) {
                        tracing::warn!("the coordinator at {} is back", self.link.address());
                    }
                    Some(event)
                }
                Err(reason) => {
                    tracing::warn!("passed over: {reason}");
                    None
                }
            },
            Incoming::Lost(reason) => Some(self.lost(reason)),
        }
    }

    fn lost(&mut self, reason: String) -> Event {
        if !std::mem::replace(&mut self.lost, true) {
            let address = self.link.address();
            tracing::warn!("lost the coordinator at {address}: {reason}: training goes on; trying again");
        }
        Event::StreamLost(reason)
    }

    /// Carries out one command; returns the exit code if it is the last.
    fn obey(&mut self, command: Command) -> Option<u8> {
        match command {
            Command::Send(event) => self.send(*event),
            Command::Prepare(assignment) => {
                self.job.clone_from(&assignment.job);
                self.compute.order(Task::Prepare(assignment));
            }
            Command::Enter(entry) => self.compute.order(Task::Enter(entry, Arc::<Signals>::default())),
            Command::WantStop { generation, why } => self.compute.want_stop(generation, why),
            Command::AbortTrainer(generation) => self.compute.abort(generation),
            Command::WriteCheckpoint => self.compute.order(Task::WriteCheckpoint),
            Command::DeleteCheckpoints(names) => self.compute.order(Task::DeleteCheckpoints(names)),
            Command::StoreWeights { attempt, weights } => self.store(attempt, weights),
            Command::PassOver(reason) => tracing::warn!("passed over: {reason}"),
            Command::Exit { code, reason } => {
                if code == 0 {
                    tracing::debug!(%reason, "leaving");
                } else {
                    eprintln!("{reason}");
                }
                return Some(code);
            }
        }
        None
    }

    fn store(&mut self, attempt: u64, weights: Weights) {
        let sender = store::Sender { job: self.job.clone(), worker: self.worker.to_string() };
        let (client, events) = (self.link.client(), self.events.clone());
        let storing = tokio::spawn(async move {
            let _ = events.send(store::store(client, sender, attempt, weights).await);
        });
        if let Some(earlier) = self.storing.replace(storing) {
            earlier.abort();
        }
    }

    fn send(&self, event: worker_event::Event) {
        self.link.send(wire::WorkerEvent { event: Some(event) });
    }
}

fn hello(options: &WorkerOptions, endpoint: &Endpoint) -> Result<wire::WorkerHello, String> {
    options.program.clone().into_iter().for_each(Program::told);
    let fingerprint = trainer::fingerprint(options.hardware).map_err(|error| error.to_string())?;
    Ok(wire::WorkerHello {
        version: VERSION.into(),
        worker: options.worker.to_string(),
        node: options.node.to_string(),
        data_address: endpoint.tcp().to_string(),
        unix_address: endpoint.unix().to_owned(),
        threads: options.threads,
        fingerprint: Some(fingerprint),
        transport: Some(trainer::transport(options.hardware)),
        attachment: None,
    })
}

/// The address of this machine that the coordinator's network sees.
fn address_towards(coordinator: &str) -> IpAddr {
    let host = coordinator.rsplit("//").next().unwrap_or_default().trim_end_matches('/');
    let local = || -> Option<IpAddr> {
        let peer = host.to_socket_addrs().ok()?.next()?;
        // Connecting a UDP socket sends nothing: it only asks the kernel for the route.
        let socket = UdpSocket::bind(if peer.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }).ok()?;
        socket.connect(peer).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    local().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}
