//! submit, list, show, watch, logs, cancel, wait.

use lockstep_proto::wire;

use super::summary::shows_top5;
use super::table::{columns, duration, percent, print};
use super::{Client, ClientError, Remote, View, connect, exit, exit_code, follow, gpus, json, print_summary};

/// A job to hand in.
#[derive(Clone, Debug, Default)]
pub struct SubmitArgs {
    /// For people: the job file's stem.
    pub name: String,
    /// The job, fully resolved.
    pub toml: String,
    /// Only an embedded coordinator takes one; empty for the coordinator's choice.
    pub run_folder: String,
    /// The command line.
    pub command: String,
    /// Folders whose checkpoints may be gone on from.
    pub from: Vec<String>,
    /// The run folder is a run's that is gone on with; only an embedded coordinator does.
    pub go_on: bool,
}

/// A log to read.
#[derive(Clone, Debug)]
pub struct LogsArgs {
    /// The job's id, maybe shortened.
    pub job: String,
    /// Go on until no more lines can come.
    pub follow: bool,
}

/// Hands a job in.
pub async fn submit_job(client: &mut Client, args: SubmitArgs) -> Result<wire::JobView, ClientError> {
    let SubmitArgs { name, toml: job_toml, run_folder, command, from, go_on } = args;
    let request = wire::SubmitRequest { name, job_toml, run_folder, command, from, go_on };
    Ok(client.submit(request).await?.into_inner())
}

/// `submit`: hands a job in and prints its id.
pub async fn submit(remote: &Remote, args: SubmitArgs) -> Result<u8, ClientError> {
    let mut client = connect(&remote.coordinator).await?;
    let job = submit_job(&mut client, args).await?;
    if remote.json {
        print(&format!("{}\n", json::job(&job)))?;
    } else {
        print(&format!("{}\n", job.job))?;
    }
    Ok(exit::COMPLETED)
}

/// All jobs and agents.
pub async fn list_all(client: &mut Client) -> Result<wire::ListReply, ClientError> {
    Ok(client.list(wire::ListRequest {}).await?.into_inner())
}

/// `list`: all jobs.
pub async fn list(remote: &Remote) -> Result<u8, ClientError> {
    let mut client = connect(&remote.coordinator).await?;
    let jobs = list_all(&mut client).await?.jobs;
    if remote.json {
        for job in &jobs {
            print(&format!("{}\n", json::job(job)))?;
        }
        return Ok(exit::COMPLETED);
    }
    let header = ["ID", "NAME", "STATE", "STEP", "ERROR", "WORKERS", "REASON"];
    let mut rows = vec![header.map(String::from).to_vec()];
    rows.extend(jobs.iter().map(|job| {
        let done = job.outcome.as_ref().map(|outcome| outcome.steps.to_string());
        let step = job.progress.as_ref().map(|p| format!("{}/{}", p.step, p.total_steps));
        let error = job.outcome.as_ref().and_then(|outcome| outcome.test_error);
        vec![
            job.job.clone(),
            job.name.clone(),
            job.state.clone(),
            done.or(step).unwrap_or_default(),
            error.map(percent).unwrap_or_default(),
            job.workers.to_string(),
            job.reason.clone(),
        ]
    }));
    print(&columns(&rows))?;
    Ok(exit::COMPLETED)
}

/// `list --agents`: all agents, and the GPUs that they have.
pub async fn list_agents(remote: &Remote) -> Result<u8, ClientError> {
    let mut client = connect(&remote.coordinator).await?;
    let agents = list_all(&mut client).await?.agents;
    if remote.json {
        for agent in &agents {
            print(&format!("{}\n", json::agent(agent)))?;
        }
        return Ok(exit::COMPLETED);
    }
    let mut rows = vec![["NODE", "HOST", "DEVICE", "SLOTS", "FREE"].map(String::from).to_vec()];
    rows.extend(agents.iter().map(|agent| {
        let wire::AgentView { node, host, device, slots, free, .. } = agent;
        vec![node.clone(), host.clone(), device.clone(), slots.to_string(), free.to_string()]
    }));
    print(&columns(&rows))?;
    if agents.iter().any(|agent| !agent.gpus.is_empty()) {
        print(&format!("\nGPUs when their agent started\n{}", columns(&gpus::of_agents(&agents))))?;
    }
    Ok(exit::COMPLETED)
}

