//! What a GPU has to show before anybody relies on it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use lockstep_kernels::cuda::nvml::{Nvml, Reading, Remapping};
use lockstep_kernels::cuda::{self, Cuda, CudaError};
use lockstep_kernels::device::{ActivationShape, Device, Failure, Precision};
use lockstep_kernels::exchange::{Interrupted, Peers, Transport};
use lockstep_kernels::linear::LinearSize;

use crate::trainer::canary;

/// What a membership of one device may take to be made.
const MEET_WITHIN: Duration = Duration::from_secs(60);
/// That are added up.
const NUMBERS: usize = 64;

/// What is wrong with a GPU, with what to do about it.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Fault {
    /// It can't be opened.
    #[error(transparent)]
    Cuda(#[from] CudaError),
    /// It fails while it computes.
    #[error(transparent)]
    Failure(#[from] Failure),
    /// Its memory is damaged.
    #[error(
        "its memory has had {errors} uncorrected ECC errors since the driver was loaded; reset it (nvidia-smi \
         --gpu-reset -i {bus}), and exchange it if they come back"
    )]
    Ecc {
        /// How many.
        errors: u64,
        /// Its place on the PCI bus.
        bus: String,
    },
    /// Its memory has no spare rows left.
    #[error("its memory has damaged rows that no spare ones could take the place of; exchange it")]
    Rows,
    /// It computes wrongly.
    #[error(
        "a matrix product of whole numbers came to {found} at {place}, where it is {expected}; the GPU computes wrongly"
    )]
    Product {
        /// Row and column.
        place: String,
        /// What the GPU says.
        found: f32,
        /// What it is.
        expected: f32,
    },
    /// Its collectives don't work.
    #[error("a small sum by {transport} did not succeed: {why}")]
    Sum {
        /// What it went by.
        transport: String,
        /// What went wrong.
        why: String,
    },
    /// It computes differently from time to time.
    #[error("the same gradient came to other bits the second time; the GPU computes wrongly now and then")]
    Canary,
}

/// Checks the GPU of this index.
pub(super) fn check(index: usize) -> Result<(), Fault> {
    memory(index)?;
    let mut gpu = Cuda::new(index)?;
    arithmetic(&mut gpu)?;
    sum(&mut gpu)
}

/// What NVML tells of its memory's past; nothing without NVML.
fn memory(index: usize) -> Result<(), Fault> {
    let bus = cuda::about(index)?.bus;
    match Nvml::open().and_then(|nvml| nvml.read(&bus)) {
        Ok(reading) => of_reading(&reading, bus),
        Err(_) => Ok(()),
    }
}

fn of_reading(reading: &Reading, bus: String) -> Result<(), Fault> {
    match (reading.ecc_errors, reading.remapping) {
        (_, Some(Remapping { failed: true, .. })) => Err(Fault::Rows),
        (Some(errors), _) if errors > 0 => Err(Fault::Ecc { errors, bus }),
        _ => Ok(()),
    }
}

/// A product whose result is known, and a whole network's gradient, twice.
fn arithmetic<D: Device>(device: &mut D) -> Result<(), Fault> {
    product(device)?;
    let [first, second] = [canary(device), canary(device)];
    device.health()?;
    if first == second { Ok(()) } else { Err(Fault::Canary) }
}

/// `y = x · wᵀ` of small whole numbers, whose sums are exact in f32 whatever their order. `x` (150, 210), `w` (90, 210).
fn product<D: Device>(device: &mut D) -> Result<(), Fault> {
    let size = LinearSize { samples: 150, inputs: 210, plane: 1, outputs: 90 };
    let number = |row: usize, column: usize| ((row * 31 + column * 17) % 13) as f32 - 6.0;
    let matrix = |rows| (0..rows).flat_map(|row| (0..size.inputs).map(move |i| number(row, i))).collect::<Vec<f32>>();
    let (x, w) = (matrix(size.samples), matrix(size.outputs));
    for (place, found) in multiplied(device, &size, &x, &w)?.into_iter().enumerate() {
        let (n, o) = (place / size.outputs, place % size.outputs);
        let rows = x[n * size.inputs..][..size.inputs].iter().zip(&w[o * size.inputs..][..size.inputs]);
        let expected: f32 = rows.map(|(x, w)| x * w).sum();
        if found != expected {
            return Err(Fault::Product { place: format!("row {n}, column {o}"), found, expected });
        }
    }
    Ok(())
}

