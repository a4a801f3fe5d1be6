//! The last steps, in blocks: what means and their variances are taken over.
//!
//! A step weighs as many as it has pairs of samples in different lanes: ‖G‖² is a mean over such pairs, and where noise
//! prevails, where it is hardest to tell, its variance falls with their number. Small last batches and the small
//! batches before a growth so count for little. All steps of the window weigh the same beside that; weights that fall with age
//! would make the variance of blocks another function of their weight than the jackknife for blocks of unequal sizes
//! assumes, and intervals too short.
//!
//! Blocks are there for the variance: neighbouring steps are not independent (weights move slowly, and samples do not
//! come again within an epoch), sums of several steps nearly are. A window begins with blocks of one step and joins
//! neighbours when it is full, up to [`BLOCK_STEPS`], so that short jobs have intervals as well; then the oldest block
//! goes for each new one. It is part of a job's state: sums in a fixed order, nothing else.
//!
//! All steps of a window are of one *kind*: taken with the same settings, as whoever adds them tells apart. One of
//! another kind begins the window anew, since a mean over both would be neither's, and the jackknife's blocks no draws of
//! one thing.

use super::jackknife::Blocks;
use super::scale::Estimate;
use super::step::Step;

/// Blocks of a window.
pub const BLOCKS: usize = 32;
/// Most steps of a block.
pub const BLOCK_STEPS: u64 = 8;

/// Numbers of a block's steps, added up.
#[derive(Clone, Debug, PartialEq)]
struct Block {
    steps: u64,
    /// Σ pairs.
    pairs: f64,
    /// Of each layer: Σ pairs·trΣ, Σ pairs·‖G‖².
    sums: Vec<[f64; 2]>,
}

/// The last steps of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    layers: usize,
    /// Of its steps; none where nobody has told, as in windows from before kinds were told apart.
    kind: Option<u64>,
    /// Steps of a full block.
    span: u64,
    /// The oldest first.
    blocks: Vec<Block>,
}

impl Block {
    fn new(layers: usize) -> Self {
        Self { steps: 0, pairs: 0.0, sums: vec![[0.0; 2]; layers] }
    }

    fn clear(&mut self) {
        (self.steps, self.pairs) = (0, 0.0);
        self.sums.fill([0.0; 2]);
    }

    fn add(&mut self, step: &Step<'_>) {
        self.steps += 1;
        self.pairs += step.lanes.pairs();
        let norms = step.of_lanes.iter().zip(step.of_sum);
        for ([trace, norm], (of_lanes, of_sum)) in self.sums.iter_mut().zip(norms) {
            *trace += step.lanes.weighted_trace(*of_lanes, *of_sum);
            *norm += of_sum - of_lanes;
        }
    }

    fn join(&mut self, next: &Self) {
        self.steps += next.steps;
        self.pairs += next.pairs;
        for ([trace, norm], [more_trace, more_norm]) in self.sums.iter_mut().zip(&next.sums) {
            *trace += more_trace;
            *norm += more_norm;
        }
    }
}

impl Window {
    /// Before the first step of a network with so many layers.
    pub fn new(layers: usize) -> Self {
        Self { layers, kind: None, span: 1, blocks: Vec::new() }
    }

    /// Layers of its network.
    pub fn layers(&self) -> usize {
        self.layers
    }

    /// Whether it holds no step.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Steps that it holds.
    pub fn steps(&self) -> u64 {
        self.blocks.iter().map(|block| block.steps).sum()
    }

    /// Steps from now on are of this kind: a window of others begins anew, whatever those steps tell.
    pub fn turn_to(&mut self, kind: u64) {
        if self.kind != Some(kind) {
            *self = Self { kind: Some(kind), ..Self::new(self.layers) };
        }
    }

