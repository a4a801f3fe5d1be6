//! The report as one page of HTML that needs nothing beside it: no script, no network, no other file.

use super::confounders::State;
use super::content::Content;
use super::figure::{Size, escape, rules, typeset};
use super::figures::{Figure, Finding, joined};
use super::words::sentence;

/// The page's text. It is well-formed XML as well, which tests hold it to.
pub fn page(content: &Content<'_>) -> String {
    let title = escape(content.title());
    let parts = [
        header(content),
        warnings(content),
        findings(content),
        content.figures.iter().map(figure).collect(),
        not_shown(content),
        confounders(content),
        cells(content),
        list("Divergences", "divergences", &content.divergences),
        list("Missing runs", "missing", &content.missing),
        footer(content),
    ];
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
         <meta name=\"color-scheme\" content=\"light dark\"/><title>{title}</title>\
         <style>{STYLE}{}</style></head>\n<body><main>\n{}\n</main></body></html>\n",
        rules(),
        parts.concat()
    )
}

fn header(content: &Content<'_>) -> String {
    let study = &content.tables.study;
    let mut header = format!("<header><p class=\"over\">Lockstep study</p><h1>{}</h1>", typeset(content.title()));
    if !study.question.is_empty() {
        header += &format!("<p class=\"question\">{}</p>", typeset(&study.question));
    }
    header += "<div class=\"pair\">";
    for (word, said) in [("Predicted", &study.prediction), ("Would refute it", &study.refuted_by)] {
        if !said.is_empty() {
            header += &format!("<div class=\"card\"><h2>{word}</h2><p>{}</p></div>", typeset(said));
        }
    }
    header + "</div></header>\n"
}

fn warnings(content: &Content<'_>) -> String {
    let one = |warning: &String| {
        format!("<p class=\"warning\" role=\"note\"><strong>Mind:</strong> {}</p>\n", words(warning))
    };
    content.warnings.iter().map(one).collect()
}

fn findings(content: &Content<'_>) -> String {
    let mut section = "<section><h2>Key findings</h2>".to_owned();
    let key = || content.figures.iter().filter(|figure| figure.key);
    if key().next().is_none() {
        section += "<p>The data allow none yet.</p>";
    } else {
        let one = |figure: &Figure| {
            let (name, title, found) = (&figure.name, typeset(&figure.title), typeset(&figure.headline()));
            format!("<li><a href=\"#{name}\">{title}.</a> {found}</li>")
        };
        section += &format!("<ul class=\"findings\">{}</ul>", key().map(one).collect::<String>());
    }
    section + "</section>\n"
}

/// Rows of findings that a page shows without scrolling.
const MOST_ROWS: usize = 12;

/// What was found: each clause a line; and rows of a table where there are many.
fn told(figure: &Figure) -> (String, String) {
    let (clauses, rows) = figure.told();
    let mut lines: String = clauses.iter().map(|clause| format!("<p>{}</p>", typeset(&joined(&[*clause])))).collect();
    if rows.is_empty() {
        return (lines, String::new());
    }
    if lines.is_empty() {
        lines = "<p>One by one, below.</p>".into();
    }
    let row = |finding: &&Finding| {
        let said = typeset(&sentence(&finding.said));
        match finding.of.as_str() {
            "" => format!("<tr><td colspan=\"2\">{said}</td></tr>"),
            of => format!("<tr><th scope=\"row\">{}</th><td>{said}</td></tr>", typeset(of)),
        }
    };
    let size = if rows.len() > MOST_ROWS { " many" } else { "" };
    let rows: String = rows.iter().map(row).collect();
    let label = escape(&figure.title);
    let table = format!(
        "<div class=\"scroll found{size}\" tabindex=\"0\" role=\"region\" aria-label=\"{label}: found\"><table><tbody>{rows}\
         </tbody></table></div>"
    );
    (lines, table)
}

/// Words as HTML, what is between backticks as code.
fn words(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return typeset(text);
    }
    let one = |(index, part): (usize, &&str)| {
        if index % 2 == 1 { format!("<code>{}</code>", escape(part)) } else { typeset(part) }
    };
    parts.iter().enumerate().map(one).collect()
}

