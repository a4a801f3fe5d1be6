//! Random vectors: an element is a function of (`seed.init`, the probe's place among the job's, the vector's number, the
//! element's place), whoever draws it.

use lockstep_dataset::random::{Purpose, Random};
use lockstep_kernels::fold::BLOCK;

/// Vectors of one probe: the number of one is below this.
const VECTORS: u64 = 1 << 16;

/// A probe's vector of this number: `len` independent draws of the standard normal distribution, rounded to f32.
///
/// A stream of [`Purpose::Probe`] gives [`BLOCK`] elements: the place of the probe and the number of the vector take the
/// place of epochs, the number of the block that of samples.
///
/// # Panics
/// From the vector of number 2¹⁶ on.
pub fn direction(seed: u64, place: usize, number: u64, len: usize) -> Vec<f32> {
    assert!(number < VECTORS, "a probe's vectors are counted in 16 bits");
    let mut vector = vec![0.0; len];
    for (block, elements) in vector.chunks_mut(BLOCK).enumerate() {
        let mut random = Random::new(seed, Purpose::Probe, place as u64 * VECTORS + number, block as u64);
        elements.iter_mut().for_each(|element| *element = random.next_normal() as f32);
    }
    vector
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_differ_by_all_that_names_them_and_begin_alike() {
        let whole = direction(1, 0, 0, 5000);
        assert_eq!(direction(1, 0, 0, 4500), whole[..4500]);
        let others = [direction(2, 0, 0, 5000), direction(1, 1, 0, 5000), direction(1, 0, 1, 5000)];
        assert!(others.iter().all(|other| *other != whole));
        assert_ne!(whole[..900], whole[BLOCK..BLOCK + 900], "blocks are streams of their own");
        let mean_square = whole.iter().map(|x| f64::from(x * x)).sum::<f64>() / 5000.0;
        let mean = whole.iter().map(|x| f64::from(*x)).sum::<f64>() / 5000.0;
        assert!((mean_square - 1.0).abs() < 0.1 && mean.abs() < 0.06, "{mean} {mean_square}");
    }
}
