//! Sums where branches of a network meet.

use lockstep_kernels::addition::Addition;

use crate::bits;
use crate::layout::devices;

#[test]
fn sums_are_rounded_once() {
    for len in [1, 16, 37, 160] {
        let (a, b) = (bits::rounding(len, 1), bits::rounding(len, 2));
        let expected: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a + b).collect();
        for mut device in devices() {
            let mut y = vec![7.0; len];
            device.add(&a, &b, &mut y);
            assert_eq!(y, expected);
            let mut sum = a.clone();
            device.accumulate(&mut sum, &b);
            assert_eq!(sum, expected);
        }
    }
}
