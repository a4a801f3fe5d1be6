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

/// Opens a job's data: in the node's own folder if it has one of the job's name, of which the last counts.
///
/// # Errors
/// If the job says nothing but a name that the node doesn't know, or the data can't be used.
pub fn open(data: &Data, folders: &[NamedFolder]) -> Result<Dataset, TrainerError> {
    let path = path(data, folders).map_err(TrainerError::Job)?.to_owned();
    Ok(Dataset::open(&Data { path, ..data.clone() })?)
}

fn path<'a>(data: &'a Data, folders: &'a [NamedFolder]) -> Result<&'a Path, String> {
    let known = folders.iter().rev().find(|folder| !data.name.is_empty() && folder.name == data.name);
    match known {
        Some(NamedFolder { folder, .. }) => Ok(folder),
        None if data.path.as_os_str().is_empty() => Err(format!(
            "data.name = {:?}: this node has no such dataset: start its agent with --data {}=DIR, or set data.path",
            data.name, data.name
        )),
        None => Ok(&data.path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nodes_own_folder_goes_before_the_jobs_path() {
        let folders = ["digits=/d", "pictures=/p", "digits=/e=f"].map(|text| text.parse::<NamedFolder>().unwrap());
        let found = |name: &str, path: &str| {
            let data = Data { name: name.to_owned(), path: path.into(), ..Data::default() };
            super::path(&data, &folders).map(|path| path.display().to_string())
        };
        assert_eq!(found("digits", "/x").as_deref(), Ok("/e=f"));
        assert_eq!(found("pictures", "").as_deref(), Ok("/p"));
        assert_eq!(found("other", "/x").as_deref(), Ok("/x"));
        assert_eq!(found("", "/x").as_deref(), Ok("/x"));
        assert!(found("other", "").unwrap_err().contains("--data other=DIR"));
        for wrong in ["", "digits", "=/d", "digits="] {
            assert!(wrong.parse::<NamedFolder>().is_err(), "{wrong}");
        }
    }
}
