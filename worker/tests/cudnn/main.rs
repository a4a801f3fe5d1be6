//! Every convolution of the named networks as cuDNN's graphs, without a GPU: plans are made for GPUs that are described.
//!
//! cuDNN is looked for in `$LOCKSTEP_CUDA_LIBRARIES`, in `target/cudnn` (where `.ci/run` puts it), and where the system
//! has its libraries. `--nocapture` prints the table of engines.

use std::path::Path;

use lockstep_kernels::conv2d::{Accumulation, Conv2dSize};
use lockstep_kernels::cpu::Cpu;
use lockstep_kernels::cuda::cudnn::{self, Behind, Convolution, DeviceProperties, Pass, Plan, Target, choose};
use lockstep_kernels::cuda::{Arithmetic, CudaError, Places};
use lockstep_proto::job::{self, ModelName};
use lockstep_worker::model::{Model, SampleShape, build};

/// Images of a micro-batch.
const SAMPLES: usize = 32;
/// GPUs as cuDNN describes them.
const H100: &str = include_str!("h100.json");
const A100: &str = include_str!("a100.json");

/// Networks, and the images that they were made for: channels and side.
const NETWORKS: [(ModelName, [usize; 2]); 18] = [
    (ModelName::Lenet5, [1, 28]),
    (ModelName::Lenet5Of1998, [1, 32]),
    (ModelName::Alexnet, [3, 224]),
    (ModelName::AlexnetOf2012, [3, 224]),
    (ModelName::Vgg11, [3, 224]),
    (ModelName::Vgg11Bn, [3, 224]),
    (ModelName::Vgg16, [3, 224]),
    (ModelName::Vgg16Bn, [3, 224]),
    (ModelName::Resnet18, [3, 224]),
    (ModelName::Resnet34, [3, 224]),
    (ModelName::Resnet50, [3, 224]),
    (ModelName::Resnet101, [3, 224]),
    (ModelName::Resnet20, [3, 32]),
    (ModelName::Resnet32, [3, 32]),
    (ModelName::Resnet44, [3, 32]),
    (ModelName::Resnet56, [3, 32]),
    (ModelName::Resnet110, [3, 32]),
    (ModelName::Resnet18, [3, 32]),
];

const PASSES: [Pass; 6] = [
    Pass::Forward(Behind::Nothing),
    Pass::Forward(Behind::Bias),
    Pass::Forward(Behind::BiasRelu),
    Pass::BackwardInput(Accumulation::Overwrite),
    Pass::BackwardInput(Accumulation::Add),
    Pass::BackwardWeight,
];

/// Whether there is a cuDNN to test with; says why not.
fn is_there() -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let mut places = Places::from_environment();
    let installed = ["cudnn/nvidia/cudnn/lib", "cudnn/nvidia/cu13/lib", "nvrtc/nvidia/cu13/lib"];
    places.libraries.extend(installed.map(|folder| root.join(folder)));
    places.set();
    match cudnn::version() {
        Ok(_) => true,
        Err(missing @ CudaError::NoLibrary { .. }) => {
            println!("skipped: {missing}");
            false
        }
        Err(error) => panic!("{error}"),
    }
}

fn described(properties: &str) -> DeviceProperties {
    DeviceProperties::from_json(properties).unwrap_or_else(|error| panic!("{error}"))
}

/// Sizes of all convolutions, each once, with the first network that has it.
fn sizes() -> Vec<(ModelName, Conv2dSize)> {
    let mut all: Vec<(ModelName, Conv2dSize)> = Vec::new();
    for (name, [channels, side]) in NETWORKS {
        let shape = SampleShape { channels, height: side, width: side, classes: 10 };
        let model: Model<Cpu> = build(&job::Model { name, ..job::Model::default() }, shape).expect("a network");
        for size in model.convolutions(SAMPLES) {
            if all.iter().all(|(_, known)| *known != size) {
                all.push((name, size));
            }
        }
    }
    all
}

/// A plan of a convolution, the same if it is made from its text.
fn plan(properties: &DeviceProperties, convolution: &Convolution) -> Plan {
    let target = Target::Described(properties);
    let plan = choose(target, convolution).unwrap_or_else(|error| panic!("{error}"));
    let told = Plan::from_text(target, convolution, &plan.text().to_string());
    let told = told.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((told.text(), told.workspace()), (plan.text(), plan.workspace()), "{convolution}");
    plan
}

#[test]
fn every_convolution_of_the_named_networks_has_a_plan() {
    every_convolution("H100", H100);
}

#[test]
fn every_convolution_has_a_plan_on_the_generation_before() {
    every_convolution("A100", A100);
}

fn every_convolution(gpu: &str, properties: &str) {
    if !is_there() {
        return;
    }
    let properties = described(properties);
    let sizes = sizes();
    assert!(sizes.len() > 60, "networks have {} shapes", sizes.len());
    for arithmetic in [Arithmetic::F32, Arithmetic::Tf32, Arithmetic::Bf16] {
        for (name, size) in &sizes {
            for pass in PASSES {
                let convolution = Convolution { pass, size: *size, arithmetic };
                let plan = plan(&properties, &convolution);
                println!("{gpu}\t{name:?}\t{convolution}\t{}\t{} bytes", plan.text(), plan.workspace());
            }
        }
    }
}

#[test]
fn a_text_of_another_plan_is_refused() {
    if !is_there() {
        return;
    }
    let properties = described(H100);
    let size = Conv2dSize {
        samples: 8,
        in_channels: 64,
        out_channels: 64,
        height: 56,
        width: 56,
        kernel: 3,
        padding: 1,
        ..Conv2dSize::PLAIN
    };
    let of = |arithmetic| Convolution { pass: Pass::Forward(Behind::Nothing), size, arithmetic };
    let taken = |text: &str| {
        let plan = Plan::from_text(Target::Described(&properties), &of(Arithmetic::F32), text);
        plan.map(|plan| plan.text().to_string()).map_err(|error| error.to_string())
    };
    let good = plan(&properties, &of(Arithmetic::F32)).text().to_string();
    assert_eq!(taken(&good).as_ref(), Ok(&good));
    let version = cudnn::version().expect("cuDNN").to_string();
    for (text, why) in [
        (String::from("something"), "it is not of the form"),
        (good.replace(&version, "9.1.0"), "this is cuDNN"),
        (plan(&properties, &of(Arithmetic::Tf32)).text().to_string(), "has numerical note 0"),
        (format!("cuDNN {version}, engine 100000, knobs"), "cudnnBackend"),
        (format!("cuDNN {version}, engine -1, knobs"), "cudnnBackend"),
        (format!("{good} 99=1"), "cudnnBackend"),
        (good.replace(" 2=", " 2=9999"), "cudnnBackend"),
    ] {
        let refused = taken(&text).expect_err(&text);
        assert!(refused.contains("is no plan for this") && refused.contains(why), "{refused}");
    }
    assert!(DeviceProperties::from_json("{}").is_err());
    assert!(DeviceProperties::from_json("not JSON").is_err());
}
