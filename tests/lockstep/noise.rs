//! A small data set of noise, for networks that MNIST would keep busy for too long.

use std::path::Path;

/// Writes the four idx files of square grey images; labels go through the classes in turn.
pub fn write_noise(folder: &Path, train: u32, test: u32, side: u32, classes: u32) {
    let mut state = 1u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    for (name, count) in [("train", train), ("t10k", test)] {
        let sizes = [count, side, side].map(u32::to_be_bytes).concat();
        let pixels: Vec<u8> = (0..count * side * side).map(|_| next()).collect();
        let labels: Vec<u8> = (0..count).map(|sample| (sample % classes) as u8).collect();
        let write = |file: &str, bytes: &[&[u8]]| std::fs::write(folder.join(file), bytes.concat()).unwrap();
        write(&format!("{name}-images-idx3-ubyte"), &[&[0, 0, 8, 3], &sizes, &pixels]);
        write(&format!("{name}-labels-idx1-ubyte"), &[&[0, 0, 8, 1], &sizes[..4], &labels]);
    }
}
