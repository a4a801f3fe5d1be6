//! What a coordinator's list says of a study: jobs that its runs were handed in as, and room for more.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_proto::job::{Cluster, DeviceKind};
use lockstep_proto::wire::{AgentView, JobView};

/// Characters of a study's name in a job's, of which a coordinator takes a hundred.
const LONGEST_STUDY: usize = 40;

/// Whether a job waits for slots.
pub fn is_waiting(job: &JobView) -> bool {
    job.state == "queued"
}

/// Why none of these jobs is trained, if none is and there are some.
pub fn why_all_wait(jobs: &[&JobView]) -> Option<String> {
    let is_paused = |job: &JobView| job.state == "paused";
    let first = jobs.first().filter(|_| jobs.iter().all(|job| is_waiting(job) || is_paused(job)))?;
    let JobView { job, reason, .. } = first;
    Some(if is_paused(first) {
        format!("job {job}: {reason}: `lockstep resume {job}` goes on with it")
    } else {
        reason.clone()
    })
}

/// A run's job, for people and for the next call.
pub fn name(study: &str, run: &str, key: &str) -> String {
    let study: String = study.chars().take(LONGEST_STUDY).collect();
    format!("{study} {run} {key}")
}

/// The key in a job's name.
fn key_of(name: &str) -> Option<&str> {
    let (_, key) = name.rsplit_once(' ')?;
    (key.len() == 16 && key.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(key)
}

/// Of the jobs that were handed in for each run the one that says most: one that goes on, else the newest that is done, else
/// the newest that has failed, since it may have diverged. Useless ones, and those that somebody has ended, say nothing.
pub fn by_key(jobs: Vec<JobView>, useless: &BTreeSet<String>) -> BTreeMap<String, JobView> {
    let worth = |job: &JobView| {
        let says = match job.state.as_str() {
            "failed" => 1,
            "completed" => 2,
            _ => 3,
        };
        (says, job.submitted)
    };
    let says_nothing =
        |job: &JobView| useless.contains(&job.job) || matches!(job.state.as_str(), "cancelled" | "interrupted");
    let mut found: BTreeMap<String, JobView> = BTreeMap::new();
    for job in jobs.into_iter().filter(|job| !says_nothing(job)) {
        let Some(key) = key_of(&job.name) else { continue };
        if found.get(key).is_none_or(|other| worth(&job) >= worth(other)) {
            found.insert(key.to_owned(), job);
        }
    }
    found
}

/// Runs that free slots have room for: of GPUs where the study may have them and there are as many as a run takes, or no fewer
/// than slots of CPUs, as the scheduler has it.
pub fn runs_with_room(agents: &[AgentView], needs: &Cluster) -> usize {
    let slots = (needs.workers + needs.spares).max(1);
    let of = |device: &'static str| agents.iter().filter(move |agent| agent.device == device);
    let [gpus, cpus] = ["cuda", "cpu"].map(|device| of(device).map(|agent| agent.slots).sum::<u32>());
    let device = match needs.device {
        DeviceKind::Cpu => "cpu",
        DeviceKind::Auto if gpus == 0 || gpus < slots.min(cpus) => "cpu",
        DeviceKind::Auto | DeviceKind::Cuda => "cuda",
    };
    (of(device).map(|agent| agent.free).sum::<u32>() / slots) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef";

    fn job(id: &str, name: &str, state: &str) -> JobView {
        JobView { job: id.into(), name: name.into(), state: state.into(), ..JobView::default() }
    }

    #[test]
    fn a_run_is_found_by_the_key_in_its_jobs_name() {
        assert_eq!(key_of(&name("gap", "c01-3", KEY)), Some(KEY));
        for other in ["mnist-mlp", "gap 0123456789abcde", "gap 0123456789abcdeg", KEY, ""] {
            assert_eq!(key_of(other), None, "{other}");
        }
    }

    #[test]
    fn of_a_runs_jobs_the_one_that_says_most_is_found() {
        let found = |states: &[&str]| {
            let each = |(at, state): (usize, &&str)| JobView {
                submitted: at as f64,
                ..job(&at.to_string(), &name("gap", "c01-1", KEY), state)
            };
            // Lists may have them in any order.
            let jobs = states.iter().enumerate().map(each).rev();
            let found = by_key(jobs.collect(), &BTreeSet::from(["9".to_owned()]));
            found.get(KEY).map(|job| job.job.clone())
        };
        assert_eq!(found(&["completed", "failed", "completed", "failed"]).as_deref(), Some("2"));
        assert_eq!(found(&["queued", "completed", "failed"]).as_deref(), Some("0"));
        assert_eq!(found(&["failed", "paused", "running"]).as_deref(), Some("2"));
        assert_eq!(found(&["failed", "cancelled"]).as_deref(), Some("0"));
        assert_eq!(found(&["cancelled", "interrupted"]), None);
        let useless = by_key(vec![job("9", &name("gap", "c01-1", KEY), "failed")], &BTreeSet::from(["9".to_owned()]));
        assert!(useless.is_empty());
    }

    #[test]
    fn free_slots_of_the_kind_that_runs_are_for_have_room() {
        let agent = |device: &str, free| AgentView { device: device.into(), slots: 8, free, ..AgentView::default() };
        let needs = |device, workers, spares| Cluster { device, workers, spares, ..Cluster::default() };
        let both = [agent("cpu", 5), agent("cuda", 2), agent("cpu", 2)];
        assert_eq!(runs_with_room(&both, &needs(DeviceKind::Cpu, 1, 0)), 7);
        assert_eq!(runs_with_room(&both, &needs(DeviceKind::Cpu, 2, 1)), 2);
        assert_eq!(runs_with_room(&both, &needs(DeviceKind::Auto, 1, 0)), 2);
        assert_eq!(runs_with_room(&both[..1], &needs(DeviceKind::Auto, 1, 0)), 5);
        assert_eq!(runs_with_room(&both[..1], &needs(DeviceKind::Cuda, 1, 0)), 0);
        assert_eq!(runs_with_room(&[], &needs(DeviceKind::Auto, 1, 0)), 0);
        // A run that takes more than there are GPUs goes to CPUs, where these have slots for it.
        let few = [AgentView { slots: 1, ..agent("cuda", 1) }, agent("cpu", 7)];
        assert_eq!(runs_with_room(&few, &needs(DeviceKind::Auto, 1, 0)), 1);
        assert_eq!(runs_with_room(&few, &needs(DeviceKind::Auto, 2, 1)), 2);
        assert_eq!(runs_with_room(&few, &needs(DeviceKind::Cuda, 2, 1)), 0);
    }

    #[test]
    fn why_nothing_is_trained_is_told_of_jobs_that_wait_or_are_paused() {
        let at = |state: &str| JobView { reason: format!("is {state}"), ..job("7", "run", state) };
        let why = |states: &[&str]| {
            let jobs: Vec<JobView> = states.iter().map(|state| at(state)).collect();
            why_all_wait(&jobs.iter().collect::<Vec<_>>())
        };
        assert_eq!(why(&["queued", "paused"]).as_deref(), Some("is queued"));
        assert_eq!(why(&["paused"]).as_deref(), Some("job 7: is paused: `lockstep resume 7` goes on with it"));
        assert_eq!((why(&["queued", "running"]), why(&["paused", "starting"]), why(&[])), (None, None, None));
    }
}
