//! The newest checkpoint that a job can go on from.

use crate::error::Error;
use crate::{About, Name, Place, Wanted};

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The highest step's valid checkpoint, and what it says.
    pub newest: Option<(Name, About)>,
    /// What the user should know: damaged ones that were set aside.
    pub remarks: Vec<String>,
}

impl Place {
    /// Looks for the newest valid checkpoint, from the highest step down. Each is read whole. A damaged one is set
    /// aside, with a remark, and the one before is taken; one that is still being written or removed is passed over.
    ///
    /// # Errors
    /// [`Error::Foreign`] or [`Error::Newer`] if the newest is another job's or a newer program's; others if the place
    /// cannot be read.
    pub fn newest(&self, wanted: &Wanted) -> Result<Found, Error> {
        self.store.sweep();
        let mut remarks = Vec::new();
        for name in self.list()?.into_iter().rev() {
            match self.valid(name, wanted) {
                Ok(about) => return Ok(Found { newest: Some((name, about)), remarks }),
                Err(Error::Damaged { reason, .. }) => remarks.push(self.without(name, &reason)),
                Err(Error::Missing { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Found { newest: None, remarks })
    }

    fn valid(&self, name: Name, wanted: &Wanted) -> Result<About, Error> {
        let about = self.manifest(name)?.about;
        let shown = |text: &str| text.escape_debug().take(160).collect();
        let foreign = |what, theirs, ours| Error::Foreign { name, place: self.to_string(), what, theirs, ours };
        if about.dataset != wanted.dataset {
            return Err(foreign("data set", shown(&about.dataset), wanted.dataset.clone()));
        }
        if about.model != wanted.model {
            let difference = self.read(name).ok().and_then(|state| wanted.first_difference(&state.tensors));
            let (theirs, ours) = difference.unwrap_or_else(|| (shown(&about.model), wanted.model.clone()));
            return Err(foreign("model", theirs, ours));
        }
        self.read(name).map(|snapshot| snapshot.about)
    }

    /// Sets a damaged one aside and says so.
    fn without(&self, name: Name, reason: &str) -> String {
        match self.set_aside(name, reason) {
            Ok(aside) => format!("checkpoint {name} in {self} is damaged: {reason}; it is set aside as {aside}"),
            Err(error) => {
                format!("checkpoint {name} in {self} is damaged: {reason}; it could not be set aside: {error}")
            }
        }
    }
}
