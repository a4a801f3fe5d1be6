//! JPEG, by `zune-jpeg` in its strict mode: else it fills up what is cut off.

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::inks::inks_to_colours;
use super::segments::Segments;
use super::{DecodeError, Decoded, Sides, Window};

/// Kept from file to file.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    /// A file with another header.
    file: Vec<u8>,
}

/// Decodes from the top down to `window`'s last row, or farther, into `pixels`.
pub(super) fn decode(
    bytes: &[u8],
    segments: &Segments,
    window: Window,
    memory: &mut Memory,
    pixels: &mut Vec<u8>,
) -> Result<Decoded, DecodeError> {
    let sides = Sides { height: rows_to_decode(segments, window), ..segments.sides };
    let bytes = match sides == segments.sides {
        true => bytes,
        false => with_height(bytes, segments.height_at, sides.height, &mut memory.file),
    };
    let options = DecoderOptions::default().set_strict_mode(true);
    let options = options.set_max_width(usize::from(u16::MAX)).set_max_height(usize::from(u16::MAX));
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|error| DecodeError::damaged("JPEG", error))?;
    if decoder.dimensions() != Some((sides.width, sides.height)) {
        return Err(DecodeError::damaged("JPEG", "two headers"));
    }
    let (space, channels) = match (segments.components, decoder.input_colorspace()) {
        (1, _) => (ColorSpace::Luma, 1),
        (4, Some(ColorSpace::CMYK)) => (ColorSpace::CMYK, 4),
        // The decoder takes any three components with Adobe's marker for this.
        (3, Some(ColorSpace::CMYK)) => return Err(DecodeError::Unread("red, green and blue under other names")),
        _ => (ColorSpace::RGB, 3),
    };
    decoder.set_options(options.jpeg_set_out_colorspace(space));
    pixels.resize(sides.pixels() * channels, 0);
    decoder.decode_into(pixels).map_err(|error| DecodeError::damaged("JPEG", error))?;
    if channels == 4 {
        inks_to_colours(pixels, segments.adobe.is_some());
    }
    Ok(Decoded { sides, channels: channels.min(3), window })
}

/// Rows below a window need no decoding where each row of blocks stands for itself: all that follows is left out. One
/// row of blocks more is decoded, since colours at the lower edge are interpolated with it.
fn rows_to_decode(segments: &Segments, window: Window) -> usize {
    let Segments { sides, unit_rows, is_sequential, .. } = *segments;
    let needed = ((window.top + window.sides.height).div_ceil(unit_rows) + 1) * unit_rows;
    if is_sequential { needed.min(sides.height) } else { sides.height }
}

/// The same file with a header that tells of fewer rows.
fn with_height<'a>(bytes: &[u8], at: usize, height: usize, file: &'a mut Vec<u8>) -> &'a [u8] {
    file.clear();
    file.extend_from_slice(bytes);
    file[at..at + 2].copy_from_slice(&(height as u16).to_be_bytes());
    file
}
