//! The same stories in memory, each on a cluster of its own, and on a real one.
#![allow(clippy::unwrap_used, clippy::panic)]

mod faults;
mod stories;
mod words;

use crate::{Cluster, Error};

/// Runs a story in memory.
#[track_caller]
fn in_memory(story: impl AsyncFnOnce(&Cluster) -> Result<(), Error>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().unwrap();
    let outcome = runtime.block_on(async {
        let cluster = Cluster::sim().await?;
        story(&cluster).await
    });
    outcome.unwrap();
}

macro_rules! stories {
    ($($story:ident),* $(,)?) => {
        mod in_memory {
            $(
                #[test]
                fn $story() {
                    super::in_memory(super::stories::$story);
                }
            )*
        }

        /// Each tells its own on one cluster, as all that they make has names of its own.
        #[tokio::test]
        async fn every_story_on_a_real_cluster() -> Result<(), Error> {
            let cluster = Cluster::real().await?;
            $(
                let begun = std::time::Instant::now();
                stories::$story(&cluster).await?;
                println!("{}: {:.1} s", stringify!($story), begun.elapsed().as_secs_f64());
            )*
            Ok(())
        }
    };
}

stories!(
    a_deployment_gets_ready_pods_and_is_rolled_out,
    pods_go_with_their_owner,
    a_stateful_set_gets_its_volumes,
    a_daemon_set_runs_on_each_node,
    a_job_ends,
    a_service_has_the_addresses_of_its_pods,
    an_autoscaler_sees_what_pods_use,
    a_namespace_is_emptied,
    a_quota_counts,
    custom_resources_are_kept_alike,
);