    /// Takes a step in. One that does not tell noise from gradient ([`Step::identifies`]) leaves the window as it was: a
    /// step of one lane says nothing, and one with infinities or NaN would be seen in all numbers for as long as its block
    /// stays.
    ///
    /// # Panics
    /// If the step has another number of layers.
    pub fn add(&mut self, step: &Step<'_>) {
        assert_eq!([step.of_lanes.len(), step.of_sum.len()], [self.layers; 2], "a step's layers are the window's");
        if !step.identifies() {
            return;
        }
        if self.blocks.last().is_none_or(|last| last.steps == self.span) {
            self.open();
        }
        if let Some(block) = self.blocks.last_mut() {
            block.add(step);
        }
    }

    /// An empty block behind the others. Where there is no room, neighbours become one, or the oldest goes.
    fn open(&mut self) {
        if self.blocks.len() == BLOCKS && self.span == BLOCK_STEPS {
            self.blocks.rotate_left(1);
            return self.blocks.last_mut().into_iter().for_each(Block::clear);
        }
        if self.blocks.len() == BLOCKS {
            self.span *= 2;
            for first in 0..BLOCKS / 2 {
                let next = self.blocks.remove(first + 1);
                self.blocks[first].join(&next);
            }
        }
        self.blocks.push(Block::new(self.layers));
    }

    /// Of all layers together; none before the first step.
    pub fn total(&self) -> Option<Estimate> {
        let sum = |block: &Block| {
            let add = |[trace, norm]: [f64; 2], layer: &[f64; 2]| [trace + layer[0], norm + layer[1]];
            block.sums.iter().fold([0.0; 2], add)
        };
        Blocks::of(self.blocks.iter().map(|block| (block.pairs, sum(block)))).map(|blocks| Estimate::of(&blocks))
    }

    /// Of one layer; none before the first step.
    ///
    /// # Panics
    /// If there is no such layer.
    pub fn layer(&self, layer: usize) -> Option<Estimate> {
        let blocks = Blocks::of(self.blocks.iter().map(|block| (block.pairs, block.sums[layer])));
        blocks.map(|blocks| Estimate::of(&blocks))
    }

    /// All of it as words, for a state: steps of a full block; the kind, if it is told and there are blocks; then for each
    /// block its steps, its pairs and its sums.
    pub fn words(&self) -> Vec<u64> {
        let mut words = vec![self.span];
        words.extend(self.kind.filter(|_| !self.is_empty()));
        for block in &self.blocks {
            words.extend([block.steps, block.pairs.to_bits()]);
            words.extend(block.sums.as_flattened().iter().map(|sum| sum.to_bits()));
        }
        words
    }

    /// The inverse of [`Window::words`]; none if they are no window over so many layers.
    pub fn from_words(layers: usize, words: &[u64]) -> Option<Self> {
        let (&span, words) = words.split_first()?;
        let length = 2 + 2 * layers;
        // Blocks have two words at least, so that a word more can be nothing but the kind.
        let (kind, words) = match words.split_first() {
            Some((kind, words)) if !words.is_empty() && words.len().is_multiple_of(length) => (Some(*kind), words),
            _ => (None, words),
        };
        let is_span = span.is_power_of_two() && span <= BLOCK_STEPS;
        if !is_span || !words.len().is_multiple_of(length) || words.len() / length > BLOCKS {
            return None;
        }
        let number = |word: &u64| f64::from_bits(*word);
        let mut blocks = Vec::with_capacity(BLOCKS);
        for words in words.chunks_exact(length) {
            let mut block = Block { steps: words[0], pairs: number(&words[1]), ..Block::new(layers) };
            let sums = block.sums.as_flattened_mut();
            sums.iter_mut().zip(&words[2..]).for_each(|(sum, word)| *sum = number(word));
            let is_finite = sums.iter().all(|sum| sum.is_finite()) && block.pairs.is_finite();
            if !is_finite || !(1..=span).contains(&block.steps) || block.pairs <= 0.0 {
                return None;
            }
            blocks.push(block);
        }
        Some(Self { layers, kind, span, blocks })
    }
}
