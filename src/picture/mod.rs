//! A picture file as a network takes it: decoded, in its channels, at its size, light on dark.

mod decode;
mod resize;

use std::path::Path;

use crate::BadInput;
use crate::arguments::Polarity;

pub use decode::Picture;

/// What a network takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// 1, grey, or 3, colour.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// A picture as the network takes it, and what was done to it.
#[derive(Debug)]
pub struct Prepared {
    /// (channels, height, width).
    pub pixels: Vec<u8>,
    /// In words, such as "32×32, inverted: its border is light".
    pub done: String,
    /// Light became dark.
    pub inverted: bool,
}

/// Reads a PNG or JPEG and makes it what the network takes.
///
/// # Errors
/// If it is no picture, a damaged one or a very large one.
pub fn prepare(path: &Path, wanted: Wanted, polarity: Polarity) -> Result<Prepared, BadInput> {
    let picture = Picture::read(path).map_err(|reason| BadInput(format!("{}: {reason}", path.display())))?;
    Ok(fit(&picture, wanted, polarity))
}

fn fit(picture: &Picture, wanted: Wanted, polarity: Polarity) -> Prepared {
    let (height, width) = (picture.height, picture.width);
    let picture = if wanted.channels == 1 { picture.to_grey() } else { picture.to_colour() };
    let light = border_mean(&picture) > 127.5;
    // Networks for grey images are known for data that is light on dark; of colours nobody knows.
    let (inverted, why) = match polarity {
        Polarity::Inverted => (true, "as asked for"),
        Polarity::AsItIs => (false, ""),
        Polarity::Detect => (wanted.channels == 1 && light, "its border is light"),
    };
    let mut done = format!("{height}×{width}");
    let picture = if (height, width) == (wanted.height, wanted.width) {
        picture
    } else {
        done.push_str(&format!(" resized to {}×{}", wanted.height, wanted.width));
        resize::resize(&picture, wanted.height, wanted.width)
    };
    if inverted {
        done.push_str(&format!(", inverted: {why}"));
    }
    let value = |byte: u8| if inverted { 255 - byte } else { byte };
    let plane = |channel| picture.pixels.iter().skip(channel).step_by(picture.channels).map(|&byte| value(byte));
    Prepared { pixels: (0..picture.channels).flat_map(plane).collect(), done, inverted }
}

/// Mean of the outermost rows and columns.
fn border_mean(picture: &Picture) -> f64 {
    let Picture { channels, height, width, pixels } = picture;
    let (mut sum, mut count) = (0u64, 0u64);
    for (index, pixel) in pixels.chunks_exact(*channels).enumerate() {
        let (row, column) = (index / width, index % width);
        if row == 0 || row + 1 == *height || column == 0 || column + 1 == *width {
            sum += pixel.iter().map(|&byte| u64::from(byte)).sum::<u64>();
            count += *channels as u64;
        }
    }
    sum as f64 / count.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(height: usize, width: usize, pixels: Vec<u8>) -> Picture {
        Picture { channels: 1, height, width, pixels }
    }

    #[test]
    fn pictures_become_light_on_dark() {
        let mut pixels = vec![250; 25];
        pixels[12] = 10;
        let picture = grey(5, 5, pixels.clone());
        let wanted = Wanted { channels: 1, height: 5, width: 5 };
        let fitted = fit(&picture, wanted, Polarity::Detect);
        assert_eq!((fitted.inverted, fitted.pixels[0], fitted.pixels[12]), (true, 5, 245));
        assert_eq!(fitted.done, "5×5, inverted: its border is light");
        assert_eq!(fit(&picture, wanted, Polarity::AsItIs).pixels, pixels);
        let dark = grey(5, 5, fitted.pixels);
        assert!(!fit(&dark, wanted, Polarity::Detect).inverted);
        assert_eq!(fit(&dark, wanted, Polarity::Inverted).pixels, pixels);
        // Of a colour picture nobody knows.
        assert!(!fit(&picture, Wanted { channels: 3, ..wanted }, Polarity::Detect).inverted);
    }

    #[test]
    fn channels_become_planes() {
        let picture = Picture { channels: 3, height: 1, width: 2, pixels: vec![1, 2, 3, 4, 5, 6] };
        let wanted = Wanted { channels: 3, height: 1, width: 2 };
        assert_eq!(fit(&picture, wanted, Polarity::Detect).pixels, [1, 4, 2, 5, 3, 6]);
        let grey = fit(&picture, Wanted { channels: 1, ..wanted }, Polarity::Detect).pixels;
        assert_eq!(grey, [2, 5]);
    }
}
