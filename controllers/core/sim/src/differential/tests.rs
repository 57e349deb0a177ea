#![allow(clippy::unwrap_used)]

use k8s_openapi::api::core::v1::Namespace;
use serde_json::json;

use super::{diff, run, sequences};
use crate::Sim;

async fn answers(seed: u64) -> Vec<super::Answer> {
    let sim = Sim::new();
    sim.create::<Namespace>(
        serde_json::from_value(json!({ "metadata": { "name": "n" } })).unwrap(),
    );
    run(&sim.client(), "n", &sequences(seed)).await
}

#[tokio::test(start_paused = true)]
async fn a_sequence_is_the_same_each_time() {
    let (mut accepted, mut refused) = (0, 0);
    for seed in 0..100 {
        assert_eq!(sequences(seed), sequences(seed));
        let (first, second) = (answers(seed).await, answers(seed).await);
        assert_eq!(diff(&first, &second), None);
        let length = sequences(seed).len();
        assert!((8..=20).contains(&length));
        // One or two kinds, two watches each.
        assert!([2, 4].contains(&(first.len() - length)));
        for answer in &first {
            assert!(answer.code >= 200, "{seed}: {answer:?}");
            *if answer.code < 300 {
                &mut accepted
            } else {
                &mut refused
            } += 1;
        }
    }
    // Mostly valid calls, but not only.
    assert!(
        accepted > refused && refused > 100,
        "{accepted} and {refused}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_difference_is_named() {
    let left = answers(3).await;
    let mut right = left.clone();
    right[2].code = 418;
    let difference = diff(&left, &right).unwrap();
    assert_eq!(difference.at, 2);
    assert!(difference.answers.contains("right: 418 "), "{difference:?}");
}
