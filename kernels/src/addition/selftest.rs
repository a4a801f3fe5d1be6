//! Element-wise sums.

use lockstep_kernels::addition::Addition;
use lockstep_kernels::device::ActivationShape;

use crate::Bench;
use crate::array::Array;
use crate::numbers::rows;

pub fn additions<D: Addition>(bench: &mut Bench<'_, D>) {
    for len in [1, 37, 513] {
        bench.gradient_check(
            ("addition", &format!("of {len}")),
            &rows([len; 3]),
            |[a, b, _]| a.iter().zip(b).map(|(a, b)| a + b).collect(),
            both_passes,
            1e-7,
        );
    }
}

/// Of a, b, d_y, where `b` passes `d_y` on and `a` has it added to zeros.
fn both_passes<D: Addition>(device: &mut D, [a, b, d_y]: &[Vec<f32>; 3]) -> [Vec<f32>; 3] {
    let shape = ActivationShape::flat(1, d_y.len());
    let [a, b, behind] = [a, b, d_y].map(|rows| Array::activation(device, &shape, rows));
    let mut y = Array::unwritten_activation(device, &shape);
    let mut d_a = Array::activation(device, &shape, &vec![0.0; d_y.len()]);
    device.add(a.view(), b.view(), y.view_mut());
    device.accumulate(d_a.view_mut(), behind.view());
    [y.rows(device, &shape), d_a.rows(device, &shape), d_y.clone()]
}
