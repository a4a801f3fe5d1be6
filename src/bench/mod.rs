//! `bench gpu`: how fast a GPU trains, what each op achieves of what the GPU can do, and where a step's time goes.
//!
//! All of it is by the GPU's own clock, but for images a second, which are by the host's: a step is over when the host
//! has read what its loss came to.

mod ceilings;
mod networks;
mod ops;
mod report;
mod step;
mod timing;
mod trace;

use std::path::Path;

use anyhow::{Context, Result};
use lockstep_coordinator::client::exit;
use lockstep_kernels::cuda::{Cuda, CudaError, Libraries, libraries_found};
use lockstep_worker::selftest::Effort;
use lockstep_worker::trainer::Hardware;
use serde_json::Value;

use crate::arguments::BenchGpu;
use crate::{BadInput, print};
use ceilings::Ceilings;
use networks::{Network, NetworkRow};
use ops::OpRow;
use report::Report;
use step::Steps;
use trace::Trace;

/// Measures and prints; gives the exit code: 1 if a network could not be trained.
///
/// # Errors
/// If there is no such GPU, it fails, or a file can't be written.
pub fn gpu(arguments: &BenchGpu) -> Result<u8> {
    let Hardware::Gpu(index) = arguments.device else {
        return Err(BadInput("--device is cpu, but `bench gpu` measures GPUs: cuda:0 is the first".into()).into());
    };
    let bench = Bench {
        index,
        effort: if arguments.small { Effort::Small } else { Effort::Full },
        steps: arguments.steps as usize,
        tells: !arguments.json,
    };
    let report = bench.run()?;
    if let Some(file) = &arguments.out {
        write(file, &report.json())?;
    }
    if let Some(file) = &arguments.trace {
        write(file, &bench.trace()?)?;
    }
    print(&if arguments.json { format!("{}\n", report.json()) } else { report.text() })?;
    Ok(if report.networks.iter().all(|row| row.speed.is_ok()) { exit::COMPLETED } else { exit::FAILED })
}

fn write(file: &Path, content: &Value) -> Result<()> {
    std::fs::write(file, format!("{content:#}\n")).with_context(|| format!("cannot write {}", file.display()))
}

/// What is measured on.
struct Bench {
    index: usize,
    effort: Effort,
    steps: usize,
    /// Whether somebody is told what is going on.
    tells: bool,
}

impl Bench {
    fn run(&self) -> Result<Report> {
        let gpu = self.open(Libraries::Own).map_err(BadInput::from_display)?;
        let (about, libraries) = (gpu.about().clone(), libraries_found());
        drop(gpu);
        let mut all = vec![Libraries::Own];
        if !libraries.is_empty() {
            all.push(Libraries::Auto);
        }
        let (mut ceilings, mut ops, mut networks) = (Ceilings::default(), Vec::new(), Vec::new());
        for &whose in &all {
            let kernels = label(whose, &libraries);
            self.told(&format!("ceilings and ops, {kernels}"));
            ceilings.measure(&mut self.open(whose)?, kernels.clone(), self.effort, self.steps)?;
            ops.extend(self.ops(whose, kernels)?);
        }
        for network in networks::all(self.effort) {
            for &whose in &all {
                networks.push(self.network(whose, label(whose, &libraries), &network)?);
            }
        }
        Ok(Report { about, libraries, ceilings, ops, networks })
    }

    fn open(&self, libraries: Libraries) -> Result<Cuda, CudaError> {
        Cuda::with_libraries(self.index, libraries)
    }

    fn ops(&self, whose: Libraries, kernels: String) -> Result<Vec<OpRow>, CudaError> {
        let mut gpu = self.open(whose)?;
        let mut bench = ops::OpBench::new(&mut gpu, kernels, self.effort, self.steps);
        match whose {
            Libraries::Own => bench.all()?,
            // The others are the same kernels.
            Libraries::Auto => bench.products()?,
        }
        Ok(bench.rows)
    }

    /// On a device that was opened for it: one that has run out of memory does nothing more.
    fn network(&self, whose: Libraries, kernels: String, network: &Network) -> Result<NetworkRow, CudaError> {
        self.told(&format!("{}, batch {}, {kernels}", network.label(), network.batch));
        let speed = networks::speed(self.open(whose)?, network, self.steps).map_err(|why| why.to_string());
        Ok(NetworkRow { network: network.clone(), kernels, speed })
    }

    /// One step of the first network, after one that has made memory and plans.
    fn trace(&self) -> Result<Value> {
        let libraries = if libraries_found().is_empty() { Libraries::Own } else { Libraries::Auto };
        let mut gpu = self.open(libraries)?;
        let network = networks::all(self.effort).swap_remove(0);
        let mut steps = Steps::new(&mut gpu, &network)?;
        steps.step(&mut step::nobody)?;
        Ok(Trace::of(&mut steps)?.json(&network.label())?)
    }

    fn told(&self, what: &str) {
        if self.tells {
            eprintln!("{what} …");
        }
    }
}

/// Whose kernels compute what is large.
fn label(whose: Libraries, found: &str) -> String {
    match whose {
        Libraries::Own => "own kernels".into(),
        Libraries::Auto => found.into(),
    }
}
