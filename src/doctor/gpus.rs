//! GPUs, how they fare and whether workers would get them, and the libraries of NVIDIA's that there are.

use anyhow::{Context, Result};
use lockstep_coordinator::client::gpus as cells;
use lockstep_kernels::cuda::inventory::{Found, inventory};
use lockstep_kernels::cuda::nvml::{Nvml, Reading};
use lockstep_proto::gpu::Gpu;
use lockstep_worker::agent::preflight::{self, Preflight, PreflightError};
use lockstep_worker::numa::Sysfs;
use serde_json::{Value, json};

/// What there is, and why there is no more.
pub struct Gpus {
    libraries: Vec<Found>,
    /// As NVML tells it; none without NVML.
    driver_version: Option<String>,
    gpus: Vec<Look>,
    /// Why there is not one that can be used.
    pub none: Option<String>,
}

/// A GPU.
struct Look {
    gpu: Gpu,
    reading: Option<Reading>,
    node: Option<u32>,
}

impl Gpus {
    /// Looks, and has each GPU pass the preflight that agents have them pass.
    ///
    /// # Errors
    /// If this machine does not let processes be started.
    pub fn look() -> Result<Self> {
        let executable = std::env::current_exe().context("cannot find this program's own file")?;
        let (gpus, none) = match Preflight::of(executable).look(None) {
            Ok(gpus) => (gpus, None),
            Err(PreflightError::Nothing(why)) => (Vec::new(), Some(why)),
            Err(PreflightError::AllExcluded(gpus)) => (gpus, Some("all are excluded".into())),
            Err(error @ PreflightError::Runtime(_)) => return Err(error.into()),
        };
        // Why it does not tell stands among the libraries.
        let (sysfs, nvml) = (Sysfs::default(), Nvml::open().ok());
        let look = |gpu: Gpu| Look {
            reading: nvml.as_ref().and_then(|nvml| nvml.read(&gpu.bus).ok()),
            node: sysfs.node_of(&gpu.bus),
            gpu,
        };
        Ok(Self {
            libraries: inventory(),
            driver_version: nvml.as_ref().and_then(|nvml| nvml.driver_version().ok()),
            gpus: gpus.into_iter().map(look).collect(),
            none,
        })
    }

    /// The driver's version, and that of the CUDA that it is for.
    pub fn driver(&self) -> String {
        let libcuda = self.libraries.iter().find(|library| library.name == "libcuda");
        match (&self.driver_version, libcuda.and_then(|libcuda| libcuda.version.as_ref())) {
            (Some(driver), Some(cuda)) => format!("{driver}, for CUDA {cuda}"),
            (None, Some(cuda)) => format!("for CUDA {cuda}"),
            (_, None) => "none".into(),
        }
    }

    /// A row for each library.
    pub fn library_rows(&self) -> Vec<Vec<String>> {
        let row = |library: &Found| {
            let path = library.path.as_ref().map(|path| path.display().to_string());
            let state = [path, library.problem.clone()].into_iter().flatten().collect::<Vec<_>>().join(": ");
            vec![library.name.into(), library.version.clone().unwrap_or_default(), library.purpose.into(), state]
        };
        let header = ["LIBRARY", "VERSION", "FOR", "WHERE"].map(String::from).to_vec();
        std::iter::once(header).chain(self.libraries.iter().map(row)).collect()
    }

    /// A row for each GPU, or why there is none.
    pub fn rows(&self) -> Vec<Vec<String>> {
        if let (true, Some(why)) = (self.gpus.is_empty(), &self.none) {
            return vec![vec![format!("none: {why}")]];
        }
        let header = ["GPU", "NAME"].into_iter().chain(cells::HEADER).chain(["NUMA NODE", "PLACE", "PREFLIGHT"]);
        std::iter::once(header.map(String::from).collect()).chain(self.gpus.iter().map(Look::row)).collect()
    }

    /// What is to be said of single GPUs, a line each.
    pub fn remarks(&self) -> Vec<String> {
        let pending = |look: &&Look| look.remapping_is_pending();
        let replaced =
            |look: &Look| format!("GPU {}: a damaged row of its memory is replaced when it is reset", look.gpu.index);
        let excluded = self.gpus.iter().filter_map(|look| look.gpu.exclusion());
        excluded.chain(self.gpus.iter().filter(pending).map(replaced)).collect()
    }

    /// The driver for programs; null without one.
    pub fn driver_json(&self) -> Value {
        let libcuda = self.libraries.iter().find(|library| library.name == "libcuda");
        let cuda = libcuda.and_then(|libcuda| libcuda.version.as_ref());
        cuda.map_or(Value::Null, |cuda| json!({ "version": self.driver_version, "cuda": cuda }))
    }

    /// Libraries for programs.
    pub fn libraries_json(&self) -> Vec<Value> {
        let library = |library: &Found| {
            json!({
                "name": library.name,
                "purpose": library.purpose,
                "version": library.version,
                "path": library.path,
                "problem": library.problem,
            })
        };
        self.libraries.iter().map(library).collect()
    }

    /// GPUs for programs.
    pub fn json(&self) -> Vec<Value> {
        self.gpus.iter().map(Look::json).collect()
    }
}

impl Look {
    fn row(&self) -> Vec<String> {
        let Gpu { index, name, architecture, bus, excluded, .. } = &self.gpu;
        let first = [index.to_string(), format!("{name} ({architecture})")];
        let node = self.node.map(|node| node.to_string()).unwrap_or_default();
        let last = [node, bus.clone(), (if excluded.is_some() { "failed" } else { "passed" }).into()];
        first.into_iter().chain(self.cells()).chain(last).collect()
    }

    fn cells(&self) -> [String; 3] {
        match &self.reading {
            Some(reading) => cells::cells(Some(&preflight::told(reading).into())),
            None => [format!("{} GiB", cells::gib(self.gpu.memory)), String::new(), String::new()],
        }
    }

    fn remapping_is_pending(&self) -> bool {
        self.reading.as_ref().and_then(|reading| reading.remapping).is_some_and(|remapping| remapping.pending)
    }

    fn json(&self) -> Value {
        let Gpu { index, name, architecture, bus, memory, excluded, .. } = &self.gpu;
        let reading = self.reading.as_ref();
        json!({
            "index": index,
            "name": name,
            "architecture": architecture,
            "bus": bus,
            "uuid": reading.map(|reading| &reading.uuid),
            "memory_bytes": memory,
            "memory_used": reading.map(|reading| reading.memory_used),
            "temperature": reading.and_then(|reading| reading.temperature),
            "ecc_errors": reading.and_then(|reading| reading.ecc_errors),
            "remapping_pending": self.remapping_is_pending(),
            "numa_node": self.node,
            "excluded": excluded,
        })
    }
}
