//! Random vectors: an element is a function of (`seed.init`, the probe's place among the job's, the vector's number, the
//! element's place), whoever draws it.

use lockstep_dataset::random::{Purpose, Random};
use lockstep_kernels::fold::BLOCK;

/// Vectors of one probe: the number of one is below this.
const VECTORS: u64 = 1 << 16;

/// What elements are drawn from, independently of each other, with mean 0 and variance 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// −1 or 1.
    Rademacher,
    /// The normal distribution, rounded to f32.
    Normal,
}

/// A probe's vector of this number, with `len` elements.
///
/// A stream of [`Purpose::Probe`] gives [`BLOCK`] elements: the place of the probe and the number of the vector take the
/// place of epochs, the number of the block that of samples.
///
/// # Panics
/// From the vector of number 2¹⁶ on.
pub fn direction(seed: u64, place: usize, number: u64, distribution: Distribution, len: usize) -> Vec<f32> {
    assert!(number < VECTORS, "a probe's vectors are counted in 16 bits");
    let mut vector = vec![0.0; len];
    for (block, elements) in vector.chunks_mut(BLOCK).enumerate() {
        let mut random = Random::new(seed, Purpose::Probe, place as u64 * VECTORS + number, block as u64);
        for element in elements {
            *element = match distribution {
                Distribution::Rademacher if random.next_u32() >> 31 == 0 => 1.0,
                Distribution::Rademacher => -1.0,
                Distribution::Normal => random.next_normal() as f32,
            };
        }
    }
    vector
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_differ_by_all_that_names_them_and_begin_alike() {
        for distribution in [Distribution::Rademacher, Distribution::Normal] {
            let vector = |seed, place, number, len| direction(seed, place, number, distribution, len);
            let whole = vector(1, 0, 0, 5000);
            assert_eq!(vector(1, 0, 0, 4500), whole[..4500]);
            let others = [vector(2, 0, 0, 5000), vector(1, 1, 0, 5000), vector(1, 0, 1, 5000)];
            assert!(others.iter().all(|other| *other != whole));
            assert_ne!(whole[..900], whole[BLOCK..BLOCK + 900], "blocks are streams of their own");
            let mean_square = whole.iter().map(|x| f64::from(x * x)).sum::<f64>() / 5000.0;
            let mean = whole.iter().map(|x| f64::from(*x)).sum::<f64>() / 5000.0;
            assert!((mean_square - 1.0).abs() < 0.1 && mean.abs() < 0.06, "{distribution:?}: {mean} {mean_square}");
        }
    }
}
