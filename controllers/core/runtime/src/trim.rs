//! Objects read in part: what nobody here looks at is passed over. To build it only to throw it away costs more than
//! all the rest of an object, and leaves holes in the heap.

use serde::de::value::{BorrowedStrDeserializer, StringDeserializer};
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, forward_to_deserialize_any};
use std::borrow::Cow;
use std::fmt;

/// What of a value is read. What a list holds is read as the list itself says.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// The whole value.
    All,
    /// Nothing: it is as if it were not there.
    Nothing,
    /// All fields; of those that are named, these parts.
    But(&'a [(&'a str, Part<'a>)]),
    /// The fields that are named, these parts of them.
    Only(&'a [(&'a str, Part<'a>)]),
}

/// Every object but its managedFields: nobody here reads them, and they are half of many objects.
pub(crate) const OBJECT: Part<'_> =
    Part::But(&[("metadata", Part::But(&[("managedFields", Part::Nothing)]))]);

impl<'a> Part<'a> {
    /// What of the value of a field is read.
    fn of(self, field: &str) -> Part<'a> {
        let (named, others) = match self {
            Self::All | Self::Nothing => return self,
            Self::But(named) => (named, Self::All),
            Self::Only(named) => (named, Self::Nothing),
        };
        let found = named.iter().find(|(name, _)| *name == field);
        found.map_or(others, |(_, part)| *part)
    }
}

/// Reads a part of what a text says.
///
/// # Errors
/// The text is no JSON, or says something else than a `T`.
pub(crate) fn read<'de, T: Deserialize<'de>>(
    text: &'de str,
    part: Part<'_>,
) -> serde_json::Result<T> {
    let mut inner = serde_json::Deserializer::from_str(text);
    let value = read_from(&mut inner, part)?;
    inner.end()?;
    Ok(value)
}

/// The same from a text that has been begun.
pub(crate) fn read_from<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    inner: D,
    part: Part<'_>,
) -> Result<T, D::Error> {
    T::deserialize(Trim { inner, part })
}

/// Stands between a value and the text that it is read from.
struct Trim<'a, T> {
    inner: T,
    part: Part<'a>,
}

/// What is no composite is read as it is.
macro_rules! as_it_is {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method(visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Trim<'_, D> {
    type Error = D::Error;

    fn deserialize_option<V: Visitor<'de>>(self, inner: V) -> Result<V::Value, D::Error> {
        let part = self.part;
        self.inner.deserialize_option(Trim { inner, part })
    }

    fn deserialize_seq<V: Visitor<'de>>(self, inner: V) -> Result<V::Value, D::Error> {
        let part = self.part;
        self.inner.deserialize_seq(Trim { inner, part })
    }

    fn deserialize_map<V: Visitor<'de>>(self, inner: V) -> Result<V::Value, D::Error> {
        let part = self.part;
        self.inner.deserialize_map(Trim { inner, part })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        inner: V,
    ) -> Result<V::Value, D::Error> {
        let part = self.part;
        self.inner
            .deserialize_struct(name, fields, Trim { inner, part })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_newtype_struct(name, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_enum(name, variants, visitor)
    }

    as_it_is! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64 deserialize_char deserialize_str deserialize_string deserialize_bytes
        deserialize_byte_buf deserialize_unit deserialize_identifier deserialize_ignored_any
    }

    forward_to_deserialize_any! { unit_struct tuple tuple_struct }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Trim<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let part = self.part;
        self.inner.visit_some(Trim { inner, part })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let part = self.part;
        self.inner.visit_seq(Trim { inner, part })
    }

    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(Entries {
            inner,
            part: self.part,
            next: Part::All,
        })
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Trim<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        inner: S,
    ) -> Result<Option<S::Value>, A::Error> {
        let part = self.part;
        self.inner.next_element_seed(Trim { inner, part })
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Trim<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        let part = self.part;
        self.inner.deserialize(Trim { inner, part })
    }
}

