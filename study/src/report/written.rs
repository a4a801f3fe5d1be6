//! A report's files in a study's folder, in place of those of an earlier report.

use std::io;
use std::path::Path;

use super::ReportError;
use crate::atomic;

/// Writes files, each whole or not at all: figures, then the pages that show them. Figures that an earlier report had, and
/// this one hasn't, go; what else lies there stays.
///
/// # Errors
/// If a file can't be written, or one of the earlier report can't be read or removed.
pub fn write(files: &[(String, Vec<u8>)], folder: &Path) -> Result<(), ReportError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ReportError::Write { path, source }
    };
    let figures = folder.join("figures");
    std::fs::create_dir_all(&figures).map_err(failed(&figures))?;
    let (shown, pages): (Vec<_>, Vec<_>) = files.iter().partition(|file| file.0.contains('/'));
    for (name, content) in shown {
        let path = folder.join(name);
        atomic::write(&path, content).map_err(failed(&path))?;
    }
    // The earlier report says which were its own, so it goes after them.
    for name in earlier(folder)?.into_iter().filter(|name| !files.iter().any(|file| file.0 == *name)) {
        let path = folder.join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&path)(error)),
            _ => {}
        }
    }
    for (name, content) in pages {
        let path = folder.join(name);
        atomic::write(&path, content).map_err(failed(&path))?;
    }
    Ok(())
}

/// The figures' files of the report that lies there, by the pictures of its Markdown.
fn earlier(folder: &Path) -> Result<Vec<String>, ReportError> {
    let path = folder.join("report.md");
    let text = match std::fs::read(&path) {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(source) => return Err(ReportError::Read { path, source }),
    };
    let picture = |line: &str| {
        let name = line.strip_prefix("![")?.rsplit_once("](figures/")?.1.strip_suffix(".svg)")?;
        let own = name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-');
        own.then(|| ["svg", "png", "csv"].map(|end| format!("figures/{name}.{end}")))
    };
    Ok(text.lines().filter_map(picture).flatten().collect())
}
