//! Builds the appliance image.

fn main() {}
