//! A picture as pixels, for slides and papers.

use std::collections::BTreeSet;

use png::{BitDepth, ColorType, Compression, Encoder, PixelDimensions, Unit};
use resvg::tiny_skia::{Color, Pixmap, Transform};
use resvg::usvg::{Options, Tree};

/// Pixels a unit of the view box, of which there are 96 an inch.
const SCALE: f32 = 2.0;
/// Rows of pixels that a picture has at most; a longer one has fewer a unit.
const MOST_ROWS: f32 = 16_000.0;
/// Colours of a PNG with a palette.
const PALETTE: usize = 256;
const INCH: f32 = 0.0254;

/// Draws an SVG that needs no fonts, on white.
pub fn of(svg: &str) -> Result<Vec<u8>, String> {
    let tree = Tree::from_str(svg, &Options::default()).map_err(|error| error.to_string())?;
    let (width, height) = (tree.size().width(), tree.size().height());
    let scale = SCALE.min(MOST_ROWS / height);
    let [columns, rows] = [width, height].map(|length| (length * scale).round().max(1.0) as u32);
    let mut pixels = Pixmap::new(columns, rows).ok_or("it has no size")?;
    pixels.fill(Color::WHITE);
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixels.as_mut());
    // All of it is opaque.
    let colours: Vec<[u8; 3]> = pixels.pixels().iter().map(|p| [p.red(), p.green(), p.blue()]).collect();
    let a_metre = (96.0 * scale / INCH).round() as u32;
    encoded(&colours, [columns, rows], a_metre).map_err(|error| error.to_string())
}

/// With a palette where the colours fit into one, which makes a picture of lines a third as large.
fn encoded(colours: &[[u8; 3]], [columns, rows]: [u32; 2], a_metre: u32) -> Result<Vec<u8>, png::EncodingError> {
    // Most pixels are as their neighbours are.
    let distinct: BTreeSet<[u8; 3]> = colours.chunk_by(|one, next| one == next).map(|alike| alike[0]).collect();
    let palette: Vec<[u8; 3]> = distinct.into_iter().collect();
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, columns, rows);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_pixel_dims(Some(PixelDimensions { xppu: a_metre, yppu: a_metre, unit: Unit::Meter }));
    encoder.set_compression(Compression::Balanced);
    let data = if palette.len() <= PALETTE {
        encoder.set_color(ColorType::Indexed);
        encoder.set_filter(png::Filter::NoFilter);
        encoder.set_palette(palette.concat());
        colours.iter().map(|colour| palette.partition_point(|other| other < colour) as u8).collect()
    } else {
        encoder.set_color(ColorType::Rgb);
        colours.concat()
    };
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&data)?;
    writer.finish()?;
    Ok(file)
}
