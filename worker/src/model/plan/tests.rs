//! Plans of small graphs, and of many random ones, each carried out with names for numbers.

mod carried_out;

use proptest::prelude::*;

use super::*;
use carried_out::carry_out;

const ALL: Keeps = Keeps { inputs: true, y: true };
const NOTHING: Keeps = Keeps { inputs: false, y: false };

fn node(links: &Links, keeps: Keeps) -> Use<'_> {
    Use { links, keeps, memo: Memo::default(), passes_on: None, adds: false, differentiates: true }
}

#[test]
fn a_chain_keeps_its_values_and_has_two_gradients_at_a_time() {
    let links: Vec<Links> = (0..4).map(|i| Links::new(&[i], i + 1)).collect();
    let nodes: Vec<Use<'_>> = links.iter().map(|links| node(links, ALL)).collect();
    let plan = Plan::new(&[10, 20, 30, 40, 5], &nodes);
    // Five values and, since nobody reads the output any more once the loss has, few gradients beside them.
    assert!((1..5).all(|value| !plan.forward.values[..value].contains(&plan.forward.values[value])), "{plan:?}");
    assert_eq!(plan.back, plan.forward);
    assert_eq!(plan.ways[0][0], Way::None, "the samples need no gradient");
    assert!(plan.ways[1..].iter().all(|ways| matches!(ways[0], Way::Write(_))));
    assert!(plan.slots.len() <= 7, "{plan:?}");
}

#[test]
fn values_that_no_way_back_reads_share_slots() {
    let links: Vec<Links> = (0..6).map(|i| Links::new(&[i], i + 1)).collect();
    let nodes: Vec<Use<'_>> = links.iter().map(|links| node(links, NOTHING)).collect();
    let plan = Plan::new(&[8; 7], &nodes);
    assert!(plan.slots.len() <= 3, "{plan:?}");
    for index in 0..6 {
        assert_ne!(plan.forward.values[index], plan.forward.values[index + 1]);
    }
}

#[test]
fn a_residual_block_passes_its_gradient_on_and_adds_the_other() {
    // 0 → stem → 1 → body → 2; (2, 1) → sum → 3, which passes its gradient on to 1.
    let links = [Links::new(&[0], 1), Links::new(&[1], 2), Links::new(&[2, 1], 3)];
    let mut nodes: Vec<Use<'_>> = links.iter().map(|links| node(links, ALL)).collect();
    nodes[2].passes_on = Some(1);
    let plan = Plan::new(&[4, 4, 4, 4], &nodes);
    assert_eq!(plan.ways[2][1], Way::Becomes);
    let behind = plan.gradients[3].unwrap();
    assert_eq!(plan.gradients[1], Some(behind));
    assert!(matches!(plan.ways[1][0], Way::AddFrom(to, from) if to == behind && from != behind), "{plan:?}");
    nodes[1].adds = true;
    assert_eq!(Plan::new(&[4, 4, 4, 4], &nodes).ways[1][0], Way::Add(behind));
}

/// A node of a graph at random.
#[derive(Clone, Debug)]
struct Node {
    /// How far behind the newest value a second one lies that it reads, if it reads one.
    shortcut: Option<usize>,
    features: usize,
    keeps: Keeps,
    memo: Memo,
    /// Which of its inputs gets the gradient behind, if it has so many.
    passes_on: Option<usize>,
    adds: bool,
    has_parameters: bool,
}

fn any_node() -> impl Strategy<Value = Node> {
    let keeps = (any::<bool>(), any::<bool>()).prop_map(|(inputs, y)| Keeps { inputs, y });
    let memo = prop_oneof![
        Just(Memo::default()),
        (1..30usize).prop_map(|choices| Memo { choices, ..Memo::default() }),
        (1..30usize).prop_map(|moments| Memo { moments, ..Memo::default() }),
    ];
    let links = (prop::option::weighted(0.3, 1..4usize), prop::option::weighted(0.4, 0..2usize));
    (links, 1..100usize, keeps, memo, any::<(bool, bool)>()).prop_map(
        |((shortcut, passes_on), features, keeps, memo, (adds, has_parameters))| Node {
            shortcut,
            features,
            keeps,
            memo,
            passes_on,
            adds,
            has_parameters,
        },
    )
}

