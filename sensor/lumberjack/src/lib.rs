//! Lumberjack v2 frames and windows, without I/O.
