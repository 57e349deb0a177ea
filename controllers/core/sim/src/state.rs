//! What the server holds: for each kind the objects, and the log of what became of them, under
//! one revision. `k8s.io/apiserver pkg/storage/etcd3` and `pkg/storage/cacher`.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use jiff::Timestamp;
use kube::Resource;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::custom::Custom;
use crate::kinds::{KINDS, Kind, KindId};
use crate::meta;

/// What a request did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// GET of one object.
    Get,
    /// GET of many.
    List,
    /// GET with `watch=true`.
    Watch,
    /// POST.
    Create,
    /// PUT.
    Update,
    /// PATCH.
    Patch,
    /// DELETE of one object.
    Delete,
    /// DELETE of many.
    DeleteCollection,
}

impl Verb {
    /// Whether it changes something.
    pub fn writes(self) -> bool {
        !matches!(self, Verb::Get | Verb::List | Verb::Watch)
    }
}

/// A committed change of one object.
#[derive(Clone, Debug)]
pub struct Write {
    /// The revision that it made; also the object's resourceVersion.
    pub revision: u64,
    /// Who asked for it.
    pub actor: Arc<str>,
    /// The verb of the request.
    pub verb: Verb,
    /// The kind of the object.
    pub kind: &'static str,
    /// `status`, `scale`, `binding`, `eviction` or empty.
    pub subresource: &'static str,
    /// The namespace, empty for objects of the cluster.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The UID.
    pub uid: String,
    /// The object before, unless it was created.
    pub before: Option<Arc<Value>>,
    /// The object after, or its last state if it is gone.
    pub object: Arc<Value>,
    /// Whether the object left the store with this write.
    pub gone: bool,
    /// The virtual time.
    pub at: Timestamp,
}

/// A check that runs after every write, see [`crate::Sim::on_write`].
pub(crate) type Hook = Arc<dyn Fn(&State, &Write) + Send + Sync>;

/// An object as it is stored: the value, and its text, made once and shared by all who read it.
pub(crate) struct Object {
    pub(crate) value: Arc<Value>,
    pub(crate) bytes: Bytes,
    partial: OnceLock<Bytes>,
    typed: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.value)
    }
}

impl Object {
    pub(crate) fn new(value: Value) -> Arc<Object> {
        let bytes = serde_json::to_vec(&value).expect("a JSON value is always text");
        Arc::new(Object {
            value: Arc::new(value),
            bytes: bytes.into(),
            partial: OnceLock::new(),
            typed: OnceLock::new(),
        })
    }

    /// The text of the metadata alone, made when first asked for.
    pub(crate) fn partial(&self) -> Bytes {
        let make = || {
            let partial = meta::partial(&self.value);
            Bytes::from(serde_json::to_vec(&partial).expect("a JSON value is always text"))
        };
        self.partial.get_or_init(make).clone()
    }

    /// The object as its type, parsed when first asked for.
    pub(crate) fn typed<K: DeserializeOwned + Send + Sync + 'static>(&self) -> Option<Arc<K>> {
        let parse = || -> Arc<dyn Any + Send + Sync> {
            match K::deserialize(&*self.value) {
                Ok(object) => Arc::new(object),
                Err(_) => Arc::new(()),
            }
        };
        match Arc::clone(self.typed.get_or_init(parse)).downcast() {
            Ok(object) => Some(object),
            // Asked for as another type before (a slim struct beside the full one).
            Err(_) => K::deserialize(&*self.value).ok().map(Arc::new),
        }
    }
}

pub(crate) type Key = (String, String);

/// One line of a kind's log.
pub(crate) struct Event {
    pub(crate) revision: u64,
    pub(crate) before: Option<Arc<Object>>,
    /// The object after; of a deleted one the last state with the revision of the deletion.
    pub(crate) object: Arc<Object>,
    pub(crate) gone: bool,
}

pub(crate) struct Store {
    pub(crate) objects: BTreeMap<Key, Arc<Object>>,
    pub(crate) log: Vec<Event>,
    /// Revisions up to this one can no longer be asked for, except as "now".
    pub(crate) compacted: u64,
    /// The last revision of this kind that the log no longer has.
    pub(crate) lost: u64,
    pub(crate) wake: watch::Sender<()>,
}

