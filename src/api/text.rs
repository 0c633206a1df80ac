//! Bounded strings, and references to Secrets. Every string in the schema has a bound: the API server's CEL cost
//! budget needs one, and so does a status that must fit in etcd.

use std::{borrow::Cow, ops::Deref};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A string type whose only difference from `String` is its schema.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $($schema:tt)+) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> { stringify!($name).into() }
            fn inline_schema() -> bool { true }
            fn json_schema(_: &mut SchemaGenerator) -> Schema { json_schema!({"type": "string", $($schema)+}) }
        }

        impl Deref for $name {
            type Target = str;
            fn deref(&self) -> &str { &self.0 }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self { Self(text.to_owned()) }
        }
    };
}

text!(
    /// The name of a namespaced Kubernetes object (RFC 1123 subdomain).
    DnsName,
    "minLength": 1, "maxLength": 253, "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
);
text!(
    /// A key in a Secret or ConfigMap.
    NameText,
    "minLength": 1, "maxLength": 253, "pattern": "^[-._a-zA-Z0-9]+$"
);
text!(
    /// A short value: an identifier, a scope, a parameter name.
    ShortText,
    "minLength": 1, "maxLength": 512
);
text!(
    /// A long value: a parameter's or header's content. May be empty.
    LongText,
    "maxLength": 4096
);
text!(
    /// An absolute URL. Its scheme and address are judged when it is used (`EgressDenied`), not here.
    UrlText,
    "minLength": 1, "maxLength": 2048, "pattern": "^[a-zA-Z][a-zA-Z0-9+.-]*://[^\\s]+$"
);
text!(
    /// An RFC 9535 JSONPath; empty means: ignore what is there.
    JsonPathText,
    "maxLength": 512, "pattern": "^(\\$.*)?$"
);
text!(
    /// A template in Jinja syntax.
    TemplateText,
    "maxLength": 16384
);
text!(
    /// A duration in Go's syntax, such as 90s, 15m or 1h30m.
    DurationText,
    "minLength": 2, "maxLength": 32, "pattern": "^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$"
);
text!(
    /// A duration in Go's syntax, or `Never`.
    DurationOrNever,
    "minLength": 2, "maxLength": 32, "pattern": "^(Never|([0-9]+(\\.[0-9]+)?(ms|s|m|h))+)$"
);

/// One key of a Secret in the namespace of the object that names it (for a ClusterOAuthProvider: the operator's own).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct SecretKeyRef {
    /// Name of the object. Example: hover-client
    pub name: DnsName,
    /// Key in its data. Example: client_secret
    pub key: NameText,
}

/// A whole Secret or ConfigMap in the namespace of the object that names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct SecretRef {
    /// Name of the object. Example: hover-client
    pub name: DnsName,
}
