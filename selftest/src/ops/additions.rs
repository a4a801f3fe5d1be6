//! Element-wise sums.

use lockstep_kernels::addition::Addition;

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
    let (a, b, behind) = (Array::tensor(device, a), Array::tensor(device, b), Array::tensor(device, d_y));
    let mut y = Array::unwritten(device, d_y.len());
    let mut d_a = Array::zeros(device, d_y.len());
    device.add(a.view(), b.view(), y.view_mut());
    device.accumulate(d_a.view_mut(), behind.view());
    [y.read(device), d_a.read(device), d_y.clone()]
}
