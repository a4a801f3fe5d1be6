//! The folder of a run that branches off another: what the other recorded up to the step, and where it is from.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{RunFolder, RunFolderError, metrics};
use crate::cluster::facts::Report;
use crate::cluster::record::GenerationRecord;

/// What a run was forked from, in `run.json` and `summary.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForkedFrom {
    /// Folder of the other run.
    pub run: String,
    /// Committed steps of the state that both share.
    pub step: u64,
    /// Of that state.
    pub digest: String,
    /// Hash of the other run's job.
    pub job_hash: String,
    /// Keys that have another value here, and that value as TOML.
    pub settings: BTreeMap<String, String>,
}

/// What `run.json` of a fork is before its first generation.
#[derive(Serialize)]
struct Beginning<'a> {
    forked_from: &'a ForkedFrom,
    generations: Vec<GenerationRecord>,
}

impl RunFolder {
    /// Makes the folder of a run of the job `toml` that branches off the run in the folder `from`: with that run's
    /// reports up to the step, and its memberships, so that generations are counted on. What that run's probes of these
    /// titles came to at the step itself stays behind: they are others here.
    ///
    /// # Errors
    /// If the folder is not empty, or one of the two cannot be used.
    pub fn fork(
        path: &Path,
        toml: &str,
        from: &Path,
        fork: &ForkedFrom,
        probes: &[&str],
    ) -> Result<(), RunFolderError> {
        Self::create(path, toml)?;
        let is_other = |report: &Report| match report {
            Report::Probe(report) => report.step == fork.step && probes.contains(&report.probe.as_str()),
            Report::Step(_) | Report::Evaluation(_) => false,
        };
        let copied =
            metrics::copy(&from.join("metrics.jsonl"), &path.join("metrics.jsonl"), |report| !is_other(report));
        copied.map_err(|cause| RunFolderError::Io { path: from.to_owned(), cause })?;
        let mut folder = Self::open(path)?;
        folder.void_above(fork.step)?;
        let mut generations = Self::history(from);
        generations.retain(|generation| generation.first_step <= fork.step);
        folder.write_json("run.json", &Beginning { forked_from: fork, generations })
    }

    /// What `run.json` says that a run was forked from; none if there is no such file, or it is no fork's.
    pub fn forked_from(path: &Path) -> Option<ForkedFrom> {
        #[derive(Deserialize)]
        struct Run {
            forked_from: Option<ForkedFrom>,
        }
        let text = std::fs::read(path.join("run.json")).ok()?;
        serde_json::from_slice::<Run>(&text).ok()?.forked_from
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::cluster::facts::{ProbeReport, StepReport};

    #[test]
    fn a_fork_has_what_was_recorded_up_to_its_step() {
        let scratch = tempfile::tempdir().unwrap();
        let (from, to) = (scratch.path().join("a"), scratch.path().join("b"));
        let mut original = RunFolder::create(&from, "").unwrap();
        let report = |step| Report::Step(StepReport { step, ..Default::default() });
        let probe = |title: &str| Report::Probe(ProbeReport { step: 4, probe: title.into(), ..Default::default() });
        original.append(&[report(2), report(4), probe("gap"), probe("line"), report(6)]).unwrap();
        let whole = std::fs::read_to_string(from.join("metrics.jsonl")).unwrap();
        let generation = |number, first_step| {
            serde_json::json!({
                "number": number, "id": "", "began": 0.0, "reason": "", "first_step": first_step, "from": "initial",
                "members": [],
            })
        };
        let run = serde_json::json!({ "generations": [generation(1, 0), generation(2, 4), generation(3, 5)] });
        std::fs::write(from.join("run.json"), run.to_string()).unwrap();
        let fork = ForkedFrom {
            run: "a".into(),
            step: 4,
            digest: "d".into(),
            job_hash: "h".into(),
            settings: [("batch.size".to_owned(), "128".to_owned())].into(),
        };
        RunFolder::fork(&to, "x = 1", &from, &fork, &["line"]).unwrap();
        let mut told = Vec::new();
        metrics::read(&to.join("metrics.jsonl"), |report| told.push((report.step(), report.of_step().1.to_owned())))
            .unwrap();
        assert_eq!(told, [(2, String::new()), (4, String::new()), (4, "gap".into())], "`line` is to be taken again");
        assert_eq!(RunFolder::probed(&from).unwrap(), BTreeSet::from(["gap".to_owned(), "line".to_owned()]));
        assert!(whole.starts_with(&std::fs::read_to_string(to.join("metrics.jsonl")).unwrap()), "to the letter");
        assert_eq!(RunFolder::history(&to).iter().map(|g| g.number).collect::<Vec<_>>(), [1, 2]);
        assert_eq!((RunFolder::forked_from(&to), RunFolder::forked_from(&from)), (Some(fork.clone()), None));
        assert!(RunFolder::fork(&to, "x = 1", &from, &fork, &[]).is_err(), "it is not empty");
    }
}
