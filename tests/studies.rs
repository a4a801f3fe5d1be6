//! `study run` with the real binary: small grids on a few hundred digits, killed, stopped, gone on with, changed.

mod lockstep;

use std::collections::BTreeSet;
use std::path::Path;

use lockstep::process::{Ended, Process};
use lockstep::study::{LONG, RECIPE, Study, TINY, runs, same_tables};
use lockstep::{json, json_lines, names};
use rustix::process::Signal;
use serde_json::Value;

#[test]
fn a_study_that_is_killed_goes_on_to_the_tables_of_one_that_is_not_whatever_its_workers() {
    let disturbed = Study::new(RECIPE);
    let mut process = Process::start(disturbed.run(&["--json"]).arg("--set").arg("metrics.every=5"));
    let mut before = Vec::new();
    while before.len() < 4 {
        before.push(process.await_line("\"kind\":\"run\""));
    }
    process.kill();
    let before = runs(&json_lines(&before.join("\n")));
    let after = disturbed.finish(&["--set", "metrics.every=5"]);
    assert!(before.is_disjoint(&after), "a run was trained twice");

    let undisturbed = Study::new(RECIPE);
    let all = undisturbed.finish(&["--set", "cluster.workers=3"]);
    assert_eq!(before.union(&after).count(), all.len());
    same_tables(&disturbed.folder(), &undisturbed.folder());

    let jobs = undisturbed.table("jobs.csv");
    assert_eq!(jobs.lines().count(), 1 + 8, "{jobs}");
    assert_eq!(jobs.lines().filter(|line| line.contains(",nonfinite,") && line.ends_with(",true")).count(), 2);
    assert!(jobs.contains(",\"scaled, by the root\",64,sqrt,epochs,"), "{jobs}");
    let state = json(&undisturbed.folder().join("study.json"));
    assert_eq!((&state["title"], &state["done"]), (&"Small".into(), &state["of"]));
    assert_eq!(state["fingerprints"].as_array().unwrap().len(), 1);
    assert_eq!(state["cells"].as_array().unwrap().len(), 4);
    // Runs that tune have looked at no test sample.
    for line in undisturbed.table("tuning.csv").lines().skip(1) {
        assert!(line.ends_with(",0"), "{line}");
        let run = undisturbed.folder().join("runs").join(line.split(',').nth(3).unwrap());
        let metrics = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
        assert!(!metrics.contains("\"test\""), "{metrics}");
        assert_eq!(json(&run.join("summary.json"))["test_error"], Value::Null);
    }
    // All is done: nothing is trained, and the tables stay.
    assert_eq!(undisturbed.finish(&[]), BTreeSet::new());
    same_tables(&disturbed.folder(), &undisturbed.folder());
}

#[test]
fn a_study_that_is_stopped_keeps_its_place() {
    let study = Study::new(LONG);
    let begun = |key: &str| {
        let metrics = std::fs::read_to_string(study.folder().join("runs").join(key).join("metrics.jsonl"));
        metrics.is_ok_and(|text| text.lines().count() > 20)
    };
    let process = Process::start(&mut study.run(&[]));
    let key = lockstep::eventually("a run with some steps", || {
        let runs = study.folder().join("runs");
        names(&runs.exists().then_some(runs)?).into_iter().find(|key| begun(key))
    });
    process.signal(Signal::INT);
    let ended = process.wait();
    assert_eq!(ended.code, Some(75), "{ended:?}");
    assert!(ended.stderr.contains("the same command goes on: lockstep study run"), "{ended:?}");
    let run = study.folder().join("runs").join(&key);
    assert_eq!(json(&run.join("summary.json"))["stop_reason"], "interrupted");
    assert_eq!(study.finish(&[]).len(), 2);
    let history = json(&run.join("run.json"));
    let resumed = history["generations"].as_array().unwrap().iter().any(|one| one["from"] == "checkpoint");
    assert!(resumed, "it goes on from its checkpoint: {history}");
    let whole = Study::new(LONG);
    whole.finish(&[]);
    same_tables(&study.folder(), &whole.folder());
}

