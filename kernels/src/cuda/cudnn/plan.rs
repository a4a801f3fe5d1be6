//! Which engine computes a convolution, and how it is started.

use std::ffi::c_void;

use cudarc::cudnn::sys::{
    self, cudnnBackendAttributeName_t as Name, cudnnBackendAttributeType_t as Type,
    cudnnBackendDescriptorType_t as Kind, cudnnBackendHeurMode_t as Heuristics,
    cudnnBackendNumericalNote_t as Numerics,
};

use super::descriptor::{Descriptor, Draft, Knob, Note};
use super::text::MOST_KNOBS;
use super::{Convolution, Handle, Operand, PlanText, Target, check, version};
use crate::cuda::{Arithmetic, CudaError};

/// Most bytes that a plan may want beside its operands. Engines in f32 turn both activations around in it.
pub const WORKSPACE: usize = 1 << 30;
/// More than cuDNN has names for.
const MOST_NOTES: usize = 64;

/// A convolution that can be executed, by one engine.
pub struct Plan {
    convolution: Convolution,
    plan: Descriptor,
    text: PlanText,
    workspace: usize,
}

/// The first engine that keeps the rules, in the order of cuDNN's heuristics and then of what it falls back to.
///
/// # Errors
/// If there is none, with the reason that spoke against the last.
pub fn choose(target: Target<'_>, convolution: &Convolution) -> Result<Plan, CudaError> {
    let version = version()?.to_string();
    let graph = convolution.graph(target)?;
    let mut why = String::from("the heuristics name none");
    for mode in [Heuristics::CUDNN_HEUR_MODE_A, Heuristics::CUDNN_HEUR_MODE_FALLBACK] {
        for config in configs(target, &graph, mode)? {
            match Plan::new(target, convolution, &graph, named(&config, &version)?) {
                Ok(plan) => return Ok(plan),
                Err(error) => why = error.to_string(),
            }
        }
    }
    Err(CudaError::NoEngine { convolution: convolution.to_string(), why })
}

/// What the heuristics name, best first.
fn configs(target: Target<'_>, graph: &Descriptor, mode: Heuristics) -> Result<Vec<Descriptor>, CudaError> {
    let draft = Draft::new(Kind::CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR)?;
    let heuristics = target
        .of(draft, None, Some(Name::CUDNN_ATTR_ENGINEHEUR_DEVICEPROP))?
        .link(Name::CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, &[graph])?
        .set(Name::CUDNN_ATTR_ENGINEHEUR_MODE, &[mode])?
        .finalized()?;
    let count = heuristics.count(Name::CUDNN_ATTR_ENGINEHEUR_RESULTS, Type::CUDNN_TYPE_BACKEND_DESCRIPTOR)?;
    heuristics.parts(Name::CUDNN_ATTR_ENGINEHEUR_RESULTS, Kind::CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, count)
}

/// The engine of a configuration and its knobs.
fn named(config: &Descriptor, version: &str) -> Result<PlanText, CudaError> {
    let engines = config.parts(Name::CUDNN_ATTR_ENGINECFG_ENGINE, Kind::CUDNN_BACKEND_ENGINE_DESCRIPTOR, 1)?;
    let missing = || CudaError::library("cuDNN", "cudnnBackendGetAttribute", "a configuration has no engine".into());
    let engine = engines.first().ok_or_else(missing)?.number(Name::CUDNN_ATTR_ENGINE_GLOBAL_INDEX)?;
    let kind = Kind::CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR;
    let knob = |choice: &Descriptor| {
        let knob = choice.get::<Knob>(Name::CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, 1)?.first().copied();
        Ok((knob.unwrap_or_default(), choice.number(Name::CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE)?))
    };
    let choices = config.parts(Name::CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, kind, MOST_KNOBS)?;
    let knobs = choices.iter().map(knob).collect::<Result<_, CudaError>>()?;
    Ok(PlanText { version: version.into(), engine, knobs })
}

impl Plan {
    /// The plan that a text tells of, as [`Plan::text`] gives it, perhaps on another worker.
    ///
    /// # Errors
    /// If it is no such text, of another version, of an engine that this convolution does not have, or one that breaks
    /// a rule.
    pub fn from_text(target: Target<'_>, convolution: &Convolution, text: &str) -> Result<Self, CudaError> {
        let bad = |why: String| CudaError::BadPlan { text: text.chars().take(200).collect(), why };
        let told: PlanText = text.parse().map_err(|error: super::text::NoPlanText| bad(error.to_string()))?;
        let version = version()?.to_string();
        if told.version != version {
            return Err(bad(format!("this is cuDNN {version}")));
        }
        let graph = convolution.graph(target)?;
        Self::new(target, convolution, &graph, told).map_err(|error| bad(error.to_string()))
    }

