//! Admission by quota, as far as objects are counted: `k8s.io/apiserver
//! pkg/admission/plugin/resourcequota/controller.go`. It raises what is used before the object is stored, and does not
//! take that back where the object is refused later.

use serde_json::{Value, json};

use crate::kinds::{Kind, core};
use crate::refusal::{self, Answer};
use crate::state::{Context, State, Verb};

impl State {
    /// Lets an object in, or refuses it, and counts it in every quota that limits its kind.
    pub(crate) fn admit_to_quotas(
        &mut self,
        context: &Context,
        table: &Kind,
        namespace: &str,
        name: &str,
    ) -> Answer<()> {
        let kind = core("ResourceQuota");
        let quotas = self.stores[kind].objects.iter();
        let here = quotas.filter(|((home, _), _)| home == namespace);
        let quotas: Vec<_> = here.map(|(_, quota)| quota.clone()).collect();
        let mut raised = Vec::new();
        for quota in quotas {
            let mut new = (*quota.value).clone();
            let mut counted = false;
            for resource in [
                table.plural.to_owned(),
                format!("count/{}", table.qualified()),
            ] {
                let Some(limit) = number(&quota.value["status"]["hard"][&resource]) else {
                    continue;
                };
                let of = quota.value["metadata"]["name"].as_str().unwrap_or_default();
                let Some(used) = number(&quota.value["status"]["used"][&resource]) else {
                    let why = format!("status unknown for quota: {of}, resources: {resource}");
                    return Err(refusal::forbidden(table, name, &why));
                };
                if used + 1 > limit {
                    let why = format!(
                        "exceeded quota: {of}, requested: {resource}=1, used: {resource}={used}, limited: {resource}={limit}"
                    );
                    return Err(refusal::forbidden(table, name, &why));
                }
                new["status"]["used"][&resource] = json!((used + 1).to_string());
                counted = true;
            }
            if counted {
                raised.push((quota, new));
            }
        }
        let context = Context {
            actor: "quota".into(),
            verb: Verb::Update,
            subresource: "status",
            ..context.clone()
        };
        for (quota, new) in raised {
            self.commit(&context, kind, Some(&quota), new, false);
        }
        Ok(())
    }
}

fn number(quantity: &Value) -> Option<i64> {
    quantity.as_str()?.parse().ok()
}
