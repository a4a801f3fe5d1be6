//! From a source to what stands for it in a shard: the file as it is, a smaller one, or its pixels as a PNG.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::Smaller;
use super::record::{Pixels, Source, Stored};
use crate::decode::{self, Decoder, Format, Header, Sides, Window};
use crate::manifest::Images;
use crate::resize::{Finish, Resizer};

/// A sample as it goes into a shard.
pub(super) struct Item<'m> {
    /// `jpg` or `png`.
    pub(super) extension: &'static str,
    pub(super) bytes: &'m [u8],
    pub(super) images: Images,
    /// Whether the source's name says another kind than its content is.
    pub(super) misnamed: bool,
}

/// Why a source does not become an item.
pub(super) enum Unmade {
    /// It can't be read, which says nothing of what it is.
    Unread(io::Error),
    /// It can't be decoded, in words.
    Bad(String),
}

/// Memory of one thread, and the file that it reads from.
#[derive(Default)]
pub(super) struct Maker {
    open: Option<(PathBuf, File)>,
    stored: Vec<u8>,
    made: Vec<u8>,
    decoder: Decoder,
    resizer: Resizer,
    planes: Vec<u8>,
    pixels: Vec<u8>,
}

impl Maker {
    /// Reads a source and looks whether it decodes, strictly.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn make(&mut self, source: &Source, smaller: Option<&Smaller>) -> Result<Item<'_>, Unmade> {
        self.read(source).map_err(Unmade::Unread)?;
        match source.stored {
            Stored::Encoded => self.encoded(source, smaller),
            Stored::Pixels(pixels) => self.pixels(&pixels),
        }
        .map_err(Unmade::Bad)
    }

    fn read(&mut self, source: &Source) -> io::Result<()> {
        let file = match &mut self.open {
            Some((path, file)) if *path == source.path => file,
            other => &mut other.insert((source.path.clone(), File::open(&source.path)?)).1,
        };
        self.stored.resize(source.length as usize, 0);
        file.read_exact_at(&mut self.stored, source.offset)
    }

    fn encoded(&mut self, source: &Source, smaller: Option<&Smaller>) -> Result<Item<'_>, String> {
        let Header { format, sides, channels } = decode::header(&self.stored).map_err(|error| error.to_string())?;
        let view = self.decoder.decode_all(&self.stored).map_err(|error| error.to_string())?;
        let named = source.path.extension().and_then(|extension| extension.to_str()).unwrap_or("");
        // A tar's members have names of their own, which webdataset.rs has looked at.
        let misnamed = Format::named(named).is_some_and(|by_name| by_name != format);
        let wanted = smaller.and_then(|smaller| Some((smaller.sides(sides)?, smaller.quality)));
        let Some((wanted, quality)) = wanted else {
            let images = images(channels, sides);
            return Ok(Item { extension: format.extension(), bytes: &self.stored, images, misnamed });
        };
        self.planes.resize(wanted.pixels() * channels, 0);
        self.resizer.resize(&view, wanted, Window::all(wanted), Finish::default(), &mut self.planes);
        interleave(&self.planes, channels, &mut self.pixels);
        self.made.clear();
        let color = if channels == 1 { jpeg_encoder::ColorType::Luma } else { jpeg_encoder::ColorType::Rgb };
        let [Ok(height), Ok(width)] = [wanted.height, wanted.width].map(u16::try_from) else {
            return Err(format!("becomes {}×{} pixels, more than a JPEG may have", wanted.height, wanted.width));
        };
        jpeg_encoder::Encoder::new(&mut self.made, quality)
            .encode(&self.pixels, width, height, color)
            .map_err(|error| format!("cannot be encoded: {error}"))?;
        Ok(Item { extension: "jpg", bytes: &self.made, images: images(channels, wanted), misnamed })
    }

    fn pixels(&mut self, pixels: &Pixels) -> Result<Item<'_>, String> {
        let Pixels { channels, height, width, planar } = *pixels;
        let pixels = match planar {
            true => {
                interleave(&self.stored, channels.into(), &mut self.pixels);
                &self.pixels
            }
            false => &self.stored,
        };
        self.made.clear();
        let mut encoder = png::Encoder::new(&mut self.made, width.into(), height.into());
        encoder.set_color(if channels == 1 { png::ColorType::Grayscale } else { png::ColorType::Rgb });
        encoder.set_depth(png::BitDepth::Eight);
        let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(pixels));
        written.map_err(|error| format!("cannot be encoded: {error}"))?;
        let sides = Sides { height: height.into(), width: width.into() };
        let images = images(channels.into(), sides);
        Ok(Item { extension: "png", bytes: &self.made, images, misnamed: false })
    }
}

/// Pixels channel by channel become pixels one by one.
fn interleave(planes: &[u8], channels: usize, out: &mut Vec<u8>) {
    out.clear();
    let plane = planes.len() / channels;
    out.extend((0..plane).flat_map(|at| (0..channels).map(move |channel| planes[channel * plane + at])));
}

fn images(channels: usize, sides: Sides) -> Images {
    // At most 2²⁶ pixels in all.
    let size = [sides.height, sides.width].map(|side| side as u32);
    Images { channels: channels as u8, least: size, most: size }
}
