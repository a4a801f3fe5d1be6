//! Jobs that are refused, each in one line.

use std::path::Path;

use expect_test::{Expect, expect};

use super::load;
use crate::job::{Job, MAX_JOB_BYTES};

const GOOD: &str = "seed = 1\n[data]\npath = '/data'\n";

fn check_file(text: &str, line: Expect) {
    let error = load(text, &[], &[]).expect_err("must be refused");
    assert_eq!(error.lines().count(), 1, "{error}");
    line.assert_eq(&error);
}

fn check_set(overrides: &[&str], line: Expect) {
    let error = load(GOOD, &[], overrides).expect_err("must be refused");
    assert_eq!(error.lines().count(), 1, "{error}");
    line.assert_eq(&error);
}

#[test]
fn unknown_keys_name_the_nearest() {
    check_file("[batch]\nsise = 3", expect!["job.toml: unknown key `batch.sise`: did you mean `batch.size`?"]);
    check_file("[bacth]\nsize = 3", expect!["job.toml: unknown key `bacth`: did you mean `batch`?"]);
    check_file("epochs = 3", expect!["job.toml: unknown key `epochs`: did you mean `schedule.epochs`?"]);
    check_file(
        "[optimizer]\nlr = 1",
        expect!["job.toml: unknown key `optimizer.lr`: did you mean `optimizer.learning_rate`?"],
    );
    check_file(
        "[model]\nlearning_rate = 1",
        expect!["job.toml: unknown key `model.learning_rate`: did you mean `optimizer.learning_rate`?"],
    );
    check_file("\"batch.size\" = 3", expect![[r#"job.toml: unknown key `"batch.size"`: did you mean `batch.size`?"#]]);
    check_file("\"a\\nb\" = 3", expect![[r#"job.toml: unknown key `"a\nb"`: did you mean `batch`?"#]]);
    check_set(
        &["model.hidden.width=3"],
        expect!["--set model.hidden.width=3: unknown key `model.hidden.width`: did you mean `model.hidden`?"],
    );
    check_set(
        &["cluster.worker=3"],
        expect!["--set cluster.worker=3: unknown key `cluster.worker`: did you mean `cluster.workers`?"],
    );
}

#[test]
fn keys_of_initial_weights_go_together() {
    check_set(
        &["model.new_head=true"],
        expect!["--set model.new_head=true: `model.new_head` needs `model.init_from`: name the file of weights"],
    );
    check_set(
        &["model.init_from=/w", "model.init_blake3=ABC"],
        expect![
            "--set model.init_blake3=ABC: `model.init_blake3` must be 64 hexadecimal digits in lower case, or be left out"
        ],
    );
}

#[test]
fn wrong_types_name_what_is_wanted() {
    check_file(
        "[batch]\nsize = \"64\"",
        expect![[r#"job.toml: `batch.size` must be an integer from 0 to 4294967295, but is the string "64""#]],
    );
    check_file(
        "[batch]\nsize = 64.0",
        expect!["job.toml: `batch.size` must be an integer from 0 to 4294967295, but is the number 64.0"],
    );
    check_file(
        "[batch]\nsize = -1",
        expect!["job.toml: `batch.size` must be an integer from 0 to 4294967295, but is the integer -1"],
    );
    check_file(
        "[batch]\nsize = 4294967296",
        expect!["job.toml: `batch.size` must be an integer from 0 to 4294967295, but is the integer 4294967296"],
    );
    check_file("batch = [64, 32]", expect!["job.toml: `batch` must be a table, but is a list"]);
    check_file("batch = 64", expect!["job.toml: `batch` must be a table, but is the integer 64"]);
    check_file(
        "seed = 'one'",
        expect![[r#"job.toml: `seed` must be an integer from 0 or a table, but is the string "one""#]],
    );
    check_file("seed = -1", expect!["job.toml: `seed` must be an integer from 0 or a table, but is the integer -1"]);
    check_file("[model]\nhidden = 300", expect!["job.toml: `model.hidden` must be a list, but is the integer 300"]);
    check_file(
        "[model]\nhidden = [300, 'x']",
        expect![[r#"job.toml: `model.hidden[1]` must be an integer from 0 to 4294967295, but is the string "x""#]],
    );
    check_file("[model]\nname = 5", expect!["job.toml: `model.name` must be a string, but is the integer 5"]);
    check_file("[data]\npath = 5", expect!["job.toml: `data.path` must be a string, but is the integer 5"]);
    check_file(
        "[optimizer]\nnesterov = 1",
        expect!["job.toml: `optimizer.nesterov` must be true or false, but is the integer 1"],
    );
    check_file(
        "[optimizer]\nlearning_rate = 'fast'",
        expect![[r#"job.toml: `optimizer.learning_rate` must be a number, but is the string "fast""#]],
    );
    check_file(
        "[optimizer]\nlearning_rate = 2026-01-01",
        expect!["job.toml: `optimizer.learning_rate` must be a number, but is a date or time"],
    );
    check_set(
        &["model.hidden=300,100"],
        expect![[r#"--set model.hidden=300,100: `model.hidden` must be a list, but is the string "300,100""#]],
    );
    check_set(
        &["batch.size=many"],
        expect![[
            r#"--set batch.size=many: `batch.size` must be an integer from 0 to 4294967295, but is the string "many""#
        ]],
    );
}

#[test]
fn unknown_words_name_the_known_ones() {
    check_file(
        "[model]\nname = 'lenet'",
        expect![[
            r#"job.toml: `model.name` = "lenet" is unknown: choose mlp, lenet5, lenet5-1998, alexnet, alexnet-2012, vgg11, vgg11_bn, vgg16, vgg16_bn, resnet18, resnet34, resnet50, resnet101, resnet20, resnet32, resnet44, resnet56, resnet110, layers (did you mean lenet5?)"#
        ]],
    );
    check_file(
        "[model]\nname = 'vision_transformer'",
        expect![[
            r#"job.toml: `model.name` = "vision_transformer" is unknown: choose mlp, lenet5, lenet5-1998, alexnet, alexnet-2012, vgg11, vgg11_bn, vgg16, vgg16_bn, resnet18, resnet34, resnet50, resnet101, resnet20, resnet32, resnet44, resnet56, resnet110, layers"#
        ]],
    );
    check_set(
        &["loss.name=mse"],
        expect![[
            r#"--set loss.name=mse: `loss.name` = "mse" is unknown: choose cross_entropy, squared_error, binary_cross_entropy, map"#
        ]],
    );
    check_set(
        &["model.precision=fp16"],
        expect![[
            r#"--set model.precision=fp16: `model.precision` = "fp16" is unknown: choose f32, tf32, bf16 (did you mean bf16?)"#
        ]],
    );
    check_set(
        &["cluster.libraries=all"],
        expect![[r#"--set cluster.libraries=all: `cluster.libraries` = "all" is unknown: choose own, auto"#]],
    );
    check_set(
        &["cluster.instruction_set=AVX2"],
        expect![[
            r#"--set cluster.instruction_set=AVX2: `cluster.instruction_set` = "AVX2" is unknown: choose auto, avx512, avx2, portable (did you mean avx2?)"#
        ]],
    );
}

#[test]
fn values_that_no_run_can_have() {
    check_set(
        &["cluster.libraries=auto", "cluster.device=cuda", "data.skip_bad=17"],
        expect![[
            r#"--set data.skip_bad=17: `data.skip_bad` = 17: 16 are the most with `cluster.libraries` = "auto", since lanes of each size need plans: lower it, or set `cluster.libraries = "own"`"#
        ]],
    );
    check_set(
        &["cluster.libraries=auto"],
        expect![[
            r#"--set cluster.libraries=auto: `cluster.libraries` other than "own" is for GPUs: set `cluster.device = "cuda"` or "auto""#
        ]],
    );
    check_set(
        &["model.precision=bf16"],
        expect![[
            r#"--set model.precision=bf16: `model.precision` other than "f32" is for GPUs: set `cluster.device = "cuda"`"#
        ]],
    );
    check_set(
        &["model.precision=tf32", "cluster.device=cuda"],
        expect![[
            r#"--set model.precision=tf32: `model.precision` = "tf32" is cuDNN's and cuBLASLt's: set `cluster.libraries = "auto"`"#
        ]],
    );
    check_set(
        &["model.precision=bf16", "cluster.device=cuda", "optimizer.name=diagonal_lm"],
        expect![[
            r#"--set optimizer.name=diagonal_lm: `model.precision` must be "f32" for `optimizer.name` = "diagonal_lm": second derivatives are computed in that"#
        ]],
    );
    check_set(
        &["batch.size=100"],
        expect![
            "--set batch.size=100: `batch.size` = 100 is not divisible by `batch.micro_batch` = 32: set batch.micro_batch to 25 or 50, or batch.size to 96 or 128"
        ],
    );
    check_set(
        &["batch.size=97"],
        expect![
            "--set batch.size=97: `batch.size` = 97 is not divisible by `batch.micro_batch` = 32: set batch.micro_batch to 1 or 97, or batch.size to 96 or 128"
        ],
    );
    check_set(
        &["batch.size=16"],
        expect![
            "--set batch.size=16: `batch.size` = 16 is not divisible by `batch.micro_batch` = 32: set batch.micro_batch to 16, or batch.size to 32"
        ],
    );
    check_set(&["batch.size=0"], expect!["--set batch.size=0: `batch.size` = 0: must be 1 to 1048576"]);
    check_set(
        &["batch.micro_batch=0"],
        expect!["--set batch.micro_batch=0: `batch.micro_batch` = 0: must be 1 to 4096"],
    );
    check_set(
        &["batch.size=8192", "batch.micro_batch=8192"],
        expect!["--set batch.micro_batch=8192: `batch.micro_batch` = 8192: must be 1 to 4096"],
    );
    check_set(
        &["batch.size=1048576", "batch.micro_batch=1"],
        expect![
            "--set batch.micro_batch=1: `batch.size` = 1048576 makes 1048576 lanes of `batch.micro_batch` = 1, but 65536 are the most: raise batch.micro_batch"
        ],
    );
    check_set(
        &["model.hidden=[10, 0]"],
        expect!["--set model.hidden=[10, 0]: `model.hidden` has a width of 0: each must be 1 to 65536"],
    );
    check_set(
        &["model.hidden=[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]"],
        expect![
            "--set model.hidden=[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]: `model.hidden` has 17 layers: 16 are the most"
        ],
    );
    check_set(
        &["model.output_activation=tanh"],
        expect![[
            r#"--set model.output_activation=tanh: `model.output_activation` must be "none" for `loss.name` = "cross_entropy": the loss has its own softmax"#
        ]],
    );
    check_set(
        &["model.output_activation=tanh", "loss.name=squared_error", "model.name=lenet5"],
        expect![[
            r#"--set model.name=lenet5: `model.output_activation` must be "none" for `model.name` = "lenet5": its outputs are linear"#
        ]],
    );
    check_set(
        &["data.std=0"],
        expect!["--set data.std=0: `data.std` = 0.0: must be above 0 and finite as a 32-bit number"],
    );
    check_set(&["data.mean=nan"], expect!["--set data.mean=nan: `data.mean` = NaN: must be from 0 to 1"]);
    check_set(&["data.classes=1"], expect!["--set data.classes=1: `data.classes` = 1: must be 2 to 65536"]);
    check_set(&["data.pad=65"], expect!["--set data.pad=65: `data.pad` = 65: must be 0 to 64"]);
    check_set(&["schedule.epochs=0"], expect!["--set schedule.epochs=0: `schedule.epochs` = 0: must be 1 to 1000000"]);
    check_set(
        &["optimizer.learning_rate=0"],
        expect![
            "--set optimizer.learning_rate=0: `optimizer.learning_rate` = 0.0: must be above 0 and finite as a 32-bit number"
        ],
    );
    check_set(
        &["optimizer.learning_rate=inf"],
        expect![
            "--set optimizer.learning_rate=inf: `optimizer.learning_rate` = inf: must be above 0 and finite as a 32-bit number"
        ],
    );
    check_set(
        &["optimizer.learning_rate=1e-60"],
        expect![
            "--set optimizer.learning_rate=1e-60: `optimizer.learning_rate` = 1e-60: must be above 0 and finite as a 32-bit number"
        ],
    );
    check_set(
        &["optimizer.momentum=1.0"],
        expect!["--set optimizer.momentum=1.0: `optimizer.momentum` = 1.0: must be at least 0 and below 1"],
    );
    check_set(
        &["optimizer.weight_decay=-0.1"],
        expect![
            "--set optimizer.weight_decay=-0.1: `optimizer.weight_decay` = -0.1: must be at least 0 and finite as a 32-bit number"
        ],
    );
    check_set(
        &["optimizer.nesterov=true"],
        expect![
            "--set optimizer.nesterov=true: `optimizer.nesterov` needs `optimizer.momentum` above 0: set it, such as to 0.9"
        ],
    );
    check_set(&["metrics.every=0"], expect!["--set metrics.every=0: `metrics.every` = 0: must be at least 1"]);
    check_set(&["cluster.workers=0"], expect!["--set cluster.workers=0: `cluster.workers` = 0: must be 1 to 1024"]);
    check_set(
        &["cluster.threads=2000"],
        expect!["--set cluster.threads=2000: `cluster.threads` = 2000: must be 0 to 1024"],
    );
    check_file("seed = 1", expect!["job.toml: `data.path` is not set: name the folder of the data"]);
    check_file(
        "[data]\npath='/data'\n[batch]\nsize = 100",
        expect![
            "job.toml: `batch.size` = 100 is not divisible by `batch.micro_batch` = 32: set batch.micro_batch to 25 or 50, or batch.size to 96 or 128"
        ],
    );
}

#[test]
fn optimizers_that_no_run_can_have() {
    check_set(
        &["optimizer.name=adan"],
        expect![[
            r#"--set optimizer.name=adan: `optimizer.name` = "adan" is unknown: choose sgd, adagrad, rmsprop, adam, adamw, lars, lamb, diagonal_lm (did you mean adam?)"#
        ]],
    );
    check_set(
        &["optimizer.beta2=1"],
        expect!["--set optimizer.beta2=1: `optimizer.beta2` = 1.0: must be at least 0 and below 1"],
    );
    check_set(
        &["optimizer.ema=0.99999999999"],
        expect!["--set optimizer.ema=0.99999999999: `optimizer.ema` = 0.99999999999: must be at least 0 and below 1"],
    );
    check_set(
        &["optimizer.epsilon=-1"],
        expect![
            "--set optimizer.epsilon=-1: `optimizer.epsilon` = -1.0: must be at least 0 and finite as a 32-bit number"
        ],
    );
    check_set(
        &["optimizer.clip_norm=1e39"],
        expect![
            "--set optimizer.clip_norm=1e39: `optimizer.clip_norm` = 1e39: must be at least 0 and finite as a 32-bit number"
        ],
    );
    check_set(
        &["optimizer.trust=0"],
        expect!["--set optimizer.trust=0: `optimizer.trust` = 0.0: must be above 0 and finite as a 32-bit number"],
    );
    check_set(
        &["optimizer.name=diagonal_lm", "optimizer.mu=0"],
        expect!["--set optimizer.mu=0: `optimizer.mu` = 0.0: must be above 0 and finite as a 32-bit number"],
    );
    check_set(
        &["optimizer.name=diagonal_lm", "optimizer.curvature_samples=0"],
        expect!["--set optimizer.curvature_samples=0: `optimizer.curvature_samples` = 0: must be 1 to 65536"],
    );
    check_set(
        &["optimizer.mu=0.1"],
        expect![[
            r#"--set optimizer.mu=0.1: `optimizer.mu` = 0.1 has no part in `optimizer.name` = "sgd": it is for diagonal_lm"#
        ]],
    );
    check_set(
        &["optimizer.name=diagonal_lm", "loss.smoothing=0.1"],
        expect![[r#"--set loss.smoothing=0.1: `loss.smoothing` must be 0 for `optimizer.name` = "diagonal_lm""#]],
    );
    check_set(
        &["optimizer.base_batch=0"],
        expect!["--set optimizer.base_batch=0: `optimizer.base_batch` = 0: must be 1 to 4294967295"],
    );
    check_set(
        &["optimizer.momentum=0.9", "optimizer.name=adam"],
        expect![[
            r#"--set optimizer.name=adam: `optimizer.momentum` = 0.9 has no part in `optimizer.name` = "adam": it is for sgd, rmsprop, lars"#
        ]],
    );
    check_set(
        &["optimizer.name=lamb", "optimizer.decoupled=true"],
        expect![[
            r#"--set optimizer.decoupled=true: `optimizer.decoupled` = true has no part in `optimizer.name` = "lamb": it is for sgd, adagrad, rmsprop, adam, adamw, diagonal_lm"#
        ]],
    );
    check_set(
        &["optimizer.name=lars", "optimizer.clip_value=1"],
        expect![[
            r#"--set optimizer.clip_value=1: `optimizer.clip_value` = 1.0 has no part in `optimizer.name` = "lars": it is for sgd, adagrad, rmsprop, adam, adamw, lamb, diagonal_lm"#
        ]],
    );
    check_set(
        &["optimizer.centered=true"],
        expect![[
            r#"--set optimizer.centered=true: `optimizer.centered` = true has no part in `optimizer.name` = "sgd": it is for rmsprop"#
        ]],
    );
    check_set(
        &["optimizer.dampening=0.1"],
        expect![
            "--set optimizer.dampening=0.1: `optimizer.dampening` needs `optimizer.momentum` above 0: set it, such as to 0.9"
        ],
    );
    check_set(
        &["optimizer.momentum=0.9", "optimizer.nesterov=true", "optimizer.dampening=0.1"],
        expect!["--set optimizer.dampening=0.1: `optimizer.nesterov` needs `optimizer.dampening` = 0"],
    );
    check_set(
        &["optimizer.clip_norm=1", "optimizer.clip_value=1"],
        expect![
            "--set optimizer.clip_value=1: `optimizer.clip_norm` and `optimizer.clip_value` exclude each other: set one of them to 0"
        ],
    );
    for (rho, shown) in [("-0.05", "-0.05"), ("nan", "NaN"), ("inf", "inf"), ("1001", "1001.0")] {
        let error = load(GOOD, &[], &[&format!("optimizer.sam={rho}")]).expect_err("must be refused");
        assert_eq!(error, format!("--set optimizer.sam={rho}: `optimizer.sam` = {shown}: must be 0 to 1000"));
    }
    check_set(
        &["optimizer.sam_over=micro_batch"],
        expect![
            "--set optimizer.sam_over=micro_batch: `optimizer.sam_over` needs `optimizer.sam` above 0: set it, such as to 0.05"
        ],
    );
    check_set(
        &["optimizer.sam=0.05", "optimizer.sam_over=lane"],
        expect![[
            r#"--set optimizer.sam_over=lane: `optimizer.sam_over` = "lane" is unknown: choose batch, micro_batch"#
        ]],
    );
    check_set(
        &["optimizer.name=diagonal_lm", "optimizer.sam=0.05"],
        expect![[
            r#"--set optimizer.sam=0.05: `optimizer.sam` must be 0 for `optimizer.name` = "diagonal_lm": its second derivatives are not those above the weights"#
        ]],
    );
    check_set(
        &["optimizer.gradient_penalty=-0.1"],
        expect!["--set optimizer.gradient_penalty=-0.1: `optimizer.gradient_penalty` = -0.1: must be 0 to 1000"],
    );
    check_set(
        &["optimizer.gradient_penalty_over=micro_batch"],
        expect![
            "--set optimizer.gradient_penalty_over=micro_batch: `optimizer.gradient_penalty_over` needs `optimizer.gradient_penalty` above 0: set it, such as to 0.01"
        ],
    );
    check_set(
        &["optimizer.name=diagonal_lm", "optimizer.gradient_penalty=0.01"],
        expect![[
            r#"--set optimizer.gradient_penalty=0.01: `optimizer.gradient_penalty` must be 0 for `optimizer.name` = "diagonal_lm": its second derivatives are not those above the weights"#
        ]],
    );
    check_set(
        &["optimizer.sam=0.05", "optimizer.gradient_penalty=0.01"],
        expect![
            "--set optimizer.gradient_penalty=0.01: `optimizer.gradient_penalty` and `optimizer.sam` exclude each other, since each has the second pass of a step: set one of them to 0"
        ],
    );
    let on_gpus = ["cluster.device=cuda", "optimizer.gradient_penalty=0.01"];
    check_set(
        &[on_gpus[0], on_gpus[1], "model.precision=bf16"],
        expect![[
            r#"--set model.precision=bf16: `model.precision` must be "f32" for `optimizer.gradient_penalty`: it is of the difference of two gradients, which fewer bits round away"#
        ]],
    );
    check_set(
        &[on_gpus[0], on_gpus[1], "optimizer.reduction=fast_bf16"],
        expect![[
            r#"--set optimizer.reduction=fast_bf16: `optimizer.gradient_penalty` over the batch is of the difference of two reduced gradients, which `optimizer.reduction` = "fast_bf16" rounds away: set that to "tree" or "fast""#
        ]],
    );
    check_set(
        &["optimizer.gradient_noise=-1"],
        expect![
            "--set optimizer.gradient_noise=-1: `optimizer.gradient_noise` = -1.0: must be at least 0 and finite as a 32-bit number"
        ],
    );
    // Batches of 64 in micro-batches of 32.
    for noise_batch in ["64", "65"] {
        let error = load(GOOD, &[], &[&format!("optimizer.noise_batch={noise_batch}")]).expect_err("must be refused");
        assert!(
            error.contains(&format!("`optimizer.noise_batch` = {noise_batch} is not below the batch of 64")),
            "{error}"
        );
    }
    let grows = ["batch.growth=[[2, 128]]", "optimizer.noise_batch=64"];
    assert!(load(GOOD, &[], &grows).is_ok(), "it is below the later batch");
    check_set(
        &["batch.growth=[[2, 128]]", "optimizer.noise_batch=128"],
        expect![
            "--set optimizer.noise_batch=128: `optimizer.noise_batch` = 128 is not below the batch of 64, whose noise is no more than its own: lower it, or set it to 0"
        ],
    );
    check_set(
        &["optimizer.noise_batch=16"],
        expect![
            "--set optimizer.noise_batch=16: `optimizer.noise_batch` = 16 is below `batch.micro_batch` = 32, whose gradients are not taken apart: raise it, or lower `batch.micro_batch`"
        ],
    );
    check_set(
        &["optimizer.noise_batch=32", "optimizer.sam=0.05"],
        expect![[
            r#"--set optimizer.sam=0.05: `optimizer.noise_batch` excludes `optimizer.sam` over the batch, which would go up along the noise: set `optimizer.sam_over = "micro_batch"`, or one of them to 0"#
        ]],
    );
    check_set(
        &["optimizer.noise_batch=32", "optimizer.gradient_penalty=0.05"],
        expect![[
            r#"--set optimizer.gradient_penalty=0.05: `optimizer.noise_batch` excludes `optimizer.gradient_penalty` over the batch, which would go up along the noise: set `optimizer.gradient_penalty_over = "micro_batch"`, or one of them to 0"#
        ]],
    );
    check_set(
        &["optimizer.noise_batch=32", "data.skip_bad=1"],
        expect![
            "--set data.skip_bad=1: `optimizer.noise_batch` needs to know each lane's samples before they are read: set `data.skip_bad` to 0"
        ],
    );
    check_set(
        &["data.label_noise=1.5"],
        expect!["--set data.label_noise=1.5: `data.label_noise` = 1.5: must be from 0 to 1"],
    );
    check_set(
        &["optimizer.base_batch=128"],
        expect![[
            r#"--set optimizer.base_batch=128: `optimizer.base_batch` = 128 needs `optimizer.scaling`: set it to "linear" or "sqrt""#
        ]],
    );
    assert!(load(GOOD, &[], &["optimizer.base_batch=128", "optimizer.scaling=sqrt"]).is_ok());
}

#[test]
fn augmentations_that_no_run_can_have() {
    // The value in words, behind where it was said.
    let check = |set: &str, problem: &str| {
        let error = load(GOOD, &[], &[set]).expect_err("must be refused");
        assert_eq!(error, format!("--set {set}: {problem}"));
    };
    check(
        "augment.random_resized_crop=[1.0, 0.08]",
        "`augment.random_resized_crop` = [1.0, 0.08]: must be the smallest and the largest share of an image's area, \
         above 0 and at most 1, such as [0.08, 1.0], or [] for none",
    );
    check("augment.crop_ratio=[2.0, 1.0]", "`augment.crop_ratio` = [2.0, 1.0]: must ascend, from 0.1 to 10");
    check("augment.crop_ratio=[1.0, 1.0]", "`augment.crop_ratio` needs `augment.random_resized_crop`: set it");
    check("augment.lighting=11", "`augment.lighting` = 11.0: must be from 0 to 10");
    for (other, problem) in [
        (
            "loss.name='squared_error'",
            "`augment.mixup` needs `loss.name` = \"cross_entropy\": samples are of two classes",
        ),
        ("optimizer.name='diagonal_lm'", "`augment.mixup` must be 0 for `optimizer.name` = \"diagonal_lm\""),
        ("batch.micro_batch=1", "`augment.mixup` mixes samples of a micro-batch: set `batch.micro_batch` above 1"),
    ] {
        let error = load(GOOD, &[], &["augment.mixup=0.2", other]).expect_err("must be refused");
        assert_eq!(error, format!("--set {other}: {problem}"));
    }
    check("augment.mixup=0.001", "`augment.mixup` = 0.001: must be 0, or from 0.01 to 100");
    check("augment.cutmix=-1.0", "`augment.cutmix` = -1.0: must be 0, or from 0.01 to 100");
    check("data.size=1025", "`data.size` = 1025: must be 0 to 1024");
    check("data.skip_bad=65537", "`data.skip_bad` = 65537: must be 0 to 65536");
    check("data.resize=256", "`data.resize` = 256 needs `data.size`, the side that is cut out: set it");
    check("augment.pad_crop=65", "`augment.pad_crop` = 65: must be 0 to 64");
    check("augment.pad_crop=-1", "`augment.pad_crop` must be an integer from 0 to 4294967295, but is the integer -1");
    check("augment.flip=1", "`augment.flip` must be true or false, but is the integer 1");
    check("augment.scale=1", "`augment.scale` = 1.0: must be from 0 to 0.9");
    check("augment.squeeze=-0.1", "`augment.squeeze` = -0.1: must be from 0 to 0.9");
    check("augment.shear=inf", "`augment.shear` = inf: must be from 0 to 2");
    check("augment.rotate=181", "`augment.rotate` = 181.0: must be from 0 to 180");
    check("augment.translate=nan", "`augment.translate` = NaN: must be from 0 to 64");
    check("augment.elastic_alpha=10001", "`augment.elastic_alpha` = 10001.0: must be from 0 to 10000");
    check("augment.elastic_sigma=6", "`augment.elastic_sigma` = 6.0 needs `augment.elastic_alpha` above 0: set it");
    check("augment.elastic_sigmas=6", "unknown key `augment.elastic_sigmas`: did you mean `augment.elastic_sigma`?");
    let smallest = load(GOOD, &[], &["augment.elastic_alpha=34", "augment.elastic_sigma=0.4"]).unwrap_err();
    assert!(smallest.ends_with("`augment.elastic_sigma` = 0.4: must be from 0.5 to 64"), "{smallest}");
    let all = "augment={pad_crop=4, flip=true, scale=0.1, squeeze=0.1, shear=0.2, rotate=10, translate=2, \
               elastic_alpha=34, elastic_sigma=6}";
    let job = load(GOOD, &[], &[all]).unwrap();
    assert_eq!((job.augment.translate, job.augment.flip, job.augment.elastic_sigma), (2.0, true, 6.0));
    assert_eq!(Job::from_toml(&job.to_toml()).unwrap(), job);
}

#[test]
fn schedules_and_batches_that_no_run_can_have() {
    check_set(
        &["batch.growth=[[1, 100]]"],
        expect![
            "--set batch.growth=[[1, 100]]: `batch.growth` = 100 is not divisible by `batch.micro_batch` = 32: set batch.micro_batch to 25 or 50, or batch.growth to 96 or 128"
        ],
    );
    check_set(
        &["batch.growth=[[0, 128]]"],
        expect![
            "--set batch.growth=[[0, 128]]: `batch.growth` has epoch 0 where one above 0 is wanted: let them ascend, from 1"
        ],
    );
    check_set(
        &["batch.growth=[[5, 128], [5, 256]]"],
        expect![
            "--set batch.growth=[[5, 128], [5, 256]]: `batch.growth` has epoch 5 where one above 5 is wanted: let them ascend, from 1"
        ],
    );
    check_set(
        &["batch.growth=[[5, 0]]"],
        expect!["--set batch.growth=[[5, 0]]: `batch.growth` has a batch of 0: each must be 1 to 1048576"],
    );
    check_set(
        &["batch.growth=[[5]]"],
        expect!["--set batch.growth=[[5]]: `batch.growth[0]` must be a list of two, but is a list of 1"],
    );
    check_set(
        &["batch.growth=[5, 128]"],
        expect!["--set batch.growth=[5, 128]: `batch.growth[0]` must be a list of two, but is the integer 5"],
    );
    check_set(
        &["batch.growth=[[5, 128, 7]]"],
        expect!["--set batch.growth=[[5, 128, 7]]: `batch.growth[0]` must be a list of two, but is a list of 3"],
    );
    check_set(
        &["batch.growth=[[5, 1.5]]"],
        expect![
            "--set batch.growth=[[5, 1.5]]: `batch.growth[0][1]` must be an integer from 0 to 4294967295, but is the number 1.5"
        ],
    );
    check_set(
        &["schedule.learning_rate=exponential"],
        expect![[
            r#"--set schedule.learning_rate=exponential: `schedule.learning_rate` = "exponential" is unknown: choose constant, step, multi_step, cosine, polynomial, one_cycle, table"#
        ]],
    );
    check_set(
        &["schedule.step_at=[30]"],
        expect![[
            r#"--set schedule.step_at=[30]: `schedule.step_at` is set, but has no part in `schedule.learning_rate` = "constant": it is for multi_step"#
        ]],
    );
    check_set(
        &["schedule.learning_rate=multi_step"],
        expect![[
            r#"--set schedule.learning_rate=multi_step: `schedule.learning_rate` = "multi_step" needs `schedule.step_at`: set it"#
        ]],
    );
    check_set(
        &["schedule.learning_rate=multi_step", "schedule.step_at=[30, 20]"],
        expect![
            "--set schedule.step_at=[30, 20]: `schedule.step_at` has epoch 20 where one above 30 is wanted: let them ascend, from 1"
        ],
    );
    check_set(
        &["schedule.learning_rate=table"],
        expect![[
            r#"--set schedule.learning_rate=table: `schedule.learning_rate` = "table" needs `schedule.table`: set it"#
        ]],
    );
    check_set(
        &["schedule.learning_rate=table", "schedule.table=[[0, 0.1]]"],
        expect![
            "--set schedule.table=[[0, 0.1]]: `schedule.table` has an entry for 0 epochs: each must be for 1 to 1000000"
        ],
    );
    check_set(
        &["schedule.learning_rate=table", "schedule.table=[[2, -0.1]]"],
        expect![
            "--set schedule.table=[[2, -0.1]]: `schedule.table` has a rate of -0.1: each must be above 0 and finite as a 32-bit number"
        ],
    );
    check_set(
        &["schedule.learning_rate=cosine", "schedule.end_factor=2"],
        expect!["--set schedule.end_factor=2: `schedule.end_factor` = 2.0: must be from 0 to 1"],
    );
    check_set(
        &["schedule.learning_rate=one_cycle", "schedule.peak=1"],
        expect!["--set schedule.peak=1: `schedule.peak` = 1.0: must be above 0 and below 1"],
    );
    check_set(
        &["schedule.learning_rate=one_cycle", "schedule.warmup_epochs=1"],
        expect![[
            r#"--set schedule.warmup_epochs=1: `schedule.warmup_epochs` is set, but `schedule.learning_rate` = "one_cycle" rises by itself: set it to 0"#
        ]],
    );
    check_set(
        &["schedule.learning_rate=polynomial", "schedule.power=0"],
        expect!["--set schedule.power=0: `schedule.power` = 0.0: must be above 0 and at most 100"],
    );
    check_set(
        &["schedule.learning_rate=step", "schedule.step_every=0"],
        expect!["--set schedule.step_every=0: `schedule.step_every` = 0: must be 1 to 1000000"],
    );
    check_set(
        &["schedule.warmup_epochs=1", "schedule.warmup_steps=1"],
        expect![
            "--set schedule.warmup_steps=1: `schedule.warmup_epochs` and `schedule.warmup_steps` exclude each other: set one of them to 0"
        ],
    );
    check_set(
        &["schedule.warmup_factor=0.5"],
        expect![
            "--set schedule.warmup_factor=0.5: `schedule.warmup_factor` needs `schedule.warmup_epochs` or `schedule.warmup_steps` above 0"
        ],
    );
    let table = "schedule.table=[[2, 5e-4], [3, 1]]";
    let job = load(GOOD, &[], &["schedule.learning_rate=table", table, "batch.growth=[[3, 128]]"]).unwrap();
    assert_eq!((&job.schedule.table, &job.batch.growth), (&vec![(2, 5e-4), (3, 1.0)], &vec![(3, 128)]));
    assert_eq!(Job::from_toml(&job.to_toml()).unwrap(), job);
}

#[test]
fn what_needs_evaluations_is_refused_where_there_are_none() {
    check_set(
        &["schedule.target_train_loss=-0.1"],
        expect![
            "--set schedule.target_train_loss=-0.1: `schedule.target_train_loss` = -0.1: must be at least 0 and finite"
        ],
    );
    for wish in [
        "schedule.target_accuracy=0.9",
        "schedule.target_loss=0.1",
        "schedule.patience=3",
        "evaluate.every_steps=10",
        "evaluate.every_epochs=2",
        "checkpoint.keep_best=loss",
    ] {
        let key = wish.split_once('=').unwrap().0;
        let error = load(GOOD, &[], &["evaluate.test=false", wish]).expect_err(wish);
        let line = format!(
            "--set {wish}: `{key}` needs evaluations, but `evaluate.test` = false and no samples are held out: set \
             `data.validation`, or leave `{key}` out"
        );
        assert_eq!(error, line);
        load(GOOD, &[], &["evaluate.test=false", "data.validation=100", wish]).unwrap();
    }
    let job = load(GOOD, &[], &["evaluate.test=false", "schedule.target_train_loss=0.5", "evaluate.every_epochs=0"]);
    assert_eq!(job.unwrap().schedule.target_train_loss, 0.5);
}

#[test]
fn the_last_place_that_said_a_part_of_it_is_named() {
    let error = |text, overrides: &[&str]| load(text, &[("LOCKSTEP__BATCH__SIZE", "100")], overrides).unwrap_err();
    expect!["$LOCKSTEP__BATCH__SIZE: `batch.size` = 100 is not divisible by `batch.micro_batch` = 32: set batch.micro_batch to 25 or 50, or batch.size to 96 or 128"].assert_eq(&error(GOOD, &[]));
    expect!["--set batch.micro_batch=16: `batch.size` = 100 is not divisible by `batch.micro_batch` = 16: set batch.micro_batch to 10 or 20, or batch.size to 96 or 112"].assert_eq(&error(GOOD, &["batch.micro_batch=16"]));
}

#[test]
fn text_that_is_no_toml() {
    check_file("seed = 1\n[data\n", expect!["job.toml:2: unclosed table, expected `]`"]);
    check_file("seed = 1\nseed = 2", expect!["job.toml:2: duplicate key"]);
    check_file("seed = 1\n\nbatch: 64", expect!["job.toml:3: key with no value, expected `=`"]);
    check_set(&["batch.size"], expect!["--set batch.size: write key=value, such as batch.size=64"]);
    check_set(&["=3"], expect!["--set =3: names no key: write table.key=value, such as batch.size=64"]);
    check_set(&["batch.=3"], expect!["--set batch.=3: names no key: write table.key=value, such as batch.size=64"]);
    check_set(
        &["model.hidden=[300,"],
        expect!["--set model.hidden=[300,: its value is not TOML: unclosed array, expected `]`"],
    );
    check_set(
        &["data.path=\"x\ny"],
        expect![[r#"--set data.path="x\ny: its value is not TOML: unexpected content, expected nothing"#]],
    );
}

#[test]
fn files_that_cannot_be_read() {
    let error = |path: &Path| Job::load(path, [], &[]).unwrap_err().to_string();
    expect!["absent.toml: cannot be read: No such file or directory (os error 2)"]
        .assert_eq(&error(Path::new("absent.toml")));
    expect!["/: cannot be read: Is a directory (os error 21)"].assert_eq(&error(Path::new("/")));
    expect!["/dev/zero: is larger than 65536 bytes: this is no job file"].assert_eq(&error(Path::new("/dev/zero")));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job.toml");
    std::fs::write(&path, b"seed = 1\n\xff\n").unwrap();
    expect!["/job.toml:2: is not UTF-8 text"]
        .assert_eq(&error(&path).replace(&folder.path().display().to_string(), ""));
}

#[test]
fn variables_are_named() {
    let error = |name, value| load(GOOD, &[(name, value)], &[]).unwrap_err();
    expect!["$LOCKSTEP__BATCH__SISE: unknown key `batch.sise`: did you mean `batch.size`?"]
        .assert_eq(&error("LOCKSTEP__BATCH__SISE", "64"));
    expect![[
        r#"$LOCKSTEP__BATCH__SIZE: `batch.size` must be an integer from 0 to 4294967295, but is the string "many""#
    ]]
    .assert_eq(&error("LOCKSTEP__BATCH__SIZE", "many"));
    expect!["$LOCKSTEP__: names no key: write table.key=value, such as batch.size=64"]
        .assert_eq(&error("LOCKSTEP__", "1"));
    assert!(load(GOOD, &[("LOCKSTEP_COORDINATOR", "x"), ("lockstep__batch", "x")], &[]).is_ok());
}

#[test]
fn text_from_the_wire_is_bounded_and_checked() {
    let error = |text: &str| Job::from_toml(text).unwrap_err().to_string();
    expect!["job: is larger than 65536 bytes: this is no job file"]
        .assert_eq(&error(&" ".repeat(MAX_JOB_BYTES as usize + 1)));
    expect!["job: `batch.size` = 3 is not divisible by `batch.micro_batch` = 32: set batch.micro_batch to 3, or batch.size to 32"].assert_eq(&error("batch.size = 3"));
    expect!["job: unknown key `batch.sise`: did you mean `batch.size`?"].assert_eq(&error("batch.sise = 3"));
    assert!(Job::from_toml(&"[".repeat(60_000)).is_err());
    assert!(Job::from_toml(&format!("model.hidden = {}", "[".repeat(60_000))).is_err());
    assert!(Job::from_toml(&format!("{}x = 1", "a.".repeat(30_000))).is_err());
    assert!(Job::from_toml(&format!("model.hidden = [{}]", "1,".repeat(30_000))).is_err());
    assert!(load(GOOD, &[], &[&format!("{}x=1", "a.".repeat(100_000))]).is_err());
}

/// Bytes put in, taken out and changed all over a good job: refused or read, without a panic, and what is read can be
/// written.
#[test]
fn mutations_do_no_harm() {
    let good = Job::default().to_toml();
    let mut state = 1u64;
    let mut draw = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    for _ in 0..3_000 {
        let mut bytes = good.clone().into_bytes();
        for _ in 0..1 + draw(3) {
            let at = draw(bytes.len());
            let symbols = b"0123456789-.\"'[]{}=\n #eaxs_\\\xff";
            match draw(4) {
                0 => bytes[at] = symbols[draw(symbols.len())],
                1 => bytes.insert(at, symbols[draw(symbols.len())]),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at.max(8)),
            }
        }
        if let Ok(job) = Job::from_toml(&String::from_utf8_lossy(&bytes)) {
            assert_eq!(Job::from_toml(&job.to_toml()).unwrap(), job);
            assert_eq!(job.hash().len(), 64);
        }
    }
}

#[test]
fn probes_are_checked_one_by_one() {
    let probes = |tables: &str| format!("{GOOD}{tables}");
    check_file(
        &probes("[[probe]]\nmeasure = 'hesian'"),
        expect![[
            r#"job.toml: `probe[0].measure` = "hesian" is unknown: choose gap, eigenvalues, trace, density, keskar, sam, lane_gradients, slice, plane, interpolation, margins, weights, spectra, shifts, rotations, scalings, noise, fgsm (did you mean keskar?)"#
        ]],
    );
    check_file(
        &probes("[[probe]]\nmeasure = 'trace'\ntop = 3"),
        expect!["job.toml: trace has no part for `top`: leave it out"],
    );
    check_file(
        &probes("[[probe]]\nmeasure = 'sam'\non = 'validation'"),
        expect!["job.toml: sam is on validation samples, of which there are none: set `data.validation`"],
    );
    check_file(
        &probes("[[probe]]\nmeasure = 'sam'\n[[probe]]\nmeasure = 'sam'"),
        expect![[r#"job.toml: two probes are called "sam": give one another `name`"#]],
    );
    check_file(
        &probes("validation = 100\n[[probe]]\non = 'validation'"),
        expect!["job.toml: gap is between training samples and those held out: set `on` to another than those"],
    );
    check_file(
        &probes("[[probe]]\nmeasure = 'rotations'\nstrengths = [10.0, 200.0]"),
        expect!["job.toml: `strengths` of rotations has 200: each must be -180 to 180"],
    );
    check_file(
        &probes("[[probe]]\nmeasure = 'noise'\nstrengths = [-0.1]"),
        expect!["job.toml: `strengths` of noise has -0.1: each must be 0 to 10"],
    );
    check_file(
        &probes("[[probe]]\nmeasure = 'scalings'\nstrengths = [-1.0]"),
        expect!["job.toml: `strengths` of scalings has -1: each must be -0.9 to 9"],
    );
    check_file(
        &probes("[[probe]]\nmeasure = 'sam'\nradius = -1.0"),
        expect!["job.toml: `radius` = -1 of sam: must be 0 to 1000"],
    );
    check_file(
        &probes("[[probe]]\nmeasure = 'slice'\nfrom = '/w'"),
        expect!["job.toml: slice has no part for `from`: leave it out"],
    );
    check_file(
        &probes("[[probe]]\nmeasure = 'interpolation'\nfrom_blake3 = 'ab'"),
        expect!["job.toml: `from_blake3` of interpolation needs `from`: name the file of weights"],
    );
    check_file(
        &probes("[[probe]]\nmeasure = 'interpolation'\nfrom = '/w'\nfrom_blake3 = 'AB'"),
        expect!["job.toml: `from_blake3` of interpolation must be 64 hexadecimal digits in lower case, or be left out"],
    );
}
