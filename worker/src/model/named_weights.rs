//! Weights by name, as files hold them: a run's `final/model.safetensors`, a PyTorch `state_dict` that was saved as
//! safetensors, or a checkpoint's state.
//!
//! A file is not trusted: its size, header, names and shapes are checked before anything is taken from it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

use lockstep_checkpoint::Snapshot;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use super::Tensor;

/// Largest file that is read.
const MOST_BYTES: u64 = 4 << 30;
/// Largest header that is believed.
const HEADER_BYTES: u64 = 16 << 20;
/// What PyTorch's batch normalisation counts beside its statistics; nothing here needs it.
const IGNORED: &str = "num_batches_tracked";

/// Weights that can't be used; the line names the file, the tensor and what to do.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file cannot be read.
    #[error("{origin}: cannot be read: {source}")]
    Read {
        /// The file.
        origin: String,
        /// Why.
        source: io::Error,
    },
    /// It is no such file.
    #[error("{origin}: is no safetensors file that can be read: {reason}")]
    Format {
        /// The file.
        origin: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Numbers of a type that is not read.
    #[error("{origin}: tensor {name} is of type {dtype}, but only F32, F16 and BF16 can be read: convert it")]
    Type {
        /// The file.
        origin: String,
        /// The tensor.
        name: String,
        /// Its type.
        dtype: String,
    },
    /// The model has a tensor that the file has not.
    #[error("{origin}: has no tensor {name}, which the model has: take weights of the same network")]
    Missing {
        /// The file.
        origin: String,
        /// The tensor.
        name: String,
    },
    /// The file has a tensor that the model has not.
    #[error("{origin}: its tensor {name} has no place in the model: take weights of the same network")]
    Unknown {
        /// The file.
        origin: String,
        /// The tensor.
        name: String,
    },
    /// Another shape.
    #[error("{origin}: its tensor {name} is of shape {theirs:?}, the model's of {ours:?}")]
    Shape {
        /// The file.
        origin: String,
        /// The tensor.
        name: String,
        /// In the file.
        theirs: Vec<usize>,
        /// In the model.
        ours: Vec<usize>,
    },
    /// A number that nothing can begin with.
    #[error("{origin}: its tensor {name} holds {value}: it is of no use")]
    NotFinite {
        /// The file.
        origin: String,
        /// The tensor.
        name: String,
        /// NaN or an infinity.
        value: f32,
    },
}

/// Which of a state's two sets of parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterSet {
    /// The moving average where the job keeps one, else what is trained.
    Averaged,
    /// What is trained.
    Trained,
}

/// Tensors by name, as f32.
#[derive(Debug)]
pub struct NamedWeights {
    /// Where they are from.
    origin: String,
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl NamedWeights {
    /// Reads a safetensors file of F32, F16 or BF16.
    ///
    /// # Errors
    /// If it cannot be read, is too large, or is no such file.
    pub fn read(path: &Path) -> Result<Self, WeightsError> {
        let origin = path.display().to_string();
        Self::parse(origin, &read_bounded(path)?)
    }

    /// The same of bytes that are in memory. `origin`: the file, for messages.
    ///
    /// # Errors
    /// The same.
    pub fn parse(origin: String, bytes: &[u8]) -> Result<Self, WeightsError> {
        let format = |reason: String| WeightsError::Format { origin: origin.clone(), reason };
        let head = bytes.first_chunk::<8>().ok_or_else(|| format("it is too short for a header".into()))?;
        if u64::from_le_bytes(*head) > HEADER_BYTES {
            return Err(format(format!("its header is longer than {HEADER_BYTES} bytes")));
        }
        let file = SafeTensors::deserialize(bytes).map_err(|error| format(error.to_string()))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            if name.rsplit('.').next() == Some(IGNORED) {
                continue;
            }
            let values = values_of(&view).ok_or_else(|| WeightsError::Type {
                origin: origin.clone(),
                name: shown(name),
                dtype: format!("{:?}", view.dtype()),
            })?;
            tensors.insert(name.to_owned(), (view.shape().to_vec(), values));
        }
        Ok(Self { origin, tensors })
    }

    /// What a checkpoint's state evaluates or trains. `origin`: where the checkpoint is, for messages.
    pub fn of_snapshot(origin: String, snapshot: Snapshot, set: ParameterSet) -> Self {
        let averaged = snapshot.tensors.iter().any(|tensor| tensor.name.starts_with("average/"));
        let parameters = if averaged && set == ParameterSet::Averaged { "average" } else { "parameters" };
        let wanted = snapshot.tensors.into_iter().filter_map(|tensor| {
            let (list, name) = tensor.name.split_once('/')?;
            (list == parameters || list == "statistics")
                .then(|| (name.to_owned(), (tensor.shape.clone(), tensor.values)))
        });
        Self { origin, tensors: wanted.collect() }
    }

