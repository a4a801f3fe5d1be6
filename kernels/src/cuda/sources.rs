//! The kernels' sources: one file an op, each behind the same beginning.

/// What all kernels begin with.
const PRELUDE: &str = include_str!("prelude.cuh");
/// Tiles of matrix products.
const MATRIX: &str = include_str!("matrix.cuh");

/// A file of kernels.
#[derive(Debug)]
pub struct Source {
    /// Path under `kernels/src`.
    pub file: &'static str,
    /// Its content.
    own: &'static str,
}

macro_rules! sources {
    ($($file:literal),* $(,)?) => {
        /// All of them.
        pub static SOURCES: &[Source] = &[$(Source { file: $file, own: include_str!(concat!("../", $file)) }),*];
    };
}

sources!["addition/addition.cu", "conv2d/conv2d.cu", "conv2d_max_pool2d/conv2d_max_pool2d.cu", "linear/linear.cu",];

impl Source {
    /// What is compiled. Lines are counted within the file.
    pub fn text(&self) -> String {
        let Self { file, own } = self;
        format!("{PRELUDE}\n{MATRIX}\n#line 1 \"{file}\"\n{own}")
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
    fn every_file_has_kernels_and_no_name_stands_twice() {
        let mut names: Vec<_> = SOURCES.iter().flat_map(Source::kernels).collect();
        assert!(SOURCES.iter().all(|source| source.kernels().count() > 0));
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }
}
