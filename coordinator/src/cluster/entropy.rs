//! Randomness for decisions that must be pure: a keyed hash in counter mode, seeded once from outside.
//!
//! The same seed and the same events give the same ids and secrets, so a simulated history replays to the same
//! trace; with a seed from the operating system they can't be guessed.

use lockstep_proto::identity::Generation;

/// Alphabet of job ids: lower-case base 32 in ASCII order (so ids sort by time), without i, l, o and u.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Job ids count seconds from 2025-01-01.
const ID_EPOCH_SECONDS: u64 = 1_735_689_600;
/// Characters of a job id that tell its second: enough for 34 years.
const ID_TIME_CHARACTERS: u32 = 6;
/// Random characters behind them.
const ID_RANDOM_CHARACTERS: u32 = 2;

/// A stream of random bytes that depends on its seed alone.
pub struct Entropy {
    key: [u8; 32],
    drawn: u64,
}

impl Entropy {
    /// A stream from a seed.
    pub fn new(seed: [u8; 32]) -> Self {
        Self { key: seed, drawn: 0 }
    }

    fn draw<const N: usize>(&mut self) -> [u8; N] {
        self.drawn += 1;
        let mut bytes = [0; N];
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&self.drawn.to_le_bytes());
        hasher.finalize_xof().fill(&mut bytes);
        bytes
    }

    /// The generation of this number.
    pub fn generation(&mut self, number: u64) -> Generation {
        Generation { number, id: self.draw() }
    }

    /// Five random characters, for names that nobody has used.
    pub fn word(&mut self) -> String {
        let random: [u8; 5] = self.draw();
        random.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect()
    }

    /// A key for a generation's data plane.
    pub fn secret(&mut self) -> [u8; 32] {
        self.draw()
    }

    /// Text of a job id for a job submitted at this second: sorts by time, eight characters.
    pub fn job_id(&mut self, seconds: u64) -> String {
        let random: [u8; 8] = self.draw();
        let digits = |value: u64, count: u32| {
            (0..count).rev().map(move |i| char::from(ALPHABET[(value >> (5 * i) & 31) as usize]))
        };
        digits(seconds.saturating_sub(ID_EPOCH_SECONDS), ID_TIME_CHARACTERS)
            .chain(digits(u64::from_le_bytes(random), ID_RANDOM_CHARACTERS))
            .collect()
    }
}
