//! Frames in, records out: decapsulation, flows, streams, protocols, log encoders.
