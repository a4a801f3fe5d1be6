//! Networks by name, with the real binary: shown, and trained with their running statistics.

mod lockstep;

use lockstep::process::Ended;
use lockstep::{json_lines, lockstep as binary, recipe, train, weights_sha256};

fn show(arguments: &[&str]) -> Ended {
    Ended::of(binary(["model", "show"]).args(arguments))
}

#[test]
fn a_network_is_shown_layer_by_layer() {
    let shown = show(&["resnet18"]).success();
    for words in ["layer1.0.conv1", "(sample)", "3×224×224", "11,689,512 (45 MiB)", "3,628,146,688 FLOP a sample"] {
        assert!(shown.contains(words), "{words:?} is not in {shown}");
    }
    let again = show(&["resnet18", "--set", "model.recompute=true"]).success();
    assert!(again.contains("computed again") && !shown.contains("computed again"), "{again}");
    let shown = json_lines(&show(&["lenet5-1998", "--json"]).success()).remove(0);
    assert_eq!(shown["parameters"], 60_000);
    let names: Vec<_> = shown["tensors"].as_array().unwrap().iter().map(|tensor| &tensor["name"]).collect();
    assert!(names.contains(&&"c3.weight".into()), "{names:?}");
    let smaller = show(&["mlp", "--set", "model.hidden=[10]", "--classes", "3"]).success();
    assert!(smaller.contains("fc2"), "{smaller}");
}

#[test]
fn networks_that_can_not_be_shown() {
    show(&["resnet19"]).is_refused_with(&["`model.name` = \"resnet19\" is unknown", "did you mean resnet18?"]);
    show(&["vgg11", "--size", "20"]).is_refused_with(&["layer features.20", "planes of at least 2×2"]);
    show(&["mlp", "--set", "model.hidden=300"]).is_refused_with(&["`model.hidden` must be a list"]);
}

#[test]
fn a_residual_network_is_trained_with_its_running_statistics() {
    let scratch = tempfile::tempdir().unwrap();
    let settings = [
        "model.name=resnet20",
        "data.limit=64",
        "data.validation=59900",
        "schedule.epochs=1",
        "evaluate.every_epochs=0",
        "batch.size=32",
        "batch.micro_batch=16",
        "optimizer.name=adamw",
        "optimizer.learning_rate=0.001",
        "optimizer.momentum=0",
    ];
    let run = |name: &str, workers: &str| {
        let run = scratch.path().join(name);
        let mut command = train(&recipe("mnist-lenet5.toml"), &run, &settings);
        Ended::of(command.args(["--workers", workers, "--quiet"])).success();
        run
    };
    let (one, two) = (run("one", "1"), run("two", "2"));
    assert_eq!(weights_sha256(&one), weights_sha256(&two));
    let file = std::fs::read(one.join("final/model.safetensors")).unwrap();
    let header = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&file[8..8 + header]).unwrap();
    assert_eq!(header["layer3.2.bn2.running_var"]["shape"], serde_json::json!([64]));
    assert_eq!(header["conv1.weight"]["shape"], serde_json::json!([16, 1, 3, 3]));
}
