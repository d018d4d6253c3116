//! What a form carries, and proof that it is one of ours.
//!
//! Every request that changes something passes [`admit`], whoever answers it: the browser says that the page is ours
//! (`Sec-Fetch-Site`, else `Origin`), and the form has the token that only our page could read. The token is made of the
//! session's id, or of a cookie of its own before there is a session. Handlers get [`Fields`], so that a form is read in
//! one place and bounded there.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Form, FromRequest as _, FromRequestParts, Multipart, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::random;

/// Bytes of a form with everything in it: settings with what is attached to them are the longest.
pub(crate) const MAX_FORM: usize = settings::edit::MAX_BYTES + (64 << 10);
/// Bytes of a form of who has proved nothing yet: a password or a code. Many may send one at once.
pub(crate) const MAX_STRANGERS_FORM: usize = 16 << 10;
/// Fields of a form.
const MAX_FIELDS: usize = 1000;
/// How long a form may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// The fields of a form, in order; an uploaded file is the text in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(Arc<Vec<(String, String)>>);

impl Fields {
    /// The first value of a field, or nothing.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// Every value of a field.
    pub(crate) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let name = name.to_owned();
        self.0.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// Whether there is a field.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }
}

impl From<Vec<(String, String)>> for Fields {
    fn from(fields: Vec<(String, String)>) -> Self {
        Self(Arc::new(fields))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Fields {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get().cloned().unwrap_or_default())
    }
}

/// The token of forms for whoever has this cookie.
pub(crate) fn token(cookie: &str) -> String {
    URL_SAFE_NO_PAD.encode(random::digest("form", cookie))
}

/// Reads the form of a request that changes something, `most` bytes long, and sees that it is ours.
///
/// # Errors
/// Status and words when it is not, or cannot be read.
pub(crate) async fn admit(mut request: Request, token: &str, most: usize) -> Result<Request, (StatusCode, &'static str)> {
    if !is_from_here(request.headers()) {
        return Err((StatusCode::FORBIDDEN, "this form comes from another site"));
    }
    let stale = (StatusCode::FORBIDDEN, "this form is out of date: go back, load the page again and send it once more");
    let headers = request.headers();
    let shown = headers.get("x-csrf-token").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
    // What is no form is not read here: its token is in a header, and that of an upload in the query.
    let path = request.uri().path();
    if path == "/system/updates/upload" || path.starts_with("/api/") {
        let query = request.uri().query().unwrap_or_default();
        let asked = query.split('&').find_map(|pair| pair.strip_prefix("csrf=")).map(str::to_owned);
        return if shown.or(asked).is_some_and(|shown| random::same(&shown, token)) { Ok(request) } else { Err(stale) };
    }
    let unreadable = (StatusCode::BAD_REQUEST, "this form cannot be read: it is too long, cut off, or no form");
    let body = std::mem::take(request.body_mut());
    let bytes = tokio::time::timeout(PATIENCE, axum::body::to_bytes(body, most)).await.ok().and_then(Result::ok).ok_or(unreadable)?;
    let form = Request::post("/").header(header::CONTENT_TYPE, &kind).body(bytes.into()).map_err(|_| unreadable)?;
    let read = if kind.starts_with("multipart/form-data") { parts_of(form).await } else { fields_of(form).await };
    let fields = Fields::from(read.filter(|fields| fields.len() <= MAX_FIELDS).ok_or(unreadable)?);
    if !random::same(fields.get("csrf"), token) {
        return Err(stale);
    }
    request.extensions_mut().insert(fields);
    Ok(request)
}

async fn fields_of(form: Request) -> Option<Vec<(String, String)>> {
    Form::from_request(form, &()).await.ok().map(|Form(fields)| fields)
}

async fn parts_of(form: Request) -> Option<Vec<(String, String)>> {
    let mut parts = Multipart::from_request(form, &()).await.ok()?;
    let mut fields = Vec::new();
    while let Some(part) = parts.next_field().await.ok()? {
        let name = part.name()?.to_owned();
        // A file that is no text comes as what can be read of it: whoever wants a certificate says that it is none.
        let bytes = part.bytes().await.ok()?;
        fields.push((name, String::from_utf8_lossy(&bytes).into_owned()));
        if fields.len() > MAX_FIELDS {
            return None;
        }
    }
    Some(fields)
}

/// Whether the browser says that one of our pages sent this. Browsers tell by `Sec-Fetch-Site`; older ones by `Origin`;
/// what tells neither is no browser, and has the token to show.
fn is_from_here(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value: &axum::http::HeaderValue| value.to_str().unwrap_or("?"));
    if let Some(site) = text(header::HeaderName::from_static("sec-fetch-site")) {
        return site == "same-origin" || site == "none";
    }
    match (text(header::ORIGIN), text(header::HOST)) {
        (None, _) => true,
        (Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, origin)| origin.eq_ignore_ascii_case(host)),
        (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn post(headers: &[(&str, &str)], body: &str) -> Request {
        let mut request = Request::post("/x").header("host", "192.0.2.1:8443");
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/x-www-form-urlencoded");
        }
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(Body::from(body.to_owned())).unwrap()
    }

    #[tokio::test]
    async fn a_form_needs_the_token_of_the_page() {
        let admitted = admit(post(&[], "csrf=t&name=a+b&name=c"), "t", MAX_FORM).await.unwrap();
        let fields = admitted.extensions().get::<Fields>().unwrap();
        assert_eq!(fields.all("name").collect::<Vec<_>>(), ["a b", "c"]);
        for body in ["", "csrf=", "csrf=u", "name=t"] {
            assert_eq!(admit(post(&[], body), "t", MAX_FORM).await.unwrap_err().0, StatusCode::FORBIDDEN, "{body}");
        }
        let api = |token: &str| Request::post("/api/settings").header("x-csrf-token", token).body(Body::from("{}")).unwrap();
        assert!(admit(api("u"), "t", MAX_FORM).await.is_err() && admit(api("t"), "t", MAX_FORM).await.is_ok());
    }

    #[tokio::test]
    async fn a_form_of_another_site_is_refused_even_with_the_token() {
        for other in
            [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("origin", "https://example.org"), ("origin", "null")]
        {
            assert!(admit(post(&[other], "csrf=t"), "t", MAX_FORM).await.is_err(), "{other:?}");
        }
        for ours in [("sec-fetch-site", "same-origin"), ("origin", "https://192.0.2.1:8443")] {
            assert!(admit(post(&[ours], "csrf=t"), "t", MAX_FORM).await.is_ok(), "{ours:?}");
        }
    }

    #[tokio::test]
    async fn uploaded_files_are_fields_too() {
        let body = "--b\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\nt\r\n--b\r\nContent-Disposition: form-data; name=\"ca\"; \
                    filename=\"ca.crt\"\r\n\r\nPEM\r\n--b--\r\n";
        let admitted = admit(post(&[("content-type", "multipart/form-data; boundary=b")], body), "t", MAX_FORM).await.unwrap();
        assert_eq!(admitted.extensions().get::<Fields>().unwrap().get("ca"), "PEM");
        let cut = admit(post(&[("content-type", "multipart/form-data; boundary=b")], &body[..60]), "t", MAX_FORM).await;
        assert_eq!(cut.unwrap_err().0, StatusCode::BAD_REQUEST);
    }

    #[tokio::test]
    async fn a_form_that_is_too_long_is_refused() {
        let long = format!("csrf=t&name={}", "x".repeat(MAX_FORM));
        assert_eq!(admit(post(&[], &long), "t", MAX_FORM).await.unwrap_err().0, StatusCode::BAD_REQUEST);
    }
}