/// The entries of a map.
struct Entries<'a, A> {
    inner: A,
    part: Part<'a>,
    /// What is read of the value whose key was read last.
    next: Part<'a>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Entries<'_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        // Most maps are read as a whole.
        if matches!(self.part, Part::All) {
            return self.inner.next_key_seed(seed);
        }
        loop {
            let Some(Name(key)) = self.inner.next_key()? else {
                return Ok(None);
            };
            self.next = self.part.of(&key);
            if matches!(self.next, Part::Nothing) {
                self.inner.next_value::<IgnoredAny>()?;
                continue;
            }
            let key = match key {
                Cow::Borrowed(key) => seed.deserialize(BorrowedStrDeserializer::new(key)),
                Cow::Owned(key) => seed.deserialize(StringDeserializer::new(key)),
            };
            return key.map(Some);
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, inner: S) -> Result<S::Value, A::Error> {
        let part = self.next;
        self.inner.next_value_seed(Trim { inner, part })
    }
}

/// A key, as it stands in the text if it can.
struct Name<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Key;
        impl<'de> Visitor<'de> for Key {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E: Error>(self, key: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(key.to_owned())))
            }

            fn visit_borrowed_str<E: Error>(self, key: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(key)))
            }
        }
        from.deserialize_str(Key)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{OBJECT, Part, read};
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::{Value, json};

    /// What is read of a pod.
    fn part(pod: &Value, part: Part<'_>) -> Value {
        let pod: Pod = read(&pod.to_string(), part).unwrap();
        serde_json::to_value(pod).unwrap()
    }

    #[test]
    fn all_but_the_managed_fields_is_read() {
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "annotations": { "managedFields": "kept", "metadata": "kept", "escaped\n\"": "kept" },
                "creationTimestamp": "2026-01-02T03:04:05Z",
                "name": "a",
                "managedFields": [{ "manager": "m", "fieldsV1": { "f:metadata": { "f:name": {} } } }],
                "uid": "u",
            },
            "spec": { "nodeName": "n", "priority": 7, "hostNetwork": true, "containers": [
                { "name": "c", "resources": { "requests": { "cpu": "10m" } }, "livenessProbe": { "httpGet": { "port": "web" } } },
                { "name": "d", "livenessProbe": { "httpGet": { "port": 80 } } },
            ] },
            "status": { "phase": "Running" },
        });
        let read = part(&pod, OBJECT);
        pod["metadata"]
            .as_object_mut()
            .unwrap()
            .remove("managedFields");
        assert_eq!(read, pod);
    }

    #[test]
    fn a_part_is_named_as_deep_as_one_likes() {
        const PART: Part<'_> = Part::But(&[(
            "spec",
            Part::Only(&[
                ("nodeName", Part::All),
                ("nodeSelector", Part::But(&[("a", Part::Nothing)])),
                ("containers", Part::Only(&[("name", Part::All)])),
            ]),
        )]);
        let containers = json!([{ "image": "x", "name": "c" }, { "name": "d", "command": ["e"] }]);
        let pod = json!({
            "metadata": { "name": "a" },
            "spec": {
                "containers": containers, "hostname": "h", "nodeName": "n",
                "nodeSelector": { "a": "1", "b": "2" },
            },
        });
        let wanted = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "a" },
            "spec": {
                "containers": [{ "name": "c" }, { "name": "d" }], "nodeName": "n", "nodeSelector": { "b": "2" },
            },
        });
        assert_eq!(part(&pod, PART), wanted);
    }

    #[test]
    fn what_is_null_or_not_there_stays_so() {
        for pod in [
            json!({}),
            json!({"metadata": null}),
            json!({"metadata": {"managedFields": null}}),
        ] {
            let read: Pod = read(&pod.to_string(), OBJECT).unwrap();
            assert_eq!(read, Pod::default());
        }
    }

    #[test]
    fn an_error_stays_an_error() {
        for text in [
            r#"{"metadata": {"name": 7}}"#,
            r#"{"metadata": {}"#,
            "{} {}",
            "7",
        ] {
            assert!(read::<Pod>(text, OBJECT).is_err(), "{text}");
        }
    }
}
