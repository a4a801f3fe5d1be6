//! A state as it was after one step: what the trainer hands over, and what comes back.

use std::collections::HashSet;

use crate::About;
use crate::error::Error;

/// Bounds on what a file may ask for; far above any model's.
const TENSORS: usize = 1 << 16;
const NAME_BYTES: usize = 512;
const DIMENSIONS: usize = 8;

/// One named tensor of f32 values, in row-major order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tensor {
    /// Such as `parameters/fc1.weight` or `velocity/fc1.weight`.
    pub name: String,
    /// Sizes of its dimensions.
    pub shape: Vec<usize>,
    /// As many as the product of the shape.
    pub values: Vec<f32>,
}

/// A copy of the state, and what state it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// What state it is.
    pub about: About,
    /// All of it; names are unique.
    pub tensors: Vec<Tensor>,
}

impl Snapshot {
    /// Whether it could be read back.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the reason.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let shapes = self.tensors.iter().map(|tensor| (tensor.name.as_str(), tensor.shape.as_slice()));
        let flaw = self.about.flaw().map(str::to_owned).or_else(|| flaw(shapes)).or_else(|| {
            let wrong = self.tensors.iter().find(|tensor| elements(&tensor.shape) != Some(tensor.values.len()))?;
            Some(format!("tensor {} has {} values for the shape {:?}", wrong.name, wrong.values.len(), wrong.shape))
        });
        flaw.map_or(Ok(()), |reason| Err(Error::Invalid { reason }))
    }
}

/// Says what is wrong with a list of names and shapes, if anything is.
pub(crate) fn flaw<'a>(tensors: impl ExactSizeIterator<Item = (&'a str, &'a [usize])>) -> Option<String> {
    if tensors.len() > TENSORS {
        return Some(format!("it has {} tensors, more than {TENSORS}", tensors.len()));
    }
    let mut names = HashSet::new();
    for (name, shape) in tensors {
        // The format keeps one name for itself.
        let good = (1..=NAME_BYTES).contains(&name.len()) && !name.contains(char::is_control) && name != "__metadata__";
        if !good || !names.insert(name) {
            return Some(format!("{name:.80?} is no name for a tensor, or is there twice"));
        }
        if shape.len() > DIMENSIONS || elements(shape).is_none_or(|elements| elements == 0) {
            return Some(format!("tensor {name} has the shape {shape:?}"));
        }
    }
    None
}

fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size))
}
