//! `selftest`: every op of a device against its formula, and whole networks beside the CPU's.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use lockstep_coordinator::client::{columns, exit};
use lockstep_kernels::cpu::{Cpu, InstructionSet};
use lockstep_kernels::cuda::{About, Arithmetic, Cuda, Libraries};
use lockstep_kernels::device::Device;
use lockstep_proto::job::ModelName;
use lockstep_proto::slot::SlotDevice;
use lockstep_selftest::{Bench, Check, ops};
use lockstep_worker::selftest::{self, Curve, Effort, StepCheck};
use serde_json::{Value, json};

use crate::arguments::{PrecisionName, Selftest};
use crate::{BadInput, device, print};

/// Lines of its curve.
const SHOWN: usize = 10;

/// Checks a device and prints what was found; gives the exit code: 1 if anything is not as it should be.
///
/// # Errors
/// If there is no such device, it fails, or the report can't be written.
pub fn selftest(arguments: &Selftest) -> Result<u8> {
    let told = |what: &str| {
        if !arguments.json {
            eprintln!("{what} …");
        }
    };
    let effort = if arguments.small { Effort::Small } else { Effort::Full };
    let (name, found) = match device::to_check(arguments.device.into())? {
        SlotDevice::Cpu if arguments.precision == PrecisionName::Bf16 => {
            let why = "--precision bf16 is for GPUs: the CPU's kernels compute in f32";
            return Err(BadInput(why.into()).into());
        }
        SlotDevice::Cpu => {
            let set = InstructionSet::detect();
            (format!("CPU, {set}"), Found::of(&mut Cpu::new(set), effort, told)?)
        }
        SlotDevice::Cuda => {
            let arithmetic = Arithmetic::from(arguments.precision);
            let mut gpu = Cuda::open(arguments.gpu, Libraries::Own, arithmetic).map_err(BadInput::from_display)?;
            let About { index, name, architecture, .. } = gpu.about().clone();
            (format!("GPU {index}, {name}, {architecture}, {arithmetic}"), Found::of(&mut gpu, effort, told)?)
        }
    };
    if let Some(file) = &arguments.out {
        write(file, &found.json(&name))?;
    }
    if arguments.json {
        print(&format!("{}\n", found.json(&name)))?;
    } else {
        print(&found.table(&name))?;
    }
    Ok(if found.failures() == 0 { exit::COMPLETED } else { exit::FAILED })
}

fn write(file: &Path, report: &Value) -> Result<()> {
    std::fs::write(file, format!("{report:#}\n")).with_context(|| format!("cannot write {}", file.display()))
}

/// What came of all checks.
struct Found {
    ops: Vec<Check>,
    steps: Vec<StepCheck>,
    curve: Curve,
}

impl Found {
    fn of<D: Device>(device: &mut D, effort: Effort, told: impl Fn(&str)) -> Result<Self> {
        told("every op against its formula");
        let mut bench = Bench::new(device);
        ops::all(&mut bench);
        let ops = bench.checks;
        device.health()?;
        told("a step of each network");
        let steps = selftest::steps(device, effort)?;
        told("LeNet-5 step by step");
        let curve = selftest::curve(device, effort)?;
        device.health()?;
        Ok(Self { ops, steps, curve })
    }

    fn failures(&self) -> usize {
        let ops = self.ops.iter().filter(|check| !check.passed()).count();
        let steps = self.steps.iter().filter(|check| !check.passed()).count();
        ops + steps + usize::from(!self.curve.passed())
    }

    fn table(&self, name: &str) -> String {
        let mut text = format!("{name}\n\n");
        text += &columns(&self.op_rows());
        text += "\none training step of each network, beside the CPU's gradient\n";
        text += &columns(&self.step_rows());
        text += &format!("\nLeNet-5 over {} steps of 64 samples\n", self.curve.losses.len());
        text += &columns(&self.curve_rows());
        match self.failures() {
            0 => text += "\nall as it should be\n",
            1 => text += "\n1 check failed\n",
            count => text += &format!("\n{count} checks failed\n"),
        }
        text
    }

