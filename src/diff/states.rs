//! Two states, tensor by tensor, in the order of the flat vector.

use std::collections::BTreeMap;

use lockstep_checkpoint::{Snapshot, Tensor};

/// How two numbers, and two states, differ.
#[derive(Clone, Debug, PartialEq)]
pub struct StateDifference {
    /// The first tensor that differs, such as `parameters/fc1.weight`; none where only what is counted beside the
    /// tensors does.
    pub tensor: Option<TensorDifference>,
    /// Tensors that differ, those that only one state has included.
    pub tensors: usize,
    /// Tensors of both.
    pub of: usize,
    /// The largest |a − b|, and its tensor.
    pub largest_absolute: Option<(f64, String)>,
    /// The largest |a − b| / max(|a|, |b|), and its tensor.
    pub largest_relative: Option<(f64, String)>,
}

/// The first element of a tensor that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorDifference {
    pub name: String,
    /// Its index in row-major order; none if only one state has the tensor, or of another shape.
    pub element: Option<usize>,
    /// In both.
    pub values: [f32; 2],
    /// Numbers of 32 bits from one to the other; none if one is no number.
    pub ulps: Option<u64>,
    /// Elements that differ.
    pub elements: usize,
    /// Elements of the tensor.
    pub of: usize,
}

/// Compares two states; none if they are the same bits, whatever time they took.
pub fn compare(first: &Snapshot, second: &Snapshot) -> Option<StateDifference> {
    (first.about.digest != second.about.digest).then(|| compare_tensors(first, second))
}

/// Compares the tensors of two states, whatever their digests say.
pub fn compare_tensors(first: &Snapshot, second: &Snapshot) -> StateDifference {
    let mut theirs: BTreeMap<&str, &Tensor> = named(second).collect();
    let mut found = StateDifference { tensor: None, tensors: 0, of: 0, largest_absolute: None, largest_relative: None };
    for (name, ours) in named(first) {
        let difference = match theirs.remove(name) {
            Some(other) => found.compare(ours, other),
            None => Some(alone(ours)),
        };
        found.add(difference);
    }
    // What only the second has lies behind, in its own order.
    named(second).filter(|(name, _)| theirs.contains_key(name)).for_each(|(_, tensor)| found.add(Some(alone(tensor))));
    found
}

/// ‖w₁ − w₂‖ / ‖w₁‖ over the parameters, in f64; none if a state has other parameters.
pub fn distance(first: &Snapshot, second: &Snapshot) -> Option<f64> {
    let theirs: BTreeMap<&str, &Tensor> = named(second).collect();
    let (mut apart, mut norm) = (0.0_f64, 0.0_f64);
    for (name, ours) in named(first).filter(|(name, _)| name.starts_with("parameters/")) {
        let other = theirs.get(name).filter(|other| other.values.len() == ours.values.len())?;
        for (a, b) in ours.values.iter().zip(&other.values) {
            let (a, b) = (f64::from(*a), f64::from(*b));
            (apart, norm) = (apart + (a - b) * (a - b), norm + a * a);
        }
    }
    Some(if apart == 0.0 { 0.0 } else { (apart / norm).sqrt() })
}

/// Whether both are states of networks with the same parameters; else the first that differs, in words.
pub fn same_network(first: &Snapshot, second: &Snapshot) -> Result<(), String> {
    let shapes = |snapshot: &Snapshot| -> BTreeMap<String, Vec<usize>> {
        let weights = |name: &str| name.starts_with("parameters/") || name.starts_with("statistics/");
        named(snapshot).filter(|(name, _)| weights(name)).map(|(name, t)| (name.to_owned(), t.shape.clone())).collect()
    };
    let (ours, theirs) = (shapes(first), shapes(second));
    let told = |shape: Option<&Vec<usize>>| shape.map_or("no such tensor".to_owned(), |shape| format!("{shape:?}"));
    match ours.keys().chain(theirs.keys()).find(|name| ours.get(*name) != theirs.get(*name)) {
        None => Ok(()),
        Some(name) => {
            Err(format!("{name} is {} in one and {} in the other", told(ours.get(name)), told(theirs.get(name))))
        }
    }
}

/// All tensors of vectors. Words, such as the cursor's and those of noise, are numbers of 64 bits in halves: that they differ is
/// in the digests alone. They have no list before their name.
fn named(snapshot: &Snapshot) -> impl Iterator<Item = (&str, &Tensor)> {
    snapshot.tensors.iter().filter(|tensor| tensor.name.contains('/')).map(|tensor| (tensor.name.as_str(), tensor))
}

fn alone(tensor: &Tensor) -> TensorDifference {
    let of = tensor.values.len();
    TensorDifference { name: tensor.name.clone(), element: None, values: [f32::NAN; 2], ulps: None, elements: of, of }
}

impl StateDifference {
    fn add(&mut self, difference: Option<TensorDifference>) {
        self.of += 1;
        self.tensors += usize::from(difference.is_some());
        self.tensor = self.tensor.take().or(difference);
    }

