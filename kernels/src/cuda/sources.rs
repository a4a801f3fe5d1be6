//! The kernels' sources: one file an op, each behind the same beginning.

use crate::device::Precision;

/// What all kernels begin with: names, matrix products, sums of columns, losses over classes, element-wise formulas.
const HEADERS: [&str; 5] = [
    include_str!("prelude.cuh"),
    include_str!("matrix.cuh"),
    include_str!("columns.cuh"),
    include_str!("classes.cuh"),
    include_str!("elements.cuh"),
];

/// A file of kernels, for activations of one kind.
#[derive(Debug)]
pub struct Source {
    /// Path under `kernels/src`.
    pub file: &'static str,
    /// What activations are to its kernels; none where they take none.
    pub activations: Option<Precision>,
    /// Its content.
    own: &'static str,
}

macro_rules! sources {
    (vectors: $($vectors:literal),*; activations: $($file:literal),* $(,)?) => {
        /// All of them: what takes activations once for each kind.
        pub static SOURCES: &[Source] = &[
            $(source!($vectors, None),)*
            $(source!($file, Some(Precision::F32)), source!($file, Some(Precision::Bf16)),)*
        ];
    };
}

macro_rules! source {
    ($file:literal, $activations:expr) => {
        Source { file: $file, activations: $activations, own: include_str!(concat!("../", $file)) }
    };
}

sources![
    vectors:
    "cuda/bf16.cu",
    "curvature/curvature.cu",
    "fold/fold.cu",
    "moving_average/moving_average.cu",
    "optimizer/optimizer.cu",
    "perturb/perturb.cu";
    activations:
    "activation/activation.cu",
    "addition/addition.cu",
    "batch_norm/batch_norm.cu",
    "binary_cross_entropy/binary_cross_entropy.cu",
    "concatenate/concatenate.cu",
    "conv2d/conv2d.cu",
    "conv2d_max_pool2d/conv2d_max_pool2d.cu",
    "cross_entropy/cross_entropy.cu",
    "dropout/dropout.cu",
    "group_norm/group_norm.cu",
    "linear/linear.cu",
    "local_response_norm/local_response_norm.cu",
    "map_loss/map_loss.cu",
    "pixels/pixels.cu",
    "pool2d/pool2d.cu",
    "radial_basis/radial_basis.cu",
    "squared_error/squared_error.cu",
    "subsample2d/subsample2d.cu",
    "tangent/tangent.cu",
];

impl Source {
    /// What is compiled. Lines are counted within the file.
    pub fn text(&self) -> String {
        let Self { file, activations, own } = self;
        let kind = if *activations == Some(Precision::Bf16) { "#define BF16_ACTIVATIONS\n" } else { "" };
        format!("{kind}{}\n#line 1 \"{file}\"\n{own}", HEADERS.join("\n"))
    }

    /// Names of the file's kernels: each is declared as `KERNEL(threads) name(…)`.
    pub fn kernels(&self) -> impl Iterator<Item = &'static str> {
        self.own.lines().filter_map(|line| {
            let (name, _) = line.strip_prefix("KERNEL(")?.split_once(") ")?.1.split_once('(')?;
            Some(name)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_activations_is_there_for_each_kind() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        for source in SOURCES {
            let takes_them = source.own.split(|c| !is_word(c)).any(|word| word == "act");
            assert_eq!(source.activations.is_some(), takes_them, "{}", source.file);
        }
    }

    #[test]
    fn every_file_has_kernels_and_no_name_stands_twice() {
        let with_bf16 = SOURCES.iter().filter(|source| source.activations != Some(Precision::F32));
        let mut names: Vec<_> = with_bf16.flat_map(Source::kernels).collect();
        assert!(SOURCES.iter().all(|source| source.kernels().count() > 0));
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }
}
