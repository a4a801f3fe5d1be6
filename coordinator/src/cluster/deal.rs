//! Which rank holds which lanes: contiguous, near-equal. Changes where lanes run, never what comes out.

/// Lanes of each of `ranks` ranks, of which only the first `workers` get some: the others are spares.
pub fn deal_with_spares(lanes: u32, ranks: usize, workers: usize) -> Vec<u32> {
    let mut dealt = deal(lanes, ranks.min(workers));
    dealt.resize(ranks, 0);
    dealt
}

/// Lanes of each of `ranks` ranks: rank r gets ⌊(r+1)·L/n⌋ − ⌊r·L/n⌋ of L lanes; some may get none.
pub fn deal(lanes: u32, ranks: usize) -> Vec<u32> {
    let before = |rank: usize| rank as u64 * u64::from(lanes) / ranks.max(1) as u64;
    (0..ranks).map(|rank| (before(rank + 1) - before(rank)) as u32).collect()
}

/// Lanes of each rank such that the slowest is done as early as can be; `seconds`: of a lane, by rank, above 0.
pub fn deal_by_speed(lanes: u32, seconds: &[f64]) -> Vec<u32> {
    let mut dealt = vec![0; seconds.len()];
    for _ in 0..lanes {
        // Whoever is done first with one more; of equal ones the first.
        let done = |rank: usize, dealt: &[u32]| f64::from(dealt[rank] + 1) * seconds[rank];
        let next = (0..seconds.len()).reduce(|a, b| if done(b, &dealt) < done(a, &dealt) { b } else { a });
        if let Some(next) = next {
            dealt[next] += 1;
        }
    }
    dealt
}

#[cfg(test)]
mod tests {
    use super::{deal, deal_by_speed};

    #[test]
    fn the_fast_hold_more_lanes() {
        assert_eq!(deal_by_speed(8, &[1.0, 1.0]), [4, 4]);
        assert_eq!(deal_by_speed(9, &[1.0, 2.0]), [6, 3]);
        assert_eq!(deal_by_speed(2, &[5.0, 1.0, 1.0]), [0, 1, 1]);
    }

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
