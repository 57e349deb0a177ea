//! Questions to the API server that no cache answers: what other servers behind it tell, metrics for instance.

use crate::error::Refusal;
use crate::process::Process;
use crate::send;
use crate::trim::OBJECT;
use crate::watch::Source;
use crate::watched::Watched;
use http::StatusCode;
use plan::Cause;
use serde::Deserialize;
use std::fmt;
use std::sync::Arc;

/// Asks. Cheap to clone.
#[derive(Clone)]
pub struct Reads {
    process: Arc<Process>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadError {
    /// What is wrong, in the server's words where it has some.
    pub message: String,
    /// The code of the answer, where there was one.
    pub code: Option<StatusCode>,
    /// Whether the thing, or the whole kind, is not there.
    pub not_found: bool,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ReadError {}

impl Reads {
    pub(crate) fn new(process: Arc<Process>) -> Self {
        Self { process }
    }

    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// GETs `path` in the form `accept`, a media type, and reads the answer as a `T`.
    ///
    /// # Errors
    /// As [`Reads::get`].
    pub async fn get_as<T: for<'de> Deserialize<'de>>(
        &self,
        path: &str,
        accept: &'static str,
    ) -> Result<T, ReadError> {
        Ok(send::read_as(&self.process, path, accept).await?)
    }

    /// POSTs a question that the server answers without storing it (a SubjectAccessReview), and reads the answer.
    ///
    /// # Errors
    /// As [`Reads::get`].
    pub async fn ask<T: for<'de> Deserialize<'de>>(
        &self,
        path: &str,
        question: &(impl serde::Serialize + Sync),
    ) -> Result<T, ReadError> {
        Ok(send::ask(&self.process, path, question).await?)
    }

    /// GETs `path` (with its query), and reads the answer as a `T`.
    ///
    /// # Errors
    /// No answer within 30 s, another one than 2xx, or one that is no `T`.
    pub async fn get<T: for<'de> Deserialize<'de>>(&self, path: &str) -> Result<T, ReadError> {
        Ok(send::read(&self.process, path).await?)
    }

    /// All objects of a kind in a namespace as they are now, and not as a cache has seen them.
    ///
    /// # Errors
    /// No answer, or one that cannot be read.
    pub async fn list<K: Watched>(&self, namespace: &str) -> Result<Vec<K>, ReadError> {
        let source = Source::new::<K>(self.process.client().clone(), Some(namespace));
        let mut objects = Vec::new();
        let mut read = |text: &str| {
            objects.push(K::listed(text, OBJECT)?);
            Ok(())
        };
        source.list(&mut read).await.map_err(|error| ReadError {
            message: error.to_string(),
            code: None,
            not_found: false,
        })?;
        Ok(objects)
    }
}

impl From<Refusal> for ReadError {
    fn from(refusal: Refusal) -> Self {
        Self {
            code: refusal.code,
            not_found: refusal.cause == Cause::NotFound,
            message: refusal.message,
        }
    }
}
