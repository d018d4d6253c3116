//! A durable queue on disk: segments, checksums, acknowledged cursor.
