//! The local web UI: status, connections, files.

fn main() {}
