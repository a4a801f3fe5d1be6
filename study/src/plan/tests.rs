//! Planning, as transcripts: what is known, and what is to be trained then.

use std::collections::BTreeMap;

use super::*;
use crate::grid::tests::grid_of;

const TUNED: &str = r#"
study.seeds = 2
set.data.validation = 1000
tuning = { learning_rates = [0.1, 0.2, 0.4], extend = 2 }
rate.base_batch = 64
arm = [{ name = "plain", batch = [64, 256], rate = "tuned" }, { name = "scaled", batch = 256, rate = "sqrt" }]
"#;

fn planner(recipe: &str) -> Planner {
    Planner::new(grid_of(recipe).unwrap())
}

fn loss(loss: f64) -> Outcome {
    Outcome { stop_reason: "completed".into(), validation_loss: Some(loss), ..Outcome::default() }
}

fn diverged() -> Outcome {
    Outcome { stop_reason: "nonfinite".into(), ..Outcome::default() }
}

/// Trains whatever the plan names, wave by wave, until there is no more: one line a wave and cell.
fn play(planner: &mut Planner, known: &mut Known, outcome: impl Fn(&Task) -> Outcome) -> Vec<String> {
    let mut told = Vec::new();
    loop {
        let survey = planner.survey(known);
        let open: Vec<Task> = survey.tasks.into_iter().filter(|task| !known.contains_key(&task.key)).collect();
        if open.is_empty() {
            return told;
        }
        let mut waves: BTreeMap<(usize, bool), Vec<String>> = BTreeMap::new();
        for task in &open {
            let what = format!("{}/{}", task.learning_rate, task.seed);
            waves.entry((task.cell, task.tunes)).or_default().push(what);
        }
        told.extend(waves.into_iter().map(|((cell, tunes), runs)| {
            format!("c{} {} {}", cell + 1, if tunes { "tunes" } else { "runs" }, runs.join(" "))
        }));
        known.extend(open.into_iter().map(|task| (task.key.clone(), outcome(&task))));
    }
}

#[test]
fn an_interior_optimum_is_taken_and_scaled() {
    let mut planner = planner(TUNED);
    let mut known = Known::new();
    let told = play(&mut planner, &mut known, |task| loss((task.learning_rate - 0.2).abs()));
    assert_eq!(
        told,
        [
            "c1 tunes 0.1/1 0.2/1 0.4/1",
            "c2 tunes 0.1/1 0.2/1 0.4/1",
            "c1 runs 0.2/1 0.2/2",
            "c2 runs 0.2/1 0.2/2",
            "c3 runs 0.4/1 0.4/2",
        ]
    );
    let survey = planner.survey(&known);
    assert_eq!(survey.later, 0);
    assert_eq!((survey.cells[0].interior, survey.cells[2].interior), (Some(true), None));
}

#[test]
fn an_optimum_at_the_edge_makes_the_grid_grow() {
    let mut planner = planner(TUNED);
    let told = play(&mut planner, &mut Known::new(), |task| {
        let best = if task.cell == 0 { 0.05 } else { 0.8 };
        loss((task.learning_rate.ln() - f64::ln(best)).abs())
    });
    assert_eq!(told[2..4], ["c1 tunes 0.05/1", "c2 tunes 0.8/1"]);
    // One beyond shows that it lies between others.
    assert_eq!(told[4..6], ["c1 tunes 0.025/1", "c2 tunes 1.6/1"]);
    assert_eq!(told[6..], ["c1 runs 0.05/1 0.05/2", "c2 runs 0.8/1 0.8/2", "c3 runs 0.1/1 0.1/2"]);
}

#[test]
fn a_grid_without_an_optimum_goes_on_with_the_best_and_says_so() {
    let mut planner = planner(TUNED);
    let mut known = Known::new();
    play(&mut planner, &mut known, |task| loss(1.0 / task.learning_rate));
    let survey = planner.survey(&known);
    assert_eq!((survey.cells[0].learning_rate, survey.cells[0].interior), (Some(1.6), Some(false)));
    assert_eq!(survey.cells[0].remark, "the best learning rate is the largest of 5 after 2 extensions");
    let extended: Vec<bool> = survey.cells[0].trials.iter().map(|trial| trial.extended).collect();
    assert_eq!(extended, [false, false, false, true, true]);
}

