//! What a guest says to a port of ours. QEMU's user network lets a restricted guest reach chosen addresses alone, and starts a
//! command for each connection there: this one.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::process::ExitCode;

pub(crate) fn run(port: u16) -> ExitCode {
    let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return ExitCode::FAILURE };
    let Ok(mut back) = stream.try_clone() else { return ExitCode::FAILURE };
    let mut there = stream;
    std::thread::spawn(move || {
        let _ = copy(&mut std::io::stdin().lock(), &mut there);
        let _ = there.shutdown(Shutdown::Write);
    });
    // Ends with the collector's side, whatever the guest still says.
    let _ = copy(&mut back, &mut std::io::stdout().lock());
    ExitCode::SUCCESS
}

/// Each piece at once: `std::io::copy` would wait until its buffer is full.
fn copy(from: &mut impl Read, to: &mut impl Write) -> std::io::Result<()> {
    let mut bytes = [0; 16 << 10];
    loop {
        let read = from.read(&mut bytes)?;
        if read == 0 {
            return Ok(());
        }
        to.write_all(bytes.get(..read).unwrap_or_default())?;
        to.flush()?;
    }
}
