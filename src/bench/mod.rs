//! `bench`: how fast data comes ([`data`]), and of GPUs:
//!
//! `bench gpu`: how fast a GPU trains, what each op achieves of what the GPU can do, and where a step's time goes.
//!
//! All of it is by the GPU's own clock, but for images a second, which are by the host's: a step is over when the host
//! has read what its loss came to.

mod ceilings;
pub mod data;
mod kernels;
mod networks;
mod ops;
mod report;
mod step;
mod timing;
mod trace;

use std::path::Path;

use anyhow::{Context, Result};
use lockstep_coordinator::client::exit;
use lockstep_kernels::cuda::{Cuda, CudaError, libraries_found};
use lockstep_worker::selftest::Effort;
use lockstep_worker::trainer::Hardware;
use serde_json::Value;

use crate::arguments::BenchGpu;
use crate::{BadInput, print};
use ceilings::Ceilings;
use kernels::Kernels;
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
        let all = Kernels::all();
        let (mut ceilings, mut ops, mut networks) = (Ceilings::default(), Vec::new(), Vec::new());
        let mut about = None;
        for kernels in &all {
            let mut gpu = kernels.open(self.index).map_err(BadInput::from_display)?;
            self.told(&format!("ceilings and ops, {kernels}"));
            ceilings.measure(&mut gpu, kernels, self.effort, self.steps)?;
            ops.extend(self.ops(&mut gpu, kernels)?);
            about = Some(gpu.about().clone());
        }
        for network in networks::all(self.effort) {
            for kernels in &all {
                networks.push(self.network(kernels, &network)?);
            }
        }
        let about = about.context("nothing was measured")?;
        Ok(Report { about, libraries: libraries_found(), ceilings, ops, networks })
    }

    fn ops(&self, gpu: &mut Cuda, kernels: &Kernels) -> Result<Vec<OpRow>, CudaError> {
        let mut bench = ops::OpBench::new(gpu, kernels.clone(), self.effort, self.steps);
        bench.products()?;
        if !kernels.are_of_libraries() {
            bench.passes()?;
        }
        Ok(bench.rows)
    }

    /// On a device that was opened for it: one that has run out of memory does nothing more.
    fn network(&self, kernels: &Kernels, network: &Network) -> Result<NetworkRow, CudaError> {
        self.told(&format!("{}, batch {}, {kernels}", network.label(), network.batch));
        let speed = networks::speed(kernels.open(self.index)?, network, self.steps).map_err(|why| why.to_string());
        Ok(NetworkRow { network: network.clone(), kernels: kernels.clone(), speed })
    }

    /// One step of the first network, after one that has made memory and plans; with the kernels that should be fastest.
    fn trace(&self) -> Result<Value> {
        let kernels = Kernels::all().pop().context("there are always own kernels")?;
        let mut gpu = kernels.open(self.index)?;
        let network = networks::all(self.effort).swap_remove(0);
        let mut steps = Steps::new(&mut gpu, &network)?;
        steps.step(&mut step::nobody)?;
        Ok(Trace::of(&mut steps)?.json(&format!("{}, {kernels}", network.label()))?)
    }

    fn told(&self, what: &str) {
        if self.tells {
            eprintln!("{what} …");
        }
    }
}
