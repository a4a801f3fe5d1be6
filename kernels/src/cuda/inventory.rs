//! Which of NVIDIA's libraries this machine has, where, and of which version: for people.

use std::ffi::c_int;
use std::path::PathBuf;

use libloading::Library;

use super::libraries::{self, COMPILER, DRIVER, NCCL};
use super::nvml::Nvml;
use super::version::Version as Known;
use super::{cublaslt, cudnn};

/// A library, or what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Without version, such as `libcuda`.
    pub name: &'static str,
    /// What it is for.
    pub purpose: &'static str,
    /// As it tells it.
    pub version: Option<String>,
    /// The file that was opened.
    pub path: Option<PathBuf>,
    /// Why it can't be used, with what to do.
    pub problem: Option<String>,
}

/// All libraries that are looked for. They stay open.
pub fn inventory() -> Vec<Found> {
    WANTED.iter().map(Wanted::look).collect()
}

/// A library that is looked for.
struct Wanted {
    name: &'static str,
    purpose: &'static str,
    /// Names of the file, the best first, those of other major versions last.
    files: &'static [&'static str],
    version: fn(&Library) -> Result<Version, String>,
    /// Versions that can be used, from the first up to below the second.
    from: (u64, u64),
    below: u64,
}

/// Major, minor and, where there is one, patch.
type Version = Vec<u64>;

/// Versions that have no upper bound.
const ANY: u64 = u64::MAX;

const WANTED: [Wanted; 6] = [
    Wanted {
        name: "libcuda",
        purpose: "the driver",
        files: &DRIVER,
        version: |library| Ok(thousands(integer(library, "cuDriverGetVersion")?)),
        from: (12, 4),
        below: ANY,
    },
    Wanted {
        name: "libnvrtc",
        purpose: "compiles kernels",
        files: &[COMPILER[0], COMPILER[1], COMPILER[2], "libnvrtc.so.11.2", "libnvrtc.so.11.1", "libnvrtc.so.11.0"],
        version: of_compiler,
        from: (12, 4),
        below: ANY,
    },
    Wanted {
        name: "libnvidia-ml",
        purpose: "temperature, memory errors",
        files: &libraries::NVML,
        version: |_| of_nvml(),
        from: (0, 0),
        below: ANY,
    },
    Wanted {
        name: "libnccl",
        purpose: "reductions between GPUs",
        files: &[NCCL[0], NCCL[1], "libnccl.so.1"],
        version: |library| Ok(three(Known::with_old_numbers(integer(library, "ncclGetVersion")? as usize))),
        from: (2, 18),
        below: 3,
    },
    Wanted {
        name: "libcudnn",
        purpose: "large convolutions",
        files: &["libcudnn.so.9", "libcudnn.so", "libcudnn.so.8", "libcudnn.so.7"],
        version: |library| Ok(three(Known::with_old_numbers(size(library, "cudnnGetVersion")?))),
        from: (cudnn::MAJOR as u64, 0),
        below: cudnn::MAJOR as u64 + 1,
    },
    Wanted {
        name: "libcublasLt",
        purpose: "large matrix products",
        files: &["libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so", "libcublasLt.so.11", "libcublasLt.so.10"],
        version: |library| Ok(three(Known::from_number(size(library, "cublasLtGetVersion")?))),
        from: (cublaslt::LEAST_MAJOR as u64, 0),
        below: cublaslt::NEWEST_MAJOR as u64 + 1,
    },
];

impl Wanted {
    fn look(&self) -> Found {
        let Self { name, purpose, files, .. } = *self;
        let Some(library) = libraries::load(files) else {
            let problem = format!("{} was not found", files[0]);
            return Found { name, purpose, version: None, path: None, problem: Some(problem) };
        };
        let version = (self.version)(&library);
        // Some start threads when they are opened, which would go on in memory that is gone.
        std::mem::forget(library);
        let problem = match &version {
            Ok(version) if self.is_usable(version) => None,
            Ok(_) => Some(format!("can't be used: {} is needed", self.needed())),
            Err(problem) => Some(problem.clone()),
        };
        let version = version.ok().map(|version| dotted(&version));
        Found { name, purpose, version, path: libraries::path_of(name), problem }
    }

    fn is_usable(&self, version: &[u64]) -> bool {
        let (major, minor) = (version.first().copied().unwrap_or(0), version.get(1).copied().unwrap_or(0));
        (major, minor) >= self.from && major < self.below
    }

