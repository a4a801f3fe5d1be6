//! PNG and JPEG files: bytes that somebody sent become pixels, within bounds.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// Largest file.
const MOST_BYTES: u64 = 64 << 20;
/// Most rows or columns.
const MOST_SIDE: usize = 16_384;
/// Most pixels.
const MOST_PIXELS: usize = 64 << 20;

/// 8-bit pixels, (height, width, channels).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// 1, grey, or 3, red, green and blue.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// All of them.
    pub pixels: Vec<u8>,
}

impl Picture {
    /// Reads a file.
    ///
    /// # Errors
    /// In words.
    pub fn read(path: &Path) -> Result<Self, String> {
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes));
        read.map_err(|error| format!("cannot be read: {error}"))?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(format!("is larger than {} MiB", MOST_BYTES >> 20));
        }
        Self::decode(&bytes)
    }

    /// Decodes a file's bytes. What is transparent shows white paper.
    ///
    /// # Errors
    /// In words.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        // Decoders are not ours: their words may be of several lines.
        let one_line = |reason: String| reason.split_whitespace().collect::<Vec<_>>().join(" ");
        match bytes {
            [0x89, b'P', b'N', b'G', ..] => {
                decode_png(bytes).map_err(|reason| one_line(format!("is no whole PNG: {reason}")))
            }
            [0xff, 0xd8, ..] => decode_jpeg(bytes).map_err(|reason| one_line(format!("is no whole JPEG: {reason}"))),
            _ => Err("is neither PNG nor JPEG: convert it to one of them".into()),
        }
    }

    /// In shades of grey: luma of ITU-R BT.601, rounded to nearest.
    pub fn to_grey(&self) -> Self {
        if self.channels == 1 {
            return self.clone();
        }
        let luma = |rgb: &[u8]| {
            let [r, g, b] = [0, 1, 2].map(|channel| u32::from(rgb[channel]));
            ((299 * r + 587 * g + 114 * b + 500) / 1000) as u8
        };
        Self { channels: 1, pixels: self.pixels.chunks_exact(3).map(luma).collect(), ..*self }
    }

    /// In red, green and blue.
    pub fn to_colour(&self) -> Self {
        if self.channels == 3 {
            return self.clone();
        }
        Self { channels: 3, pixels: self.pixels.iter().flat_map(|&grey| [grey; 3]).collect(), ..*self }
    }
}

fn check_size(height: usize, width: usize) -> Result<(), String> {
    if height == 0 || width == 0 {
        return Err("it has no pixels".into());
    }
    if height > MOST_SIDE || width > MOST_SIDE || height * width > MOST_PIXELS {
        return Err(format!(
            "it claims {height}×{width} pixels; the most are {MOST_SIDE} a side and {MOST_PIXELS} in all"
        ));
    }
    Ok(())
}

fn decode_png(bytes: &[u8]) -> Result<Picture, String> {
    let words = |error: png::DecodingError| error.to_string();
    let limits = png::Limits { bytes: 4 * MOST_PIXELS };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(words)?;
    let (width, height) = (reader.info().width as usize, reader.info().height as usize);
    check_size(height, width)?;
    let size = reader.output_buffer_size().ok_or("it is too large")?;
    let mut pixels = vec![0; size];
    let frame = reader.next_frame(&mut pixels).map_err(words)?;
    // A file that ends behind its pixels is cut off as well.
    reader.finish().map_err(words)?;
    pixels.truncate(frame.buffer_size());
    let on_paper = |value: u8, alpha: u8| {
        let (value, alpha) = (u32::from(value), u32::from(alpha));
        ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    let (channels, pixels) = match frame.color_type {
        png::ColorType::Grayscale => (1, pixels),
        png::ColorType::Rgb => (3, pixels),
        png::ColorType::GrayscaleAlpha => (1, pixels.chunks_exact(2).map(|p| on_paper(p[0], p[1])).collect()),
        png::ColorType::Rgba => {
            let flat = |p: &[u8]| [on_paper(p[0], p[3]), on_paper(p[1], p[3]), on_paper(p[2], p[3])];
            (3, pixels.chunks_exact(4).flat_map(flat).collect())
        }
        png::ColorType::Indexed => return Err("its palette was not expanded".into()),
    };
    whole(Picture { channels, height, width, pixels })
}

fn decode_jpeg(bytes: &[u8]) -> Result<Picture, String> {
    // Strict: a file that is cut off is refused, not filled up.
    let options = DecoderOptions::default().set_strict_mode(true).set_max_width(MOST_SIDE).set_max_height(MOST_SIDE);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|error| error.to_string())?;
    let info = decoder.info().ok_or("it has no header")?;
    let (height, width) = (usize::from(info.height), usize::from(info.width));
    check_size(height, width)?;
    let grey = info.components == 1;
    let (channels, space) = if grey { (1, ColorSpace::Luma) } else { (3, ColorSpace::RGB) };
    decoder.set_options(options.jpeg_set_out_colorspace(space));
    let pixels = decoder.decode().map_err(|error| error.to_string())?;
    whole(Picture { channels, height, width, pixels })
}

