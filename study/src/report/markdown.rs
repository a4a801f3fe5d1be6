//! The report as Markdown: what is checked in beside its pictures.

use super::content::Content;
use super::figures::{Figure, joined};

/// The file's text.
pub fn markdown(content: &Content<'_>) -> String {
    let study = &content.tables.study;
    let mut text = format!("# {}\n\n", escaped(content.title()));
    for (word, said) in
        [("Question", &study.question), ("Predicted", &study.prediction), ("Would refute it", &study.refuted_by)]
    {
        if !said.is_empty() {
            text += &format!("**{word}.** {}\n\n", escaped(said));
        }
    }
    content.warnings.iter().for_each(|warning| text += &format!("> **Mind:** {}\n\n", escaped(warning)));
    text += "## Key findings\n\n";
    if content.figures.is_empty() {
        text += "The data allow no figure yet.\n";
    }
    content.figures.iter().filter(|figure| figure.key).for_each(|figure| {
        text += &format!("- **{}.** {}\n", escaped(&figure.title), escaped(&figure.headline()));
    });
    text += "\n## Figures\n\n";
    for figure in &content.figures {
        let (title, name) = (escaped(&figure.title), &figure.name);
        text += &format!(
            "### {title}\n\n![{title}](figures/{name}.svg)\n\n{}\n\n**Found.** {}**Would have refuted it.** {} \
             ([data](figures/{name}.csv))\n\n",
            escaped(&figure.caption),
            found(figure),
            escaped(figure.refuted_by)
        );
    }
    for (name, reason) in &content.not_shown {
        text += &format!("- *{name}* is not shown because {reason}.\n");
    }
    if !content.not_asked.is_empty() {
        let end = if content.not_shown.is_empty() { "" } else { "\n" };
        text += &format!("{end}Not asked for: {}.\n", content.not_asked.join(", "));
    }
    text += "\n## Confounders\n\n";
    let rows =
        content.confounders.iter().map(|row| vec![row.name.into(), row.control.clone(), row.state.word().into()]);
    let head = ["confounder", "in this study", "state"].map(str::to_owned).to_vec();
    text += &table(&std::iter::once(head).chain(rows).collect::<Vec<_>>());
    text += "\n## Cells\n\n";
    text += &table(&content.cells);
    text += &lines("Divergences", &content.divergences);
    text + &lines("Missing runs", &content.missing)
}

/// What was found, as a sentence or, where there is much of it, as a table below one.
fn found(figure: &Figure) -> String {
    let (clauses, rows) = figure.told();
    let sentence = if clauses.is_empty() { "One by one:".into() } else { escaped(&joined(&clauses)) };
    if rows.is_empty() {
        return format!("{sentence}\n\n");
    }
    let head = vec!["of".to_owned(), "found".to_owned()];
    let rows = rows.iter().map(|finding| vec![finding.of.clone(), finding.said.clone()]);
    format!("{sentence}\n\n{}\n", table(&std::iter::once(head).chain(rows).collect::<Vec<_>>()))
}

fn table(rows: &[Vec<String>]) -> String {
    let Some((head, rows)) = rows.split_first() else { return String::new() };
    let row = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| escaped(cell)).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule = format!("|{}\n", "---|".repeat(head.len()));
    row(head) + &rule + &rows.iter().map(|cells| row(cells)).collect::<String>()
}

fn lines(title: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let lines: String = lines.iter().map(|line| format!("- {}\n", escaped(line))).collect();
    format!("\n## {title}\n\n{lines}")
}

/// Words that stay words, on one line.
fn escaped(words: &str) -> String {
    let mut escaped = String::new();
    for letter in words.chars() {
        match letter {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' => escaped.extend(['\\', letter]),
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            letter if letter.is_control() => escaped.push(' '),
            letter => escaped.push(letter),
        }
    }
    escaped
}
