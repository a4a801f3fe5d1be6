//! `doctor`: what this machine offers, what a job finds on it, and the budget of time for everything.

mod gpus;
mod job;
mod networks;

use anyhow::Result;
use lockstep_coordinator::client::{columns, exit};
use lockstep_coordinator::cluster::timeouts;
use lockstep_proto::wire::Fingerprint;
use lockstep_worker::trainer::{self, Hardware};
use serde_json::{Value, json};

use crate::arguments::Doctor;
use crate::{load_job, print};
use gpus::Gpus;
use job::Looks;
use networks::Networks;

/// Looks and prints; gives the exit code: 1 if a job could not run here.
///
/// # Errors
/// If the job file can't be read.
pub fn doctor(arguments: &Doctor) -> Result<u8> {
    let job = arguments.job.as_ref().map(|file| load_job(file, &arguments.set)).transpose()?;
    let report = Report {
        fingerprint: trainer::fingerprint(Hardware::Cpu)?,
        cores: std::thread::available_parallelism().map_or(1, |cores| cores.get()),
        gpus: Gpus::look()?,
        networks: Networks::look(),
        job: job.map(|job| Looks::of(&job)),
    };
    if arguments.json {
        print(&format!("{}\n", report.json()))?;
    } else {
        print(&report.text(arguments))?;
    }
    let usable = report.job.is_none_or(|looks| looks.usable);
    Ok(if usable { exit::COMPLETED } else { exit::FAILED })
}

struct Report {
    /// Of the CPU.
    fingerprint: Fingerprint,
    cores: usize,
    gpus: Gpus,
    networks: Networks,
    job: Option<Looks>,
}

impl Report {
    fn text(&self, arguments: &Doctor) -> String {
        let Fingerprint { build, instruction_set, canary, .. } = &self.fingerprint;
        let mut text = columns(&[
            row("version", lockstep_proto::VERSION),
            row("build", build),
            row("instruction set", instruction_set),
            row("canary", canary),
            row("cores", self.cores),
            row("NVIDIA driver", self.gpus.driver()),
        ]);
        text += &format!("\nNVIDIA's libraries\n{}", columns(&indented(self.gpus.library_rows())));
        text += &format!("\nGPUs\n{}", columns(&indented(self.gpus.rows())));
        text.extend(self.gpus.remarks().iter().map(|remark| format!("  {remark}\n")));
        text += &format!("\nnetworks for NCCL\n{}", columns(&indented(self.networks.rows())));
        let limits = timeouts::lines().into_iter().map(|(limit, what)| vec![limit, what.to_owned()]);
        text += &format!("\nlimits of time\n{}", columns(&indented(limits.collect())));
        if let (Some(file), Some(looks)) = (&arguments.job, &self.job) {
            text += &format!("\n{}\n{}", file.display(), columns(&indented(looks.rows())));
        }
        text
    }

    fn json(&self) -> Value {
        let Fingerprint { build, instruction_set, canary, .. } = &self.fingerprint;
        let limits = timeouts::lines().into_iter().map(|(limit, what)| json!({ "limit": limit, "what": what }));
        json!({
            "version": lockstep_proto::VERSION,
            "build": build,
            "instruction_set": instruction_set,
            "canary": canary,
            "cores": self.cores,
            "driver": self.gpus.driver_json(),
            "libraries": self.gpus.libraries_json(),
            "gpus": self.gpus.json(),
            "no_gpus": self.gpus.none,
            "networks": self.networks.json(),
            "limits": limits.collect::<Vec<_>>(),
            "job": self.job.as_ref().map(Looks::json),
        })
    }
}

fn row(name: &str, value: impl ToString) -> Vec<String> {
    vec![name.to_owned(), value.to_string()]
}

fn indented(mut rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
    rows.iter_mut().filter_map(|row| row.first_mut()).for_each(|cell| cell.insert_str(0, "  "));
    rows
}
