//! `state.safetensors`: the tensors, nothing else.

use std::collections::HashMap;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};

use crate::snapshot::{Tensor, flaw};

/// Bytes that are converted, hashed and written at a time: small enough for the second-level cache.
const PIECE: usize = 64 << 10;

/// Largest header that is believed.
const HEADER_BYTES: u64 = 16 << 20;

const VALUE: usize = size_of::<f32>();

/// A state about to be written: its header is made, its values are still the trainer's.
pub(crate) struct StateFile<'a> {
    head: Vec<u8>,
    tensors: &'a [Tensor],
    /// Size of the file.
    pub bytes: u64,
}

impl<'a> StateFile<'a> {
    /// Lays the tensors out one behind the other. They have been checked.
    ///
    /// # Errors
    /// If the format refuses a name or shape.
    pub fn new(tensors: &'a [Tensor]) -> Result<Self, String> {
        let mut end = 0;
        let infos = tensors.iter().map(|tensor| {
            let start = end;
            end += tensor.values.len() * VALUE;
            let info = TensorInfo { dtype: Dtype::F32, shape: tensor.shape.clone(), data_offsets: (start, end) };
            (tensor.name.clone(), info)
        });
        let metadata = Metadata::new(None, infos.collect()).map_err(|error| error.to_string())?;
        let mut header = serde_json::to_vec(&metadata).map_err(|error| error.to_string())?;
        header.resize(header.len().next_multiple_of(8), b' ');
        let mut head = (header.len() as u64).to_le_bytes().to_vec();
        head.append(&mut header);
        let bytes = (head.len() + end) as u64;
        Ok(Self { head, tensors, bytes })
    }

    /// Gives all bytes of the file to `sink`, piece by piece.
    ///
    /// # Errors
    /// The first of `sink`.
    pub fn stream<E>(&self, mut sink: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        sink(&self.head)?;
        let mut piece = vec![0; PIECE];
        let mut filled = 0;
        for tensor in self.tensors {
            let mut values = tensor.values.as_slice();
            while !values.is_empty() {
                let (now, rest) = values.split_at(values.len().min((PIECE - filled) / VALUE));
                for (bytes, value) in piece[filled..].chunks_exact_mut(VALUE).zip(now) {
                    bytes.copy_from_slice(&value.to_le_bytes());
                }
                (values, filled) = (rest, filled + now.len() * VALUE);
                if filled == PIECE {
                    sink(&piece)?;
                    filled = 0;
                }
            }
        }
        if filled > 0 { sink(&piece[..filled]) } else { Ok(()) }
    }
}

/// The tensors of a file that came from a disk.
///
/// # Errors
/// What is wrong with the file, in words.
pub(crate) fn decode(file: &[u8]) -> Result<Vec<Tensor>, String> {
    let head = file.first_chunk::<8>().ok_or("it is too short for a header")?;
    if u64::from_le_bytes(*head) > HEADER_BYTES {
        return Err(format!("its header is longer than {HEADER_BYTES} bytes"));
    }
    let (header, metadata) = SafeTensors::read_metadata(file).map_err(|error| error.to_string())?;
    let data = &file[head.len() + header..];
    let infos: HashMap<String, &TensorInfo> = metadata.tensors();
    if let Some(flaw) = flaw(infos.iter().map(|(name, info)| (name.as_str(), info.shape.as_slice()))) {
        return Err(flaw);
    }
    let mut tensors = Vec::with_capacity(infos.len());
    for (name, info) in infos {
        if info.dtype != Dtype::F32 {
            return Err(format!("tensor {name} is of {:?}, not F32", info.dtype));
        }
        tensors.push((info.data_offsets, name, info));
    }
    // As they lay in the snapshot; none is empty, so offsets differ.
    tensors.sort_by_key(|(offsets, ..)| *offsets);
    let tensors = tensors.into_iter().map(|((start, end), name, info)| {
        let values = data[start..end]
            .chunks_exact(VALUE)
            .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        Tensor { name, shape: info.shape.clone(), values: values.collect() }
    });
    Ok(tensors.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(tensors: &[Tensor]) -> Vec<u8> {
        let file = StateFile::new(tensors).unwrap();
        let mut bytes = Vec::new();
        file.stream(|piece| {
            bytes.extend_from_slice(piece);
            Ok::<(), ()>(())
        })
        .unwrap();
        assert_eq!(bytes.len() as u64, file.bytes);
        bytes
    }

    #[test]
    fn tensors_come_back_in_their_order_whatever_their_sizes() {
        let tensor = |name: &str, shape: &[usize]| Tensor {
            name: name.into(),
            shape: shape.into(),
            values: (0..shape.iter().product()).map(|i| i as f32 * -0.1).collect(),
        };
        let piece = PIECE / VALUE;
        for sizes in [[1, 1, 1], [piece, piece, piece], [piece - 1, 3, piece * 2], [5, piece * 3 + 1, 7]] {
            let tensors = [tensor("z", &[sizes[0]]), tensor("b", &[1, sizes[1]]), tensor("a/é\"", &[sizes[2], 1, 1])];
            let bytes = bytes(&tensors);
            assert_eq!(decode(&bytes).unwrap(), tensors);
            assert!(SafeTensors::deserialize(&bytes).is_ok());
        }
        let scalar = [tensor("scalar", &[])];
        assert_eq!(decode(&bytes(&scalar)).unwrap(), scalar);
        assert_eq!(decode(&bytes(&[])).unwrap(), []);
    }

    #[test]
    fn nothing_but_tensors_of_f32_is_read() {
        let file = |header: &str, data: usize| {
            let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
            bytes.extend(header.as_bytes());
            bytes.resize(bytes.len() + data, 0);
            bytes
        };
        for (header, data, wrong) in [
            (r#"{"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}"#, 8, "F64"),
            (r#"{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#, 0, "shape"),
            (r#"{"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}}"#, 4, "shape"),
            (r#"{"a\u0007":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 4, "name"),
            (r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, 4, "shape"),
            (r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 5, "incomplete"),
            (r#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}"#, 0, "overflow"),
            ("{", 0, "JSON"),
        ] {
            let error = decode(&file(header, data)).unwrap_err();
            assert!(error.contains(wrong), "{header}: {error}");
        }
        assert!(decode(&[]).is_err());
        assert!(decode(&u64::MAX.to_le_bytes()).is_err());
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let tensors = [("a", 3), ("b", 1)].map(|(name, size)| Tensor {
            name: name.into(),
            shape: vec![size],
            values: vec![1.0; size],
        });
        let whole = bytes(&tensors);
        // Digits, braces and quotes make other headers that parse.
        let letters = b"0123456789{}[],:\"\\ aF\x00\xff";
        for length in 0..whole.len() {
            assert!(decode(&whole[..length]).is_err());
        }
        for byte in 0..whole.len() {
            for letter in letters {
                let mut changed = whole.clone();
                changed[byte] = *letter;
                let _ = decode(&changed);
            }
        }
    }
}
