//! Between the state and a checkpoint's copy of it.

use std::collections::BTreeMap;

use lockstep_checkpoint::{About, Snapshot, Tensor};
use lockstep_kernels::device::{Device, Failure};

use super::state::{State, WORDS};
use crate::model;

/// The bits of [`State::words`] in two f32 each, low half first.
const WORDS_TENSOR: &str = "words";

/// A copy of the state.
///
/// # Errors
/// If the device has failed.
pub(super) fn snapshot<D: Device>(
    state: &State<D>,
    device: &mut D,
    tensors: &[model::Tensor],
    about: &About,
) -> Result<Snapshot, Failure> {
    let halves = |word: u64| [word as u32, (word >> 32) as u32].map(f32::from_bits);
    let words: Vec<f32> = state.words().into_iter().flat_map(halves).collect();
    let mut copies = vec![Tensor { name: WORDS_TENSOR.into(), shape: vec![words.len()], values: words }];
    copies.extend(state.named(tensors).map(|named| {
        let mut values = vec![0.0; named.len];
        device.read(named.values, &mut values);
        Tensor { name: named.name, shape: named.shape.to_vec(), values }
    }));
    let cursor = state.cursor;
    let about = About {
        step: cursor.step,
        epoch: cursor.epoch,
        position: cursor.position,
        samples: cursor.samples,
        generation: state.ledger.rows().last().map_or(0, |row| row.generation),
        // Last, so that it tells whether the device was well while it was copied.
        digest: state.digests(device, tensors)?.state,
        ledger: state.ledger.clone(),
        plans: state.plans.clone(),
        ..about.clone()
    };
    Ok(Snapshot { about, tensors: copies })
}

/// Overwrites `state` with what a checkpoint holds. Nothing about it is believed before its digest was compared.
///
/// # Errors
/// In words, if it is no state of this model; `state` is of no use then.
pub(super) fn restore<D: Device>(
    snapshot: &Snapshot,
    state: &mut State<D>,
    device: &mut D,
    tensors: &[model::Tensor],
) -> Result<(), String> {
    let by_name: BTreeMap<&str, &[f32]> =
        snapshot.tensors.iter().map(|tensor| (tensor.name.as_str(), tensor.values.as_slice())).collect();
    let values_of = |name: &str| by_name.get(name).copied().unwrap_or_default();
    state.fill(device, tensors, values_of).map_err(|error| error.to_string())?;
    let halves = values_of(WORDS_TENSOR);
    let mut words = [0; WORDS];
    if halves.len() != 2 * words.len() {
        return Err(format!("its tensor {WORDS_TENSOR} has {} elements, not {}", halves.len(), 2 * words.len()));
    }
    for (word, pair) in words.iter_mut().zip(halves.chunks_exact(2)) {
        *word = u64::from(pair[0].to_bits()) | u64::from(pair[1].to_bits()) << 32;
    }
    state.set_words(words);
    let step = state.cursor.step;
    state.ledger = snapshot.about.ledger.clone();
    state.plans = snapshot.about.plans.clone();
    match state.ledger.steps() == step {
        true => Ok(()),
        false => Err(format!("its ledger has {} of {step} steps", state.ledger.steps())),
    }
}
