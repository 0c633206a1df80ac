//! The shape of a token request: where each parameter goes, under which name, and what is added.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ClientAuthentication, LongText, SecretKeyRef, ShortText, TemplateText};

/// HTTP method of the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[allow(clippy::upper_case_acronyms)]
pub enum Method {
    #[default]
    Post,
    Get,
}

/// How parameters travel: as a form (RFC 6749 section 4), as a JSON object, as multipart/form-data (RFC 7578), or in the URL's query,
/// without a body. Default: Form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Encoding {
    /// application/x-www-form-urlencoded (RFC 6749 section 4).
    #[default]
    Form,
    /// application/json.
    #[serde(rename = "JSON")]
    Json,
    /// multipart/form-data (RFC 7578).
    Multipart,
    /// In the URL's query; there is no body.
    Query,
}

/// Where an added parameter goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ParameterLocation {
    /// Wherever the encoding puts parameters.
    #[default]
    Body,
    Query,
    Header,
}

/// Where a standard parameter goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Placement {
    /// Wherever the encoding puts parameters.
    #[default]
    Body,
    Query,
    Header,
    /// Not sent.
    Omit,
}

/// A parameter that is added to the request. One that bears a standard parameter's name replaces it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.value) && has(self.valueSecretRef))").message("a parameter takes exactly one of value, valueSecretRef and jsonValue"),
)]
#[schemars(extend("oneOf" = [{"required": ["value"]}, {"required": ["valueSecretRef"]}, {"required": ["jsonValue"]}]))]
pub struct Parameter {
    /// Name of the parameter, as it is sent. Example: audience
    pub name: ShortText,
    /// Its value, as it stands here. Example: https://reports.example.com
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<LongText>,
    /// Its value, from a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_secret_ref: Option<SecretKeyRef>,
    /// Its value, as any JSON (RFC 8259). Outside a JSON body it travels as compact JSON text. Example: {read: true}
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::crd::any_json")]
    pub json_value: Option<serde_json::Value>,
    /// Where it goes; Body is wherever the encoding puts parameters. Default: Body.
    #[serde(default, rename = "in")]
    pub location: ParameterLocation,
}

/// A header that is added to the request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.value), has(self.valueSecretRef), has(self.template)].filter(x, x).size() == 1").message("a header takes exactly one of value, valueSecretRef and template"),
)]
pub struct Header {
    /// Name of the header. Example: X-Tenant
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"))]
    pub name: String,
    /// Its value, as it stands here. Example: acme
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<LongText>,
    /// Its value, from a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_secret_ref: Option<SecretKeyRef>,
    /// Its value, from a template that sees the request's own parameters, `client_secret` included, and `uuid()`. Example:
    /// "ID {{ (client_id ~ ':' ~ client_secret) | b64encode }}"
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateText>,
}

/// Where one standard parameter goes, and under which name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Mapping {
    /// The parameter's standard name, client authentication's included. Example: client_id
    #[schemars(length(min = 1, max = 128))]
    pub parameter: String,
    /// Where it goes; Body is wherever the encoding puts parameters, Omit leaves it out. Default: Body.
    #[serde(default, rename = "in")]
    pub placement: Placement,
    /// The name it is sent under. Default: its standard name. Example: client_key
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub rename: Option<ShortText>,
}

/// The shape of a token request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestSpec {
    /// HTTP method of the request (RFC 6749 section 3.2). Default: POST.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// How parameters travel. Default: Form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// How the client authenticates in this request (RFC 7591 section 2). Default: as `client.authentication` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<ClientAuthentication>,
    /// Headers to add. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub headers: Option<Vec<Header>>,
    /// Parameters to add, in this order; a name may repeat, and one that is a standard parameter's replaces that. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub parameters: Option<Vec<Parameter>>,
    /// Where standard parameters go, one entry a parameter. Default: in the body, under their own names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["parameter", "in"]))]
    #[x_kube(validation = Rule::new("self.all(a, self.exists_one(b, b.parameter == a.parameter))").message("mapping takes one entry a parameter: keep one and delete the others"))]
    pub mapping: Option<Vec<Mapping>>,
}
