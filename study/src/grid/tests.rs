//! Cells and jobs of recipes.

use std::path::Path;

use super::*;

/// Data of this many samples; looks at nothing.
fn samples(train: u64, validation: u64) -> impl FnMut(&mut Job) -> Result<DataFacts, String> {
    move |job| {
        let train_samples = train - job.data.validation;
        let validation_samples = validation.max(job.data.validation);
        Ok(DataFacts { dataset: "digits".into(), train_samples, validation_samples })
    }
}

const BASE: &str = "data.path = \"digits\"\nbatch = { size = 64, micro_batch = 32 }\ncluster.workers = 2\n";

/// A grid over a base job in a folder of its own.
pub(crate) fn grid_of(recipe: &str) -> Result<Grid, RecipeError> {
    grid_with(recipe, BASE, &[])
}

fn grid_with(recipe: &str, base: &str, overrides: &[&str]) -> Result<Grid, RecipeError> {
    grid_in(&[], recipe, base, overrides)
}

fn grid_in(environment: &[(&str, &str)], recipe: &str, base: &str, overrides: &[&str]) -> Result<Grid, RecipeError> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("job.toml"), base).unwrap();
    let path = folder.path().join("study.toml");
    std::fs::write(&path, format!("study.base = \"job.toml\"\n{recipe}")).unwrap();
    let overrides = overrides.iter().map(|text| (*text).to_owned()).collect();
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let settings = Settings { environment, overrides };
    Grid::new(RecipeFile::read(Path::new(&path))?, &settings, &mut samples(6000, 0))
}

fn refused(recipe: &str, words: &[&str]) {
    let line = grid_of(recipe).unwrap_err().to_string();
    assert!(!line.contains('\n'), "{line}");
    for word in words {
        assert!(line.contains(word), "{word:?} is not in: {line}");
    }
}

#[test]
fn cells_are_the_product_of_an_arms_lists() {
    let grid = grid_of(
        r#"
        rate = { learning_rate = 0.1, base_batch = 64, list = [0.3, 0.5], ratios = [0.001] }
        budget.steps = 300
        [[arm]]
        name = "plain"
        batch = [16, 256]
        rate = ["fixed", "linear", "sqrt", "ratio"]
        [[arm]]
        name = "more"
        batch = 64
        rate = "listed"
        budget = "steps"
        set.optimizer.momentum = 0.9
        "#,
    )
    .unwrap();
    let cell = |cell: &Cell| (cell.id.clone(), cell.batch, cell.rule.as_str(), cell.rate);
    let given = CellRate::Given;
    let expected = [
        ("c01", 16, "fixed", given(0.1)),
        ("c02", 16, "linear", given(0.025)),
        ("c03", 16, "sqrt", given(0.05)),
        ("c04", 16, "ratio", given(0.016)),
        ("c05", 256, "fixed", given(0.1)),
        ("c06", 256, "linear", given(0.4)),
        ("c07", 256, "sqrt", given(0.2)),
        ("c08", 256, "ratio", given(0.256)),
        ("c09", 64, "listed", given(0.3)),
        ("c10", 64, "listed", given(0.5)),
    ];
    let expected = expected.map(|(id, batch, rule, rate)| (id.to_owned(), batch, rule, rate));
    assert_eq!(grid.cells.iter().map(cell).collect::<Vec<_>>(), expected);
    let job = &grid.cells[8].job;
    assert_eq!((job.optimizer.momentum, grid.cells[0].job.optimizer.momentum), (0.9, 0.0));
    // 6,000 samples are 93 whole steps of 64.
    assert_eq!((job.schedule.max_steps, job.schedule.epochs), (300, 4));
    assert_eq!(grid.cells[0].job.schedule.epochs, 1);
}

