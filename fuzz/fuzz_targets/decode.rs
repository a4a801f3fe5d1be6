//! Any bytes are an image or an error, within bounds; and a window of an image is cut out of the whole of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstep_dataset::decode::{Decoder, Sides, View, Window, sides};

/// Larger ones take long and no other path.
const MOST_PIXELS: usize = 1 << 18;

fuzz_target!(|bytes: &[u8]| {
    let Ok(all) = sides(bytes) else { return };
    if all.pixels() > MOST_PIXELS {
        return;
    }
    let (mut whole, mut cut) = (Decoder::default(), Decoder::default());
    let Ok(whole) = whole.decode(bytes, Window::all(all), 3) else { return };
    assert_eq!(whole.pixels.len(), 3 * all.pixels());
    let sides = Sides { height: all.height.div_ceil(3), width: all.width.div_ceil(2) };
    let window = Window { top: all.height / 3, left: all.width / 2, sides };
    let window = Window { top: window.top.min(all.height - sides.height), left: window.left, sides };
    let window = Window { left: window.left.min(all.width - sides.width), ..window };
    let cut = cut.decode(bytes, window, 3).expect("less of it was decoded before");
    // Damaged files may differ below what is decoded, but never in size.
    assert_eq!(cut.rows().count(), View { window, ..whole }.rows().count());
});
