//! Windows of random size and shape.

use lockstep_kernels::scalar::{exp, ln};

use crate::decode::{Sides, Window};
use crate::random::Random;

/// After so many windows that don't fit, the middle is taken.
const TRIES: usize = 10;

/// Draws windows as torchvision's `RandomResizedCrop` does.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResizedCrop {
    /// Smallest and largest share of an image's area.
    pub(super) areas: [f64; 2],
    /// Smallest and largest width over height.
    pub(super) ratios: [f64; 2],
}

impl ResizedCrop {
    /// A window of an image of `all`: area evenly between the bounds, ratio evenly between their logarithms, place
    /// evenly over all where it fits. If none fits, the largest window in the middle whose ratio is within bounds.
    pub(super) fn draw(self, all: Sides, random: &mut Random) -> Window {
        let logarithms = self.ratios.map(ln);
        let mut between = |[low, high]: [f64; 2]| low + (high - low) * f64::from(random.next_uniform());
        for _ in 0..TRIES {
            let area = between(self.areas) * all.pixels() as f64;
            let ratio = exp(between(logarithms));
            let sides = Sides { height: whole((area / ratio).sqrt()), width: whole((area * ratio).sqrt()) };
            if sides.height <= all.height && sides.width <= all.width {
                // Alike, but for one part in 2³² / choices.
                let mut place = |choices: usize| ((u64::from(random.next_u32()) * choices as u64) >> 32) as usize;
                let [top, left] = [all.height - sides.height, all.width - sides.width].map(|rest| place(rest + 1));
                return Window { top, left, sides };
            }
        }
        self.middle(all)
    }

    fn middle(self, all: Sides) -> Window {
        let Sides { height, width } = all;
        let [low, high] = self.ratios;
        let ratio = width as f64 / height as f64;
        let sides = match ratio {
            _ if ratio < low => Sides { height: whole(width as f64 / low).min(height), width },
            _ if ratio > high => Sides { height, width: whole(height as f64 * high).min(width) },
            _ => all,
        };
        Window { top: (height - sides.height) / 2, left: (width - sides.width) / 2, sides }
    }
}

/// Rounded as Python does, but at least 1.
fn whole(side: f64) -> usize {
    side.round_ties_even().max(1.0) as usize
}