#[test]
fn jobs_have_what_a_study_wants_of_them() {
    let recipe = r#"
        rate.learning_rate = 0.1
        samples = { "evaluate.every_steps" = 6000 }
        [[arm]]
        name = "plain"
        batch = [8, 512]
        rate = "fixed"
        "#;
    let grid = grid_of(recipe).unwrap();
    let batch = |cell: &Cell| (cell.job.batch.size, cell.job.batch.micro_batch, cell.job.evaluate.every_steps);
    let micro = grid_with(recipe, "data.path = \"digits\"\nbatch.micro_batch = 16", &[]).unwrap();
    assert_eq!(grid.cells[..2].iter().map(batch).collect::<Vec<_>>(), [(8, 8, 750), (512, 32, 11)]);
    assert_eq!(batch(&micro.cells[1]), (512, 16, 11));
    let lanes = grid_of(&recipe.replace("rate = \"fixed\"", "rate = \"fixed\"\nleast_lanes = 2")).unwrap();
    assert_eq!(lanes.cells.iter().map(batch).collect::<Vec<_>>(), [(8, 4, 750), (512, 32, 11)]);
    // An arm's own is all of a smaller batch as well; with too few lanes it is refused, as it is where it is asked for.
    let own = |keys: &str| recipe.replace("rate = \"fixed\"", &format!("rate = \"fixed\"\n{keys}"));
    let eight = grid_of(&own("set.batch.micro_batch = 16")).unwrap();
    assert_eq!(eight.cells.iter().map(batch).collect::<Vec<_>>(), [(8, 8, 750), (512, 16, 11)]);
    let words =
        ["arm \"plain\", batch 8: `batch.micro_batch` = 8 makes fewer lanes than `least_lanes` = 2", "to 4 at most"];
    refused(&own("set.batch.micro_batch = 16\nleast_lanes = 2"), &words);
    let error = grid_with(&own("least_lanes = 2"), BASE, &["batch.micro_batch=8"]).unwrap_err().to_string();
    assert!(words.iter().all(|word| error.contains(word)), "{error}");
    let four = grid_with(&own("least_lanes = 2"), BASE, &["batch.micro_batch=4"]).unwrap();
    assert_eq!(four.cells.iter().map(batch).collect::<Vec<_>>(), [(8, 4, 750), (512, 4, 11)]);
    // Asked for, it is taken as it is.
    for said in ["batch.micro_batch=4", "batch = { micro_batch = 4 }"] {
        assert_eq!(batch(&grid_with(recipe, BASE, &[said]).unwrap().cells[1]), (512, 4, 11));
    }
    let cluster = &grid.cells[0].job.cluster;
    assert_eq!((cluster.workers, cluster.threads, grid.cells[0].job.checkpoint.every_epochs), (1, 1, 0));
    let three = grid_with(recipe, BASE, &["cluster.workers=3", "checkpoint.every_epochs=2"]).unwrap();
    let job = &three.cells[0].job;
    assert_eq!((job.cluster.workers, job.checkpoint.every_epochs), (3, 2));
    assert_eq!(key(job, "digits"), key(&grid.cells[0].job, "digits"), "where it runs changes no result");
}

#[test]
fn tuning_leaves_the_test_samples_alone() {
    let grid = grid_of(
        r#"
        set.data.validation = 1000
        set.schedule.epochs = 3
        set.probe = [{ measure = "margins", on = "validation" }]
        tuning.learning_rates = [0.1, 0.2, 0.4]
        budget = { steps = 300, loss = 0.1 }
        [[arm]]
        name = "plain"
        batch = 64
        rate = ["tuned", "sqrt"]
        budget = ["epochs", "steps", "loss"]
        [[arm]]
        name = "wide"
        batch = 256
        rate = "linear"
        [rate]
        base_batch = 64
        "#,
    )
    .unwrap();
    let (cell, tuning) = (&grid.cells[0].job, grid.cells[0].tuning.as_ref().unwrap());
    assert!(cell.evaluate.test && !tuning.evaluate.test);
    assert_eq!((cell.probe.len(), tuning.probe.len()), (1, 0));
    // Its one evaluation is where it ends.
    let ends = |cell: &Cell| {
        let job = cell.tuning.as_ref().unwrap();
        (job.evaluate.every_epochs, job.evaluate.every_steps, job.schedule.max_steps)
    };
    assert_eq!([0, 1, 2].map(|cell| ends(&grid.cells[cell])), [(3, 0, 0), (4, 300, 300), (1, 0, 0)]);
    assert_eq!(grid.cells[4].rate, CellRate::Scaled { of: 1, factor: 1.0 });
    assert_eq!(grid.cells[6].rate, CellRate::Scaled { of: 0, factor: 4.0 });
    assert_eq!(grid.runs_known(), 7 * 5 + 3 * 3);
}

