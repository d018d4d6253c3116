//! From the spool over TLS to the collector.
