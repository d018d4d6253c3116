//! One file a page: its template, its handler, its tests.

pub(crate) mod assets;
pub(crate) mod connections;
pub(crate) mod files;
pub(crate) mod health;
pub(crate) mod missing;
pub(crate) mod packets;
pub(crate) mod status;

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

/// A page from its template.
fn render(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// What is shown in place of a page while the daemon does not answer.
#[derive(Template)]
#[template(path = "down.html")]
struct Down {
    why: String,
}

fn down(why: String) -> Response {
    render(StatusCode::SERVICE_UNAVAILABLE, &Down { why })
}

#[cfg(test)]
pub(crate) mod testing {
    use std::path::{Path, PathBuf};

    use axum::body::{Body, to_bytes};
    use axum::http::{Request, StatusCode, header};
    use settings::control::{self, Connection, File, Response, Status};
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tower::ServiceExt as _;

    use crate::history::Watch;

    /// A daemon that answers every question from the same made-up state.
    pub(crate) fn daemon(status: Status, connections: Vec<Connection>, files: Vec<File>) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("control.sock");
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (status, connections, files) = (status.clone(), connections.clone(), files.clone());
                tokio::spawn(async move {
                    let (read, mut write) = stream.into_split();
                    let mut lines = BufReader::new(read).lines();
                    while let Ok(Some(line)) = lines.next_line().await {
                        let answer = match control::decode(line.as_bytes()).unwrap() {
                            control::Request::Status => Response::Status(Box::new(status.clone())),
                            control::Request::Connections { .. } => Response::Connections { connections: connections.clone() },
                            control::Request::Files { .. } => Response::Files { files: files.clone() },
                            control::Request::Reload => Response::Error { message: "no".into() },
                        };
                        write.write_all(&control::encode(&answer).unwrap()).await.unwrap();
                    }
                });
            }
        });
        (folder, socket)
    }

    /// Asks for a page: status code, content security policy, and body.
    pub(crate) async fn get(socket: &Path, path: &str) -> (StatusCode, String, String) {
        get_as(socket, path, "127.0.0.1:8080").await
    }

    /// The same, with another `Host`.
    pub(crate) async fn get_as(socket: &Path, path: &str, host: &str) -> (StatusCode, String, String) {
        let app = crate::app(socket.to_owned(), socket.with_file_name("viewer.sock"), Watch::start(socket.to_owned()));
        let response = app.oneshot(Request::get(path).header(header::HOST, host).body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status();
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, policy, String::from_utf8(body.to_vec()).unwrap())
    }
}
