//! Whether a capture filter is one, in the words of who understands them: `tenrec viewer`, which reads the same language
//! and answers over its socket.

use std::path::Path;
use std::time::Duration;

use axum::body::to_bytes;
use axum::http::StatusCode;
use settings::edit::Draft;
use settings::{Place, Problem};

use crate::wizard::step::PATH;

/// How long the viewer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a refusal that are shown.
const MAX_REFUSAL: usize = 4096;

/// What is wrong with the capture filter of a draft.
pub(crate) async fn problem(viewer: &Path, draft: &Draft) -> Option<Problem> {
    let what = check(viewer, &draft.shown("capture", "filter")).await.err()?;
    Some(Problem { place: Place::File(PATH.into(), None), key: "capture.filter".to_owned(), what })
}

/// Looks for packets that the filter takes, in no time at all.
///
/// # Errors
/// What is wrong with the filter. A viewer that does not answer is no error: the filter is compiled again when it is
/// applied, and what is wrong is told then.
async fn check(viewer: &Path, filter: &str) -> Result<(), String> {
    if filter.trim().is_empty() {
        return Ok(());
    }
    // The second from which on there are packets has not come yet.
    let from = jiff::Timestamp::now().as_second() + 86_400;
    let target = crate::pages::packets::search(filter, &from.to_string(), &(from + 1).to_string());
    let Ok(Ok(answer)) = tokio::time::timeout(PATIENCE, crate::pages::packets::ask(viewer, &target)).await else {
        tracing::info!("the filter is not checked: tenrec viewer does not answer");
        return Ok(());
    };
    if answer.status() != StatusCode::BAD_REQUEST {
        return Ok(());
    }
    let text = to_bytes(answer.into_body(), MAX_REFUSAL).await.unwrap_or_default();
    Err(String::from_utf8_lossy(&text).trim().to_owned())
}
