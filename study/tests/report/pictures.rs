//! Whether a picture is whole: well-formed, finite, and inside of its view box.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// Reads all of a document; a page's `<!DOCTYPE html>` is fine.
pub fn well_formed(text: &str) {
    each_element(text, |_, _| {});
}

/// Everything is drawn within the view box.
pub fn inside_of_its_box(name: &str, svg: &str) {
    for bad in ["NaN", "inf", "None", "Some("] {
        assert!(!svg.contains(bad), "{name} has {bad}");
    }
    let (mut view, mut seen) = ([0.0; 2], 0);
    each_element(svg, |element, words| {
        let number = |key: &str| attribute(element, key).map(|text| text.parse::<f64>().unwrap());
        if element.name().as_ref() == b"svg" {
            assert!(attribute(element, "role").as_deref() == Some("img"), "{name} tells nobody what it is");
            let box_of: Vec<f64> =
                attribute(element, "viewBox").unwrap().split(' ').map(|part| part.parse().unwrap()).collect();
            view = [box_of[2], box_of[3]];
        }
        let place = |[x, y]: [f64; 2]| {
            let inside = (-1.0..=view[0] + 1.0).contains(&x) && (-1.0..=view[1] + 1.0).contains(&y);
            assert!(inside, "{name}: {x} {y} is outside of {view:?}: {element:?} {words:?}");
        };
        match element.name().as_ref() {
            b"path" => path(&attribute(element, "d").unwrap()).into_iter().for_each(place),
            b"rect" => {
                let (x, y) = (number("x").unwrap_or(0.0), number("y").unwrap_or(0.0));
                let (width, height) = (number("width").unwrap(), number("height").unwrap());
                assert!(width > 0.0 && height > 0.0, "{name}: an empty rectangle");
                place([x, y]);
                place([x + width, y + height]);
            }
            b"text" => {
                let (x, y) = (number("x").unwrap(), number("y").unwrap());
                // Narrower than any system font of 13 pixels: what is outside by this measure is outside.
                let width = 6.0 * words.chars().count() as f64;
                let left = match attribute(element, "text-anchor").as_deref() {
                    Some("middle") => x - width / 2.0,
                    Some("end") => x - width,
                    _ => x,
                };
                place([left, y - 10.0]);
                place([left + width, y]);
            }
            _ => return,
        }
        seen += 1;
    });
    assert!(seen > 10, "{name} has {seen} parts");
}

/// A PNG shows what the SVG does: two pixels a unit, white, with ink in the place of each word and the colour of each
/// series, and nothing in the margins.
pub fn as_pixels(png: &[u8], svg: &str) {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(png));
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().unwrap();
    let mut data = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut data).unwrap();
    let (width, height) = (info.width as usize, info.height as usize);
    let at = |x: usize, y: usize| -> [u8; 3] { data[3 * (y * width + x)..][..3].try_into().unwrap() };
    let inked = |[left, right]: [f64; 2], [top, bottom]: [f64; 2]| {
        let pixels =
            |low: f64, high: f64, most: usize| (2.0 * low).max(0.0) as usize..((2.0 * high) as usize).min(most);
        pixels(top, bottom, height).any(|y| pixels(left, right, width).any(|x| at(x, y) != [255; 3]))
    };
    each_element(svg, |element, words| match element.name().as_ref() {
        b"svg" => {
            let view: Vec<f64> =
                attribute(element, "viewBox").unwrap().split(' ').map(|n| n.parse().unwrap()).collect();
            assert_eq!([width as f64, height as f64], [2.0 * view[2], 2.0 * view[3]]);
        }
        b"text" if !words.trim().is_empty() => {
            let number = |key: &str| attribute(element, key).unwrap().parse::<f64>().unwrap();
            let (x, y) = (number("x"), number("y"));
            assert!(inked([x - 9.0, x + 9.0], [y - 11.0, y + 3.0]), "no {words:?} at {x} {y}");
        }
        _ => {}
    });
    let inks: std::collections::BTreeSet<[u8; 3]> =
        data.chunks_exact(3).map(|pixel| pixel.try_into().unwrap()).collect();
    for style in 0..8 {
        if ["line", "bar", "mark"].iter().any(|part| svg.contains(&format!("class=\"{part} s{style}\""))) {
            let rule = svg.split_once(&format!(".s{style}{{stroke:#")).unwrap().1;
            let colour = [0, 2, 4].map(|from| u8::from_str_radix(&rule[from..from + 2], 16).unwrap());
            assert!(inks.contains(&colour), "series {style} has no pixel of {colour:?}");
        }
    }
    assert_eq!([at(0, 0), at(width - 1, height - 1)], [[255; 3]; 2]);
}

/// Calls back with each element and the text right behind its start.
fn each_element(text: &str, mut each: impl FnMut(&BytesStart<'_>, &str)) {
    let mut reader = Reader::from_str(text);
    let (mut open, mut words): (Option<BytesStart<'_>>, String) = (None, String::new());
    let mut depth = 0_i64;
    loop {
        let event =
            reader.read_event().unwrap_or_else(|error| panic!("{error} at {} of {text}", reader.buffer_position()));
        match event {
            Event::Text(part) => words += &part.decode().unwrap(),
            Event::GeneralRef(_) => words.push('&'),
            Event::DocType(_) | Event::Comment(_) => {}
            other => {
                if let Some(element) = open.take() {
                    each(&element, &words);
                }
                words.clear();
                match other {
                    Event::Start(element) => {
                        depth += 1;
                        element.attributes().for_each(|attribute| drop(attribute.unwrap()));
                        open = Some(element);
                    }
                    Event::Empty(element) => each(&element, ""),
                    Event::End(_) => depth -= 1,
                    Event::Eof => break,
                    odd => panic!("{odd:?}"),
                }
            }
        }
    }
    assert_eq!(depth, 0, "an element is not closed");
}

fn attribute(element: &BytesStart<'_>, key: &str) -> Option<String> {
    let found = element.try_get_attribute(key).unwrap()?;
    Some(String::from_utf8(found.value.into_owned()).unwrap())
}

/// The places that a path of these pictures goes through.
fn path(d: &str) -> Vec<[f64; 2]> {
    let (mut places, mut at) = (Vec::new(), [0.0, 0.0]);
    let commands = |letter: char| letter.is_ascii_alphabetic();
    let mut rest = d;
    while let Some(command) = rest.chars().next() {
        let end = rest[1..].find(commands).map_or(rest.len(), |end| end + 1);
        let spaced = rest[1..end].replace('-', " -");
        let numbers: Vec<f64> =
            spaced.split_whitespace().map(|n| n.parse().unwrap_or_else(|_| panic!("{n:?} in {d:?}"))).collect();
        rest = &rest[end..];
        at = match (command, numbers.as_slice()) {
            ('M' | 'L', [x, y]) => [*x, *y],
            ('m' | 'l', [x, y]) => [at[0] + x, at[1] + y],
            ('H', [x]) => [*x, at[1]],
            ('h', [x]) => [at[0] + x, at[1]],
            ('V', [y]) => [at[0], *y],
            ('v', [y]) => [at[0], at[1] + y],
            // Arcs of markers: radii, turn, flags, where to.
            ('a', [_, _, _, _, _, x, y]) => [at[0] + x, at[1] + y],
            ('z', []) => continue,
            odd => panic!("{odd:?} in {d:?}"),
        };
        places.push(at);
    }
    places
}
