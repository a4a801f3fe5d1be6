//! On a GPU repeated work is a CUDA graph, or one for each of its parts. It is asked for plainly the first time, when ops
//! get the scratch memory that they need and libraries their plans, recorded the second time, and launched as a whole
//! from then on.

use super::Repeat;
use crate::cuda::graph::Graph;
use crate::cuda::stream::Stream;
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
    /// One a part, from the second time on.
    graphs: Vec<Graph>,
}

/// What launches are a function of.
#[derive(PartialEq, Eq)]
struct Occasion {
    samples: usize,
    cuts: Vec<usize>,
    /// Addresses.
    operands: Vec<u64>,
    /// Those of scratch memory, which may have grown since.
    scratch: [u64; 2],
}

/// Work that is under way.
enum Pending {
    /// Asked for the first time.
    First(Occasion),
    /// Of the last one known, asked for the second time: the parts so far.
    Recording(Vec<Graph>),
    /// Of the last one known, on record: parts so far.
    Launching(usize),
}

impl Repeat for Cuda {
    fn repeats(&self) -> bool {
        self.records()
    }

    fn repeat(&mut self, samples: usize, cuts: &[usize], operands: &[View<'_, f32>]) -> bool {
        let operands = operands.iter().map(View::address).collect();
        let occasion = Occasion { samples, cuts: cuts.to_vec(), operands, scratch: self.scratch_addresses() };
        let (repeated, stream) = self.repeated();
        let pending = match repeated.bring_last(&occasion) {
            None => Pending::First(occasion),
            Some(known) if known.graphs.is_empty() => Pending::Recording(Vec::new()),
            Some(_) => Pending::Launching(0),
        };
        let is_on_record = matches!(pending, Pending::Launching(_));
        repeated.pending = Some(pending);
        repeated.begin_part(stream);
        is_on_record
    }

    fn cut(&mut self, between: impl FnOnce(&mut Self)) {
        let (repeated, stream) = self.repeated();
        repeated.end_part(stream);
        between(self);
        let (repeated, stream) = self.repeated();
        repeated.begin_part(stream);
    }

    fn asked(&mut self) {
        let scratch = self.scratch_addresses();
        let (repeated, stream) = self.repeated();
        repeated.end_part(stream);
        match repeated.pending.take() {
            None | Some(Pending::Launching(_)) => {}
            Some(Pending::First(occasion)) => repeated.add(Occasion { scratch, ..occasion }),
            Some(Pending::Recording(graphs)) => {
                if let Some(known) = repeated.known.last_mut() {
                    known.graphs = graphs;
                }
            }
        }
    }
}

impl Repeated {
    /// The one that was asked for before.
    fn bring_last(&mut self, occasion: &Occasion) -> Option<&Known> {
        let place = self.known.iter().position(|known| known.occasion == *occasion)?;
        self.known[place..].rotate_left(1);
        self.known.last()
    }

    /// The next time it is to be recorded.
    fn add(&mut self, occasion: Occasion) {
        if self.known.len() == MOST {
            self.known.remove(0);
        }
        self.known.push(Known { occasion, graphs: Vec::new() });
    }

    /// Before a part.
    fn begin_part(&mut self, stream: &Stream) {
        if let Some(Pending::Recording(_)) = self.pending {
            stream.begin_recording();
        }
    }

    /// Behind a part that was asked for, or in place of one on record.
    fn end_part(&mut self, stream: &Stream) {
        let Self { known, pending } = self;
        match pending {
            None | Some(Pending::First(_)) => {}
            Some(Pending::Recording(graphs)) => {
                let Some(graph) = stream.end_recording() else { return };
                stream.launch_graph(&graph);
                graphs.push(graph);
            }
            Some(Pending::Launching(part)) => {
                if let Some(graph) = known.last().and_then(|known| known.graphs.get(*part)) {
                    stream.launch_graph(graph);
                }
                *part += 1;
            }
        }
    }
}
