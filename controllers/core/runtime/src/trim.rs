//! Objects read without their managedFields: nobody here reads them, they are half of many objects, and
//! building their trees only to throw them away costs more than all the rest of an object.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::value::UnitDeserializer;
use serde::de::{DeserializeSeed, IgnoredAny, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, forward_to_deserialize_any};
use std::borrow::Cow;
use std::fmt;

/// A `K` whose managedFields were passed over.
#[derive(Clone, Debug)]
pub(crate) struct Trimmed<K>(pub(crate) K);

impl<'de, K: Deserialize<'de>> Deserialize<'de> for Trimmed<K> {
    fn deserialize<D: Deserializer<'de>>(inner: D) -> Result<Self, D::Error> {
        let level = Level::Object;
        K::deserialize(Trim { inner, level }).map(Self)
    }
}

impl<K: kube::Resource> kube::Resource for Trimmed<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(of: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(of)
    }
    fn group(of: &Self::DynamicType) -> Cow<'_, str> {
        K::group(of)
    }
    fn version(of: &Self::DynamicType) -> Cow<'_, str> {
        K::version(of)
    }
    fn plural(of: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(of)
    }
    fn meta(&self) -> &ObjectMeta {
        self.0.meta()
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.meta_mut()
    }
}

/// Where in an object a map is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Object,
    Metadata,
    /// The value to be passed over.
    Unread,
    Elsewhere,
}

impl Level {
    /// What is below `key`.
    fn below(self, key: &str) -> Self {
        match (self, key) {
            (Self::Object, "metadata") => Self::Metadata,
            (Self::Metadata, "managedFields") => Self::Unread,
            _ => Self::Elsewhere,
        }
    }
}

/// Stands between an object and the text that it is read from.
struct Trim<T> {
    inner: T,
    level: Level,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Trim<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, inner: V) -> Result<V::Value, D::Error> {
        let level = self.level;
        self.inner.deserialize_option(Trim { inner, level })
    }

    fn deserialize_map<V: Visitor<'de>>(self, inner: V) -> Result<V::Value, D::Error> {
        let level = self.level;
        self.inner.deserialize_map(Trim { inner, level })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        inner: V,
    ) -> Result<V::Value, D::Error> {
        let level = self.level;
        self.inner
            .deserialize_struct(name, fields, Trim { inner, level })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct enum identifier ignored_any
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Trim<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let level = self.level;
        self.inner.visit_some(Trim { inner, level })
    }

    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(Entries {
            inner,
            level: self.level,
            below: Level::Elsewhere,
        })
    }
}

/// The entries of a map.
struct Entries<A> {
    inner: A,
    level: Level,
    /// Where the value is whose key was read last.
    below: Level,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Entries<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        inner: S,
    ) -> Result<Option<S::Value>, A::Error> {
        let (level, below) = (self.level, &mut self.below);
        self.inner.next_key_seed(Key {
            inner,
            level,
            below,
        })
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        match self.below {
            Level::Elsewhere => self.inner.next_value_seed(seed),
            Level::Unread => {
                self.inner.next_value::<IgnoredAny>()?;
                let nothing: UnitDeserializer<A::Error> = ().into_deserializer();
                seed.deserialize(nothing)
            }
            level => self.inner.next_value_seed(Trim { inner: seed, level }),
        }
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Trim<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        let level = self.level;
        self.inner.deserialize(Trim { inner, level })
    }
}

/// Reads a key and notes what is below it.
struct Key<'a, T> {
    inner: T,
    level: Level,
    below: &'a mut Level,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Key<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        let (level, below) = (self.level, self.below);
        self.inner.deserialize(Key {
            inner,
            level,
            below,
        })
    }
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Key<'_, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, inner: V) -> Result<V::Value, D::Error> {
        let (level, below) = (self.level, self.below);
        self.inner.deserialize_identifier(Key {
            inner,
            level,
            below,
        })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct enum identifier ignored_any option map struct
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Key<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<V::Value, E> {
        *self.below = self.level.below(key);
        self.inner.visit_str(key)
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, key: &'de str) -> Result<V::Value, E> {
        *self.below = self.level.below(key);
        self.inner.visit_borrowed_str(key)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::Trimmed;
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::{Value, json};

    #[test]
    fn all_but_the_managed_fields_is_read() {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "annotations": {"managedFields": "kept", "metadata": "kept"},
                "name": "a",
                "managedFields": [{"manager": "m", "fieldsV1": {"f:metadata": {"f:name": {}}}}],
                "uid": "u",
            },
            "spec": {"nodeName": "n", "containers": [{"name": "c"}]},
            "status": {"phase": "Running"},
        });
        let Trimmed(read) = serde_json::from_str::<Trimmed<Pod>>(&pod.to_string()).unwrap();
        let mut wanted: Pod = serde_json::from_value(pod).unwrap();
        wanted.metadata.managed_fields = None;
        assert_eq!(read, wanted);
    }

    #[test]
    fn what_is_null_or_not_there_stays_so() {
        for pod in [
            json!({}),
            json!({"metadata": null}),
            json!({"metadata": {"managedFields": null}}),
        ] {
            let Trimmed(read) = serde_json::from_str::<Trimmed<Pod>>(&pod.to_string()).unwrap();
            assert_eq!(read, Pod::default());
        }
    }

    #[test]
    fn an_error_stays_an_error() {
        let pod: Value = json!({"metadata": {"name": 7}});
        assert!(serde_json::from_str::<Trimmed<Pod>>(&pod.to_string()).is_err());
    }
}