/// Decoders are not ours: what they say is looked at.
fn whole(picture: Picture) -> Result<Picture, String> {
    let wanted = picture.height * picture.width * picture.channels;
    match picture.pixels.len() {
        found if found == wanted => Ok(picture),
        found => Err(format!("it has {found} bytes of pixels, not {wanted}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(kind: png::ColorType, depth: png::BitDepth, width: u32, pixels: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, 2);
        encoder.set_color(kind);
        encoder.set_depth(depth);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(pixels).unwrap();
        writer.finish().unwrap();
        bytes
    }

    #[test]
    fn all_kinds_of_png_become_grey_or_colour() {
        use png::BitDepth::{Eight, One, Sixteen};
        use png::ColorType::{Grayscale, GrayscaleAlpha, Rgb, Rgba};
        let decoded = |kind, depth, pixels: &[u8]| {
            let picture = Picture::decode(&encoded(kind, depth, 1, pixels)).unwrap();
            assert_eq!((picture.height, picture.width), (2, 1));
            picture.pixels
        };
        assert_eq!(decoded(Grayscale, Eight, &[7, 9]), [7, 9]);
        assert_eq!(decoded(Grayscale, One, &[0x80, 0]), [255, 0]);
        assert_eq!(decoded(Grayscale, Sixteen, &[7, 200, 9, 3]), [7, 9]);
        assert_eq!(decoded(GrayscaleAlpha, Eight, &[7, 255, 9, 0]), [7, 255]);
        assert_eq!(decoded(Rgb, Eight, &[1, 2, 3, 4, 5, 6]), [1, 2, 3, 4, 5, 6]);
        assert_eq!(decoded(Rgba, Eight, &[1, 2, 3, 255, 4, 5, 6, 0]), [1, 2, 3, 255, 255, 255]);
    }

    #[test]
    fn files_that_are_cut_off_changed_or_too_large_are_refused() {
        let pixels: Vec<u8> = (0..2 * 40).collect();
        let whole = encoded(png::ColorType::Grayscale, png::BitDepth::Eight, 40, &pixels);
        assert_eq!(Picture::decode(&whole).unwrap().pixels, pixels);
        for length in 0..whole.len() {
            assert!(Picture::decode(&whole[..length]).is_err(), "{length} of {} bytes", whole.len());
        }
        // No bytes make it panic.
        for byte in 0..whole.len() {
            for flip in [1, 0x80, 0xff] {
                let mut changed = whole.clone();
                changed[byte] ^= flip;
                let _ = Picture::decode(&changed);
            }
        }
        assert!(Picture::decode(b"GIF89a").unwrap_err().contains("neither PNG nor JPEG"));
        assert!(check_size(20_000, 1).unwrap_err().contains("16384 a side"));
        assert!(check_size(16_000, 16_000).is_err() && check_size(8192, 8192).is_ok() && check_size(0, 1).is_err());
    }

    #[test]
    fn luma_is_that_of_bt_601() {
        let picture = Picture { channels: 3, height: 1, width: 3, pixels: vec![255, 0, 0, 0, 255, 0, 0, 0, 255] };
        assert_eq!(picture.to_grey().pixels, [76, 150, 29]);
        assert_eq!(picture.to_grey().to_colour().pixels, [76, 76, 76, 150, 150, 150, 29, 29, 29]);
    }
}
