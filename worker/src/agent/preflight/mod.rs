//! Looks at a node's GPUs before an agent offers them, so that a bad one is left out, and nobody's training meets it.
//!
//! Drivers hang and crash: they are asked in processes of their own ([`child`]), with limited time. The agent itself
//! never loads one.

mod checks;
pub mod child;

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use lockstep_kernels::cuda::nvml::Reading;
use lockstep_proto::gpu::{Gpu, GpuReading};
use lockstep_proto::wire;
use prost::Message;
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::agent::exit_cause::{self, By};
use child::Errand;

/// Long enough to compile all kernels, which the first time costs, on a machine that has other work.
const WITHIN: Duration = Duration::from_secs(180);

/// Why a node offers no GPU.
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    /// There is none, or something that all of them need is missing; in words, with what to do.
    #[error("{0}")]
    Nothing(String),
    /// Each has its own reason.
    #[error("no GPU can be used: {}", .0.iter().filter_map(Gpu::exclusion).collect::<Vec<_>>().join("; "))]
    AllExcluded(Vec<Gpu>),
    /// No runtime on this machine.
    #[error("cannot look for GPUs: {0}")]
    Runtime(#[from] std::io::Error),
}

/// How GPUs are looked at.
pub struct Preflight {
    /// The binary whose verb `preflight` is [`child::run`].
    pub executable: PathBuf,
    /// What a process may take.
    pub within: Duration,
}

impl Preflight {
    /// With this binary.
    pub fn of(executable: PathBuf) -> Self {
        Self { executable, within: WITHIN }
    }

    /// Checks GPUs in the driver's order until `wanted` of them are as they should be; all without it. Gives those that
    /// were checked, at least one of them good.
    ///
    /// # Errors
    /// If there is none that can be used, with the reasons.
    pub fn look(&self, wanted: Option<usize>) -> Result<Vec<Gpu>, PreflightError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let all = self.all().await.map_err(PreflightError::Nothing)?;
            let checked = self.check_until(wanted, all).await;
            let any_good = checked.iter().any(|gpu| gpu.excluded.is_none());
            if any_good { Ok(checked) } else { Err(PreflightError::AllExcluded(checked)) }
        })
    }

    /// All GPUs that the driver shows.
    async fn all(&self) -> Result<Vec<Gpu>, String> {
        let reply = self.ask(Errand::All).await.map_err(|why| format!("the NVIDIA driver can't be used: {why}"))?;
        if !reply.failure.is_empty() {
            return Err(reply.failure);
        }
        reply.gpus.into_iter().map(Gpu::try_from).collect::<Result<_, _>>().map_err(|error| error.to_string())
    }

    /// As many at a time as are still wanted: on most machines all of them.
    async fn check_until(&self, wanted: Option<usize>, all: Vec<Gpu>) -> Vec<Gpu> {
        let mut left = all.into_iter();
        let mut checked: Vec<Gpu> = Vec::new();
        loop {
            let good = checked.iter().filter(|gpu| gpu.excluded.is_none()).count();
            let lacking = wanted.map_or(usize::MAX, |wanted| wanted.saturating_sub(good));
            let next: Vec<Gpu> = left.by_ref().take(lacking).collect();
            if next.is_empty() {
                return checked;
            }
            checked.extend(self.check(next).await);
        }
    }

    /// Each in a process of its own, all at once.
    async fn check(&self, gpus: Vec<Gpu>) -> Vec<Gpu> {
        let mut checks = JoinSet::new();
        for gpu in gpus {
            let asked = self.ask(Errand::One(gpu.index as usize));
            checks.spawn(async move {
                let failure = asked.await.map_or_else(|why| why, |reply| reply.failure);
                Gpu { excluded: Some(failure).filter(|failure| !failure.is_empty()), ..gpu }
            });
        }
        let mut checked = checks.join_all().await;
        checked.sort_by_key(|gpu| gpu.index);
        checked
    }

    /// Has a process tell something.
    fn ask(&self, errand: Errand) -> impl Future<Output = Result<wire::PreflightReply, String>> + use<> {
        let mut command = Command::new(&self.executable);
        command
            .args(["preflight", "--errand", &errand.to_string(), "--parent", &std::process::id().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let within = self.within;
        async move {
            // A process that is given up is killed; one that the driver holds back ends when the driver lets it.
            match tokio::time::timeout(within, command.output()).await {
                Err(_) => Err(format!("it did not answer within {} s", within.as_secs_f64())),
                Ok(Err(error)) => Err(format!("its preflight could not be started: {error}")),
                Ok(Ok(output)) => reply(&output),
            }
        }
    }
}

fn reply(output: &Output) -> Result<wire::PreflightReply, String> {
    if output.status.success() {
        return wire::PreflightReply::decode(output.stdout.as_slice())
            .map_err(|error| format!("its preflight gave no answer: {error}"));
    }
    let cause = exit_cause::in_words(output.status, By::Others);
    let said = String::from_utf8_lossy(&output.stderr);
    Err(match said.lines().rfind(|line| !line.trim().is_empty()) {
        Some(last) => format!("its preflight failed: {cause}; last line: {last}"),
        None => format!("its preflight failed: {cause}"),
    })
}

/// What of a reading others are told.
pub fn told(reading: &Reading) -> GpuReading {
    let Reading { memory_used, memory_total, temperature, ecc_errors, .. } = *reading;
    GpuReading { memory_used, memory_total, temperature, ecc_errors }
}
