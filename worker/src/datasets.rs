//! Datasets by name: a job says which it wants, a node where it has that.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use lockstep_dataset::Dataset;
use lockstep_proto::job::Data;

use crate::trainer::TrainerError;

/// A node's own folder of a dataset: `NAME=DIR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFolder {
    name: String,
    folder: PathBuf,
}

impl FromStr for NamedFolder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, folder)) if !name.is_empty() && !folder.is_empty() => {
                Ok(Self { name: name.to_owned(), folder: folder.into() })
            }
            _ => Err("is not NAME=DIR, such as imagenet=/datasets/imagenet".to_owned()),
        }
    }
}

impl fmt::Display for NamedFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.folder.display())
    }
}

/// Opens a job's data: in the node's own folder if it has one of the job's name.
///
/// # Errors
/// If the job says nothing but a name that the node doesn't know, or the data can't be used.
pub fn open(data: &Data, folders: &[NamedFolder]) -> Result<Dataset, TrainerError> {
    let unknown = || {
        TrainerError::Job(format!(
            "data.name = {:?}: this node has no such dataset: start its agent with --data {}=DIR, or set data.path",
            data.name, data.name
        ))
    };
    let path = folder(data, folders).ok_or_else(unknown)?.to_owned();
    Ok(Dataset::open(&Data { path, ..data.clone() })?)
}

/// Where a job's data are: in the folder of the job's name, of which the last counts, else where the job says; nowhere if it
/// says nothing but a name that is not known.
pub fn folder<'a>(data: &'a Data, folders: &'a [NamedFolder]) -> Option<&'a Path> {
    let known = folders.iter().rev().find(|folder| !data.name.is_empty() && folder.name == data.name);
    let said = (!data.path.as_os_str().is_empty()).then_some(data.path.as_path());
    known.map(|known| known.folder.as_path()).or(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nodes_own_folder_goes_before_the_jobs_path() {
        let folders = ["digits=/d", "pictures=/p", "digits=/e=f"].map(|text| text.parse::<NamedFolder>().unwrap());
        let found = |name: &str, path: &str| {
            let data = Data { name: name.to_owned(), path: path.into(), ..Data::default() };
            folder(&data, &folders).map(|path| path.display().to_string())
        };
        assert_eq!(found("digits", "/x").as_deref(), Some("/e=f"));
        assert_eq!(found("pictures", "").as_deref(), Some("/p"));
        assert_eq!(found("other", "/x").as_deref(), Some("/x"));
        assert_eq!(found("", "/x").as_deref(), Some("/x"));
        assert_eq!(found("other", ""), None);
        let unknown = Data { name: "other".to_owned(), ..Data::default() };
        assert!(open(&unknown, &folders).err().unwrap().to_string().contains("--data other=DIR"));
        for wrong in ["", "digits", "=/d", "digits="] {
            assert!(wrong.parse::<NamedFolder>().is_err(), "{wrong}");
        }
    }
}
