//! Things that are kept for the next time, up to a bound.

use std::collections::{HashMap, VecDeque};

/// Things by their number, each of a weight. First in, first out: an epoch's order has no favourites.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    things: HashMap<usize, (T, usize)>,
    order: VecDeque<usize>,
    weight: usize,
    most: usize,
}

impl<T: Clone> Kept<T> {
    /// Of at most so much weight, or one thing.
    pub(crate) fn new(most: usize) -> Self {
        Self { things: HashMap::new(), order: VecDeque::new(), weight: 0, most }
    }

    /// The thing, if it is there.
    pub(crate) fn get(&self, number: usize) -> Option<T> {
        self.things.get(&number).map(|(thing, _)| thing.clone())
    }

    /// Lets go of a thing.
    pub(crate) fn remove(&mut self, number: usize) {
        if let Some((_, weight)) = self.things.remove(&number) {
            self.weight -= weight;
            self.order.retain(|other| *other != number);
        }
    }

    /// Lets go of all but these.
    pub(crate) fn retain(&mut self, is_kept: impl Fn(usize) -> bool) {
        let others: Vec<usize> = self.order.iter().copied().filter(|number| !is_kept(*number)).collect();
        others.into_iter().for_each(|number| self.remove(number));
    }

    /// Keeps a thing, in place of the oldest where there is no room.
    pub(crate) fn keep(&mut self, number: usize, thing: T, weight: usize) {
        if self.things.insert(number, (thing, weight)).is_none() {
            self.order.push_back(number);
            self.weight += weight;
        }
        while self.weight > self.most && self.order.len() > 1 {
            let oldest = self.order.pop_front().and_then(|oldest| self.things.remove(&oldest));
            self.weight -= oldest.map_or(0, |(_, weight)| weight);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first() {
        let mut kept = Kept::new(10);
        for number in 0..4 {
            kept.keep(number, number * 100, 4);
        }
        kept.keep(3, 300, 4);
        assert_eq!([0, 1, 2, 3].map(|number| kept.get(number)), [None, None, Some(200), Some(300)]);
        kept.keep(9, 900, 99);
        assert_eq!([2, 3, 9].map(|number| kept.get(number)), [None, None, Some(900)]);
        kept.retain(|number| number != 9);
        kept.remove(5);
        kept.keep(1, 100, 10);
        assert_eq!([1, 9].map(|number| kept.get(number)), [Some(100), None]);
    }
}
