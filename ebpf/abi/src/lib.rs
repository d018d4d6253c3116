//! Map keys and values that the XDP programs and the user side share.