#[test]
fn keys_tell_runs_apart_by_what_they_measure() {
    let grid = grid_of("rate.learning_rate = 0.1\narm = [{ name = \"a\", batch = 64, rate = \"fixed\" }]").unwrap();
    let job = &grid.cells[0].job;
    let same = key(job, "digits");
    assert_eq!(same.len(), 16);
    let differs = |change: &dyn Fn(&mut Job)| {
        let mut other = job.clone();
        change(&mut other);
        key(&other, "digits") != same
    };
    assert_ne!(key(job, "letters"), same);
    assert!(differs(&|job| job.seed.order = 7));
    assert!(differs(&|job| job.optimizer.learning_rate = 0.2));
    assert!(differs(&|job| job.metrics.every = 7));
    assert!(differs(&|job| job.evaluate.every_steps = 7));
    assert!(differs(&|job| job.evaluate.test = false));
    let probe = |from: &str, from_blake3: &str| lockstep_proto::job::Probe {
        from: from.into(),
        from_blake3: from_blake3.into(),
        ..Default::default()
    };
    let probed = |from, hash| key(&Job { probe: vec![probe(from, hash)], ..job.clone() }, "digits");
    assert!(differs(&|job| job.probe.push(probe("", ""))));
    assert_eq!(probed("/here", "ab"), probed("/there", "ab"));
    assert_ne!(probed("/here", "ab"), probed("/here", "cd"));
    assert!(!differs(&|job| job.cluster.threads = 7));
    assert!(!differs(&|job| job.checkpoint.every_steps = 7));
    assert!(!differs(&|job| job.data.path = "elsewhere".into()));
}

#[test]
fn what_no_run_can_be_of_is_refused_before_any_begins() {
    let arm = "arm = [{ name = \"a\", batch = 64, rate = \"fixed\" }]\nrate.learning_rate = 0.1\n";
    refused(&format!("{arm}set.batch.size = 8"), &["[set]: `batch.size` is the grid's: leave it out"]);
    refused(&format!("{arm}set.seed = 8"), &["`seed` is the grid's", "study.seeds"]);
    refused(&format!("{arm}set.optimizer.learning_rate = 8"), &["`optimizer.learning_rate` is the grid's"]);
    refused(&format!("{arm}set.schedule.max_minutes = 1"), &["base job: `schedule.max_minutes` must be 0"]);
    refused(&format!("{arm}set.schedule.on_nonfinite = \"continue\""), &["must be \"stop\""]);
    refused(&format!("{arm}set.data.validaton = 8"), &["[set]: unknown key `data.validaton`", "`data.validation`"]);
    refused(&format!("{arm}samples.\"data.limit\" = 8"), &["[samples]: `data.limit` does not count steps"]);
    refused(&format!("{arm}samples.\"metrics.every\" = 0"), &["[samples]: `metrics.every` must be an integer above 0"]);
    refused(&arm.replace("64", "6016"), &["arm \"a\", batch 6016", "larger than the 6000 training samples"]);
    refused(&arm.replace("64", "48"), &["`batch.size` = 48 is not divisible by `batch.micro_batch` = 32"]);
    refused(
        &arm.replace("}]", ", set.cluster.workers = 2 }, { name = \"b\", batch = 64, rate = \"fixed\" }]"),
        &["arm \"b\"", "`cluster` must be the same for all"],
    );
    let tuned = "tuning.learning_rates = [0.1, 0.2, 0.4]\narm = [{ name = \"a\", batch = 64, rate = \"tuned\" }]\n";
    refused(tuned, &["tuned on held-out samples: set `data.validation`"]);
    refused(&format!("{tuned}tuning.by = \"steps_to_target\"\nset.data.validation = 9"), &["needs a target"]);
    let scaled = tuned.replace("\"tuned\"", "[\"tuned\", \"linear\"]");
    refused(
        &format!("{scaled}set.data.validation = 9\nrate.base_batch = 32"),
        &["\"linear\" needs `rate.learning_rate`, or an arm that is \"tuned\" at batch 32"],
    );
    refused(
        "arm = [{ name = \"a\", batch = 64, rate = \"fixed\" }]\nrate.learning_rate = 0.1\nset.augment = 1",
        &["[set]"],
    );
    let error = grid_with(arm, BASE, &["batch.size=9"]).unwrap_err().to_string();
    assert!(error.starts_with("--set batch.size=9: `batch.size` is the grid's"), "{error}");
    let error = grid_with(arm, "data.path = \"digits\"\noptimizer.scaling = \"linear\"", &[]).unwrap_err().to_string();
    assert!(error.contains("`optimizer.scaling` must be \"none\""), "{error}");
}

