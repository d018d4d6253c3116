//! `tenrec-appliance`: what runs as root on the appliance. The issue "The appliance" fills this in; until then it says so and
//! fails.

use std::process::ExitCode;

fn main() -> ExitCode {
    eprintln!("tenrec-appliance: nothing is here yet");
    ExitCode::FAILURE
}
