//! Custom resources: a CustomResourceDefinition makes a kind, which is served at once.
//! `apiextensions-apiserver pkg/apiserver/customresource_handler.go`, `pkg/registry/customresource`,
//! `pkg/controller/{status,finalizer}`.
//!
//! One version of a kind is served, the one that is stored: nothing is converted.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::kinds::{Generation, Kind, KindId};
use crate::refusal::{self, Answer, Wrong};
use crate::schema::{self, Lists};
use crate::state::{Context, Object, State};
use crate::verbs::time;
use crate::{meta, shape};

/// What a definition waits for while its objects go.
const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";
/// The kind of definitions.
pub(crate) const DEFINITION: &str = "CustomResourceDefinition";

/// What is known of a custom kind besides its line in the table.
#[derive(Debug)]
pub(crate) struct Custom {
    /// The name of its definition; none once that is gone.
    definition: Option<String>,
    schema: Value,
    pub(crate) lists: Lists,
    pub(crate) scale: ScalePaths,
}

impl Custom {
    pub(crate) fn is_served(&self) -> bool {
        self.definition.is_some()
    }

    /// Brings an object into shape: unknown fields vanish, missing ones get their defaults.
    pub(crate) fn tidy(&self, object: &mut Value) -> serde_json::Result<()> {
        shape::tidy_metadata(object)?;
        schema::prune(&self.schema, object);
        schema::fill(&self.schema, object);
        Ok(())
    }

    /// What is wrong with an object that is written on the path of this subresource.
    pub(crate) fn check(&self, object: &Value, subresource: &str) -> Vec<Wrong> {
        let mut wrongs = schema::check(&self.schema, object);
        if subresource == "status" {
            // Upstream looks at the status alone then, and names the field whole.
            for wrong in &mut wrongs {
                if let Some(below) = wrong.field.strip_prefix("status.") {
                    wrong.message = wrong.message.replace(&wrong.field, below);
                }
            }
        }
        wrongs
    }
}

/// Where the numbers of a Scale stand, as JSON pointers.
#[derive(Clone, Debug)]
pub(crate) struct ScalePaths {
    pub(crate) spec: String,
    pub(crate) status: String,
    /// A selector as text; built-in kinds have one as an object in `spec.selector`.
    pub(crate) selector: Option<String>,
}

impl Default for ScalePaths {
    fn default() -> Self {
        Self {
            spec: "/spec/replicas".to_owned(),
            status: "/status/replicas".to_owned(),
            selector: None,
        }
    }
}

impl State {
    /// The kind of an API's path, if it is served.
    pub(crate) fn by_path(&self, group: &str, version: &str, plural: &str) -> Option<KindId> {
        self.served()
            .find(|(_, k)| k.group == group && k.version == version && k.plural == plural)
            .map(|(id, _)| id)
    }

    /// The kinds that are served.
    pub(crate) fn served(&self) -> impl Iterator<Item = (KindId, &'static Kind)> {
        let kinds = self.kinds.iter().copied().enumerate();
        kinds.filter(|(id, _)| self.customs.get(id).is_none_or(Custom::is_served))
    }

    /// Takes note of what a write did to a definition, or to what one of them made.
    pub(crate) fn note_definitions(
        &mut self,
        context: &Context,
        kind: KindId,
        object: &Object,
        gone: bool,
    ) {
        let table = self.kinds[kind];
        if table.rules() == DEFINITION {
            match gone {
                true => self.retire(meta::name(&object.value)),
                false => self.serve(&object.value),
            }
        } else if table.custom && gone {
            self.finish(context, kind);
        }
    }

    fn serve(&mut self, definition: &Value) {
        let Some((kind, custom)) = kind_of(definition) else {
            return;
        };
        let known = self.made_by(meta::name(definition));
        let id = known.unwrap_or_else(|| {
            self.kinds.push(kind);
            self.stores.push(crate::state::Store::new());
            self.kinds.len() - 1
        });
        self.kinds[id] = kind;
        self.customs.insert(id, custom);
    }

