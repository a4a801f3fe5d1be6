//! Data: which samples a step takes, in which order, and their pixels. First on a sample's path.
//!
//! [`order`] and [`random`] are pure functions: no state passes from one step to the next, so any worker can work
//! out any position of any epoch. [`dataset`] owns the pixels; [`idx`] reads and distrusts the files. [`augment`]
//! changes the pixels of training samples, by [`distortion`] among others, and [`mixing`] those of whole lanes;
//! [`corruption`] changes those of any sample by a strength.
//! [`image_reader`] is the way from a file's bytes to all of that, by [`decode`] and [`resize`]. [`shards`] has those
//! bytes, out of files of this machine or, by [`remote`], of an object store.

pub mod augment;
pub mod corruption;
pub mod dataset;
pub mod decode;
pub mod distortion;
pub mod error;
pub mod idx;
pub mod image_reader;
mod in_memory;
mod kept;
pub mod known;
pub mod label_noise;
pub mod loader;
pub mod manifest;
pub mod mixing;
mod monitor;
pub mod npy;
pub mod order;
pub mod permutation;
pub mod place;
pub mod prepare;
pub mod random;
pub mod reader;
pub mod remote;
pub mod resize;
pub mod shards;
pub mod tar;
pub mod verify;

pub use augment::Augmentation;
pub use dataset::{Dataset, ImageShape, Split};
pub use decode::DecodeError;
pub use error::DataError;
pub use image_reader::ImageReader;
pub use label_noise::LabelNoise;
pub use mixing::Mixing;
pub use order::Order;
pub use random::{Purpose, Random};
pub use reader::SampleReader;

#[cfg(test)]
mod tests;
