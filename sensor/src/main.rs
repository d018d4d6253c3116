//! The Tenrec sensor: daemon and command line.

fn main() {}
