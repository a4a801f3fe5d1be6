//! How a vector is cut for exchanges between devices.

use std::ops::Range;

/// Elements that a part's length is a multiple of: 256 bytes, so that every part starts where a GPU reads best.
const UNIT: usize = 64;

/// Buckets one behind the other, each of which is exchanged by itself: of as many equal parts as there are ranks. The
/// last reaches beyond the vector's end by less than a unit for each rank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buckets {
    ranks: usize,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Buckets {
    /// Buckets of at least `least` elements but for the last. `ready`: places in ascending order up to which the vector
    /// of `len` elements is made before what is behind them; a bucket ends as near before one as equal parts allow.
    ///
    /// # Panics
    /// Without ranks.
    pub fn new(len: usize, ranks: usize, ready: &[usize], least: usize) -> Self {
        let unit = UNIT * ranks;
        let (mut ends, mut start) = (Vec::new(), 0);
        for end in ready.iter().filter(|&&end| end < len).map(|end| end / unit * unit) {
            if end >= start + least.max(unit) {
                ends.push(end);
                start = end;
            }
        }
        if len > start {
            ends.push(len.next_multiple_of(unit));
        }
        Self { ranks, ends }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether the vector has no elements.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Elements of all, with what the last has beyond the vector.
    pub fn elements(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Elements of a rank's parts of all.
    pub fn part_elements(&self) -> usize {
        self.elements() / self.ranks
    }

    /// Elements of a bucket.
    pub fn bucket(&self, bucket: usize) -> Range<usize> {
        let start = bucket.checked_sub(1).map_or(0, |before| self.ends[before]);
        start..self.ends[bucket]
    }

    /// Elements of a rank's part of a bucket.
    pub fn part(&self, bucket: usize, rank: usize) -> Range<usize> {
        let Range { start, end } = self.bucket(bucket);
        let len = (end - start) / self.ranks;
        start + rank * len..start + (rank + 1) * len
    }

    /// Where any rank's part of a bucket lies among its parts of all.
    pub fn among_parts(&self, bucket: usize) -> Range<usize> {
        let Range { start, end } = self.bucket(bucket);
        start / self.ranks..end / self.ranks
    }

    /// How many buckets are whole once the vector is made up to `end`.
    pub fn whole(&self, end: usize) -> usize {
        self.ends.partition_point(|&whole| whole <= end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_end_before_what_is_ready_and_have_equal_parts() {
        let buckets = Buckets::new(1000, 3, &[100, 500, 900, 1000], 200);
        // Units of 192 elements: 100 is none, 500 is two, 900 is four.
        assert_eq!(
            (0..buckets.len()).map(|bucket| buckets.bucket(bucket)).collect::<Vec<_>>(),
            [0..384, 384..768, 768..1152]
        );
        assert_eq!([0, 1, 2].map(|rank| buckets.part(1, rank)), [384..512, 512..640, 640..768]);
        assert_eq!((buckets.elements(), buckets.part_elements()), (1152, 384));
        assert_eq!((buckets.among_parts(0), buckets.among_parts(1)), (0..128, 128..256));
        assert_eq!([0, 383, 384, 900, 1152].map(|end| buckets.whole(end)), [0, 0, 1, 2, 3]);
    }

    #[test]
    fn small_vectors_have_one_bucket_and_empty_ones_none() {
        assert_eq!(Buckets::new(5, 2, &[5], 1).bucket(0), 0..128);
        assert_eq!(Buckets::new(5, 2, &[], 1).len(), 1);
        assert!(Buckets::new(0, 2, &[0], 1).is_empty());
        assert_eq!(Buckets::new(0, 2, &[], 1).elements(), 0);
    }
}
