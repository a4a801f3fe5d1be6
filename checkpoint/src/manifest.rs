//! `checkpoint.json`: what state lies beside it, sealed so that any change shows.
//!
//! `{"version":1,"seal":"…","content":{"state":{"bytes":…,"blake3":"…"},"about":{…}}}`. The seal is the BLAKE3 of the
//! version in decimal, a line feed and the content's text as it stands. Later versions keep `version` and `seal` as
//! they are, so that a newer checkpoint is told from a damaged one.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::About;

/// Of the format, as written by this program.
pub(crate) const VERSION: u64 = 1;

/// Largest manifest that is believed; ledgers of long jobs take a few hundred kilobytes.
pub(crate) const MANIFEST_BYTES: u64 = 64 << 20;

#[derive(Deserialize)]
struct Envelope<'a> {
    version: u64,
    seal: String,
    #[serde(borrow)]
    content: &'a RawValue,
}

/// All that the manifest says.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// Of `state.safetensors`.
    pub state: FileSeal,
    /// What state it is.
    pub about: About,
}

/// Size and hash of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileSeal {
    pub bytes: u64,
    pub blake3: String,
}

/// Why a manifest was not believed.
#[derive(Debug, PartialEq)]
pub(crate) enum Refused {
    /// Written by a newer program.
    Newer(u64),
    /// Not as it was written.
    Damaged(String),
}

impl Manifest {
    /// The file's text.
    ///
    /// # Errors
    /// If it would be too long to be read back.
    pub fn encode(&self) -> Result<String, String> {
        let content = serde_json::to_string(self).map_err(|error| error.to_string())?;
        let text =
            format!("{{\"version\":{VERSION},\"seal\":\"{}\",\"content\":{content}}}\n", seal(VERSION, &content));
        if text.len() as u64 > MANIFEST_BYTES {
            return Err(format!("its manifest has {} bytes, more than {MANIFEST_BYTES}", text.len()));
        }
        Ok(text)
    }

    /// The manifest of a text that came from a disk.
    pub fn decode(text: &[u8]) -> Result<Self, Refused> {
        let damaged = |error: serde_json::Error| Refused::Damaged(format!("checkpoint.json: {error}"));
        let envelope: Envelope = serde_json::from_slice(text).map_err(damaged)?;
        if envelope.seal != seal(envelope.version, envelope.content.get()) {
            return Err(Refused::Damaged("checkpoint.json is not as it was written".into()));
        }
        if envelope.version > VERSION {
            return Err(Refused::Newer(envelope.version));
        }
        let manifest: Self = serde_json::from_str(envelope.content.get()).map_err(damaged)?;
        match manifest.about.flaw() {
            Some(flaw) => Err(Refused::Damaged(flaw.into())),
            None => Ok(manifest),
        }
    }
}

fn seal(version: u64, content: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(format!("{version}\n").as_bytes());
    hasher.update(content.as_bytes());
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let about = About { step: 100, samples: u64::MAX, job: "a\"b".into(), ..About::default() };
        Manifest { state: FileSeal { bytes: 7, blake3: "00".into() }, about }
    }

    #[test]
    fn what_was_written_is_read() {
        assert_eq!(Manifest::decode(manifest().encode().unwrap().as_bytes()), Ok(manifest()));
    }

    #[test]
    fn a_changed_version_is_damage_and_a_sealed_one_is_newer() {
        let text = manifest().encode().unwrap().replace("{\"version\":1,", "{\"version\":2,");
        assert!(matches!(Manifest::decode(text.as_bytes()), Err(Refused::Damaged(_))));
        let content = "{\"what\":\"nobody knows yet\"}";
        let text = format!("{{\"more\":0,\"version\":2,\"seal\":\"{}\",\"content\":{content}}}", seal(2, content));
        assert_eq!(Manifest::decode(text.as_bytes()), Err(Refused::Newer(2)));
    }

    #[test]
    fn an_impossible_ledger_is_refused_though_sealed() {
        let mut manifest = manifest();
        let row = r#"[{"epoch":0,"from":0,"to":4,"first_step":1,"steps":1,"generation":1,"samples":4,"hashes":0}]"#;
        manifest.about.ledger = serde_json::from_str(row).unwrap();
        let text = manifest.encode().unwrap();
        assert_eq!(Manifest::decode(text.as_bytes()), Err(Refused::Damaged("its ledger has a gap".into())));
    }

    #[test]
    fn plans_are_there_where_there_are_any_and_checked() {
        assert!(!manifest().encode().unwrap().contains("plans"));
        let mut manifest = manifest();
        let plan = r#"{"work":"a","text":"cuDNN 9.21.1, engine 2, knobs"}"#;
        manifest.about.plans = serde_json::from_str(&format!("[{plan}]")).unwrap();
        assert_eq!(Manifest::decode(manifest.encode().unwrap().as_bytes()).as_ref(), Ok(&manifest));
        let twice = serde_json::to_string(&manifest).unwrap().replace(plan, &format!("{plan},{plan}"));
        let text = format!("{{\"version\":1,\"seal\":\"{}\",\"content\":{twice}}}", seal(1, &twice));
        let refused = Manifest::decode(text.as_bytes());
        assert!(
            matches!(&refused, Err(Refused::Damaged(why)) if why.contains("plan 1 is out of order")),
            "{refused:?}"
        );
    }

    #[test]
    fn no_sealed_text_makes_it_panic() {
        let mut manifest = manifest();
        manifest.about.plans = serde_json::from_str(r#"[{"work":"a","text":"b"}]"#).unwrap();
        let row = r#"[{"epoch":0,"from":0,"to":4,"first_step":0,"steps":1,"generation":1,"samples":4,"hashes":0}]"#;
        manifest.about.ledger = serde_json::from_str(row).unwrap();
        let content = serde_json::to_string(&manifest).unwrap();
        for byte in 0..content.len() {
            for letter in ["", "9", "99999999999999999999", "-", "{", "]", "\"", "é"] {
                let content = format!("{}{letter}{}", &content[..byte], &content[byte + 1..]);
                let text = format!("{{\"version\":1,\"seal\":\"{}\",\"content\":{content}}}", seal(1, &content));
                if let Ok(read) = Manifest::decode(text.as_bytes()) {
                    assert!(read.about.ledger.steps() <= read.about.step);
                }
            }
        }
    }
}
