//! The embedded collector: demo, tests and small sites.
