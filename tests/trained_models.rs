//! Using a trained model: `eval`, `predict`, `export`, weights to begin with, and jobs whose numbers explode.

mod lockstep;

use std::path::{Path, PathBuf};
use std::process::Command;

use lockstep::noise::write_noise;
use lockstep::process::Ended;
use lockstep::{TINY, json, json_lines, lockstep as binary, names, recipe, train, weights_sha256};
use serde_json::Value;
use tempfile::TempDir;

/// A folder with a data set of noise, for runs of a few steps.
struct Bench {
    folder: TempDir,
    classes: u32,
}

impl Bench {
    fn new(classes: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        write_noise(&folder.path().join("data"), 96, 33, 20, classes);
        Self { folder, classes }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `train` of a recipe's job over this data, into the run folder of this name.
    fn command(&self, run: &str, settings: &[&str]) -> Command {
        let data = format!("data.path={}", self.path("data").display());
        let classes = format!("data.classes={}", self.classes);
        let small = ["batch.size=32", "batch.micro_batch=16", "schedule.epochs=1", "metrics.every=1"];
        let all = [&[data.as_str(), &classes], &small[..], settings].concat();
        train(&recipe("mnist-lenet5.toml"), &self.path(run), &all)
    }

    fn trained(&self, run: &str, settings: &[&str]) -> PathBuf {
        Ended::of(self.command(run, settings).arg("--quiet")).success();
        self.path(run)
    }
}

/// The one line of JSON that a verb prints.
fn said(verb: &str, run: &Path, more: &[&str]) -> Value {
    let said = Ended::of(binary([verb, "--json"]).arg(run).args(more)).success();
    let [line] = &json_lines(&said)[..] else { panic!("one line: {said}") };
    line.clone()
}

/// The last evaluation that training reported.
fn reported(run: &Path) -> Value {
    let lines = json_lines(&std::fs::read_to_string(run.join("metrics.jsonl")).unwrap());
    lines.into_iter().rfind(|line| line["kind"] == "evaluation").unwrap()
}

#[test]
fn an_evaluation_has_the_bits_that_training_reported() {
    let bench = Bench::new(12);
    // 33 test samples are lanes of 16, 16 and 1. Batch statistics and an average of the weights are evaluated too.
    let cases: [(&str, &[&str]); 3] = [
        ("lenet5", &[]),
        ("averaged", &["optimizer.ema=0.5"]),
        ("resnet20", &["model.name=resnet20", "model.activation=relu"]),
    ];
    for (name, settings) in cases {
        let run = bench.trained(name, settings);
        let (report, summary) = (reported(&run), json(&run.join("summary.json")));
        for more in [&["--threads", "1"][..], &["--threads", "2"], &["--threads", "9"], &["--checkpoint"]] {
            let said = said("eval", &run, more);
            for key in ["loss", "accuracy", "top5_accuracy", "samples"] {
                assert_eq!(said[key], report[key], "{name} {more:?}: {key}");
            }
            for (ours, theirs) in [("loss", "test_loss"), ("error", "test_error"), ("top5_error", "test_top5_error")] {
                assert_eq!(said[ours], summary[theirs], "{name} {more:?}: {ours}");
            }
        }
    }
}

#[test]
fn an_evaluation_shows_which_classes_are_taken_for_which() {
    let bench = Bench::new(12);
    let run = bench.trained("run", &["data.validation=20"]);
    let counts = |said: &Value| -> Vec<Vec<u64>> { serde_json::from_value(said["confusion"].clone()).unwrap() };
    for (split, samples) in [("test", 33), ("train", 76), ("validation", 20)] {
        let said = said("eval", &run, &["--split", split]);
        let confusion = counts(&said);
        assert_eq!((&said["split"], &said["samples"]), (&split.into(), &samples.into()));
        assert_eq!(confusion.iter().flatten().sum::<u64>(), samples);
        let right: u64 = (0..12).map(|class| confusion[class][class]).sum();
        assert_eq!(said["accuracy"].as_f64().unwrap(), right as f64 / samples as f64);
    }
    let table = Ended::of(binary(["eval"]).arg(&run).arg(bench.path("data"))).success();
    for words in ["final/model.safetensors", "test of ", "33 samples", "top-5 error", "answers by class:"] {
        assert!(table.contains(words), "{words}: {table}");
    }
    // The summary of training too shows it from 11 classes on.
    let again = Ended::of(&mut bench.command("again", &[]));
    assert!(again.stdout.contains("top-5 error") && again.stderr.contains("  top-5 error "), "{again:?}");
}

#[test]
fn a_digit_that_was_drawn_for_this_project_is_recognised() {
    let scratch = tempfile::tempdir().unwrap();
    let run = scratch.path().join("run");
    Ended::of(train(&recipe("mnist-lenet5.toml"), &run, &["schedule.epochs=1"]).arg("--quiet")).success();
    let seven = recipe("seven.png");
    let told = said("predict", &run, &[seven.to_str().unwrap()]);
    assert_eq!((&told["classes"][0]["class"], &told["inverted"]), (&7.into(), &true.into()), "{told}");
    assert!(told["classes"][0]["probability"].as_f64().unwrap() > 0.5, "{told}");
    assert_eq!((told["classes"].as_array().unwrap().len(), told["outputs"].as_array().unwrap().len()), (5, 10));

    let classes = scratch.path().join("names");
    std::fs::write(&classes, "zero\none\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\n").unwrap();
    let predict = |more: &[&str]| {
        let mut command = binary(["predict"]);
        Ended::of(command.arg(&run).arg(&seven).args(["--classes", classes.to_str().unwrap()]).args(more)).success()
    };
    let text = predict(&[]);
    assert!(text.contains("seven.png (56×56 resized to 28×28, inverted: its border is light)\n  seven "), "{text}");
    assert!(predict(&["--invert"]).contains("inverted: as asked for"));
    assert!(!predict(&["--no-invert"]).contains("inverted"));

    let refused = |arguments: &[&str], words: &[&str]| {
        Ended::of(binary(["predict"]).arg(&run).args(arguments)).is_refused_with(words);
    };
    let bytes = std::fs::read(&seven).unwrap();
    let cut = scratch.path().join("cut.png");
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let cut = cut.to_str().unwrap();
    refused(&[cut], &["cut.png: is no whole PNG"]);
    refused(&[seven.to_str().unwrap(), cut], &["cut.png: is no whole PNG"]);
    std::fs::write(cut, [0xff, 0xd8, 0xff, 0xe0, 0]).unwrap();
    refused(&[cut], &["cut.png: is no whole JPEG"]);
    refused(&[classes.to_str().unwrap()], &["names: is neither PNG nor JPEG"]);
    refused(&["nowhere.png"], &["nowhere.png: cannot be read: No such file"]);
    std::fs::write(&classes, "one\ntwo\n").unwrap();
    let names = classes.to_str().unwrap();
    refused(&[seven.to_str().unwrap(), "--classes", names], &["names: has 2 lines", "10 classes"]);
}

#[test]
fn runs_that_have_no_such_weights() {
    let bench = Bench::new(10);
    let run = bench.trained("run", &[]);
    let eval = |more: &[&str]| Ended::of(binary(["eval"]).arg(&run).args(more));
    Ended::of(binary(["eval"]).arg(bench.path("nowhere"))).is_refused_with(&["nowhere holds no run"]);
    eval(&["nowhere"]).is_refused_with(&["nowhere: no such folder"]);
    eval(&["--split", "validation"]).is_refused_with(&["no validation samples", "data.validation is 0"]);
    std::fs::create_dir(bench.path("other")).unwrap();
    write_noise(&bench.path("other"), 4, 4, 24, 10);
    eval(&[bench.path("other").to_str().unwrap()]).is_refused_with(&["fc1.weight is of shape", "the model's of"]);

    std::fs::remove_file(run.join("run.json")).unwrap();
    let predict = Ended::of(binary(["predict"]).arg(&run).arg(recipe("seven.png")));
    predict.is_refused_with(&["run.json: cannot be read"]);
    std::fs::write(run.join("final/model.safetensors"), "no weights").unwrap();
    eval(&[]).is_refused_with(&["model.safetensors: is no safetensors file"]);
    std::fs::remove_dir_all(run.join("final")).unwrap();
    eval(&[]).is_refused_with(&["no such file: the run has not completed", "--checkpoint"]);
    eval(&["--checkpoint", "--json"]).success();
    std::fs::remove_dir_all(run.join("checkpoints")).unwrap();
    eval(&["--checkpoint"]).is_refused_with(&["checkpoints: no checkpoint"]);
}

#[test]
fn exports_hold_the_weights_and_replace_nothing_unasked() {
    let bench = Bench::new(10);
    let run = bench.trained("run", &["optimizer.ema=0.5"]);
    let out = bench.path("out.safetensors");
    let export = |more: &[&str]| Ended::of(binary(["export"]).arg(&run).arg("--out").arg(&out).args(more));
    let said = export(&[]).success();
    assert!(said.contains("10 tensors") && said.contains("out.safetensors"), "{said}");
    let bytes = |path: &Path| std::fs::read(path).unwrap();
    let averaged = bytes(&run.join("final/model.safetensors"));
    assert!(bytes(&out) == averaged);
    export(&["--trained"]).is_refused_with(&["out.safetensors is there already", "--overwrite"]);
    assert!(bytes(&out) == averaged);
    export(&["--trained", "--overwrite"]).success();
    assert!(bytes(&out) != averaged && bytes(&out).len() == averaged.len());
    for same in [&["--averaged", "--overwrite"][..], &["--checkpoint", "--overwrite"]] {
        export(same).success();
        assert!(bytes(&out) == averaged, "{same:?}");
    }
    let nowhere = bench.path("nowhere/out");
    let elsewhere = Ended::of(binary(["export"]).arg(&run).arg("--out").arg(&nowhere));
    elsewhere.is_refused_with(&["nowhere/out: cannot be written", "another --out"]);
    let folder = Ended::of(binary(["export", "--overwrite"]).arg(&run).arg("--out").arg(bench.path("data")));
    folder.is_refused_with(&["data is a folder"]);
    assert_eq!(names(bench.folder.path()), ["data", "out.safetensors", "run"]);
}

/// Runs a script with $PYTHON, or python3, if it has these modules; its output.
fn python(modules: &str, script: &str, arguments: &[&Path]) -> Option<String> {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let has = Command::new(&python).args(["-c", &format!("import {modules}")]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        println!("skipped: {python} has not all of {modules}; name one that has with $PYTHON");
        return None;
    }
    let ran = Command::new(&python).args(["-c", script]).args(arguments).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    Some(String::from_utf8(ran.stdout).unwrap())
}

#[test]
fn exports_open_in_python() {
    const NAMES: &str = "import sys\n\
        from safetensors.numpy import load_file\n\
        print(*sorted(load_file(sys.argv[1])))\n";
    let bench = Bench::new(10);
    let run = bench.trained("run", &[]);
    let out = bench.path("out.safetensors");
    Ended::of(binary(["export"]).arg(&run).arg("--out").arg(&out)).success();
    if let Some(names) = python("numpy, safetensors", NAMES, &[&out]) {
        let layers = ["conv1", "conv2", "fc1", "fc2", "fc3"];
        assert_eq!(names.trim(), layers.map(|layer| format!("{layer}.bias {layer}.weight")).join(" "));
    }
}

/// torchvision's ResNet-18 with the exported weights says of a picture what `predict` says, and back: its own
/// `state_dict` is a job's initial weights.
#[test]
fn torchvision_computes_the_same() {
    const LOGITS: &str = "import sys, torch, torchvision\n\
        from safetensors.torch import load_file, save_file\n\
        weights, pixels, back = sys.argv[1:]\n\
        model = torchvision.models.resnet18(num_classes=10)\n\
        model.conv1 = torch.nn.Conv2d(1, 64, 7, 2, 3, bias=False)\n\
        model.load_state_dict(load_file(weights), strict=True)\n\
        model.eval()\n\
        image = torch.tensor(list(open(pixels, 'rb').read())).reshape(1, 1, 20, 20) / 255\n\
        print(*model((image - 0.25) / 0.5)[0].tolist())\n\
        save_file(model.state_dict(), back)\n";
    let bench = Bench::new(10);
    let settings = ["model.name=resnet18", "model.activation=relu", "data.mean=0.25", "data.std=0.5"];
    let run = bench.trained("run", &settings);
    let [out, pixels, image, back] =
        ["out.safetensors", "pixels", "image.png", "back.safetensors"].map(|n| bench.path(n));
    Ended::of(binary(["export"]).arg(&run).arg("--out").arg(&out)).success();
    let values: Vec<u8> = (0..400u32).map(|place| (place * place % 251) as u8).collect();
    std::fs::write(&pixels, &values).unwrap();
    write_png(&image, 20, &values);
    let Some(theirs) = python("torch, torchvision, safetensors.torch", LOGITS, &[&out, &pixels, &back]) else { return };
    let theirs: Vec<f64> = theirs.split_whitespace().map(|number| number.parse().unwrap()).collect();
    let ours = said("predict", &run, &[image.to_str().unwrap(), "--no-invert"]);
    let ours: Vec<f64> = serde_json::from_value(ours["outputs"].clone()).unwrap();
    let worst = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(ours.len() == 10 && theirs.len() == 10 && worst < 1e-4, "{ours:?} {theirs:?}");
    println!("largest difference of a logit: {worst:e}");

    // A step with a learning rate of next to nothing leaves them as they are.
    let from = ["--init-from", back.to_str().unwrap(), "--quiet"];
    let still = [&settings[..], &["schedule.max_steps=1", "optimizer.learning_rate=1e-30"]].concat();
    Ended::of(bench.command("again", &still).args(from)).success();
    let again = said("predict", &bench.path("again"), &[image.to_str().unwrap(), "--no-invert"]);
    assert_eq!(again["outputs"].as_array().unwrap().len(), 10);
}

/// A grey picture of 8 bits.
fn write_png(path: &Path, side: u32, pixels: &[u8]) {
    let mut encoder = png::Encoder::new(std::fs::File::create(path).unwrap(), side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().unwrap().write_image_data(pixels).unwrap();
}

#[test]
fn a_job_begins_with_the_weights_of_a_file() {
    let bench = Bench::new(10);
    let first = bench.trained("first", &[]);
    let weights = first.join("final/model.safetensors");
    // No step changes them: what comes out is what went in.
    let still = ["optimizer.learning_rate=1e-30", "optimizer.momentum=0", "optimizer.weight_decay=0"];
    for (run, workers) in [("second", "1"), ("third", "2")] {
        let mut command = bench.command(run, &still);
        Ended::of(command.arg("--init-from").arg(&weights).args(["--quiet", "--workers", workers])).success();
        assert_eq!(weights_sha256(&bench.path(run)), weights_sha256(&first));
    }
    let toml = std::fs::read_to_string(bench.path("second/job.toml")).unwrap();
    let hash = blake3::hash(&std::fs::read(&weights).unwrap()).to_hex();
    assert!(toml.contains(&format!("init_blake3 = \"{hash}\"")), "{toml}");

    // A new last layer, for other classes.
    let other = Bench::new(12);
    let from = |more: &[&str]| {
        let mut command = other.command("run", &still);
        Ended::of(command.arg("--init-from").arg(&weights).args(more))
    };
    from(&[]).is_refused_with(&["its tensor fc3.weight is of shape [10, 84], the model's of [12, 84]", "--new-head"]);
    assert_eq!(names(other.folder.path()), ["data"]);
    from(&["--new-head", "--quiet"]).success();
    let out = |name: &str| other.path(name);
    let head = Ended::of(other.command("head", &still).args(["--quiet"]));
    head.success();
    assert_ne!(weights_sha256(&out("run")), weights_sha256(&out("head")));
}

#[test]
fn files_of_weights_that_no_job_can_begin_with() {
    let bench = Bench::new(10);
    let first = bench.trained("first", &[]);
    let weights = first.join("final/model.safetensors");
    let file = bench.path("file");
    let refused = |settings: &[&str], words: &[&str]| {
        Ended::of(bench.command("run", settings).arg("--init-from").arg(&file)).is_refused_with(words);
        assert_eq!(names(bench.folder.path()).iter().filter(|name| *name == "run").count(), 0);
    };
    refused(&[], &["model.init_from", "file: cannot be read: No such file"]);
    std::fs::write(&file, b"PK\x03\x04 an archive of pickles").unwrap();
    refused(&[], &["file: is no safetensors file"]);
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 4]).unwrap();
    refused(&[], &["file: is no safetensors file"]);
    let mut strange = bytes.clone();
    let end = strange.len();
    strange[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&file, strange).unwrap();
    refused(&[], &["file: its tensor", "holds NaN"]);
    std::fs::write(&file, &bytes).unwrap();
    refused(&["model.name=mlp"], &["file: its tensor fc2.weight is of shape [84, 120], the model's of [10, "]);
    let zeros = format!("model.init_blake3={}", "0".repeat(64));
    refused(&[&zeros], &["file: its BLAKE3 is ", "not model.init_blake3", "the job was made with"]);
    let alone = Ended::of(bench.command("run", &["model.new_head=true"]).arg("--quiet"));
    alone.is_refused_with(&["`model.new_head` needs `model.init_from`"]);
}

