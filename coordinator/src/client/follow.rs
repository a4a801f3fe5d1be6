//! Follows a job until it has ended.

use std::time::Duration;

use lockstep_proto::wire::{self, watch_event::Event};
use tokio::time::{Instant, MissedTickBehavior};

use super::screen::Screen;
use super::{Client, ClientError, json, table};

/// Between lines where there is no terminal.
const PULSE: Duration = Duration::from_secs(5);
/// How long a coordinator that was there may be away.
const COORDINATOR_AWAY: Duration = Duration::from_secs(60);
/// Between two tries to reach it.
const TRY_AGAIN: Duration = Duration::from_millis(200);

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

/// Follows a job until it has ended; gives what it is then. A coordinator that is restarted meanwhile is waited for.
pub async fn follow(client: &mut Client, job: &str, view: View) -> Result<wire::JobView, ClientError> {
    let mut screen = (view == View::Bar).then(Screen::new);
    let mut known = false;
    let mut patience = Patience::default();
    loop {
        match follow_once(client, job, view, &mut screen, &mut known).await {
            Ok(Some(job)) => {
                screen.iter().for_each(Screen::close);
                return Ok(job);
            }
            Err(error) if !known => return Err(error),
            Ok(None) => patience.begin_anew().await,
            Err(error) => {
                if let Err(error) = patience.spend(error).await {
                    screen.iter().for_each(Screen::close);
                    return Err(error);
                }
            }
        }
    }
}

/// Waits until a job has ended that the coordinator is known to have; one that is restarted meanwhile is waited for.
pub async fn await_end(client: &mut Client, job: &str) -> Result<wire::JobView, ClientError> {
    let mut patience = Patience::default();
    loop {
        match follow_once(client, job, View::Quiet, &mut None, &mut true).await {
            Ok(Some(job)) => return Ok(job),
            Ok(None) => patience.begin_anew().await,
            Err(error) => patience.spend(error).await?,
        }
    }
}

/// How a client bears with a coordinator that was there: it may be away for a while, and is asked again and again.
#[derive(Debug, Default)]
pub struct Patience {
    lost_since: Option<Instant>,
}

impl Patience {
    /// It has answered: waits a moment before it is asked again.
    pub async fn begin_anew(&mut self) {
        self.lost_since = None;
        tokio::time::sleep(TRY_AGAIN).await;
    }

    /// It has not answered, or not as it should: waits a moment, or gives the error back where it has gone on for too long.
    ///
    /// # Errors
    /// The one that was given.
    pub async fn spend(&mut self, error: ClientError) -> Result<(), ClientError> {
        let since = *self.lost_since.get_or_insert_with(now);
        if since.elapsed() > COORDINATOR_AWAY {
            return Err(error);
        }
        tokio::time::sleep(TRY_AGAIN).await;
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "a client's patience is no decision of the cluster")]
fn now() -> Instant {
    Instant::now()
}

/// One stream of events, until the job or the stream has ended; the job in the first case.
async fn follow_once(
    client: &mut Client,
    job: &str,
    view: View,
    screen: &mut Option<Screen>,
    known: &mut bool,
) -> Result<Option<wire::JobView>, ClientError> {
    let request = wire::JobRequest { job: job.to_owned() };
    let mut events = client.watch(request).await?.into_inner();
    let mut pulse = tokio::time::interval(PULSE);
    pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut newest: Option<wire::JobView> = None;
    loop {
        let message = tokio::select! {
            message = events.message() => message,
            _ = pulse.tick() => {
                screen.iter_mut().for_each(Screen::pulse);
                continue;
            }
        };
        let Ok(Some(message)) = message else { return Ok(newest.filter(has_ended)) };
        let Some(event) = message.event else { continue };
        *known = true;
        if view == View::Json {
            table::print(&format!("{}\n", json::event(&event)))?;
        }
        match event {
            Event::Job(job) => {
                screen.iter_mut().for_each(|screen| screen.job(&job));
                newest = Some(job);
            }
            Event::Evaluation(report) => screen.iter().for_each(|screen| screen.evaluation(&report)),
            Event::Probe(report) => screen.iter().for_each(|screen| screen.probe(&report)),
            Event::Note(note) => screen.iter_mut().for_each(|screen| screen.note(&note.line)),
            // Progress comes with the job.
            Event::Step(_) => {}
        }
    }
}

/// Whether nothing more will happen to a job.
pub fn has_ended(job: &wire::JobView) -> bool {
    matches!(job.state.as_str(), "completed" | "failed" | "cancelled" | "interrupted")
}
