//! PNG.

use std::io::Cursor;

use png::{ColorType, Limits, Reader, Transformations};

use super::{DecodeError, MOST_PIXELS, Sides};

/// From the header, which has its place at the very start.
pub(super) fn sides(bytes: &[u8]) -> Result<Sides, DecodeError> {
    let side = |at: usize| {
        let bytes = bytes.get(at..at + 4)?.first_chunk()?;
        usize::try_from(u32::from_be_bytes(*bytes)).ok()
    };
    let (width, height) = (side(16), side(20));
    let (Some(width), Some(height), Some(b"IHDR")) = (width, height, bytes.get(12..16)) else {
        return Err(DecodeError::CutOff("PNG"));
    };
    Ok(Sides { height, width })
}

/// Whether the header says that it is grey, with alpha or without.
pub(super) fn is_grey(bytes: &[u8]) -> bool {
    matches!(bytes.get(25), Some(0 | 4))
}

/// Decodes all of it, into `pixels`: 1 or 3 channels.
pub(super) fn decode(bytes: &[u8], pixels: &mut Vec<u8>) -> Result<usize, DecodeError> {
    let mut reader = reader(bytes).map_err(error)?;
    // The library stumbles over others.
    let is_whole = |palette: &[u8]| matches!(palette.len(), 3..=768) && palette.len().is_multiple_of(3);
    if reader.info().palette.as_deref().is_some_and(|palette| !is_whole(palette)) {
        return Err(DecodeError::damaged("PNG", "a palette that is not 1 to 256 colours"));
    }
    let size = reader.output_buffer_size().ok_or_else(|| DecodeError::damaged("PNG", "too large"))?;
    pixels.resize(size, 0);
    let frame = reader.next_frame(pixels).map_err(error)?;
    if [frame.height, frame.width] != [reader.info().height, reader.info().width] {
        return Err(DecodeError::damaged("PNG", "a picture of another size than its header's"));
    }
    // A file that ends behind its pixels is cut off as well.
    reader.finish().map_err(error)?;
    pixels.truncate(frame.buffer_size());
    match frame.color_type {
        ColorType::Grayscale => Ok(1),
        ColorType::Rgb => Ok(3),
        ColorType::GrayscaleAlpha => Ok(without_alpha::<1>(pixels)),
        ColorType::Rgba => Ok(without_alpha::<3>(pixels)),
        ColorType::Indexed => Err(DecodeError::damaged("PNG", "its palette was not looked up")),
    }
}

fn reader(bytes: &[u8]) -> Result<Reader<Cursor<&[u8]>>, png::DecodingError> {
    // Up to 8 bytes a pixel before they are made smaller.
    let limits = Limits { bytes: 8 * MOST_PIXELS };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_transformations(Transformations::normalize_to_color8());
    decoder.read_info()
}

fn error(error: png::DecodingError) -> DecodeError {
    match error {
        png::DecodingError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            DecodeError::CutOff("PNG")
        }
        other => DecodeError::damaged("PNG", other),
    }
}

/// Drops the last of every `CHANNELS` + 1 values.
fn without_alpha<const CHANNELS: usize>(pixels: &mut Vec<u8>) -> usize {
    let count = pixels.len() / (CHANNELS + 1);
    for pixel in 0..count {
        pixels.copy_within(pixel * (CHANNELS + 1)..pixel * (CHANNELS + 1) + CHANNELS, pixel * CHANNELS);
    }
    pixels.truncate(count * CHANNELS);
    CHANNELS
}
