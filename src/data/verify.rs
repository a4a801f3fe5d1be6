//! `data verify DIR`.

use anyhow::Result;
use lockstep_coordinator::client::{exit, grouped};
use lockstep_dataset::verify::{Depth, verify as run};
use serde_json::json;

use super::meter::{Meter, Unit};
use super::{bytes, open, splits, threads};
use crate::arguments::DataVerify;
use crate::print;

/// Looks at all splits; gives 2 if anything is wrong with the data.
///
/// # Errors
/// If there is no dataset.
pub fn verify(arguments: &DataVerify) -> Result<u8> {
    let depth = match (arguments.quick, arguments.decode) {
        (true, _) => Depth::Quick,
        (_, true) => Depth::Decode,
        _ => Depth::Full,
    };
    let threads = threads(arguments.threads);
    let meter = Meter::new(arguments.json);
    let (mut code, mut report) = (exit::COMPLETED, Vec::new());
    for place in splits(&arguments.folder)? {
        let split = open(&place)?;
        let manifest = &split.index.manifest;
        let damages = run(&split, depth, threads, &|done, of| meter.done("verifying", done, of, Unit::Bytes));
        meter.end();
        if !damages.is_empty() {
            code = exit::BAD_INPUT;
        }
        let damages: Vec<String> = damages.iter().map(ToString::to_string).collect();
        let all = manifest.bytes();
        if arguments.json {
            report.push(json!({ "folder": place.to_string(), "shards": manifest.shards.len(), "bytes": all, "damages": damages }));
            continue;
        }
        damages.iter().for_each(|damage| eprintln!("error: {damage}"));
        let found = if damages.is_empty() { "as it was prepared" } else { "DAMAGED" };
        let (samples, shards) = (grouped(manifest.samples as f64), grouped(manifest.shards.len() as f64));
        let looked = match depth {
            Depth::Quick => "sizes alone",
            Depth::Full => "every byte",
            Depth::Decode => "every byte, and all decoded",
        };
        print(&format!("{place}: {found}: {samples} samples in {shards} shards, {} ({looked})\n", bytes(all)))?;
    }
    if arguments.json {
        print(&format!("{}\n", json!(report)))?;
    }
    Ok(code)
}
