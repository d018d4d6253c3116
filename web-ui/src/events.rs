//! The event stream that keeps an open page fresh: the page's live part, as HTML, whenever the daemon was asked again.

use std::convert::Infallible;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use crate::App;
use crate::pages::Page;

pub(crate) async fn stream(State(app): State<App>, Path(name): Path<String>) -> Response {
    let Some(page) = Page::named(&name) else { return StatusCode::NOT_FOUND.into_response() };
    let Ok(permit) = app.streams.clone().try_acquire_owned() else {
        // The script falls back to reloading.
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let events = stream::unfold((app, permit), move |(mut app, permit)| async move {
        app.snapshot.changed().await.ok()?;
        app.snapshot.mark_unchanged();
        let html = page.live(&app).await;
        // A carriage return would end the field early; there is none in our templates, nor in escaped text that matters.
        let event = Event::default().event("live").data(html.replace('\r', ""));
        Some((Ok::<_, Infallible>(event), (app, permit)))
    });
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}
