//! Every kernel through NVRTC, for each generation of GPUs: it compiles, and takes no more registers than the table says.
//!
//! `registers.tsv` is written anew by `UPDATE_REGISTERS=1 cargo test --release -p lockstep-kernels --test nvrtc`. The
//! compiler is looked for in `$LOCKSTEP_CUDA_LIBRARIES`, in `target/nvrtc` (where `.ci/run` puts it), and where the
//! system has its libraries; figures are of NVRTC 13.0.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use lockstep_kernels::cuda::compiler::{Architecture, compile};
use lockstep_kernels::cuda::sources::SOURCES;
use lockstep_kernels::cuda::{CudaError, Places};
use lockstep_kernels::device::Precision;

/// Ampere, Hopper, Blackwell.
const ARCHITECTURES: [(i32, i32); 3] = [(8, 0), (9, 0), (10, 0)];

/// What a kernel needs on one architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Needs {
    registers: u32,
    spilled_bytes: u32,
}

type Table = BTreeMap<(String, String), Needs>;

#[test]
fn kernels_compile_and_take_no_more_registers_than_before() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut places = Places::from_environment();
    places.libraries.push(root.join("../target/nvrtc/nvidia/cu13/lib"));
    places.set();
    let found = match all_needs() {
        Ok(found) => found,
        Err(CudaError::NoCompiler) => return println!("skipped: {}", CudaError::NoCompiler),
        Err(error) => panic!("{error}"),
    };
    let kernels: usize = SOURCES.iter().map(|source| source.kernels().count()).sum();
    assert_eq!(found.len(), kernels * ARCHITECTURES.len(), "the log tells of every kernel");
    let file = root.join("tests/nvrtc/registers.tsv");
    if std::env::var_os("UPDATE_REGISTERS").is_some() {
        std::fs::write(&file, written(&found)).expect("the table can be written");
        return;
    }
    let table = read(&std::fs::read_to_string(&file).expect("the table"));
    for (key, needs) in &found {
        let (kernel, architecture) = key;
        let known = table.get(key).unwrap_or_else(|| panic!("{kernel} is not in registers.tsv"));
        assert!(
            needs.registers <= known.registers && needs.spilled_bytes <= known.spilled_bytes,
            "{kernel} on {architecture}: {needs:?} where the table has {known:?}"
        );
    }
    assert!(table.keys().all(|key| found.contains_key(key)), "registers.tsv has kernels that are no more");
}

/// Of all kernels on all architectures, compiled on all cores.
fn all_needs() -> Result<Table, CudaError> {
    let sources = |(major, minor)| SOURCES.iter().map(move |source| (source, Architecture { major, minor }));
    let all: Vec<_> = ARCHITECTURES.into_iter().flat_map(sources).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut found = Table::new();
        while let Some((source, architecture)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            let kind = if source.activations == Some(Precision::Bf16) { " of bf16" } else { "" };
            found.extend(needs(&compile(source, *architecture)?.log, kind, &architecture.to_string()));
        }
        Ok(found)
    };
    thread::scope(|scope| {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let found = threads.into_iter().map(|thread| thread.join().expect("no panic"));
        Ok(found.collect::<Result<Vec<Table>, CudaError>>()?.into_iter().flatten().collect())
    })
}

/// Of each kernel that the assembler speaks of; `kind` is put behind its name.
fn needs(log: &str, kind: &str, architecture: &str) -> Table {
    let mut table = Table::new();
    let mut kernel = None;
    let mut spilled_bytes = 0;
    for line in log.lines() {
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            kernel = rest.split('\'').next();
        } else if let Some((before, _)) = line.split_once(" bytes spill stores") {
            spilled_bytes = before.rsplit(' ').next().and_then(|bytes| bytes.parse().ok()).expect("bytes");
        } else if let (Some((_, rest)), Some(kernel)) = (line.split_once("Used "), kernel) {
            let registers = rest.split(' ').next().and_then(|count| count.parse().ok()).expect("registers");
            table.insert((format!("{kernel}{kind}"), architecture.into()), Needs { registers, spilled_bytes });
        }
    }
    table
}

fn written(table: &Table) -> String {
    let mut text = String::from("kernel\tarchitecture\tregisters\tspilled bytes\n");
    for ((kernel, architecture), Needs { registers, spilled_bytes }) in table {
        writeln!(text, "{kernel}\t{architecture}\t{registers}\t{spilled_bytes}").expect("memory");
    }
    text
}

fn read(text: &str) -> Table {
    let row = |line: &str| {
        let [kernel, architecture, registers, spilled]: [&str; 4] =
            line.split('\t').collect::<Vec<_>>().try_into().expect("four columns");
        let number = |text: &str| text.parse().expect("a number");
        let needs = Needs { registers: number(registers), spilled_bytes: number(spilled) };
        ((kernel.into(), architecture.into()), needs)
    };
    text.lines().skip(1).map(row).collect()
}