/// `show`: one job.
pub async fn show(remote: &Remote, job: &str) -> Result<u8, ClientError> {
    let mut client = connect(&remote.coordinator).await?;
    let request = wire::JobRequest { job: job.to_owned() };
    let job = client.show(request).await?.into_inner();
    print_job(remote, &job)?;
    Ok(exit::COMPLETED)
}

/// `cancel`: asks a job to end.
pub async fn cancel(remote: &Remote, job: &str) -> Result<u8, ClientError> {
    let mut client = connect(&remote.coordinator).await?;
    let job = client.cancel(wire::JobRequest { job: job.to_owned() }).await?;
    print_change(remote, &job.into_inner())
}

/// `pause`: asks a job to stop with a checkpoint and to give its slots back.
pub async fn pause(remote: &Remote, job: &str) -> Result<u8, ClientError> {
    let mut client = connect(&remote.coordinator).await?;
    let job = client.pause(wire::JobRequest { job: job.to_owned() }).await?;
    print_change(remote, &job.into_inner())
}

/// `resume`: asks a paused job to go on.
pub async fn resume(remote: &Remote, job: &str) -> Result<u8, ClientError> {
    let mut client = connect(&remote.coordinator).await?;
    let job = client.resume(wire::JobRequest { job: job.to_owned() }).await?;
    print_change(remote, &job.into_inner())
}

/// `scale`: asks for another number of workers.
pub async fn scale(remote: &Remote, job: &str, workers: u32) -> Result<u8, ClientError> {
    let mut client = connect(&remote.coordinator).await?;
    let job = client.scale(wire::ScaleRequest { job: job.to_owned(), workers }).await?;
    print_change(remote, &job.into_inner())
}

/// Asks for a checkpoint; returns when it is on disk.
pub async fn ask_for_checkpoint(client: &mut Client, job: &str) -> Result<wire::CheckpointView, ClientError> {
    Ok(client.checkpoint(wire::JobRequest { job: job.to_owned() }).await?.into_inner())
}

/// `checkpoint`: asks for a checkpoint; returns when it is on disk.
pub async fn checkpoint(remote: &Remote, job: &str) -> Result<u8, ClientError> {
    let mut client = connect(&remote.coordinator).await?;
    let written = ask_for_checkpoint(&mut client, job).await?;
    if remote.json {
        print(&format!("{}\n", json::checkpoint(&written)))?;
    } else {
        let wire::CheckpointView { step, name, dir, .. } = &written;
        print(&format!("checkpoint of step {step}: {dir}/{name}\n"))?;
    }
    Ok(exit::COMPLETED)
}

fn print_change(remote: &Remote, job: &wire::JobView) -> Result<u8, ClientError> {
    if remote.json {
        print(&format!("{}\n", json::job(job)))?;
    } else {
        print(&format!("job {} {}: {}\n", job.job, job.state, job.reason))?;
    }
    Ok(exit::COMPLETED)
}

/// `watch`: a progress view until the job has ended.
pub async fn watch(remote: &Remote, job: &str) -> Result<u8, ClientError> {
    let mut client = connect(&remote.coordinator).await?;
    let view = if remote.json { View::Json } else { View::Bar };
    let job = follow(&mut client, job, view).await?;
    if !remote.json {
        print_summary(&job)?;
    }
    Ok(exit_code(&job))
}

/// `wait`: returns when the job has ended.
pub async fn wait(remote: &Remote, job: &str) -> Result<u8, ClientError> {
    let mut client = connect(&remote.coordinator).await?;
    let job = follow(&mut client, job, View::Quiet).await?;
    if remote.json {
        print(&format!("{}\n", json::job(&job)))?;
    } else {
        print(&format!("job {} {}: {}\n", job.job, job.state, job.reason))?;
    }
    Ok(exit_code(&job))
}

