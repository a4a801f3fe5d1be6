//! Runs of tiles from planes to transformed tiles and back, one way at a time: down the columns, which neighbouring tiles
//! share, and along the rows. Each pass has few values at once, so that they stay in registers.

use std::array::from_fn;
use std::ops::Range;

use super::tiles::{Planes, Run};
use super::transforms::{Output, Transform};
use super::{INPUTS, RESULTS};
use crate::conv2d::Accumulation;
use crate::simd::{HALF, Half, Pack, Register, WIDTH};

/// Tiles of the longest run: a run that is transformed one way stays in the first-level cache.
pub(super) const LONGEST: usize = 8;
/// Columns of the longest run, with those that its last tile shares with the next.
const COLUMNS: usize = LONGEST * RESULTS + INPUTS - RESULTS;

/// A run of tiles that is transformed one way: `[elements][columns]`.
type HalfWay = [[Pack; COLUMNS]; INPUTS];

/// Nothing yet.
pub(super) fn half_way() -> HalfWay {
    [[[0.0; WIDTH]; COLUMNS]; INPUTS]
}

/// Tiles of `N`×`N` on their way to `[elements][seats]`, elements `between` packs apart.
pub(super) struct Forth<'a> {
    pub planes: &'a Planes,
    /// How far windows begin before their results: negative for gradients of inputs with more padding than 2.
    pub halo: isize,
    pub between: usize,
}

impl Forth<'_> {
    /// Transforms a run of the plane that begins `x` in a group of samples. Outside of the plane are zeros, and in the
    /// half of a seat that has no tile.
    #[inline(always)]
    pub fn run<T: Transform<N, INPUTS>, R: Register, const N: usize>(
        &self,
        r: R,
        run: &Run,
        x: &[f32],
        half_way: &mut HalfWay,
        to: &mut [Pack],
    ) {
        let x = &x[run.group * self.planes.group()..];
        self.prefetch::<R, N>(r, run, &x[self.planes.plane()..]);
        let x = &x[..self.planes.plane()];
        match self.planes.lanes {
            HALF => self.down::<T, R, N, HALF>(r, run, x.as_chunks().0, half_way),
            _ => self.down::<T, R, N, WIDTH>(r, run, x.as_chunks().0, half_way),
        }
        for (i, line) in half_way.iter().enumerate() {
            let mut elements = to[i * INPUTS * self.between..].chunks_mut(self.between);
            // Loops: `array::from_fn` stays a function of its own, through memory.
            let mut seats: [&mut [Pack]; INPUTS] = Default::default();
            for seats in &mut seats {
                *seats = &mut elements.next().expect("an element")[run.seats()];
            }
            if run.paired {
                Self::along_paired::<T, R, N>(r, run, line, seats);
            } else {
                Self::along::<T, R, N>(r, run.tiles, line, seats);
            }
        }
    }

    /// Fetches what the same run needs of the next plane, if there is one. Planes lie too far apart and rows of runs are too
    /// short for the processor to see it coming.
    #[inline(always)]
    fn prefetch<R: Register, const N: usize>(&self, r: R, run: &Run, next: &[f32]) {
        let Planes { height, width, lanes, .. } = *self.planes;
        let left = run.column.saturating_sub(self.halo.max(0) as usize) * lanes;
        let top = run.row.saturating_sub(self.halo.max(0) as usize);
        let needed = (run.tiles * RESULTS + N - RESULTS) * lanes;
        for row in top..(top + N).min(height) {
            let Some(row) = next.get(row * width * lanes..(row + 1) * width * lanes) else { return };
            for number in row[left..].iter().take(needed).step_by(WIDTH) {
                r.prefetch(number);
            }
        }
    }

    /// The pass down the columns.
    #[inline(always)]
    fn down<T: Transform<N, INPUTS>, R: Register, const N: usize, const LANES: usize>(
        &self,
        r: R,
        run: &Run,
        x: &[[f32; LANES]],
        half_way: &mut HalfWay,
    ) {
        let columns = run.tiles * RESULTS + N - RESULTS;
        let (top, left) = (run.row as isize - self.halo, run.column as isize - self.halo);
        let inside = inside(left, columns, self.planes.width);
        let source = (left + inside.start as isize) as usize;
        let rows: [&[[f32; LANES]]; N] = from_fn(|i| match usize::try_from(top + i as isize) {
            Ok(row) if row < self.planes.height && !inside.is_empty() => {
                &x[row * self.planes.width + source..][..inside.len()]
            }
            _ => &(const { &[[0.0; LANES]; COLUMNS] })[..inside.len()],
        });
        let lines = half_way.each_mut().map(|line| {
            line[..inside.start].fill([0.0; WIDTH]);
            line[inside.end..columns].fill([0.0; WIDTH]);
            &mut line[inside.clone()]
        });
        let length = inside.len();
        let (rows, lines) = (rows.map(|row| &row[..length]), lines.map(|line| &mut line[..length]));
        for part in 0..parts::<R, LANES>() {
            for c in 0..length {
                let mut column = [r.splat(0.0); N];
                for i in 0..N {
                    column[i] = load(r, &rows[i][c], part);
                }
                let column = T::apply(r, column);
                for i in 0..INPUTS {
                    store(r, first_mut::<LANES>(&mut lines[i][c]), part, column[i]);
                }
            }
        }
    }

    /// The pass along one row.
    #[inline(always)]
    fn along<T: Transform<N, INPUTS>, R: Register, const N: usize>(
        r: R,
        tiles: usize,
        line: &[Pack; COLUMNS],
        seats: [&mut [Pack]; INPUTS],
    ) {
        let seats = seats.map(|seats| &mut seats[..tiles]);
        for part in 0..R::PARTS {
            for (t, window) in line.windows(N).step_by(RESULTS).enumerate().take(tiles) {
                let window: &[Pack; N] = window.first_chunk().expect("a window");
                let mut row = [r.splat(0.0); N];
                for j in 0..N {
                    row[j] = r.load_part(&window[j], part);
                }
                let row = T::apply(r, row);
                for j in 0..INPUTS {
                    r.store_part(&mut seats[j][t], part, row[j]);
                }
            }
        }
    }

    /// The pass along one row, into halves of seats.
    #[inline(always)]
    fn along_paired<T: Transform<N, INPUTS>, R: Register, const N: usize>(
        r: R,
        run: &Run,
        line: &[Pack; COLUMNS],
        seats: [&mut [Pack]; INPUTS],
    ) {
        let first = run.seat(0).0;
        for t in 0..run.tiles {
            let window: &[Pack; N] = line[t * RESULTS..].first_chunk().expect("a window");
            let mut row = [r.splat(0.0); N];
            for j in 0..N {
                row[j] = r.load_half(halves(&window[j])[0]);
            }
            let row = T::apply(r, row);
            let (seat, half) = run.seat(t);
            for j in 0..INPUTS {
                let halves = seats[j][seat - first].as_chunks_mut::<HALF>().0;
                r.store_half(&mut halves[half], row[j]);
                if half == 0 {
                    // Until the next tile comes, if there is one.
                    halves[1] = [0.0; HALF];
                }
            }
        }
    }
}