#[test]
fn keys_without_effect_are_refused_whichever_way_they_are_said() {
    let arm = "arm = [{ name = \"a\", batch = 64, rate = \"fixed\" }]\nrate.learning_rate = 0.1\n";
    let steps = format!("{}budget.steps = 9\n", arm.replace("\"fixed\"", "\"fixed\", budget = \"steps\""));
    let loss = format!("{}budget.loss = 9.0\n", arm.replace("\"fixed\"", "\"fixed\", budget = \"loss\""));
    let check = |environment: &[(&str, &str)], recipe: &str, overrides: &[&str], words: [&str; 2]| {
        let line = grid_in(environment, recipe, BASE, overrides).unwrap_err().to_string();
        assert!(line.starts_with(words[0]) || line.contains(words[0]), "{line}");
        assert!(line.contains(words[1]), "{words:?}: {line}");
    };
    let of_grid = "`batch.size` is the grid's";
    check(&[], arm, &["batch={size=128}"], ["--set batch={size=128}: ", of_grid]);
    check(&[], arm, &["optimizer = { learning_rate = 3.0 }"], ["--set ", "`optimizer.learning_rate` is the grid's"]);
    check(&[], arm, &["seed=3"], ["--set seed=3: ", "`seed` is the grid's"]);
    check(&[("LOCKSTEP__BATCH__SIZE", "128")], arm, &[], ["$LOCKSTEP__BATCH__SIZE: ", of_grid]);
    check(
        &[],
        &format!("{steps}samples.\"schedule.max_steps\" = 640"),
        &[],
        ["[samples]: ", "the budget \"steps\" says it"],
    );
    check(&[], &format!("{steps}set.schedule.epochs = 7"), &[], ["[set]: ", "`schedule.epochs` has no effect"]);
    check(&[], &steps, &["schedule.max_steps=7"], ["--set ", "`schedule.max_steps` has no effect"]);
    check(&[], &format!("{loss}set.schedule.target_train_loss = 7.0"), &[], ["[set]: ", "the budget \"loss\" says it"]);
    check(
        &[],
        &format!("{loss}budget.most_epochs = 3"),
        &["schedule.epochs=7"],
        ["--set ", "`schedule.epochs` has no"],
    );
    check(&[], &format!("{arm}samples.\"metrics.every\" = 640"), &["metrics.every=7"], ["--set ", "[samples] says it"]);
    // Where some of the jobs look at it, it does something.
    let both = steps.replace("\"steps\"", "[\"epochs\", \"steps\"]");
    let grid = grid_with(&format!("{both}set.schedule.epochs = 7"), BASE, &[]).unwrap();
    assert_eq!((grid.cells[0].job.schedule.epochs, grid.cells[1].job.schedule.epochs), (7, 1));
    assert_eq!(grid_with(&loss, BASE, &["schedule.epochs=7"]).unwrap().cells[0].job.schedule.epochs, 7);
}

#[test]
fn learning_rates_that_follow_are_checked_before_any_run() {
    let arm = |batch: u32, rate: &str| format!("arm = [{{ name = \"a\", batch = {batch}, rate = {rate} }}]\n");
    let words = ["arm \"a\", batch 64", "finite as a 32-bit number"];
    refused(&format!("{}rate.ratios = [1e37]", arm(64, "\"ratio\"")), &words);
    refused(&format!("{}rate = {{ learning_rate = 1e-45, base_batch = 512 }}", arm(64, "\"linear\"")), &words);
    refused(
        "arm = [{ name = \"t\", batch = 16, rate = \"tuned\" }, { name = \"a\", batch = 64, rate = \"linear\" }]\n\
         rate.base_batch = 16\ntuning.learning_rates = [2.5e37, 5e37, 1e38]\nset.data.validation = 9",
        &words,
    );
}