    /// Where they are from.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Name, shape and elements of each, by name.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &[usize], &[f32])> {
        self.tensors.iter().map(|(name, (shape, values))| (name.as_str(), shape.as_slice(), values.as_slice()))
    }

    /// Tensors, and elements of all of them.
    pub fn counts(&self) -> (usize, usize) {
        (self.tensors.len(), self.tensors.values().map(|(_, values)| values.len()).sum())
    }

    /// Overwrites `flat`, laid out as the model's `tensors` say, with these weights. The elements in `anew` stay as
    /// they are; tensors of their names are not looked at.
    ///
    /// # Errors
    /// If a tensor is missing, of another shape, or there is one that the model has not: `flat` is of no use then.
    pub fn fill(&self, tensors: &[Tensor], anew: Range<usize>, flat: &mut [f32]) -> Result<(), WeightsError> {
        let (origin, stays) = (|| self.origin.clone(), |tensor: &Tensor| anew.contains(&tensor.range.start));
        for tensor in tensors.iter().filter(|tensor| !stays(tensor)) {
            let (name, ours) = (&tensor.shape.name, &tensor.shape.shape);
            let Some((theirs, values)) = self.tensors.get(name) else {
                return Err(WeightsError::Missing { origin: origin(), name: name.clone() });
            };
            if theirs != ours {
                let (theirs, ours) = (theirs.clone(), ours.clone());
                return Err(WeightsError::Shape { origin: origin(), name: name.clone(), theirs, ours });
            }
            flat[tensor.range.clone()].copy_from_slice(values);
        }
        let known = |name: &String| tensors.iter().any(|tensor| tensor.shape.name == *name);
        match self.tensors.keys().find(|name| !known(name)) {
            Some(name) => Err(WeightsError::Unknown { origin: origin(), name: shown(name) }),
            None => Ok(()),
        }
    }

    /// Refuses numbers that nothing can begin with.
    ///
    /// # Errors
    /// At the first NaN or infinity.
    pub fn check_finite(&self) -> Result<(), WeightsError> {
        let strange = self
            .tensors
            .iter()
            .find_map(|(name, (_, values))| values.iter().find(|value| !value.is_finite()).map(|value| (name, *value)));
        match strange {
            Some((name, value)) => {
                Err(WeightsError::NotFinite { origin: self.origin.clone(), name: shown(name), value })
            }
            None => Ok(()),
        }
    }

    /// As a safetensors file: tensors only, no metadata.
    ///
    /// # Errors
    /// If the format refuses a name or shape.
    pub fn to_safetensors(&self) -> Result<Vec<u8>, safetensors::SafeTensorError> {
        let bytes_of = |values: &Vec<f32>| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
        let bytes: Vec<Vec<u8>> = self.tensors.values().map(|(_, values)| bytes_of(values)).collect();
        let views =
            self.tensors.iter().zip(&bytes).map(|((name, (shape, _)), data)| {
                Ok((name.clone(), TensorView::new(Dtype::F32, shape.clone(), data)?))
            });
        safetensors::serialize(views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?, None)
    }
}

