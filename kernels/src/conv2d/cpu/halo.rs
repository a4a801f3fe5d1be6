//! Planes with zeros around them, so that a kernel's window never leaves its input.

use crate::simd::{Pack, WIDTH};

/// Copies `planes` planes of `height` × `width` packs into planes with `halo` zeros on every side.
pub(crate) fn with_halo(x: &[Pack], height: usize, width: usize, halo: usize, to: &mut [Pack]) {
    let (padded_height, padded_width) = (height + 2 * halo, width + 2 * halo);
    let planes = x.chunks_exact(height * width).zip(to.chunks_exact_mut(padded_height * padded_width));
    for (plane, to) in planes {
        let (above, to) = to.split_at_mut(halo * padded_width);
        let (inside, below) = to.split_at_mut(height * padded_width);
        above.fill([0.0; WIDTH]);
        below.fill([0.0; WIDTH]);
        for (row, to) in plane.chunks_exact(width).zip(inside.chunks_exact_mut(padded_width)) {
            to[..halo].fill([0.0; WIDTH]);
            to[halo..halo + width].copy_from_slice(row);
            to[halo + width..].fill([0.0; WIDTH]);
        }
    }
}
