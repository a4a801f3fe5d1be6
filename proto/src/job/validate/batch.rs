//! Batches that no run can have.

use super::{Violation, integer};
use crate::job::spec::Batch;

const MAX_BATCH: u32 = 1 << 20;
const MAX_MICRO_BATCH: u32 = 4096;
const MAX_LANES: u32 = 1 << 16;

pub(super) fn batch(batch: &Batch) -> Result<(), Violation> {
    let &Batch { size, micro_batch } = batch;
    integer("batch.size", size, 1, MAX_BATCH)?;
    integer("batch.micro_batch", micro_batch, 1, MAX_MICRO_BATCH)?;
    const KEYS: [&str; 2] = ["batch.size", "batch.micro_batch"];
    if size % micro_batch != 0 {
        let problem = format!(
            "`batch.size` = {size} is not divisible by `batch.micro_batch` = {micro_batch}: \
             set batch.micro_batch to {}, or batch.size to {}",
            either(divisors_beside(size, micro_batch)),
            either(multiples_beside(size, micro_batch)),
        );
        return Err(Violation::new(&KEYS, problem));
    }
    if batch.lanes() > MAX_LANES {
        let problem = format!(
            "`batch.size` = {size} makes {} lanes of `batch.micro_batch` = {micro_batch}, but {MAX_LANES} are the \
             most: raise batch.micro_batch",
            batch.lanes(),
        );
        return Err(Violation::new(&KEYS, problem));
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