/// Which of `columns` columns from `left` on are among the `width` of a plane.
pub(super) fn inside(left: isize, columns: usize, width: usize) -> Range<usize> {
    let start = columns.min((-left).max(0) as usize);
    let end = columns.min((width as isize - left).max(0) as usize);
    start..end.max(start)
}

/// Registers that hold a pixel.
const fn parts<R: Register, const LANES: usize>() -> usize {
    if LANES == WIDTH { R::PARTS } else { 1 }
}

/// Part `part` of a pixel; of 8 samples, with zeros where the register has room for more.
#[inline(always)]
fn load<R: Register, const LANES: usize>(r: R, pixel: &[f32; LANES], part: usize) -> R::Vector {
    match pixel.first_chunk() {
        Some(pack) => r.load_part(pack, part),
        None => r.load_half(pixel.first_chunk().expect("8 samples")),
    }
}

#[inline(always)]
fn store<R: Register, const LANES: usize>(r: R, pixel: &mut [f32; LANES], part: usize, value: R::Vector) {
    match pixel.first_chunk_mut() {
        Some(pack) => r.store_part(pack, part, value),
        None => r.store_half(pixel.first_chunk_mut().expect("8 samples"), value),
    }
}

/// The samples of a pack that a pixel has.
#[inline(always)]
fn first<const LANES: usize>(pack: &Pack) -> &[f32; LANES] {
    pack.first_chunk().expect("8 or 16 samples")
}

#[inline(always)]
fn first_mut<const LANES: usize>(pack: &mut Pack) -> &mut [f32; LANES] {
    pack.first_chunk_mut().expect("8 or 16 samples")
}

fn halves(pack: &Pack) -> [&Half; 2] {
    let halves = pack.as_chunks().0;
    [&halves[0], &halves[1]]
}

/// Sums of products on their way from `[elements][seats]`, elements `between` packs apart, to planes.
pub(super) struct Back<'a> {
    pub planes: &'a Planes,
    pub between: usize,
    pub accumulation: Accumulation,
}

