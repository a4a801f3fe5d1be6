//! Matrices of rows and channels by columns, as `columns.cuh` goes through them.

use super::launch::{Argument, Grid, THREADS};

/// Rows that a thread holds at once.
const CHUNK_ROWS: usize = 8;
/// Times that it does so at least, where there are so many rows.
const CHUNKS: usize = 2;
/// Channels of a block that adds up parts.
const TOTALS_WIDTH: usize = 8;
/// Threads that take neighbouring channels in one access to memory, where there are so many channels.
const NEIGHBOURS: usize = 32;

/// Matrices one behind the other, each of whose rows are cut into parts. How they are cut follows from the sizes alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Columns {
    matrices: usize,
    rows: usize,
    channels: usize,
    width: usize,
    parts: usize,
    rows_of_part: usize,
}

impl Columns {
    /// At most so many blocks a matrix, but one for each run of neighbouring channels.
    pub fn new(matrices: usize, rows: usize, channels: usize, most_blocks: usize) -> Self {
        let threads = THREADS as usize;
        // Few rows don't leave threads without work: the block is wider then.
        let width = channels.next_power_of_two().min((threads / rows.next_power_of_two()).max(NEIGHBOURS));
        let most_parts = (most_blocks / channels.div_ceil(width).max(1)).max(1);
        let least_rows = threads / width * CHUNK_ROWS * CHUNKS;
        let rows_of_part = rows.div_ceil(most_parts).max(1).next_multiple_of(least_rows);
        Self { matrices, rows, channels, width, parts: rows.div_ceil(rows_of_part), rows_of_part }
    }

    /// As kernels take it.
    pub fn argument(&self) -> Argument {
        [self.rows, self.channels, self.width, self.parts, self.rows_of_part].into()
    }

    /// A block a part and run of channels.
    pub fn grid(&self) -> Grid {
        Grid::blocks([self.all_parts(), self.channels.div_ceil(self.width), 1])
    }

    /// Parts of one matrix.
    pub fn parts(&self) -> usize {
        self.parts
    }

    /// Parts of all matrices.
    pub fn all_parts(&self) -> usize {
        self.matrices * self.parts
    }

    /// Words of scratch memory for two f64 a part and channel.
    pub fn partials(&self) -> usize {
        4 * self.all_parts() * self.channels
    }

    /// For a kernel that adds up parts.
    pub fn grid_of_totals(&self) -> Grid {
        Grid::blocks([self.channels.div_ceil(TOTALS_WIDTH), 1, 1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_a_part_and_blocks_are_as_wide_as_is_of_use() {
        // (rows, channels, most blocks), then (width, parts, rows of a part).
        for ([rows, channels, most_blocks], expected) in [
            // At least 2 times 8 rows of each of 8 threads: 128.
            ([200, 70, 1024], [32, 2, 128]),
            ([600, 70, 6], [32, 2, 384]),
            ([600, 70, 1], [32, 1, 640]),
            ([5000, 2, 1024], [2, 3, 2048]),
            ([1, 5000, 1024], [256, 1, 16]),
            ([3, 5000, 1024], [64, 1, 64]),
            ([7, 1, 1024], [1, 1, 4096]),
            ([0, 3, 1024], [4, 0, 1024]),
            ([3, 0, 1024], [1, 1, 4096]),
        ] {
            let columns = Columns::new(1, rows, channels, most_blocks);
            assert_eq!([columns.width, columns.parts, columns.rows_of_part], expected, "{columns:?}");
            assert!(columns.parts * columns.rows_of_part >= rows);
        }
    }
}