/// `logs`: what workers wrote.
pub async fn logs(remote: &Remote, args: &LogsArgs) -> Result<u8, ClientError> {
    let mut client = connect(&remote.coordinator).await?;
    let request = wire::LogsRequest { job: args.job.clone(), follow: args.follow };
    let mut lines = client.logs(request).await?.into_inner();
    while let Some(line) = lines.message().await? {
        let text = match (remote.json, line.worker.as_str()) {
            (true, _) => json::log_line(&line).to_string(),
            (false, "") => format!("coordinator | {}", line.line),
            (false, worker) => format!("{worker} | {}", line.line),
        };
        print(&format!("{text}\n"))?;
    }
    Ok(exit::COMPLETED)
}

fn print_job(remote: &Remote, job: &wire::JobView) -> Result<(), ClientError> {
    if remote.json {
        return Ok(print(&format!("{}\n", json::job(job)))?);
    }
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let mut rows = vec![
        row("job", job.job.clone()),
        row("name", job.name.clone()),
        row("state", job.state.clone()),
        row("reason", job.reason.clone()),
        row("run folder", job.run_folder.clone()),
        row("workers", job.workers.to_string()),
        row("generation", job.generation.to_string()),
    ];
    if let Some(newest) = job.checkpoints.last() {
        rows.push(row("checkpoint", format!("step {}: {}/{}", newest.step, newest.dir, newest.name)));
    }
    if let Some(progress) = &job.progress {
        rows.push(row("step", format!("{} of {}", progress.step, progress.total_steps)));
        rows.push(row("loss", format!("{:.4}", progress.loss)));
        rows.push(row("accuracy", percent(progress.accuracy)));
    }
    if let Some(outcome) = &job.outcome {
        rows.push(row("time", duration(outcome.seconds)));
        if let Some(error) = outcome.test_error {
            rows.push(row("test error", percent(error)));
        }
        if let Some(error) = outcome.test_top5_error.filter(|_| shows_top5(job)) {
            rows.push(row("top-5 error", percent(error)));
        }
        rows.push(row("weights", outcome.weights_sha256.clone()));
    }
    print(&columns(&rows))?;
    if job.placements.is_empty() {
        return Ok(());
    }
    Ok(print(&format!("\n{}", columns(&ranks(&job.placements))))?)
}

/// Who holds which lanes, and where each one's time goes: a straggler has the most of its time in `lanes`, the others
/// wait for it in `reduce`. Where there are GPUs, how they fare.
fn ranks(placements: &[wire::Placement]) -> Vec<Vec<String>> {
    let header = ["RANK", "HOST", "LANES", "A LANE", "IN LANES", "IN REDUCE", "PHASE", "INSTRUCTIONS", "WORKER"];
    let any_gpu = placements.iter().any(|placement| placement.gpu.is_some());
    let row = |first: Vec<String>, gpu: [String; 3]| {
        let gpu = any_gpu.then_some(gpu).into_iter().flatten();
        first.into_iter().chain(gpu).collect::<Vec<_>>()
    };
    let mut rows = vec![row(header.map(String::from).to_vec(), gpus::HEADER.map(String::from))];
    rows.extend(placements.iter().map(|placement| row(rank(placement), gpus::cells(placement.gpu.as_ref()))));
    rows
}

fn rank(placement: &wire::Placement) -> Vec<String> {
    let seconds = |phase: &str| placement.phases.iter().find(|time| time.phase == phase).map_or(0.0, |t| t.seconds);
    let trained: f64 = ["lanes", "reduce", "commit"].iter().map(|phase| seconds(phase)).sum();
    let share = |phase: &str| if trained > 0.0 { percent(seconds(phase) / trained) } else { String::new() };
    let lane = placement.lane_seconds;
    vec![
        placement.rank.to_string(),
        placement.host.clone(),
        placement.lanes.to_string(),
        if lane > 0.0 { format!("{:.2} ms", lane * 1000.0) } else { String::new() },
        share("lanes"),
        share("reduce"),
        placement.phase.clone(),
        placement.instruction_set.clone(),
        placement.worker.clone(),
    ]
}
