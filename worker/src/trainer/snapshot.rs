//! Between the state and a checkpoint's copy of it.

use std::collections::BTreeMap;

use lockstep_checkpoint::{About, Snapshot, Tensor};
use lockstep_kernels::device::{Device, Failure};

use super::state::{State, WORDS};
use crate::model;

/// The bits of [`State::words`] in two f32 each, low half first.
const WORDS_TENSOR: &str = "words";
/// Those of the state's noise; absent where no step has told any, and in checkpoints from before it was kept.
const NOISE_TENSOR: &str = "noise";

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
    let mut copies = vec![tensor_of(WORDS_TENSOR, &state.words())];
    if !state.noise.is_empty() {
        copies.push(tensor_of(NOISE_TENSOR, &state.noise.words()));
    }
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
    let words = words_of(WORDS_TENSOR, values_of(WORDS_TENSOR))?;
    let elements = |words: usize| format!("its tensor {WORDS_TENSOR} has {} elements, not {}", 2 * words, 2 * WORDS);
    state.set_words(words.try_into().map_err(|words: Vec<u64>| elements(words.len()))?);
    state.set_noise(&words_of(NOISE_TENSOR, values_of(NOISE_TENSOR))?)?;
    let step = state.cursor.step;
    state.ledger = snapshot.about.ledger.clone();
    state.plans = snapshot.about.plans.clone();
    match state.ledger.steps() == step {
        true => Ok(()),
        false => Err(format!("its ledger has {} of {step} steps", state.ledger.steps())),
    }
}

/// Words as a checkpoint has them, whose tensors are f32.
fn tensor_of(name: &str, words: &[u64]) -> Tensor {
    let halves = |word: &u64| [*word as u32, (word >> 32) as u32].map(f32::from_bits);
    let values: Vec<f32> = words.iter().flat_map(halves).collect();
    Tensor { name: name.into(), shape: vec![values.len()], values }
}

/// The inverse of [`tensor_of`].
fn words_of(name: &str, halves: &[f32]) -> Result<Vec<u64>, String> {
    let word = |[low, high]: &[f32; 2]| u64::from(low.to_bits()) | u64::from(high.to_bits()) << 32;
    match halves.as_chunks() {
        (pairs, []) => Ok(pairs.iter().map(word).collect()),
        _ => Err(format!("its tensor {name} has half a word, {} elements", halves.len())),
    }
}
