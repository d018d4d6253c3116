//! A request before anybody obeys it: its parameters, its body unpacked and within bounds, who sends it.

use std::collections::BTreeMap;
use std::io::Read as _;

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use flate2::read::GzDecoder;

use super::MAX_UNPACKED;
use super::answers::Refusal;

/// Parameters of the query, percent-encoding undone. The last of a name counts.
pub(crate) fn parameters(query: Option<&str>) -> BTreeMap<String, String> {
    let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        })
        .collect()
}

/// OpenSearch refuses what it does not know.
pub(crate) fn only(known: &[&str], parameters: &BTreeMap<String, String>, path: &str) -> Result<(), Refusal> {
    const EVERYWHERE: [&str; 5] = ["filter_path", "pretty", "human", "error_trace", "format"];
    match parameters.keys().find(|name| !known.contains(&name.as_str()) && !EVERYWHERE.contains(&name.as_str())) {
        Some(name) => Err(Refusal::illegal(format!("request [{path}] contains unrecognized parameter: [{name}]"))),
        None => Ok(()),
    }
}

/// The body as it was before `Content-Encoding`.
pub(crate) fn unpacked(headers: &HeaderMap, body: Bytes) -> Result<Bytes, Refusal> {
    let too_large = || Refusal::new(413, "content_too_long_exception", format!("the request has more than {MAX_UNPACKED} bytes"));
    match headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes()) {
        None | Some(b"identity") => Ok(body),
        Some(b"gzip") => {
            let mut plain = Vec::new();
            let read = GzDecoder::new(&*body).take(MAX_UNPACKED as u64 + 1).read_to_end(&mut plain);
            read.map_err(|error| Refusal::illegal(format!("the body is not gzip as it says: {error}")))?;
            if plain.len() > MAX_UNPACKED { Err(too_large()) } else { Ok(plain.into()) }
        }
        Some(other) => Err(Refusal::illegal(format!("unknown Content-Encoding [{}]", String::from_utf8_lossy(other)))),
    }
}

/// Whether the body is said to be of one of the types that OpenSearch reads here.
pub(crate) fn is_json(headers: &HeaderMap, lines: bool) -> Result<(), Refusal> {
    let said = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = said.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind == "application/json" || (lines && kind == "application/x-ndjson") {
        return Ok(());
    }
    Err(Refusal::new(406, "media_type_header_exception", format!("Content-Type header [{said}] is not supported")))
}

/// Whether HTTP Basic names this user and password.
pub(crate) fn is_from(headers: &HeaderMap, user: &(String, String)) -> bool {
    let told = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| value.split_once(' '));
    told.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
        .and_then(|(_, encoded)| BASE64_STANDARD.decode(encoded.trim()).ok())
        .is_some_and(|plain| plain == format!("{}:{}", user.0, user.1).into_bytes())
}

/// Percent-encoding undone; what is none stays.
pub(crate) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| *first == b'%').and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match code {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(if *first == b'+' { b' ' } else { *first });
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_unknown_ones_refused() {
        let given = parameters(Some("filter_path=a%2Cb.*&version=7&refresh"));
        assert_eq!((given["filter_path"].as_str(), given["version"].as_str(), given["refresh"].as_str()), ("a,b.*", "7", ""));
        assert!(only(&["version", "refresh"], &given, "/_doc").is_ok());
        assert!(only(&["version"], &given, "/_doc").unwrap_err().reason.contains("[refresh]"));
        assert_eq!(decoded("100%"), "100%");
    }

    #[test]
    fn a_bomb_is_not_unpacked_past_the_limit() {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let zeros = vec![0; 1 << 20];
        for _ in 0..101 {
            std::io::Write::write_all(&mut packed, &zeros).unwrap();
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, "gzip".parse().unwrap());
        assert_eq!(unpacked(&headers, packed.finish().unwrap().into()).unwrap_err().status, 413);
        assert_eq!(unpacked(&headers, Bytes::from_static(b"no gzip")).unwrap_err().status, 400);
    }
}