    /// A row an op: the case that is nearest to its bound, or beyond it.
    fn op_rows(&self) -> Vec<Vec<String>> {
        let mut by_op: BTreeMap<&str, Vec<&Check>> = BTreeMap::new();
        self.ops.iter().for_each(|check| by_op.entry(check.op).or_default().push(check));
        let mut rows = vec![["OP", "CASES", "LARGEST ERROR", "BOUND", "REPEATS", ""].map(String::from).to_vec()];
        for (op, checks) in by_op {
            let near = |check: &&&Check| {
                if check.error.is_nan() { f64::INFINITY } else { check.error / check.bound.max(1e-30) }
            };
            let Some(worst) = checks.iter().max_by(|a, b| near(a).total_cmp(&near(b))) else { continue };
            let repeats = checks.iter().all(|check| check.repeats);
            let failed = checks.iter().find(|check| !check.passed());
            rows.push(vec![
                op.to_owned(),
                checks.len().to_string(),
                format!("{:.1e}", worst.error),
                format!("{:.1e}", worst.bound),
                said(repeats).into(),
                failed.map_or_else(|| "ok".into(), |check| format!("FAILED: {} ({})", check.case, check.part)),
            ]);
        }
        rows
    }

    fn step_rows(&self) -> Vec<Vec<String>> {
        let mut rows = vec![["NETWORK", "IMAGES", "ERROR", "BOUND", "REPEATS", ""].map(String::from).to_vec()];
        rows.extend(self.steps.iter().map(|check| {
            let shape = &check.shape;
            vec![
                name_of(check.model),
                format!("{}×{}×{}", shape.channels, shape.height, shape.width),
                format!("{:.1e}", check.error),
                format!("{:.1e}", check.bound),
                said(check.repeats).into(),
                (if check.passed() { "ok" } else { "FAILED" }).into(),
            ]
        }));
        rows
    }

    fn curve_rows(&self) -> Vec<Vec<String>> {
        let mut rows = vec![["STEP", "LOSS", "ON THE CPU"].map(String::from).to_vec()];
        let pairs = self.curve.losses.iter().zip(&self.curve.of_cpu).enumerate();
        let last = self.curve.losses.len().saturating_sub(1);
        let every = (self.curve.losses.len() / SHOWN).max(1);
        rows.extend(
            pairs
                .filter(|(step, _)| step % every == 0 || *step == last)
                .map(|(step, (ours, cpus))| vec![(step + 1).to_string(), format!("{ours:.6}"), format!("{cpus:.6}")]),
        );
        let verdict = if self.curve.passed() { "ok" } else { "FAILED" };
        rows.push(vec!["apart".into(), format!("{:.1e}", self.curve.difference()), verdict.into()]);
        rows
    }

    fn json(&self, name: &str) -> Value {
        let op = |check: &Check| {
            json!({
                "op": check.op, "case": check.case, "part": check.part, "error": check.error, "bound": check.bound,
                "repeats": check.repeats, "passed": check.passed(),
            })
        };
        let step = |check: &StepCheck| {
            json!({
                "model": name_of(check.model), "error": check.error, "bound": check.bound, "repeats": check.repeats,
                "passed": check.passed(),
            })
        };
        json!({
            "device": name,
            "version": lockstep_proto::VERSION,
            "failures": self.failures(),
            "ops": self.ops.iter().map(op).collect::<Vec<_>>(),
            "steps": self.steps.iter().map(step).collect::<Vec<_>>(),
            "curve": {
                "losses": self.curve.losses, "cpu_losses": self.curve.of_cpu, "bound": self.curve.bound,
                "passed": self.curve.passed(),
            },
        })
    }
}

/// As `model.name` has it.
pub fn name_of(model: ModelName) -> String {
    serde_json::to_value(model).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

fn said(yes: bool) -> &'static str {
    if yes { "yes" } else { "NO" }
}
