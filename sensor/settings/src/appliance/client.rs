//! A blocking client of the appliance's socket.

use std::path::Path;
use std::time::Duration;

use super::{Request, Response};
use crate::lines::{ClientError, Lines, Server};

/// Whom this client asks.
pub const APPLIANCE: Server = Server { name: "appliance service", unit: "tenrec-appliance" };

/// How long it may take: a preview listens, a probe dials several hosts.
const PATIENCE: Duration = Duration::from_secs(90);

/// A connection to the appliance service.
#[derive(Debug)]
pub struct Client(Lines);

impl Client {
    /// Connects to the socket at `path`; every later read and write waits 90 seconds at most.
    ///
    /// # Errors
    /// When there is no such service, or it may not be asked.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        Lines::connect(APPLIANCE, path, PATIENCE).map(Self)
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// When the service falls silent, answers garbage, or refuses.
    pub fn ask(&mut self, request: &Request) -> Result<Response, ClientError> {
        match self.0.ask(request)? {
            Response::Error { message } => Err(ClientError::Refused(message)),
            response => Ok(response),
        }
    }
}
