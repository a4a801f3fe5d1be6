//! Datasets of pictures, with the real binary: prepared, trained on by any number of workers to the same bits, and what
//! is wrong with them said in one line.

mod lockstep;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use lockstep::cluster::Cluster;
use lockstep::outcome::Outcome;
use lockstep::pictures::{SETTINGS, Stage, picture};
use lockstep::process::{Ended, Process};
use lockstep::undecodable::spoil;
use lockstep::{json, lockstep as binary, recipe, set};
use lockstep_dataset::manifest::{Hash, Images, MANIFEST, Manifest, Record, Shard, TABLES};
use lockstep_dataset::shards::Shards;
use lockstep_dataset::{Dataset, Split};
use lockstep_proto::job::Data;
use rustix::process::Signal;

#[test]
fn any_number_of_workers_and_threads_trains_to_the_same_bits() {
    let stage = Stage::prepared();
    let one = stage.outcome("one", "1", "1");
    assert_eq!(one.steps(), 6);
    for (workers, threads) in [("2", "1"), ("3", "2"), ("7", "1")] {
        assert_eq!(stage.outcome(&format!("of-{workers}"), workers, threads), one);
    }
    let ledger = Ended::of(binary(["ledger"]).arg(stage.path("of-3"))).success();
    assert!(ledger.contains("61"), "{ledger}");
    let run = json(&stage.path("one/run.json"));
    assert_eq!(run["dataset"].as_str().map(str::len), Some(64), "{run}");
    Ended::of(binary(["eval"]).arg(stage.path("one"))).success();
}

#[test]
fn a_killed_worker_changes_no_bit() {
    let stage = Stage::prepared();
    // Long enough for a loss to be noticed in the middle.
    let long = ["schedule.epochs=150"];
    Ended::of(stage.train("clean", &long).args(["--json", "--workers", "1", "--threads", "1"])).success();
    let mut train = Process::start(stage.train("killed", &long).args(["--json", "--workers", "2", "--threads", "1"]));
    train.await_line("\"step\":4");
    train.children()[0].signal(Signal::KILL);
    let ended = train.wait();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("lost"), "the loss is told: {ended:?}");
    Outcome::of(&stage.path("clean")).is_that_of(&stage.path("killed"));
}

/// Pictures of one size live in memory, with all that small images can have.
#[test]
fn small_pictures_of_one_size_are_as_they_were_in_idx_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("idx")).unwrap();
    lockstep::noise::write_noise(&path("idx"), 40, 8, 12, 3);
    Ended::of(binary(["data", "prepare"]).arg(path("idx")).arg("--out").arg(path("data"))).success();
    let samples = |name: &str| {
        let data = Data { path: path(name), classes: 3, pad: 2, ..Data::default() };
        let dataset = Dataset::open(&data).unwrap();
        let of = |split| {
            let sample =
                |sample| (dataset.pixels(split, sample).unwrap().to_vec(), dataset.label(split, sample).unwrap());
            (0..dataset.len(split)).map(sample).collect::<BTreeSet<_>>()
        };
        [of(Split::Train), of(Split::Test)]
    };
    let of_idx = samples("idx");
    assert_eq!(of_idx.each_ref().map(BTreeSet::len), [40, 8]);
    assert_eq!(samples("data"), of_idx);
    let data = format!("data.path={}", path("data").display());
    let settings = ["data.classes=3", "data.pad=2", "augment.pad_crop=1", "batch.size=32", "schedule.epochs=1", &data];
    Ended::of(&mut lockstep::train(&recipe("mnist-mlp.toml"), &path("run"), &settings)).success();
}

#[test]
fn mixed_samples_are_the_same_bits_whoever_mixes_them() {
    let stage = Stage::prepared();
    let mixed = ["loss.name=cross_entropy", "model.output_activation=none", "augment.mixup=0.4", "augment.cutmix=1"];
    let outcome = |run: &str, workers: &str, settings: &[&str]| {
        let settings = [&mixed, settings].concat();
        Ended::of(stage.train(run, &settings).args(["--json", "--workers", workers, "--threads", "1"])).success();
        Outcome::of(&stage.path(run))
    };
    let one = outcome("one", "1", &[]);
    for workers in ["2", "3"] {
        assert_eq!(outcome(workers, workers, &[]), one, "{workers} workers");
    }
    assert_ne!(outcome("of-another-seed", "1", &["seed.augment=7"]), one);
    assert_ne!(outcome("mixup", "1", &["augment.cutmix=0"]), one);
    let above = ["optimizer.sam=0.05", "optimizer.sam_over=micro_batch", "loss.smoothing=0.1"];
    assert_eq!(outcome("above-2", "2", &above), outcome("above-1", "1", &above));
}