/// Calls `check` with features and nodes of a chain with shortcuts.
fn with_graph<T>(nodes: &[Node], check: impl FnOnce(&[usize], &[Use<'_>]) -> T) -> T {
    let features: Vec<usize> = [7].into_iter().chain(nodes.iter().map(|node| node.features)).collect();
    let links = |(index, node): (usize, &Node)| match node.shortcut.filter(|behind| *behind <= index) {
        Some(behind) => Links::new(&[index, index - behind], index + 1),
        None => Links::new(&[index], index + 1),
    };
    let links: Vec<Links> = nodes.iter().enumerate().map(links).collect();
    let mut differentiable = vec![false; features.len()];
    let mut uses = Vec::new();
    for (links, node) in links.iter().zip(nodes) {
        let differentiates = node.has_parameters || links.inputs().any(|value| differentiable[value]);
        differentiable[links.output] = differentiates;
        let passes_on = node.passes_on.filter(|place| *place < links.inputs().count());
        let Node { keeps, memo, adds, .. } = *node;
        uses.push(Use { links, keeps, memo, passes_on, adds, differentiates });
    }
    check(&features, &uses)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn everything_is_where_its_readers_look(nodes in prop::collection::vec(any_node(), 1..25)) {
        with_graph(&nodes, |features, uses| {
            let plain = Plan::new(features, uses);
            prop_assert_eq!(carry_out(&plain, features, uses), Ok(()));
            prop_assert_eq!(plain.again().count(), 0);
            for segments in ways_to_cut(features, uses) {
                let plan = Plan::of_segments(features, uses, &segments);
                prop_assert_eq!(carry_out(&plan, features, uses), Ok(()), "{:?}: {:?}", segments, plan);
                let mut again: Vec<usize> = plan.again().collect();
                again.sort_unstable();
                prop_assert!(again.windows(2).all(|pair| pair[0] < pair[1]), "twice again: {:?}", again);
            }
            prop_assert!(Plan::recomputing(features, uses).bytes() <= plain.bytes());
            Ok(())
        })?;
    }
}

/// A chain of nodes that keep all they read and note something.
fn chain(count: usize) -> Vec<Node> {
    let memo = Memo { choices: 8, ..Memo::default() };
    let (shortcut, passes_on) = (None, None);
    vec![Node { shortcut, features: 10, keeps: ALL, memo, passes_on, adds: false, has_parameters: true }; count]
}

/// A plan that looks for a value, or for notes, where they lay on the way forward.
#[test]
fn a_wrong_plan_is_found() {
    with_graph(&chain(16), |features, uses| {
        let plan = || Plan::recomputing(features, uses);
        assert!(plan().again().count() > 0);
        assert_eq!(carry_out(&plan(), features, uses), Ok(()));
        let forward = plan().forward;
        let mut wrong = plan();
        wrong.back.values.clone_from(&forward.values);
        carry_out(&wrong, features, uses).unwrap_err();
        let mut wrong = plan();
        wrong.back.notes.clone_from(&forward.notes);
        carry_out(&wrong, features, uses).unwrap_err();
        let mut wrong = plan();
        wrong.way_back.retain(|step| matches!(step, Step::Back(_)));
        carry_out(&wrong, features, uses).unwrap_err();
    });
}

/// Of n equal nodes segments of about √n are alive, and as many values between them.
#[test]
fn the_memory_of_a_chain_grows_with_the_root_of_its_length() {
    for root in [4, 8, 16] {
        with_graph(&chain(root * root), |features, uses| {
            let plan = Plan::recomputing(features, uses);
            assert!(plan.slots.len() <= 2 * root + 4, "{}² nodes: {} slots", root, plan.slots.len());
            assert!(plan.choices.len() <= 2 * root + 4, "{}² nodes: {} slots of choices", root, plan.choices.len());
            assert!(plan.again().count() < root * root);
        });
    }
}

/// What passes by a node goes into the segment that it ends in.
#[test]
fn no_cut_is_beside_a_shortcut() {
    let mut nodes = chain(12);
    nodes[5].shortcut = Some(3);
    with_graph(&nodes, |features, uses| {
        let finest = ways_to_cut(features, uses).pop().unwrap();
        assert_eq!(finest, [0..1, 1..2, 2..6, 6..7, 7..8, 8..9, 9..10, 10..11, 11..12], "{features:?}");
    });
}
