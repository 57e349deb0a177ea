//! A garbage collector in one step, for tests that have none of their own running.
//! `pkg/controller/garbagecollector`: what it comes to, not how it gets there.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::remove::{FOREGROUND, ORPHAN};
use crate::kinds::KindId;
use crate::meta;
use crate::state::{Context, Object, State};

impl State {
    /// Deletes what has only absent owners, and serves the `orphan` and `foregroundDeletion`
    /// finalizers, until nothing changes.
    pub(crate) fn garbage_collect(&mut self, context: &Context) {
        loop {
            let before = self.revision;
            self.collect_once(context);
            if self.revision == before {
                return;
            }
        }
    }

    fn collect_once(&mut self, context: &Context) {
        let all: Vec<(KindId, Arc<Object>)> = (0..self.stores.len())
            .flat_map(|kind| {
                self.stores[kind]
                    .objects
                    .values()
                    .map(move |o| (kind, Arc::clone(o)))
            })
            .collect();
        let having = |finalizer: &str| -> HashSet<String> {
            let wanted = |o: &Object| {
                meta::deleting(&o.value)
                    && meta::finalizers(&o.value).iter().any(|f| f == finalizer)
            };
            all.iter()
                .filter(|(_, o)| wanted(o))
                .map(|(_, o)| meta::uid(&o.value).to_owned())
                .collect()
        };
        let present: HashSet<String> = all
            .iter()
            .map(|(_, o)| meta::uid(&o.value).to_owned())
            .collect();
        let (orphaning, foreground) = (having(ORPHAN), having(FOREGROUND));
        let mut blocked = HashSet::new();
        for (kind, object) in &all {
            let owners = meta::array(&object.value, "/metadata/ownerReferences");
            if owners.is_empty() {
                continue;
            }
            let uid = |owner: &Value| meta::text(owner, "/uid").to_owned();
            let solid = |owner: &&Value| {
                let uid = uid(owner);
                present.contains(&uid) && !foreground.contains(&uid) && !orphaning.contains(&uid)
            };
            let kept: Vec<Value> = owners.iter().filter(solid).cloned().collect();
            let released = owners.iter().any(|o| orphaning.contains(&uid(o)));
            if kept.len() == owners.len() {
                continue;
            }
            if kept.is_empty() && !released {
                let name = (meta::namespace(&object.value), meta::name(&object.value));
                let options = json!({
                    "propagationPolicy": "Background",
                    "preconditions": { "uid": meta::uid(&object.value) },
                });
                let waits = meta::deleting(&object.value)
                    || self.delete(context, *kind, name, &options).is_err()
                    || self.object(*kind, name.0, name.1).is_some();
                if waits {
                    let holding = owners
                        .iter()
                        .filter(|o| o.get("blockOwnerDeletion") == Some(&json!(true)));
                    blocked.extend(holding.map(uid));
                }
            } else {
                let mut new = (*object.value).clone();
                let value = (!kept.is_empty()).then(|| json!(kept));
                meta::set(meta::metadata(&mut new), "ownerReferences", value);
                self.commit(context, *kind, Some(object), new, false);
            }
        }
        for (kind, object) in &all {
            let uid = meta::uid(&object.value);
            let done = if orphaning.contains(uid) {
                ORPHAN
            } else if foreground.contains(uid) && !blocked.contains(uid) {
                FOREGROUND
            } else {
                continue;
            };
            let name = (meta::namespace(&object.value), meta::name(&object.value));
            let Some(old) = self.object(*kind, name.0, name.1).cloned() else {
                continue;
            };
            let mut finalizers = meta::finalizers(&old.value);
            finalizers.retain(|f| f != done);
            let mut new = (*old.value).clone();
            let gone = finalizers.is_empty();
            let value = (!gone).then(|| json!(finalizers));
            meta::set(meta::metadata(&mut new), "finalizers", value);
            self.commit(context, *kind, Some(&old), new, gone);
        }
    }
}
