//! The step up of sharpness-aware minimisation, each operation rounded by itself.

use lockstep_kernels::perturb::{Perturb, PerturbStep};

use crate::Bench;
use crate::array::Array;
use crate::numbers::{numbers, wide};

pub fn steps_up<D: Perturb>(bench: &mut Bench<'_, D>) {
    for len in [1, 37, 513] {
        for (count, scale) in [(1, 1.0), (3, 0.7)] {
            step_up(bench, len, &PerturbStep { count, scale });
        }
    }
}

fn step_up<D: Perturb>(bench: &mut Bench<'_, D>, len: usize, step: &PerturbStep) {
    let (gradient, parameters) = (numbers(len, 1), numbers(len, 2));
    let [found, again] = [(); 2].map(|()| {
        let device = &mut *bench.device;
        let (gradient, parameters) = (Array::tensor(device, &gradient), Array::tensor(device, &parameters));
        let mut perturbed = Array::unwritten(device, len);
        device.perturb(step, gradient.view(), parameters.view(), perturbed.view_mut());
        perturbed.read(device)
    });
    let PerturbStep { count, scale } = *step;
    let reciprocal = (1.0 / count as f64) as f32;
    let expected: Vec<f32> = gradient.iter().zip(&parameters).map(|(g, w)| w + g * reciprocal * scale).collect();
    let case = format!("of {len}, count {count}, scale {scale}");
    bench.compare(("step up", &case, "value"), [&found, &again], &wide(&expected), 0.0);
}
