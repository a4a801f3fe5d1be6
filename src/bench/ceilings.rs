//! What the GPU can do at most, as far as something simple shows it: a copy, and a large product of matrices.

use std::time::Duration;

use lockstep_kernels::cuda::{Arithmetic, Cuda, CudaError};
use lockstep_kernels::device::Memory;
use lockstep_kernels::linear::{Linear, LinearSize};
use lockstep_worker::selftest::Effort;

use super::kernels::Kernels;
use super::ops::{Cost, Floats};
use super::timing::median_on;

/// Of one GPU; nothing before anything was measured.
#[derive(Clone, Debug, Default)]
pub struct Ceilings {
    /// Bytes a second, read and written, of a copy in the GPU's memory.
    pub copy: f64,
    /// Operations a second in a large product, with these kernels; a multiply-add is two.
    pub products: Vec<(Kernels, f64)>,
}

impl Ceilings {
    /// Adds what a device with these kernels shows.
    ///
    /// # Errors
    /// If the GPU fails.
    pub fn measure(
        &mut self,
        gpu: &mut Cuda,
        kernels: &Kernels,
        effort: Effort,
        turns: usize,
    ) -> Result<(), CudaError> {
        if self.products.is_empty() {
            self.copy = copy(gpu, effort, turns)?;
        }
        self.products.push((kernels.clone(), product(gpu, effort, turns)?));
        Ok(())
    }

    /// The part of the time `took` that something costs at the ceilings of its numbers: 1 is as fast as can be.
    pub fn share(&self, cost: &Cost, arithmetic: Arithmetic, took: Duration) -> f64 {
        let least = self.seconds_of_memory(cost).max(self.seconds_of_arithmetic(cost, arithmetic));
        least / took.as_secs_f64().max(1e-9)
    }

    /// Whether arithmetic is what takes the longer at the ceilings, and not memory.
    pub fn is_arithmetic(&self, cost: &Cost, arithmetic: Arithmetic) -> bool {
        self.seconds_of_arithmetic(cost, arithmetic) > self.seconds_of_memory(cost)
    }

    fn seconds_of_memory(&self, cost: &Cost) -> f64 {
        cost.bytes as f64 / self.copy.max(1.0)
    }

    /// By the fastest of the products in the same numbers.
    fn seconds_of_arithmetic(&self, cost: &Cost, arithmetic: Arithmetic) -> f64 {
        let same = self.products.iter().filter(|(kernels, _)| kernels.arithmetic == arithmetic);
        let fastest = same.map(|(_, rate)| *rate).fold(1.0, f64::max);
        cost.operations as f64 / fastest
    }
}

/// Far more than a GPU's caches hold.
fn copy(gpu: &mut Cuda, effort: Effort, turns: usize) -> Result<f64, CudaError> {
    let len: usize = match effort {
        Effort::Small => 1 << 16,
        Effort::Full => 1 << 28,
    };
    let (from, mut to) = (gpu.zeros::<f32>(len), gpu.zeros::<f32>(len));
    let took = median_on(gpu, turns, |gpu| gpu.copy(Cuda::view(&from, 0..len), Cuda::view_mut(&mut to, 0..len)))?;
    Ok((2 * 4 * len) as f64 / took.as_secs_f64().max(1e-9))
}

/// Of square matrices.
fn product(gpu: &mut Cuda, effort: Effort, turns: usize) -> Result<f64, CudaError> {
    let side: usize = match effort {
        Effort::Small => 64,
        Effort::Full => 8192,
    };
    let size = LinearSize { samples: side, inputs: side, plane: 1, outputs: side };
    let (x, mut y) = (Floats::activation(gpu, side * side), Floats::activation(gpu, side * side));
    let (weight, bias) = (Floats::numbers(gpu, side * side), Floats::numbers(gpu, side));
    let took = median_on(gpu, turns, |gpu| {
        gpu.linear_forward(&size, x.view(), weight.view(), bias.view(), y.view_mut());
    })?;
    Ok(2.0 * (side as f64).powi(3) / took.as_secs_f64().max(1e-9))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 100 bytes and 1,000 operations a second at most.
    fn ceilings() -> Ceilings {
        let product = |whose: &str, arithmetic, rate| (Kernels::named(whose, arithmetic), rate);
        let products = vec![
            product("slow", Arithmetic::F32, 10.0),
            product("fast", Arithmetic::F32, 1000.0),
            product("narrow", Arithmetic::Bf16, 9000.0),
        ];
        Ceilings { copy: 100.0, products }
    }

    #[test]
    fn an_op_runs_into_the_ceiling_that_takes_it_the_longer() {
        let of = |bytes, operations| {
            let cost = Cost { bytes, operations };
            let took = Duration::from_secs(4);
            let arithmetic = Arithmetic::F32;
            (ceilings().is_arithmetic(&cost, arithmetic), ceilings().share(&cost, arithmetic, took))
        };
        assert_eq!([of(200, 1000), of(100, 3000), of(400, 0)], [(false, 0.5), (true, 0.75), (false, 1.0)]);
    }
}
