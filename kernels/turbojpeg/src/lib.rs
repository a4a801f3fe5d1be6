//! libjpeg-turbo, as far as samples are read by it: a JPEG's header, and a region of its pixels.
//!
//! With the feature `turbojpeg` the library is built from the sources that `turbojpeg-sys` holds, and linked in. Without
//! it nothing is here, so that other builds need neither cmake nor nasm.

#[cfg(feature = "turbojpeg")]
mod handle;
#[cfg(feature = "turbojpeg")]
mod image;

#[cfg(feature = "turbojpeg")]
pub use handle::{MOST_MEGABYTES, MOST_PIXELS, MOST_SCANS, TurboError};
#[cfg(feature = "turbojpeg")]
pub use image::{Header, Image, Pixels, Region};

/// What pixels depend on. Its discrete cosine transform is the accurate one in whole numbers and its upsampling the
/// interpolating one ("islow", "fancy"): the library's defaults, which have the same bits on all instruction sets.
pub const VERSION: &str = "libjpeg-turbo 3.1.0";