    fn compare(&mut self, ours: &Tensor, theirs: &Tensor) -> Option<TensorDifference> {
        if ours.shape != theirs.shape {
            return Some(alone(ours));
        }
        let pairs = || ours.values.iter().copied().zip(theirs.values.iter().copied());
        let differs = |(a, b): &(f32, f32)| a.to_bits() != b.to_bits();
        let (element, (a, b)) = pairs().enumerate().find(|(_, pair)| differs(pair))?;
        for (a, b) in pairs().filter(differs) {
            let (wide, other) = (f64::from(a), f64::from(b));
            let apart = (wide - other).abs();
            raise(&mut self.largest_absolute, apart, &ours.name);
            // Of zeros with different signs it is 0.
            raise(&mut self.largest_relative, apart / wide.abs().max(other.abs()).max(f64::MIN_POSITIVE), &ours.name);
        }
        Some(TensorDifference {
            name: ours.name.clone(),
            element: Some(element),
            values: [a, b],
            ulps: ulps(a, b),
            elements: pairs().filter(differs).count(),
            of: ours.values.len(),
        })
    }
}

/// The larger stays; what is no number is larger than all numbers.
fn raise(largest: &mut Option<(f64, String)>, value: f64, name: &str) {
    let value = if value.is_nan() { f64::INFINITY } else { value };
    if largest.as_ref().is_none_or(|(most, _)| value > *most) {
        *largest = Some((value, name.to_owned()));
    }
}

/// How many numbers of 32 bits one is from the other.
fn ulps(a: f32, b: f32) -> Option<u64> {
    // Bits in the order of the numbers; both zeros are 0.
    let ordered = |value: f32| {
        let bits = value.to_bits();
        let magnitude = i64::from(bits & 0x7fff_ffff);
        if bits >> 31 == 1 { -magnitude } else { magnitude }
    };
    (!a.is_nan() && !b.is_nan()).then(|| ordered(a).abs_diff(ordered(b)))
}

#[cfg(test)]
mod tests {
    use lockstep_checkpoint::About;

    use super::*;

    fn state(digest: &str, tensors: &[(&str, &[f32])]) -> Snapshot {
        let tensor = |(name, values): &(&str, &[f32])| Tensor {
            name: (*name).into(),
            shape: vec![values.len()],
            values: values.to_vec(),
        };
        Snapshot {
            about: About { digest: digest.into(), ..Default::default() },
            tensors: tensors.iter().map(tensor).collect(),
        }
    }

    #[test]
    fn the_first_tensor_that_differs_is_named_with_how_much() {
        let next = 1.0_f32.next_up();
        let first = state("a", &[("words", &[1.0]), ("parameters/b", &[3.0]), ("parameters/a", &[1.0, 2.0, 4.0])]);
        let second = state("b", &[("words", &[2.0]), ("parameters/b", &[3.0]), ("parameters/a", &[next, 2.0, 5.0])]);
        let found = compare(&first, &second).unwrap();
        let tensor = found.tensor.unwrap();
        assert_eq!((tensor.name.as_str(), tensor.element, tensor.values), ("parameters/a", Some(0), [1.0, next]));
        assert_eq!((tensor.ulps, tensor.elements, tensor.of), (Some(1), 2, 3));
        assert_eq!((found.tensors, found.of), (1, 2));
        assert_eq!(found.largest_absolute, Some((1.0, "parameters/a".into())));
        assert_eq!(found.largest_relative, Some((0.2, "parameters/a".into())));
        // √(1 + ε²) / √(9 + 1 + 4 + 16).
        assert!((distance(&first, &second).unwrap() - (1.0 / 30.0_f64).sqrt()).abs() < 1e-12);
        assert_eq!((compare(&first, &first), distance(&first, &first)), (None, Some(0.0)));
    }

    #[test]
    fn states_may_differ_beside_their_tensors_or_have_others() {
        let first = state("a", &[("words", &[1.0]), ("noise", &[3.0]), ("parameters/a", &[0.0])]);
        let found = compare(&first, &state("b", &[("words", &[2.0]), ("parameters/a", &[0.0])])).unwrap();
        assert_eq!((found.tensor, found.tensors, found.of), (None, 0, 1));
        let more = state("b", &[("parameters/a", &[0.0]), ("velocity/a", &[0.0])]);
        let found = compare(&first, &more).unwrap();
        assert_eq!((found.tensor.unwrap().name.as_str(), found.tensors, found.of), ("velocity/a", 1, 2));
        assert_eq!(same_network(&first, &more), Ok(()));
        let other = state("c", &[("parameters/a", &[0.0, 1.0])]);
        assert_eq!(same_network(&first, &other).unwrap_err(), "parameters/a is [1] in one and [2] in the other");
        assert_eq!(distance(&first, &other), None);
    }

    #[test]
    fn ulps_are_counted_across_zero() {
        let least = f32::from_bits(1);
        assert_eq!([ulps(-least, least), ulps(0.0, -0.0), ulps(1.0, f32::NAN)], [Some(2), Some(0), None]);
        assert_eq!(ulps(f32::MAX, f32::MIN), Some(2 * 0x7f7f_ffff));
    }
}
