//! Folders of images, one for each class, as torchvision's `ImageFolder` has them.

use std::fs;
use std::path::Path;

use super::super::PrepareError;
use super::super::record::{Source, Stored};
use super::{Problem, Sink, SourceError, listed, notice};

/// As large as an image may be, encoded. The largest of ImageNet's has 15 MB.
pub(super) const MAX_IMAGE: u64 = 1 << 28;
const MAX_DEPTH: u32 = 16;

/// Names of its folders.
pub(super) fn classes(folder: &Path) -> Result<Vec<String>, SourceError> {
    let classes: Vec<String> = listed(folder)?.into_iter().filter(|name| folder.join(name).is_dir()).collect();
    match classes.is_empty() {
        true => Err(SourceError::of(folder, Problem::NoClasses)),
        false => Ok(classes),
    }
}

/// All images, class by class.
pub(super) fn collect(folder: &Path, sink: &mut Sink<'_>) -> Result<(), PrepareError> {
    for class in classes(folder)? {
        let path = folder.join(&class);
        let Some(label) = sink.classes.iter().position(|name| *name == class) else {
            return Err(SourceError::of(&path, Problem::NoSuchClass(class)).into());
        };
        images(&path, label as u32, MAX_DEPTH, sink)?;
    }
    Ok(())
}

fn images(folder: &Path, label: u32, depth: u32, sink: &mut Sink<'_>) -> Result<(), PrepareError> {
    if depth == 0 {
        return Err(SourceError::of(folder, Problem::Deep).into());
    }
    for name in listed(folder)? {
        let path = folder.join(&name);
        let metadata = fs::metadata(&path).map_err(|source| SourceError::Read { path: path.clone(), source })?;
        if metadata.is_dir() {
            images(&path, label, depth - 1, sink)?;
            continue;
        }
        if !name.rsplit_once('.').is_some_and(|(_, extension)| is_image(extension)) {
            return Err(SourceError::of(&path, Problem::Extension).into());
        }
        let length = image_length(metadata.len()).map_err(|problem| SourceError::of(&path, problem))?;
        notice(&metadata, sink);
        sink.push(&Source { path, offset: 0, length, label, stored: Stored::Encoded })?;
    }
    Ok(())
}

/// Whether a file is an image by its extension.
pub(super) fn is_image(extension: &str) -> bool {
    ["jpg", "jpeg", "png"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// Bytes of an image, if it may have as many.
pub(super) fn image_length(bytes: u64) -> Result<u32, Problem> {
    match bytes {
        0 => Err(Problem::Empty),
        1..=MAX_IMAGE => Ok(bytes as u32),
        _ => Err(Problem::Long(bytes)),
    }
}
