//! Says whether the XDP object has been built (`make ebpf`), so that the sensor can embed it; builds nothing itself.
//!
//! Without the object everything compiles, and only opening an XDP capture fails, with a message that says what to run.

use std::path::Path;

fn main() {
    let ebpf = Path::new("../ebpf");
    let object = ebpf.join("target/bpfel-unknown-none/release/ebpf");
    println!("cargo::rustc-check-cfg=cfg(has_ebpf)");
    if object.exists() {
        println!("cargo::rustc-cfg=has_ebpf");
        println!("cargo::rerun-if-changed={}", object.display());
    } else {
        // A file that is absent would make Cargo run this every time; the folder changes when the object appears.
        println!("cargo::rerun-if-changed={}", ebpf.display());
    }
    println!("cargo::rerun-if-changed=build.rs");
}
