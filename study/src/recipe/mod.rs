//! The recipe: what a study is, as people write it.

mod check;
mod one_or_many;
mod spec;

use std::path::{Path, PathBuf};

use lockstep_proto::job::{JobError, parse_table, read_table, text_of_file};

pub(crate) use check::is_rate;
pub use one_or_many::OneOrMany;
pub use spec::{Arm, Budget, BudgetKind, Rate, Recipe, Rule, Score, Study, Tuning};

/// A recipe that can't be used: one line that names the place, the key and what to do.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// As text.
    #[error(transparent)]
    Text(#[from] JobError),
    /// By what it says.
    #[error("{origin}: {problem}")]
    Invalid {
        /// The file.
        origin: String,
        /// What is wrong, and what to do.
        problem: String,
    },
}

/// A recipe with where it came from.
#[derive(Clone, Debug)]
pub struct RecipeFile {
    /// What it says.
    pub recipe: Recipe,
    /// As it was written.
    pub text: String,
    /// For errors.
    pub origin: String,
    /// Where relative paths in it start.
    pub folder: PathBuf,
}

impl RecipeFile {
    /// Reads and checks a recipe by itself: no job is looked at.
    ///
    /// # Errors
    /// The first thing that no study can have.
    pub fn read(path: &Path) -> Result<Self, RecipeError> {
        let origin = path.display().to_string();
        let text = text_of_file(path)?;
        let recipe = parse(&text, &origin)?;
        let absolute = std::path::absolute(path).map_err(|source| JobError::Read { path: path.to_owned(), source })?;
        let folder = absolute.parent().map(Path::to_owned).unwrap_or_default();
        Ok(Self { recipe, text, origin, folder })
    }

    /// An error about what it says.
    pub fn invalid(&self, problem: impl Into<String>) -> RecipeError {
        RecipeError::Invalid { origin: self.origin.clone(), problem: problem.into() }
    }
}

/// Reads a recipe's text. `origin` names it in errors.
pub(crate) fn parse(text: &str, origin: &str) -> Result<Recipe, RecipeError> {
    let known: Vec<String> = spec::KEYS.iter().map(|key| (*key).to_owned()).collect();
    let recipe: Recipe = read_table(parse_table(text, origin)?, origin, &known)?;
    check::check(&recipe).map_err(|problem| RecipeError::Invalid { origin: origin.to_owned(), problem })?;
    Ok(recipe)
}

#[cfg(test)]
mod tests;
