//! Who may have packets: whoever knows the secret that the sensor shares with the central viewer.
//!
//! ```text
//! x-arkime-auth, Arkime up to 6.3:   hex(iv).hex(AES-256-CBC).hex(HMAC-SHA256 of the two)      key: SHA-256 of the secret
//! x-arkime-auth, Arkime from 6.4 on: {"iv","salt","data","tag"} in hex: AES-256-GCM            key: PBKDF2 of the secret
//! both encrypt {"date":ms,"user","node","path","method"}
//! ```
//!
//! A token is good for one path with its query, one method if it names one, and two minutes. Making a key by PBKDF2 takes a
//! tenth of a second, on purpose; the viewer's salt stays the same as long as it runs, so keys that have opened a token are
//! kept, and how often others are tried is bounded by peer before anything is computed.
//!
//! Limits: whether the user exists and may see packets is known to the central viewer alone, which asks for him and has
//! checked. A token can be used again within its two minutes for the same packets, by whoever reads along; the connection is
//! encrypted, but Arkime does not check the certificate.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    cipher::{AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey},
    hmac,
    iv::FixedLength,
    pbkdf2,
};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use thiserror::Error;

/// Bytes of the header at most: 8192 hexadecimal digits of data, percent-encoded JSON around them.
const MAX_HEADER: usize = 10_240;
/// Hexadecimal digits of encrypted data at most.
const MAX_DATA: usize = 8192;
/// Rounds of PBKDF2 (Arkime 6.4, common/auth.js).
const ROUNDS: NonZeroU32 = NonZeroU32::new(300_000).expect("not zero");
/// How far a token's time may be from ours, in milliseconds.
const MAX_AGE: i64 = 120_000;
/// Keys that are kept.
const MAX_KEYS: usize = 64;
/// Keys that a peer may have made at once, and how long it takes until it may have one more.
const BURST: u32 = 5;
const REFILL: Duration = Duration::from_secs(2);
/// Peers whose tries are counted.
const MAX_PEERS: usize = 4096;

/// Why there are no packets. The peer is told no more than that it may not.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Denied {
    /// There is no token.
    #[error("no token")]
    Missing,
    /// It has none of the two forms.
    #[error("a token that is none")]
    Malformed,
    /// It was made with another secret, or changed on its way.
    #[error(
        "a token made with another secret: the sensor's and the central viewer's must be the same (viewer.secret, ARKIME_PASSWORD_SECRET)"
    )]
    Forged,
    /// It is for something else.
    #[error("a token for another path or method")]
    Elsewhere,
    /// It is too old, or from the future.
    #[error("a token that is more than two minutes old or ahead: are both clocks right?")]
    Expired,
    /// It is of a user that is none.
    #[error("a token without a user, or of a role")]
    User,
    /// Too many tries.
    #[error("too many tokens with new salts")]
    TooMany,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// `GET` or `POST`.
    pub method: &'a str,
    /// Path and query, as they came.
    pub target: &'a str,
    /// Who asks.
    pub peer: IpAddr,
    /// Now, in milliseconds since 1970.
    pub now: i64,
}

/// Checks tokens.
pub struct Gate {
    secret: Vec<u8>,
    /// Keys by their salts, oldest first.
    keys: Mutex<VecDeque<([u8; 16], [u8; 32])>>,
    tries: Mutex<HashMap<IpAddr, (Instant, u32)>>,
}

#[derive(Deserialize)]
struct Sealed {
    iv: String,
    salt: String,
    data: String,
    tag: String,
}

#[derive(Deserialize)]
struct Token {
    date: f64,
    #[serde(default)]
    user: String,
    path: String,
    method: Option<String>,
}

impl Gate {
    /// For a secret, which is not empty.
    #[must_use]
    pub fn new(secret: &str) -> Self {
        Self { secret: secret.as_bytes().to_vec(), keys: Mutex::default(), tries: Mutex::default() }
    }

