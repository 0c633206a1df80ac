//! multipart/form-data (RFC 7578, RFC 2046 section 5.1.1), read strictly: no preamble, no epilogue, every line end a CRLF,
//! text fields only.

use super::fields::Fields;

const MEDIA_TYPE: &str = "multipart/form-data";

pub fn is_multipart(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case(MEDIA_TYPE)
}

pub fn parse(content_type: &str, body: &[u8]) -> Result<Fields, String> {
    let delimiter = format!("--{}", boundary(content_type)?);
    let body = std::str::from_utf8(body).map_err(|_| "the body is not UTF-8")?;
    let mut rest = body.strip_prefix(&delimiter).ok_or("the body doesn't begin with the boundary")?;
    let between = format!("\r\n{delimiter}");
    let mut fields = Fields::default();
    loop {
        if matches!(rest, "--" | "--\r\n") {
            return Ok(fields);
        }
        let part = rest.strip_prefix("\r\n").ok_or("a boundary is not followed by CRLF, nor by the end")?;
        let (part, after) = part.split_once(&between).ok_or("a part has no closing boundary")?;
        let (name, value) = field(part)?;
        fields.insert(name, value)?;
        rest = after;
    }
}

/// The one parameter that the media type takes: bare or quoted, 1 to 70 characters of RFC 2046's set.
fn boundary(content_type: &str) -> Result<&str, String> {
    let (_, parameter) = content_type.split_once(';').ok_or("the Content-Type has no boundary")?;
    let (name, value) = parameter.trim_start().split_once('=').ok_or("the Content-Type has no boundary")?;
    if !name.eq_ignore_ascii_case("boundary") {
        return Err(format!("the Content-Type has the parameter {name}"));
    }
    let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    let boundary = quoted.unwrap_or(value);
    // Outside quotes a separator would end the parameter (RFC 2045 section 5.1).
    let extra = if quoted.is_some() { "'()+_,-./:=? " } else { "'+_-." };
    let allowed = |c: char| c.is_ascii_alphanumeric() || extra.contains(c);
    if boundary.is_empty() || boundary.len() > 70 || boundary.ends_with(' ') || !boundary.chars().all(allowed) {
        return Err("the boundary is not one".to_owned());
    }
    Ok(boundary)
}

fn field(part: &str) -> Result<(String, String), String> {
    let (head, value) = part.split_once("\r\n\r\n").ok_or("a part has no empty line after its headers")?;
    let mut name = None;
    for line in head.split("\r\n") {
        if line.contains(['\r', '\n']) {
            return Err("a header line of a part ends without CRLF".to_owned());
        }
        let (header, content) = line.split_once(':').ok_or("a header line of a part has no colon")?;
        match header.to_ascii_lowercase().as_str() {
            "content-disposition" if name.is_none() => name = Some(field_name(content.trim())?),
            "content-type" if content.trim().to_ascii_lowercase().starts_with("text/plain") => {}
            _ => return Err(format!("a part has the header {line}")),
        }
    }
    Ok((name.ok_or("a part has no Content-Disposition")?, value.to_owned()))
}

/// The name in `form-data; name="…"`. Nothing else may stand there: a file name least of all.
fn field_name(disposition: &str) -> Result<String, String> {
    let parameter = disposition.strip_prefix("form-data;").ok_or("a part is not form-data")?;
    let name = parameter.trim_start().strip_prefix("name=\"").and_then(|rest| rest.strip_suffix('"'));
    match name {
        Some(name) if !name.is_empty() && !name.contains(['"', ';', '\\', '%']) => Ok(name.to_owned()),
        _ if disposition.contains("filename") => Err("a part is a file".to_owned()),
        _ => Err(format!("a part has the disposition {disposition}")),
    }
}
