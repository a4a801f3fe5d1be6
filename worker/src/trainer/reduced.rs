//! The reduced vector, which is in the host's memory, where the device can read it.

use lockstep_kernels::device::Device;

/// Memory that is kept for it; none on a device that reads the host's.
pub(super) type Memory<D> = Option<<D as lockstep_kernels::device::Memory>::Buffer<f32>>;

/// The host's vector itself, or a copy in `memory`.
pub(super) fn on_device<'a, D: Device>(
    device: &mut D,
    vector: &'a [f32],
    memory: &'a mut Memory<D>,
) -> D::View<'a, f32> {
    if let Some(view) = D::host_view(vector) {
        return view;
    }
    let copy = memory.get_or_insert_with(|| device.zeros(vector.len()));
    device.write(vector, D::view_mut(copy, 0..vector.len()));
    D::view(copy, 0..vector.len())
}