impl Back<'_> {
    /// Writes a run's results that lie in the plane that begins `y` in a group of samples.
    #[inline(always)]
    pub fn run<R: Register>(
        &self,
        r: R,
        run: &Run,
        products: &[Pack],
        bias: f32,
        half_way: &mut HalfWay,
        y: &mut [f32],
    ) {
        let y = &mut y[run.group * self.planes.group()..][..self.planes.plane()];
        self.prefetch(r, run, y);
        for (i, line) in half_way.iter_mut().enumerate() {
            let mut elements = products[i * INPUTS * self.between..].chunks(self.between);
            let mut seats: [&[Pack]; INPUTS] = [&[]; INPUTS];
            for seats in &mut seats {
                *seats = &elements.next().expect("an element")[run.seats()];
            }
            if run.paired {
                Self::along_paired(r, run, seats, line);
            } else {
                Self::along(r, run.tiles, seats, line);
            }
        }
        match self.planes.lanes {
            HALF => self.down::<R, HALF>(r, run, half_way, bias, y.as_chunks_mut().0),
            _ => self.down::<R, WIDTH>(r, run, half_way, bias, y.as_chunks_mut().0),
        }
    }

    /// Fetches the places of the results while they are made.
    #[inline(always)]
    fn prefetch<R: Register>(&self, r: R, run: &Run, y: &[f32]) {
        let Planes { width, lanes, .. } = *self.planes;
        for row in y.chunks_exact(width * lanes).skip(run.row).take(RESULTS) {
            for number in row[run.column * lanes..].iter().take(run.tiles * RESULTS * lanes).step_by(WIDTH) {
                r.prefetch(number);
            }
        }
    }

    /// The pass along one row.
    #[inline(always)]
    fn along<R: Register>(r: R, tiles: usize, seats: [&[Pack]; INPUTS], line: &mut [Pack; COLUMNS]) {
        let seats = seats.map(|seats| &seats[..tiles]);
        for part in 0..R::PARTS {
            for (t, results) in line.as_chunks_mut::<RESULTS>().0.iter_mut().enumerate().take(tiles) {
                let mut row = [r.splat(0.0); INPUTS];
                for j in 0..INPUTS {
                    row[j] = r.load_part(&seats[j][t], part);
                }
                let row = Output::apply(r, row);
                for j in 0..RESULTS {
                    r.store_part(&mut results[j], part, row[j]);
                }
            }
        }
    }

    /// The pass along one row, from halves of seats; the upper halves of its results stay zeros.
    #[inline(always)]
    fn along_paired<R: Register>(r: R, run: &Run, seats: [&[Pack]; INPUTS], line: &mut [Pack; COLUMNS]) {
        let first = run.seat(0).0;
        for (t, results) in line.as_chunks_mut::<RESULTS>().0.iter_mut().enumerate().take(run.tiles) {
            let (seat, half) = run.seat(t);
            let mut row = [r.splat(0.0); INPUTS];
            for j in 0..INPUTS {
                row[j] = r.load_half(halves(&seats[j][seat - first])[half]);
            }
            let row = Output::apply(r, row);
            for j in 0..RESULTS {
                r.store_half(&mut results[j].as_chunks_mut().0[0], row[j]);
            }
        }
    }

    /// The pass down the columns.
    #[inline(always)]
    fn down<R: Register, const LANES: usize>(
        &self,
        r: R,
        run: &Run,
        half_way: &HalfWay,
        bias: f32,
        y: &mut [[f32; LANES]],
    ) {
        let columns = (run.tiles * RESULTS).min(self.planes.width - run.column);
        let rows = y[run.row * self.planes.width..].chunks_exact_mut(self.planes.width);
        let mut to: [&mut [[f32; LANES]]; RESULTS] = Default::default();
        let mut count = 0;
        // Rows below the plane have no place.
        for (to, row) in to.iter_mut().zip(rows) {
            *to = &mut row[run.column..][..columns];
            count += 1;
        }
        let lines = half_way.each_ref().map(|line| &line[..columns]);
        match (self.accumulation, count) {
            (Accumulation::Overwrite, 4..) => write::<R, LANES, 4, false>(r, lines, bias, to),
            (Accumulation::Overwrite, 3) => write::<R, LANES, 3, false>(r, lines, bias, to),
            (Accumulation::Overwrite, 2) => write::<R, LANES, 2, false>(r, lines, bias, to),
            (Accumulation::Overwrite, _) => write::<R, LANES, 1, false>(r, lines, bias, to),
            (Accumulation::Add, 4..) => write::<R, LANES, 4, true>(r, lines, bias, to),
            (Accumulation::Add, 3) => write::<R, LANES, 3, true>(r, lines, bias, to),
            (Accumulation::Add, 2) => write::<R, LANES, 2, true>(r, lines, bias, to),
            (Accumulation::Add, _) => write::<R, LANES, 1, true>(r, lines, bias, to),
        }
    }
}

/// The pass down the columns into `ROWS` rows. Constants, so that nothing is decided for each column.
#[inline(always)]
fn write<R: Register, const LANES: usize, const ROWS: usize, const ADD: bool>(
    r: R,
    lines: [&[Pack]; INPUTS],
    bias: f32,
    mut to: [&mut [[f32; LANES]]; RESULTS],
) {
    let columns = lines[0].len();
    let lines = lines.map(|line| &line[..columns]);
    for to in &mut to[..ROWS] {
        assert_eq!(to.len(), columns, "a row has its columns");
    }
    let bias = r.splat(bias);
    for part in 0..parts::<R, LANES>() {
        for c in 0..columns {
            let mut column = [r.splat(0.0); INPUTS];
            for i in 0..INPUTS {
                column[i] = load(r, first::<LANES>(&lines[i][c]), part);
            }
            let column = Output::apply(r, column);
            for i in 0..ROWS {
                let y = &mut to[i][c];
                let mut result = r.add(column[i], bias);
                if ADD {
                    result = r.add(load(r, y, part), result);
                }
                store(r, y, part, result);
            }
        }
    }
}
