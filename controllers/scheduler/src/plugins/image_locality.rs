//! ImageLocality: nodes that have the pod's images already.
//!
//! Upstream: `framework/plugins/imagelocality/image_locality.go`.

use crate::plugin::{Normalise, Score, Scorer};
use crate::pods::PodInfo;
use crate::snapshot::Snapshot;
use ahash::{AHashMap, AHasher};
use std::hash::{Hash, Hasher};

/// Prefers nodes with the pod's images, large ones first; an image that few nodes have counts less, so that not all pods
/// gather where it happened to be pulled.
pub struct ImageLocality;

const MEGABYTE: i64 = 1024 * 1024;
/// Below that, no node is better than another.
const LEAST: i64 = 23 * MEGABYTE;
/// What more a container has does not count.
const MOST: i64 = 1000 * MEGABYTE;

impl Score for ImageLocality {
    fn name(&self) -> &'static str {
        "ImageLocality"
    }

    fn is_signed(&self) -> bool {
        true
    }

    fn local(&self) -> Option<Normalise> {
        Some(Normalise::AsIs)
    }

    fn stamp(&self, pod: &PodInfo, all: &Snapshot) -> u64 {
        let known = images(pod).filter_map(|image| all.images.get(&*normalised(image)));
        let mut sum = AHasher::default();
        for nodes in known {
            (nodes.len(), all.len()).hash(&mut sum);
        }
        sum.finish()
    }

    fn prepare<'a>(&'a self, pod: &'a PodInfo, all: &'a Snapshot, _: &[u32]) -> Option<Scorer<'a>> {
        let known = images(pod).filter_map(|image| all.images.get(&*normalised(image)));
        let known: Vec<(&AHashMap<u32, i64>, f64)> = known
            .map(|nodes| (nodes, nodes.len() as f64 / all.len() as f64))
            .collect();
        let spec = pod.spec();
        let starting = spec.init_containers.as_ref().map_or(0, Vec::len);
        let most = MOST * (spec.containers.len() + starting) as i64;
        (!known.is_empty()).then(|| Scorer {
            normalise: Normalise::AsIs,
            score: Box::new(move |info, _| {
                let here = known.iter().filter_map(|(nodes, part)| {
                    let size = nodes.get(&info.slot)?;
                    Some((*size as f64 * part) as i64)
                });
                let sum = here.sum::<i64>().min(most).max(LEAST);
                100 * (sum - LEAST) / (most - LEAST)
            }),
        })
    }
}

/// The images that a pod's containers run and its volumes show.
fn images(pod: &PodInfo) -> impl Iterator<Item = &str> {
    let spec = pod.spec();
    let starting = spec.init_containers.iter().flatten();
    let containers = spec.containers.iter().chain(starting);
    let images = containers.filter_map(|container| container.image.as_deref());
    let volumes = spec.volumes.iter().flatten();
    images.chain(volumes.filter_map(|volume| volume.image.as_ref()?.reference.as_deref()))
}

/// An image without a tag is the latest.
fn normalised(image: &str) -> String {
    let is_tagged = image.rfind(':') > image.rfind('/');
    let tag = if is_tagged { "" } else { ":latest" };
    format!("{image}{tag}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::kit::{cluster, info, node, scores};
    use serde_json::{Value, json};

    fn with(
        name: &str,
        images: &[(&str, i64)],
    ) -> std::sync::Arc<k8s_openapi::api::core::v1::Node> {
        let images: Vec<Value> = images
            .iter()
            .map(|(name, size)| json!({ "names": [name], "sizeBytes": size * MEGABYTE }))
            .collect();
        node(name, json!({ "status": { "images": images } }))
    }

    #[test]
    fn large_images_that_many_nodes_have_count() {
        let mut all = cluster([
            with("a", &[("gcr.io/40:latest", 40), ("gcr.io/300:latest", 300)]),
            with("b", &[("gcr.io/250:latest", 250), ("gcr.io/10:latest", 10)]),
            with("c", &[]),
        ]);
        let score = |all: &crate::cluster::Cluster, images: &[&str]| {
            let containers: Vec<Value> = images
                .iter()
                .map(|image| json!({ "name": "c", "image": image }))
                .collect();
            let pod = info("new", json!({ "spec": { "containers": containers } }));
            scores(&ImageLocality, &pod, all.snapshot(), &["a", "b", "c"])
        };
        // A third of 40 MB and of 250 MB, of 23 MB to 2000 MB.
        assert_eq!(
            score(&all, &["gcr.io/40", "gcr.io/250"]),
            Some(vec![0, 3, 0])
        );
        assert_eq!(score(&all, &["gcr.io/300:latest"]), Some(vec![7, 0, 0]));
        assert_eq!(score(&all, &["gcr.io/10"]), Some(vec![0, 0, 0]));
        assert_eq!(score(&all, &["gcr.io/300:v2"]), None);
        all.put_node(with("c", &[("gcr.io/300:latest", 300)]));
        assert_eq!(score(&all, &["gcr.io/300"]), Some(vec![18, 0, 18]));
        all.put_node(with("a", &[]));
        all.remove_node("c");
        assert_eq!(score(&all, &["gcr.io/300"]), None);
    }

    #[test]
    fn a_tag_is_what_stands_behind_the_last_slash() {
        for (image, expected) in [
            ("root", "root:latest"),
            ("root:tag", "root:tag"),
            ("host:5000/root", "host:5000/root:latest"),
            ("host:5000/root:tag", "host:5000/root:tag"),
            ("root@sha256:abc", "root@sha256:abc"),
        ] {
            assert_eq!(normalised(image), expected);
        }
    }
}
