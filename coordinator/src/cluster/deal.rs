//! Which rank holds which lanes: contiguous, near-equal. Changes where lanes run, never what comes out.

/// Lanes of each of `ranks` ranks: rank r gets ⌊(r+1)·L/n⌋ − ⌊r·L/n⌋ of L lanes; some may get none.
pub fn deal(lanes: u32, ranks: usize) -> Vec<u32> {
    let before = |rank: usize| rank as u64 * u64::from(lanes) / ranks.max(1) as u64;
    (0..ranks).map(|rank| (before(rank + 1) - before(rank)) as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::deal;

    #[test]
    fn lanes_are_dealt_whole_and_near_equal() {
        assert_eq!(deal(4, 1), [4]);
        assert_eq!(deal(4, 2), [2, 2]);
        assert_eq!(deal(7, 3), [2, 2, 3]);
        assert_eq!(deal(2, 5), [0, 0, 1, 0, 1]);
        for lanes in 1..40 {
            for ranks in 1..20 {
                assert_eq!(deal(lanes, ranks).iter().sum::<u32>(), lanes);
            }
        }
    }
}
