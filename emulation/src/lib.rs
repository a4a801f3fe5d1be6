//! A CUDA driver, an NVML and an NVRTC that run the kernels' sources on the CPU, and an NCCL between such, for tests on
//! machines without a GPU.
//!
//! [`libraries`] compiles them with the system's C++ compiler, once for each state of the sources, into a folder that
//! [`lockstep_kernels::cuda::Places`] can name. The host's code then runs as it is: contexts, modules, launches,
//! streams. `cpp/cuda_on_cpu.h` says what is modelled.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{panic, thread};

use lockstep_kernels::cuda::sources::{SOURCES, Source};
use lockstep_kernels::cuda::{Cuda, Places};

/// Why there is no emulation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Tests that need it are skipped.
    #[error("skipped: there is no C++ compiler (g++) to build the emulated GPU with")]
    NoCompiler,
    /// A source is wrong.
    #[error("the emulated GPU does not compile:\n{0}")]
    Compilation(String),
    /// No folder to build in.
    #[error("the emulated GPU can't be built: {0}")]
    Io(#[from] io::Error),
}

/// What sources include, by name: CUDA C++ on the CPU, what the environment plants, what libraries ask of the driver,
/// their numbers.
const HEADERS: [(&str, &str); 4] = [
    ("cuda_on_cpu.h", include_str!("../cpp/cuda_on_cpu.h")),
    ("emulated_gpus.h", include_str!("../cpp/emulated_gpus.h")),
    ("emulated_driver.h", include_str!("../cpp/emulated_driver.h")),
    ("bf16.h", include_str!("../cpp/bf16.h")),
];
const FIBERS: &str = include_str!("../cpp/fibers.cpp");
const DRIVER: &str = include_str!("../cpp/libcuda.cpp");
const COMPILER: &str = include_str!("../cpp/libnvrtc.cpp");
const NVML: &str = include_str!("../cpp/libnvidia-ml.cpp");
const NCCL: &str = include_str!("../cpp/libnccl.cpp");
const DNN: &str = include_str!("../cpp/libcudnn.cpp");
const BLAS: &str = include_str!("../cpp/libcublasLt.cpp");
/// As kernels are compiled for GPUs: no contraction but `fmaf`.
const OPTIONS: [&str; 7] =
    ["-std=c++17", "-O2", "-march=native", "-ffp-contract=off", "-fPIC", "-fvisibility=hidden", "-Wno-unknown-pragmas"];

/// Sources of kernels that become one object: reading the headers takes longer than most of them, but one that changes
/// has its neighbours compiled again.
const SOURCES_AN_OBJECT: usize = 6;

/// A folder with `libcuda.so`, `libnvrtc.so`, `libnvidia-ml.so` and `libnccl.so.2`, of all kernels as they are.
///
/// # Errors
/// See [`Error`].
pub fn libraries() -> Result<PathBuf, Error> {
    let texts: Vec<_> = SOURCES.iter().map(|source| (source, source.text())).collect();
    build(&texts)
}

/// The same with one place of one source changed, to see that tests find what is wrong then.
///
/// # Errors
/// See [`Error`].
///
/// # Panics
/// If the source does not hold `from` exactly once.
pub fn libraries_with(file: &str, from: &str, to: &str) -> Result<PathBuf, Error> {
    let change = |source: &'static Source| {
        let text = source.text();
        assert!(source.file != file || text.matches(from).count() == 1, "{file} holds {from} not exactly once");
        (source, if source.file == file { text.replace(from, to) } else { text })
    };
    build(&SOURCES.iter().map(change).collect::<Vec<_>>())
}

/// A folder with a `libcudnn.so` and a `libcublasLt.so` of what the kernels ask of them, over the driver of
/// [`libraries`]: each names what has to be refused before what is right.
///
/// # Errors
/// See [`Error`].
pub fn vendor_libraries() -> Result<PathBuf, Error> {
    let headers = headers()?;
    once(&hash(options_and_headers().chain([DNN, BLAS])), |folder| {
        for (name, text) in [("libcudnn.so", DNN), ("libcublasLt.so", BLAS)] {
            finish(start(folder, name, text, &headers)?)?;
            finish(link(folder, name, folder, &[unfinished(name)])?)?;
        }
        Ok(())
    })
}

