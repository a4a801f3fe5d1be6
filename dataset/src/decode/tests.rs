//! Files against what Pillow reads of them (`tests/fixtures/images.py` made both), and files that nobody made.

use expect_test::expect;
use proptest::prelude::*;

use super::*;

const JPEGS: [(&str, &[u8]); 10] = [
    ("444", include_bytes!("../../tests/fixtures/444.jpg")),
    ("422", include_bytes!("../../tests/fixtures/422.jpg")),
    ("420", include_bytes!("../../tests/fixtures/420.jpg")),
    ("restarts", include_bytes!("../../tests/fixtures/restarts.jpg")),
    ("progressive", include_bytes!("../../tests/fixtures/progressive.jpg")),
    ("grey", include_bytes!("../../tests/fixtures/grey.jpg")),
    ("cmyk", include_bytes!("../../tests/fixtures/cmyk.jpg")),
    ("unconverted", include_bytes!("../../tests/fixtures/unconverted.jpg")),
    ("tiny", include_bytes!("../../tests/fixtures/tiny.jpg")),
    ("turned", include_bytes!("../../tests/fixtures/turned.jpg")),
];

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn decoded(bytes: &[u8], channels: usize) -> Result<(Sides, Vec<u8>), DecodeError> {
    let sides = sides(bytes)?;
    let mut decoder = Decoder::default();
    let view = decoder.decode(bytes, Window::all(sides), channels)?;
    Ok((sides, view.pixels.to_vec()))
}

/// The largest and the mean difference of grey levels.
fn difference(a: &[u8], b: &[u8]) -> (u8, f64) {
    assert_eq!(a.len(), b.len());
    let differences = || a.iter().zip(b).map(|(a, b)| a.abs_diff(*b));
    (differences().max().unwrap_or(0), differences().map(f64::from).sum::<f64>() / a.len() as f64)
}

#[test]
fn jpegs_are_what_pillow_reads() {
    for (name, bytes) in JPEGS {
        let expected = fixture(&format!("{}.rgb.png", if name == "turned" { "420" } else { name }));
        let (expected, (sides, pixels)) = (decoded(&expected, 3).unwrap(), decoded(bytes, 3).unwrap());
        assert_eq!(sides, expected.0, "{name}");
        let (largest, mean) = difference(&pixels, &expected.1);
        let (most, most_mean) = match name {
            // Pillow's decoder is libjpeg-turbo as well.
            _ if cfg!(feature = "turbojpeg") => (0, 0.0),
            // Where colours have fewer pixels the two decoders interpolate them by other roundings.
            "420" | "restarts" | "progressive" | "tiny" | "turned" | "422" => (9, 1.0),
            "grey" => (1, 0.1),
            _ => (3, 0.6),
        };
        assert!(largest <= most && mean <= most_mean, "{name}: {largest} {mean}");
    }
}

#[test]
fn pngs_are_what_pillow_reads() {
    for name in ["rgb", "palette", "two-colours", "grey-alpha", "alpha"] {
        let read = decoded(&fixture(&format!("{name}.png")), 3).unwrap();
        assert_eq!(read, decoded(&fixture(&format!("{name}.rgb.png")), 3).unwrap(), "{name}");
    }
    let encoded = |kind, depth, pixels: &[u8]| {
        let mut bytes = Vec::new();
        let mut encoder = ::png::Encoder::new(&mut bytes, 1, 2);
        encoder.set_color(kind);
        encoder.set_depth(depth);
        encoder.write_header().unwrap().write_image_data(pixels).unwrap();
        bytes
    };
    use ::png::{BitDepth::Sixteen, ColorType};
    let read = |kind, pixels: &[u8], channels| decoded(&encoded(kind, Sixteen, pixels), channels).unwrap().1;
    assert_eq!(read(ColorType::Grayscale, &[7, 200, 9, 3], 1), [7, 9]);
    assert_eq!(read(ColorType::Grayscale, &[7, 200, 9, 3], 3), [7, 7, 7, 9, 9, 9]);
    let colours = [255, 1, 0, 2, 0, 3, 0, 4, 255, 5, 0, 6];
    assert_eq!(read(ColorType::Rgb, &colours, 3), [255, 0, 0, 0, 255, 0]);
    // Luma of Pillow's convert("L").
    assert_eq!(read(ColorType::Rgb, &colours, 1), [76, 150]);
}