#[test]
fn what_has_changed_is_told_and_gone_on_with_only_if_the_user_says_so() {
    let study = Study::new(TINY);
    let first = study.finish(&[]);
    study.say(&TINY.replace("seeds = 2", "seeds = 3"));
    let refused = Ended::of(&mut study.run(&[]));
    refused.is_refused_with(&["was begun with another recipe", "1 new ones", "--changed", "the 2 that both have"]);
    let more = study.finish(&["--changed"]);
    assert_eq!((more.len(), more.intersection(&first).count()), (1, 0));

    study.say(&TINY.replace("seeds = 2", "seeds = 3").replace("limit = 640", "limit = 704"));
    Ended::of(&mut study.run(&[])).is_refused_with(&["data.limit is 640 there, 704 here", "3 of its runs"]);

    // A run that another build has made.
    study.say(&TINY.replace("seeds = 2", "seeds = 3"));
    let key = first.first().unwrap();
    let path = study.folder().join("runs").join(key).join("run.json");
    let mut run = json(&path);
    run["fingerprint"]["build"] = "0.0.1+another".into();
    std::fs::write(&path, run.to_string()).unwrap();
    Ended::of(&mut study.run(&[])).is_refused_with(&["1 finished runs have another fingerprint", "--again", "--mixed"]);
    let mixed = Ended::of(study.run(&["--mixed"]).arg("--quiet"));
    assert_eq!(mixed.code, Some(0), "{mixed:?}");
    assert!(mixed.stderr.contains("runs of 2 fingerprints are mixed"), "{mixed:?}");
    assert_eq!(json(&study.folder().join("study.json"))["fingerprints"].as_array().unwrap().len(), 2);
    assert_eq!(study.finish(&["--again"]), BTreeSet::from([key.clone()]));
}

#[test]
fn a_study_that_can_not_be_is_refused_before_anything_is_written() {
    let refuse = |recipe: &str, words: &[&str]| {
        let study = Study::new(recipe);
        Ended::of(&mut study.run(&[])).is_refused_with(words);
        Ended::of(&mut study.run(&["--dry-run"])).is_refused_with(words);
        assert!(!study.folder().exists());
    };
    refuse(&TINY.replace("batch = 64", "batch = 1024"), &["arm \"plain\", batch 1024", "640 training samples"]);
    refuse(&TINY.replace("seeds", "seds"), &["unknown key `study.seds`: did you mean `study.seeds`?"]);
    refuse(&TINY.replace("hidden", "hiden"), &["unknown key `model.hiden`"]);
    refuse(&TINY.replace("BASE", "nowhere.toml"), &["nowhere.toml: cannot be read"]);
    let figures = TINY.replace("seeds = 2", "seeds = 2, figures = [\"acuracy\"]");
    refuse(&figures, &["`study.figures` has \"acuracy\", which is no figure", "did you mean accuracy?"]);
    // Two jobs that differ in their probes alone: each is looked at.
    let second =
        "{ name = \"far\", batch = 64, rate = \"fixed\", set.probe = [{ measure = \"shifts\", strengths = [40] }] }]";
    let probes = TINY.replace("rate = \"fixed\" }]", &format!("rate = \"fixed\" }}, {second}"));
    refuse(&probes, &["arm \"far\", batch 64", "probe shifts: `strengths` has 40", "out of sight"]);
    let study = Study::new(TINY);
    std::fs::create_dir(study.folder()).unwrap();
    std::fs::write(study.folder().join("letter.txt"), "Dear").unwrap();
    Ended::of(&mut study.run(&[])).is_refused_with(&["is not empty and holds no study: choose another --out"]);

    let study = Study::new(RECIPE);
    let told = Ended::of(&mut study.run(&["--dry-run"])).success();
    for words in ["to be tuned", "1.414 × that of c01", "4 cells × 2 seeds, and 6 runs that tune", ": 14 runs"] {
        assert!(told.contains(words), "{words:?} is not in:\n{told}");
    }
    assert!(!study.folder().exists());
}

