//! Studies that nobody trained: tables with a known truth in them, as `lockstep study run` would write them.

use std::fmt::Write;
use std::path::Path;

use lockstep_study::statistics::Generator;

/// Tables in the making.
pub struct Synthetic {
    /// `study.json`, but for its cells.
    pub study: serde_json::Value,
    cells: Vec<serde_json::Value>,
    tables: [(&'static str, String); 6],
    generator: Generator,
    /// What probes are on, and over how many samples.
    pub probed: (&'static str, u64),
}

/// A cell of the grid.
#[derive(Clone, Copy)]
pub struct Cell<'a> {
    pub arm: &'a str,
    pub batch: u64,
    pub rate: &'a str,
    pub budget: &'a str,
    pub learning_rate: f64,
}

/// What a run comes to.
#[derive(Clone, Copy, Default)]
pub struct Run {
    pub steps: u64,
    pub steps_to_target: Option<f64>,
    pub train_loss: f64,
    pub train_accuracy: f64,
    pub test_error: f64,
    pub fingerprint: u64,
    pub diverged: bool,
    pub stop_reason: &'static str,
}

const JOBS: usize = 0;
const TUNING: usize = 1;
const STEPS: usize = 2;
const EVALUATIONS: usize = 3;
const PROBES: usize = 4;

impl Synthetic {
    pub fn new(title: &str) -> Self {
        let study = serde_json::json!({
            "title": title,
            "question": "Does a large batch generalise worse than a small one, once each has its own learning rate?",
            "prediction": "The test error rises with the batch, and sharpness with it.",
            "refuted_by": "A difference between batch 16 and 4,096 whose interval includes zero.",
            "figures": [],
            "recipe_blake3": "5e1f",
            "job": { "data": { "validation": 10000 }, "model": { "name": "mlp" }, "optimizer": { "momentum": 0.0 } },
            "fingerprints": ["cpu, canary 1234", "cpu, canary 5678"],
            "done": 10, "of": 10
        });
        let tables = [
            (
                "jobs.csv",
                "job,cell,arm,batch,rate,budget,learning_rate,seed,fingerprint,stop_reason,steps,epochs,samples,\
                 steps_to_target,train_loss,train_accuracy,validation_loss,validation_error,test_loss,test_error,diverged\n",
            ),
            ("tuning.csv", "cell,learning_rate,seed,job,stop_reason,score,chosen,extended,test_evaluations\n"),
            (
                "steps.csv",
                "job,step,epoch,samples,loss,accuracy,learning_rate,noise_trace,noise_squared_norm,noise_scale,noise_low,\
                 noise_high,noise_above,lane_squared_norm,implicit_gradient\n",
            ),
            ("evaluations.csv", "job,step,epoch,split,loss,accuracy,samples\n"),
            ("probes.csv", "job,step,epoch,probe,measure,on,samples,method,figure,index,value\n"),
            ("remarks.csv", "job,step,probe,remark\n"),
        ];
        let tables = tables.map(|(name, head)| (name, head.to_owned()));
        Self { study, cells: Vec::new(), tables, generator: Generator::new(1), probed: ("subset", 1024) }
    }

    /// Adds a cell; its name.
    pub fn cell(&mut self, cell: Cell<'_>) -> String {
        let name = format!("c{:02}", self.cells.len() + 1);
        self.cells.push(serde_json::json!({
            "cell": name, "arm": cell.arm, "batch": cell.batch, "micro_batch": cell.batch.min(32), "rate": cell.rate,
            "budget": cell.budget, "learning_rate": cell.learning_rate,
            "interior": if cell.rate == "tuned" { Some(true) } else { None }, "remark": "",
            "train_samples": 5000.max(cell.batch), "validation_samples": 10000,
            "descent": { "optimizer": "sgd", "momentum": 0.0, "nesterov": false, "beside": [] }
        }));
        name
    }

    /// The newest cell, to be changed.
    pub fn newest(&mut self) -> &mut serde_json::Value {
        self.cells.last_mut().unwrap()
    }

    /// Adds a run of a cell; its key.
    pub fn run(&mut self, cell: &str, seed: u64, run: Run) -> String {
        let job = format!("{cell}-{seed}");
        let target = run.steps_to_target.map_or(String::new(), |steps| steps.to_string());
        let Run { steps, train_loss, train_accuracy, test_error, fingerprint, diverged, .. } = run;
        let ended = if run.stop_reason.is_empty() { "completed" } else { run.stop_reason };
        let (reason, test) = if diverged { ("nonfinite", String::new()) } else { (ended, test_error.to_string()) };
        self.line(
            JOBS,
            &format!(
                "{job},{cell},a,1,r,b,0.1,{seed},{fingerprint},{reason},{steps},1,1,{target},{train_loss},{train_accuracy},\
                 ,,,{test},{diverged}"
            ),
        );
        job
    }

    pub fn trial(&mut self, cell: &str, rate: f64, score: Option<f64>, chosen: bool) {
        self.trial_that_looked(cell, rate, score, chosen, 0);
    }

    /// A trial that evaluated the test samples so often.
    pub fn trial_that_looked(
        &mut self,
        cell: &str,
        rate: f64,
        score: Option<f64>,
        chosen: bool,
        test_evaluations: u64,
    ) {
        let score = score.map_or(String::new(), |score| score.to_string());
        self.line(
            TUNING,
            &format!("{cell},{rate},101,t-{cell}-{rate},completed,{score},{chosen},false,{test_evaluations}"),
        );
    }

    pub fn noise(&mut self, job: &str, step: u64, trace: f64, squared_norm: f64) {
        let scale = trace / squared_norm;
        let (low, high) = (scale * 0.9, scale * 1.1);
        self.line(STEPS, &format!("{job},{step},0,0,1,0.5,0.1,{trace},{squared_norm},{scale},{low},{high},,,"));
    }

    /// A step whose scale is only known to be above something.
    pub fn unidentified(&mut self, job: &str, step: u64, trace: f64, squared_norm: f64, above: f64) {
        self.line(STEPS, &format!("{job},{step},0,0,1,0.5,0.1,{trace},{squared_norm},,,,{above},,"));
    }

    pub fn evaluation(&mut self, job: &str, epoch: u64, split: &str, accuracy: f64) {
        self.line(EVALUATIONS, &format!("{job},{epoch},{epoch},{split},0.1,{accuracy},10000"));
    }

    pub fn probe(&mut self, job: &str, step: u64, [measure, figure]: [&str; 2], values: &[f64]) {
        self.probe_named(measure, job, step, [measure, figure], values);
    }

    pub fn probe_named(&mut self, name: &str, job: &str, step: u64, [measure, figure]: [&str; 2], values: &[f64]) {
        let (on, samples) = self.probed;
        for (index, value) in values.iter().enumerate() {
            let value = if value.is_finite() { value.to_string() } else { String::new() };
            self.line(
                PROBES,
                &format!("{job},{step},0,{name},{measure},{on},{samples},\"exact, f32\",{figure},{index},{value}"),
            );
        }
    }

    /// A standard normal number.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.generator.even()).ln()).sqrt();
        radius * (2.0 * std::f64::consts::PI * self.generator.even()).cos()
    }

    fn line(&mut self, table: usize, line: &str) {
        writeln!(self.tables[table].1, "{line}").unwrap();
    }

    /// Writes the folder.
    pub fn write(&self, folder: &Path) {
        std::fs::create_dir_all(folder.join("tables")).unwrap();
        let mut study = self.study.clone();
        study["cells"] = self.cells.clone().into();
        std::fs::write(folder.join("study.json"), serde_json::to_string_pretty(&study).unwrap()).unwrap();
        std::fs::write(folder.join("study.toml"), "[tuning]\nby = \"validation_error\"\n").unwrap();
        for (name, text) in &self.tables {
            std::fs::write(folder.join("tables").join(name), text).unwrap();
        }
    }
}

const SEEDS: u64 = 5;

/// A gap that is there: the error rises by `rise` from batch 16 to 4,096; of it `micro` recovers 70 %, `whole` nothing.
pub fn gap(rise: f64) -> Synthetic {
    let mut study = Synthetic::new("Gap");
    let sgd = |batch| Cell { arm: "SGD", batch, rate: "tuned", budget: "epochs", learning_rate: 0.1 };
    let batches = [16, 64, 256, 1024, 4096];
    let mut cells: Vec<(String, u64, f64)> = Vec::new();
    for (place, batch) in batches.into_iter().enumerate() {
        cells.push((study.cell(sgd(batch)), batch, 0.02 + rise * place as f64 / 4.0));
    }
    let arm = |arm| Cell { arm, ..sgd(4096) };
    cells.push((study.cell(arm("penalty over micro-batches")), 4096, 0.02 + 0.3 * rise));
    cells.push((study.cell(arm("penalty over the batch")), 4096, 0.02 + rise));
    for seed in 1..=SEEDS {
        let of_seed = 0.002 * study.normal();
        for (cell, batch, error) in cells.clone() {
            let test_error = error + of_seed + 0.0004 * study.normal();
            let run =
                Run { steps: 60_000 / batch, train_loss: 0.01, train_accuracy: 0.998, test_error, ..Run::default() };
            let job = study.run(&cell, seed, run);
            study.evaluation(&job, 5, "test", 1.0 - test_error);
            curvature(&mut study, &job, batch, seed);
        }
    }
    for (cell, ..) in cells {
        for power in 0..5 {
            let rate = 0.0125 * f64::from(1 << power);
            let score = (power < 4).then(|| 0.02 + 0.004 * (f64::from(power) - 2.2).powi(2));
            study.trial(&cell, rate, score, power == 2);
        }
    }
    study
}

/// λ_max as √B, distances a + 0.7 ln t, a slice that narrows as the batch grows.
fn curvature(study: &mut Synthetic, job: &str, batch: u64, seed: u64) {
    let last = 60_000 / batch;
    let sharp = (batch as f64).sqrt() * (0.05 * study.normal()).exp();
    study.probe(job, last, ["eigenvalues", "eigenvalues"], &[sharp, sharp / 2.0]);
    study.probe(job, last, ["trace", "trace"], &[20.0 * sharp]);
    study.probe(job, last, ["sam", "sharpness"], &[0.001 * sharp]);
    study.probe(job, last, ["keskar", "phi"], &[0.01 * sharp * sharp]);
    for step in (0..8).map(|power| 1 << power).filter(|step| *step <= last) {
        let distance = 1.0 + 0.7 * (step as f64).ln() + 0.02 * study.normal();
        study.probe(job, step, ["weights", "distance"], &[distance]);
    }
    let alphas: Vec<f64> = (-20..=20).map(|index| f64::from(index) / 20.0).collect();
    let losses: Vec<f64> = alphas.iter().map(|alpha| 0.01 + 0.02 * sharp * alpha * alpha).collect();
    study.probe(job, last, ["slice", "alpha"], &alphas);
    study.probe(job, last, ["slice", "loss"], &losses);
    if seed == 1 {
        let nodes: Vec<f64> = (0..40)
            .map(|index| if index < 30 { 0.01 * f64::from(index - 8) } else { sharp * f64::from(index - 29) / 10.0 })
            .collect();
        let weights: Vec<f64> = (0..40).map(|index| if index < 30 { 0.033 } else { 0.001 }).collect();
        study.probe(job, last, ["density", "nodes"], &nodes);
        study.probe(job, last, ["density", "weights"], &weights);
        let alphas: Vec<f64> = (-7..=7).map(|index| f64::from(index) / 7.0).collect();
        let loss =
            |x: f64, y: f64| if x > 0.95 && y > 0.95 { f64::NAN } else { 0.01 + sharp * 0.05 * (x * x + 0.3 * y * y) };
        let losses: Vec<f64> = alphas.iter().flat_map(|y| alphas.iter().map(move |x| loss(*x, *y))).collect();
        study.probe(job, last, ["plane", "alpha"], &alphas);
        study.probe(job, last, ["plane", "loss"], &losses);
    }
}

/// Steps to a target by a hyperbola with S_min 300 and E_min 60,000; noise scales that grow to 900.
pub fn critical_batch() -> Synthetic {
    let mut study = Synthetic::new("Critical batch");
    let batches = [8, 32, 128, 512, 2048, 4096];
    let cells = batches.map(|batch| {
        (study.cell(Cell { arm: "SGD", batch, rate: "tuned", budget: "epochs", learning_rate: 0.1 }), batch)
    });
    for seed in 1..=SEEDS {
        for (cell, batch) in &cells {
            let steps = (300.0 + 60_000.0 / *batch as f64) * (0.08 * study.normal()).exp();
            let missed = seed == 2 && *batch == 8;
            let steps_to_target = (!missed).then_some(steps.round());
            let run = Run { steps: 4000, steps_to_target, test_error: 0.03, train_accuracy: 0.99, ..Run::default() };
            let job = study.run(cell, seed, run);
            // A single lane tells of no noise.
            let steps = if *batch > 32 { 120 } else { 0 };
            for step in (0..steps).map(|index| 1 + index * 20) {
                let squared_norm = 1.0 / (1.0 + step as f64 / 300.0) * (0.2 * study.normal()).exp();
                let trace = 100.0 * (0.1 * study.normal()).exp();
                study.noise(&job, step, trace, squared_norm);
            }
        }
    }
    study
}

/// Errors and widths that are functions of η/B alone, but for the largest ratio at the largest batch.
pub fn ratio() -> Synthetic {
    let mut study = Synthetic::new("Ratio");
    let mut cells = Vec::new();
    for ratio in [0.0002, 0.0008, 0.0032] {
        for batch in [32_u64, 128, 512] {
            let learning_rate = ratio * batch as f64;
            let cell = Cell { arm: "SGD", batch, rate: "ratio", budget: "epochs", learning_rate };
            cells.push((study.cell(cell), batch, ratio));
        }
    }
    for seed in 1..=SEEDS {
        for (cell, batch, ratio) in &cells {
            let breaks = *batch == 512 && *ratio > 0.003;
            let test_error =
                0.02 + 0.002 * (0.0032 / ratio).ln() + if breaks { 0.006 } else { 0.0 } + 0.0003 * study.normal();
            let diverged = breaks && seed == 3;
            let run = Run { steps: 1000, test_error, train_accuracy: 0.99, diverged, ..Run::default() };
            let job = study.run(cell, seed, run);
            let width = 0.01 / ratio * (0.03 * study.normal()).exp();
            study.probe(&job, 1000, ["eigenvalues", "eigenvalues"], &[width]);
            for epoch in 1..=10 {
                let error = test_error + 0.3 * (-(epoch as f64) * ratio * 1000.0 / 2.0).exp();
                study.evaluation(&job, epoch, "validation", 1.0 - error);
            }
        }
    }
    study
}

/// λ_max that rises to 2/η and stays, for two learning rates; of a third it never gets there.
pub fn edge() -> Synthetic {
    let mut study = Synthetic::new("Edge");
    study.probed = ("train", 5000);
    for learning_rate in [0.02, 0.05, 0.2] {
        let cell = Cell { arm: "full batch", batch: 5000, rate: "listed", budget: "steps", learning_rate };
        let cell = study.cell(cell);
        for seed in 1..=SEEDS {
            let job =
                study.run(&cell, seed, Run { steps: 2000, train_accuracy: 0.99, test_error: 0.05, ..Run::default() });
            for step in (0..=2000).step_by(20) {
                let rise = 5.0 + step as f64 * 0.08;
                let reach = if learning_rate < 0.03 { 0.5 } else { 1.0 };
                let ceiling = reach * 2.0 / learning_rate * (1.0 + 0.03 * study.normal());
                let highest = f64::min(rise, ceiling);
                // The largest in magnitude is another where the spectrum reaches far below zero.
                study.probe(&job, step, ["eigenvalues", "eigenvalues"], &[-2.0 * highest, highest]);
                study.probe(&job, step, ["eigenvalues", "highest"], &[highest]);
                study.probe(&job, step, ["eigenvalues", "edge"], &[highest * learning_rate / 2.0]);
            }
        }
    }
    study
}