    fn needed(&self) -> String {
        let ((major, minor), below) = (self.from, self.below);
        match below {
            ANY => format!("version {major}.{minor} or newer"),
            _ if below == major + 1 && minor == 0 => format!("version {major}"),
            _ if below == major + 1 => format!("version {major}.{minor} or a newer one of {major}"),
            _ => format!("version {major} to {}", below - 1),
        }
    }
}

/// 13000 is 13.0.
fn thousands(code: u64) -> Version {
    vec![code / 1000, code % 1000 / 10]
}

fn three(Known { major, minor, patch }: Known) -> Version {
    [major, minor, patch].map(|number| number as u64).to_vec()
}

fn of_compiler(library: &Library) -> Result<Version, String> {
    type F = unsafe extern "C" fn(*mut c_int, *mut c_int) -> c_int;
    let (mut major, mut minor) = (0, 0);
    // SAFETY: the function's type in nvrtc.h.
    let call = unsafe { library.get::<F>("nvrtcVersion") }.map_err(|_| lacks("nvrtcVersion"))?;
    // SAFETY: the call overwrites two integers.
    match unsafe { call(&mut major, &mut minor) } {
        0 => Ok(vec![major.unsigned_abs().into(), minor.unsigned_abs().into()]),
        code => Err(format!("nvrtcVersion failed with code {code}")),
    }
}

/// NVML's is a text, such as 13.580.82.07.
fn of_nvml() -> Result<Version, String> {
    let version = Nvml::open().and_then(|nvml| nvml.version()).map_err(|error| error.to_string())?;
    version.split('.').map(|part| part.parse().map_err(|_| format!("its version is {version:?}"))).collect()
}

/// What a function of type `int (int*)` tells, which gives 0 if it goes well.
fn integer(library: &Library, name: &str) -> Result<u64, String> {
    type F = unsafe extern "C" fn(*mut c_int) -> c_int;
    let mut value = 0;
    // SAFETY: the type of both functions that are named here, in cuda.h and nccl.h.
    let call = unsafe { library.get::<F>(name) }.map_err(|_| lacks(name))?;
    // SAFETY: the call overwrites an integer.
    match unsafe { call(&mut value) } {
        0 => Ok(value.unsigned_abs().into()),
        code => Err(format!("{name} failed with code {code}")),
    }
}

/// What a function of type `size_t (void)` gives.
fn size(library: &Library, name: &str) -> Result<usize, String> {
    type F = unsafe extern "C" fn() -> usize;
    // SAFETY: the type of both functions that are named here, in cudnn.h and cublasLt.h.
    let call = unsafe { library.get::<F>(name) }.map_err(|_| lacks(name))?;
    // SAFETY: it has no preconditions.
    Ok(unsafe { call() })
}

fn lacks(name: &str) -> String {
    format!("it has no function {name}")
}

fn dotted(version: &[u64]) -> String {
    version.iter().map(u64::to_string).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_each_library_tells_them() {
        assert_eq!(dotted(&thousands(12_040)), "12.4");
        assert_eq!(dotted(&three(Known::from_number(130_101))), "13.1.1");
        let old = |number| dotted(&three(Known::with_old_numbers(number)));
        assert_eq!((old(22_809), old(2708)), ("2.28.9".into(), "2.7.8".into()));
        assert_eq!((old(91_500), old(8907)), ("9.15.0".into(), "8.9.7".into()));
    }

    #[test]
    fn another_major_version_can_not_be_used() {
        let by_name = |name: &str| WANTED.iter().find(|wanted| wanted.name == name).unwrap();
        let usable = |name: &str, version: &[u64]| by_name(name).is_usable(version);
        assert!(usable("libcuda", &[13, 0]) && usable("libcuda", &[12, 4]) && !usable("libcuda", &[12, 2]));
        assert!(usable("libcudnn", &[9, 15, 0]) && !usable("libcudnn", &[8, 9, 7]) && !usable("libcudnn", &[10, 0]));
        assert!(usable("libcublasLt", &[13, 0]) && !usable("libcublasLt", &[11, 4]));
        assert!(usable("libnccl", &[2, 18, 1]) && !usable("libnccl", &[2, 16, 2]) && !usable("libnccl", &[3, 0]));
        assert_eq!(by_name("libcudnn").needed(), "version 9");
        assert_eq!(by_name("libnccl").needed(), "version 2.18 or a newer one of 2");
        assert_eq!(by_name("libcublasLt").needed(), "version 12 to 13");
        assert_eq!(by_name("libnvrtc").needed(), "version 12.4 or newer");
    }
}
