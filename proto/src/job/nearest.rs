//! The known word most similar to a misspelt one.

use strsim::osa_distance;

/// Longest part of a word that is compared: the work grows with its square.
const MAX_COMPARED: usize = 64;

/// The key nearest to `key`: by its whole path, or by its last part where that belongs to another table. Of equals, one
/// of the same table.
pub(super) fn nearest_key(key: &str, known: &[String]) -> String {
    let key = shortened(key);
    let distance = |candidate: &&String| {
        let inside =
            key.strip_prefix(candidate.as_str()).is_some_and(|rest| candidate.contains('.') && rest.starts_with('.'));
        let whole = if inside { 0 } else { osa_distance(&key, candidate) };
        let last = 1 + osa_distance(last_part(&key), last_part(candidate));
        let initials = if last_part(&key) == initials(last_part(candidate)) { 1 } else { usize::MAX };
        (whole.min(last).min(initials), key.split('.').next() != candidate.split('.').next())
    };
    // A key inside a table cannot stand for a whole table.
    let candidates = known.iter().filter(|candidate| candidate.contains('.') || !key.contains('.'));
    candidates.min_by_key(distance).cloned().unwrap_or_default()
}

/// The word nearest to `word`, if it is similar.
pub fn nearest_word(word: &str, known: &[&str]) -> Option<String> {
    let word = shortened(word).to_lowercase();
    let similar = |candidate: &&&str| osa_distance(&word, candidate) <= word.len().max(candidate.len()) / 2;
    known.iter().filter(similar).min_by_key(|candidate| osa_distance(&word, candidate)).map(|word| word.to_string())
}

/// At most 64 characters on one line, fit for an error message.
pub(super) fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(MAX_COMPARED).flat_map(char::escape_debug).collect();
    short = short.replace("\\\"", "\"").replace("\\'", "'");
    if text.chars().nth(MAX_COMPARED).is_some() {
        short.push('…');
    }
    short
}

/// `lr` of `learning_rate`.
fn initials(name: &str) -> String {
    name.split('_').filter_map(|word| word.chars().next()).collect()
}

fn last_part(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}
