//! A flat vector as a safetensors file, one tensor after the other: large weights exist no third time meanwhile.

use std::borrow::Cow;
use std::cell::RefCell;

use lockstep_kernels::device::Device;
use safetensors::tensor::{Dtype, SafeTensorError, View};

use crate::model::Tensor;

/// The bytes of a file of `tensors`, without metadata.
///
/// # Errors
/// If the format refuses a name or shape.
pub(super) fn weights_file<D: Device>(
    device: &mut D,
    flat: D::View<'_, f32>,
    tensors: &[Tensor],
) -> Result<Vec<u8>, SafeTensorError> {
    let device = RefCell::new(device);
    let len = tensors.iter().map(|tensor| tensor.range.end).max().unwrap_or(0);
    let place = |tensor| OnDevice { device: &device, flat: D::slice(flat, 0..len), tensor };
    let views = tensors.iter().map(|tensor| (&tensor.shape.name, place(tensor)));
    safetensors::serialize(views, None)
}

/// A tensor that is read when its turn comes.
struct OnDevice<'a, 'd, D: Device> {
    device: &'a RefCell<&'d mut D>,
    flat: D::View<'a, f32>,
    tensor: &'a Tensor,
}

impl<D: Device> View for OnDevice<'_, '_, D> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.tensor.shape.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let mut values = vec![0.0f32; self.tensor.range.len()];
        self.device.borrow_mut().read(D::slice(self.flat, self.tensor.range.clone()), &mut values);
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    fn data_len(&self) -> usize {
        size_of::<f32>() * self.tensor.range.len()
    }
}
