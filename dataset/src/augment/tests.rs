//! Augmented images: what they are, and what they depend on.
//!
//! Windows and mirror images are what this script prints (NumPy 2):
//!
//! ```python
//! import numpy as np
//! image = np.arange(1, 13, dtype=np.uint8).reshape(1, 3, 4)
//! pad = 2
//! for down, right, mirrored in [(0, 0, False), (-1, 2, False), (2, -1, True), (-2, -2, True), (1, 1, True)]:
//!     padded = np.pad(image, [(0, 0), (pad, pad), (pad, pad)])
//!     window = padded[:, pad + down:pad + down + 3, pad + right:pad + right + 4]
//!     print((down, right, mirrored), (window[..., ::-1] if mirrored else window).ravel().tolist())
//! ```

use std::path::Path;

use expect_test::expect;
use lockstep_proto::job::{Augment, Data, Job};

use super::*;
use crate::{Dataset, Split};

const SHAPE: ImageShape = ImageShape { channels: 1, height: 28, width: 28 };
const SEEN: Seen = Seen { epoch: 3, sample: 5 };

fn job(augment: Augment) -> Job {
    Job { augment, ..Job::default() }
}

fn everything() -> Job {
    let mut job = job(Augment {
        pad_crop: 4,
        flip: true,
        scale: 0.1,
        squeeze: 0.1,
        shear: 0.2,
        rotate: 10.0,
        translate: 2.0,
        elastic_alpha: 34.0,
        elastic_sigma: 4.5,
        ..Augment::default()
    });
    job.seed.augment = 1;
    job
}

/// A job's augmentation of an image without symmetries.
fn augmented_image(job: &Job, shape: ImageShape, seen: Seen) -> Vec<u8> {
    let pixels: Vec<u8> = (0..shape.len()).map(|i| (i * i % 251 + 1) as u8).collect();
    let augmentation = Augmentation::of(job, shape).unwrap().expect("something is on");
    let (mut memory, mut bytes) = (Memory::default(), vec![9]);
    augmentation.append(&pixels, seen, &mut memory, &mut bytes);
    assert_eq!((bytes.len(), bytes[0]), (1 + pixels.len(), 9));
    bytes.split_off(1)
}

