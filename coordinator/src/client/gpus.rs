//! GPUs in tables: how they fare, and why some get no worker.

use lockstep_proto::wire;

/// Above [`cells`].
pub const HEADER: [&str; 3] = ["GPU MEMORY", "°C", "ECC ERRORS"];

/// Memory in use of all, temperature, and errors that memory could not correct; blank what is not known.
pub fn cells(reading: Option<&wire::GpuReading>) -> [String; 3] {
    let Some(reading) = reading else { return Default::default() };
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    [
        format!("{} of {} GiB", gib(reading.memory_used), gib(reading.memory_total)),
        number(reading.temperature.map(u64::from)),
        number(reading.ecc_errors),
    ]
}

/// A row for each GPU of each agent.
pub fn of_agents(agents: &[wire::AgentView]) -> Vec<Vec<String>> {
    let header = ["HOST", "GPU", "NAME"].into_iter().chain(HEADER).chain([""]);
    let mut rows = vec![header.map(String::from).collect::<Vec<_>>()];
    rows.extend(agents.iter().flat_map(|agent| agent.gpus.iter().map(|gpu| of_agent(agent, gpu))));
    rows
}

fn of_agent(agent: &wire::AgentView, gpu: &wire::Gpu) -> Vec<String> {
    let name = format!("{} ({})", gpu.name, gpu.architecture);
    let state = if gpu.excluded.is_empty() { "offered".into() } else { format!("excluded: {}", gpu.excluded) };
    [agent.host.clone(), gpu.index.to_string(), name]
        .into_iter()
        .chain(cells(gpu.reading.as_ref()))
        .chain([state])
        .collect()
}

/// Memory in GiB, such as "79.6".
pub fn gib(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / (1u64 << 30) as f64)
}
