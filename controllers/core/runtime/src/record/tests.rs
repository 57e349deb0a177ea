use super::{BURST, Memory, Outbox, Sighting};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Pod};
use plan::{Action, Kind, Note, Reference, Verb};
use std::time::Duration;

fn sighting(message: &str) -> Sighting {
    let about = Reference {
        kind: Kind::of::<Pod>(),
        namespace: "shop".into(),
        name: "web".into(),
        uid: "1".into(),
    };
    Sighting {
        component: "replicaset-controller",
        note: Note::warning(&about, "FailedCreate", message),
        at: Timestamp::UNIX_EPOCH,
    }
}

fn message(action: &Action) -> String {
    match &action.verb {
        Verb::Create(event) => {
            let event = event.read::<Event>().and_then(|e| e.message.clone());
            event.unwrap_or_default()
        }
        Verb::Patch(_, body) => format!("×{}", body["count"]),
        other => other.name().to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_event_again_is_a_higher_count() {
    let mut memory = Memory::default();
    let sent: Vec<_> = (0..3)
        .filter_map(|_| memory.correlate(sighting("quota")))
        .collect();
    let sent: Vec<_> = sent.iter().map(|write| message(&write.action())).collect();
    assert_eq!(sent, ["quota", "×2", "×3"]);
}

#[tokio::test(start_paused = true)]
async fn events_that_differ_only_in_words_are_combined_after_ten() {
    let mut memory = Memory::default();
    let sent: Vec<_> = (0..12)
        .filter_map(|n| memory.correlate(sighting(&format!("pod {n}"))))
        .map(|write| message(&write.action()))
        .collect();
    assert_eq!(sent[9], "pod 9");
    assert_eq!(sent[10], "(combined from similar events): pod 10");
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_cut_off_and_comes_back_drop_by_drop() {
    let mut memory = Memory::default();
    let mut sent = |n| {
        (0..n)
            .filter(|_| memory.correlate(sighting("same")).is_some())
            .count()
    };
    assert_eq!(sent(100), BURST as usize);
    tokio::time::advance(Duration::from_secs(301)).await;
    assert_eq!(sent(100), 1);
}

#[tokio::test(start_paused = true)]
async fn a_flood_that_cannot_be_sent_takes_no_room_of_others() {
    let (mut outbox, mut ways) = Outbox::new();
    for n in 0..20_000 {
        outbox.put(sighting(&format!("pod {n}")));
    }
    let mut other = sighting("bound");
    other.component = "default-scheduler";
    outbox.put(other);
    let mut sent = Vec::new();
    for way in &mut ways {
        while let Ok(write) = way.try_recv() {
            sent.push(write.sighting.component);
        }
    }
    assert_eq!(sent.len(), BURST as usize + 1);
    assert!(sent.contains(&"default-scheduler"));
}

#[tokio::test(start_paused = true)]
async fn what_raises_a_count_goes_the_way_of_what_made_the_event() {
    let (mut outbox, mut ways) = Outbox::new();
    for _ in 0..5 {
        outbox.put(sighting("quota"));
        outbox.put(sighting("limit"));
    }
    let drained = ways.iter_mut().map(|way| {
        let mut sent = Vec::new();
        while let Ok(write) = way.try_recv() {
            sent.push(message(&write.action()));
        }
        sent
    });
    let drained: Vec<_> = drained.filter(|sent| !sent.is_empty()).collect();
    let raised = ["×2", "×3", "×4", "×5"];
    assert_eq!(drained.len(), 2);
    for sent in drained {
        assert_eq!(sent[1..], raised);
    }
}
