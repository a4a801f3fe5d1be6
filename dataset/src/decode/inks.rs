//! Cyan, magenta, yellow and black to red, green and blue.

/// Four bytes a pixel become three, as Pillow's: `255 − k − c · (255 − k) / 255`, rounded. Adobe's files hold what is left
/// of the paper's white: they are `inverted`.
pub(super) fn inks_to_colours(pixels: &mut Vec<u8>, inverted: bool) {
    let count = pixels.len() / 4;
    for pixel in 0..count {
        let inks = [0, 1, 2, 3].map(|ink| pixels[4 * pixel + ink] ^ if inverted { 255 } else { 0 });
        let white = u32::from(255 - inks[3]);
        for channel in 0..3 {
            let product = u32::from(inks[channel]) * white + 128;
            pixels[3 * pixel + channel] = (white - ((product + (product >> 8)) >> 8)) as u8;
        }
    }
    pixels.truncate(3 * count);
}
