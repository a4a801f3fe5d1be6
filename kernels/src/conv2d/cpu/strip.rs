//! A few rows of all channels with the zeros around them, laid so that neighbouring results read neighbouring packs.

use super::axis::Axis;
use crate::conv2d::Conv2dSize;
use crate::cpu::Growing;
use crate::simd::{Pack, WIDTH};

/// Packs of a strip that stay in the second-level cache beside weights and results: 512 KiB.
const PACKS_AT_ONCE: usize = 8192;

/// How a strip lies: `[channels][rows][step][columns / step]`. With columns sorted by their remainder, a tap reads
/// neighbouring packs for neighbouring results also where windows are `step` columns apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StripLayout {
    rows: Axis,
    columns: Axis,
    channels: usize,
    /// Rows of results that a strip serves.
    pub results: usize,
    /// The source itself is the one strip.
    is_source: bool,
    phase_width: usize,
}

impl StripLayout {
    /// Strips that fit the cache, or the source itself where nothing is around it.
    pub(crate) fn new(rows: Axis, columns: Axis, channels: usize) -> StripLayout {
        let layout = Self::in_pieces(rows, columns, channels);
        match rows.is_whole_source() && columns.is_whole_source() {
            true => StripLayout { results: rows.results, is_source: true, ..layout },
            false => layout,
        }
    }

    /// Strips that fit the cache.
    pub(crate) fn in_pieces(rows: Axis, columns: Axis, channels: usize) -> StripLayout {
        let phase_width = columns.span(columns.results).div_ceil(columns.step);
        let row = (channels * phase_width * columns.step).max(1);
        let least = rows.span(1);
        let more = (PACKS_AT_ONCE / row).saturating_sub(least) / rows.step;
        StripLayout { rows, columns, channels, results: (1 + more).min(rows.results), is_source: false, phase_width }
    }

    /// Packs from one row of a strip to the next.
    fn row(&self) -> usize {
        self.phase_width * self.columns.step
    }

    /// Packs from one channel to the next.
    pub(crate) fn plane(&self) -> usize {
        self.rows.span(self.results) * self.row()
    }

    /// Packs from the window of one row of results to the next one's.
    pub(crate) fn result_row(&self) -> usize {
        self.rows.step * self.row()
    }

    /// Packs from a window's corner to its tap.
    pub(crate) fn offset(&self, row_tap: usize, column_tap: usize) -> usize {
        let column = column_tap * self.columns.spacing;
        row_tap * self.rows.spacing * self.row()
            + column % self.columns.step * self.phase_width
            + column / self.columns.step
    }

    /// The strip for `results` rows of results from `from` on, of one group's channels `x`.
    pub(crate) fn fill<'a>(&self, x: &'a [Pack], from: usize, results: usize, scratch: &'a mut Growing) -> &'a [Pack] {
        if self.is_source {
            return x;
        }
        let (plane, row) = (self.plane(), self.row());
        if plane == 0 {
            return &[];
        }
        let (height, width, step) = (self.rows.source, self.columns.source, self.columns.step);
        let strip = scratch.packs(self.channels * plane);
        let top = self.rows.first + (from * self.rows.step) as isize;
        // Columns of a phase that lie in the source.
        let inside = |phase: usize| {
            let first = self.columns.first + phase as isize;
            let start = (-first).max(0) as usize;
            let start = start.div_ceil(step).min(self.phase_width);
            let end = (width as isize - first).max(0) as usize;
            start..end.div_ceil(step).clamp(start, self.phase_width)
        };
        for (x, to) in x.chunks_exact(height * width).zip(strip.chunks_exact_mut(plane)) {
            for (r, to) in to.chunks_exact_mut(row).take(self.rows.span(results)).enumerate() {
                let source = top + r as isize;
                if !self.rows.is_seen(r) {
                    continue;
                }
                if !(0..height as isize).contains(&source) {
                    to.fill([0.0; WIDTH]);
                    continue;
                }
                let x = &x[source as usize * width..][..width];
                for (phase, to) in to.chunks_exact_mut(self.phase_width).enumerate() {
                    if !self.columns.is_seen(phase) {
                        continue;
                    }
                    let inside = inside(phase);
                    to[..inside.start].fill([0.0; WIDTH]);
                    to[inside.end..].fill([0.0; WIDTH]);
                    let to = &mut to[inside.clone()];
                    if to.is_empty() {
                        continue;
                    }
                    let x = &x[(self.columns.first + (phase + inside.start * step) as isize) as usize..];
                    if step == 1 {
                        to.copy_from_slice(&x[..to.len()]);
                    } else {
                        to.iter_mut().zip(x.iter().step_by(step)).for_each(|(to, x)| *to = *x);
                    }
                }
            }
        }
        strip
    }

    /// Places of a strip for `results` rows of results from `from` on that some tap reads, and the source's position of
    /// each: none where it is a zero around the source.
    pub(crate) fn places(&self, from: usize, results: usize) -> impl Iterator<Item = (usize, Option<usize>)> {
        let StripLayout { rows, columns, phase_width, .. } = *self;
        let top = rows.first + (from * rows.step) as isize;
        let seen = |axis: Axis, length: usize| (0..length).filter(move |position| axis.is_seen(*position));
        let inside = |position: isize, length: usize| usize::try_from(position).ok().filter(|p| *p < length);
        let width = phase_width * columns.step;
        seen(rows, rows.span(results)).flat_map(move |r| {
            let row = inside(top + r as isize, rows.source);
            seen(columns, columns.step).flat_map(move |phase| {
                (0..phase_width).map(move |q| {
                    let column = inside(columns.first + (phase + q * columns.step) as isize, columns.source);
                    let source = row.zip(column).map(|(row, column)| row * columns.source + column);
                    (r * width + phase * phase_width + q, source)
                })
            })
        })
    }
}

/// The input of one group with a plain convolution's padding around its planes; `x` itself where there is none.
pub(crate) fn padded_group<'a>(size: &Conv2dSize, x: &'a [Pack], scratch: &'a mut Growing) -> &'a [Pack] {
    if size.padding == 0 {
        return x;
    }
    let (width, padding) = (size.width, size.padding);
    let row = width + 2 * padding;
    let plane = (size.height + 2 * padding) * row;
    let padded = scratch.packs(size.in_channels * plane);
    padded.fill([0.0; WIDTH]);
    for (x, to) in x.chunks_exact(size.height * width).zip(padded.chunks_exact_mut(plane)) {
        for (x, to) in x.chunks_exact(width).zip(to.chunks_exact_mut(row).skip(padding)) {
            to[padding..][..width].copy_from_slice(x);
        }
    }
    padded
}
