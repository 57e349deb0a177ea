//! Asks extenders, one after the other, and makes one answer of theirs.
//!
//! Upstream: `pkg/scheduler/schedule_one.go` (`findNodesThatPassExtenders`, `prioritizeNodes`, `extendersBinding`),
//! `framework/preemption/preemption.go` (`callExtenders`).

use crate::extender::{About, Answer, Candidate, Extender, Opinion, Question};
use crate::pods::PodInfo;
use futures::future::join_all;
use k8s_openapi::api::core::v1::{Node, Pod};
use objects::meta;
use runtime::outside::Outside;
use serde_json::Value;
use std::sync::Arc;

/// The extenders of a scheduler, those that cannot be gone on without first.
pub(crate) struct Extenders(Vec<(Extender, Outside)>);

impl Extenders {
    /// Those that can be reached as they say.
    ///
    /// # Errors
    /// A sentence that says which of them cannot be asked, and why.
    pub(crate) fn new(all: &[Extender]) -> Result<Self, String> {
        let each = all.iter().map(|extender| {
            let outside = Outside::new(&extender.url, &extender.tls, extender.timeout);
            let outside = outside.map_err(|error| format!("extender {}: {error}", extender.url))?;
            Ok((extender.clone(), outside))
        });
        each.collect::<Result<_, String>>().map(Self)
    }

    /// Those that are interested in a pod and have a verb.
    fn with<'a>(
        &'a self,
        pod: &'a Pod,
        verb: fn(&Extender) -> &str,
    ) -> impl Iterator<Item = &'a (Extender, Outside)> {
        let all = self.0.iter();
        all.filter(move |(of, _)| !verb(of).is_empty() && of.is_interested(pod))
    }

    /// What they say to a question.
    pub(crate) async fn ask(&self, question: &Question) -> Answer {
        let pod = question.info.object();
        match &question.about {
            About::Nodes(nodes) => Answer::Nodes(self.nodes(&pod, nodes.clone()).await),
            About::Victims(candidates) => {
                Answer::Victims(self.victims(&pod, candidates.clone()).await)
            }
        }
    }

    async fn nodes(&self, pod: &Pod, mut nodes: Vec<Arc<Node>>) -> Result<Opinion, String> {
        let mut opinion = Opinion::default();
        for (extender, outside) in self.with(pod, |of| &of.filter) {
            if nodes.is_empty() {
                break;
            }
            let answer = post(
                outside,
                &extender.filter,
                &extender.about_nodes(pod, &nodes),
            )
            .await;
            let sifted = answer.and_then(|it| extender.sift(&it, &mut nodes, &mut opinion));
            without(extender, sifted)?;
        }
        // Of one node there is none that is better.
        if nodes.len() > 1 {
            let asked = self
                .with(pod, |of| &of.prioritize)
                .map(|(extender, outside)| {
                    let question = extender.about_nodes(pod, &nodes);
                    async move {
                        (
                            extender,
                            post(outside, &extender.prioritize, &question).await,
                        )
                    }
                });
            for (extender, answer) in join_all(asked).await {
                match answer {
                    Ok(answer) => extender.score(&answer, &mut opinion),
                    // The others say which node is better.
                    Err(error) => tracing::debug!(extender = extender.url, error, "no priorities"),
                }
            }
        }
        let names = nodes
            .iter()
            .map(|node| meta::name(&node.metadata).to_owned());
        opinion.passed = names.collect();
        Ok(opinion)
    }

    async fn victims(
        &self,
        pod: &Pod,
        mut candidates: Vec<Candidate>,
    ) -> Result<Vec<Candidate>, String> {
        for (extender, outside) in self.with(pod, |of| &of.preempt) {
            if candidates.is_empty() {
                break;
            }
            let question = extender.about_victims(pod, &candidates);
            let answer = post(outside, &extender.preempt, &question).await;
            let left = answer.and_then(|it| extender.victims(&it, &candidates));
            if let Some(left) = without(extender, left)? {
                candidates = left;
            }
        }
        Ok(candidates)
    }

    /// Lets the extender bind the pod that binds such pods; None if there is none, or it failed and is ignorable.
    pub(crate) async fn bind(&self, info: &PodInfo, node: &str) -> Option<Result<(), String>> {
        for (extender, outside) in self.with(&info.like, |of| &of.bind) {
            let question = Extender::about_binding(info, node);
            let answer = post(outside, &extender.bind, &question).await;
            let bound = answer.and_then(|it| Extender::binding(&it));
            if let Some(outcome) = without(extender, bound).transpose() {
                return Some(outcome);
            }
        }
        None
    }
}

/// Goes on without an extender, where that is allowed.
fn without<T>(extender: &Extender, answer: Result<T, String>) -> Result<Option<T>, String> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if extender.is_ignorable => {
            tracing::info!(
                extender = extender.url,
                error,
                "goes on without an extender"
            );
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

async fn post(outside: &Outside, verb: &str, question: &Value) -> Result<Value, String> {
    let answer = outside
        .post(verb, question.to_string().into_bytes())
        .await?;
    if answer.code != 200 {
        let (url, code) = (outside.url(), answer.code);
        return Err(format!(
            "failed {verb} with extender at URL {url}/{verb}, code {code}"
        ));
    }
    serde_json::from_slice(&answer.body).map_err(|error| error.to_string())
}