fn figure(figure: &Figure) -> String {
    let (name, title) = (&figure.name, typeset(&figure.title));
    let headline = figure.headline();
    let told = [figure.title.as_str(), headline.as_str()];
    let wide = figure.picture.draw(Size::Wide, name, told);
    let narrow = figure.picture.draw(Size::Narrow, name, told);
    let (lines, table) = self::told(figure);
    format!(
        "<figure id=\"{name}\"><h2>{title}</h2><div class=\"beside\"><div class=\"picture\">{wide}{narrow}</div>\
         <figcaption><p class=\"dim\">{}</p><h3>Found</h3>{}<h3>Would have refuted it</h3><p>{}</p>\
         <p class=\"files\"><a href=\"figures/{name}.csv\">Data (CSV)</a> <a href=\"figures/{name}.svg\">SVG</a> \
         <a href=\"figures/{name}.png\">PNG</a></p></figcaption></div>{table}</figure>\n",
        words(&figure.caption),
        lines,
        typeset(figure.refuted_by)
    )
}

fn not_shown(content: &Content<'_>) -> String {
    let one = |(name, reason): &(&str, String)| format!("<li><b>{name}</b>: not shown because {}.</li>", words(reason));
    if content.not_shown.is_empty() && content.not_asked.is_empty() {
        return String::new();
    }
    let lines: String = content.not_shown.iter().map(one).collect();
    let lines = if lines.is_empty() { lines } else { format!("<ul>{lines}</ul>") };
    let others = match content.not_asked.is_empty() {
        true => String::new(),
        false => format!("<p class=\"dim\">Not asked for: {}.</p>", content.not_asked.join(", ")),
    };
    format!("<section><h2>Not shown</h2>{lines}{others}</section>\n")
}

fn confounders(content: &Content<'_>) -> String {
    let row = |row: &super::confounders::Confounder| {
        let class = if row.state == State::Controlled { "good" } else { "bad" };
        format!(
            "<tr><th scope=\"row\">{}</th><td class=\"long\">{}</td><td><span class=\"state {class}\">{}</span></td></tr>",
            row.name,
            typeset(&row.control),
            row.state.word()
        )
    };
    let rows: String = content.confounders.iter().map(row).collect();
    let head = "<tr><th>confounder</th><th>how it was controlled in this study</th><th>state</th></tr>";
    format!("<section><h2>Confounders</h2>{}</section>\n", scrolling("Confounders", head, &rows))
}

fn cells(content: &Content<'_>) -> String {
    let Some((head, rows)) = content.cells.split_first() else { return String::new() };
    let head: String = head.iter().map(|name| format!("<th>{}</th>", escape(name))).collect();
    let row = |row: &Vec<String>| {
        let cells: String = row.iter().map(|cell| format!("<td>{}</td>", typeset(cell))).collect();
        format!("<tr>{cells}</tr>")
    };
    let rows: String = rows.iter().map(row).collect();
    let note = "<p class=\"dim\">Means over the seeds that did not diverge, with 95 % bootstrap intervals.</p>";
    format!("<section><h2>Cells</h2>{note}{}</section>\n", scrolling("Cells", &format!("<tr>{head}</tr>"), &rows))
}

/// A table in a box that scrolls by itself, also by the keyboard.
fn scrolling(label: &str, head: &str, rows: &str) -> String {
    let id = label.to_lowercase();
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{label}\"><table class=\"{id}\"><thead>{head}</thead>\
         <tbody>{rows}</tbody></table></div>"
    )
}

fn list(title: &str, id: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let lines: String = lines.iter().map(|line| format!("<li>{}</li>", typeset(line))).collect();
    format!("<section id=\"{id}\"><h2>{title}</h2><ul>{lines}</ul></section>\n")
}

fn footer(content: &Content<'_>) -> String {
    let study = &content.tables.study;
    let job = serde_json::to_string_pretty(&study.job).unwrap_or_default();
    let prints: String = study.fingerprints.iter().map(|print| format!("<li>{}</li>", escape(print))).collect();
    format!(
        "<footer><p>{} of {} jobs have ended. Recipe: BLAKE3 <code>{}</code>. All numbers are in <code>tables/</code>; \
         intervals are 95 %, by bootstrap over seeds, and those of five seeds cover about 92 %.</p>\
         <details><summary>Fingerprints</summary><ul>{prints}</ul></details>\
         <details><summary>The base job</summary><pre>{}</pre></details></footer>",
        study.done,
        study.of,
        escape(&study.recipe_blake3),
        escape(&job)
    )
}

