//! Warps against PyTorch 2.15, fields against NumPy 2, both in f64.
//!
//! Warps are what this script prints:
//!
//! ```python
//! import math, numpy, torch
//! height, width = 9, 12
//! def pixels(value):
//!     return torch.tensor([[value(x, y) for x in range(width)] for y in range(height)]).double()
//! image = pixels(lambda x, y: (y * y * 31 + x * x * 17 + x * y * 7) % 256)
//! scale, squeeze, shear, degrees, translate = 1.1, 0.9, 0.2, 15.0, torch.tensor([1.25, -0.75]).double()
//! a = math.radians(degrees)
//! rotation = torch.tensor([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]]).double()
//! shearing = torch.tensor([[1, shear], [0, 1]]).double()
//! back = torch.linalg.inv(rotation @ shearing @ torch.diag(torch.tensor([scale * squeeze, scale / squeeze]).double()))
//! print("matrix", back.tolist(), "offset", (-back @ translate).tolist())
//! half = torch.diag(torch.tensor([width / 2, height / 2]).double())
//! theta = torch.cat([half.inverse() @ back @ half, (half.inverse() @ -back @ translate)[:, None]], 1)
//! grid = torch.nn.functional.affine_grid(theta[None], (1, 1, height, width), align_corners=False)
//! def sampled(grid):
//!     out = torch.nn.functional.grid_sample(image[None, None], grid, align_corners=False).squeeze()
//!     assert ((out - out.floor() - 0.5).abs() > 1e-3).all()
//!     return bytes((out + 0.5).floor().int().flatten().tolist()).hex()
//! print("affine", sampled(grid))
//! shift = torch.stack([pixels(lambda x, y: (x * 5 + y * 3) % 7 - 3.25),
//!                      pixels(lambda x, y: (x * 3 + y * 2) % 5 - 2.375)], -1)
//! print("displaced", sampled(grid + shift / torch.tensor([width / 2, height / 2]).double()))
//! ```
//!
//! Fields and their moments are what this one prints:
//!
//! ```python
//! import numpy as np
//! def philox(counter, key):
//!     c, k = [int(v) for v in counter], list(key)
//!     for r in range(10):
//!         if r: k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
//!         p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
//!         c = [p1 >> 32 ^ c[1] ^ k[0], p1 % 2**32, p0 >> 32 ^ c[3] ^ k[1], p0 % 2**32]
//!     return c
//! def weights(sigma):
//!     r = int(np.ceil(3 * sigma))
//!     w = np.exp(-0.5 * (np.arange(-r, r + 1) / sigma) ** 2)
//!     return w / w.sum()
//! def smooth(noise, sigma):
//!     w = weights(sigma)
//!     r = len(w) // 2
//!     padded = np.pad(noise, r)
//!     rows = sum(w[k] * padded[k:k + noise.shape[0]] for k in range(len(w)))
//!     return sum(w[k] * rows[:, k:k + noise.shape[1]] for k in range(len(w)))
//! seed, purpose, epoch, sample, alpha, sigma, height, width = 5, 4, 2, 7, 34.0, 2.0, 10, 14
//! blocks = [philox([purpose << 28 | block, sample, 0, epoch], [seed, 0]) for block in range(height * width // 2)]
//! noise = alpha * np.array(blocks, np.uint32).ravel().astype(np.int32) / 2.0**31
//! for axis, values in zip("xy", noise.reshape(2, height, width)):
//!     field = smooth(values, sigma)
//!     print(axis, [round(float(field[y, x]), 6) for y, x in [(0, 0), (4, 6), (9, 13), (7, 2)]])
//! # Moments of fields of 32 x 32 pixels: covariance of places p and q.
//! def covariance(p, q, alpha=34.0, sigma=4.0, side=32):
//!     def one(p, q):
//!         hit = [smooth(np.eye(1, side, i), sigma)[0] / weights(sigma)[len(weights(sigma)) // 2] for i in (p, q)]
//!         return float(hit[0] @ hit[1])
//!     return alpha**2 / 3 * one(p[0], q[0]) * one(p[1], q[1])
//! for p, q in [((16, 16), (16, 16)), ((0, 0), (0, 0)), ((16, 16), (16, 20)), ((16, 16), (24, 16))]:
//!     print(p, q, round(covariance(p, q), 4))
//! ```