/// All bytes of a file of weights.
///
/// # Errors
/// If it cannot be read or is too large.
pub fn read_bounded(path: &Path) -> Result<Vec<u8>, WeightsError> {
    let origin = path.display().to_string();
    let failed = |source| WeightsError::Read { origin: origin.clone(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(WeightsError::Format { reason: format!("it is larger than {MOST_BYTES} bytes"), origin });
    }
    Ok(bytes)
}

/// A name from a file, for a message.
fn shown(name: &str) -> String {
    name.escape_debug().take(160).collect()
}

/// Numbers of a type that is read.
fn values_of(view: &TensorView<'_>) -> Option<Vec<f32>> {
    let data = view.data();
    let halves = || data.chunks_exact(2).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
    match view.dtype() {
        Dtype::F32 => {
            let words = data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            Some(words.collect())
        }
        Dtype::BF16 => Some(halves().map(|half| f32::from_bits(u32::from(half) << 16)).collect()),
        Dtype::F16 => Some(halves().map(from_half).collect()),
        _ => None,
    }
}

/// IEEE 754 binary16 to binary32, exact.
fn from_half(half: u16) -> f32 {
    let (sign, exponent, fraction) = (half >> 15, (half >> 10) & 31, u32::from(half & 1023));
    let magnitude = match exponent {
        // Multiples of 2⁻²⁴.
        0 => fraction as f32 * f32::from_bits((127 - 24) << 23),
        31 => f32::from_bits(0x7f80_0000 | fraction << 13),
        _ => f32::from_bits((u32::from(exponent) + 127 - 15) << 23 | fraction << 13),
    };
    if sign == 1 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{Role, TensorShape};

    fn tensor(name: &str, shape: &[usize], start: usize) -> Tensor {
        let shape = TensorShape { name: name.into(), shape: shape.to_vec(), role: Role::Shift };
        Tensor { range: start..start + shape.len(), shape }
    }

    /// A file of these tensors, all bytes the same.
    fn file(tensors: &[(&str, Dtype, &[usize], usize)]) -> Vec<u8> {
        let data: Vec<Vec<u8>> = tensors.iter().map(|(.., bytes)| vec![0x3c; *bytes]).collect();
        let views = tensors.iter().zip(&data).map(|((name, dtype, shape, _), data)| {
            (name.to_string(), TensorView::new(*dtype, shape.to_vec(), data).unwrap())
        });
        safetensors::serialize(views.collect::<Vec<_>>(), None).unwrap()
    }

    fn parse(bytes: &[u8]) -> Result<NamedWeights, String> {
        NamedWeights::parse("file".into(), bytes).map_err(|error| error.to_string())
    }

    #[test]
    fn weights_are_taken_by_name_and_shape() {
        let model = [tensor("fc.weight", &[2, 3], 0), tensor("fc.bias", &[2], 6), tensor("conv.weight", &[1, 2], 8)];
        let conv = ("conv.weight", Dtype::F32, &[1, 2][..], 8);
        let fill = |tensors: &[(&str, Dtype, &[usize], usize)], anew| {
            let mut flat = [7.0; 10];
            let filled = parse(&file(tensors)).unwrap().fill(&model, anew, &mut flat);
            filled.map(|()| flat).map_err(|error| error.to_string())
        };
        let head = [("fc.weight", Dtype::F16, &[2, 3][..], 12), ("fc.bias", Dtype::BF16, &[2][..], 4)];
        let counter = ("bn.num_batches_tracked", Dtype::I64, &[][..], 8);
        let flat = fill(&[head[0], head[1], conv, counter], 0..0).unwrap();
        let (half, brain, single) = (1.058_593_8, f32::from_bits(0x3c3c_0000), f32::from_bits(0x3c3c_3c3c));
        assert_eq!(flat, [half, half, half, half, half, half, brain, brain, single, single]);

        let error = fill(&[head[0], conv], 0..0).unwrap_err();
        assert_eq!(error, "file: has no tensor fc.bias, which the model has: take weights of the same network");
        let error = fill(&[head[1], ("fc.weight", Dtype::F32, &[3, 2], 24), conv], 0..0).unwrap_err();
        assert_eq!(error, "file: its tensor fc.weight is of shape [3, 2], the model's of [2, 3]");
        let error = fill(&[head[0], head[1], conv, ("other", Dtype::F32, &[1], 4)], 0..0).unwrap_err();
        assert!(error.starts_with("file: its tensor other has no place in the model"), "{error}");
        // A new head: whatever the file has of it.
        let other_head = ("fc.weight", Dtype::F32, &[5, 3][..], 60);
        assert_eq!(fill(&[other_head, conv], 0..8).unwrap()[..9], [7., 7., 7., 7., 7., 7., 7., 7., single]);
        assert!(fill(&[conv], 0..8).is_ok() && fill(&[conv], 0..0).is_err());
    }

    #[test]
    fn other_types_and_other_files_are_refused() {
        let error = parse(&file(&[("a", Dtype::F64, &[1], 8)])).unwrap_err();
        assert!(error.contains("tensor a is of type F64, but only F32, F16 and BF16"), "{error}");
        assert!(parse(b"PK\x03\x04 zip archive").unwrap_err().contains("header is longer"));
        assert!(parse(b"short").unwrap_err().contains("too short"));
        let whole = file(&[("a", Dtype::F32, &[3], 12), ("b", Dtype::F16, &[1], 2)]);
        for length in 0..whole.len() {
            assert!(parse(&whole[..length]).is_err());
        }
        // No bytes make it panic.
        for byte in 0..whole.len() {
            for letter in b"0129{}[],:\"\\aF\x00\xff" {
                let mut changed = whole.clone();
                changed[byte] = *letter;
                let _ = parse(&changed);
            }
        }
    }

    #[test]
    fn halves_are_exact() {
        for half in 0..=u16::MAX {
            let (exponent, fraction) = (i32::from((half >> 10) & 31), f64::from(half & 1023));
            let exact = match exponent {
                0 => fraction * 2f64.powi(-24),
                31 if fraction == 0.0 => f64::INFINITY,
                31 => f64::NAN,
                _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
            };
            let exact = if half >> 15 == 1 { -exact } else { exact };
            let ours = f64::from(from_half(half));
            assert!(ours.to_bits() == exact.to_bits() || (ours.is_nan() && exact.is_nan()), "{half:04x}");
        }
    }

    #[test]
    fn a_file_of_weights_comes_back_the_same() {
        let bytes = file(&[("b", Dtype::F32, &[2, 2], 16), ("a", Dtype::F32, &[1], 4)]);
        assert_eq!(parse(&bytes).unwrap().to_safetensors().unwrap(), bytes);
    }
}