#[test]
fn windows_and_mirror_images_equal_numpy() {
    let pixels: Vec<u8> = (1..=12).collect();
    let check = |down, right, mirrored, expected: [u8; 12]| {
        let shape = ImageShape { channels: 1, height: 3, width: 4 };
        let mut out = [77; 12];
        Placement { down, right, mirrored }.copy(shape, &pixels, &mut out);
        assert_eq!(out, expected, "{down} {right} {mirrored}");
    };
    check(0, 0, false, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    check(-1, 2, false, [0, 0, 0, 0, 3, 4, 0, 0, 7, 8, 0, 0]);
    check(2, -1, true, [11, 10, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    check(-2, -2, true, [0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0]);
    check(1, 1, true, [0, 8, 7, 6, 0, 12, 11, 10, 0, 0, 0, 0]);
    check(9, -9, true, [0; 12]);
}

/// All windows and both mirror images come, each about as often, and channels go together.
#[test]
fn crops_and_flips_are_even() {
    let job = job(Augment { pad_crop: 2, flip: true, ..Augment::default() });
    let augmentation = Augmentation::of(&job, SHAPE).unwrap().unwrap();
    let mut counts = std::collections::BTreeMap::new();
    for sample in 0..5_000 {
        let Placement { down, right, mirrored } = augmentation.placement(Seen { epoch: 0, sample });
        *counts.entry((down, right, mirrored)).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 5 * 5 * 2);
    assert!(counts.values().all(|count| (60..140).contains(count)), "{counts:?}");
    assert!(counts.keys().all(|(down, right, _)| down.abs() <= 2 && right.abs() <= 2));
    let shape = ImageShape { channels: 2, ..SHAPE };
    let pixels = vec![1; shape.len()];
    let (mut memory, mut bytes) = (Memory::default(), Vec::new());
    Augmentation::of(&job, shape).unwrap().unwrap().append(&pixels, SEEN, &mut memory, &mut bytes);
    assert_eq!(bytes[..784], bytes[784..]);
}

/// Areas and ratios of windows are spread as torchvision's documentation says, and all places are alike.
#[test]
fn resized_crops_fill_their_bounds() {
    let job = job(Augment { random_resized_crop: vec![0.08, 1.0], ..Augment::default() });
    let augmentation = Augmentation::of(&job, SHAPE).unwrap().unwrap();
    let all = Sides { height: 400, width: 500 };
    let windows: Vec<Window> =
        (0..4_000).map(|sample| augmentation.window(all, Seen { epoch: 0, sample }).unwrap()).collect();
    let mean = |value: fn(&Window) -> f64| windows.iter().map(value).sum::<f64>() / windows.len() as f64;
    for Window { top, left, sides: Sides { height, width } } in &windows {
        assert!(top + height <= all.height && left + width <= all.width);
        let (area, ratio) = ((height * width) as f64 / 200_000.0, *width as f64 / *height as f64);
        assert!((0.079..=1.0).contains(&area) && (0.74..=1.35).contains(&ratio), "{area} {ratio}");
    }
    // Means of 200,000 draws of torchvision 0.29's RandomResizedCrop.get_params on such an image.
    let area = mean(|window| window.sides.pixels() as f64 / 200_000.0);
    let ratio = mean(|window| (window.sides.width as f64 / window.sides.height as f64).ln());
    assert!((area - 0.4539).abs() < 0.015 && (ratio - 0.0285).abs() < 0.01, "{area} {ratio}");
    let [above, below] = [mean(|window| window.top as f64), mean(|w| (400 - w.top - w.sides.height) as f64)];
    let [before, behind] = [mean(|window| window.left as f64), mean(|w| (500 - w.left - w.sides.width) as f64)];
    assert!((above / below - 1.0).abs() < 0.08 && (before / behind - 1.0).abs() < 0.08);
}

/// Of an image in which no window fits, the middle: as torchvision's fallback.
#[test]
fn where_no_window_fits_the_middle_is_taken() {
    let job = job(Augment { random_resized_crop: vec![1.0, 1.0], ..Augment::default() });
    let augmentation = Augmentation::of(&job, SHAPE).unwrap().unwrap();
    let check = |[height, width]: [usize; 2], [top, left, window_height, window_width]: [usize; 4]| {
        let window = augmentation.window(Sides { height, width }, SEEN);
        let sides = Sides { height: window_height, width: window_width };
        assert_eq!(window, Some(Window { top, left, sides }));
    };
    check([10, 1000], [0, 493, 10, 13]);
    check([1000, 10], [493, 0, 13, 10]);
    check([1, 1], [0, 0, 1, 1]);
    check([1, 60_000], [0, 29_999, 1, 1]);
}

#[test]
fn light_changes_along_the_components() {
    let strength = |lighting| job(Augment { lighting, ..Augment::default() });
    let grey = Augmentation::of(&strength(0.1), SHAPE).unwrap_err();
    expect!["`augment.lighting` needs colour images: set it to 0"].assert_eq(&grey);
    let shape = ImageShape { channels: 3, ..SHAPE };
    let shifts: Vec<[i16; 3]> = (0..4_000)
        .map(|sample| {
            let augmentation = Augmentation::of(&strength(0.1), shape).unwrap().unwrap();
            augmentation.shift(Seen { epoch: 2, sample })
        })
        .collect();
    for channel in 0..3 {
        let of = |power| shifts.iter().map(|shift| f64::from(shift[channel]).powi(power)).sum::<f64>() / 4_000.0;
        // Σ component² · variance², and rounding's 1/12.
        let expected = (0..3).map(|k| (25.5 * lighting::COMPONENTS[channel][k] * lighting::VARIANCES[k]).powi(2));
        let expected = expected.sum::<f64>() + 1.0 / 12.0;
        assert!(of(1).abs() < 0.2 && (of(2) / expected - 1.0).abs() < 0.08, "{} {} {expected}", of(1), of(2));
    }
    // Mostly brighter or darker as a whole.
    assert!(shifts.iter().filter(|[r, g, b]| r * b >= 0 && r * g >= 0).count() > 3_600);
}

#[test]
fn numbers_fill_their_bounds() {
    let augmentation = Augmentation::of(&everything(), SHAPE).unwrap().unwrap();
    let (mut low, mut high) = ([f64::MAX; 6], [f64::MIN; 6]);
    for sample in 0..2_000 {
        let Planar { scale, squeeze, shear, rotate, translate } = augmentation.planar(Seen { epoch: 1, sample });
        for (i, value) in [scale, squeeze, shear, rotate, translate[0], translate[1]].into_iter().enumerate() {
            (low[i], high[i]) = (low[i].min(value), high[i].max(value));
        }
    }
    for (i, (middle, bound)) in
        [(1.0, 0.1), (1.0, 0.1), (0.0, 0.2), (0.0, 10.0 / 180.0), (0.0, 2.0), (0.0, 2.0)].into_iter().enumerate()
    {
        let [down, up] = [middle - low[i], high[i] - middle];
        assert!((0.99 * bound..=bound * 1.000_001).contains(&down), "{i}: {down}");
        assert!((0.99 * bound..=bound * 1.000_001).contains(&up), "{i}: {up}");
    }
}

#[test]
fn a_sample_is_a_function_of_seed_epoch_and_sample() {
    let job = everything();
    let image = augmented_image(&job, SHAPE, SEEN);
    assert_eq!(augmented_image(&job, SHAPE, SEEN), image);
    let mut other_seed = job.clone();
    other_seed.seed.augment = 2;
    let mut other_orders = job.clone();
    (other_orders.seed.init, other_orders.seed.order) = (7, 8);
    assert_eq!(augmented_image(&other_orders, SHAPE, SEEN), image);
    for other in [
        augmented_image(&other_seed, SHAPE, SEEN),
        augmented_image(&job, SHAPE, Seen { epoch: 4, ..SEEN }),
        augmented_image(&job, SHAPE, Seen { sample: 6, ..SEEN }),
    ] {
        assert_ne!(other, image);
    }
}

/// Each key does something, and memory that others have used shows in nothing.
#[test]
fn every_key_changes_images() {
    let shape = ImageShape { channels: 3, height: 20, width: 24 };
    let off = Augment::default();
    let jobs = [
        Augment { pad_crop: 4, ..off.clone() },
        Augment { flip: true, ..off.clone() },
        Augment { scale: 0.2, ..off.clone() },
        Augment { squeeze: 0.2, ..off.clone() },
        Augment { shear: 0.2, ..off.clone() },
        Augment { rotate: 20.0, ..off.clone() },
        Augment { translate: 3.0, ..off.clone() },
        Augment { elastic_alpha: 34.0, ..off.clone() },
        Augment { elastic_alpha: 34.0, elastic_sigma: 3.0, ..off.clone() },
        Augment { elastic_alpha: 34.0, flip: true, ..off.clone() },
        Augment { random_resized_crop: vec![0.2, 0.8], ..off.clone() },
        Augment { random_resized_crop: vec![0.2, 0.8], elastic_alpha: 34.0, ..off.clone() },
        Augment { lighting: 0.3, ..off.clone() },
    ]
    .map(job);
    let pixels: Vec<u8> = (0..shape.len()).map(|i| (i * i % 251 + 1) as u8).collect();
    // Of the first samples, one that is mirrored.
    let flips = |sample: &u64| {
        let augmentation = Augmentation::of(&jobs[1], shape).unwrap().unwrap();
        augmentation.placement(Seen { epoch: 3, sample: *sample }).mirrored
    };
    let seen = Seen { epoch: 3, sample: (0..100).find(flips).unwrap() };
    let images = jobs.each_ref().map(|job| augmented_image(job, shape, seen));
    for (i, image) in images.iter().enumerate() {
        assert!(*image != pixels && !images[..i].contains(image), "job {i}");
    }
    let mut memory = Memory::default();
    for (job, image) in jobs.iter().zip(&images).chain(jobs.iter().zip(&images).rev()) {
        let mut bytes = Vec::new();
        Augmentation::of(job, shape).unwrap().unwrap().append(&pixels, seen, &mut memory, &mut bytes);
        assert_eq!(bytes, *image);
    }
    assert!(Augmentation::of(&job(off), shape).unwrap().is_none());
}

/// The bits of an image with everything on. This code is the same for all instruction sets.
#[test]
fn a_digit_is_these_bits() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/mnist");
    let dataset = Dataset::open(&Data { path, pad: 2, ..Data::default() }).unwrap();
    let augmentation = Augmentation::of(&everything(), dataset.shape()).unwrap().unwrap();
    let (mut memory, mut bytes) = (Memory::default(), Vec::new());
    augmentation.append(dataset.pixels(Split::Train, 5).unwrap(), SEEN, &mut memory, &mut bytes);
    let hash = "e91fbe88f065ed538044160a3bdf138b3ebfa4d5dfe4a8cbf206f95e75865a9f";
    assert_eq!(blake3::hash(&bytes).to_hex().as_str(), hash);
}

#[test]
fn images_are_not_moved_out_of_sight() {
    let shape = ImageShape { channels: 1, height: 28, width: 30 };
    let refusal = |augment| Augmentation::of(&job(augment), shape).unwrap_err();
    expect!["`augment.pad_crop` = 28 moves images of 28×30 pixels out of sight: set it below 28"]
        .assert_eq(&refusal(Augment { pad_crop: 28, ..Augment::default() }));
    expect!["`augment.translate` = 28.5 moves images of 28×30 pixels out of sight: set it below 28"]
        .assert_eq(&refusal(Augment { translate: 28.5, ..Augment::default() }));
    assert!(Augmentation::of(&job(Augment { pad_crop: 27, ..Augment::default() }), shape).is_ok());
}
