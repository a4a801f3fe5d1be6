//! Jobs as people write them, good and bad.

mod reference;
mod refused;

use std::fs;
use std::path::{Path, PathBuf};

use super::{Job, LastBatch, ModelName, environment};

/// A job file's text, its environment and its overrides, loaded.
fn load(text: &str, variables: &[(&str, &str)], overrides: &[&str]) -> Result<Job, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job.toml");
    fs::write(&path, text).unwrap();
    let environment = variables.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    let overrides: Vec<String> = overrides.iter().map(|text| text.to_string()).collect();
    Job::load(&path, environment, &overrides)
        .map_err(|error| error.to_string().replace(&format!("{}/", folder.path().display()), ""))
}

fn recipes() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../recipes");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect()
}

#[test]
fn every_recipe_loads_and_comes_back_from_its_text() {
    assert!(recipes().len() >= 2);
    for path in recipes() {
        let job = Job::load(&path, [], &[]).unwrap();
        // MNIST is what ships.
        let ships = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("mnist"));
        assert!(!ships || job.data.path.is_dir(), "{}: data.path {}", path.display(), job.data.path.display());
        assert_eq!(Job::from_toml(&job.to_toml()).unwrap(), job, "{}", path.display());
    }
}

#[test]
fn later_layers_win() {
    let text = "[data]\npath = '/data'\n[batch]\nsize = 96\nmicro_batch = 16\n[model]\nhidden = [10, 20, 30]";
    let variables = [("LOCKSTEP__BATCH__SIZE", "128"), ("LOCKSTEP__DATA__LAST_BATCH", "keep"), ("LOCKSTEP_STATE", "x")];
    let job = load(text, &[], &[]).unwrap();
    assert_eq!((job.batch.size, job.batch.micro_batch, job.schedule.epochs), (96, 16, 1));
    let job = load(text, &variables, &[]).unwrap();
    assert_eq!((job.batch.size, job.batch.micro_batch, job.data.last_batch), (128, 16, LastBatch::Keep));
    let overrides = ["batch.size=64", "model.hidden=[]", "model.name = lenet5", "optimizer.learning_rate=2"];
    let job = load(text, &variables, &overrides).unwrap();
    assert_eq!((job.batch.size, job.model.name, job.optimizer.learning_rate), (64, ModelName::Lenet5, 2.0));
    assert!(job.model.hidden.is_empty());
    let job = load(text, &[], &["batch={size=4, micro_batch=2}", "batch.size=8"]).unwrap();
    assert_eq!((job.batch.size, job.batch.micro_batch), (8, 2));
}

#[test]
fn one_seed_sets_all_three() {
    let seeds = |text: &str, overrides: &[&str]| {
        let seed =
            load(&format!("{text}\n[data]\npath = '/data'"), &[("LOCKSTEP__SEED", "3")], overrides).unwrap().seed;
        [seed.init, seed.order, seed.augment]
    };
    assert_eq!(seeds("seed = 1", &[]), [3; 3]);
    assert_eq!(seeds("[seed]\ninit = 7", &["seed.order=9"]), [3, 9, 3]);
    assert_eq!(seeds("seed = 1", &["seed.init=5", "seed=6"]), [6; 3]);
    assert_eq!(Job::from_toml("seed = 8").unwrap().seed.augment, 8);
}

#[test]
fn relative_paths_start_where_they_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(folder.path()).unwrap();
    fs::create_dir_all(root.join("recipes")).unwrap();
    fs::create_dir_all(root.join("digits")).unwrap();
    let file = root.join("recipes/job.toml");
    let path = |text: &str, overrides: &[String]| {
        fs::write(&file, text).unwrap();
        Job::load(&file, [], overrides).unwrap().data.path
    };
    assert_eq!(path("data.path = '../digits'", &[]), root.join("digits"));
    assert_eq!(path("data.path = 'absent'", &[]), root.join("recipes/absent"));
    assert_eq!(path("data.path = '/absent'", &[]), Path::new("/absent"));
    fs::write(
        &file,
        "data.path = 'absent'\n[[probe]]\n[[probe]]\nname = 'b'\nmeasure = 'interpolation'\nfrom = '../w'",
    )
    .unwrap();
    let probes = Job::load(&file, [], &[]).unwrap().probe;
    assert_eq!(
        probes.iter().map(|probe| &*probe.from).collect::<Vec<_>>(),
        ["", &*root.join("recipes/../w").display().to_string()]
    );
    let here = std::env::current_dir().unwrap();
    let said = "probe=[{measure='interpolation', from='w'}]".to_owned();
    assert_eq!(Job::load(&file, [], &[said]).unwrap().probe[0].from, here.join("w").display().to_string());
    assert_eq!(path("", &["data.path=absent".to_owned()]), here.join("absent"));
    assert_eq!(path("", &["data.path=src".to_owned()]), fs::canonicalize(here.join("src")).unwrap());
}

#[test]
fn the_hash_covers_what_results_depend_on() {
    let hash = |change: fn(&mut Job)| {
        let mut job = Job::default();
        change(&mut job);
        job.hash()
    };
    let default = hash(|_| {});
    assert_eq!(default.len(), 64);
    assert_eq!(default, hash(|job| job.cluster.workers = 7));
    assert_eq!(default, hash(|job| job.metrics.every = 7));
    assert_eq!(default, hash(|job| job.data.path = "/elsewhere".into()));
    assert_eq!(default, hash(|job| job.data.name = "digits".into()));
    assert_eq!(default, hash(|job| job.model.init_from = "/elsewhere".into()));
    assert_eq!(default, hash(|job| job.model.recompute = true));
    let changed = [
        hash(|job| job.seed.augment = 7),
        hash(|job| job.data.validation = 7),
        hash(|job| job.evaluate.test = false),
        hash(|job| job.schedule.target_train_loss = 0.5),
        hash(|job| job.augment.flip = true),
        hash(|job| job.batch.micro_batch = 16),
        hash(|job| job.model.hidden = vec![30, 0]),
        hash(|job| job.optimizer.learning_rate = 0.010000000000000002),
        hash(|job| job.model.init_blake3 = "ab".into()),
        default,
    ];
    for (i, hash) in changed.iter().enumerate() {
        assert!(!changed[..i].contains(hash), "hash {i} repeats another");
    }
}

#[test]
fn text_has_every_key_and_round_trips() {
    let job = Job {
        data: super::Data { path: "/a \"b\"\n".into(), std: super::Channels::All(1e-7), ..Default::default() },
        ..Job::default()
    };
    assert_eq!(Job::from_toml(&job.to_toml()).unwrap(), job);
    let keys = super::text::flatten(&job.to_toml().parse().unwrap()).len();
    assert_eq!(keys, super::text::flatten(&job.to_table()).len());
}

#[test]
fn the_environment_can_always_be_read() {
    assert_eq!(environment().iter().filter(|(name, _)| name == "CARGO_MANIFEST_DIR").count(), 1);
}