/// Rows and columns of a window are those of the whole image, though less was decoded.
#[test]
fn a_window_is_cut_out_of_the_whole_image() {
    let mut decoder = Decoder::default();
    for (name, bytes) in JPEGS {
        for channels in [1, 3] {
            let (all, pixels) = decoded(bytes, channels).unwrap();
            for top in 0..all.height {
                let height = 1 + (top * 7) % (all.height - top);
                let left = (top * 5) % all.width;
                let window = Window { top, left, sides: Sides { height, width: all.width - left } };
                let view = decoder.decode(bytes, window, channels).unwrap();
                let whole = View { pixels: &pixels, sides: all, channels, window };
                assert!(view.rows().eq(whole.rows()), "{name} {channels} {window:?}");
                assert_eq!(view.rows().count(), height);
            }
        }
    }
}

/// A picture with colours that change from pixel to pixel.
fn encoded(width: u16, height: u16, set: impl FnOnce(&mut jpeg_encoder::Encoder<&mut Vec<u8>>)) -> Vec<u8> {
    let (columns, rows) = (u32::from(width), u32::from(height));
    let pixel = |x: u32, y: u32| [x * 255 / columns, (x * 89 + y * 53) % 256, (y * 211) % 256].map(|level| level as u8);
    let pixels: Vec<u8> = (0..rows).flat_map(|y| (0..columns).flat_map(move |x| pixel(x, y))).collect();
    let mut bytes = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, 85);
    set(&mut encoder);
    encoder.encode(&pixels, width, height, jpeg_encoder::ColorType::Rgb).unwrap();
    bytes
}

/// No instruction set shows in the pixels.
#[cfg(not(feature = "turbojpeg"))]
#[test]
fn pixels_are_the_same_without_simd() {
    use zune_jpeg::zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};
    for (name, bytes) in JPEGS {
        let pixels = [DecoderOptions::new_fast(), DecoderOptions::new_safe()].map(|options| {
            let options = options.jpeg_set_out_colorspace(ColorSpace::RGB).set_strict_mode(true);
            zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(bytes), options).decode().unwrap()
        });
        assert!(pixels[0] == pixels[1], "{name}");
        assert!(name == "cmyk" || pixels[0] == decoded(bytes, 3).unwrap().1, "{name}");
    }
}

#[test]
fn files_that_are_cut_off_are_refused() {
    let png = fixture("alpha.png");
    for (name, bytes) in JPEGS.into_iter().chain([("png", png.as_slice())]) {
        for length in (0..16).map(|part| bytes.len() * part / 16).chain(bytes.len() - 40..bytes.len()) {
            assert!(decoded(&bytes[..length], 3).is_err(), "{name}: {length} of {} bytes", bytes.len());
        }
    }
}

#[test]
fn refusals_say_what_to_do() {
    let refusal = |bytes: &[u8]| decoded(bytes, 3).unwrap_err().to_string();
    expect!["is empty: get the file again"].assert_eq(&refusal(b""));
    expect!["is neither JPEG nor PNG (starts with [47, 49, 46, 38]): convert it to one of them"]
        .assert_eq(&refusal(b"GIF89a"));
    expect!["is a JPEG that is cut off: get the file again"].assert_eq(&refusal(&JPEGS[0].1[..600]));
    expect!["is a PNG that is cut off: get the file again"].assert_eq(&refusal(&fixture("rgb.png")[..500]));
    expect!["is a damaged JPEG (no marker where one has to be): get the file again"]
        .assert_eq(&refusal(&[0xff, 0xd8, 0, 0, 0, 0]));
    let mut wide = fixture("rgb.png");
    wide[16..24].copy_from_slice(&[0, 1, 0x86, 0xa0, 0, 1, 0x86, 0xa0]);
    expect!["claims 100000×100000 pixels: an image has 1 to 67108864 of them: get the file again, or make it smaller"]
        .assert_eq(&refusal(&wide));
    let mut wide = JPEGS[0].1.to_vec();
    let at = wide.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    wide[at + 5..at + 9].fill(0xff);
    expect!["claims 65535×65535 pixels: an image has 1 to 67108864 of them: get the file again, or make it smaller"]
        .assert_eq(&refusal(&wide));
    wide[at + 5..at + 7].fill(0);
    assert!(refusal(&wide).starts_with("claims 0×65535"));
}

