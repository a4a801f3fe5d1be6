//! A state as bytes: what a member that has it gives to those that don't.
//!
//! `length of the header, u64 │ header │ the state's words, u64 each │ count of the noise's words, u64 │ they, u64 each │
//! the named list's elements, f32`, all little-endian. The header is a [`wire::Reports`]: the ledger, and reports that the coordinator may not have.

use lockstep_kernels::device::{Device, Failure};
use lockstep_kernels::shared_memory::{bytes, bytes_mut};
use lockstep_proto::ledger::Ledger;
use lockstep_proto::wire;
use prost::Message;

use super::state::{State, WORDS};
use crate::model::Tensor;

/// Packs a state, with reports that go along.
///
/// # Errors
/// If the device has failed.
pub fn pack<D: Device>(
    state: &State<D>,
    device: &mut D,
    tensors: &[Tensor],
    reports: Vec<wire::Report>,
) -> Result<Vec<u8>, Failure> {
    let rows = state.ledger.rows().iter().cloned().map(Into::into).collect();
    let header = wire::Reports { step: state.cursor.step, rows, reports, ..Default::default() }.encode_to_vec();
    let mut payload = (header.len() as u64).to_le_bytes().to_vec();
    payload.extend(header);
    let noise = state.noise.words();
    for word in state.words().into_iter().chain([noise.len() as u64]).chain(noise) {
        payload.extend(word.to_le_bytes());
    }
    let mut values = Vec::new();
    for named in state.named(tensors) {
        values.resize(named.len, 0.0);
        device.read(named.values, &mut values);
        payload.extend_from_slice(bytes(&values));
    }
    device.health()?;
    Ok(payload)
}

/// Unpacks what [`pack`] packed over what `state` held. Nothing about it is believed before its digest was compared.
///
/// # Errors
/// In words, if it is no state of this model; `state` is of no use then.
pub fn unpack<D: Device>(
    payload: &[u8],
    state: &mut State<D>,
    device: &mut D,
    tensors: &[Tensor],
) -> Result<Vec<wire::Report>, String> {
    let cut = || "it ends too early".to_owned();
    let (length, rest) = payload.split_first_chunk::<8>().ok_or_else(cut)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| cut())?;
    let (header, mut rest) = rest.split_at_checked(length).ok_or_else(cut)?;
    let header = wire::Reports::decode(header).map_err(|error| error.to_string())?;
    let mut words = [0; WORDS];
    for word in &mut words {
        let (first, behind) = rest.split_first_chunk::<8>().ok_or_else(cut)?;
        (*word, rest) = (u64::from_le_bytes(*first), behind);
    }
    let (count, behind) = rest.split_first_chunk::<8>().ok_or_else(cut)?;
    let noise = usize::try_from(u64::from_le_bytes(*count)).ok().and_then(|count| count.checked_mul(8));
    let (noise, rest) = noise.and_then(|bytes| behind.split_at_checked(bytes)).ok_or_else(cut)?;
    let noise: Vec<u64> = noise.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
    if !rest.len().is_multiple_of(size_of::<f32>()) {
        return Err(cut());
    }
    let mut elements = vec![0.0f32; rest.len() / size_of::<f32>()];
    bytes_mut(&mut elements).copy_from_slice(rest);
    // In the order of the named list, in which they are asked for.
    let mut lens = state.named(tensors).map(|named| named.len).collect::<Vec<_>>().into_iter();
    let mut left = elements.as_slice();
    let next = |_: &str| {
        let (values, behind) = left.split_at(lens.next().unwrap_or(0).min(left.len()));
        left = behind;
        values
    };
    state.fill(device, tensors, next).map_err(|error| error.to_string())?;
    state.set_words(words);
    state.set_noise(&noise)?;
    let step = state.cursor.step;
    let rows: Vec<_> = header.rows.into_iter().map(Into::into).collect();
    state.ledger = Ledger::default();
    state.ledger.replace_from(0, &rows).map_err(|error| error.to_string())?;
    if state.ledger.steps() != step {
        return Err(format!("its ledger has {} of {step} steps", state.ledger.steps()));
    }
    Ok(header.reports)
}