/// A tuned cell, and one that is scaled from it.
const TUNED: &str = r#"
study = { base = "BASE", seeds = 2 }
set.data = { limit = 320, validation = 320 }
set.schedule.epochs = 1
set.model.hidden = [16]
tuning = { learning_rates = [0.5, 1.0, 2.0], extend = 0 }
rate.base_batch = 32
arm = [{ name = "plain", batch = 32, rate = "tuned" }, { name = "root", batch = 64, rate = "sqrt" }]
"#;

#[test]
fn one_more_learning_rate_costs_its_trials_and_no_finished_run() {
    let study = Study::new(TUNED);
    assert_eq!(study.finish(&[]).len(), 3 + 4);
    let before = study.table("jobs.csv");
    let best = |table: String| table.lines().nth(1).unwrap().split(',').nth(6).unwrap().to_owned();
    let rate = best(study.table("cells.csv"));
    // One that is far too small to be the best.
    let wider = TUNED.replace("[0.5, 1.0, 2.0]", "[0.0625, 0.125, 0.25, 0.5, 1.0, 2.0]");
    study.say(&wider);
    let words = ["was begun with another recipe", "tuning.learning_rates is [0.5,1.0,2.0] there", "3 new ones"];
    Ended::of(&mut study.run(&[])).is_refused_with(&words);
    let more = study.finish(&["--changed"]);
    assert_eq!(best(study.table("cells.csv")), rate, "the study is not what this test is about");
    assert_eq!(more.len(), 3, "a finished run was trained again");
    assert_eq!(study.table("jobs.csv"), before);

    // Another build's trials are trained again, its own finals are not; another build's finals stay until somebody says so.
    let foreign = |key: &str| {
        let path = study.folder().join("runs").join(key).join("run.json");
        let mut run = json(&path);
        run["fingerprint"]["build"] = "0.0.1+another".into();
        std::fs::write(&path, run.to_string()).unwrap();
    };
    let trial = study.table("tuning.csv").lines().nth(1).unwrap().split(',').nth(3).unwrap().to_owned();
    foreign(&trial);
    assert_eq!(study.finish(&["--again"]), BTreeSet::from([trial.clone()]));
    assert_eq!(study.table("jobs.csv"), before);
    let last = before.lines().nth(1).unwrap().split(',').next().unwrap().to_owned();
    foreign(&last);
    std::fs::remove_dir_all(study.folder().join("runs").join(&trial)).unwrap();
    let ended = Ended::of(&mut study.run(&["--quiet"]));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("1 finished runs have another fingerprint"), "{ended:?}");
    let kept = json(&study.folder().join("runs").join(&last).join("run.json"));
    assert_eq!(kept["fingerprint"]["build"], "0.0.1+another", "it was erased unasked");
    assert_eq!(study.finish(&["--again"]), BTreeSet::from([last.clone()]));
    assert_eq!(study.table("jobs.csv"), before);

    // A final whose folder is damaged comes to light once its cell is tuned: it stays, and the others are not trained again.
    let summary = study.folder().join("runs").join(&last).join("summary.json");
    std::fs::write(&summary, "{").unwrap();
    std::fs::remove_dir_all(study.folder().join("runs").join(&trial)).unwrap();
    let ended = Ended::of(&mut study.run(&["--quiet"]));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("summary.json: "), "{ended:?}");
    assert_eq!(std::fs::read_to_string(&summary).unwrap(), "{");
}