#[test]
fn palettes_without_colours_are_refused() {
    let mut bytes = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut bytes, 1, 1);
    encoder.set_color(::png::ColorType::Indexed);
    encoder.set_palette(vec![7; 4]);
    encoder.write_header().unwrap().write_image_data(&[0]).unwrap();
    expect!["is a damaged PNG (a palette that is not 1 to 256 colours): get the file again"]
        .assert_eq(&decoded(&bytes, 3).unwrap_err().to_string());
}

#[test]
fn components_without_rows_are_refused() {
    let mut bytes = fixture("grey.jpg");
    let frame = bytes.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    bytes[frame + 11] = 0x10;
    expect!["is a damaged JPEG (no such sampling of its components): get the file again"]
        .assert_eq(&decoded(&bytes, 3).unwrap_err().to_string());
}

/// Adobe's marker says that colours are as they are, and names other than R, G and B hide it from zune-jpeg.
#[cfg(not(feature = "turbojpeg"))]
#[test]
fn colours_under_other_names_are_refused() {
    let mut bytes = fixture("unconverted.jpg");
    let marker = |bytes: &[u8], kind| bytes.windows(2).position(|pair| pair == [0xff, kind]).unwrap();
    let (frame, scan) = (marker(&bytes, 0xc0), marker(&bytes, 0xda));
    for component in 0..3 {
        for at in [frame + 10 + 3 * component, scan + 5 + 2 * component] {
            assert_eq!(bytes[at], b"RGB"[component]);
            bytes[at] = component as u8;
        }
    }
    expect!["is a JPEG with red, green and blue under other names, which is not read: convert it"]
        .assert_eq(&decoded(&bytes, 3).unwrap_err().to_string());
}

/// An end behind what is left does not make it a whole image. zune-jpeg's strict mode takes some of these.
#[cfg(feature = "turbojpeg")]
#[test]
fn files_that_are_cut_off_before_their_end_are_refused() {
    for (name, bytes) in JPEGS.into_iter().filter(|(name, _)| !["progressive", "tiny"].contains(name)) {
        let scan = bytes.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
        for length in (1..12).map(|part| scan + 20 + (bytes.len() - scan - 40) * part / 12) {
            let cut = [&bytes[..length], &[0xff, 0xd9]].concat();
            assert!(decoded(&cut, 3).is_err(), "{name}: {length} of {} bytes", bytes.len());
        }
    }
}

/// A progressive file may end after any of its scans; what is missing is smoothed over.
#[test]
fn windows_of_unfinished_files_are_exact() {
    let whole = encoded(75, 61, |encoder| {
        encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::F_2_2);
        encoder.set_progressive(true);
    });
    let fixture = fixture("progressive.jpg");
    for file in [&whole, &fixture] {
        let scans: Vec<usize> = (0..file.len() - 1).filter(|&at| file[at..at + 2] == [0xff, 0xda]).collect();
        for scan in &scans[1..] {
            let bytes = [&file[..*scan], &[0xff, 0xd9]].concat();
            let Ok((all, pixels)) = decoded(&bytes, 3) else { continue };
            for at in 0..all.width.min(all.height) {
                let sides = Sides { height: 1 + (at * 7) % (all.height - at), width: 1 + (at * 11) % (all.width - at) };
                let window = Window { top: at, left: at, sides };
                let mut decoder = Decoder::default();
                let view = decoder.decode(&bytes, window, 3).unwrap();
                let whole = View { pixels: &pixels, sides: all, channels: 3, window };
                assert!(view.rows().eq(whole.rows()), "{} bytes, {window:?}", bytes.len());
            }
        }
    }
}

