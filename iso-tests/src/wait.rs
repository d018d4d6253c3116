//! Waiting for something to become so, with a deadline.

use std::time::{Duration, Instant};

use anyhow::bail;

/// Asks again and again until there is an answer. The pause between two questions is for the machine's sake: an emulated
/// guest shares its processors with us.
pub(crate) fn wait_for<T>(what: &str, deadline: Duration, mut ask: impl FnMut() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
    const PAUSE: Duration = Duration::from_millis(250);
    let begun = Instant::now();
    loop {
        let last = match ask() {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => String::new(),
            Err(error) => format!(": {error:#}"),
        };
        if begun.elapsed() > deadline {
            bail!("{what} did not come about within {} s{last}", deadline.as_secs());
        }
        std::thread::sleep(PAUSE);
    }
}
