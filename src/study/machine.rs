//! What a grid has to know of data, networks and this machine.

use std::collections::HashMap;

use anyhow::Result;
use lockstep_proto::job::{Job, Libraries};
use lockstep_proto::slot::SlotDevice;
use lockstep_study::grid::DataFacts;
use lockstep_study::run::Fingerprint;
use lockstep_worker::trainer::{self, Hardware, Outlook};

use crate::device::Offered;

/// Looks at jobs; jobs that differ in nothing that matters here are looked at once.
#[derive(Default)]
pub struct Machine {
    seen: HashMap<String, DataFacts>,
}

impl Machine {
    /// What a job's data are.
    ///
    /// # Errors
    /// In one line, what a run of it would fail with at its start.
    pub fn look(&mut self, job: &mut Job) -> Result<DataFacts, String> {
        trainer::seal_initial_weights(job).map_err(|error| error.to_string())?;
        let mut alike = job.clone();
        alike.optimizer.learning_rate = 1.0;
        (alike.seed, alike.probe, alike.evaluate) = Default::default();
        let text = alike.to_toml();
        if let Some(facts) = self.seen.get(&text) {
            return Ok(facts.clone());
        }
        let outlook = Outlook::of(job).map_err(|error| error.to_string())?;
        let [train_samples, validation_samples, _] = outlook.samples;
        let facts = DataFacts { dataset: outlook.dataset, train_samples, validation_samples };
        self.seen.insert(text, facts.clone());
        Ok(facts)
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