    /// Checks a token and says whose it is. May take a tenth of a second.
    ///
    /// # Errors
    /// [`Denied`], for the log.
    pub fn check(&self, header: Option<&str>, asked: Asked<'_>) -> Result<String, Denied> {
        let header = header.ok_or(Denied::Missing)?;
        if header.len() > MAX_HEADER {
            return Err(Denied::Malformed);
        }
        let decoded = decoded(header).ok_or(Denied::Malformed)?;
        let opened = if decoded.trim_start().starts_with('{') { self.open_gcm(&decoded, asked.peer)? } else { self.open_cbc(&decoded)? };
        let token: Token = serde_json::from_slice(&opened).map_err(|_| Denied::Malformed)?;
        if token.path != asked.target || token.method.is_some_and(|method| !method.eq_ignore_ascii_case(asked.method)) {
            return Err(Denied::Elsewhere);
        }
        // A number that is none fails the comparison.
        let age = (asked.now as f64 - token.date).abs();
        if !matches!(age.partial_cmp(&(MAX_AGE as f64)), Some(std::cmp::Ordering::Less | std::cmp::Ordering::Equal)) {
            return Err(Denied::Expired);
        }
        if token.user.is_empty() || token.user.starts_with("role:") {
            return Err(Denied::User);
        }
        Ok(token.user)
    }

    fn open_cbc(&self, text: &str) -> Result<Vec<u8>, Denied> {
        let mut parts = text.split('.');
        let (Some(iv), Some(data), Some(sum), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(Denied::Malformed);
        };
        let vector: [u8; 16] = bytes(iv)?;
        let sum: [u8; 32] = bytes(sum)?;
        if data.len() > MAX_DATA {
            return Err(Denied::Malformed);
        }
        let mut encrypted = hex::decode(data).map_err(|_| Denied::Malformed)?;
        let key: [u8; 32] = Sha256::digest(&self.secret).into();
        let sealed = format!("{iv}.{data}");
        // Compares in constant time.
        hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &key), sealed.as_bytes(), &sum).map_err(|_| Denied::Forged)?;
        let cipher = UnboundCipherKey::new(&AES_256, &key).and_then(PaddedBlockDecryptingKey::cbc_pkcs7).map_err(|_| Denied::Malformed)?;
        let context = DecryptionContext::Iv128(FixedLength::from(vector));
        cipher.decrypt(&mut encrypted, context).map(|opened| opened.to_vec()).map_err(|_| Denied::Malformed)
    }

    fn open_gcm(&self, text: &str, peer: IpAddr) -> Result<Vec<u8>, Denied> {
        let sealed: Sealed = serde_json::from_str(text).map_err(|_| Denied::Malformed)?;
        let (nonce, salt, tag): ([u8; 12], [u8; 16], [u8; 16]) = (bytes(&sealed.iv)?, bytes(&sealed.salt)?, bytes(&sealed.tag)?);
        if sealed.data.len() > MAX_DATA {
            return Err(Denied::Malformed);
        }
        let mut encrypted = hex::decode(&sealed.data).map_err(|_| Denied::Malformed)?;
        encrypted.extend(tag);
        let kept = self.key_of(salt);
        let key = match kept {
            Some(key) => key,
            None => self.make_key(salt, peer)?,
        };
        let cipher = UnboundKey::new(&AES_256_GCM, &key).map(LessSafeKey::new).map_err(|_| Denied::Malformed)?;
        let opened = cipher.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut encrypted);
        let opened = opened.map(|opened| opened.to_vec()).map_err(|_| Denied::Forged)?;
        if kept.is_none() {
            self.keep(salt, key);
        }
        Ok(opened)
    }

    fn key_of(&self, salt: [u8; 16]) -> Option<[u8; 32]> {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.iter().find(|(known, _)| *known == salt).map(|(_, key)| *key)
    }

    fn make_key(&self, salt: [u8; 16], peer: IpAddr) -> Result<[u8; 32], Denied> {
        if !self.may_try(peer, Instant::now()) {
            return Err(Denied::TooMany);
        }
        let mut key = [0; 32];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS, &salt, &self.secret, &mut key);
        Ok(key)
    }

    /// Only of salts that have opened a token: others do not push them out.
    fn keep(&self, salt: [u8; 16], key: [u8; 32]) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= MAX_KEYS {
            keys.pop_front();
        }
        keys.push_back((salt, key));
    }

    fn may_try(&self, peer: IpAddr, now: Instant) -> bool {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        // One that has not tried for long has all of its tries again.
        if tries.len() >= MAX_PEERS {
            tries.retain(|_, (since, _)| now.duration_since(*since) < REFILL * BURST);
        }
        if tries.len() >= MAX_PEERS && !tries.contains_key(&peer) {
            return false;
        }
        let (since, used) = tries.entry(peer).or_insert((now, 0));
        let regained = u32::try_from(now.duration_since(*since).as_millis() / REFILL.as_millis()).unwrap_or(u32::MAX);
        if regained > 0 {
            *used = used.saturating_sub(regained);
            *since = now;
        }
        let may = *used < BURST;
        *used += u32::from(may);
        may
    }
}

