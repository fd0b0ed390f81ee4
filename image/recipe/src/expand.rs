//! The expanded recipe: what was built, with every default and everything inherited filled in. Images carry it.

use crate::model::Recipe;

/// Written above the values.
const HEADER: &str = "# The recipe this image was built from, with all it inherits and every default. Written by `shoal build`.\n";

/// An expanded recipe that cannot be read back.
#[derive(Debug, thiserror::Error)]
#[error("this is not an expanded recipe of this version of shoal; build the image again from its recipe")]
pub struct ExpandedError {
    /// Where and why.
    #[source]
    source: Box<toml::de::Error>,
}

impl Recipe {
    /// Where a box has the expanded recipe of its image.
    pub const EXPANDED_PATH: &'static str = "/etc/shoal/recipe.toml";

    /// The expanded recipe as TOML; equal recipes give equal bytes.
    ///
    /// # Panics
    /// Never: every value that [`crate::resolve()`] gives has a TOML form.
    #[must_use]
    pub fn to_expanded(&self) -> String {
        let values = toml::to_string_pretty(self).expect("a recipe has no value that TOML cannot express");
        format!("{HEADER}\n{values}")
    }

    /// Reads what [`Self::to_expanded`] wrote.
    ///
    /// # Errors
    /// [`ExpandedError`] if `text` is something else.
    pub fn from_expanded(text: &str) -> Result<Self, ExpandedError> {
        toml::from_str(text).map_err(|source| ExpandedError { source: Box::new(source) })
    }
}
