//! Winograd's minimal filtering F(4×4, 3×3): 36 multiplications where 16 results of a 3×3 kernel need 144.
//!
//! Lavin and Gray 2016 (arXiv 1509.09308) describe it for neural networks. A tile of 6×6 inputs and the kernel are
//! transformed, multiplied element by element, summed over channels, and transformed into 4×4 results. With the samples
//! in the lanes a transform is plain arithmetic on packs, and the sums over channels are 36 products of matrices.
//! The gradient of the input is the same with the kernel turned around. The gradient of the weight is the transpose:
//! `d_w = Gᵀ (Σ (A d_y Aᵀ) ⊙ (Bᵀ x B)) G` over tiles and samples.

pub(super) mod backward_weight;
pub(super) mod forward;
mod passes;
mod tiles;
mod transforms;
mod turned;

/// Results of a tile, one way.
const RESULTS: usize = 4;
/// Inputs of a tile, one way.
const INPUTS: usize = 6;
/// Elements of a transformed tile.
const ELEMENTS: usize = INPUTS * INPUTS;

/// Packs between the elements of transformed tiles that hold `packs` each: odd, since a power of two would put all 36
/// into the same set of the first-level cache.
fn apart(packs: usize) -> usize {
    packs | 1
}
