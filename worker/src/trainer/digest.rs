//! Digests of a state: one a tensor, and one of all. Equal states have equal digests, whoever computed them.

use lockstep_kernels::device::{Device, Failure};
use lockstep_kernels::shared_memory::bytes;

use super::state::{State, WORDS};
use crate::model::Tensor;

/// Digits of a digest: 128 bits.
const DIGITS: usize = 32;
/// Elements that are copied from the device at a time.
const PARCEL: usize = 64 << 10;

/// Digests of a committed state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Digests {
    /// Names of the tensors.
    pub names: Vec<String>,
    /// BLAKE3 of each tensor's elements, hex.
    pub tensors: Vec<String>,
    /// BLAKE3 over names, tensors' digests, cursor, loss of the epoch, evaluations and noise, hex.
    pub state: String,
}

impl<D: Device> State<D> {
    /// Digests of this state over the model's `tensors`.
    ///
    /// # Errors
    /// If the device has failed: what was read of it then is nobody's state.
    pub fn digests(&self, device: &mut D, tensors: &[Tensor]) -> Result<Digests, Failure> {
        let mut digests = Digests::default();
        let mut whole = blake3::Hasher::new();
        for named in self.named(tensors) {
            let digest = digest_of(device, named.values, named.len);
            // Names hold no control characters.
            whole.update(format!("{}\n{digest}\n", named.name).as_bytes());
            digests.names.push(named.name);
            digests.tensors.push(digest);
        }
        for word in &self.words()[..WORDS - 1] {
            whole.update(&word.to_le_bytes());
        }
        // A state from before noise was kept has the digest that it had then.
        if !self.noise.is_empty() {
            self.noise.words().iter().for_each(|word| _ = whole.update(&word.to_le_bytes()));
        }
        digests.state = hex(&whole);
        device.health()?;
        Ok(digests)
    }
}

/// BLAKE3 of `len` elements' little-endian bytes, hex.
pub fn digest_of<D: Device>(device: &mut D, values: D::View<'_, f32>, len: usize) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut parcel = vec![0.0; len.min(PARCEL)];
    for start in (0..len).step_by(PARCEL) {
        let parcel = &mut parcel[..PARCEL.min(len - start)];
        device.read(D::slice(values, start..start + parcel.len()), parcel);
        hasher.update(bytes(parcel));
    }
    hex(&hasher)
}

fn hex(hasher: &blake3::Hasher) -> String {
    hasher.finalize().to_hex()[..DIGITS].to_owned()
}
