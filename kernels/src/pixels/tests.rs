//! Pixels as numbers.

use lockstep_kernels::pixels::{Pixels, PixelsSize};

use crate::layout::{assert_padding_is_zero, bits, devices, to_rows, unwritten};

#[test]
fn pixels_are_normalised_with_one_rounding() {
    for (samples, features) in [(1, 1), (5, 784), (16, 16), (35, 49)] {
        let size = PixelsSize { samples, features, plane: 1, scale: 0.012_73, shift: -0.424 };
        let pixels: Vec<u8> = (0..samples * features).map(|i| (i * 37 % 256) as u8).collect();
        let expected: Vec<f32> = pixels.iter().map(|p| f32::from(*p).mul_add(size.scale, size.shift)).collect();
        for mut device in devices() {
            let mut y = unwritten(&device, samples, features);
            device.pixels_forward(&size, &pixels, &mut y);
            assert_eq!(bits(&to_rows(&device, &y, samples, features)), bits(&expected));
            assert_padding_is_zero(&device, "y", &y, samples, features);
        }
    }
}