impl Store {
    pub(crate) fn new() -> Self {
        Self {
            objects: BTreeMap::new(),
            log: Vec::new(),
            compacted: 0,
            lost: 0,
            wake: watch::Sender::new(()),
        }
    }
}

/// Who asks, and when.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) actor: Arc<str>,
    pub(crate) now: Timestamp,
    pub(crate) verb: Verb,
    pub(crate) subresource: &'static str,
    pub(crate) dry_run: bool,
}

/// All that the server holds; what a hook sees.
pub struct State {
    pub(crate) revision: u64,
    /// The built-in kinds, and behind them those that CustomResourceDefinitions made.
    pub(crate) kinds: Vec<&'static Kind>,
    /// What is known of the latter.
    pub(crate) customs: BTreeMap<KindId, Custom>,
    pub(crate) stores: Vec<Store>,
    pub(crate) history: Vec<Write>,
    pub(crate) hooks: Vec<Hook>,
    /// Kinds whose creates are refused for now, with the message.
    pub(crate) rejected: HashMap<String, String>,
    /// What each field manager applied last, by UID.
    pub(crate) applied: HashMap<String, BTreeMap<String, Value>>,
    pub(crate) clock: Timestamp,
    uids: u64,
    names: u64,
    addresses: u32,
}

impl State {
    pub(crate) fn new(clock: Timestamp) -> State {
        State {
            revision: 0,
            kinds: KINDS.iter().collect(),
            customs: BTreeMap::new(),
            stores: KINDS.iter().map(|_| Store::new()).collect(),
            history: Vec::new(),
            hooks: Vec::new(),
            rejected: HashMap::new(),
            applied: HashMap::new(),
            clock,
            uids: 0,
            names: 0,
            addresses: 0,
        }
    }

    /// The revision of the last write.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The virtual time of the request that is being served.
    pub fn now(&self) -> Timestamp {
        self.clock
    }

    /// One object, parsed once and shared; the namespace is empty for objects of the cluster.
    pub fn get<K>(&self, namespace: &str, name: &str) -> Option<Arc<K>>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned + Send + Sync + 'static,
    {
        let kind = self.kind_of::<K>();
        self.object(kind, namespace, name)?.typed()
    }

    /// All objects of a kind, or those of a namespace, ordered by namespace and name.
    pub fn list<K>(&self, namespace: Option<&str>) -> Vec<Arc<K>>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned + Send + Sync + 'static,
    {
        self.stores[self.kind_of::<K>()]
            .objects
            .iter()
            .filter(|((ns, _), _)| namespace.is_none_or(|wanted| wanted == ns))
            .filter_map(|(_, object)| object.typed())
            .collect()
    }

    pub(crate) fn object(&self, kind: KindId, namespace: &str, name: &str) -> Option<&Arc<Object>> {
        let namespace = if self.kinds[kind].namespaced {
            namespace
        } else {
            ""
        };
        self.stores[kind]
            .objects
            .get(&(namespace.to_owned(), name.to_owned()))
    }

    /// The objects of a kind as they were at a revision; none if it is compacted.
    pub(crate) fn at(&self, kind: KindId, revision: u64) -> Option<BTreeMap<Key, Arc<Object>>> {
        let store = &self.stores[kind];
        if revision < store.compacted {
            return None;
        }
        let mut objects = store.objects.clone();
        for event in store.log.iter().rev().take_while(|e| e.revision > revision) {
            let key = key_of(&event.object.value);
            match &event.before {
                Some(before) => objects.insert(key, Arc::clone(before)),
                None => objects.remove(&key),
            };
        }
        Some(objects)
    }

    /// Forgets the log: watches and lists from older revisions get 410.
    pub(crate) fn compact(&mut self) {
        for store in &mut self.stores {
            store.compacted = self.revision;
            store.lost = store.log.last().map_or(store.lost, |event| event.revision);
            store.log.clear();
            store.wake.send_replace(());
        }
    }

