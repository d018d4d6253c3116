//! What nobody can guess: ids of sessions, tokens, salts.

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// `N` random bytes.
///
/// # Errors
/// When the system has none, which it tells once in its life, at most.
pub(crate) fn bytes<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| std::io::Error::other("the system gave no random bytes"))?;
    Ok(bytes)
}

/// 256 random bits, of letters that need no quoting in a cookie or a header.
///
/// # Errors
/// As [`bytes`].
pub(crate) fn text() -> std::io::Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(bytes::<32>()?))
}

/// What is kept of an id or a token, so that whoever reads what is kept cannot use it. `purpose` keeps digests of one use
/// from being good for another.
pub(crate) fn digest(purpose: &str, text: &str) -> [u8; 32] {
    Sha256::new().chain_update(purpose).chain_update([0]).chain_update(text).finalize().into()
}

/// Whether two texts are the same, without telling by time how far they are.
pub(crate) fn same(left: &str, right: &str) -> bool {
    let (left, right) = (digest("compare", left), digest("compare", right));
    aws_lc_rs::constant_time::verify_slices_are_equal(&left, &right).is_ok()
}
