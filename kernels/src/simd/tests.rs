//! Accuracy of the transcendental functions, equality of the instruction sets, transposition.

use super::{InstructionSet, Isa, Kernel, Pack, Simd, WIDTH, math};

#[derive(Clone, Copy, Debug)]
enum Function {
    Exp,
    Sigmoid,
    Tanh,
    Log,
    Softplus,
    Sqrt,
}

impl Function {
    fn exact(self, x: f64) -> f64 {
        match self {
            Function::Exp => x.exp(),
            Function::Sigmoid if x < 0.0 => x.exp() / (1.0 + x.exp()),
            Function::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Function::Tanh => x.tanh(),
            Function::Log => x.ln(),
            Function::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
            Function::Sqrt => x.sqrt(),
        }
    }
}

struct Map<'a>(Function, &'a mut [Pack]);

impl Kernel for Map<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for pack in self.1 {
            let x = s.load(pack);
            let y = match self.0 {
                Function::Exp => math::exp(s, x),
                Function::Sigmoid => math::sigmoid(s, x),
                Function::Tanh => math::tanh(s, x),
                Function::Log => math::log(s, x),
                Function::Softplus => math::softplus(s, x),
                Function::Sqrt => s.sqrt(x),
            };
            s.store(pack, y);
        }
    }
}

fn map(isa: Isa, function: Function, x: &[f32]) -> Vec<f32> {
    let mut packs = vec![[0.0; WIDTH]; x.len().div_ceil(WIDTH)];
    for (pack, x) in packs.iter_mut().zip(x.chunks(WIDTH)) {
        pack[..x.len()].copy_from_slice(x);
    }
    isa.run(Map(function, &mut packs));
    packs.as_flattened()[..x.len()].to_vec()
}

/// Available instruction sets; the others are reported.
fn available() -> Vec<Isa> {
    let isa = |set| {
        let isa = Isa::new(set);
        if isa.is_none() {
            println!("skipped: this CPU has no {set}");
        }
        isa
    };
    InstructionSet::ALL.into_iter().filter_map(isa).collect()
}

/// Every `stride`-th bit pattern: all magnitudes, both signs, subnormals, infinities and NaNs.
fn sweep(stride: usize) -> Vec<f32> {
    let special = [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MAX, f32::MIN, f32::MIN_POSITIVE];
    (0..=u32::MAX).step_by(stride).map(f32::from_bits).chain(special).collect()
}

/// Distance in units of the last place of the exact result (of the smallest number below the normal ones).
fn ulp_error(actual: f32, exact: f64) -> f64 {
    let rounded = exact as f32;
    if exact.is_nan() || !rounded.is_finite() {
        let equal = actual.to_bits() == rounded.to_bits() || (actual.is_nan() && exact.is_nan());
        return if equal { 0.0 } else { f64::INFINITY };
    }
    let exponent = (rounded.abs().to_bits() >> 23).max(1) as i32 - 127 - 23;
    (f64::from(actual) - exact).abs() / 2f64.powi(exponent)
}

#[track_caller]
fn check_accuracy(function: Function, bound: f64) {
    let isa = Isa::new(InstructionSet::detect()).expect("detected");
    // A prime stride visits all low bits; a second sweep is dense where results change.
    let dense = (0..2_000_000).map(|i| (i - 1_000_000) as f32 * 1.1e-4 + 1e-7);
    let x: Vec<f32> = sweep(1999).into_iter().chain(dense).collect();
    let mut worst = (0.0, 0.0);
    for (x, y) in x.iter().zip(map(isa, function, &x)) {
        let error = ulp_error(y, function.exact(f64::from(*x)));
        if error > worst.0 {
            worst = (error, *x);
        }
    }
    println!("{function:?}: largest error {:.3} ulp at {:e}", worst.0, worst.1);
    assert!(worst.0 <= bound, "{function:?}: error {} ulp at {:e}", worst.0, worst.1);
}

#[test]
fn exp_is_accurate() {
    check_accuracy(Function::Exp, 1.1);
}

#[test]
fn sigmoid_is_accurate() {
    check_accuracy(Function::Sigmoid, 2.5);
}

#[test]
fn tanh_is_accurate() {
    check_accuracy(Function::Tanh, 1.6);
}

#[test]
fn log_is_accurate() {
    check_accuracy(Function::Log, 1.2);
}

#[test]
fn softplus_is_accurate() {
    check_accuracy(Function::Softplus, 3.0);
}

#[test]
fn square_roots_are_rounded_once() {
    check_accuracy(Function::Sqrt, 0.5);
}

#[test]
fn all_instruction_sets_give_the_same_bits() {
    let x = sweep(65_537);
    for function in
        [Function::Exp, Function::Sigmoid, Function::Tanh, Function::Log, Function::Softplus, Function::Sqrt]
    {
        // A NaN's payload is the one thing that the formula leaves open.
        let bits = |isa| -> Vec<u32> {
            let y = map(isa, function, &x);
            y.iter().map(|y| if y.is_nan() { f32::NAN.to_bits() } else { y.to_bits() }).collect()
        };
        let results: Vec<_> = available().into_iter().map(bits).collect();
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "{function:?}");
    }
}

struct Transpose<'a>(&'a mut [Pack; WIDTH]);

impl Kernel for Transpose<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut rows = [s.splat(0.0); WIDTH];
        for i in 0..WIDTH {
            rows[i] = s.load(&self.0[i]);
        }
        let columns = s.transpose(rows);
        for i in 0..WIDTH {
            s.store(&mut self.0[i], columns[i]);
        }
    }
}

#[test]
fn transposition_turns_rows_into_columns() {
    for isa in available() {
        let mut square: [Pack; WIDTH] = std::array::from_fn(|i| std::array::from_fn(|j| (i * WIDTH + j) as f32));
        isa.run(Transpose(&mut square));
        for (i, row) in square.iter().enumerate() {
            let expected: Pack = std::array::from_fn(|j| (j * WIDTH + i) as f32);
            assert_eq!(*row, expected, "{isa:?} row {i}");
        }
    }
}

#[test]
fn names_are_read_back() {
    for set in InstructionSet::ALL {
        assert_eq!(set.name().parse(), Ok(set));
    }
    let error = "sse".parse::<InstructionSet>().expect_err("no such name");
    assert_eq!(error.to_string(), "unknown instruction set \"sse\": it is one of avx512, avx2, portable");
    assert!(InstructionSet::detect().is_available());
}
