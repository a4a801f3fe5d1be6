//! On a GPU repeated work is a CUDA graph. It is asked for plainly the first time, when ops get the scratch memory that
//! they need and libraries their plans, recorded the second time, and launched as a whole from then on.

use super::Repeat;
use crate::cuda::graph::Graph;
use crate::cuda::{Cuda, View};

/// Most that are kept: of a few shapes, a sum for each level of the tree, and some of what is no longer.
const MOST: usize = 64;

/// What a GPU has been asked to repeat.
#[derive(Default)]
pub(crate) struct Repeated {
    /// That which was repeated last comes last.
    known: Vec<Known>,
    pending: Option<Pending>,
}

struct Known {
    occasion: Occasion,
    /// From the second time on.
    graph: Option<Graph>,
}

/// What launches are a function of.
#[derive(PartialEq, Eq)]
struct Occasion {
    samples: usize,
    /// Addresses.
    operands: Vec<u64>,
    /// Those of scratch memory, which may have grown since.
    scratch: [u64; 2],
}

/// Work that is being asked for.
enum Pending {
    First(Occasion),
    /// Of the last one known.
    Recording,
}

impl Repeat for Cuda {
    fn repeats(&self) -> bool {
        self.records()
    }

    fn repeat(&mut self, samples: usize, operands: &[View<'_, f32>]) -> bool {
        let operands = operands.iter().map(View::address).collect();
        let occasion = Occasion { samples, operands, scratch: self.scratch_addresses() };
        let (repeated, stream) = self.repeated();
        if !repeated.bring_last(&occasion) {
            repeated.pending = Some(Pending::First(occasion));
            return false;
        }
        if let Some(Known { graph: Some(graph), .. }) = repeated.known.last() {
            stream.launch_graph(graph);
            return true;
        }
        stream.begin_recording();
        repeated.pending = Some(Pending::Recording);
        false
    }

    fn asked(&mut self) {
        let scratch = self.scratch_addresses();
        let (repeated, stream) = self.repeated();
        match repeated.pending.take() {
            None => {}
            Some(Pending::First(occasion)) => repeated.add(Occasion { scratch, ..occasion }),
            Some(Pending::Recording) => {
                let Some(graph) = stream.end_recording() else { return };
                stream.launch_graph(&graph);
                if let Some(known) = repeated.known.last_mut() {
                    known.graph = Some(graph);
                }
            }
        }
    }
}

impl Repeated {
    /// Whether this one was asked for before.
    fn bring_last(&mut self, occasion: &Occasion) -> bool {
        let place = self.known.iter().position(|known| known.occasion == *occasion);
        place.inspect(|&place| self.known[place..].rotate_left(1)).is_some()
    }

    /// The next time it is to be recorded.
    fn add(&mut self, occasion: Occasion) {
        if self.known.len() == MOST {
            self.known.remove(0);
        }
        self.known.push(Known { occasion, graph: None });
    }
}
