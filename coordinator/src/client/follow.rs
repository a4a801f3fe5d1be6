//! Follows a job until it has ended.

use std::time::Duration;

use lockstep_proto::wire::{self, watch_event::Event};
use tokio::time::MissedTickBehavior;

use super::screen::Screen;
use super::{Client, ClientError, json, table};

/// Between lines where there is no terminal.
const PULSE: Duration = Duration::from_secs(5);

/// What to show of a running job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// Nothing.
    Quiet,
    /// A JSON object a line, on the standard output.
    Json,
    /// A progress bar, or lines where there is no terminal, on the standard error.
    Bar,
}

/// Follows a job until it has ended; gives what it is then.
pub async fn follow(client: &mut Client, job: &str, view: View) -> Result<wire::JobView, ClientError> {
    let request = wire::JobRequest { job: job.to_owned() };
    let mut events = client.watch(request).await?.into_inner();
    let mut screen = (view == View::Bar).then(Screen::new);
    let mut pulse = tokio::time::interval(PULSE);
    pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut newest: Option<wire::JobView> = None;
    loop {
        let message = tokio::select! {
            message = events.message() => message?,
            _ = pulse.tick() => {
                screen.iter_mut().for_each(Screen::pulse);
                continue;
            }
        };
        let Some(message) = message else { break };
        let Some(event) = message.event else { continue };
        if view == View::Json {
            table::print(&format!("{}\n", json::event(&event)))?;
        }
        match event {
            Event::Job(job) => {
                screen.iter_mut().for_each(|screen| screen.job(&job));
                newest = Some(job);
            }
            Event::Evaluation(report) => screen.iter().for_each(|screen| screen.evaluation(&report)),
            // Progress comes with the job.
            Event::Step(_) => {}
        }
    }
    screen.iter().for_each(Screen::close);
    match newest {
        Some(job) if ended(&job) => Ok(job),
        Some(_) | None => Err(ClientError::Lost("the stream ended before the job".into())),
    }
}

fn ended(job: &wire::JobView) -> bool {
    matches!(job.state.as_str(), "completed" | "failed" | "cancelled" | "interrupted")
}