/// Nodes may have a dataset in different places.
#[test]
fn an_agents_own_folder_goes_before_the_jobs() {
    let stage = Stage::prepared();
    let alone = stage.outcome("alone", "1", "1");
    let cluster = Cluster::start();
    let mut agent = binary(["agent", "--device", "cpu", "--slots", "2", "--coordinator", &cluster.address]);
    agent.arg("--data").arg(format!("pictures={}", stage.path("data").display()));
    let _agent = cluster.agent_of(agent);
    let settings: Vec<&str> =
        SETTINGS.into_iter().chain(["data.path=/nowhere", "data.name=pictures", "cluster.workers=2"]).collect();
    let id = cluster.submit("mnist-mlp.toml", &settings);
    cluster.run("wait", &[&id]).success();
    assert_eq!(Outcome::of(&cluster.folder(&id)), alone);
    let settings = [&settings[..], &["data.name=others", "data.path=/nowhere/else"]].concat();
    let id = cluster.submit("mnist-mlp.toml", &settings);
    let ended = cluster.run("wait", &[&id]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
}

fn damage(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn damage_is_told_in_one_line() {
    let stage = Stage::prepared();
    let refused = |run: &str, settings: &[&str], words: &[&str]| {
        let mut train = stage.train(run, settings);
        Ended::of(train.args(["--quiet", "--workers", "2", "--threads", "1"])).is_refused_with(words);
    };
    let verified = |depth: &[&str], words: &str| {
        let ended = Ended::of(binary(["data", "verify"]).args(depth).arg(stage.path("data")));
        assert!(ended.code == Some(2) && ended.stderr.contains(words) && ended.stdout.contains("DAMAGED"), "{ended:?}");
    };
    let shard = stage.path("data/train/shard-000000.tar");
    let whole = fs::read(&shard).unwrap();
    // Within the first sample's picture.
    damage(&shard, |bytes| bytes[700] ^= 1);
    refused("flipped", &[], &["shard-000000.tar: sample 0 at byte 512 is damaged", "CRC-32"]);
    verified(&[], "is not the shard that was prepared");
    damage(&shard, |bytes| bytes.truncate(1000));
    refused("cut", &[], &["shard-000000.tar: has 1000 bytes, but the manifest says"]);
    fs::remove_file(&shard).unwrap();
    refused("missing", &[], &["shard-000000.tar: cannot be read"]);
    verified(&["--quick"], "cannot be read");
    fs::write(&shard, whole).unwrap();
    assert!(
        Ended::of(binary(["data", "verify", "--decode"]).arg(stage.path("data")))
            .success()
            .contains("as it was prepared")
    );

    refused("sizes", &["data.size=0"], &["set data.size"]);
    refused("pad", &["data.pad=2"], &["data.pad = 2"]);
    refused("classes", &["data.classes=2"], &["has 3 classes: set data.classes"]);
    damage(&stage.path("data/train/manifest.samples"), |bytes| bytes[20] ^= 1);
    verified(&[], "the table of shard-000000.tar");
    refused("table", &[], &["manifest.samples", "shard-000000.tar"]);
    fs::rename(stage.path("data/test"), stage.path("data/elsewhere")).unwrap();
    refused("test", &[], &["there is no prepared test split"]);
    fs::rename(stage.path("data/elsewhere"), stage.path("data/test")).unwrap();
    damage(&stage.path("data/train/manifest.json"), |bytes| bytes[30] = b'x');
    refused("manifest", &[], &["train/manifest.json"]);
}

/// Samples of an epoch that `ledger RUN` says were left out, ascending, and how many others it has.
fn left_out(run: &Path, epoch: usize) -> (Vec<u64>, u64) {
    let said = Ended::of(binary(["ledger", "--json"]).arg(run)).success();
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    let epoch = &said["epochs"][epoch];
    let mut skipped: Vec<u64> = epoch["skipped"].as_array().unwrap().iter().filter_map(|id| id.as_u64()).collect();
    skipped.sort_unstable();
    (skipped, epoch["samples"].as_u64().unwrap())
}

/// Evaluations of a run: samples, and those left out.
fn evaluated(run: &Path) -> Vec<(serde_json::Value, serde_json::Value)> {
    let lines = lockstep::json_lines(&fs::read_to_string(run.join("metrics.jsonl")).unwrap());
    let evaluations = lines.into_iter().filter(|line| line["split"].is_string());
    evaluations.map(|line| (line["samples"].clone(), line["skipped"].clone())).collect()
}

#[test]
fn samples_that_cannot_be_decoded_are_left_out_by_any_number_of_workers_alike() {
    let stage = Stage::prepared();
    spoil(&stage.path("data/train"), &[0, 17, 40, 60]);
    spoil(&stage.path("data/test"), &[3]);
    let outcome = |run: &str, workers: &str, settings: &[&str]| {
        let settings = [&["data.skip_bad=4"], settings].concat();
        Ended::of(stage.train(run, &settings).args(["--json", "--workers", workers, "--threads", "1"])).success();
        Outcome::of(&stage.path(run))
    };
    let one = outcome("one", "1", &[]);
    for workers in ["2", "3"] {
        assert_eq!(outcome(&format!("of-{workers}"), workers, &[]), one, "{workers} workers");
    }
    // As if each were on a node of its own, and with lanes that others compute again.
    let apart = ["cluster.transport=tcp", "cluster.replay_every=1", "cluster.digest_every=1"];
    assert_eq!(outcome("apart", "3", &apart), one);
    for epoch in 0..3 {
        assert_eq!(left_out(&stage.path("of-3"), epoch), (vec![0, 17, 40, 60], 57));
    }
    let ledger = Ended::of(binary(["ledger"]).arg(stage.path("one"))).success();
    assert!(ledger.contains("epoch 2 left out samples that can't be decoded: "), "{ledger}");
    for run in ["one", "of-3", "apart"] {
        let evaluated = evaluated(&stage.path(run));
        assert!(
            !evaluated.is_empty() && evaluated.iter().all(|found| *found == (9.into(), [3].into())),
            "{evaluated:?}"
        );
    }
    let said = Ended::of(binary(["eval"]).arg(stage.path("one"))).success();
    assert!(said.contains("9 samples") && said.contains("can't be decoded: samples 3"), "{said}");

    // Lanes of one sample, some of which are empty; with second derivatives and statistics of batches.
    let singles = ["batch.micro_batch=1", "schedule.epochs=2", "optimizer.name=diagonal_lm", "optimizer.momentum=0"];
    let singles = [&singles[..], &apart[1..]].concat();
    assert_eq!(outcome("singles-3", "3", &singles), outcome("singles-1", "1", &singles));
    let batches = ["batch.micro_batch=2", "schedule.epochs=2", "model.name=resnet20", "model.output_activation=none"];
    let batches =
        [&batches[..], &["loss.name=cross_entropy", "optimizer.sam=0.05", "optimizer.learning_rate=0.05"]].concat();
    assert_eq!(outcome("batches-3", "3", &batches), outcome("batches-1", "1", &batches));
}

#[test]
fn samples_that_were_left_out_before_a_loss_count_behind_it() {
    let stage = Stage::prepared();
    spoil(&stage.path("data/train"), &[5, 23]);
    // Long enough to be stopped in the middle.
    let long = ["schedule.epochs=600", "data.skip_bad=2"];
    Ended::of(stage.train("clean", &long).args(["--json", "--workers", "1", "--threads", "1"])).success();
    let mut train = Process::start(stage.train("killed", &long).args(["--workers", "2", "--threads", "1"]));
    train.await_line("epoch   5");
    train.children()[1].signal(Signal::KILL);
    train.await_line("epoch  25");
    train.signal(Signal::INT);
    let ended = train.wait();
    assert_eq!(ended.code, Some(75), "{ended:?}");
    let command = ended.stderr.lines().find_map(|line| line.strip_prefix("go on with: lockstep "));
    let mut resumed = binary(command.unwrap_or_else(|| panic!("no command: {ended:?}")).split(' '));
    Ended::of(&mut resumed).success();
    Outcome::of(&stage.path("clean")).has_the_state_of(&stage.path("killed"));
}

#[test]
fn more_of_them_than_a_job_leaves_out_stop_it() {
    let stage = Stage::prepared();
    spoil(&stage.path("data/train"), &[2, 33, 34]);
    let refused = |run: &str, settings: &[&str], words: &[&str]| {
        let mut train = stage.train(run, settings);
        Ended::of(train.args(["--quiet", "--workers", "3", "--threads", "1"])).is_refused_with(words);
    };
    let told =
        ["data.skip_bad = 2, but 3 samples of epoch 0, up to step 2, can't be decoded", ".tar: sample ", " at byte "];
    refused("two", &["data.skip_bad=2"], &told);
    refused("none", &[], &[".tar: sample ", " at byte "]);
    spoil(&stage.path("data/test"), &Vec::from_iter(0..10));
    refused(
        "split",
        &["data.skip_bad=3"],
        &["10 samples of the test split can't be decoded", ".tar: sample 9 at byte "],
    );
    refused("all", &["data.skip_bad=10"], &["none of the samples that the test split has can be decoded"]);
    spoil(&stage.path("data/train"), &Vec::from_iter(0..61));
    refused("step", &["data.skip_bad=61"], &["none of the samples that step 1 takes can be decoded"]);
}

/// Pictures that live in memory are decoded when the job begins; which can't be is told where they would be read.
#[test]
fn small_pictures_are_left_out_alike() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("idx")).unwrap();
    lockstep::noise::write_noise(&path("idx"), 40, 8, 12, 3);
    Ended::of(binary(["data", "prepare"]).arg(path("idx")).arg("--out").arg(path("data"))).success();
    spoil(&path("data/train"), &[7, 8]);
    let data = format!("data.path={}", path("data").display());
    let train = |run: &str, skip_bad: &str| {
        let settings = ["data.classes=3", "data.pad=2", "batch.size=32", "schedule.epochs=2", "data.last_batch=keep"];
        lockstep::train(&recipe("mnist-mlp.toml"), &path(run), &[&settings[..], &[&data, skip_bad]].concat())
    };
    let outcome = |workers: &str| {
        Ended::of(train(workers, "data.skip_bad=2").args(["--workers", workers, "--quiet"])).success();
        assert_eq!(left_out(&path(workers), 1), (vec![7, 8], 38));
        Outcome::of(&path(workers))
    };
    assert_eq!(outcome("1"), outcome("2"));
    Ended::of(train("none", "data.skip_bad=0").arg("--quiet")).is_refused_with(&["sample 7 at byte "]);
    Ended::of(train("one", "data.skip_bad=1").arg("--quiet"))
        .is_refused_with(&["data.skip_bad = 1, but 2 samples of epoch 0"]);
}

