//! The Suricata rule language.