fn multiplied<D: Device>(device: &mut D, size: &LinearSize, x: &[f32], w: &[f32]) -> Result<Vec<f32>, Failure> {
    let LinearSize { samples, inputs, outputs, .. } = *size;
    let [mut on_x, mut on_y] = [inputs, outputs].map(|features| device.zeros(device.activation_len(samples, features)));
    let (mut on_w, bias) = (device.zeros(w.len()), device.zeros(outputs));
    let (x_len, y_len) = (device.activation_len(samples, inputs), device.activation_len(samples, outputs));
    device.write_activation(&ActivationShape::flat(samples, inputs), x, D::view_mut(&mut on_x, 0..x_len));
    device.write(w, D::view_mut(&mut on_w, 0..w.len()));
    device.linear_forward(
        size,
        D::view(&on_x, 0..x_len),
        D::view(&on_w, 0..w.len()),
        D::view(&bias, 0..outputs),
        D::view_mut(&mut on_y, 0..y_len),
    );
    let mut y = vec![0.0; samples * outputs];
    device.read_activation(&ActivationShape::flat(samples, outputs), D::view(&on_y, 0..y_len), &mut y);
    device.health()?;
    Ok(y)
}

/// A sum of a few numbers, by what vectors go by from device to device, in a membership of this device alone: with others
/// it is made when a generation's members meet. Nothing where there is no such way; who needs it says so.
fn sum<D: Device>(device: &mut D) -> Result<(), Fault> {
    let Ok(Some(transport)) = D::transport() else { return Ok(()) };
    let fault = |why: String| Fault::Sum { transport: transport.name(), why };
    let interrupted = |interrupted: Interrupted| fault(interrupted.to_string());
    let invitation = transport.invitation()?;
    let abort = Arc::new(AtomicBool::new(false));
    // Before the membership, so that it is given back behind it: what hangs ends first.
    let mut numbers = device.zeros(NUMBERS);
    let mut alone = transport.join(device, &invitation, (0, 1), abort, MEET_WITHIN).map_err(interrupted)?;
    device.fill(3.0, D::view_mut(&mut numbers, 0..NUMBERS));
    alone.follow(device);
    alone.add_up(D::view_mut(&mut numbers, 0..NUMBERS), Precision::F32).map_err(interrupted)?;
    alone.settle().map_err(interrupted)?;
    alone.release(device);
    let mut told = [0.0; NUMBERS];
    device.read(D::view(&numbers, 0..NUMBERS), &mut told);
    device.health()?;
    if told == [3.0; NUMBERS] { Ok(()) } else { Err(fault(format!("3 came to {}", told[0]))) }
}

#[cfg(test)]
mod tests {
    use lockstep_kernels::cpu::{Cpu, InstructionSet};

    use super::*;

    #[test]
    fn a_device_that_is_as_it_should_be_passes() {
        assert_eq!(arithmetic(&mut Cpu::new(InstructionSet::detect())), Ok(()));
    }

    #[test]
    fn damaged_memory_is_a_fault() {
        let reading = |ecc_errors, remapping| Reading {
            uuid: String::new(),
            memory_used: 0,
            memory_total: 0,
            temperature: None,
            ecc_errors,
            remapping,
        };
        let fault = |ecc_errors, remapping| of_reading(&reading(ecc_errors, remapping), "0000:41:00.0".into()).err();
        assert_eq!(fault(None, None), None);
        assert_eq!(fault(Some(0), Some(Remapping { pending: true, failed: false })), None);
        assert_eq!(fault(Some(0), Some(Remapping { pending: false, failed: true })), Some(Fault::Rows));
        let words = fault(Some(2), None).unwrap().to_string();
        assert!(words.contains("2 uncorrected ECC errors") && words.contains("-i 0000:41:00.0"), "{words}");
    }
}
