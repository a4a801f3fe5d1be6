//! Colours, dashes and markers of series.

/// The style of what isn't a series but a reference: grey, dotted, unmarked.
pub const REFERENCE: usize = usize::MAX;

/// Series styles before they repeat.
pub const STYLES: usize = 8;
/// Okabe and Ito's colours, those that show on white; grey at the end.
const LIGHT: [&str; STYLES] = ["#0072b2", "#d55e00", "#007a5a", "#b5508f", "#b87900", "#2a87bd", "#4d4d4d", "#8a5a2b"];
/// As they show on a dark page.
const DARK: [&str; STYLES] = ["#56b4e9", "#ff8c42", "#3fcfa0", "#e69fcb", "#f0c040", "#9ad4f5", "#c8c8c8", "#d2a679"];
const DASHES: [&str; STYLES] = ["none", "7 3", "2 3", "9 3 2 3", "12 4", "5 2 1 2 1 2", "4 4", "1 4"];
/// Greys of tiles, from low to high; the same on light and dark pages.
pub const GREYS: usize = 8;

/// The class of a series' strokes.
pub fn stroke(style: usize) -> String {
    if style == REFERENCE { "line ref".into() } else { format!("line s{}", style % STYLES) }
}

/// The class of a series' filled parts.
pub fn fill(style: usize) -> String {
    if style == REFERENCE { "fr".into() } else { format!("f{}", style % STYLES) }
}

/// A marker around a place, as the `d` of a path: which of them, and whether it is hollow, differs by style.
pub fn marker(style: usize, [x, y]: [f64; 2], r: f64) -> String {
    match style % STYLES {
        0 => format!("M{:.1} {y:.1}a{r} {r} 0 1 0 {d} 0a{r} {r} 0 1 0 -{d} 0z", x - r, d = 2.0 * r),
        1 => format!("M{:.1} {:.1}h{d}v{d}h-{d}z", x - 0.9 * r, y - 0.9 * r, d = 1.8 * r),
        2 => format!("M{x:.1} {:.1}l{a} {b}h-{c}z", y - 1.2 * r, a = 1.15 * r, b = 2.1 * r, c = 2.3 * r),
        3 => format!("M{x:.1} {:.1}l{d} {d}l-{d} {d}l-{d} -{d}z", y - 1.3 * r, d = 1.3 * r),
        4 => format!("M{x:.1} {:.1}l{a} -{b}h-{c}z", y + 1.2 * r, a = 1.15 * r, b = 2.1 * r, c = 2.3 * r),
        5 => format!("M{:.1} {:.1}l{d} {d}m0 -{d}l-{d} {d}", x - r, y - r, d = 2.0 * r),
        6 => format!("M{:.1} {y:.1}h{d}M{x:.1} {:.1}v{d}", x - 1.2 * r, y - 1.2 * r, d = 2.4 * r),
        _ => format!("M{:.1} {:.1}h{d}v{h}h-{d}z", x - 1.2 * r, y - 0.5 * r, d = 2.4 * r, h = r),
    }
}

/// Rules for all pictures. Variables and nesting are left out: not every viewer of SVG knows them.
pub fn rules() -> String {
    let dark = colours(&DARK, ["#12161c", "#e6edf3", "#a2abb5", "#2b323c", "#8b949e"]);
    format!("{}@media screen and (prefers-color-scheme:dark){{{dark}}}", light_rules())
}

/// Those of a light page alone.
pub fn light_rules() -> String {
    let shapes = "svg text{font:13px system-ui,-apple-system,\"Segoe UI\",Roboto,sans-serif}\
        .line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}\
        .bar{fill:none;stroke-width:1.6}.mark{stroke-width:1.6}.thin{stroke-width:1.3}.band{opacity:.16}\
        .ref{stroke-dasharray:1 5;stroke-width:1.8}.grid{fill:none;stroke-width:1}.axis{fill:none;stroke-width:1}\
        .chosen{fill:none;stroke-width:1.6}.strong{font-weight:600}.index{font-size:10px}";
    let dashes: String =
        DASHES.iter().enumerate().map(|(index, dash)| format!(".line.s{index}{{stroke-dasharray:{dash}}}")).collect();
    let greys: String = (0..GREYS).map(|index| format!(".g{index}{{fill:{0}}}", grey(index))).collect();
    let light = colours(&LIGHT, ["#ffffff", "#1f2328", "#57606a", "#e4e7eb", "#6e7781"]);
    format!("{shapes}{dashes}{greys}{light}")
}

fn grey(index: usize) -> String {
    let value = 245 - 200 * index / (GREYS - 1);
    format!("#{value:02x}{value:02x}{value:02x}")
}

fn colours(series: &[&str; STYLES], [page, ink, dim, grid, reference]: [&str; 5]) -> String {
    let mut rules = format!(
        "svg .page{{fill:{page}}}svg text,.letters{{fill:{dim}}}svg text.strong,.letters.strong{{fill:{ink}}}.grid{{stroke:{grid}}}\
         .axis,.ref,.chosen{{stroke:{reference}}}.fr{{fill:{reference}}}"
    );
    for (index, colour) in series.iter().enumerate() {
        let inside = if index % 2 == 1 { page } else { colour };
        rules += &format!(".s{index}{{stroke:{colour}}}.f{index}{{fill:{colour}}}.mark.s{index}{{fill:{inside}}}");
    }
    // Two markers are crosses, which have no inside.
    rules + ".mark.s5,.mark.s6{fill:none}"
}