use super::*;
use crate::dataset::ImageShape;
use crate::random::{Purpose, Random};

const SHAPE: ImageShape = ImageShape { channels: 1, height: 9, width: 12 };
const PLANAR: Planar = Planar { scale: 1.1, squeeze: 0.9, shear: 0.2, rotate: 15.0 / 180.0, translate: [1.25, -0.75] };
const MATRIX: [[f64; 2]; 2] = [[1.027969333195389, 0.0662968478295716], [-0.21176104370853222, 0.7903029675601476]];
const OFFSET: [f64; 2] = [-1.2352390306220575, 0.857428530305776];
const AFFINE: &str = "\
    00165ea29582999a8a91996800344060b39f76592c437c59005e7e4fb7a245b1bc99579700053563868d3bc4f3be5683\
    00305f9c417d6085b934479b007f79cd8b3d946b4d57865e00aa5087426eb4b6b7c16e370084237116b48d7f9bc73494\
    00050532029981778da41c6f";
const DISPLACED: &str = "\
    003d29258d167a5da37000000000c8a54070596e6f627100a6a41a009642ab83ce8d921900007e9f1dcb98508980625e\
    96360084ad8958d1f86923450057666b1f9f8d9a5f666b4b7100004c1dc164927f966e7f004f5c4cb9067b7033688600\
    00004a890368007b723a7113";

