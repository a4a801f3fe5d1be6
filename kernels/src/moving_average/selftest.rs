//! Moving averages, each operation rounded by itself.

use lockstep_kernels::moving_average::{AverageStep, MovingAverage};

use crate::Bench;
use crate::array::Array;
use crate::numbers::{numbers, wide};

const LENGTHS: [usize; 3] = [1, 37, 513];

pub fn averages<D: MovingAverage>(bench: &mut Bench<'_, D>) {
    for len in LENGTHS {
        for (scale, weight) in [(1.0, 0.1), (0.3, 0.499), (0.3, 0.5), (1.0, 0.7), (0.7, 1.0), (1.0, 0.0)] {
            moving_average(bench, len, &AverageStep { scale, weight });
        }
    }
}

fn moving_average<D: MovingAverage>(bench: &mut Bench<'_, D>, len: usize, step: &AverageStep) {
    let (x, before) = (numbers(len, 1), numbers(len, 2));
    let [found, again] = [(); 2].map(|()| {
        let device = &mut *bench.device;
        let (x, mut average) = (Array::tensor(device, &x), Array::tensor(device, &before));
        device.moving_average(step, x.view(), average.view_mut());
        average.read(device)
    });
    let AverageStep { scale, weight } = *step;
    let of_element = |(x, average): (&f32, &f32)| {
        let way = scale * x - average;
        if weight < 0.5 { average + weight * way } else { scale * x - way * (1.0 - weight) }
    };
    let expected: Vec<f32> = x.iter().zip(&before).map(of_element).collect();
    let case = format!("of {len}, scale {scale}, weight {weight}");
    bench.compare(("moving average", &case, "value"), [&found, &again], &wide(&expected), 0.0);
}
