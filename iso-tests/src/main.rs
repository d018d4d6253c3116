//! Boots the appliance image and uses it as an operator would.

fn main() {}
