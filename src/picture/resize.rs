//! Another size: a triangle filter, as wide as a new pixel where the picture shrinks, so that no pixel is left out.

use std::ops::Range;

use super::Picture;

/// The picture with so many rows and columns; its sides are scaled apart. Sums are in f64, rounded to nearest once.
pub fn resize(picture: &Picture, height: usize, width: usize) -> Picture {
    let Picture { channels, .. } = *picture;
    let (rows, columns) = (taps(picture.height, height), taps(picture.width, width));
    let mut narrow = Vec::with_capacity(picture.height * width * channels);
    for row in picture.pixels.chunks_exact(picture.width * channels) {
        for (range, weights) in &columns {
            for channel in 0..channels {
                let value = |(column, weight): (usize, &f64)| weight * f64::from(row[column * channels + channel]);
                narrow.push(range.clone().zip(weights).map(value).sum::<f64>());
            }
        }
    }
    let mut pixels = Vec::with_capacity(height * width * channels);
    for (range, weights) in &rows {
        for place in 0..width * channels {
            let value = |(row, weight): (usize, &f64)| weight * narrow[row * width * channels + place];
            pixels.push(range.clone().zip(weights).map(value).sum::<f64>().round() as u8);
        }
    }
    Picture { channels, height, width, pixels }
}

/// For each of `new` pixels the old ones that it is made of, with their weights: 1 in sum.
fn taps(old: usize, new: usize) -> Vec<(Range<usize>, Vec<f64>)> {
    let scale = old as f64 / new as f64;
    let reach = scale.max(1.0);
    let tap = |index: usize| {
        let centre = (index as f64 + 0.5) * scale;
        let first = (centre - reach).floor().max(0.0) as usize;
        let range = first..((centre + reach).ceil() as usize).min(old);
        let weight = |place: usize| (1.0 - (place as f64 + 0.5 - centre).abs() / reach).max(0.0);
        let mut weights: Vec<f64> = range.clone().map(weight).collect();
        let sum: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= sum);
        (range, weights)
    };
    (0..new).map(tap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(height: usize, width: usize, pixels: &[u8]) -> Picture {
        Picture { channels: 1, height, width, pixels: pixels.to_vec() }
    }

    #[test]
    fn one_shade_stays_at_any_size() {
        for (height, width) in [(1, 1), (28, 28), (3, 200), (7, 5)] {
            let resized = resize(&grey(13, 9, &[201; 117]), height, width);
            assert_eq!(resized.pixels, vec![201; height * width]);
        }
    }

    #[test]
    fn the_same_size_is_the_same_picture() {
        let pixels: Vec<u8> = (0..=116).collect();
        assert_eq!(resize(&grey(13, 9, &pixels), 13, 9).pixels, pixels);
    }

    #[test]
    fn weights_are_those_of_the_triangle() {
        // Half the size: a new pixel reaches over four old ones, 1 : 3 : 3 : 1 but at the edges.
        assert_eq!(taps(8, 4)[1], (1..5, vec![0.125, 0.375, 0.375, 0.125]));
        assert_eq!(resize(&grey(1, 4, &[0, 0, 255, 255]), 1, 2).pixels, [36, 219]);
        // Twice the size: linear interpolation.
        assert_eq!(resize(&grey(1, 2, &[0, 100]), 1, 4).pixels, [0, 25, 75, 100]);
    }

    #[test]
    fn channels_stay_apart() {
        let picture = Picture { channels: 3, height: 2, width: 1, pixels: vec![10, 20, 30, 10, 20, 30] };
        assert_eq!(resize(&picture, 1, 2).pixels, [10, 20, 30, 10, 20, 30]);
    }
}
