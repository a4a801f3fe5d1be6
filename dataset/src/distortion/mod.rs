//! Distortions of an image: an affine map of the plane and an elastic field of displacements, in one bilinear sampling.
//!
//! Pure functions of pixels and numbers, image by image; [`augment`](super::augment) says which numbers. They use only
//! operations that IEEE 754 fixes to the last bit, in a fixed order, so that pixels are the same bits on any machine.
//! What goes into an image from outside of it is background: byte 0.

mod affine;
mod bilinear;
mod elastic;

pub use affine::{Affine, Planar};
pub use bilinear::{Frame, Warp};
pub use elastic::{Elastic, FieldMemory};

#[cfg(test)]
mod tests;
