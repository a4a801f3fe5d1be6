//! One direction (rows or columns) of a convolution of planes: which source positions and kernel elements meet in a
//! result.

use std::ops::Range;

use crate::conv2d::Conv2dSize;

/// Result `q` is a sum over taps `t` of the source's position `first + q·step + t·spacing` with the kernel's element
/// `kernel_first + t·kernel_step`. Positions outside the source count as zero.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    /// Length of the source.
    pub source: usize,
    /// Results computed.
    pub results: usize,
    /// Source positions from one result's window to the next.
    pub step: usize,
    /// Source position of result 0's first tap.
    pub first: isize,
    /// Kernel elements in a window.
    pub taps: usize,
    /// Source positions from one tap to the next.
    pub spacing: usize,
    /// Kernel element of the first tap.
    kernel_first: isize,
    kernel_step: isize,
    /// Where result 0 is written.
    pub to_first: usize,
    /// Places from one result to the next.
    pub to_step: usize,
}

impl Axis {
    /// The convolution itself.
    pub(crate) fn of_forward(size: &Conv2dSize, length: usize, results: usize) -> Axis {
        Axis {
            source: length,
            results,
            step: size.stride,
            first: -(size.padding as isize),
            taps: size.kernel,
            spacing: size.dilation,
            kernel_first: 0,
            kernel_step: 1,
            to_first: 0,
            to_step: 1,
        }
    }

    /// The gradient of the input, at the positions `phase + q·s`: each `phase` meets its own part of the kernel, turned
    /// around, and is a convolution of `d_y` with step 1.
    pub(crate) fn of_backward(size: &Conv2dSize, length: usize, out_length: usize, phase: usize) -> Axis {
        let (stride, dilation) = (size.stride, size.dilation);
        let meets = |u: &usize| (phase + size.padding) as isize - (u * dilation) as isize;
        let mut elements = (0..size.kernel).filter(|u| meets(u).rem_euclid(stride as isize) == 0);
        let (taps, lowest, second) = (elements.clone().count(), elements.next(), elements.next());
        let apart = second.unwrap_or(0).saturating_sub(lowest.unwrap_or(0));
        let highest = lowest.unwrap_or(0) + taps.saturating_sub(1) * apart;
        Axis {
            source: out_length,
            results: length.saturating_sub(phase).div_ceil(stride),
            step: 1,
            first: meets(&highest).div_euclid(stride as isize),
            taps,
            spacing: apart * dilation / stride,
            kernel_first: highest as isize,
            kernel_step: -(apart as isize),
            to_first: phase,
            to_step: stride,
        }
    }

    /// Kernel element of a tap.
    pub(crate) fn kernel(&self, tap: usize) -> usize {
        (self.kernel_first + tap as isize * self.kernel_step) as usize
    }

    /// Source positions that `results` neighbouring results see, from the first to the last.
    pub(crate) fn span(&self, results: usize) -> usize {
        match (results, self.taps) {
            (0, _) | (_, 0) => 0,
            (results, taps) => (results - 1) * self.step + (taps - 1) * self.spacing + 1,
        }
    }

    /// Whether a tap of some result meets the source position that lies `position` behind `first`, where results have
    /// no end. False for most positions of a strided 1×1 kernel.
    pub(crate) fn is_seen(&self, position: usize) -> bool {
        (0..self.taps).any(|tap| (position + tap * self.spacing * (self.step - 1)).is_multiple_of(self.step))
    }

    /// Whether the windows cover the source exactly and lie side by side: it can be read where it is.
    pub(crate) fn is_whole_source(&self) -> bool {
        self.first == 0 && self.step == 1 && self.span(self.results) == self.source
    }

    /// Taps of result `q` that meet the source.
    pub(crate) fn taps_inside(&self, q: usize) -> Range<usize> {
        let start = self.first + (q * self.step) as isize;
        let spacing = self.spacing.max(1) as isize;
        let first = (-start).max(0).div_euclid(spacing) + isize::from((-start).max(0).rem_euclid(spacing) != 0);
        let end = (self.source as isize - start + spacing - 1).max(0).div_euclid(spacing);
        let end = (end as usize).min(self.taps);
        (first as usize).min(end)..end
    }
}