#[test]
fn preparing_tells_what_it_did_and_what_is_wrong() {
    let stage = Stage::new();
    let out = stage.path("data");
    let said = Ended::of(&mut stage.prepare("data", &[])).success();
    assert!(
        said.contains("train: 61 samples of 3 classes") && said.contains("test: 10 samples of 3 classes"),
        "{said}"
    );
    Ended::of(&mut stage.prepare("data", &[])).is_refused_with(&["holds a prepared split"]);
    let inspected = Ended::of(binary(["data", "inspect"]).arg(&out)).success();
    assert!(
        ["61", "3, of 20 to 21 samples", "in colour", "emu"].iter().all(|words| inspected.contains(words)),
        "{inspected}"
    );
    let data = format!("data.path={}", out.display());
    let mut step = binary(["data", "inspect"]);
    step.arg(&out).arg("--job").arg(recipe("mnist-mlp.toml")).args(set(&[
        &data,
        "batch.size=8",
        "batch.micro_batch=4",
        "data.last_batch=keep",
    ]));
    let samples = Ended::of(step.args(["--epoch", "2", "--step", "7", "--json"])).success();
    let report: serde_json::Value = serde_json::from_str(&samples).unwrap();
    assert_eq!(report[2]["samples"].as_array().map(Vec::len), Some(5), "the last step is short: {report}");

    Ended::of(binary(["data", "prepare"]).arg(stage.path("nowhere")).arg("--out").arg(stage.path("x")))
        .is_refused_with(&["nowhere: cannot be read"]);
    Ended::of(binary(["data", "inspect"]).arg(stage.path("source"))).is_refused_with(&["no prepared dataset"]);
    fs::write(stage.path("source/train/cat/0.png"), b"").unwrap();
    Ended::of(&mut stage.prepare("empty", &[])).is_refused_with(&["cat/0.png: is empty"]);
    assert!(!stage.path("empty").exists(), "nothing is left half-written");
    damage(&stage.path("source/train/cat/0.png"), |bytes| *bytes = picture(0)[..500].to_vec());
    let ended = Ended::of(&mut stage.prepare("cut", &[]));
    let told = ["cat/0.png: ", "cut off"].iter().all(|words| ended.stderr.contains(words));
    assert!(ended.code == Some(2) && told && ended.stdout.is_empty(), "{ended:?}");
    let said = Ended::of(&mut stage.prepare("cut", &["--skip-bad", "1"])).success();
    assert!(said.contains("train: 60 samples") && said.contains("1 sample left out"), "{said}");
}

