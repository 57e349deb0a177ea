//! What only a cluster in memory can: time, and faults.

use super::in_memory;
use crate::{Cluster, Effect, Fault, LOOPS, Lost, TEST, Verb};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::PostParams;
use std::time::Duration;

const HOURLY: &str = "
apiVersion: batch/v1
kind: CronJob
metadata: {name: report}
spec:
  schedule: '0 * * * *'
  jobTemplate:
    spec:
      template:
        metadata: {annotations: {hollow.corten.dev/run-for: 5s}}
        spec:
          restartPolicy: Never
          containers: [{name: main, image: report}]
";

#[test]
fn hours_pass_at_once() {
    let begun = std::time::Instant::now();
    in_memory(async |cluster| {
        cluster.apply(HOURLY).await?;
        let before = cluster.now();
        cluster
            .pass(Duration::from_hours(3) + Duration::from_secs(30))
            .await;
        assert!(cluster.now().duration_since(before).as_hours() >= 3);
        let jobs = cluster.list::<Job>("default", "").await?;
        let done = |job: &&Job| job.status.as_ref().and_then(|s| s.succeeded) == Some(1);
        assert_eq!(jobs.iter().filter(done).count(), 3);
        let last = cluster.get::<CronJob>("report").await?.status.unwrap();
        assert!(last.last_successful_time.is_some());
        Ok(())
    });
    println!("three hours took {} ms", begun.elapsed().as_millis());
}

#[test]
fn a_request_fails_once_as_it_is_told_to() {
    in_memory(async |cluster| {
        let maps: Api<ConfigMap> = Api::default_namespaced(cluster.client_of("operator")?);
        let mut map = ConfigMap::default();
        map.metadata.name = Some("a".to_owned());
        cluster.fail(Fault::write(
            "operator",
            1,
            Effect::FailAfter(Lost::Timeout),
        ))?;
        let lost = maps.create(&PostParams::default(), &map).await;
        assert!(matches!(lost, Err(kube::Error::Api(status)) if status.code == 504));
        cluster.get::<ConfigMap>("a").await?;
        let next = Fault::request(
            "operator",
            |seen| seen.verb == Verb::Delete,
            Effect::Conflict,
        );
        cluster.fail(next)?;
        let refused = maps.delete("a", &Default::default()).await;
        assert!(matches!(refused, Err(kube::Error::Api(status)) if status.code == 409));
        maps.delete("a", &Default::default()).await.unwrap();
        Ok(())
    });
}

#[test]
fn loops_go_on_when_their_requests_fail() {
    in_memory(async |cluster| {
        for effect in [
            Effect::FailBefore(500),
            Effect::Disconnect,
            Effect::Conflict,
        ] {
            let creates = |seen: &sim::Seen<'_>| seen.kind == "Pod" && seen.verb == Verb::Create;
            cluster.fail(Fault::request(LOOPS, creates, effect))?;
        }
        cluster
            .apply(include_str!("../../../../examples/web.yaml"))
            .await?;
        cluster.until_pods_ready("default", "", 10).await?;
        Ok(())
    });
}

#[test]
fn two_runs_of_a_story_are_equal() {
    let run = || {
        let (tell, hear) = std::sync::mpsc::channel();
        in_memory(async |cluster| {
            cluster
                .apply(include_str!("../../../../examples/web.yaml"))
                .await?;
            cluster.until_pods_ready("default", "", 10).await?;
            let history = cluster.in_memory().unwrap().history();
            let written = history.iter().filter(|write| &*write.actor != TEST);
            let pods = written.filter(|write| write.kind == "Pod");
            tell.send(
                pods.map(|w| format!("{} {:?}", w.name, w.verb))
                    .collect::<Vec<_>>(),
            )
            .unwrap();
            Ok(())
        });
        hear.recv().unwrap()
    };
    let (mut one, mut other) = (run(), run());
    one.sort();
    other.sort();
    assert_eq!(one, other);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_one_thread_is_refused_in_words() {
    let said = Cluster::sim().await.err().unwrap().to_string();
    assert!(said.contains("#[tokio::test]"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_stands_still_already_is_as_good() {
    assert!(Cluster::sim().await.is_ok());
}
