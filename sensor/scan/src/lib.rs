//! Scans carved files with YARA and clamd, in a process of its own.
