//! WebDataset tars: consecutive members whose names are the same up to the first dot form a sample.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::super::PrepareError;
use super::super::record::{Source, Stored};
use super::folder::{image_length, is_image};
use super::{MAX_LABELS, Problem, Sink, SourceError, open};
use crate::tar::{Member, members};

/// A class's number takes far less.
const MAX_LABEL_BYTES: u64 = 64;

/// A sample of which some members have come.
#[derive(Debug, Default)]
struct Sample {
    key: String,
    image: Option<Member>,
    label: Option<(Member, u32)>,
}

/// All samples, in their order. Members of other kinds (`.json`, `.txt`) are not looked at.
pub(super) fn collect(path: &Path, sink: &mut Sink<'_>) -> Result<(), PrepareError> {
    let (file, _) = open(path, sink)?;
    let (state, mut keys) = (RandomState::new(), HashSet::new());
    let mut sample = Sample::default();
    members::<PrepareError>(path, |member| {
        let Some((key, extension)) = split(&member.name) else { return Ok(()) };
        if key != sample.key {
            let key = key.to_owned();
            std::mem::take(&mut sample).push(path, sink)?;
            if !keys.insert(state.hash_one(&key)) {
                return Err(wrong(path, &member, Problem::Key).into());
            }
            sample.key = key;
        }
        if is_image(extension) {
            image_length(member.length).map_err(|problem| wrong(path, &member, problem))?;
            match &sample.image {
                Some(_) => return Err(wrong(path, &member, Problem::Twice).into()),
                None => sample.image = Some(member),
            }
        } else if extension == "cls" {
            let label = read_label(&file, &member).map_err(|problem| wrong(path, &member, problem))?;
            match &sample.label {
                Some(_) => return Err(wrong(path, &member, Problem::Twice).into()),
                None => sample.label = Some((member, label)),
            }
        }
        Ok(())
    })?;
    sample.push(path, sink)
}

impl Sample {
    fn push(self, path: &Path, sink: &mut Sink<'_>) -> Result<(), PrepareError> {
        match (self.image, self.label) {
            (Some(image), Some((_, label))) => sink.push(&Source {
                path: path.to_owned(),
                offset: image.offset,
                // At most the largest image's, or it would have been refused.
                length: image.length as u32,
                label,
                stored: Stored::Encoded,
            }),
            (Some(image), None) => Err(wrong(path, &image, Problem::WithoutLabel).into()),
            (None, Some((label, _))) => Err(wrong(path, &label, Problem::WithoutImage).into()),
            (None, None) => Ok(()),
        }
    }
}

/// Key and extension: cut at the first dot behind the folders. None where WebDataset's own reader sees no sample.
fn split(name: &str) -> Option<(&str, &str)> {
    let folders = name.rfind('/').map_or(0, |slash| slash + 1);
    let dot = folders + name[folders..].find('.')?;
    (dot > folders).then(|| (&name[..dot], &name[dot + 1..]))
}

fn read_label(file: &std::fs::File, member: &Member) -> Result<u32, Problem> {
    let mut text = vec![0; member.length.min(MAX_LABEL_BYTES) as usize];
    let read = file.read_exact_at(&mut text, member.offset);
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    let label = (read.is_ok() && member.length <= MAX_LABEL_BYTES).then(|| text.parse().ok()).flatten();
    label.filter(|label| *label < MAX_LABELS).ok_or(Problem::NoLabel(text))
}

fn wrong(path: &Path, member: &Member, problem: Problem) -> SourceError {
    SourceError::Member { path: path.to_owned(), member: member.name.clone(), offset: member.offset, problem }
}
