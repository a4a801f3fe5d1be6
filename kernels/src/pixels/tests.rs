//! Pixels as numbers.

use lockstep_kernels::pixels::{Levels, Pixels, PixelsSize};

use crate::layout::{assert_padding_is_zero, bits, devices, to_rows, unwritten};

/// Also where a block of 16 values belongs to two channels or three, and where there are more than three.
#[test]
fn pixels_are_normalised_with_one_rounding() {
    let three = Levels { scale: [0.012_73, 0.0173, 0.0174], shift: [-0.424, -2.0, -1.8] };
    let two = Levels { scale: [0.012_73, 0.0173, 0.012_73], shift: [-0.424, -2.0, -0.424] };
    for (samples, features, image, levels) in [
        (1, 1, 1, three),
        (5, 784, 784, three),
        (16, 16, 16, three),
        (35, 49, 49, three),
        (35, 147, 49, three),
        (3, 20, 4, three),
        (2, 96, 32, three),
        (2, 27, 9, two),
    ] {
        let size = PixelsSize { samples, features, plane: 1, image, levels };
        let pixels: Vec<u8> = (0..samples * features).map(|i| (i * 37 % 256) as u8).collect();
        let expected = |(i, pixel): (usize, &u8)| {
            let channel = (i % features / image).min(2);
            f32::from(*pixel).mul_add(levels.scale[channel], levels.shift[channel])
        };
        let expected: Vec<f32> = pixels.iter().enumerate().map(expected).collect();
        for mut device in devices() {
            let mut y = unwritten(&device, samples, features);
            device.pixels_forward(&size, &pixels, &mut y);
            assert_eq!(bits(&to_rows(&device, &y, samples, features)), bits(&expected));
            assert_padding_is_zero(&device, "y", &y, samples, features);
        }
    }
}
