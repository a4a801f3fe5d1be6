//! What was measured, for people and for programs.

use std::collections::BTreeMap;
use std::time::Duration;

use lockstep_coordinator::client::{columns, grouped};
use lockstep_kernels::cuda::About;
use serde_json::{Value, json};

use super::ceilings::Ceilings;
use super::kernels::Kernels;
use super::networks::{NetworkRow, Speed};
use super::ops::OpRow;
use super::step::PHASES;

/// Everything of one GPU.
pub struct Report {
    pub about: About,
    /// NVIDIA's, with their versions; empty without.
    pub libraries: String,
    pub ceilings: Ceilings,
    pub ops: Vec<OpRow>,
    pub networks: Vec<NetworkRow>,
}

impl Report {
    pub fn text(&self) -> String {
        let About { index, name, architecture, driver, .. } = &self.about;
        let libraries = if self.libraries.is_empty() { "own kernels alone" } else { &self.libraries };
        let mut text = format!(
            "GPU {index}, {name}, {architecture}, driver for CUDA {}.{}, {libraries}\n\n",
            driver / 1000,
            driver % 1000 / 10
        );
        text += &columns(&self.ceiling_rows());
        text += "\ntraining steps of whole networks: data, forward, loss, backward, norms, update\n";
        text += &columns(&self.network_rows());
        text += "\nmilliseconds of a step by phase, on the GPU\n";
        text += &columns(&self.phase_rows());
        text += "\nops at sizes of ResNet-50's layers, and what they achieve of the time that the ceilings leave\n";
        text + &columns(&self.op_rows())
    }

    fn ceiling_rows(&self) -> Vec<Vec<String>> {
        let Ceilings { copy, products } = &self.ceilings;
        let mut rows = vec![vec!["copy".into(), format!("{} GB/s", grouped(copy / 1e9)), String::new()]];
        rows.extend(products.iter().map(|(kernels, rate)| {
            let rate = format!("{} GFLOP/s", grouped(rate / 1e9));
            vec![format!("matrix product, {}", kernels.arithmetic), rate, kernels.whose.clone()]
        }));
        rows
    }

    fn network_rows(&self) -> Vec<Vec<String>> {
        let mut rows = header(["NETWORK", "BATCH", "PRECISION", "KERNELS", "IMAGES/S", "STEP MS"]);
        rows.extend(self.networks.iter().map(|row| {
            let Kernels { arithmetic, whose, .. } = &row.kernels;
            let mut cells =
                vec![row.network.label(), row.network.batch.to_string(), arithmetic.to_string(), whose.clone()];
            match &row.speed {
                Ok(speed) => cells.extend([grouped(row.network.images_per_second(speed)), milliseconds(speed.step)]),
                Err(why) => cells.push(format!("FAILED: {why}")),
            }
            cells
        }));
        rows
    }

    fn phase_rows(&self) -> Vec<Vec<String>> {
        let mut rows = vec![["NETWORK", "KERNELS"].into_iter().chain(PHASES).map(str::to_uppercase).collect()];
        for row in &self.networks {
            if let Ok(Speed { phases, .. }) = &row.speed {
                let mut cells = vec![row.network.label(), row.kernels.to_string()];
                cells.extend(phases.iter().copied().map(milliseconds));
                rows.push(cells);
            }
        }
        rows
    }

    fn op_rows(&self) -> Vec<Vec<String>> {
        let mut rows = header(["OP", "SIZE", "KERNELS", "µS", "GB/S", "GFLOP/S", "OF CEILING"]);
        rows.extend(self.ops.iter().map(|row| {
            let rate = |count: usize| if count > 0 { grouped(rate(count, row.time) / 1e9) } else { String::new() };
            vec![
                row.op.into(),
                row.size.clone(),
                row.kernels.to_string(),
                format!("{:.1}", row.time.as_secs_f64() * 1e6),
                rate(row.cost.bytes),
                rate(row.cost.operations),
                format!("{:.0}% of {}", 100.0 * self.share(row), self.bound(row)),
            ]
        }));
        rows
    }

    /// Which ceiling an op runs into.
    fn bound(&self, row: &OpRow) -> &'static str {
        if self.ceilings.is_arithmetic(&row.cost, row.kernels.arithmetic) { "arithmetic" } else { "memory" }
    }

    /// Of the ceiling.
    fn share(&self, row: &OpRow) -> f64 {
        self.ceilings.share(&row.cost, row.kernels.arithmetic, row.time)
    }

    pub fn json(&self) -> Value {
        let About { index, name, architecture, bus, memory, driver } = &self.about;
        json!({
            "version": lockstep_proto::VERSION,
            "device": {
                "index": index, "name": name, "architecture": architecture.to_string(), "bus": bus,
                "memory": memory, "driver": driver,
            },
            "libraries": self.libraries,
            "ceilings": {
                "copy_bytes_per_second": self.ceilings.copy,
                "product_flop_per_second": self.ceilings.products.iter().map(rate_of_product).collect::<BTreeMap<_, _>>(),
            },
            "networks": self.networks.iter().map(network).collect::<Vec<_>>(),
            "ops": self.ops.iter().map(|row| self.op(row)).collect::<Vec<_>>(),
        })
    }

    fn op(&self, row: &OpRow) -> Value {
        json!({
            "op": row.op,
            "size": row.size,
            "kernels": row.kernels.whose,
            "precision": row.kernels.arithmetic.to_string(),
            "seconds": row.time.as_secs_f64(),
            "bytes_per_second": rate(row.cost.bytes, row.time),
            "flop_per_second": rate(row.cost.operations, row.time),
            "share_of_ceiling": self.share(row),
            "bound": self.bound(row),
        })
    }
}

fn rate_of_product((kernels, rate): &(Kernels, f64)) -> (String, f64) {
    (kernels.to_string(), *rate)
}

/// As `benches/peers/gpu_torch.py` prints its own.
fn network(row: &NetworkRow) -> Value {
    let speed = row.speed.as_ref().ok();
    let phases = speed.map(|speed| {
        PHASES.iter().zip(&speed.phases).map(|(phase, took)| ((*phase).into(), json!(took.as_secs_f64())))
    });
    json!({
        "program": "lockstep",
        "network": row.network.label(),
        "batch": row.network.batch,
        "precision": row.kernels.arithmetic.to_string(),
        "variant": row.kernels.whose,
        "images_per_second": speed.map(|speed| row.network.images_per_second(speed)),
        "step_seconds": speed.map(|speed| speed.step.as_secs_f64()),
        "steps": speed.map(|speed| speed.steps),
        "phase_seconds": phases.map(|phases| Value::Object(phases.collect())),
        "failure": row.speed.as_ref().err(),
    })
}

fn header<const N: usize>(names: [&str; N]) -> Vec<Vec<String>> {
    vec![names.map(String::from).to_vec()]
}

fn rate(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(1e-9)
}

fn milliseconds(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64() * 1e3)
}