    /// The kind that the definition of this name has made.
    fn made_by(&self, definition: &str) -> Option<KindId> {
        let mut customs = self.customs.iter();
        let made = customs.find(|(_, custom)| custom.definition.as_deref() == Some(definition));
        made.map(|(id, _)| *id)
    }

    fn retire(&mut self, definition: &str) {
        for custom in self.customs.values_mut() {
            custom.definition.take_if(|name| name == definition);
        }
    }

    /// Begins the end of a definition: its objects go first.
    pub(crate) fn terminate_definition(
        &mut self,
        context: &Context,
        kind: KindId,
        old: &Arc<Object>,
    ) -> Arc<Object> {
        let mut waiting = Arc::clone(old);
        if !meta::deleting(&old.value) {
            let mut new = (*old.value).clone();
            let mut finalizers = meta::finalizers(&new);
            finalizers.push(CLEANUP.to_owned());
            let metadata = meta::metadata(&mut new);
            metadata.insert("finalizers".to_owned(), json!(finalizers));
            metadata.insert("deletionTimestamp".to_owned(), json!(time(context.now)));
            metadata.insert("deletionGracePeriodSeconds".to_owned(), json!(0));
            waiting = self.commit(context, kind, Some(old), new, false);
        }
        let Some(made) = self.made_by(meta::name(&old.value)) else {
            return waiting;
        };
        let objects: Vec<(String, String)> = self.stores[made].objects.keys().cloned().collect();
        for (namespace, name) in &objects {
            // What is gone meanwhile is as good.
            let _ = self.delete(context, made, (namespace, name), &json!({}));
        }
        self.finish(context, made);
        waiting
    }

    /// Ends a definition that waited for the last of its objects.
    fn finish(&mut self, context: &Context, made: KindId) {
        let definition = self.customs.get(&made);
        let Some(name) = definition.and_then(|custom| custom.definition.clone()) else {
            return;
        };
        let kind = crate::kinds::by_kind("apiextensions.k8s.io", DEFINITION)
            .expect("the table has CustomResourceDefinition");
        let Some(old) = self.object(kind, "", &name).cloned() else {
            return;
        };
        if !meta::deleting(&old.value) || !self.stores[made].objects.is_empty() {
            return;
        }
        let mut finalizers = meta::finalizers(&old.value);
        finalizers.retain(|finalizer| finalizer != CLEANUP);
        let mut new = (*old.value).clone();
        let gone = finalizers.is_empty();
        let value = (!gone).then(|| json!(finalizers));
        meta::set(meta::metadata(&mut new), "finalizers", value);
        self.commit(context, kind, Some(&old), new, gone);
    }
}

/// What the server says of a new definition. `pkg/controller/status/naming_controller.go`.
pub(crate) fn accept(definition: &mut Value, now: &str) {
    let names = definition.pointer("/spec/names").cloned();
    let stored = stored(definition).map(|version| meta::text(version, "/name").to_owned());
    let condition = |kind: &str, reason: &str, message: &str| {
        json!({
            "type": kind, "status": "True", "reason": reason, "message": message,
            "lastTransitionTime": now,
        })
    };
    definition["status"] = json!({
        "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
        "acceptedNames": names,
        "storedVersions": stored.map(|version| vec![version]),
    });
}

