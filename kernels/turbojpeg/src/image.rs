//! One JPEG: its header, and a region of its pixels into the caller's memory.

use std::ffi::c_int;

use turbojpeg_sys as sys;

use crate::handle::{Handle, MOST_PIXELS, TurboError};

/// A file whose header has been read.
///
/// Each has an instance of the library of its own: one that is used again keeps tables of the file before it, and a
/// damaged file that lacks its own would get pixels that depend on the other.
#[derive(Debug)]
pub struct Image<'a> {
    handle: Handle,
    bytes: &'a [u8],
    header: Header,
}

/// What a file says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// What its pixels become.
    pub pixels: Pixels,
    /// Whether less than all of it can be decoded.
    pub has_regions: bool,
}

/// What a pixel consists of, a byte each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pixels {
    /// Grey.
    Grey,
    /// Red, green and blue.
    Colour,
    /// Cyan, magenta, yellow and black, as they are in the file: Adobe's are inverted.
    Inks,
}

/// A part of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Rows above it.
    pub top: usize,
    /// Columns to its left: a multiple of 8 · the largest horizontal sampling factor.
    pub left: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl<'a> Image<'a> {
    /// Reads a file's header.
    ///
    /// # Errors
    /// If it is damaged, or of more than [`MOST_PIXELS`] or components other than a [`Pixels`]'s.
    pub fn open(bytes: &'a [u8]) -> Result<Self, TurboError> {
        let mut handle = Handle::new()?;
        let header = Header::read(&mut handle, bytes)?;
        Ok(Self { handle, bytes, header })
    }

    /// What was read.
    pub fn header(&self) -> Header {
        self.header
    }

    /// Decodes a region into `out` (height, width, [`Pixels::len`]), which becomes as long as that. What lies below it is
    /// not looked at.
    ///
    /// Along the left and right edges colours are interpolated as at an image's edges: where they have fewer pixels than
    /// brightness, the outermost column may differ from what decoding all of the image gives.
    ///
    /// # Errors
    /// If the region is not inside of the image or doesn't begin where it may, if the image has no regions and it is
    /// not all of it, or if the file is cut off, damaged, or gives the library anything to warn of.
    pub fn decode(self, region: Region, out: &mut Vec<u8>) -> Result<(), TurboError> {
        let Self { mut handle, bytes, header } = self;
        if region != header.all() && !header.has_regions {
            return Err(TurboError("all of it has to be decoded".into()));
        }
        if !header.contains(region) {
            return Err(TurboError("the region to decode is not inside of it".into()));
        }
        let row = region.width * header.pixels.len();
        out.resize(region.height * row, 0);
        // An image without regions is decoded as a whole where none is set.
        let cut = if header.has_regions { region.raw() } else { sys::tjregion { x: 0, y: 0, w: 0, h: 0 } };
        // SAFETY: the instance lives.
        let result = unsafe { sys::tj3SetCroppingRegion(handle.raw(), cut) };
        handle.checked(result)?;
        let (size, format) = (bytes.len() as sys::size_t, header.pixels.raw());
        // SAFETY: the bytes are those whose header was read by this instance, so that the library writes `region.height`
        // rows, `row` bytes apart, of `region.width` pixels: the region if one is set, else all of the image, which is
        // `region` then. `out` has that length, which is below 2³¹, and nobody else has it.
        let result =
            unsafe { sys::tj3Decompress8(handle.raw(), bytes.as_ptr(), size, out.as_mut_ptr(), row as c_int, format) };
        handle.checked(result)
    }
}

impl Header {
    fn read(handle: &mut Handle, bytes: &[u8]) -> Result<Self, TurboError> {
        // SAFETY: the instance lives, and so do the bytes while the call lasts; it keeps no pointer that another call
        // would follow, since each names its bytes.
        let result = unsafe { sys::tj3DecompressHeader(handle.raw(), bytes.as_ptr(), bytes.len() as sys::size_t) };
        handle.checked(result)?;
        let pixels = match handle.get(sys::TJPARAM_TJPARAM_COLORSPACE) as sys::TJCS {
            sys::TJCS_TJCS_GRAY => Pixels::Grey,
            sys::TJCS_TJCS_RGB | sys::TJCS_TJCS_YCbCr => Pixels::Colour,
            sys::TJCS_TJCS_CMYK | sys::TJCS_TJCS_YCCK => Pixels::Inks,
            _ => return Err(TurboError("unknown colours".into())),
        };
        let side = |side: c_int| usize::try_from(side).ok().filter(|side| (1..=MOST_PIXELS).contains(side));
        let height = side(handle.get(sys::TJPARAM_TJPARAM_JPEGHEIGHT));
        let width = side(handle.get(sys::TJPARAM_TJPARAM_JPEGWIDTH));
        let (Some(height), Some(width)) = (height, width) else {
            return Err(TurboError("no pixels".into()));
        };
        if height.checked_mul(width).is_none_or(|count| count > MOST_PIXELS) {
            return Err(TurboError("too many pixels".into()));
        }
        let is_lossless = handle.get(sys::TJPARAM_TJPARAM_LOSSLESS) != 0;
        let has_regions = handle.get(sys::TJPARAM_TJPARAM_SUBSAMP) >= 0 && !is_lossless;
        Ok(Self { height, width, pixels, has_regions })
    }

    /// All of the image.
    pub fn all(&self) -> Region {
        Region { top: 0, left: 0, height: self.height, width: self.width }
    }

    fn contains(&self, region: Region) -> bool {
        let fits = |start: usize, length: usize, all: usize| length > 0 && start < all && length <= all - start;
        fits(region.top, region.height, self.height) && fits(region.left, region.width, self.width)
    }
}

impl Pixels {
    /// Bytes of a pixel.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Colour => 3,
            Self::Inks => 4,
        }
    }

    fn raw(self) -> c_int {
        match self {
            Self::Grey => sys::TJPF_TJPF_GRAY,
            Self::Colour => sys::TJPF_TJPF_RGB,
            Self::Inks => sys::TJPF_TJPF_CMYK,
        }
    }
}

impl Region {
    /// Inside of an image, whose sides are checked.
    fn raw(self) -> sys::tjregion {
        let [x, y, w, h] = [self.left, self.top, self.width, self.height].map(|side| side as c_int);
        sys::tjregion { x, y, w, h }
    }
}
