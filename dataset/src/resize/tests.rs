//! Resized windows against Pillow's (`tests/fixtures/images.py`).

use super::*;
use crate::decode::Decoder;

const PICTURE: &[u8] = include_bytes!("../../tests/fixtures/picture.png");
const WINDOWS: [([usize; 4], [usize; 2]); 6] = [
    ([0, 0, 53, 61], [24, 24]),
    ([11, 7, 40, 31], [24, 24]),
    ([30, 50, 9, 11], [24, 24]),
    ([5, 5, 48, 3], [7, 20]),
    ([0, 0, 53, 61], [3, 2]),
    ([2, 1, 24, 24], [24, 24]),
];

fn sides([height, width]: [usize; 2]) -> Sides {
    Sides { height, width }
}

fn resized(resizer: &mut Resizer, [top, left, height, width]: [usize; 4], to: [usize; 2], finish: Finish) -> Vec<u8> {
    let mut decoder = Decoder::default();
    let window = Window { top, left, sides: sides([height, width]) };
    let view = decoder.decode(PICTURE, window, 3).unwrap();
    let mut out = vec![7; 3 * to[0] * to[1]];
    resizer.resize(&view, sides(to), Window::all(sides(to)), finish, &mut out);
    out
}

/// Planes of a file's channels.
fn planes(bytes: &[u8]) -> Vec<u8> {
    let mut decoder = Decoder::default();
    let view = decoder.decode(bytes, Window::all(crate::decode::sides(bytes).unwrap()), 3).unwrap();
    (0..3).flat_map(|channel| view.pixels[channel..].iter().step_by(3).copied()).collect()
}

#[test]
fn windows_are_what_pillow_makes_of_them() {
    let mut resizer = Resizer::default();
    for (window, to) in WINDOWS {
        let ([top, left, h, w], [height, width]) = (window, to);
        let name = format!("picture-{top}-{left}-{h}x{w}-to-{height}x{width}.png");
        let path = format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
        let expected = planes(&std::fs::read(path).unwrap());
        let out = resized(&mut resizer, window, to, Finish::default());
        let worst = out.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(worst <= Some(1), "{name}: {worst:?}");
        let differing = out.iter().zip(&expected).filter(|(a, b)| a != b).count();
        assert!(differing * 4 <= out.len(), "{name}: {differing} of {}", out.len());
    }
}

#[test]
fn images_are_mirrored_and_shifted_at_last() {
    let mut resizer = Resizer::default();
    for (window, to) in WINDOWS {
        let plain = resized(&mut resizer, window, to, Finish::default());
        let finished = resized(&mut resizer, window, to, Finish { mirrored: true, shift: [9, -300, 0] });
        for (i, &level) in finished.iter().enumerate() {
            let [plane, width] = [to[0] * to[1], to[1]];
            let source = plain[i / width * width + width - 1 - i % width];
            let expected = [source.saturating_add(9), 0, source][i / plane];
            assert_eq!(level, expected, "{i}");
        }
    }
}

/// The library has code of its own for each instruction set, all in whole numbers: whichever runs here, these are the bits.
#[test]
fn resized_windows_are_these_bits() {
    let mut hasher = blake3::Hasher::new();
    for (window, to) in WINDOWS {
        hasher.update(&resized(&mut Resizer::default(), window, to, Finish::default()));
    }
    let hash = "5ad293fb4031a3a2616dc50a22d6d52e635f32e5b49b6ec3791ea1b827ce968b";
    assert_eq!(hasher.finalize().to_hex().as_str(), hash);
}
