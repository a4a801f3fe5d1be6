//! A sample's file to its pixels: JPEG and PNG, by the first bytes. Between the shard and the resizing.
//!
//! Files are not believed: sizes are checked before memory is asked for, and what is cut off is an error. Damage inside
//! of a JPEG mostly decodes, to other pixels; the manifest's checksums are what finds it.
//!
//! Whatever a file is, it becomes grey or red, green and blue, 8 bits each, as by Pillow's `convert`: alpha is left out,
//! palettes are looked up, CMYK is multiplied out, of 16 bits the upper 8 stay (Pillow cuts grey off at 255). EXIF's
//! orientation is left alone, as in torchvision.

mod error;
mod inks;
#[cfg(not(feature = "turbojpeg"))]
mod jpeg;
mod png;
mod segments;
#[cfg(feature = "turbojpeg")]
mod turbo;

pub use error::DecodeError;
#[cfg(feature = "turbojpeg")]
use turbo as jpeg;

/// What pixels of files depend on: part of the fingerprint.
#[cfg(not(feature = "turbojpeg"))]
pub const DECODERS: &str = "zune-jpeg 0.5.15, png 0.18.1";
/// What pixels of files depend on: part of the fingerprint.
#[cfg(feature = "turbojpeg")]
pub const DECODERS: &str = "libjpeg-turbo 3.1.0, png 0.18.1";
/// Most pixels of an image.
pub const MOST_PIXELS: usize = 1 << 26;

/// Rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sides {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// A part of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Rows above it.
    pub top: usize,
    /// Columns to its left.
    pub left: usize,
    /// Its own.
    pub sides: Sides,
}

/// Pixels in memory, (height, width, channels), of which a window is wanted.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// All of them.
    pub pixels: &'a [u8],
    /// Of `pixels`.
    pub sides: Sides,
    /// 1 or 3.
    pub channels: usize,
    /// The window in `pixels`.
    pub window: Window,
}

/// Decodes files. Keeps its memory from file to file; the libraries' own is theirs, and small.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    memory: jpeg::Memory,
    pixels: Vec<u8>,
}

/// What a kind of file's decoder has put into memory.
struct Decoded {
    /// Of all that is there.
    sides: Sides,
    /// 1 or 3.
    channels: usize,
    /// Where in it the wanted window is.
    window: Window,
}

impl Sides {
    /// Rows times columns.
    pub fn pixels(self) -> usize {
        self.height * self.width
    }
}

impl Window {
    /// All of an image.
    pub fn all(sides: Sides) -> Self {
        Self { top: 0, left: 0, sides }
    }

    /// A window of another window, in the image of that.
    pub(crate) fn inside(self, other: Self) -> Self {
        Self { top: other.top + self.top, left: other.left + self.left, sides: self.sides }
    }
}

impl View<'_> {
    /// The window's pixels, row by row.
    pub fn rows(&self) -> impl Iterator<Item = &[u8]> {
        let Window { top, left, sides } = self.window;
        let rows = self.pixels.chunks_exact(self.sides.width * self.channels).skip(top).take(sides.height);
        rows.map(move |row| &row[left * self.channels..][..sides.width * self.channels])
    }
}

/// A kind of file, and what it says of itself.
enum Kind {
    Jpeg(segments::Segments),
    Png,
}

impl Kind {
    fn of(bytes: &[u8]) -> Result<Self, DecodeError> {
        match bytes {
            [] => Err(DecodeError::Empty),
            [0xff, 0xd8, ..] => segments::Segments::of(bytes).map(Self::Jpeg),
            [0x89, b'P', b'N', b'G', ..] => Ok(Self::Png),
            _ => Err(DecodeError::Kind(bytes[..bytes.len().min(4)].to_vec())),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Jpeg(_) => "JPEG",
            Self::Png => "PNG",
        }
    }

    fn sides(&self, bytes: &[u8]) -> Result<Sides, DecodeError> {
        within_limit(match self {
            Self::Jpeg(segments) => segments.sides,
            Self::Png => png::sides(bytes)?,
        })
    }
}

/// What a file's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What kind of file it is.
    pub format: Format,
    /// The image's size.
    pub sides: Sides,
    /// 1 if it is grey, else 3.
    pub channels: usize,
}

/// Kinds of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
}

