//! Batches that no run can have.

use super::schedule::ascending;
use super::{Violation, integer};
use crate::job::spec::Batch;

const MAX_BATCH: u32 = 1 << 20;
const MAX_MICRO_BATCH: u32 = 4096;
const MAX_LANES: u32 = 1 << 16;

pub(super) fn batch(batch: &Batch) -> Result<(), Violation> {
    integer("batch.size", batch.size, 1, MAX_BATCH)?;
    integer("batch.micro_batch", batch.micro_batch, 1, MAX_MICRO_BATCH)?;
    ascending("batch.growth", &batch.growth.iter().map(|(epoch, _)| *epoch).collect::<Vec<_>>())?;
    for &(_, size) in &batch.growth {
        if !(1..=MAX_BATCH).contains(&size) {
            let problem = format!("`batch.growth` has a batch of {size}: each must be 1 to {MAX_BATCH}");
            return Err(Violation::new(&["batch.growth"], problem));
        }
    }
    let sizes = batch.growth.iter().map(|(_, size)| ("batch.growth", *size));
    [("batch.size", batch.size)]
        .into_iter()
        .chain(sizes)
        .try_for_each(|(key, size)| lanes(key, size, batch.micro_batch))
}

/// A batch is whole lanes, and not too many. `key`: where it is said.
fn lanes(key: &'static str, size: u32, micro_batch: u32) -> Result<(), Violation> {
    let keys = [key, "batch.micro_batch"];
    if !size.is_multiple_of(micro_batch) {
        let problem = format!(
            "`{key}` = {size} is not divisible by `batch.micro_batch` = {micro_batch}: \
             set batch.micro_batch to {}, or {key} to {}",
            either(divisors_beside(size, micro_batch)),
            either(multiples_beside(size, micro_batch)),
        );
        return Err(Violation::new(&keys, problem));
    }
    let lanes = size / micro_batch;
    if lanes > MAX_LANES {
        let problem = format!(
            "`{key}` = {size} makes {lanes} lanes of `batch.micro_batch` = {micro_batch}, but {MAX_LANES} are the \
             most: raise batch.micro_batch",
        );
        return Err(Violation::new(&keys, problem));
    }
    Ok(())
}

/// The divisors of `size` next to `near`, below and above.
fn divisors_beside(size: u32, near: u32) -> [Option<u32>; 2] {
    let divides = |candidate: &u32| size.is_multiple_of(*candidate);
    let mut above = near + 1..=size.min(MAX_MICRO_BATCH);
    [(1..near).rev().find(divides), above.find(divides)]
}

/// The multiples of `near` next to `size`, below and above.
fn multiples_beside(size: u32, near: u32) -> [Option<u32>; 2] {
    let below = size / near * near;
    let above = below + near;
    [(below > 0).then_some(below), (above <= MAX_BATCH).then_some(above)]
}

fn either(choices: [Option<u32>; 2]) -> String {
    match choices {
        [Some(below), Some(above)] => format!("{below} or {above}"),
        [Some(one), None] | [None, Some(one)] => one.to_string(),
        [None, None] => "another value".to_owned(),
    }
}
