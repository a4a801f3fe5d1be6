//! From a kernel's source to machine code: NVRTC, and a folder that keeps what was compiled.

use std::ffi::{CString, c_char, c_int};
use std::io::Write;
use std::path::Path;

use cudarc::nvrtc::result::{NvrtcError, compile_program, create_program, destroy_program, get_program_log};
use cudarc::nvrtc::sys;

use super::sources::Source;
use super::{CudaError, libraries, places};

/// Oldest version, as for the driver.
const LEAST: (i32, i32) = (12, 4);

/// What code is for: a compute capability such as 9.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Architecture {
    /// Compute capability.
    pub major: i32,
    /// The same.
    pub minor: i32,
}

impl std::fmt::Display for Architecture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "sm_{}{}", self.major, self.minor)
    }
}

/// Machine code and what the assembler says of it.
pub struct Compiled {
    /// For the driver to load.
    pub image: Vec<u8>,
    /// Registers, spills and shared memory of each kernel, as `ptxas -v` has them.
    pub log: String,
}

/// Machine code of a source, from the folder or else compiled and put there.
pub(super) fn code(source: &Source, architecture: Architecture) -> Result<Vec<u8>, CudaError> {
    libraries::compiler()?;
    let text = source.text();
    let name = format!("{}.cubin", key(&text, architecture, version()?));
    let file = places::current().cache.as_ref().map(|folder| folder.join(name));
    if let Some(image) = file.as_deref().and_then(read) {
        return Ok(image);
    }
    let image = compile(source, architecture)?.image;
    // A folder that can't be written costs time at the next start and nothing else.
    let _ = file.map(|file| write(&file, &image));
    Ok(image)
}

/// Compiles a source. Sums and products are rounded one by one unless a kernel says `fmaf`; divisions and roots are
/// exact and small numbers kept, as on the CPU.
///
/// # Errors
/// No compiler, one that does not know the architecture, or a source that is not accepted.
pub fn compile(source: &Source, architecture: Architecture) -> Result<Compiled, CudaError> {
    libraries::compiler()?;
    let program = Program::new(source)?;
    let options = options(architecture);
    // SAFETY: the program is alive.
    let compiled = unsafe { compile_program(program.0, &options) };
    let log = program.log();
    match compiled {
        Ok(()) => Ok(Compiled { image: program.image()?, log }),
        Err(NvrtcError(sys::nvrtcResult::NVRTC_ERROR_INVALID_OPTION)) => {
            let (major, minor) = version()?;
            Err(CudaError::OldCompiler { major, minor, architecture: architecture.to_string() })
        }
        Err(_) => Err(CudaError::Compilation { file: source.file, architecture: architecture.to_string(), log }),
    }
}

fn options(architecture: Architecture) -> [String; 7] {
    [
        format!("--gpu-architecture={architecture}"),
        "--std=c++17".into(),
        "--fmad=false".into(),
        "--ftz=false".into(),
        "--prec-div=true".into(),
        "--prec-sqrt=true".into(),
        "--ptxas-options=-v".into(),
    ]
}

/// Version of the compiler, major and minor.
///
/// # Errors
/// If there is none, or one that is too old.
pub fn version() -> Result<(i32, i32), CudaError> {
    libraries::compiler()?;
    let (mut major, mut minor) = (0, 0);
    // SAFETY: both point to integers that the call overwrites.
    unsafe { sys::nvrtcVersion(&mut major, &mut minor) }.result().map_err(|error| failed("nvrtcVersion", error))?;
    if (major, minor) < LEAST { Err(CudaError::OtherCompiler { major, minor }) } else { Ok((major, minor)) }
}

struct Program(sys::nvrtcProgram);

impl Program {
    fn new(source: &Source) -> Result<Self, CudaError> {
        let words = |text: &str| {
            CString::new(text).map_err(|_| CudaError::Call {
                call: "nvrtcCreateProgram",
                text: format!("{} holds a byte 0", source.file),
            })
        };
        // NVRTC keeps copies of both strings.
        create_program(&words(&source.text())?, Some(&words(source.file)?))
            .map(Self)
            .map_err(|error| failed("nvrtcCreateProgram", error))
    }

    fn log(&self) -> String {
        // SAFETY: the program is alive.
        let log = unsafe { get_program_log(self.0) }.unwrap_or_default();
        let bytes: Vec<u8> = log.into_iter().map(|byte| byte as u8).take_while(|byte| *byte != 0).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn image(&self) -> Result<Vec<u8>, CudaError> {
        let mut bytes = 0;
        // SAFETY: the program is alive, and `bytes` an integer that the call overwrites.
        unsafe { sys::nvrtcGetCUBINSize(self.0, &mut bytes) }
            .result()
            .map_err(|error| failed("nvrtcGetCUBINSize", error))?;
        let mut image = vec![0u8; bytes];
        // SAFETY: the program is alive and the image as long as it has just said.
        unsafe { sys::nvrtcGetCUBIN(self.0, image.as_mut_ptr().cast::<c_char>()) }
            .result()
            .map_err(|error| failed("nvrtcGetCUBIN", error))?;
        Ok(image)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: the program is alive and used no more.
        let _ = unsafe { destroy_program(self.0) };
    }
}

fn failed(call: &'static str, NvrtcError(code): NvrtcError) -> CudaError {
    CudaError::Call { call, text: format!("{code:?}") }
}

/// A name for what a text compiles to.
fn key(text: &str, architecture: Architecture, (major, minor): (c_int, c_int)) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in options(architecture).iter().map(String::as_str).chain([text]) {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    hasher.update(&major.to_le_bytes()).update(&minor.to_le_bytes());
    hasher.finalize().to_hex()[..32].to_owned()
}

/// Bytes of a hash in front of the image.
const HASH: usize = 32;
/// More than any image has.
const MOST: u64 = 64 << 20;

/// What was kept, if it is whole.
fn read(file: &Path) -> Option<Vec<u8>> {
    if std::fs::metadata(file).ok()?.len() > MOST {
        return None;
    }
    let bytes = std::fs::read(file).ok()?;
    let (hash, image) = bytes.split_at_checked(HASH)?;
    (blake3::hash(image).as_bytes() == hash).then(|| image.to_vec())
}

/// Whole or not at all, also beside other processes that write the same.
fn write(file: &Path, image: &[u8]) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let temporary = file.with_extension(format!("{}.tmp", std::process::id()));
    let mut out = std::fs::File::create(&temporary)?;
    out.write_all(blake3::hash(image).as_bytes())?;
    out.write_all(image)?;
    std::fs::rename(&temporary, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_read_only_if_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("deeper/a.cubin");
        assert_eq!(read(&file), None);
        write(&file, b"code").expect("written");
        assert_eq!(read(&file).as_deref(), Some(&b"code"[..]));
        let mut bytes = std::fs::read(&file).expect("read");
        bytes[HASH] ^= 1;
        std::fs::write(&file, &bytes).expect("written");
        assert_eq!(read(&file), None, "damaged");
        std::fs::write(&file, &bytes[..HASH - 1]).expect("written");
        assert_eq!(read(&file), None, "cut");
    }

    #[test]
    fn another_text_architecture_or_compiler_has_another_name() {
        let hopper = Architecture { major: 9, minor: 0 };
        let first = key("text", hopper, (13, 0));
        assert_eq!(first, key("text", hopper, (13, 0)));
        assert_ne!(first, key("tex", hopper, (13, 0)));
        assert_ne!(first, key("text", Architecture { major: 8, minor: 0 }, (13, 0)));
        assert_ne!(first, key("text", hopper, (13, 1)));
    }
}