/// A file that lacks its tables is the same, whatever was read before it.
#[test]
fn tables_of_another_file_do_not_show() {
    let file = JPEGS[0].1;
    let mut without = file.to_vec();
    while let Some(at) = without.windows(2).position(|pair| matches!(pair, [0xff, 0xc4 | 0xdb])) {
        let length = usize::from(u16::from_be_bytes([without[at + 2], without[at + 3]]));
        without.drain(at..at + 2 + length);
    }
    let mut decoder = Decoder::default();
    let window = Window::all(sides(file).unwrap());
    decoder.decode(file, window, 3).unwrap();
    assert!(decoder.decode(&without, window, 3).is_err());
}

/// Fingerprints name the versions that are built in.
#[test]
fn versions_are_those_of_the_lock_file() {
    #[cfg(feature = "turbojpeg")]
    assert!(DECODERS.starts_with(lockstep_turbojpeg::VERSION));
    let lock = include_str!("../../../Cargo.lock");
    for library in DECODERS.split(", ").chain([crate::resize::RESIZER]) {
        let (name, version) = match library {
            // The crate that holds it.
            "libjpeg-turbo 3.1.0" => ("turbojpeg-sys", "1.2.0"),
            other => other.split_once(' ').unwrap(),
        };
        assert!(lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n")), "{library}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever colours, scans and restarts a file has, and wherever a window is.
    #[test]
    fn windows_are_exact(
        (width, height) in (1_u16..90, 1_u16..90),
        factors in prop::sample::select(vec![(1, 1), (2, 1), (1, 2), (2, 2), (4, 1), (4, 2), (1, 4), (2, 4)]),
        is_progressive in any::<bool>(),
        restarts in prop::sample::select(vec![0_u16, 1, 3]),
        channels in prop::sample::select(vec![1_usize, 3]),
        places in prop::collection::vec(any::<[prop::sample::Index; 4]>(), 8),
    ) {
        let factors = jpeg_encoder::SamplingFactor::from_factors(factors.0, factors.1).unwrap();
        let bytes = encoded(width, height, |encoder| {
            encoder.set_sampling_factor(factors);
            encoder.set_progressive(is_progressive);
            encoder.set_restart_interval(restarts);
        });
        let (all, pixels) = decoded(&bytes, channels).unwrap();
        let mut decoder = Decoder::default();
        for [top, left, rows, columns] in places {
            let (top, left) = (top.index(all.height), left.index(all.width));
            let (rows, columns) = (1 + rows.index(all.height - top), 1 + columns.index(all.width - left));
            let window = Window { top, left, sides: Sides { height: rows, width: columns } };
            let view = decoder.decode(&bytes, window, channels).unwrap();
            let whole = View { pixels: &pixels, sides: all, channels, window };
            prop_assert!(view.rows().eq(whole.rows()), "{window:?}");
        }
    }

    /// Damage is an error or other pixels, never a panic: the same ones whatever was read before, and it shows in nothing
    /// that comes after.
    #[test]
    fn damage_never_panics(
        which in 0..JPEGS.len() + 1,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let whole = JPEGS.get(which).map_or_else(|| fixture("palette.png"), |(_, bytes)| bytes.to_vec());
        let mut bytes = whole.clone();
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        let mut decoder = Decoder::default();
        for length in [bytes.len(), cut.index(bytes.len())] {
            let bytes = &bytes[..length];
            // Larger ones would take a test long, and no other path.
            let Ok(sides) = sides(bytes) else { continue };
            let part = Window {
                top: sides.height / 3,
                left: sides.width / 2,
                sides: Sides { height: sides.height.div_ceil(3), width: sides.width.div_ceil(3) },
            };
            for window in [Window::all(sides), part].into_iter().filter(|_| sides.pixels() <= 1 << 20) {
                let rows = |decoder: &mut Decoder| {
                    decoder.decode(bytes, window, 3).map(|view| view.rows().collect::<Vec<_>>().concat())
                };
                prop_assert!(rows(&mut decoder) == rows(&mut Decoder::default()), "{window:?}");
            }
        }
        let (sides, pixels) = decoded(&whole, 3).unwrap();
        prop_assert!(decoder.decode(&whole, Window::all(sides), 3).unwrap().pixels == pixels);
    }
}
