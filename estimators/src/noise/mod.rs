//! Gradient noise from what a step's reduction has anyway: the lanes' gradient sums, and their sum.
//!
//! G is the gradient of the loss over all samples, Σ the covariance of one sample's gradient, and the *noise scale*
//! B_simple = trΣ/‖G‖² the batch from which on more samples bring little (McCandlish et al. 2018, "An empirical model of
//! large-batch training", equation 2.9 and appendix A.1, here for lanes of any sizes). From a step to a number:
//!
//! 1. [`Step`]: unbiased estimates of trΣ and ‖G‖² of one step, exact for lanes that hold different counts.
//! 2. [`Window`]: means of both over the last [`BLOCKS`] × [`BLOCK_STEPS`] steps, in blocks. B_simple is a ratio of means,
//!    never a mean of ratios: a single step's ‖G‖² may well be negative, and its ratio has no mean at all.
//! 3. The variance of those means, by the jackknife over blocks (`jackknife`).
//! 4. [`Scale`]: their ratio with its 95 % interval; or above what it is, where ‖G‖² can't be told from 0.
//!
//! Nothing is clamped: an estimate of something positive may come out negative, and is told as it is.
//!
//! **What is assumed.** Lanes are independent draws. What happens inside a lane (batch normalisation's statistics, mixup)
//! may couple its samples; then trΣ is the variance of a lane's mean gradient times its samples, that is, the noise of
//! micro-batches of this size. Samples of an epoch are drawn without replacement: of N samples, trΣ (with divisor N − 1)
//! stays unbiased, and ‖G‖² comes out lower by trΣ/N, which matters where the noise scale is near N or above it: then it
//! comes out too large, or not at all.

mod jackknife;
mod scale;
mod step;
mod window;

pub use scale::{Estimate, Scale, Unknown};
pub use step::{Lanes, Step};
pub use window::{BLOCK_STEPS, BLOCKS, Window};
