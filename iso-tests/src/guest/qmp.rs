//! QEMU's control socket (QMP): screenshots, the power button, pulling the plug.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use crate::wait::wait_for;

pub(crate) struct Qmp {
    stream: BufReader<UnixStream>,
}

impl Qmp {
    pub(crate) fn join(socket: &Path) -> anyhow::Result<Self> {
        let stream = wait_for("QEMU's control socket", Duration::from_secs(30), || Ok(UnixStream::connect(socket).ok()))?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut qmp = Self { stream: BufReader::new(stream) };
        qmp.read()?;
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    pub(crate) fn execute(&mut self, command: &str, arguments: Value) -> anyhow::Result<Value> {
        let line = json!({"execute": command, "arguments": arguments}).to_string();
        writeln!(self.stream.get_mut(), "{line}").context("QEMU is gone")?;
        loop {
            let mut answer = self.read()?;
            if let Some(error) = answer.get("error") {
                bail!("QEMU refuses {command}: {error}");
            }
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            // Events come in between.
        }
    }

    fn read(&mut self) -> anyhow::Result<Value> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).context("QEMU does not answer")? == 0 {
            bail!("QEMU is gone");
        }
        serde_json::from_str(&line).context("QEMU's answer is not JSON")
    }
}