/// What a definition may not be: refused by the real server too, but for more than one version that is served.
/// `pkg/apis/apiextensions/validation/validation.go`.
pub(crate) fn check(kind: &Kind, definition: &Value) -> Answer<()> {
    let mut wrongs = Vec::new();
    let mut wrong = |field: &str, reason: &'static str, message: String| {
        let field = field.to_owned();
        wrongs.push(Wrong {
            field,
            reason,
            message,
        });
    };
    let (group, plural) = (
        meta::text(definition, "/spec/group"),
        meta::text(definition, "/spec/names/plural"),
    );
    let (name, wanted) = (meta::name(definition), format!("{plural}.{group}"));
    if name != wanted {
        let message =
            format!("Invalid value: {name:?}: must be spec.names.plural+\".\"+spec.group");
        wrong("metadata.name", "FieldValueInvalid", message);
    }
    let versions = meta::array(definition, "/spec/versions");
    let stored = versions.iter().filter(|version| version["storage"] == true);
    if stored.count() != 1 {
        let message = "Invalid value: must have exactly one version marked as storage version";
        wrong("spec.versions", "FieldValueInvalid", message.to_owned());
    }
    for (n, version) in versions.iter().enumerate() {
        if version.pointer("/schema/openAPIV3Schema").is_none() {
            let field = format!("spec.versions[{n}].schema.openAPIV3Schema");
            let message = "Required value: schemas are required";
            wrong(&field, "FieldValueRequired", message.to_owned());
        }
    }
    let is_other = |version: &Value| version["served"] == true && version["storage"] != true;
    if versions.iter().any(is_other) {
        let message =
            "Forbidden: this server in memory serves the stored version and converts to no other";
        wrong("spec.versions", "FieldValueForbidden", message.to_owned());
    }
    match wrongs.is_empty() {
        true => Ok(()),
        false => Err(refusal::invalid(kind, name, &wrongs)),
    }
}

fn stored(definition: &Value) -> Option<&Value> {
    let mut versions = meta::array(definition, "/spec/versions").iter();
    versions.find(|version| version["storage"] == true)
}

/// The kind that a definition makes; none if it serves none.
fn kind_of(definition: &Value) -> Option<(&'static Kind, Custom)> {
    let version = stored(definition).filter(|version| version["served"] == true)?;
    let text = |pointer: &str| forever(meta::text(definition, pointer));
    let scale = version.pointer("/subresources/scale");
    let status = version.pointer("/subresources/status").is_some();
    let path = |field: &str| {
        let path = scale?.get(field)?.as_str()?;
        Some(path.replace('.', "/"))
    };
    let default = ScalePaths::default();
    let kind = Kind {
        namespaced: meta::text(definition, "/spec/scope") == "Namespaced",
        status,
        scale: scale.is_some(),
        generation: Generation::Body,
        unconditional: false,
        custom: true,
        ..Kind::new::<Value>(
            text("/spec/group"),
            forever(meta::text(version, "/name")),
            text("/spec/names/plural"),
            text("/spec/names/kind"),
        )
    };
    let schema = version.pointer("/schema/openAPIV3Schema").cloned();
    let schema = schema.unwrap_or_else(|| json!({}));
    let custom = Custom {
        definition: Some(meta::name(definition).to_owned()),
        lists: schema::lists(&schema),
        schema,
        scale: ScalePaths {
            spec: path("specReplicasPath").unwrap_or(default.spec),
            status: path("statusReplicasPath").unwrap_or(default.status),
            selector: path("labelSelectorPath"),
        },
    };
    Some((keep(kind), custom))
}

/// The lines of a table live for ever. Those that definitions make are few, and equal ones exist once.
fn keep(kind: Kind) -> &'static Kind {
    static KEPT: Mutex<Vec<&'static Kind>> = Mutex::new(Vec::new());
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let traits = |k: &Kind| {
        (
            k.group,
            k.version,
            k.plural,
            k.kind,
            k.namespaced,
            k.status,
            k.scale,
        )
    };
    if let Some(known) = kept.iter().find(|known| traits(known) == traits(&kind)) {
        return known;
    }
    let kind: &'static Kind = Box::leak(Box::new(kind));
    kept.push(kind);
    kind
}

fn forever(text: &str) -> &'static str {
    static KEPT: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = kept.get(text) {
        return known;
    }
    let text: &'static str = Box::leak(text.to_owned().into_boxed_str());
    kept.insert(text);
    text
}
