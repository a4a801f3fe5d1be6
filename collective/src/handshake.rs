//! Mutual challenge–response: both ends of a connection show that they know the generation's secret.
//!
//! ```text
//! connecting → accepting   hello: magic, role, generation, id, both ranks, nonce
//! accepting → connecting   reply: nonce, proof
//! connecting → accepting   proof
//! accepting → connecting   one byte: taken (on a Unix socket with the shared memory's descriptor)
//! ```
//! A proof is a BLAKE3 hash keyed with the secret over who proves, everything in the hello, the digest of the
//! membership and shape, and both nonces; so a recorded one is of no use later, nor one end's for the other.

use crate::membership::{Membership, Shape};

const MAGIC: &[u8; 8] = b"lockstp1";

/// Bytes of the messages.
pub(crate) const HELLO: usize = 8 + 8 + 8 + 16 + 4 + 4 + NONCE;
pub(crate) const REPLY: usize = NONCE + PROOF;
pub(crate) const PROOF: usize = 32;
pub(crate) const NONCE: usize = 32;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Data between the first workers of two nodes.
    Tcp = 1,
    /// Passing shared memory within a node.
    Unix = 2,
}

/// Which end proves.
#[derive(Clone, Copy)]
pub(crate) enum Side {
    Accepting = 1,
    Connecting = 2,
}

/// First message of the connecting end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub role: Role,
    pub generation: u64,
    pub generation_id: [u8; 16],
    pub from: u32,
    pub to: u32,
    pub nonce: [u8; NONCE],
}

impl Hello {
    pub(crate) fn encode(&self) -> [u8; HELLO] {
        let mut bytes = [0; HELLO];
        let mut at = 0;
        let mut put = |part: &[u8]| {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        };
        put(MAGIC);
        put(&(self.role as u64).to_le_bytes());
        put(&self.generation.to_le_bytes());
        put(&self.generation_id);
        put(&self.from.to_le_bytes());
        put(&self.to.to_le_bytes());
        put(&self.nonce);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; HELLO]) -> Option<Self> {
        let mut rest = &bytes[..];
        if take(&mut rest) != *MAGIC {
            return None;
        }
        let role = match u64::from_le_bytes(take(&mut rest)) {
            1 => Role::Tcp,
            2 => Role::Unix,
            _ => return None,
        };
        Some(Self {
            role,
            generation: u64::from_le_bytes(take(&mut rest)),
            generation_id: take(&mut rest),
            from: u32::from_le_bytes(take(&mut rest)),
            to: u32::from_le_bytes(take(&mut rest)),
            nonce: take(&mut rest),
        })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (part, after) = rest.split_first_chunk().expect("the message's length is the sum of its parts");
    *rest = after;
    *part
}

/// What members of a generation have in common.
pub(crate) struct Keys {
    secret: [u8; 32],
    digest: [u8; 32],
}

impl Keys {
    pub(crate) fn new(membership: &Membership, shape: &Shape) -> Self {
        let mut hasher = blake3::Hasher::new();
        let mut put = |number: u64| {
            hasher.update(&number.to_le_bytes());
        };
        [shape.parameters, shape.sums, shape.counts].iter().for_each(|&number| put(number as u64));
        put(u64::from(shape.max_lanes));
        for member in &membership.members {
            let text =
                format!("{}\n{}\n{}\n{}\n{}", member.node, member.tcp, member.unix, member.share, member.threads);
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        Self { secret: membership.secret, digest: *hasher.finalize().as_bytes() }
    }

    /// The proof that `side` sends in the conversation that began with `hello`.
    pub(crate) fn proof(&self, side: Side, hello: &Hello, nonce: &[u8; NONCE]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.secret);
        hasher.update(&[side as u8]).update(&hello.encode()).update(&self.digest).update(nonce);
        hasher.finalize()
    }

    /// Whether `proof` is what `side` had to send. Takes the same time wherever it differs.
    pub(crate) fn proves(&self, proof: &[u8; PROOF], side: Side, hello: &Hello, nonce: &[u8; NONCE]) -> bool {
        self.proof(side, hello, nonce) == blake3::Hash::from_bytes(*proof)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(secret: u8, parameters: usize) -> Keys {
        let membership =
            Membership { generation: 3, generation_id: [1; 16], secret: [secret; 32], rank: 0, members: Vec::new() };
        Keys::new(&membership, &Shape { parameters, sums: 1, counts: 1, max_lanes: 4 })
    }

    fn hello() -> Hello {
        Hello { role: Role::Tcp, generation: 3, generation_id: [1; 16], from: 2, to: 0, nonce: [9; NONCE] }
    }

    #[test]
    fn a_hello_survives_its_bytes_and_garbage_is_none() {
        assert_eq!(Hello::decode(&hello().encode()), Some(hello()));
        assert_eq!(Hello::decode(&[0; HELLO]), None);
    }

    #[test]
    fn a_proof_holds_for_its_secret_side_ranks_nonces_and_shape_only() {
        let proof = *keys(5, 10).proof(Side::Connecting, &hello(), &[7; NONCE]).as_bytes();
        let holds = |keys: Keys, side, hello: Hello, nonce| keys.proves(&proof, side, &hello, &[nonce; NONCE]);
        assert!(holds(keys(5, 10), Side::Connecting, hello(), 7));
        assert!(!holds(keys(6, 10), Side::Connecting, hello(), 7));
        assert!(!holds(keys(5, 11), Side::Connecting, hello(), 7));
        assert!(!holds(keys(5, 10), Side::Accepting, hello(), 7));
        assert!(!holds(keys(5, 10), Side::Connecting, Hello { from: 1, ..hello() }, 7));
        assert!(!holds(keys(5, 10), Side::Connecting, Hello { nonce: [8; NONCE], ..hello() }, 7));
        assert!(!holds(keys(5, 10), Side::Connecting, hello(), 8));
    }
}
