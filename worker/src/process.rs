//! A worker process: the thin shell around [`Control`]. Tokio carries messages; one compute thread trains.

use std::io;
use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use lockstep_collective::Endpoint;
use lockstep_proto::VERSION;
use lockstep_proto::identity::{Generation, NodeId, WorkerId};
use lockstep_proto::wire::{self, cluster_client::ClusterClient, worker_command, worker_event};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Channel;

use crate::agent::connect;
use crate::control::{Assignment, Command, Control, Event, StopReason, Weights};
use crate::trainer::{self, Signals, sha256_hex};

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
    /// Process id of the agent that started this process.
    pub parent: u32,
}

/// Between signs of life.
const ALIVE_EVERY: Duration = Duration::from_secs(1);
/// Bytes of a file in one message.
const CHUNK: usize = 1 << 20;

/// Runs a worker until it is told to leave; returns the exit code.
pub fn run(options: &WorkerOptions) -> u8 {
    let result = die_with_parent(options.parent)
        .and_then(|()| tokio::runtime::Builder::new_current_thread().enable_all().build())
        .map_err(|error| error.to_string())
        .and_then(|runtime| runtime.block_on(Shell::join_and_serve(options)));
    match result {
        Ok(code) => code,
        Err(reason) => {
            eprintln!("error: {reason}");
            1
        }
    }
}

/// Asks the kernel to end this process with the agent, also if the agent is killed.
fn die_with_parent(parent: u32) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    // The parent may have ended before the call above.
    let now = rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get().unsigned_abs());
    if now == parent { Ok(()) } else { Err(io::Error::other("the agent that started this worker is gone")) }
}

struct Shell {
    client: ClusterClient<Channel>,
    control: Control,
    worker: WorkerId,
    job: String,
    threads: usize,
    to_coordinator: mpsc::UnboundedSender<wire::WorkerEvent>,
    events: mpsc::UnboundedSender<Event>,
    signals: Arc<Signals>,
    /// Bound before the membership is known; the trainer takes it.
    endpoint: Option<Endpoint>,
}

impl Shell {
    async fn join_and_serve(options: &WorkerOptions) -> Result<u8, String> {
        let mut client = connect(&options.coordinator).await.map_err(|error| error.to_string())?;
        let endpoint = Endpoint::bind(address_towards(&options.coordinator))
            .map_err(|error| format!("cannot open the data plane: {error}"))?;
        let (to_coordinator, outbox) = mpsc::unbounded_channel();
        let (events, inbox) = mpsc::unbounded_channel();
        let hello = worker_event::Event::Hello(hello(options, &endpoint));
        let _ = to_coordinator.send(wire::WorkerEvent { event: Some(hello) });
        let stream = client.worker(UnboundedReceiverStream::new(outbox)).await;
        let stream = stream.map_err(|status| status.message().to_owned())?.into_inner();
        let shell = Self {
            client,
            control: Control::default(),
            worker: options.worker.clone(),
            job: String::new(),
            threads: options.threads.max(1) as usize,
            to_coordinator,
            events,
            signals: Arc::default(),
            endpoint: Some(endpoint),
        };
        Ok(shell.serve(stream, inbox).await)
    }

    async fn serve(
        mut self,
        mut stream: tonic::Streaming<wire::WorkerCommand>,
        mut inbox: mpsc::UnboundedReceiver<Event>,
    ) -> u8 {
        let mut alive = tokio::time::interval(ALIVE_EVERY);
        loop {
            let event = tokio::select! {
                message = stream.message() => match message {
                    Ok(Some(message)) => match message.command.map(checked) {
                        Some(Ok(event)) => event,
                        Some(Err(reason)) => Event::StreamLost(reason),
                        None => continue,
                    },
                    Ok(None) => Event::StreamLost("the stream ended".into()),
                    Err(status) => Event::StreamLost(status.message().into()),
                },
                Some(event) = inbox.recv() => event,
                _ = alive.tick() => {
                    self.send(worker_event::Event::Alive(self.signals.alive()));
                    continue;
                }
            };
            for command in self.control.step(event) {
                if let Some(code) = self.obey(command) {
                    return code;
                }
            }
        }
    }

