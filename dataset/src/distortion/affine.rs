//! Affine maps of the plane about an image's centre: those of LeCun et al. 1998, section III, and rotation.

use lockstep_kernels::scalar;

/// What becomes of an image: scaled, squeezed, sheared, rotated, and translated, in this order, about its centre. x is
/// to the right, y down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Planar {
    /// Factor of width and height.
    pub scale: f64,
    /// Factor of the width, divisor of the height.
    pub squeeze: f64,
    /// How far x moves with y.
    pub shear: f64,
    /// From x towards y, in half turns, −1 to 1.
    pub rotate: f64,
    /// Pixels along x and y.
    pub translate: [f64; 2],
}

impl Default for Planar {
    fn default() -> Self {
        Self { scale: 1.0, squeeze: 1.0, shear: 0.0, rotate: 0.0, translate: [0.0; 2] }
    }
}

/// The way back from a place in the result to its source, both as pixels from the centre:
/// `source = matrix · result + offset`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    /// Rows for x and y, columns for x and y.
    pub matrix: [[f32; 2]; 2],
    /// Pixels along x and y.
    pub offset: [f32; 2],
}

impl Affine {
    /// The way back of `planar`, whose factors are not 0. In f64, rounded once.
    pub fn back(planar: &Planar) -> Self {
        let Planar { scale, squeeze, shear, rotate, translate } = *planar;
        let (sine, cosine) = sine_and_cosine(rotate);
        let (width, height) = (scale * squeeze, scale / squeeze);
        // (rotate · shear · stretch)⁻¹, row by row.
        let matrix =
            [[(cosine + shear * sine) / width, (sine - shear * cosine) / width], [-sine / height, cosine / height]];
        let offset = matrix.map(|[x, y]| -(x * translate[0] + y * translate[1]));
        Self { matrix: matrix.map(|row| row.map(|value| value as f32)), offset: offset.map(|value| value as f32) }
    }
}

/// sin(π·t) and cos(π·t) for t in [−1, 1], by our own cosine.
fn sine_and_cosine(t: f64) -> (f64, f64) {
    // The sine would be 5e-17, and the identity none.
    if t == 0.0 {
        return (0.0, 1.0);
    }
    let sine = scalar::cos_pi((0.5 - t.abs()).abs());
    (if t < 0.0 { -sine } else { sine }, scalar::cos_pi(t.abs()))
}
