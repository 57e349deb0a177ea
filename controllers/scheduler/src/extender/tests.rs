#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::kit::{info, node, requests};

fn extender(is_cache_capable: bool) -> Extender {
    Extender {
        url: "http://x".to_owned(),
        filter: "filter".to_owned(),
        prioritize: "prioritize".to_owned(),
        preempt: "preempt".to_owned(),
        bind: "bind".to_owned(),
        weight: 3,
        tls: Tls::default(),
        timeout: Duration::from_secs(5),
        is_cache_capable,
        managed: BTreeSet::new(),
        is_ignorable: false,
    }
}

fn nodes() -> Vec<Arc<Node>> {
    ["m", "n", "o"].map(|name| node(name, json!({}))).into()
}

/// Which nodes pass, and why others do not.
fn sifted(is_cache_capable: bool, answer: Value) -> Result<String, String> {
    let (mut nodes, mut opinion) = (nodes(), Opinion::default());
    extender(is_cache_capable).sift(&answer, &mut nodes, &mut opinion)?;
    let names: Vec<&str> = nodes
        .iter()
        .map(|node| meta::name(&node.metadata))
        .collect();
    let failed = opinion.failed.iter().map(|(node, (why, resolvable))| {
        let mark = if *resolvable { "" } else { "!" };
        format!("{node}: {mark}{why}")
    });
    let failed: Vec<String> = failed.collect();
    Ok(format!("{} | {}", names.join(" "), failed.join(", ")))
}

#[test]
fn it_is_asked_about_pods_that_want_what_it_looks_after() {
    let mut of = extender(true);
    let plain = info("a", json!({}));
    assert!(of.is_interested(&plain.like), "it takes all");
    of.managed.insert("x.io/gpu".to_owned());
    let wanting = info("b", requests(json!({ "x.io/gpu": "1" })));
    let limits = json!({ "x.io/gpu": "1" });
    let limited = json!({ "spec": { "initContainers": [{ "name": "i", "resources": { "limits": limits } }] } });
    let limited = info("c", limited);
    let interested = [&plain, &wanting, &limited].map(|info| of.is_interested(&info.like));
    assert_eq!(interested, [false, true, true]);
}

#[test]
fn nodes_are_named_to_those_that_know_them_and_shown_to_others() {
    let pod = info("a", json!({})).object();
    let named = extender(true).about_nodes(&pod, &nodes());
    assert_eq!(named["NodeNames"], json!(["m", "n", "o"]));
    assert_eq!(
        (&named["Nodes"], &named["Pod"]["metadata"]["name"]),
        (&Value::Null, &json!("a"))
    );
    let shown = extender(false).about_nodes(&pod, &nodes());
    assert_eq!(shown["NodeNames"], Value::Null);
    assert_eq!(shown["Nodes"]["items"][2]["metadata"]["name"], "o");
}

#[test]
fn what_it_says_of_nodes_is_read_as_go_reads_it() {
    let failed = json!({ "m": "both", "o": "no device" });
    let answer = json!({ "nodenames": ["n"], "FailedNodes": failed,
        "failedAndUnresolvableNodes": { "m": "never" }, "error": "" });
    let read = "n | m: !never, o: no device";
    assert_eq!(sifted(true, answer.clone()).unwrap(), read);
    // Names are of no use from one that was shown nodes.
    assert_eq!(sifted(false, answer).unwrap(), " | m: !never, o: no device");
    let shown =
        json!({ "Nodes": { "items": [{ "metadata": { "name": "o" } }] }, "NodeNames": null });
    assert_eq!(sifted(false, shown.clone()).unwrap(), "o | ");
    assert_eq!(sifted(true, shown).unwrap(), "o | ");
    assert_eq!(sifted(true, json!({})).unwrap(), " | ");
    assert_eq!(sifted(true, json!({ "Error": "no" })).unwrap_err(), "no");
    let text = "extender \"http://x\" claims a filtered node \"p\" which is not found in the input node list";
    assert_eq!(
        sifted(true, json!({ "NodeNames": ["p"] })).unwrap_err(),
        text
    );
}

#[test]
fn its_priorities_are_brought_to_the_scale_of_scores() {
    let mut opinion = Opinion::default();
    let answer =
        json!([{ "Host": "m", "Score": 10 }, { "host": "n", "score": 1 }, { "Host": "o" }]);
    extender(true).score(&answer, &mut opinion);
    extender(true).score(
        &json!([{ "Host": "n", "Score": i64::MAX }, 7]),
        &mut opinion,
    );
    let scores: Vec<i64> = opinion.scores.into_values().collect();
    assert_eq!(scores, [300, i64::MAX, 0]);
    extender(true).score(&json!({ "what": "is this" }), &mut Opinion::default());
}

#[test]
fn it_chooses_victims_among_the_pods_of_nodes() {
    let pods = vec![info("low", json!({})), info("high", json!({}))];
    let asked = Candidate {
        node: "n".into(),
        victims: pods[..1].to_vec(),
        violations: 1,
        pods: pods.clone(),
    };
    let pod = info("a", json!({})).object();
    let question = extender(true).about_victims(&pod, std::slice::from_ref(&asked));
    let meta = json!({ "n": { "Pods": [{ "UID": "u-low" }], "NumPDBViolations": 1 } });
    assert_eq!(
        (
            &question["NodeNameToMetaVictims"],
            &question["NodeNameToVictims"]
        ),
        (&meta, &Value::Null)
    );
    let whole = extender(false).about_victims(&pod, std::slice::from_ref(&asked));
    assert_eq!(
        whole["NodeNameToVictims"]["n"]["Pods"][0]["metadata"]["name"],
        "low"
    );

    let chosen = |is_ignorable: bool, victims: Value| {
        let of = Extender {
            is_ignorable,
            ..extender(true)
        };
        let left = of.victims(
            &json!({ "NodeNameToMetaVictims": victims }),
            std::slice::from_ref(&asked),
        )?;
        let names = left
            .iter()
            .flat_map(|of| of.victims.iter().map(|pod| &*pod.uid));
        Ok::<_, String>(names.collect::<Vec<_>>().join(" "))
    };
    let other = json!({ "n": { "Pods": [{ "UID": "u-high" }], "NumPDBViolations": 0 } });
    assert_eq!(chosen(false, other).unwrap(), "u-high");
    assert_eq!(chosen(false, json!({})).unwrap(), "");
    let none = json!({ "n": { "Pods": [] } });
    assert_eq!(chosen(true, none.clone()).unwrap(), "");
    assert_eq!(
        chosen(false, none).unwrap_err(),
        "expected at least one victim pod on node \"n\""
    );
    let gone = chosen(false, json!({ "n": { "Pods": [{ "UID": "u-x" }] } })).unwrap_err();
    assert!(
        gone.ends_with("the pod is not found on that node"),
        "{gone}"
    );
    let nowhere = chosen(false, json!({ "z": { "Pods": [{ "UID": "u-x" }] } })).unwrap_err();
    assert_eq!(nowhere, "nodeinfo not found for node name \"z\"");
}

#[test]
fn bindings_are_asked_for_by_name() {
    let question = Extender::about_binding(&info("a", json!({})), "n");
    let expected = json!({ "PodName": "a", "PodNamespace": "ns", "PodUID": "u-a", "Node": "n" });
    assert_eq!(question, expected);
    assert_eq!(Extender::binding(&json!({ "Error": "" })), Ok(()));
    assert_eq!(
        Extender::binding(&json!({ "error": "no" })),
        Err("no".to_owned())
    );
}
