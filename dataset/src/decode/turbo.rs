//! JPEG, by libjpeg-turbo: of the image only the region that is wanted, and a margin.

use std::ops::Range;

use lockstep_turbojpeg::{Header, Image, Pixels, Region, TurboError};

use super::inks::inks_to_colours;
use super::segments::Segments;
use super::{DecodeError, Decoded, Sides, Window};

/// Columns beside a window that are decoded with it. Colours of half as many columns are interpolated with their
/// neighbours, and at a region's edges they have none.
const MARGIN: usize = 1;

/// Nothing is kept from file to file.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory;

/// Decodes `window` and what it has to be decoded with, into `pixels`.
pub(super) fn decode(
    bytes: &[u8],
    segments: &Segments,
    window: Window,
    _: &mut Memory,
    pixels: &mut Vec<u8>,
) -> Result<Decoded, DecodeError> {
    let image = Image::open(bytes).map_err(damaged)?;
    let header = image.header();
    if (header.height, header.width) != (segments.sides.height, segments.sides.width) {
        return Err(DecodeError::damaged("JPEG", "two headers"));
    }
    let region = region(header, segments, window);
    image.decode(region, pixels).map_err(damaged)?;
    if header.pixels == Pixels::Inks {
        inks_to_colours(pixels, segments.adobe.is_some());
    }
    Ok(Decoded {
        sides: Sides { height: region.height, width: region.width },
        channels: header.pixels.len().min(3),
        window: Window { top: window.top - region.top, left: window.left - region.left, ..window },
    })
}

/// The window's rows, and its columns with their margin. Rows need none: the library decodes those above and below that
/// it interpolates with.
fn region(header: Header, segments: &Segments, window: Window) -> Region {
    if !header.has_regions {
        return header.all();
    }
    let Window { top, sides, .. } = window;
    let columns = columns(segments, window);
    Region { top, left: columns.start, height: sides.height, width: columns.len() }
}

/// From where a column of blocks begins, and at least as many as that has if the image has them: else so few colours are
/// left that they are not interpolated. What a file of several scans lacks is smoothed over with the blocks around: of
/// it all columns are decoded, which costs little beside its scans.
fn columns(segments: &Segments, window: Window) -> Range<usize> {
    let Segments { sides: all, unit_columns: unit, .. } = *segments;
    if !segments.is_sequential {
        return 0..all.width;
    }
    let start = window.left.saturating_sub(MARGIN) / unit * unit;
    let end = (window.left + window.sides.width + MARGIN).max(start + unit).min(all.width);
    let start = if end - start < unit { start.saturating_sub(unit) } else { start };
    start..end
}

fn damaged(error: TurboError) -> DecodeError {
    DecodeError::damaged("JPEG", error)
}
