//! Datasets by name: a job says which it wants, a node where it has that.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use lockstep_proto::job::Data;

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

/// Has a job's data be in the node's folder, if it has one of the job's name; the last of several counts.
///
/// # Errors
/// In words, if the job says nothing but a name that the node doesn't know.
pub fn find(data: &mut Data, folders: &[NamedFolder]) -> Result<(), String> {
    let known = folders.iter().rev().find(|folder| !data.name.is_empty() && folder.name == data.name);
    match known {
        Some(NamedFolder { folder, .. }) => data.path.clone_from(folder),
        None if data.path.as_os_str().is_empty() => {
            return Err(format!(
                "data.name = {:?}: this node has no such dataset: start its agent with --data {}=DIR, or set data.path",
                data.name, data.name
            ));
        }
        None => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nodes_own_folder_goes_before_the_jobs_path() {
        let folders = ["digits=/d", "pictures=/p", "digits=/e=f"].map(|text| text.parse::<NamedFolder>().unwrap());
        let found = |name: &str, path: &str| {
            let mut data = Data { name: name.to_owned(), path: path.into(), ..Data::default() };
            find(&mut data, &folders).map(|()| data.path.display().to_string())
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
