//! What a grid has to know of data, networks and this machine.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use anyhow::Result;
use lockstep_proto::job::{Job, Libraries};
use lockstep_proto::slot::SlotDevice;
use lockstep_study::grid::DataFacts;
use lockstep_study::run::Fingerprint;
use lockstep_worker::datasets::{self, NamedFolder};
use lockstep_worker::trainer::{self, Hardware, Outlook};

use crate::arguments::StudyRun;
use crate::device::Offered;

/// Looks at jobs; jobs that differ in nothing that matters here are looked at once.
pub struct Machine {
    /// Of named datasets.
    folders: Vec<NamedFolder>,
    /// Runs are trained elsewhere.
    on_cluster: bool,
    is_dry_run: bool,
    /// Samples of a training split that is not there; none if it has to be.
    assume_samples: Option<u64>,
    seen: HashMap<String, DataFacts>,
    /// A line on each folder of data that is not there.
    pub assumed: BTreeSet<String>,
}

impl Machine {
    /// Nothing has been looked at.
    pub fn new(arguments: &StudyRun) -> Self {
        Self {
            folders: arguments.data.clone(),
            on_cluster: arguments.coordinator.is_some(),
            is_dry_run: arguments.dry_run,
            assume_samples: arguments.assume_samples,
            seen: HashMap::new(),
            assumed: BTreeSet::new(),
        }
    }

    /// What a job's data are.
    ///
    /// # Errors
    /// In one line, what a run of it would fail with at its start.
    pub fn look(&mut self, job: &mut Job) -> Result<DataFacts, String> {
        trainer::seal_weights(job).map_err(|error| error.to_string())?;
        let mut alike = job.clone();
        alike.optimizer.learning_rate = 1.0;
        (alike.seed, alike.evaluate) = Default::default();
        let text = alike.to_toml();
        if let Some(facts) = self.seen.get(&text) {
            return Ok(facts.clone());
        }
        let outlook = self.outlook(job)?;
        let [train_samples, validation_samples, _] = outlook.samples;
        let facts = DataFacts { dataset: outlook.dataset, train_samples, validation_samples };
        // What is good with its probes is good without them.
        alike.probe.clear();
        self.seen.insert(alike.to_toml(), facts.clone());
        self.seen.insert(text, facts.clone());
        Ok(facts)
    }

    fn outlook(&mut self, job: &Job) -> Result<Outlook, String> {
        let name = &job.data.name;
        let folder = datasets::folder(&job.data, &self.folders).map(Path::to_owned);
        if let (None, Some(samples)) = (&folder, self.assume_samples) {
            return self.assume(job, samples, &format!("data.name = {name:?}"));
        }
        let path = folder.ok_or_else(|| {
            format!("data.name = {name:?}: this machine has no such dataset: add --data {name}=DIR, or set data.path")
        })?;
        let mut job = job.clone();
        job.data.path = path;
        self.outlook_here(&job)
    }

    /// Of a job whose data are not there, as if they had so many samples.
    fn assume(&mut self, job: &Job, samples: u64, data: &str) -> Result<Outlook, String> {
        self.assumed.insert(format!(
            "{data}: the data are not there; all is reckoned for {samples} training samples (--assume-samples) of {0}×{0} \
             pixels (data.size)",
            job.data.size
        ));
        Outlook::assuming(job, samples).map_err(|error| error.to_string())
    }

    /// Of a job whose data are looked for where it says.
    fn outlook_here(&mut self, job: &Job) -> Result<Outlook, String> {
        match (Outlook::of(job), self.assume_samples) {
            (Ok(outlook), _) => Ok(outlook),
            (Err(error), Some(samples)) if error.is_without_data() => {
                self.assume(job, samples, &job.data.path.display().to_string())
            }
            (Err(error), None) if self.is_dry_run && error.is_without_data() => {
                Err(format!("{error}; to look at the study without them add --assume-samples N"))
            }
            (Err(error), None) if self.on_cluster && error.is_without_data() => Err(format!(
                "{error}; the grid is worked out here, so this machine has to see the data as well: set data.name, and add \
                 --data NAME=DIR with its own folder"
            )),
            (Err(error), _) => Err(error.to_string()),
        }
    }
}

/// The fingerprint of runs on this machine, in words.
///
/// # Errors
/// If a GPU can't be used.
pub fn fingerprint(offered: &Offered, libraries: Libraries) -> Result<String> {
    let hardware = match offered.device {
        SlotDevice::Cpu => Hardware::Cpu,
        SlotDevice::Cuda => {
            let good = offered.gpus.iter().find(|gpu| gpu.excluded.is_none());
            Hardware::Gpu(good.map_or(0, |gpu| gpu.index as usize))
        }
    };
    let own = trainer::fingerprint(hardware)?;
    let fingerprint = Fingerprint {
        build: own.build,
        device: own.device,
        instruction_set: own.instruction_set,
        canary: own.canary,
        libraries: own.libraries,
    };
    Ok(fingerprint.in_words(libraries))
}
