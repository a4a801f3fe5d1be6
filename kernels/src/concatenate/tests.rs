//! Concatenations where branches of a network meet.

use lockstep_kernels::concatenate::{Concatenate, ConcatenateSize};

use crate::layout::{assert_padding_is_zero, devices, to_activation, to_rows, unwritten};
use lockstep_selftest::numbers::numbers;

#[test]
fn parts_are_laid_side_by_side_and_taken_apart() {
    for samples in [1, 16, 19] {
        let widths = [3, 1, 5];
        let parts = widths.map(|width| numbers(samples * width, width));
        for mut device in devices() {
            let mut y = unwritten(&device, samples, 9);
            let mut first = 0;
            for (part, width) in parts.iter().zip(widths) {
                let size = ConcatenateSize { samples, features: 9, first, part: width, plane: 1 };
                device.concatenate_forward(&size, &to_activation(&device, part, width, 0.0), &mut y);
                first += width;
            }
            let rows: Vec<f32> = (0..samples)
                .flat_map(|n| parts.iter().zip(widths).flat_map(move |(part, width)| &part[n * width..][..width]))
                .copied()
                .collect();
            assert_eq!(to_rows(&device, &y, samples, 9), rows);
            assert_padding_is_zero(&device, "y", &y, samples, 9);
            first = 0;
            for (part, width) in parts.iter().zip(widths) {
                let size = ConcatenateSize { samples, features: 9, first, part: width, plane: 1 };
                let mut d_x = unwritten(&device, samples, width);
                device.concatenate_backward(&size, &y, &mut d_x);
                assert_eq!(to_rows(&device, &d_x, samples, width), *part);
                assert_padding_is_zero(&device, "d_x", &d_x, samples, width);
                first += width;
            }
        }
    }
}

#[test]
#[should_panic(expected = "a part of 2 values from 3 on reaches beyond 4")]
fn a_part_beyond_the_whole_is_refused() {
    let size = ConcatenateSize { samples: 1, features: 4, first: 3, part: 2, plane: 1 };
    devices()[0].concatenate_forward(&size, &[0.0; 32], &mut [0.0; 64]);
}