    /// Carries out one command; returns the exit code if it is the last.
    fn obey(&mut self, command: Command) -> Option<u8> {
        match command {
            Command::StartTrainer(assignment) => self.start_trainer(*assignment),
            Command::WantStop(why) => self.signals.want_stop(why),
            Command::AbortTrainer => self.signals.abort(),
            Command::Send(event) => self.send(event),
            Command::StoreWeights(weights) => self.store(weights),
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

    fn start_trainer(&mut self, assignment: Assignment) {
        self.job.clone_from(&assignment.begin.job);
        let Some(endpoint) = self.endpoint.take() else { return };
        let seat = trainer::Seat {
            endpoint,
            threads: self.threads,
            signals: self.signals.clone(),
            events: self.events.clone(),
        };
        let events = self.events.clone();
        let spawned = std::thread::Builder::new().name("trainer".into()).spawn(move || {
            let guard = ReportPanic(seat.events.clone());
            let event = match trainer::run(seat, &assignment) {
                Ok((outcome, weights)) => Event::TrainerFinished { outcome, weights },
                Err(error) => Event::TrainerFailed { reason: error.to_string(), bad_input: error.bad_input() },
            };
            let _ = guard.0.send(event);
        });
        if let Err(error) = spawned {
            let reason = format!("cannot start the compute thread: {error}");
            let _ = events.send(Event::TrainerFailed { reason, bad_input: false });
        }
    }

    fn store(&self, Weights(bytes): Weights) {
        let (mut client, events) = (self.client.clone(), self.events.clone());
        let (job, worker) = (self.job.clone(), self.worker.to_string());
        tokio::spawn(async move {
            let chunks = file_chunks("final/model.safetensors", &bytes).into_iter().map(move |chunk| wire::FileChunk {
                job: job.clone(),
                worker: worker.clone(),
                ..chunk
            });
            let event = match client.put_file(tokio_stream::iter(chunks)).await {
                Ok(_) => Event::WeightsStored,
                Err(status) => Event::WeightsNotStored(status.message().into()),
            };
            let _ = events.send(event);
        });
    }

    fn send(&self, event: worker_event::Event) {
        // A closed channel shows as the end of the stream, which is handled there.
        let _ = self.to_coordinator.send(wire::WorkerEvent { event: Some(event) });
    }
}

/// Tells the control if the compute thread ends by a panic.
struct ReportPanic(mpsc::UnboundedSender<Event>);

impl Drop for ReportPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let reason = "the compute thread panicked; its message is in the worker's log".into();
            let _ = self.0.send(Event::TrainerFailed { reason, bad_input: false });
        }
    }
}

/// Messages from the coordinator become events, or the reason why they can't.
fn checked(command: worker_command::Command) -> Result<Event, String> {
    let generation = |id: Option<wire::GenerationId>| Generation::try_from(id).map_err(|error| error.to_string());
    Ok(match command {
        worker_command::Command::Welcome(_) => Event::Welcomed,
        worker_command::Command::Refused(refused) => Event::Refused(refused.reason),
        worker_command::Command::Begin(begin) => {
            let generation = generation(begin.generation.clone())?;
            Event::Begin(Box::new(Assignment { generation, begin }))
        }
        worker_command::Command::Stop(stop) => Event::Stop {
            generation: generation(stop.generation)?,
            why: match stop.reason.as_str() {
                "cancelled" => StopReason::Cancelled,
                "interrupted" => StopReason::Interrupted,
                other => return Err(format!("a stop for an unknown reason: {other}")),
            },
        },
        worker_command::Command::Abort(abort) => {
            Event::Abort { generation: generation(abort.generation)?, reason: abort.reason }
        }
        worker_command::Command::Acknowledge(acknowledge) => Event::Acknowledged(acknowledge.reports),
        worker_command::Command::Leave(_) => Event::Leave,
    })
}

fn hello(options: &WorkerOptions, endpoint: &Endpoint) -> wire::WorkerHello {
    wire::WorkerHello {
        version: VERSION.into(),
        worker: options.worker.to_string(),
        node: options.node.to_string(),
        data_address: endpoint.tcp().to_string(),
        unix_address: endpoint.unix().to_owned(),
        threads: options.threads,
        fingerprint: Some(trainer::fingerprint()),
    }
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

/// A file as messages, the last with the file's SHA-256.
fn file_chunks(path: &str, bytes: &[u8]) -> Vec<wire::FileChunk> {
    let mut chunks: Vec<_> = bytes
        .chunks(CHUNK)
        .map(|data| wire::FileChunk { path: path.into(), data: data.to_vec(), ..Default::default() })
        .collect();
    if let Some(last) = chunks.last_mut() {
        last.last = true;
        last.sha256 = sha256_hex(bytes);
    }
    chunks
}