impl Format {
    /// The kind that a name's extension tells.
    pub fn named(extension: &str) -> Option<Self> {
        let is = |name: &str| extension.eq_ignore_ascii_case(name);
        if is("jpg") || is("jpeg") {
            return Some(Self::Jpeg);
        }
        is("png").then_some(Self::Png)
    }

    /// The usual extension.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
        }
    }
}

/// Reads a file's header.
///
/// # Errors
/// If the file is neither JPEG nor PNG, its header is damaged, or it has more than [`MOST_PIXELS`].
pub fn header(bytes: &[u8]) -> Result<Header, DecodeError> {
    let kind = Kind::of(bytes)?;
    let (format, is_grey) = match &kind {
        Kind::Jpeg(segments) => (Format::Jpeg, segments.components == 1),
        Kind::Png => (Format::Png, png::is_grey(bytes)),
    };
    Ok(Header { format, sides: kind.sides(bytes)?, channels: if is_grey { 1 } else { 3 } })
}

/// An image's size, from the header.
///
/// # Errors
/// As [`header`].
pub fn sides(bytes: &[u8]) -> Result<Sides, DecodeError> {
    Ok(header(bytes)?.sides)
}

impl Decoder {
    /// Decodes at least `window` of an image, to `channels`: 3, red, green and blue, or 1, grey.
    ///
    /// Pixels of the window are those that decoding all of it gives. What lies around it may be left undecoded, and
    /// damage there unfound.
    ///
    /// # Errors
    /// As [`sides`], or if the file is cut off or damaged, or of a kind of JPEG that isn't read.
    ///
    /// # Panics
    /// If the window is not inside of the image, or `channels` is another number.
    pub fn decode(&mut self, bytes: &[u8], window: Window, channels: usize) -> Result<View<'_>, DecodeError> {
        assert!(channels == 1 || channels == 3, "{channels} channels");
        let kind = Kind::of(bytes)?;
        let all = kind.sides(bytes)?;
        assert!(is_inside(window, all), "{window:?} of {all:?}");
        let Self { memory, pixels } = self;
        let decode = || match &kind {
            Kind::Jpeg(segments) => jpeg::decode(bytes, segments, window, memory, pixels),
            Kind::Png => png::decode(bytes, pixels).map(|channels| Decoded { sides: all, channels, window }),
        };
        // Decoders are not ours, and what they stumble over is a file's fault.
        let decoded = std::panic::catch_unwind(std::panic::AssertUnwindSafe(decode));
        let decoded = decoded.map_err(|_| DecodeError::damaged(kind.name(), "its decoder stumbled"))??;
        let Decoded { sides, channels: found, window } = decoded;
        match (found, channels) {
            (1, 3) => to_colour(&mut self.pixels),
            (3, 1) => to_grey(&mut self.pixels),
            _ => {}
        }
        Ok(View { pixels: &self.pixels[..sides.pixels() * channels], sides, channels, window })
    }

    /// Decodes an image as it is: all of it, grey if it is grey.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    pub fn decode_all(&mut self, bytes: &[u8]) -> Result<View<'_>, DecodeError> {
        let Header { sides, channels, .. } = header(bytes)?;
        self.decode(bytes, Window::all(sides), channels)
    }
}

fn within_limit(sides: Sides) -> Result<Sides, DecodeError> {
    match sides.height.checked_mul(sides.width) {
        Some(1..=MOST_PIXELS) => Ok(sides),
        _ => Err(DecodeError::Size { height: sides.height, width: sides.width }),
    }
}

fn is_inside(window: Window, all: Sides) -> bool {
    let Window { top, left, sides } = window;
    sides.pixels() > 0 && top + sides.height <= all.height && left + sides.width <= all.width
}

fn to_colour(pixels: &mut Vec<u8>) {
    let grey = pixels.len();
    pixels.resize(3 * grey, 0);
    // From the back, so that no grey pixel is overwritten before it is read.
    for pixel in (0..grey).rev() {
        let level = pixels[pixel];
        pixels[3 * pixel..][..3].fill(level);
    }
}

/// Luma of ITU-R BT.601, as Pillow rounds it.
fn to_grey(pixels: &mut Vec<u8>) {
    let count = pixels.len() / 3;
    for pixel in 0..count {
        let [red, green, blue] = [0, 1, 2].map(|channel| u32::from(pixels[3 * pixel + channel]));
        pixels[pixel] = ((19_595 * red + 38_470 * green + 7_471 * blue + 0x8000) >> 16) as u8;
    }
    pixels.truncate(count);
}

#[cfg(test)]
mod tests;
