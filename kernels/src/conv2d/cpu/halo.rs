//! Planes with zeros around them, so that a kernel's window never leaves its input.

use crate::conv2d::Conv2dSize;
use crate::cpu::Growing;
use crate::simd::{Pack, WIDTH};

/// The input of one group with a convolution's padding around its planes; `x` itself where there is none.
pub(crate) fn padded_group<'a>(size: &Conv2dSize, x: &'a [Pack], scratch: &'a mut Growing) -> &'a [Pack] {
    if size.padding == 0 {
        return x;
    }
    let plane = (size.height + 2 * size.padding) * (size.width + 2 * size.padding);
    let padded = scratch.packs(size.in_channels * plane);
    with_halo(x, size.height, size.width, size.padding, padded);
    padded
}

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
