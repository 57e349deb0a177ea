#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use runtime::{Clock, Options, Runtime};
use sim::Sim;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn each_namespace_gets_both_and_gets_them_back() {
    let sim = Sim::new();
    let (clock, seed) = (sim.clone(), Some(1));
    let clock = Clock::new(move || clock.now());
    let options = Options {
        clock,
        seed,
        ..Options::default()
    };
    let runtime = Runtime::new(sim.client_for("cluster"), options);
    runtime.run(ServiceAccountController, 2);
    runtime.run(RootCaPublisher::new("PEM".into()), 2);
    runtime.start().await;
    let rest = || tokio::time::sleep(Duration::from_secs(3));
    let has_both = |namespace: &str| {
        let map = sim.get::<ConfigMap>(namespace, ROOT_CA_CONFIG_MAP);
        let ca = map.and_then(|map| map.data?.remove("ca.crt"));
        let account = sim.get::<ServiceAccount>(namespace, DEFAULT_ACCOUNT);
        account.is_some() && ca.as_deref() == Some("PEM")
    };
    rest().await;
    assert!(has_both("default") && has_both("kube-system"));

    let shop = serde_json::json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}, "status": {"phase": "Active"},
    });
    sim.create::<Namespace>(serde_json::from_value(shop).unwrap());
    rest().await;
    assert!(has_both("shop"), "a new namespace");

    sim.delete::<ServiceAccount>("shop", DEFAULT_ACCOUNT);
    sim.delete::<ConfigMap>("shop", ROOT_CA_CONFIG_MAP);
    rest().await;
    assert!(has_both("shop"), "deleted ones come back");

    sim.update_with::<ConfigMap>("shop", ROOT_CA_CONFIG_MAP, |map| map.data = None);
    rest().await;
    assert!(has_both("shop"), "an edited one is repaired");

    let writes = sim.writes("cluster");
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!(
        sim.writes("cluster"),
        writes,
        "nothing is written while nothing changes"
    );
}