#[test]
fn numbers_that_explode_stop_the_job() {
    let scratch = tempfile::tempdir().unwrap();
    let explode =
        ["optimizer.learning_rate=1e30", "checkpoint.every_steps=1", "metrics.every=1", "batch.micro_batch=16"];
    let mut reasons = Vec::new();
    for workers in ["1", "2"] {
        let run = scratch.path().join(workers);
        let mut command = train(&recipe("mnist-lenet5.toml"), &run, &[&TINY[..2], &explode].concat());
        let ended = Ended::of(command.args(["--workers", workers]));
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let summary = json(&run.join("summary.json"));
        assert_eq!(summary["stop_reason"], "nonfinite");
        let reason = summary["reason"].as_str().unwrap().to_owned();
        assert!(ended.stdout.contains(&reason), "{ended:?}");
        let committed = summary["steps"].as_u64().unwrap();
        assert!(reason.starts_with(&format!("step {} is not finite: in lane ", committed + 1)), "{reason}");
        assert!(reason.contains(" of layer "), "{reason}");
        assert_eq!(names(&run.join("checkpoints")).last().unwrap(), &format!("step-{committed:012}-g1"));
        assert!(!run.join("final").exists());
        reasons.push(reason);
    }
    assert_eq!(reasons[0], reasons[1]);

    let run = scratch.path().join("on");
    let on = [&TINY[..2], &explode, &["schedule.on_nonfinite=continue"]].concat();
    Ended::of(train(&recipe("mnist-lenet5.toml"), &run, &on).arg("--quiet")).success();
    let summary = json(&run.join("summary.json"));
    assert_eq!((&summary["steps"], &summary["test_loss"]), (&5.into(), &Value::Null));
}