/// A manifest of so many samples in shards of `a_shard`, which are not there.
fn write_manifest(folder: &Path, samples: u64, a_shard: u64, classes: usize) {
    fs::create_dir_all(folder).unwrap();
    let (mut tables, mut shards) = (Vec::new(), Vec::new());
    for (number, first_sample) in (0..samples).step_by(a_shard as usize).enumerate() {
        let count = a_shard.min(samples - first_sample) as u32;
        let record = |index: u32| {
            let label = (first_sample as u32 + index) % classes as u32;
            Record { block: 1 + 220 * index, length: 110_000, label, crc32: 7 }.encode()
        };
        let table: Vec<u8> = (0..count).flat_map(record).collect();
        shards.push(Shard {
            name: format!("shard-{number:06}.tar"),
            bytes: u64::from(count) * 220 * Record::BLOCK + 2 * Record::BLOCK,
            blake3: Hash::of(b"nothing"),
            first_sample,
            samples: count,
            table_blake3: Hash::of(&table),
        });
        tables.extend(table);
    }
    let images = Images { channels: 3, least: [20, 20], most: [8000, 8000] };
    let manifest = Manifest::new((0..classes).map(|class| class.to_string()).collect(), images, shards);
    fs::write(folder.join(TABLES), tables).unwrap();
    fs::write(folder.join(MANIFEST), manifest.encode().unwrap()).unwrap();
}

