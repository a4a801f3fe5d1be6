//! Files as a network sees them.

use expect_test::expect;
use lockstep_proto::job::{Augment, Data};

use super::*;

const COLOUR: &[u8] = include_bytes!("../../tests/fixtures/420.jpg");
const PROGRESSIVE: &[u8] = include_bytes!("../../tests/fixtures/progressive.jpg");
const GREY: &[u8] = include_bytes!("../../tests/fixtures/grey.jpg");
const PICTURE: &[u8] = include_bytes!("../../tests/fixtures/picture.png");
const SHAPE: ImageShape = ImageShape { channels: 3, height: 20, width: 20 };

fn job(augment: Augment) -> Job {
    let mut job = Job { augment, data: Data { size: 20, resize: 24, ..Data::default() }, ..Job::default() };
    job.seed.augment = 4;
    job
}

/// ImageNet's, and with a distortion on top.
fn jobs() -> [Job; 2] {
    let usual = Augment { random_resized_crop: vec![0.08, 1.0], flip: true, lighting: 0.1, ..Augment::default() };
    [job(usual.clone()), job(Augment { pad_crop: 2, rotate: 10.0, ..usual })]
}

/// Three files, two epochs, one after another.
fn all(reader: &mut ImageReader) -> Vec<u8> {
    let mut pixels = Vec::new();
    for epoch in 0..2 {
        for (sample, bytes) in (0..).zip([COLOUR, GREY, PICTURE, PROGRESSIVE]) {
            let mut out = vec![77; SHAPE.len()];
            reader.train(bytes, Seen { epoch, sample }, &mut out).unwrap();
            pixels.append(&mut out);
        }
    }
    pixels
}

/// The bits of everything on the way.
#[test]
fn samples_are_these_bits() {
    let hashes = jobs().map(|job| blake3::hash(&all(&mut ImageReader::of(&job, SHAPE).unwrap())).to_hex().to_string());
    let expected = match cfg!(feature = "turbojpeg") {
        false => expect![[r#"
            c9447a6d0e637e611c1c18557aa508d11dda918e095d50d0a66c47de98c4781b
            ae1f03b9c42136c3384ff5c0a3179fdb314bb38f29ecd922237471d762240e69"#]],
        true => expect![[r#"
            e564248a0f41358ddc2600539daff72ae24dbe03118aedc9cd2e891fefd7a11e
            2857b1c6381a7177212fa3c19992bd4f6e8d0a8fa8fde63b026efe982de2d800"#]],
    };
    expected.assert_eq(&hashes.join("\n"));
}

/// Neither what was read before, nor the thread shows.
#[test]
fn pixels_depend_on_nothing_else() {
    for job in jobs() {
        let mut reader = ImageReader::of(&job, SHAPE).unwrap();
        let pixels = all(&mut reader);
        assert!(all(&mut reader) == pixels);
        let mut out = vec![0; SHAPE.len()];
        assert!(reader.train(&COLOUR[..900], Seen { epoch: 0, sample: 0 }, &mut out).is_err());
        reader.train(PICTURE, Seen { epoch: 1, sample: 2 }, &mut out).unwrap();
        assert!(out == pixels[6 * SHAPE.len()..][..SHAPE.len()]);
        let elsewhere = std::thread::spawn(move || all(&mut ImageReader::of(&job, SHAPE).unwrap()));
        assert!(elsewhere.join().unwrap() == pixels);
    }
}

/// One pass over a crop, and several, come to the same where the others change nothing.
#[test]
fn the_last_pass_is_what_the_steps_are() {
    let [usual, _] = jobs();
    let mut reader = ImageReader::of(&usual, SHAPE).unwrap();
    let mut unfinished = usual.clone();
    (unfinished.augment.flip, unfinished.augment.lighting) = (false, 0.0);
    let mut plain = ImageReader::of(&unfinished, SHAPE).unwrap();
    let augmentation = Augmentation::of(&usual, SHAPE).unwrap().unwrap();
    for sample in 0..20 {
        let seen = Seen { epoch: 3, sample };
        let mut outs = [(); 3].map(|()| vec![0; SHAPE.len()]);
        reader.train(COLOUR, seen, &mut outs[0]).unwrap();
        plain.train(COLOUR, seen, &mut outs[1]).unwrap();
        let [fused, pixels, steps] = &mut outs;
        augmentation.change(pixels, seen, &mut augment::Memory::default(), steps);
        assert!(fused == steps, "{sample}");
    }
}

#[test]
fn evaluations_see_torchvisions_middle() {
    let expected = include_bytes!("../../tests/fixtures/evaluated.png");
    let as_it_is = Job { data: Data::default(), ..job(Augment::default()) };
    let [mut out, mut wanted] = [(); 2].map(|()| vec![0; SHAPE.len()]);
    ImageReader::of(&as_it_is, SHAPE).unwrap().evaluate(expected, &mut wanted).unwrap();
    for job in jobs() {
        ImageReader::of(&job, SHAPE).unwrap().evaluate(PICTURE, &mut out).unwrap();
        assert!(out.iter().zip(&wanted).all(|(a, b)| a.abs_diff(*b) <= 1));
    }
    // Training without a crop sees the same.
    let mut trained = vec![0; SHAPE.len()];
    ImageReader::of(&job(Augment::default()), SHAPE)
        .unwrap()
        .train(PICTURE, Seen { epoch: 0, sample: 0 }, &mut trained)
        .unwrap();
    assert!(trained == out);
}

#[test]
fn other_sizes_are_refused() {
    let as_they_are = Job { data: Data::default(), ..job(Augment::default()) };
    let mut out = vec![0; SHAPE.len()];
    let refusal = ImageReader::of(&as_they_are, SHAPE).unwrap().evaluate(COLOUR, &mut out).unwrap_err();
    expect!["has 53×61 pixels, but images are 20×20: set data.size to have all of one size"]
        .assert_eq(&refusal.to_string());
    // One row of a PNG's header says how wide it is.
    let mut narrow = PICTURE.to_vec();
    narrow[16..24].copy_from_slice(&[0, 0, 0, 1, 0, 60, 0, 0]);
    let refusal = ImageReader::of(&job(Augment::default()), SHAPE).unwrap().evaluate(&narrow, &mut out).unwrap_err();
    expect!["has 3932160×1 pixels, too narrow to resize its shorter side: leave it out"]
        .assert_eq(&refusal.to_string());
    let grey = ImageShape { channels: 1, ..SHAPE };
    assert!(ImageReader::of(&jobs()[0], grey).unwrap_err().contains("lighting"));
}