    /// Stores what a request made of an object (none: it is gone), with the next revision.
    pub(crate) fn commit(
        &mut self,
        context: &Context,
        kind: KindId,
        before: Option<&Arc<Object>>,
        mut value: Value,
        gone: bool,
    ) -> Arc<Object> {
        let revision = self.revision + 1;
        let version = if context.dry_run && before.is_none() {
            None
        } else if context.dry_run {
            before.map(|b| json!(meta::resource_version(&b.value)))
        } else {
            Some(json!(revision.to_string()))
        };
        meta::set(meta::metadata(&mut value), "resourceVersion", version);
        let object = Object::new(value);
        if context.dry_run {
            return object;
        }
        self.revision = revision;
        let key = key_of(&object.value);
        let write = Write {
            revision,
            actor: Arc::clone(&context.actor),
            verb: context.verb,
            kind: self.kinds[kind].kind,
            subresource: context.subresource,
            namespace: key.0.clone(),
            name: key.1.clone(),
            uid: meta::uid(&object.value).to_owned(),
            before: before.map(|b| Arc::clone(&b.value)),
            object: Arc::clone(&object.value),
            gone,
            at: context.now,
        };
        let store = &mut self.stores[kind];
        if gone {
            store.objects.remove(&key);
            self.applied.remove(&write.uid);
        } else {
            store.objects.insert(key, Arc::clone(&object));
        }
        store.log.push(Event {
            revision,
            before: before.cloned(),
            object: Arc::clone(&object),
            gone,
        });
        store.wake.send_replace(());
        self.history.push(write.clone());
        for hook in self.hooks.clone() {
            hook(self, &write);
        }
        self.note_definitions(context, kind, &object, gone);
        if gone && self.kinds[kind].rules() == "Service" {
            self.take_endpoints_along(context, &write);
        }
        object
    }

    // core/service/storage/storage.go afterDelete.
    fn take_endpoints_along(&mut self, context: &Context, service: &Write) {
        let mut context = context.clone();
        (context.verb, context.subresource) = (Verb::Delete, "");
        let name = (service.namespace.as_str(), service.name.as_str());
        // That there are none is as good.
        let _ = self.delete(&context, crate::kinds::core("Endpoints"), name, &json!({}));
    }

    /// The place of a type in the table.
    pub(crate) fn kind_of<K: Resource<DynamicType = ()>>(&self) -> KindId {
        let (group, name) = (K::group(&()), K::kind(&()));
        let mut served = self.served();
        let found = served.find(|(_, kind)| kind.group == group && kind.kind == name);
        found
            .map(|(id, _)| id)
            .expect("the kind stands in kinds.rs, or a CustomResourceDefinition made it")
    }

    /// The next UID; counted, so that two runs have the same ones.
    pub(crate) fn next_uid(&mut self) -> String {
        self.uids += 1;
        format!("00000000-0000-4000-8000-{:012x}", self.uids)
    }

    /// Five characters as upstream's name generator takes them (`apiserver pkg/storage/names`).
    pub(crate) fn next_suffix(&mut self) -> String {
        const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        self.names += 1;
        let mut bits = mix(self.names);
        (0..5)
            .map(|_| {
                let letter = LETTERS[(bits % LETTERS.len() as u64) as usize];
                bits /= LETTERS.len() as u64;
                char::from(letter)
            })
            .collect()
    }

    /// The next cluster IP, of 10.96.0.0/16.
    pub(crate) fn next_address(&mut self) -> String {
        self.addresses += 1;
        // .0.1 is the `kubernetes` Service.
        let host = self.addresses + 1;
        format!("10.96.{}.{}", (host >> 8) & 255, host & 255)
    }
}

/// SplitMix64: spreads a counter so that names do not look alike.
pub(crate) fn mix(counter: u64) -> u64 {
    let mut z = counter.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

pub(crate) fn key_of(object: &Value) -> Key {
    (
        meta::namespace(object).to_owned(),
        meta::name(object).to_owned(),
    )
}
