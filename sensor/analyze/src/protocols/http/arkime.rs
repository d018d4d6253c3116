//! What a session of Arkime's is told of HTTP: header fields, the target's parts, hashes of bodies.
//!
//! The rules are Arkime's: names and values of fields in lower case, those apart that have a field of their own; the
//! host with and without its port; the first bytes of a request's body; hashes of bodies as they were transferred, past
//! chunking but before content codings are taken off.

use md5::{Digest as _, Md5};
use sha2::Sha256;

use super::wire::Version;
use crate::log::{Fields, magic};
use crate::{Output, mime};

/// Bytes of a field's name that are kept.
const MAX_NAME: usize = 39;
/// Bytes of a field's value that are kept. Arkime's `parseHTTPHeaderValueMaxLen`.
const MAX_VALUE: usize = 1024;
/// Bytes of a target that are kept.
const MAX_TARGET: usize = 4096;
/// A request's body is shown if its first piece is no larger.
const MAX_BODY: usize = 2000;
/// Bytes of a body's first piece that its type is read from.
const MAX_PIECE: usize = 4096;

/// What of a request's header belongs together.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// The target as it was sent.
    target: Vec<u8>,
    host: Option<Vec<u8>>,
    cookie: Vec<u8>,
    authorization: Vec<u8>,
}

impl Head {
    pub(super) fn new(target: &[u8]) -> Self {
        Self { target: target.to_vec(), ..Self::default() }
    }

    /// A field of a request.
    pub(super) fn request_field(&mut self, name: &[u8], value: &[u8], fields: &mut Fields) {
        let name = field_name(name);
        fields.text("http.requestHeader", &name);
        match &*name {
            b"host" => self.host.get_or_insert_default().extend_from_slice(value),
            b"cookie" => self.cookie.extend_from_slice(value),
            b"authorization" => self.authorization.extend_from_slice(value),
            _ => {}
        }
        match &*name {
            b"host" => {}
            b"user-agent" => fields.text("http.useragent", value),
            b"referer" => fields.text("http.request-referer", value),
            b"authorization" => fields.text("http.request-authorization", value),
            b"x-forwarded-for" => value.split(|byte| *byte == b',').for_each(|addr| fields.written_ip("http.xffIp", addr)),
            _ => {
                fields.item("http.requestHeaderField", &name, false);
                fields.item("http.requestHeaderValue", &field_value(value), true);
            }
        }
    }

    /// The header of a request is complete.
    pub(super) fn request(&mut self, method: &[u8], version: Version, fields: &mut Fields) {
        let head = std::mem::take(self);
        fields.protocol("http");
        fields.text("http.method", method);
        fields.count_of("http.method-", method);
        service(&head.target).into_iter().for_each(|name| fields.protocol(name));
        fields.text("http.clientVersion", format!("{}.{}", version.0, version.1).as_bytes());
        cookies(&head.cookie, fields);
        authorization(&head.authorization, fields);
        if head.target.iter().any(|byte| *byte < b' ') {
            fields.tag("http:control-char");
        }
        let target = head.target.get(..MAX_TARGET).unwrap_or(&head.target);
        if target.len() < head.target.len() {
            fields.tag("http:url-truncated");
        }
        let Some(host) = head.host.map(|host| host.to_ascii_lowercase()) else {
            return fields.text("http.uri", target);
        };
        fields.text("http.host", &host);
        if let Some(colon) = memchr::memchr(b':', &host) {
            fields.some("http.host", host.get(..colon));
        }
        if target.is_empty() {
            return;
        }
        match memchr::memchr(b'?', target) {
            Some(mark) => {
                fields.some("http.path", target.get(..mark));
                parameters(target.get(mark + 1..).unwrap_or_default(), fields);
            }
            None => fields.text("http.path", target),
        }
        if target.starts_with(b"/") {
            fields.text("http.uri", &[&*host, target].concat());
        } else if memchr::memmem::find(target, &host).is_some_and(|at| at <= 8) {
            // A target with scheme and host of its own.
            fields.text("http.uri", target);
        } else {
            fields.text("http.uri", &[&*host, b";", target].concat());
        }
    }
}

/// What Microsoft's services are known by: certificate enrolment in its several forms, and remote management.
fn service(target: &[u8]) -> Option<&'static str> {
    let target = target.to_ascii_lowercase();
    let starts = |with: &[u8]| target.starts_with(with);
    if starts(b"/certsrv/mscep") {
        Some("adcs-ndes")
    } else if starts(b"/certsrv") {
        Some("adcs-web")
    } else if starts(b"/adpolicyprovider_cep") {
        Some("adcs-cep")
    } else if starts(b"/enrollmentserver/service.svc") || memchr::memmem::find(&target, b"_ces_").is_some() {
        Some("adcs-ces")
    } else if starts(b"/wsman") {
        Some("winrm")
    } else {
        None
    }
}

/// A field of a response.
pub(super) fn response_field(name: &[u8], value: &[u8], fields: &mut Fields) {
    let name = field_name(name);
    fields.text("http.responseHeader", &name);
    if &*name == b"location" {
        return fields.item("http.response-location", value, false);
    }
    fields.item("http.responseHeaderField", &name, false);
    fields.item("http.responseHeaderValue", &field_value(value), true);
}