fn image() -> Vec<u8> {
    (0..9).flat_map(|y| (0..12).map(move |x| (y * y * 31 + x * x * 17 + x * y * 7) as u8)).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The image of each channel, warped.
fn warped(shape: ImageShape, pixels: &[u8], planar: &Planar, displacement: Option<[&[f32]; 2]>) -> Vec<u8> {
    let (mut frame, mut out) = (Frame::default(), vec![7; shape.len()]);
    Warp { shape, map: Affine::back(planar), displacement }.sample(pixels, &mut frame, &mut out);
    out
}

#[test]
fn the_way_back_is_the_inverse() {
    let Affine { matrix, offset } = Affine::back(&PLANAR);
    let (ours, theirs) = (matrix.as_flattened().iter().chain(&offset), MATRIX.as_flattened().iter().chain(&OFFSET));
    ours.zip(theirs).for_each(|(ours, theirs)| assert!((f64::from(*ours) - theirs).abs() < 1e-7, "{ours} {theirs}"));
    assert_eq!(Affine::back(&Planar::default()).matrix, [[1.0, 0.0], [0.0, 1.0]]);
    let quarter = Affine::back(&Planar { rotate: -0.5, ..Planar::default() });
    let expected = [[0.0f32, -1.0], [1.0, 0.0]];
    quarter.matrix.as_flattened().iter().zip(expected.as_flattened()).for_each(|(ours, exact)| {
        assert!((ours - exact).abs() < 1e-7, "{ours} {exact}");
    });
}

#[test]
fn an_affine_map_equals_pytorch() {
    assert_eq!(hex(&warped(SHAPE, &image(), &PLANAR, None)), AFFINE);
}

#[test]
fn displacements_equal_pytorch() {
    let places = || (0..9).flat_map(|y| (0..12).map(move |x| (x, y)));
    let along_x: Vec<f32> = places().map(|(x, y)| ((x * 5 + y * 3) % 7) as f32 - 3.25).collect();
    let along_y: Vec<f32> = places().map(|(x, y)| ((x * 3 + y * 2) % 5) as f32 - 2.375).collect();
    assert_eq!(hex(&warped(SHAPE, &image(), &PLANAR, Some([&along_x, &along_y]))), DISPLACED);
}

#[test]
fn channels_are_warped_alike() {
    let shape = ImageShape { channels: 3, ..SHAPE };
    let inverted: Vec<u8> = image().iter().map(|byte| 255 - byte).collect();
    let pixels = [image(), inverted.clone(), image()].concat();
    let expected = [image(), inverted, image()].map(|image| warped(SHAPE, &image, &PLANAR, None)).concat();
    assert_eq!(warped(shape, &pixels, &PLANAR, None), expected);
}

#[test]
fn the_identity_and_whole_pixels_are_exact() {
    assert_eq!(warped(SHAPE, &image(), &Planar::default(), None), image());
    let still = [0.0; 108];
    assert_eq!(warped(SHAPE, &image(), &Planar::default(), Some([&still, &still])), image());
    for (right, down) in [(1, 0), (0, -1), (-3, 2), (11, 8), (12, 0), (0, -9), (-40, 40)] {
        let planar = Planar { translate: [f64::from(right), f64::from(down)], ..Planar::default() };
        let source = |x: i32, y: i32| match (0..12).contains(&x) && (0..9).contains(&y) {
            true => image()[(y * 12 + x) as usize],
            false => 0,
        };
        let expected: Vec<u8> = (0..9).flat_map(|y| (0..12).map(move |x| source(x - right, y - down))).collect();
        assert_eq!(warped(SHAPE, &image(), &planar, None), expected, "{right} {down}");
    }
}

/// A frame that has held another shape is as good as a new one.
#[test]
fn a_frame_takes_any_shape() {
    let turned = ImageShape { height: 12, width: 9, ..SHAPE };
    let (mut frame, mut out) = (Frame::default(), vec![0; 108]);
    for shape in [turned, SHAPE, turned, SHAPE] {
        let map = Affine::back(&PLANAR);
        Warp { shape, map, displacement: None }.sample(&image(), &mut frame, &mut out);
    }
    assert_eq!(hex(&out), AFFINE);
}

#[test]
fn a_field_equals_numpy() {
    let mut random = Random::new(5, Purpose::Elastic, 2, 7);
    let mut memory = FieldMemory::default();
    let fields = Elastic::new(34.0, 2.0, [10, 14]).draw(&mut random, &mut memory);
    let expected = [[-1.006343, -5.977795, 3.37614, -2.378324], [-0.962125, -0.113975, -0.807791, 1.413782]];
    for (field, expected) in fields.iter().zip(expected) {
        let places = [(0, 0), (4, 6), (9, 13), (7, 2)];
        for ((y, x), expected) in places.into_iter().zip(expected) {
            let ours = f64::from(field[y * 14 + x]);
            assert!((ours - expected).abs() < 1e-5, "({y}, {x}): {ours} {expected}");
        }
    }
}

#[test]
fn fields_have_the_variance_and_smoothness_of_theirs() {
    let places = [(16, 16, 16, 16), (0, 0, 0, 0), (16, 16, 16, 20), (16, 16, 24, 16)];
    let expected = [1.9298, 0.6281, 1.5026, 0.7081];
    let (elastic, mut memory) = (Elastic::new(34.0, 4.0, [32, 32]), FieldMemory::default());
    let mut sums = [0.0; 4];
    for sample in 0..1000 {
        for field in elastic.draw(&mut Random::new(1, Purpose::Elastic, 0, sample), &mut memory) {
            for (sum, (y, x, other_y, other_x)) in sums.iter_mut().zip(places) {
                *sum += f64::from(field[y * 32 + x] * field[other_y * 32 + other_x]) / 2000.0;
            }
        }
    }
    sums.iter().zip(expected).for_each(|(ours, exact)| assert!((ours - exact).abs() < 0.08 * exact, "{ours} {exact}"));
}

/// A Gaussian that is wider than the field.
#[test]
fn the_smallest_field_takes_the_widest_gaussian() {
    let mut memory = FieldMemory::default();
    let fields = Elastic::new(10_000.0, 64.0, [1, 2]).draw(&mut Random::new(1, Purpose::Elastic, 0, 0), &mut memory);
    assert!(fields.iter().all(|field| field.len() == 2 && field.iter().all(|value| value.is_finite())));
    assert!((fields[0][0] - fields[0][1]).abs() < 0.01 * fields[0][0].abs());
}