/// The folder, or none with the reason said where a test has to be skipped.
///
/// # Panics
/// If the libraries can't be built for another reason than the lack of a compiler.
pub fn or_skip(built: Result<PathBuf, Error>) -> Option<PathBuf> {
    match built {
        Ok(folder) => Some(folder),
        Err(Error::NoCompiler) => {
            println!("{}", Error::NoCompiler);
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// This process' first GPU of the libraries in `built`, or none as from [`or_skip`]. One set of libraries a process;
/// there are more GPUs.
///
/// # Panics
/// As [`or_skip`], and if the GPU can't be opened.
pub fn device(built: Result<PathBuf, Error>) -> Option<Cuda> {
    Places { libraries: vec![or_skip(built)?], cache: None }.set();
    Some(Cuda::new(0).unwrap_or_else(|error| panic!("{error}")))
}

fn build(texts: &[(&Source, String)]) -> Result<PathBuf, Error> {
    let headers = headers()?;
    once(&key(texts), |folder| compile(folder, &headers, texts))
}

/// The folder of this name: the one that is there, or else a new one with what `make` puts into it.
fn once(name: &str, make: impl FnOnce(&Path) -> Result<(), Error>) -> Result<PathBuf, Error> {
    let root = root()?;
    fs::create_dir_all(&root)?;
    let folder = root.join(name);
    // Test processes that come at once build it once.
    let lock = File::create(root.join("lock"))?;
    lock.lock()?;
    if folder.exists() {
        return Ok(folder);
    }
    let building = root.join("building");
    let _ = fs::remove_dir_all(&building);
    fs::create_dir_all(&building)?;
    make(&building)?;
    fs::rename(&building, &folder)?;
    Ok(folder)
}

/// Beside the running test's own folder, so that it goes with the rest of what was built.
fn root() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let folder = program.parent().and_then(Path::parent).map_or_else(std::env::temp_dir, Path::to_path_buf);
    Ok(folder.join("emulation"))
}

fn key(texts: &[(&Source, String)]) -> String {
    let own = options_and_headers().chain([FIBERS, DRIVER, COMPILER, NVML, NCCL]);
    hash(own.chain(texts.iter().map(|(_, text)| text.as_str())))
}

/// Builds the libraries. Objects are kept beside them, for whose text is the same next time.
fn compile(folder: &Path, headers: &Path, texts: &[(&Source, String)]) -> Result<(), Error> {
    let objects = folder.parent().unwrap_or(folder).join("objects");
    fs::create_dir_all(&objects)?;
    let mut driver = vec![FIBERS.to_owned(), DRIVER.to_owned(), modules(texts)];
    // The driver finds a module by the text that NVRTC was given, which a changed source's is not.
    let texts: Vec<_> = texts.iter().enumerate().map(|(index, (source, text))| module(index, source, text)).collect();
    driver.extend(texts.chunks(SOURCES_AN_OBJECT).map(<[String]>::concat));
    let texts: Vec<&str> = driver.iter().map(String::as_str).chain([COMPILER, NVML, NCCL]).collect();
    let all: Vec<String> = texts.iter().map(|text| object(text)).collect();
    compile_missing(&objects, headers, &all, &texts)?;
    let (of_driver, others) = all.split_at(driver.len());
    for (name, objects_of_it) in [
        ("libcuda.so", of_driver),
        ("libnvrtc.so", &others[..1]),
        ("libnvidia-ml.so", &others[1..2]),
        ("libnccl.so.2", &others[2..]),
    ] {
        finish(link(folder, name, &objects, objects_of_it)?)?;
    }
    symlink("libcuda.so", folder.join("libcuda.so.1"))?;
    symlink("libnvrtc.so", folder.join("libnvrtc.so.13"))?;
    symlink("libnvidia-ml.so", folder.join("libnvidia-ml.so.1"))?;
    Ok(())
}

/// Compiles what has no object yet, on all cores.
fn compile_missing(objects: &Path, headers: &Path, names: &[String], texts: &[&str]) -> Result<(), Error> {
    let mut missing: Vec<_> = names.iter().zip(texts).filter(|(name, _)| !objects.join(name).exists()).collect();
    // What takes longest comes first, so that no core is left alone with it.
    missing.sort_by_key(|(_, text)| std::cmp::Reverse(text.len()));
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((name, text)) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
            finish(start(objects, name, text, headers)?)?;
            fs::rename(objects.join(unfinished(name)), objects.join(name))?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|cause| panic::resume_unwind(cause)))
    })
}

