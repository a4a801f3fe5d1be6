//! Pixels: to the bit.

use lockstep_kernels::device::ActivationShape;
use lockstep_kernels::pixels::{Levels, Pixels, PixelsSize};

use crate::Bench;
use crate::array::Array;
use crate::numbers::wide;

pub fn pixels<D: Pixels>(bench: &mut Bench<'_, D>) {
    for [samples, channels, plane] in
        [[1, 1, 1], [5, 784, 1], [16, 16, 1], [35, 49, 1], [5, 1, 784], [35, 3, 49], [3, 3, 1024], [2, 7, 6]]
    {
        let levels = Levels { scale: [0.012_73, 0.0173, 0.0174], shift: [-0.424, -2.0, -1.8] };
        let size = PixelsSize { samples, features: channels * plane, plane, image: plane, levels };
        let shape = ActivationShape { samples, channels, plane };
        let pixels: Vec<u8> = (0..shape.values()).map(|i| (i * 37 % 256) as u8).collect();
        let expected: Vec<f32> = pixels.iter().enumerate().map(|(i, p)| size.value(i % size.features, *p)).collect();
        let [first, again] = [(); 2].map(|()| {
            let mut y = Array::unwritten_activation(bench.device, &shape);
            let pixels = Array::tensor(bench.device, &pixels);
            bench.device.pixels_forward(&size, pixels.view(), y.view_mut());
            y.rows(bench.device, &shape)
        });
        bench.compare(("pixels", &format!("{shape:?}"), "y"), [&first, &again], &wide(&expected), 0.0);
    }
}