const STYLE: &str = "\
:root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--ink:#1f2328;--dim:#57606a;--edge:#d8dde3;--link:#0b5cad;\
--good:#0a6b4a;--bad:#9a3b00;--warn:#fff4e0}\
@media screen and (prefers-color-scheme:dark){:root{--page:#0b0e12;--card:#12161c;--ink:#e6edf3;--dim:#a2abb5;\
--edge:#2b323c;--link:#79b8ff;--good:#56d4a8;--bad:#ffa872;--warn:#2b2113}}\
*{box-sizing:border-box}\
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.55 system-ui,-apple-system,\"Segoe UI\",Roboto,sans-serif;\
overflow-wrap:break-word}\
main{max-width:1200px;margin:0 auto;padding:40px 24px 64px}\
a{color:var(--link)}h1{font-size:2.1rem;line-height:1.2;margin:.1em 0 .3em;letter-spacing:-.01em}\
h2{font-size:1.25rem;line-height:1.3;margin:0 0 .5em}h3{font-size:.9rem;margin:1.1em 0 .15em}\
p{margin:0 0 .7em}.over{margin:0;color:var(--dim);font-size:.9rem;font-weight:600}\
.question{font-size:1.15rem;max-width:46em;color:var(--dim)}\
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,320px),1fr));gap:16px;margin:24px 0}\
.card,figure,section{background:var(--card);border:1px solid var(--edge);border-radius:12px;padding:20px 24px}\
.card h2{font-size:.95rem;margin:0 0 .3em}.card p{margin:0}\
section,figure{margin:24px 0}.warning{background:var(--warn);border-left:4px solid var(--bad);padding:10px 16px;border-radius:6px}\
ul{margin:.3em 0;padding-left:1.2em}li{margin:.35em 0}.findings li{margin:.7em 0}.findings a{font-weight:600;text-decoration:none}\
.findings a:hover{text-decoration:underline}\
.beside{display:grid;grid-template-columns:minmax(0,760px) minmax(0,1fr);gap:28px;align-items:start}\
figcaption{font-size:.95rem}.dim{color:var(--dim)}\
.picture svg{display:block;width:100%;height:auto}.picture svg.narrow{display:none}\
.scroll{overflow-x:auto;margin:0 -8px;padding:0 8px}\
table{border-collapse:collapse;width:100%;font-size:.92rem;font-variant-numeric:tabular-nums}\
th,td{text-align:left;vertical-align:top;padding:8px 12px 8px 0;border-bottom:1px solid var(--edge);white-space:nowrap}\
thead th{color:var(--dim);font-weight:600}td.long{white-space:normal;min-width:300px}tbody tr:last-child>*{border-bottom:0}\
.scroll.found{margin:16px 0 0}.scroll.many{max-height:520px;overflow:auto}.found th,.found td{white-space:normal;padding:6px 14px 6px 0;\
font-size:.9rem}.found th{min-width:8em;max-width:36em;font-weight:600}\
.files a{margin-right:.8em}\
.state{font-weight:600}.good{color:var(--good)}.bad{color:var(--bad)}\
footer{color:var(--dim);font-size:.9rem;margin-top:32px}code,pre{font-size:.85em}code{overflow-wrap:anywhere}sub{font-size:.75em;line-height:0}\
pre{overflow-x:auto;max-height:420px}summary{cursor:pointer}\
@media (max-width:1020px){.beside{grid-template-columns:minmax(0,1fr);gap:12px}}\
@media screen and (max-width:800px){main{padding:24px 16px 48px}.picture svg.wide{display:none}\
.picture svg.narrow{display:block;max-width:480px;margin:0 auto}h1{font-size:1.6rem}\
.card,section{padding:16px}figure{padding:16px 0;margin:16px 0}figure>h2,figcaption,.scroll.found{padding:0 16px}\
.confounders thead{display:none}.confounders tr{display:block;padding:10px 0;border-bottom:1px solid var(--edge)}\
.confounders tr>*{display:block;white-space:normal;border:0;padding:1px 0;min-width:0}}\
@media print{body{background:#fff;font-size:12px}main{max-width:none;padding:0}figure,.card,tr{break-inside:avoid}\
figure,section,.card{border-color:#bbb;padding:12px 16px;margin:12px 0}.picture{max-width:520px}\
.beside{display:block}.scroll,.scroll.many{overflow:visible;max-height:none}th,td{white-space:normal}details{display:none}}";