/// The token as Arkime made it: some of its versions percent-encode it.
fn decoded(header: &str) -> Option<String> {
    let mut out = Vec::with_capacity(header.len());
    let mut rest = header.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        if *first == b'%' {
            let (digits, more) = rest.split_at_checked(2)?;
            out.extend(hex::decode(digits).ok()?);
            rest = more;
        } else {
            out.push(*first);
        }
    }
    String::from_utf8(out).ok()
}

fn bytes<const N: usize>(text: &str) -> Result<[u8; N], Denied> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).map(|()| bytes).map_err(|_| Denied::Malformed)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::cipher::{EncryptionContext, PaddedBlockEncryptingKey};
    use proptest::prelude::*;

    use super::*;

    /// Made with Arkime's own code, of 6.3.1 and 6.7.0.
    const SECRET: &str = "s3cret-shared";
    const DATE: i64 = 1_787_000_000_000;
    const PATH: &str = "/api/session/sensor1/3@260819-abc.pcap";
    const OF_631: &str = "d616aa896ad78a6930d67ae57860760d.7655415b0890beb20090027d07b7127d4a99cc4dbe2ff25af3cd03afdafcc1bb10e5eab5031478f6e20d050eabb2352e001cae6fd6795fb24266aa14c356a970fcba9fec7cfc02b1bef8fbc73d30057cc0cbfd2384b1ddc6babcad8675a5bc39123684cf20e6a254552025b8fe444d785c0abe38066ac26296470d67f2464778.976df35421a3c143a1da85b791886205a1abf12e806f461bab1dd099ae7facba";
    const OF_670: &str = r#"{"iv":"1a2c6b4d37f0e6c31af421b2","salt":"c304247a2d901f6d47a9b0d60cb3c3c5","data":"f1356cff1760609eb0725e92405ba059a82d56ffba2dc8fd95317c7558cf251427a5022f9594714a7d5c88505e6988e2b9dcda9ad66c162db696b8c570928846c135e6facfead98c0fcff8a3ab001e07a84e2ced44c17a34b1996b489dc8bf8354a45305867d6c979b799b7831e8eb4fc72b403590","tag":"93f986a704636a2052c7d08d494fbce6"}"#;

    fn asked<'a>() -> Asked<'a> {
        Asked { method: "GET", target: PATH, peer: IpAddr::from([10, 0, 0, 1]), now: DATE }
    }

    fn check(header: &str, asked: Asked<'_>) -> Result<String, Denied> {
        Gate::new(SECRET).check(Some(header), asked)
    }

    fn encoded(text: &str) -> String {
        text.bytes().map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
    }

    /// A token of the older form, of our own making.
    fn token(plain: &str) -> String {
        let key: [u8; 32] = Sha256::digest(SECRET).into();
        let mut data = plain.as_bytes().to_vec();
        let cipher = PaddedBlockEncryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_256, &key).unwrap()).unwrap();
        let context = cipher.less_safe_encrypt(&mut data, EncryptionContext::Iv128(FixedLength::from([7; 16]))).unwrap();
        assert!(matches!(context, DecryptionContext::Iv128(_)));
        let sealed = format!("{}.{}", hex::encode([7; 16]), hex::encode(data));
        let sum = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), sealed.as_bytes());
        format!("{sealed}.{}", hex::encode(sum))
    }

    #[test]
    fn tokens_of_both_generations_of_arkime_are_taken() {
        for header in [OF_631.to_owned(), OF_670.to_owned(), encoded(OF_631), encoded(OF_670)] {
            assert_eq!(check(&header, asked()), Ok("admin".to_owned()), "{header}");
        }
    }

    #[test]
    fn a_token_is_good_for_its_path_method_and_time_alone() {
        for header in [OF_631, OF_670] {
            for target in ["/api/session/sensor1/3@260819-abd.pcap", "/api/session/sensor1/3@260819-abc.pcap?x=1", "/"] {
                assert_eq!(check(header, Asked { target, ..asked() }), Err(Denied::Elsewhere));
            }
            assert_eq!(check(header, Asked { method: "POST", ..asked() }), Err(Denied::Elsewhere));
            for late in [-MAX_AGE - 1, MAX_AGE + 1, i64::MAX - DATE, -DATE] {
                assert_eq!(check(header, Asked { now: DATE + late, ..asked() }), Err(Denied::Expired), "{late}");
            }
            for late in [-MAX_AGE, 0, MAX_AGE] {
                assert!(check(header, Asked { now: DATE + late, ..asked() }).is_ok(), "{late}");
            }
        }
    }

    #[test]
    fn a_token_changed_anywhere_or_made_with_another_secret_is_refused() {
        let gate = Gate::new("another");
        for header in [OF_631, OF_670] {
            assert_eq!(gate.check(Some(header), asked()), Err(Denied::Forged));
        }
        // One gate, so that the key is made but once.
        let gate = Gate::new(SECRET);
        gate.check(Some(OF_670), asked()).unwrap();
        for header in [OF_631, OF_670] {
            for place in (0..header.len()).filter(|place| header.as_bytes()[*place].is_ascii_hexdigit()) {
                let mut changed = header.as_bytes().to_vec();
                changed[place] = if changed[place] == b'0' { b'1' } else { b'0' };
                let peer = IpAddr::from([10, 1, (place >> 8) as u8, place as u8]);
                // Not that of the salt: each would have a key made.
                let in_salt = header.find("salt").is_some_and(|salt| (salt..salt + 40).contains(&place));
                if !in_salt {
                    let outcome = gate.check(Some(std::str::from_utf8(&changed).unwrap()), Asked { peer, ..asked() });
                    assert!(matches!(outcome, Err(Denied::Forged | Denied::Malformed)), "{place}: {outcome:?}");
                }
            }
        }
    }

    #[test]
    fn a_role_is_no_user_and_what_a_token_must_say_must_be_there() {
        let with = |user: &str| format!(r#"{{"date":{DATE},"user":"{user}","path":"{PATH}"}}"#);
        assert_eq!(check(&token(&with("admin")), asked()), Ok("admin".to_owned()));
        for user in ["", "role:arkimeAdmin"] {
            assert_eq!(check(&token(&with(user)), asked()), Err(Denied::User));
        }
        for plain in [r#"{"user":"a"}"#, r#"{"date":"x","path":"/","user":"a"}"#, "[]", "null", ""] {
            assert_eq!(check(&token(plain), asked()), Err(Denied::Malformed), "{plain}");
        }
        let huge = format!(r#"{{"date":1e999,"user":"a","path":"{PATH}"}}"#);
        assert!(check(&token(&huge), asked()).is_err());
    }

    #[test]
    fn new_salts_are_tried_a_few_times_only_and_a_known_one_always() {
        let gate = Gate::new(SECRET);
        gate.check(Some(OF_670), asked()).unwrap();
        let unknown = |n: u8| OF_670.replace("c304247a2d901f6d47a9b0d60cb3c3c5", &hex::encode([n; 16]));
        let outcomes: Vec<_> = (1..=BURST as u8).map(|n| gate.check(Some(&unknown(n)), asked())).collect();
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Err(Denied::TooMany)).count(), 1, "{outcomes:?}");
        gate.check(Some(OF_670), asked()).unwrap();
        let other = Asked { peer: IpAddr::from([10, 0, 0, 2]), ..asked() };
        assert_eq!(gate.check(Some(&unknown(99)), other), Err(Denied::Forged), "another peer has tries of its own");
        let later = Instant::now() + REFILL + REFILL;
        assert!(gate.may_try(asked().peer, later));
    }

    #[test]
    fn peers_that_are_counted_are_bounded() {
        let gate = Gate::new(SECRET);
        let now = Instant::now();
        let admitted = (0..MAX_PEERS as u32 + 100).filter(|n| gate.may_try(IpAddr::from(n.to_be_bytes()), now)).count();
        assert_eq!(admitted, MAX_PEERS);
        assert!(gate.may_try(IpAddr::from([255; 4]), now + REFILL * BURST), "and forgotten");
    }

    proptest! {
        #[test]
        fn any_header_is_refused_without_harm(header in ".{0,200}", bytes in proptest::collection::vec(any::<u8>(), 0..50)) {
            let gate = Gate::new(SECRET);
            prop_assert!(gate.check(Some(&header), asked()).is_err());
            let text = hex::encode(&bytes);
            for header in [format!("{text}.{text}.{text}"), format!(r#"{{"iv":"{text}","salt":"{text}","data":"{text}","tag":"{text}"}}"#)] {
                prop_assert!(gate.check(Some(&header), asked()).is_err());
            }
        }
    }
}