#[test]
fn budgets_end_runs_where_they_say() {
    let recipe = TINY.replace("rate = \"fixed\"", "rate = \"fixed\", budget = [\"steps\", \"loss\"]");
    let recipe = recipe.replace("set.schedule.epochs = 1\n", "");
    // Any loss is low enough in the first epoch; none is in three.
    let of = |loss: &str| {
        let study = Study::new(&format!("{recipe}budget = {{ steps = 13, loss = {loss}, most_epochs = 3 }}\n"));
        assert_eq!(study.finish(&[]).len(), 4);
        let jobs = study.table("jobs.csv");
        let cells = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
        let ends = jobs.lines().skip(1).map(cells).map(|cells| [5, 9, 10, 11].map(|place| cells[place].clone()));
        ends.collect::<Vec<_>>()
    };
    let steps = ["steps", "completed", "13", "1"].map(String::from);
    let (hit, missed) = (["loss", "target", "10", "1"], ["loss", "completed", "30", "3"]);
    for (loss, end) in [("100.0", hit), ("1e-9", missed)] {
        let end = end.map(String::from);
        assert_eq!(of(loss), [steps.clone(), steps.clone(), end.clone(), end], "{loss}");
    }
}

#[test]
fn a_grid_without_an_interior_optimum_ends_and_says_so() {
    // So small that more is always better.
    let recipe = TUNED.replace("[0.5, 1.0, 2.0], extend = 0", "[1e-5, 1e-4, 1e-3], extend = 1");
    let study = Study::new(&recipe);
    let ended = Ended::of(&mut study.run(&["--quiet"]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let line = "c01: the best learning rate is the largest of 4 after 1 extensions: move tuning.learning_rates, or raise \
                tuning.extend\n";
    assert_eq!(ended.stderr, line);
    let state = json(&study.folder().join("study.json"));
    assert_eq!((&state["cells"][0]["interior"], &state["cells"][0]["learning_rate"]), (&false.into(), &0.01.into()));
    assert!(study.table("cells.csv").contains(",0.01,false,"), "{}", study.table("cells.csv"));
}

#[test]
fn every_study_that_ships_can_be_looked_at() {
    let dry = |path: &Path, arguments: &[&str]| {
        let scratch = tempfile::tempdir().unwrap();
        let mut command = lockstep::lockstep(["study", "run", "--dry-run", "--json"]);
        Ended::of(command.arg(path).arg("--out").arg(scratch.path().join("out")).args(arguments))
    };
    let (small, large) = (lockstep::recipe("studies"), lockstep::recipe("studies/imagenet"));
    let recipes = |folder: &Path| names(folder).into_iter().filter(|name| name.ends_with(".toml")).collect::<Vec<_>>();
    let shipped = ["critical-batch.toml", "edge.toml", "gap.toml", "make-it-explicit.toml", "ratio.toml"];
    assert_eq!(
        (recipes(&small), recipes(&large)),
        (shipped.map(String::from).into(), shipped.map(String::from).into())
    );
    for name in shipped {
        let ended = dry(&small.join(name), &[]);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{name}");
        let cells = json_lines(&ended.stdout).len() - 1;
        // Somebody who tries this may have the data.
        if lockstep::recipe("../data/imagenet").exists() {
            continue;
        }
        dry(&large.join(name), &[]).is_refused_with(&["data/imagenet: no such folder", "add --assume-samples N"]);
        let ended = dry(&large.join(name), &["--assume-samples", "1281167"]);
        assert_eq!(ended.code, Some(0), "{name}: {ended:?}");
        let told = "the data are not there; all is reckoned for 1281167 training samples (--assume-samples) of 224×224";
        assert!(ended.stderr.contains(told) && ended.stderr.lines().count() == 1, "{ended:?}");
        assert!(cells > 0 && json_lines(&ended.stdout).len() > 1);
        dry(&large.join(name), &["--assume-samples", "10000"]).is_refused_with(&["10000 samples"]);
    }
    // Data that have nothing but a name are not there either.
    let named = TINY
        .replace("set.data.limit = 640", "set.data = { limit = 640, path = \"\", name = \"elsewhere\", size = 32 }");
    let ended = Ended::of(&mut Study::new(&named).run(&["--dry-run", "--assume-samples", "6000"]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("data.name = \"elsewhere\": the data are not there"), "{ended:?}");
    let mut command = lockstep::lockstep(["study", "run", "--assume-samples", "9"]);
    let ended = Ended::of(command.arg(small.join("edge.toml")));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("--dry-run"), "{ended:?}");
}
