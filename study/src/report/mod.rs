//! A study's report: tables → figures, sentences, a page. In reading order: `tables` reads and checks, `view` arranges
//! cells and runs, `figures` draws and says what was found, `confounders` what else could be the cause, `content` puts it
//! together, `page` and `markdown` write it.

mod confounders;
mod content;
mod data;
mod error;
mod figure;
mod figures;
mod markdown;
mod page;
mod symbols;
mod tables;
mod view;
mod words;
mod written;

use std::path::{Path, PathBuf};

pub use error::ReportError;

use self::content::Content;
use self::figure::Size;
use self::tables::Tables;

/// What recipes can call figures by, in the report's order.
pub fn figure_names() -> impl Iterator<Item = &'static str> {
    figures::FAMILIES.iter().map(|family| family.0)
}

/// A report, ready to be written.
#[derive(Clone, Debug)]
pub struct Report {
    /// Files by their places in the study's folder.
    pub files: Vec<(String, Vec<u8>)>,
    /// How many figures it has.
    pub figures: usize,
    /// What is to be told beside: mixed fingerprints, runs that are missing, figures that the data don't allow.
    pub remarks: Vec<String>,
}

impl Report {
    /// Reads a study's folder and makes its report.
    ///
    /// # Errors
    /// If it is no study's folder, or what lies there is not what it should be.
    pub fn of(folder: &Path) -> Result<Self, ReportError> {
        let tables = Tables::read(folder)?;
        let content = Content::of(&tables)?;
        let mut files: Vec<(String, Vec<u8>)> = vec![
            ("report.html".into(), page::page(&content).into()),
            ("report.md".into(), markdown::markdown(&content).into()),
        ];
        for figure in &content.figures {
            let name = &figure.name;
            let svg = figure.picture.draw(Size::Wide, name, [&figure.title, &figure.headline()]);
            let png = figure.picture.png();
            let png = png.map_err(|problem| ReportError::Picture { figure: name.clone(), problem })?;
            files.push((format!("figures/{name}.svg"), figure::standalone(&svg).into()));
            files.push((format!("figures/{name}.png"), png));
            files.push((format!("figures/{name}.csv"), figure.data.csv().into()));
        }
        let not_shown = content.not_shown.iter().map(|(name, reason)| format!("{name}: not shown because {reason}"));
        let not_asked =
            (!content.not_asked.is_empty()).then(|| format!("not asked for: {}", content.not_asked.join(", ")));
        let remarks =
            content.warnings.iter().chain(&content.missing).cloned().chain(not_shown).chain(not_asked).collect();
        Ok(Self { files, figures: content.figures.len(), remarks })
    }

    /// Writes it into the study's folder in place of an earlier one; returns the page's path.
    ///
    /// # Errors
    /// If a file can't be written.
    pub fn write(&self, folder: &Path) -> Result<PathBuf, ReportError> {
        written::write(&self.files, folder)?;
        Ok(folder.join("report.html"))
    }
}