    fn new(
        target: Target<'_>,
        convolution: &Convolution,
        graph: &Descriptor,
        text: PlanText,
    ) -> Result<Self, CudaError> {
        let engine = Draft::new(Kind::CUDNN_BACKEND_ENGINE_DESCRIPTOR)?;
        let engine = target
            .of(engine, None, Some(Name::CUDNN_ATTR_ENGINE_DEVICEPROP))?
            .link(Name::CUDNN_ATTR_ENGINE_OPERATION_GRAPH, &[graph])?
            .set(Name::CUDNN_ATTR_ENGINE_GLOBAL_INDEX, &[text.engine])?
            .finalized()?;
        let notes = engine.get::<Note>(Name::CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, MOST_NOTES)?;
        if let Some(Note(note)) = notes.into_iter().find(|note| !is_allowed(*note, convolution.arithmetic)) {
            return Err(refused(format!("engine {} has numerical note {note}", text.engine)));
        }
        let knobs = text.knobs.iter().map(|(knob, value)| set(*knob, *value)).collect::<Result<Vec<_>, _>>()?;
        let config = Draft::new(Kind::CUDNN_BACKEND_ENGINECFG_DESCRIPTOR)?
            .link(Name::CUDNN_ATTR_ENGINECFG_ENGINE, &[&engine])?
            .link(Name::CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, &knobs.iter().collect::<Vec<_>>())?
            .finalized()?;
        let plan = Draft::new(Kind::CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR)?;
        let (handle, properties) = (Name::CUDNN_ATTR_EXECUTION_PLAN_HANDLE, Name::CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP);
        let plan = target
            .of(plan, Some(handle), Some(properties))?
            .link(Name::CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, &[&config])?
            .finalized()?;
        let workspace = plan.number(Name::CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE)?;
        match usize::try_from(workspace) {
            Ok(workspace) if workspace <= WORKSPACE => Ok(Self { convolution: *convolution, plan, text, workspace }),
            _ => Err(refused(format!("engine {} wants {workspace} bytes of workspace", text.engine))),
        }
    }

    /// The engine and its knobs: what other workers need to make the same plan.
    pub fn text(&self) -> &PlanText {
        &self.text
    }

    /// Bytes that it wants beside its operands.
    pub fn workspace(&self) -> usize {
        self.workspace
    }

    /// Starts it on the handle's stream. `operands`: all that the convolution has, by address; `workspace`: the address
    /// of as many bytes as it wants.
    ///
    /// # Safety
    /// All of them are memory of the handle's GPU, as long as the sizes say, until the stream has come so far.
    pub(in crate::cuda) unsafe fn execute(
        &self,
        handle: &Handle,
        operands: &[(Operand, u64)],
        workspace: u64,
    ) -> Result<(), CudaError> {
        let misplaced = |(operand, address): &&(Operand, u64)| address % self.convolution.alignment(*operand) != 0;
        if let Some((operand, address)) = operands.iter().find(misplaced) {
            return Err(refused(format!("{operand:?} of {} lies at {address:#x}", self.convolution)));
        }
        let ids: Vec<_> = operands.iter().map(|(operand, _)| *operand as i64).collect();
        let addresses: Vec<_> = operands.iter().map(|(_, address)| *address as *mut c_void).collect();
        let pack = Draft::new(Kind::CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR)?
            .set(Name::CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, &ids)?
            .set(Name::CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, &addresses)?
            .set(Name::CUDNN_ATTR_VARIANT_PACK_WORKSPACE, &[workspace as *mut c_void])?
            .finalized()?;
        // SAFETY: handle, plan and pack are alive; what the addresses are of is the caller's promise.
        check("cudnnBackendExecute", unsafe { sys::cudnnBackendExecute(handle.raw(), self.plan.raw(), pack.raw()) })
    }
}

fn set(knob: Knob, value: i64) -> Result<Descriptor, CudaError> {
    Draft::new(Kind::CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR)?
        .set(Name::CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, &[knob])?
        .set(Name::CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, &[value])?
        .finalized()
}

/// Whether an engine may say that of itself. What is not named here is refused, also what a later version says first:
/// sums in changing orders, sums in fewer bits, and sums of something else than products (Winograd, Fourier).
fn is_allowed(Note(note): Note, arithmetic: Arithmetic) -> bool {
    let tensor_cores = [Numerics::CUDNN_NUMERICAL_NOTE_TENSOR_CORE, Numerics::CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS];
    let always = [Numerics::CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP];
    let is_of = |notes: &[Numerics]| notes.iter().any(|known| *known as u32 == note);
    is_of(&always) || (arithmetic != Arithmetic::F32 && is_of(&tensor_cores))
}

fn refused(text: String) -> CudaError {
    CudaError::library("cuDNN", "choosing a plan", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_to_keep_the_bits_is_allowed() {
        let allowed = |arithmetic| (0..12).filter(|note| is_allowed(Note(*note), arithmetic)).collect::<Vec<_>>();
        assert_eq!(allowed(Arithmetic::F32), [9], "not a number stays so");
        assert_eq!(allowed(Arithmetic::Tf32), [0, 1, 9], "tensor cores");
        assert_eq!(allowed(Arithmetic::Bf16), [0, 1, 9]);
    }
}
