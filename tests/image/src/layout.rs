//! The OCI image layout (`github.com/opencontainers/image-spec`, image-layout.md): what `ctr images import`, `skopeo` and
//! `crane` read.

use crate::tar::{Entry, What, archive};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// What is said of an image.
#[derive(Clone, Debug)]
pub struct Label<'a> {
    /// Its name with its tag, for containerd: `registry.example.com/corten:0.1.0`.
    pub name: &'a str,
    /// OCI's name of the machine: `amd64`, `arm64`.
    pub machine: &'a str,
    /// What is run, and as whom: the object `config` of an image's configuration.
    pub config: Value,
    /// The manifest's annotations.
    pub about: Value,
}

/// The files of a layout with one image: a layer with `contents`.
pub fn layout(contents: &[Entry], label: &Label<'_>) -> Vec<Entry> {
    let layer = archive(contents);
    let config = bytes(&json!({
        "architecture": label.machine, "os": "linux",
        "config": label.config,
        "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] },
        "history": [{ "created_by": "cargo run -p image" }],
    }));
    let manifest = bytes(&json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described("application/vnd.oci.image.config.v1+json", &config),
        "layers": [described("application/vnd.oci.image.layer.v1.tar", &layer)],
        "annotations": label.about,
    }));
    let mut named = described("application/vnd.oci.image.manifest.v1+json", &manifest);
    named["platform"] = json!({ "architecture": label.machine, "os": "linux" });
    let tag = label.name.rsplit_once(':').map_or("latest", |(_, tag)| tag);
    named["annotations"] = json!({
        "io.containerd.image.name": label.name, "org.opencontainers.image.ref.name": tag,
    });
    let index = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [named],
    });
    let file = |path: String, bytes| Entry {
        path,
        what: What::File { mode: 0o644, bytes },
    };
    let blob = |bytes: Vec<u8>| file(digest(&bytes).replace("sha256:", "blobs/sha256/"), bytes);
    let version = json!({ "imageLayoutVersion": "1.0.0" });
    vec![
        file("oci-layout".to_owned(), bytes(&version)),
        file("index.json".to_owned(), bytes(&index)),
        blob(config),
        blob(manifest),
        blob(layer),
    ]
}

fn described(media: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media, "digest": digest(bytes), "size": bytes.len() })
}

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// `sha256:…`
pub fn digest(bytes: &[u8]) -> String {
    let mut digest = "sha256:".to_owned();
    for byte in Sha256::digest(bytes) {
        // Nothing can go wrong when a String is written to.
        let _ = write!(digest, "{byte:02x}");
    }
    digest
}
