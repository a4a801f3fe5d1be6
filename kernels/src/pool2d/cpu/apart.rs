//! Windows that neither overlap nor leave gaps nor reach beyond the input: a stride of their own width, no padding.
//!
//! The kernels are compiled once more for windows of 2, as a constant: nearly all are that, and the maximum then takes
//! two thirds of the time.

use super::{Maximum, planes};
use crate::pool2d::Pool2dSize;
use crate::simd::{Kernel, Pack, Simd, WIDTH};

/// A pass over windows, as a kernel: see the top of the file.
pub(super) struct Apart<P>(pub P);

/// A pass over windows.
pub(super) trait OverWindows {
    /// Height and width of a window.
    fn window(&self) -> usize;

    /// The pass; `window` is [`Self::window`], maybe as a constant.
    fn windows_of<S: Simd>(self, s: S, window: usize);
}

impl<P: OverWindows> Kernel for Apart<P> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match self.0.window() {
            2 => self.0.windows_of(s, 2),
            window => self.0.windows_of(s, window),
        }
    }
}

/// For each window: the index of its output and of its first input.
#[inline(always)]
fn windows(size: &Pool2dSize, window: usize, planes: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
    let Pool2dSize { height, width, .. } = *size;
    let (out_height, out_width) = (size.out_height(), size.out_width());
    (0..planes * out_height).flat_map(move |row| {
        let corner = (row / out_height * height + row % out_height * window) * width;
        (0..out_width).map(move |j| (row * out_width + j, corner + j * window))
    })
}

pub(super) struct MaxForward<'a> {
    pub size: &'a Pool2dSize,
    pub x: &'a [Pack],
    pub y: &'a mut [Pack],
    pub choice: &'a mut [[u8; WIDTH]],
}

impl OverWindows for MaxForward<'_> {
    fn window(&self) -> usize {
        self.size.window
    }

    #[inline(always)]
    fn windows_of<S: Simd>(self, s: S, window: usize) {
        let MaxForward { size, x, y, choice } = self;
        for (output, corner) in windows(size, window, planes(x, size.height * size.width)) {
            let mut maximum = Maximum::new(s, s.load(&x[corner]));
            for u in 0..window {
                for v in 0..window {
                    let candidate = s.load(&x[corner + u * size.width + v]);
                    maximum.offer(s, candidate, u * window + v);
                }
            }
            s.store(&mut y[output], maximum.value);
            s.store_bytes(&mut choice[output], maximum.place);
        }
    }
}

pub(super) struct MaxBackward<'a> {
    pub size: &'a Pool2dSize,
    pub d_y: &'a [Pack],
    pub choice: &'a [[u8; WIDTH]],
    pub d_x: &'a mut [Pack],
}

impl OverWindows for MaxBackward<'_> {
    fn window(&self) -> usize {
        self.size.window
    }

    #[inline(always)]
    fn windows_of<S: Simd>(self, s: S, window: usize) {
        let MaxBackward { size, d_y, choice, d_x } = self;
        zero_outside(size, d_x);
        for (output, corner) in windows(size, window, planes(d_x, size.height * size.width)) {
            let d = s.load(&d_y[output]);
            let place = s.load_bytes(&choice[output]);
            for u in 0..window {
                for v in 0..window {
                    let chosen = s.equal(place, s.splat((u * window + v) as f32));
                    s.store(&mut d_x[corner + u * size.width + v], s.keep(chosen, d));
                }
            }
        }
    }
}

pub(super) struct AverageForward<'a> {
    pub size: &'a Pool2dSize,
    pub x: &'a [Pack],
    pub y: &'a mut [Pack],
}

impl OverWindows for AverageForward<'_> {
    fn window(&self) -> usize {
        self.size.window
    }

    /// The window's values are added row by row, then divided by K².
    #[inline(always)]
    fn windows_of<S: Simd>(self, s: S, window: usize) {
        let AverageForward { size, x, y } = self;
        let count = s.splat((window * window) as f32);
        for (output, corner) in windows(size, window, planes(x, size.height * size.width)) {
            let mut sum = s.splat(0.0);
            for u in 0..window {
                for v in 0..window {
                    sum = s.add(sum, s.load(&x[corner + u * size.width + v]));
                }
            }
            s.store(&mut y[output], s.div(sum, count));
        }
    }
}

pub(super) struct AverageBackward<'a> {
    pub size: &'a Pool2dSize,
    pub d_y: &'a [Pack],
    pub d_x: &'a mut [Pack],
}

impl OverWindows for AverageBackward<'_> {
    fn window(&self) -> usize {
        self.size.window
    }

    #[inline(always)]
    fn windows_of<S: Simd>(self, s: S, window: usize) {
        let AverageBackward { size, d_y, d_x } = self;
        let count = s.splat((window * window) as f32);
        zero_outside(size, d_x);
        for (output, corner) in windows(size, window, planes(d_x, size.height * size.width)) {
            let d = s.div(s.load(&d_y[output]), count);
            for u in 0..window {
                for v in 0..window {
                    s.store(&mut d_x[corner + u * size.width + v], d);
                }
            }
        }
    }
}

/// Zeroes `d_x` where some places lie in no window; otherwise every place will be written.
fn zero_outside(size: &Pool2dSize, d_x: &mut [Pack]) {
    if !size.height.is_multiple_of(size.window) || !size.width.is_multiple_of(size.window) {
        d_x.fill([0.0; WIDTH]);
    }
}