#[test]
fn divergence_is_the_worst_and_a_result() {
    let mut planner = planner(TUNED);
    let mut known = Known::new();
    let told = play(&mut planner, &mut known, |task| match task.learning_rate {
        rate if rate > 0.1 => diverged(),
        rate => loss(9.0 - rate),
    });
    assert_eq!(told[2], "c1 tunes 0.05/1", "0.1 is the smallest, and the best so far");
    let survey = planner.survey(&known);
    assert_eq!((survey.cells[0].learning_rate, survey.cells[0].interior), (Some(0.1), Some(true)));
    let all = play(&mut planner, &mut Known::new(), |_| diverged());
    assert!(all.contains(&"c1 tunes 0.025/1".to_owned()), "{all:?}");
    let mut known = Known::new();
    play(&mut planner, &mut known, |_| diverged());
    assert_eq!(planner.survey(&known).cells[0].remark, "all 5 learning rates diverged");
}

#[test]
fn of_equals_the_smaller_learning_rate_is_taken() {
    let tuning = Tuning { learning_rates: vec![1.0, 2.0, 4.0, 8.0], ..Tuning::default() };
    let tuned =
        tune::tune(&tuning, |_| true, |rate| Some(Worth::Reached(if (2.0..8.0).contains(&rate) { 0.5 } else { 1.0 })));
    assert_eq!(tuned.choice, Some(Choice { learning_rate: 2.0, interior: true }));
}

#[test]
fn a_miss_is_worse_than_any_hit_and_better_than_a_divergence() {
    use Worth::{Diverged, Reached, Short};
    assert!(Reached(1e9) < Short(0.1) && Short(0.1) < Short(0.2) && Short(1e9) < Diverged);
    assert_eq!(Worth::mean(&[Reached(1.0), Reached(3.0)]), Some(Reached(2.0)));
    assert_eq!(Worth::mean(&[Reached(1.0), Short(3.0)]), Some(Short(3.0)));
    assert_eq!(Worth::mean(&[Short(1.0), Diverged]), Some(Diverged));
    assert_eq!(Worth::mean(&[]), None);
    let missed = Outcome { validation_loss: Some(0.5), stop_reason: "completed".into(), ..Outcome::default() };
    let hit = Outcome { steps_to_target: Some(70), ..missed.clone() };
    assert_eq!((worth(&missed, Score::StepsToTarget), worth(&hit, Score::StepsToTarget)), (Short(0.5), Reached(70.0)));
}

#[test]
fn seeds_pair_cells_and_keep_tuning_apart() {
    let mut planner = planner(TUNED);
    let [first, second] = [0, 1].map(|cell| planner.task(cell, 0.1, 2, false));
    assert_eq!(first.job.seed, second.job.seed);
    assert_ne!(first.key, second.key);
    let Seed { init, order, augment } = first.job.seed;
    assert!(init != order && order != augment && init != augment);
    let mut used = std::collections::BTreeSet::new();
    for (seed, tunes) in [(1, false), (2, false), (1, true), (2, true)] {
        let Seed { init, order, augment } = planner.task(0, 0.1, seed, tunes).job.seed;
        assert!([init, order, augment].into_iter().all(|number| used.insert(number)), "{seed} {tunes}");
    }
}

#[test]
fn what_is_known_is_not_trained_again() {
    let mut known = Known::new();
    let score = |task: &Task| loss((task.learning_rate - 0.2).abs());
    play(&mut planner(TUNED), &mut known, score);
    // A later call knows the same from the folders.
    assert_eq!(play(&mut planner(TUNED), &mut known, score), Vec::<String>::new());
    let lost = planner(TUNED).task(1, 0.2, 2, false);
    known.remove(&lost.key).unwrap();
    assert_eq!(play(&mut planner(TUNED), &mut known, score), ["c2 runs 0.2/2"]);
}