/// Name of the object that a text is compiled to, with the headers that it includes.
fn object(text: &str) -> String {
    let included = HEADERS.iter().filter(|(name, _)| text.contains(&format!("#include \"{name}\"")));
    format!("{}.o", hash(OPTIONS.into_iter().chain(included.map(|(_, header)| *header)).chain([text])))
}

fn options_and_headers<'a>() -> impl Iterator<Item = &'a str> {
    OPTIONS.into_iter().chain(HEADERS.iter().map(|(_, header)| *header))
}

/// A folder with the headers, and what all kernels begin with compiled beforehand: the compiler takes that instead.
fn headers() -> Result<PathBuf, Error> {
    once(&hash(options_and_headers()), |folder| {
        HEADERS.iter().try_for_each(|(name, header)| fs::write(folder.join(name), header))?;
        let mut command = Command::new("g++");
        command.args(OPTIONS).args(["-x", "c++-header", HEADERS[0].0]);
        finish(spawn(command, folder)?)
    })
}

fn unfinished(object: &str) -> String {
    format!("unfinished-{object}")
}

fn hash<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

/// A module's kernels, in a namespace of its own. What activations are is left as it was, for the next one.
fn module(index: usize, source: &Source, text: &str) -> String {
    let entries: String = source.kernels().map(|name| format!("cuda_on_cpu::entry(\"{name}\", {name}), ")).collect();
    let hash = fnv(&source.text());
    format!(
        "#include \"cuda_on_cpu.h\"\nnamespace m{index} {{\n{text}\n\
         extern const cuda_on_cpu::Module module;\n\
         const cuda_on_cpu::Module module{{\"{hash:016x}\", {{{entries}}}}};\n}}\n#undef BF16_ACTIVATIONS\n"
    )
}

/// The list of all modules.
fn modules(texts: &[(&Source, String)]) -> String {
    let all = 0..texts.len();
    let declared: String =
        all.clone().map(|i| format!("namespace m{i} {{ extern const cuda_on_cpu::Module module; }}\n")).collect();
    let listed: String = all.map(|i| format!("m{i}::module, ")).collect();
    // In one object with the list, the modules may be built after it: so it is made when it is asked for.
    format!(
        "#include \"cuda_on_cpu.h\"\n{declared}namespace cuda_on_cpu {{\n\
         const std::vector<Module>& modules() {{ static const std::vector<Module> all{{{listed}}}; return all; }}\n}}\n"
    )
}

/// As libnvrtc.cpp has it.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

fn start(objects: &Path, object: &str, text: &str, headers: &Path) -> Result<Child, Error> {
    let source = format!("{object}.cpp");
    fs::write(objects.join(&source), text)?;
    let mut command = Command::new("g++");
    command.args(OPTIONS).args(["-c", &source, "-o", &unfinished(object)]);
    command.arg("-I").arg(headers);
    spawn(command, objects)
}

fn link(folder: &Path, name: &str, objects: &Path, names: &[String]) -> Result<Child, Error> {
    let mut command = Command::new("g++");
    // The name under which cudarc asks for it first: the linker then gives it the one that is open.
    command.args(["-shared", &format!("-Wl,-soname,{name}"), "-o", name]);
    command.args(names.iter().map(|object| objects.join(object)));
    spawn(command, folder)
}

fn spawn(mut command: Command, folder: &Path) -> Result<Child, Error> {
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::NoCompiler,
        _ => error.into(),
    })
}

fn finish(child: Child) -> Result<(), Error> {
    let output = child.wait_with_output()?;
    if output.status.success() {
        Ok(())
    } else {
        Err(Error::Compilation(String::from_utf8_lossy(&output.stderr).into()))
    }
}