/// ImageNet's manifest alone is enough to work out the recipe of Goyal et al.
#[test]
fn a_dry_run_works_out_imagenet_in_an_hour() {
    let folder = tempfile::tempdir().unwrap();
    write_manifest(&folder.path().join("train"), 1_281_167, 1_165, 1000);
    write_manifest(&folder.path().join("test"), 50_000, 1_165, 1000);
    let data = format!("data.path={}", folder.path().display());
    let mut command = binary(["train", "--dry-run"]);
    command.arg(recipe("imagenet-resnet50.toml")).args(set(&[&data]));
    let said = Ended::of(&mut command).success();
    for words in [
        "1,281,167 to train on, 50,000 to test on",
        "resnet50: 25,557,032 parameters",
        "14,040 in 90 epochs",
        "8,192 = 256 lanes of 32, 156 steps an epoch",
        "8: each has 32 lanes, 1,024 samples a step, reads 115.3 MB",
        "0.1 at epoch 0",
        "3.2 at epoch 5",
        "0.0032 at epoch 80",
    ] {
        assert!(said.contains(words), "{words:?}: {said}");
    }
    let json = Ended::of(command.arg("--json")).success();
    let outlook: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&outlook["parameters"], &outlook["steps"]), (&25_557_032.into(), &14_040.into()));
    Ended::of(binary(["train", "--dry-run"]).arg(recipe("imagenet-resnet50.toml")))
        .is_refused_with(&["no such folder"]);
}

