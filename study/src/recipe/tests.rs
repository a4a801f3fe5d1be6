//! What recipes can say, and the line for each thing that they can't.

use super::*;

const SMALL: &str = r#"
[study]
base = "job.toml"
[[arm]]
name = "plain"
batch = 64
rate = "fixed"
[rate]
learning_rate = 0.1
"#;

const TUNED: &str = r#"
[study]
base = "job.toml"
[[arm]]
name = "plain"
batch = [64, 128]
rate = ["tuned", "sqrt"]
budget = ["epochs", "loss"]
[rate]
base_batch = 64
[tuning]
learning_rates = [0.1, 0.2, 0.5]
[budget]
loss = 0.05
"#;

/// The error of a recipe in which `old` is `new`.
fn error(text: &str, old: &str, new: &str) -> String {
    assert!(text.contains(old), "{old:?} is not in the recipe");
    parse(&text.replace(old, new), "study.toml").unwrap_err().to_string()
}

#[test]
fn values_and_lists_of_them_are_alike() {
    let recipe = parse(TUNED, "study.toml").unwrap();
    let arm = &recipe.arm[0];
    assert_eq!((&arm.batch.0[..], &arm.rate.0[..]), (&[64, 128][..], &[Rule::Tuned, Rule::Sqrt][..]));
    assert_eq!(arm.budget.0, [BudgetKind::Epochs, BudgetKind::Loss]);
    assert_eq!(parse(SMALL, "study.toml").unwrap().arm[0].batch.0, [64]);
    assert_eq!(recipe.study.seeds, 5);
    assert_eq!(recipe.tuning.unwrap().by, Score::ValidationLoss);
}

#[test]
fn every_key_that_is_named_exists() {
    for key in spec::KEYS {
        let (table, key) = key.split_once('.').unwrap_or((key, ""));
        if key.is_empty() {
            continue;
        }
        // A value of a kind that no key takes: the error is about the value, not about the key.
        let text = match table {
            "arm" => format!("[[arm]]\n{key} = 1979-05-27"),
            table => format!("[{table}]\n{key} = 1979-05-27"),
        };
        let error = parse(&text, "study.toml").unwrap_err().to_string();
        assert!(error.contains("must be"), "{error}");
    }
}

#[test]
fn a_misspelt_key_is_told_with_the_nearest() {
    let line = error(SMALL, "[rate]\nlearning_rate", "[rate]\nlearning_rates");
    assert_eq!(line, "study.toml: unknown key `rate.learning_rates`: did you mean `rate.learning_rate`?");
    let line = error(SMALL, "name =", "nmae =");
    assert!(line.contains("did you mean `arm.name`?"), "{line}");
    let line = error(SMALL, "rate = \"fixed\"", "rate = \"fxed\"");
    assert!(line.contains("choose tuned, fixed, linear, sqrt, listed, ratio (did you mean fixed?)"), "{line}");
    let line = error(SMALL, "[study]", "[study\n");
    assert!(line.starts_with("study.toml:2: "), "{line}");
}

#[test]
fn what_no_study_can_have_is_refused_in_one_line() {
    let cases = [
        (SMALL, "base = \"job.toml\"", "", "`study.base` is not set"),
        (SMALL, "[study]", "[study]\nseeds = 0", "`study.seeds` = 0: must be 1 to 1000"),
        (SMALL, "[study]", "[study]\nfigures = [\"acuracy\"]", "choose accuracy, variants"),
        (SMALL, "[study]", "[study]\nfigures = [\"acuracy\"]", "(did you mean accuracy?)"),
        (SMALL, "[study]", "[study]\nfigures = [\"edge\", \"gap\", \"edge\"]", "`study.figures` has \"edge\" twice"),
        (SMALL, "batch = 64", "batch = []", "arm \"plain\": `batch` has 0 values"),
        (SMALL, "batch = 64", "batch = [64, 64]", "arm \"plain\": `batch` has 64 twice"),
        (SMALL, "batch = 64", "batch = 0", "`batch` = 0: must be 1 to 1048576"),
        (SMALL, "name = \"plain\"", "name = \"a\\nb\"", "an arm's `name`"),
        (SMALL, "rate = \"fixed\"", "rate = \"tuned\"", "`rate.learning_rate` is set, but no arm"),
        (SMALL, "rate = \"fixed\"", "rate = \"linear\"", "needs `rate.base_batch`: set it"),
        (SMALL, "learning_rate = 0.1", "", "needs `rate.base_batch`: set it"),
        (SMALL, "learning_rate = 0.1", "learning_rate = -1.0", "`rate.learning_rate` has -1.0"),
        (SMALL, "learning_rate = 0.1", "learning_rate = 1e-50", "finite as a 32-bit number"),
        (SMALL, "rate = \"fixed\"", "rate = [\"fixed\", \"listed\"]", "needs `rate.list`: set it"),
        (SMALL, "rate = \"fixed\"", "rate = [\"fixed\", \"ratio\"]", "needs `rate.ratios`: set it"),
        (SMALL, "[rate]", "[rate]\nlist = [0.1]", "`rate.list` is set, but no arm has the rate listed"),
        (SMALL, "[rate]", "[tuning]\n[rate]", "[tuning], but no arm has the rate \"tuned\""),
        (SMALL, "[rate]", "[budget]\nsteps = 5\n[rate]", "`budget.steps` is set, but no arm has the budget \"steps\""),
        (SMALL, "[rate]", "budget = \"steps\"\n[rate]", "needs `budget.steps`: set it"),
        (TUNED, "[0.1, 0.2, 0.5]", "[0.1, 0.2]", "`tuning.learning_rates` has 2 values"),
        (TUNED, "[0.1, 0.2, 0.5]", "[0.5, 0.2, 0.1]", "must ascend"),
        (TUNED, "[0.1, 0.2, 0.5]", "[0.1, 0.2, 2.0]", "about the same factor"),
        (TUNED, "[tuning]", "[tuning]\nextend = 17", "`tuning.extend` = 17: must be 0 to 16"),
        (TUNED, "loss = 0.05", "loss = 0.0", "`budget.loss` has 0.0"),
        (TUNED, "loss = 0.05", "", "the budget \"loss\" of an arm needs `budget.loss`"),
    ];
    for (text, old, new, words) in cases {
        let line = error(text, old, new);
        assert!(line.starts_with("study.toml: ") && line.contains(words), "{words:?} is not in: {line}");
        assert!(!line.contains('\n'), "{line}");
    }
    let line = parse("[study]\nbase = \"job.toml\"", "study.toml").unwrap_err().to_string();
    assert!(line.contains("has no [[arm]]"), "{line}");
    let twice = format!("{SMALL}\n[[arm]]\nname = \"plain\"\nbatch = 1\nrate = \"fixed\"");
    let line = parse(&twice, "study.toml").unwrap_err().to_string();
    assert!(line.contains("two arms are called \"plain\""), "{line}");
}

#[test]
fn the_reference_names_all_figures() {
    let reference = include_str!("../../../recipes/STUDIES.md");
    let names: Vec<String> = crate::report::figure_names().map(|name| format!("`{name}`")).collect();
    assert!(reference.contains(&format!("| `figures` | list of {} |", names.join(", "))), "{names:?}");
}
