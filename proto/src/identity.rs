//! Who and when: job and worker ids, ranks, generations.

use std::fmt;

use crate::wire;

/// A malformed message: what was wrong with it.
#[derive(Debug, thiserror::Error)]
#[error("malformed message: {0}")]
pub struct Malformed(pub String);

/// Bounds of text ids on the wire.
const MAX_ID: usize = 64;

fn checked_id(what: &str, text: String) -> Result<String, Malformed> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.';
    if text.is_empty() || text.len() > MAX_ID || !text.chars().all(plain) {
        return Err(Malformed(format!("{what} is not 1 to {MAX_ID} plain characters")));
    }
    Ok(text)
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = Malformed;
            fn try_from(text: String) -> Result<Self, Malformed> {
                checked_id($what, text).map(Self)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = Malformed;
            fn try_from(text: &str) -> Result<Self, Malformed> {
                checked_id($what, text.to_owned()).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(
    /// A job's id, unique in one coordinator's state.
    JobId, "job id"
);
text_id!(
    /// A worker process' id, unique in one coordinator's state.
    WorkerId, "worker id"
);
text_id!(
    /// A node's id: drawn anew by each agent.
    NodeId, "node id"
);

/// One membership of a job: a number that grows, plus a random id that tells two memberships of one number apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Generation {
    /// Grows with every membership of a job, from 1.
    pub number: u64,
    /// Random.
    pub id: [u8; 16],
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number)
    }
}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "generation {}-{:02x}{:02x}", self.number, self.id[0], self.id[1])
    }
}

impl From<Generation> for wire::GenerationId {
    fn from(generation: Generation) -> Self {
        Self { number: generation.number, id: generation.id.to_vec() }
    }
}

impl TryFrom<Option<wire::GenerationId>> for Generation {
    type Error = Malformed;
    fn try_from(message: Option<wire::GenerationId>) -> Result<Self, Malformed> {
        let message = message.ok_or_else(|| Malformed("no generation".into()))?;
        let id = message.id.try_into().map_err(|_| Malformed("a generation's id is not 16 bytes".into()))?;
        Ok(Self { number: message.number, id })
    }
}