/// Pictures of ImageNet, from tars that somebody else has made, through ResNet-18.
#[test]
fn resnet18_trains_on_pictures_of_imagenet() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/imagenet-sample");
    if !sample.is_dir() {
        println!("skipped: {} is not there", sample.display());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let classes = folder.path().join("classes");
    fs::write(&classes, (0..1000).map(|class| format!("{class}\n")).collect::<String>()).unwrap();
    for (tar, split) in [("sample-000000.tar", "train"), ("sample-000001.tar", "test")] {
        let mut prepare = binary(["data", "prepare", "--split", split, "--out"]);
        prepare.arg(folder.path().join("data")).arg("--classes").arg(&classes).arg(sample.join(tar));
        Ended::of(&mut prepare).success();
    }
    let data = format!("data.path={}", folder.path().join("data").display());
    let small = [
        "data.size=64",
        "data.resize=72",
        "batch.size=16",
        "batch.micro_batch=8",
        "schedule.max_steps=3",
        "metrics.every=1",
        &data,
    ];
    let outcome = |run: &str, workers: &str| {
        let run = folder.path().join(run);
        let mut train = lockstep::train(&recipe("imagenet-resnet18.toml"), &run, &small);
        Ended::of(train.args(["--json", "--threads", "1", "--workers", workers, "--set", "cluster.device=cpu"]))
            .success();
        Outcome::of(&run)
    };
    let one = outcome("one", "1");
    assert_eq!(one.steps(), 3);
    assert_eq!(outcome("two", "2"), one);
}

/// Python, if it has WebDataset's own library.
fn python(script: &str, arguments: &[&Path]) -> Option<String> {
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/webdataset");
    let python = |script: &str| {
        let mut command = Command::new("python3");
        command.env("PYTHONPATH", &packages).args(["-c", script]).args(arguments).output()
    };
    if !python("import webdataset").is_ok_and(|output| output.status.success()) {
        println!("skipped: there is no Python with the package webdataset");
        return None;
    }
    let output = python(script).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn webdatasets_own_library_reads_and_writes_the_same_tars() {
    let stage = Stage::prepared();
    let read = "import sys, webdataset as wds\n\
                for s in wds.WebDataset(sys.argv[1], shardshuffle=False): print(s['__key__'], len(s['png']), s['cls'].decode())";
    let Some(told) = python(read, &[&stage.path("data/train/shard-000000.tar")]) else { return };
    let split = Shards::open_folder(&stage.path("data/train")).unwrap();
    let ours: String = (0..split.samples())
        .map(|sample| {
            let (_, record) = split.index.record(sample).unwrap();
            format!("{sample:09} {} {}\n", record.length, record.label)
        })
        .collect();
    assert_eq!(told, ours);

    let write = "import sys, webdataset as wds\n\
                 picture = open(sys.argv[2], 'rb').read()\n\
                 with wds.TarWriter(sys.argv[1]) as w:\n  \
                   for i in range(20): w.write({'__key__': f'{i:04}', 'png': picture, 'cls': i % 4, 'json': {'i': i}})";
    let tar = stage.path("theirs.tar");
    python(write, &[&tar, &stage.path("source/train/cat/0.png")]);
    let said = Ended::of(binary(["data", "prepare"]).arg(&tar).arg("--out").arg(stage.path("theirs"))).success();
    assert!(said.contains("train: 20 samples of 4 classes"), "{said}");
}

/// `tar` unpacks what was prepared.
#[test]
fn tar_reads_the_shards() {
    let stage = Stage::prepared();
    let listed = Command::new("tar").arg("tf").arg(stage.path("data/train/shard-000000.tar")).output();
    let Ok(listed) = listed else { return println!("skipped: there is no tar") };
    assert!(listed.status.success() && listed.stderr.is_empty(), "{listed:?}");
    let names = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(names.lines().take(3).collect::<Vec<_>>(), ["000000000.png", "000000000.cls", "000000001.png"]);
    assert_eq!(names.lines().count(), 122);
}
