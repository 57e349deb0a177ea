//! What holds for every Deployment, whatever happens in whatever order.
#![allow(clippy::unwrap_used, clippy::panic)]

pub(crate) mod kit;
mod model;

use kit::{Case, rs};
use model::{Model, Random};

/// Users change what they want, ReplicaSets act and report when they like, some pods never become ready, writes fail.
#[test]
fn the_bounds_hold_in_every_state_and_all_comes_to_rest() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let mut model = Model::new(&mut random);
        for _ in 0..250 {
            model.step(&mut random);
            model.check_bounds(seed);
        }
        model.settle(seed, &mut random);
    }
}

/// Two plans from the same facts in another order are the same.
#[test]
fn the_order_of_lists_does_not_matter() {
    let case = || {
        Case::new(10)
            .surge(3)
            .unavailable(2)
            .rs(rs("a", "v1", 4).has(4, 3).sized_for(10, 13))
            .rs(rs("b", "v2", 4).has(4, 4).sized_for(10, 13))
            .rs(rs("c", "v3", 5).has(5, 2).sized_for(10, 13))
            .template("v3")
    };
    for replicas in [0, 3, 10, 11, 40] {
        let expected = case().replicas(replicas).told();
        for turn in 1..3 {
            assert_eq!(
                case().replicas(replicas).turned(turn).told(),
                expected,
                "{replicas}"
            );
        }
    }
}

/// What was made by another controller, whose hashes are not ours, is taken over as it is.
#[test]
fn a_take_over_writes_nothing() {
    let case = Case::new(3)
        .rs(rs("5d8f6b7c9", "v1", 3)
            .has(3, 3)
            .sized_for(3, 4)
            .annotated("team", "web"))
        .annotated("team", "web")
        .annotated(crate::annotations::REVISION, "1");
    assert_eq!(case.told(), Vec::<String>::new());
    let after = case.status_after(&plan::Outcome::default()).unwrap();
    let rested = case.with_status(after);
    assert!(rested.status_after(&plan::Outcome::default()).is_none());
}
