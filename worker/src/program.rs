//! Which program this is: the hash of its file. A node runs many short-lived workers of one program of tens of megabytes,
//! so the agent tells each what it found itself; a worker whose file is another one, such as that of an update, looks anew.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::str::FromStr;
use std::sync::OnceLock;

/// The file that this process was started from, whatever has become of its name since.
const OWN_FILE: &str = "/proc/self/exe";
/// Hexadecimal digits of a hash that are told.
const DIGITS: usize = 16;

/// A program's file, and the first digits of its BLAKE3: `DEVICE:INODE:BYTES:SECONDS.NANOSECONDS=HASH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Device, inode, size and time of the last change: another file, or a changed one, differs in one of them.
    file: String,
    hash: String,
}

static PROGRAM: OnceLock<Program> = OnceLock::new();

impl Program {
    /// This process's own. Reads its file, the first time.
    ///
    /// # Errors
    /// If the file can't be read.
    pub fn own() -> io::Result<&'static Self> {
        match PROGRAM.get() {
            Some(known) => Ok(known),
            None => {
                let read = Self::read()?;
                Ok(PROGRAM.get_or_init(|| read))
            }
        }
    }

    /// This process's own, if it was read, or told, before.
    pub fn known() -> Option<&'static Self> {
        PROGRAM.get()
    }

    /// Takes another process's word, if that is of the file that this process was started from.
    pub fn told(self) {
        if self.is_own() {
            // What is known already is the same.
            let _ = PROGRAM.set(self);
        }
    }

    /// The first digits of the file's BLAKE3.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Whether it is of the file that this process was started from.
    fn is_own(&self) -> bool {
        File::open(OWN_FILE).and_then(|file| file_of(&file)).is_ok_and(|file| file == self.file)
    }

    fn read() -> io::Result<Self> {
        let file = File::open(OWN_FILE)?;
        let of = file_of(&file)?;
        let mut hasher = blake3::Hasher::new();
        // By parcels: memory for all of it would take longer than the hash.
        let hash = hasher.update_reader(file)?.finalize().to_hex()[..DIGITS].to_owned();
        Ok(Self { file: of, hash })
    }
}

fn file_of(file: &File) -> io::Result<String> {
    let about = file.metadata()?;
    let (seconds, nanoseconds) = (about.ctime(), about.ctime_nsec());
    Ok(format!("{}:{}:{}:{seconds}.{nanoseconds}", about.dev(), about.ino(), about.size()))
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.file, self.hash)
    }
}

impl FromStr for Program {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_hash = |hash: &str| hash.len() == DIGITS && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        match text.split_once('=') {
            Some((file, hash)) if !file.is_empty() && is_hash(hash) => {
                Ok(Self { file: file.to_owned(), hash: hash.to_owned() })
            }
            _ => Err("is not a program's file and hash".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_processs_word_counts_for_the_same_file_alone() {
        let read = Program::read().unwrap();
        let digits = read.hash().to_owned();
        assert_eq!(read.to_string().parse(), Ok(read.clone()));
        let wrong = Program { file: format!("{}0", read.file), hash: "0123456789abcdef".into() };
        assert!(read.is_own() && !wrong.is_own());
        // Whatever other tests have asked before.
        wrong.told();
        assert_ne!(Program::known().map(Program::hash), Some("0123456789abcdef"));
        read.told();
        assert_eq!(Program::known().map(Program::hash), Some(digits.as_str()));
        assert_eq!(Program::own().unwrap().hash(), digits);
        for wrong in ["", "1:2:3:4.5", "=0123456789abcdef", "1:2:3:4.5=0123", "1:2:3:4.5=0123456789abcdeg"] {
            assert!(wrong.parse::<Program>().is_err(), "{wrong}");
        }
    }
}