#[test]
fn a_changed_recipe_is_told_by_its_runs() {
    use crate::table::{Change, StudyState, change};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("study.json");
    let mut before = planner(TUNED);
    assert_eq!(change(&path, &mut before).unwrap(), None);
    let survey = before.survey(&Known::new());
    StudyState::of(&mut before, &survey, &Known::new(), None).write(&path).unwrap();
    assert_eq!(change(&path, &mut planner(&format!("# a remark\n{TUNED}"))).unwrap(), None);
    // Six runs tune; which others there are is not known yet.
    let more_seeds = TUNED.replace("study.seeds = 2", "study.seeds = 3");
    let grown = change(&path, &mut planner(&more_seeds)).unwrap();
    assert_eq!(
        grown,
        Some(Change { gone: 0, new: 0, kept: 6, keys: vec!["study.seeds is 2 there, 3 here".to_owned()] })
    );
    let validation = TUNED.replace("validation = 1000", "validation = 500");
    let keys = vec!["data.validation is 1000 there, 500 here".to_owned()];
    assert_eq!(change(&path, &mut planner(&validation)).unwrap(), Some(Change { gone: 6, new: 6, kept: 0, keys }));
    // What changes no run that is known yet decides all the same.
    for (from, to, told) in [
        ("rate = \"sqrt\"", "rate = \"linear\"", "arm.scaled.rate is \"sqrt\" there, \"linear\" here"),
        ("base_batch = 64", "base_batch = 256", "rate.base_batch is 64 there, 256 here"),
        ("extend = 2", "extend = 3", "tuning.extend is 2 there, 3 here"),
        ("extend = 2", "by = \"validation_error\"", "tuning.by is not set there, \"validation_error\" here"),
        ("\"plain\"", "\"bare\"", "arm.bare is not set there"),
    ] {
        let changed = change(&path, &mut planner(&TUNED.replace(from, to))).unwrap().unwrap();
        assert_eq!((changed.gone, changed.new, changed.kept), (0, 0, 6), "{to}");
        assert!(changed.keys.iter().any(|key| key.starts_with(told)), "{told:?} is not in {:?}", changed.keys);
    }
    // More trials are runs that are known.
    let more = change(&path, &mut planner(&TUNED.replace("0.4]", "0.4, 0.8]"))).unwrap().unwrap();
    assert_eq!((more.gone, more.new, more.kept), (0, 2, 6));
    assert_eq!(more.keys, ["tuning.learning_rates is [0.1,0.2,0.4] there, [0.1,0.2,0.4,0.8] here"]);
    // A title changes nothing, nor do more workers.
    let same = format!("study.title = \"T\"\nset.cluster.workers = 2\n{TUNED}");
    assert_eq!(change(&path, &mut planner(&same)).unwrap(), None);
    std::fs::write(&path, "{").unwrap();
    assert!(change(&path, &mut before).unwrap_err().contains("study.json"));
}

#[test]
fn a_grid_does_not_grow_past_what_can_be_used() {
    let recipe = TUNED.replace("[0.1, 0.2, 0.4]", "[1e36, 1e37, 1e38]").replace("extend = 2", "extend = 9");
    let mut planner = planner(&recipe);
    let mut known = Known::new();
    let told = play(&mut planner, &mut known, |task| loss(1.0 / task.learning_rate));
    assert!(told.iter().all(|line| !line.contains("1e39")), "{told:?}");
    let survey = planner.survey(&known);
    assert!(survey.is_whole(&known));
    assert_eq!((survey.cells[0].learning_rate, survey.cells[0].interior), (Some(1e38), Some(false)));
    let remark = &survey.cells[0].remark;
    assert!(remark.starts_with("the best learning rate is the largest of 3 after 0 extensions; the next"), "{remark}");
    let tuning = Tuning { learning_rates: vec![0.1, 0.2, 0.4], ..Tuning::default() };
    let tuned = tune::tune(&tuning, |rate| rate < 0.8, |rate| Some(Worth::Reached(1.0 / rate)));
    assert_eq!((tuned.choice, tuned.at_bound), (Some(Choice { learning_rate: 0.4, interior: false }), true));
}
