//! Servers beside the API server that are asked by POST: a scheduler's extenders.

use crate::args::connect;
use http::{Request, header};
use http_body_util::BodyExt;
use kube::config::Kubeconfig;
use kube::{Client, Config};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Such a server. Belongs to the tokio runtime that it is made in.
pub struct Outside {
    client: Client,
    url: String,
    patience: Duration,
}

/// How two know each other over HTTPS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Whatever it shows is believed.
    pub insecure: bool,
    /// What its certificate has to be for; the host of the URL if there is none.
    pub server_name: Option<String>,
    /// Who signed its certificate; those that the system trusts if there is none.
    pub authority: Option<Pem>,
    /// What it is shown.
    pub certificate: Option<Pem>,
    /// The key to that.
    pub key: Option<Pem>,
}

/// Where PEM text is.
#[derive(Clone, PartialEq, Eq)]
pub enum Pem {
    /// In the file at this path.
    File(String),
    /// Here, in base64.
    Data(String),
}

// What is inside may be a key.
impl std::fmt::Debug for Pem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "File({path:?})"),
            Self::Data(_) => f.write_str("Data"),
        }
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The status code.
    pub code: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Outside {
    /// The server at `url`, which is given up after `patience`. Nothing is sent yet.
    ///
    /// # Errors
    /// The URL is none, or a certificate or key cannot be read or used.
    pub fn new(url: &str, tls: &Tls, patience: Duration) -> Result<Self, String> {
        let url = url.trim_end_matches('/').to_owned();
        if !(url.starts_with("http://") || url.starts_with("https://")) {
            return Err(format!("{url:?} is not a URL like http://10.0.0.1:8888/x"));
        }
        let mut config = config(&url, tls).map_err(|error| error.to_string())?;
        config.connect_timeout = Some(patience);
        let client = connect::plain(&config).map_err(|error| error.to_string())?;
        Ok(Self {
            client,
            url,
            patience,
        })
    }

    /// POSTs JSON to this verb, which is put behind the URL, once.
    ///
    /// # Errors
    /// There was no answer, in the words of Go's HTTP client as far as they are known.
    pub async fn post(&self, verb: &str, body: Vec<u8>) -> Result<Answered, String> {
        let wrong = |error: &str| format!("Post \"{}/{verb}\": {error}", self.url);
        let request = Request::post(format!("/{verb}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(kube::client::Body::from(body))
            .map_err(|error| wrong(&error.to_string()))?;
        let answer = async {
            let response = self
                .client
                .send(request)
                .await
                .map_err(|e| connect::root(&e))?;
            let code = response.status().as_u16();
            let body = response.into_body().collect().await;
            let body = body.map_err(|e| e.to_string())?.to_bytes().to_vec();
            Ok(Answered { code, body })
        };
        match tokio::time::timeout(self.patience, answer).await {
            Ok(answer) => answer.map_err(|error: String| wrong(&error)),
            Err(_) => Err(wrong(
                "context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
            )),
        }
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// The same as a kubeconfig has it, which is where clients read these things from.
fn config(url: &str, tls: &Tls) -> Result<Config, kube::config::KubeconfigError> {
    let mut cluster = Map::from_iter([("server".to_owned(), json!(url))]);
    let mut user = Map::new();
    let put = |into: &mut Map<String, Value>, name: &str, pem: &Option<Pem>| match pem {
        None => {}
        Some(Pem::File(path)) => {
            into.insert(name.to_owned(), json!(path));
        }
        Some(Pem::Data(data)) => {
            into.insert(format!("{name}-data"), json!(data));
        }
    };
    put(&mut cluster, "certificate-authority", &tls.authority);
    put(&mut user, "client-certificate", &tls.certificate);
    put(&mut user, "client-key", &tls.key);
    cluster.insert("insecure-skip-tls-verify".to_owned(), json!(tls.insecure));
    if let Some(name) = &tls.server_name {
        cluster.insert("tls-server-name".to_owned(), json!(name));
    }
    let whole = json!({
        "clusters": [{ "name": "it", "cluster": cluster }],
        "users": [{ "name": "we", "user": user }],
        "contexts": [{ "name": "here", "context": { "cluster": "it", "user": "we" } }],
        "current-context": "here",
    });
    let kubeconfig: Kubeconfig =
        serde_json::from_value(whole).expect("these are the fields of a kubeconfig");
    Config::try_from(kubeconfig)
}

#[cfg(test)]
mod tests;