/// The header of a response is complete.
pub(super) fn response(code: u64, version: Version, fields: &mut Fields) {
    fields.protocol("http");
    fields.number("http.statuscode", i64::try_from(code).unwrap_or(0));
    fields.text("http.serverVersion", format!("{}.{}", version.0, version.1).as_bytes());
}

/// A body, as far as it has come.
#[derive(Clone, Debug, Default)]
pub(super) struct Body {
    md5: Md5,
    sha256: Sha256,
    /// The first piece, until it is judged.
    first: Vec<u8>,
    is_begun: bool,
    is_judged: bool,
}

impl Body {
    /// The next bytes, as they were transferred.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.is_begun |= !bytes.is_empty();
        self.md5.update(bytes);
        self.sha256.update(bytes);
        if !self.is_judged {
            let room = MAX_PIECE.saturating_sub(self.first.len());
            self.first.extend_from_slice(bytes.get(..bytes.len().min(room)).unwrap_or_default());
        }
    }

    /// The piece that came together is over.
    pub(super) fn pause(&mut self, is_request: bool, out: &mut Output<'_>) {
        if self.is_judged || self.first.is_empty() {
            return;
        }
        self.is_judged = true;
        let first = std::mem::take(&mut self.first);
        let Some(fields) = out.session() else { return };
        let lower = first.to_ascii_lowercase();
        if [&b"password="[..], b"passwd=", b"pass="].iter().any(|word| memchr::memmem::find(&lower, word).is_some()) {
            fields.tag("http:password");
        }
        if let Some(name) = magic(&first) {
            fields.text("http.bodyMagic", name.as_bytes());
        }
        if is_request && first.len() <= MAX_BODY && std::str::from_utf8(&first).is_ok() && !first.contains(&0) {
            fields.item("http.requestBody", &first, false);
        }
    }

    /// The message is complete.
    pub(super) fn end(mut self, is_request: bool, out: &mut Output<'_>) {
        self.pause(is_request, out);
        if self.is_begun
            && let Some(fields) = out.session()
        {
            fields.text("http.md5", hex(&self.md5.finalize()).as_bytes());
            fields.text("http.sha256", hex(&self.sha256.finalize()).as_bytes());
        }
    }
}

fn field_name(name: &[u8]) -> Vec<u8> {
    name.get(..MAX_NAME).unwrap_or(name).to_ascii_lowercase()
}

fn field_value(value: &[u8]) -> Vec<u8> {
    value.get(..MAX_VALUE).unwrap_or(value).to_ascii_lowercase()
}

/// RFC 6265 §4.2.1: pairs apart by semicolons.
fn cookies(cookie: &[u8], fields: &mut Fields) {
    let mut rest = cookie.trim_ascii_start();
    while let Some(equal) = memchr::memchr(b'=', rest) {
        fields.some("http.cookieKey", rest.get(..equal));
        let value = rest.get(equal + 1..).unwrap_or_default();
        let end = memchr::memchr(b';', value).unwrap_or(value.len());
        let text = value.get(..end).unwrap_or_default().trim_ascii_start();
        if !text.is_empty() {
            fields.text("http.cookieValue", text);
        }
        rest = value.get(end + 1..).unwrap_or_default().trim_ascii_start();
    }
}

/// RFC 9110 §11.6.2: a scheme and credentials.
fn authorization(value: &[u8], fields: &mut Fields) {
    let value = value.trim_ascii_start();
    let Some(blank) = memchr::memchr(b' ', value) else { return };
    let (scheme, rest) = value.split_at_checked(blank).unwrap_or((value, &[]));
    fields.lower("http.authType", scheme);
    let rest = rest.trim_ascii_start();
    if scheme.eq_ignore_ascii_case(b"basic") {
        // Yahoo put tokens of its own there.
        if !rest.starts_with(b"token=") {
            let decoded = mime::decode_base64(rest).unwrap_or_else(|(decoded, _)| decoded);
            fields.some("http.user", decoded.split(|byte| *byte == b':').next());
        }
    } else if scheme.eq_ignore_ascii_case(b"digest")
        && let Some(at) = memchr::memmem::find(rest, b"username")
        && let Some(value) = rest.get(at + 8..).unwrap_or_default().trim_ascii_start().strip_prefix(b"=")
    {
        let value = value.trim_ascii_start();
        let (value, end) = value.strip_prefix(b"\"").map_or((value, b','), |quoted| (quoted, b'"'));
        fields.some("http.user", value.split(|byte| *byte == end).next());
    }
}

/// Keys and values of a query.
fn parameters(query: &[u8], fields: &mut Fields) {
    for pair in query.split(|byte| *byte == b'&') {
        for (place, part) in pair.split(|byte| *byte == b'=').enumerate().filter(|(_, part)| !part.is_empty()) {
            fields.text(if place == 0 { "http.key" } else { "http.value" }, &unescaped(part).unwrap_or_else(|| part.to_vec()));
        }
    }
}

/// RFC 3986 §2.1; `None` if the escapes are not whole or what they make is not text.
fn unescaped(part: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(part.len());
    let mut bytes = part.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let (high, low) = (char::from(bytes.next()?).to_digit(16)?, char::from(bytes.next()?).to_digit(16)?);
            text.push(u8::try_from(high * 16 + low).ok().filter(|byte| *byte != 0)?);
        } else {
            text.push(byte);
        }
    }
    std::str::from_utf8(&text).is_ok().then_some(text)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
