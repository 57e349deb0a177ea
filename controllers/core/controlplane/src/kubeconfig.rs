//! Kubeconfig files with everything in them, so that they work wherever they are copied to.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::error::Error;
use crate::pki::{self, Identity};

/// The text of a kubeconfig for `user` with the API server at `server` (`https://host:port`).
pub fn text(server: &str, ca_certificate: &str, user: &str, identity: &Identity) -> String {
    format!(
        "\
apiVersion: v1
kind: Config
current-context: corten
clusters:
- name: corten
  cluster:
    server: {server}
    certificate-authority-data: {ca}
contexts:
- name: corten
  context:
    cluster: corten
    user: {user}
users:
- name: {user}
  user:
    client-certificate-data: {certificate}
    client-key-data: {key}
",
        user = quoted(user),
        ca = STANDARD.encode(ca_certificate),
        certificate = STANDARD.encode(&identity.certificate),
        key = STANDARD.encode(&identity.key),
    )
}

/// Writes `text` to `path` with mode 0600, in one step.
pub fn write(path: &Path, text: &str) -> Result<(), Error> {
    pki::write(path, text)
}

/// A client configuration from the text of a kubeconfig; `path` is named in errors.
pub async fn config(text: &str, path: &Path) -> Result<kube::Config, Error> {
    let failed = |reason: String| Error::Kubeconfig {
        path: path.to_owned(),
        reason,
    };
    let kubeconfig =
        kube::config::Kubeconfig::from_yaml(text).map_err(|error| failed(error.to_string()))?;
    kube::Config::from_custom_kubeconfig(kubeconfig, &kube::config::KubeConfigOptions::default())
        .await
        .map_err(|error| failed(error.to_string()))
}

/// YAML's single quotes: `system:node:a` must not be read as a map.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
