//! What a key of a consumer looks like, and the digest that is kept of it.
//!
//! Both processes agree on it here: the syncer makes keys, the router recognises them. Randomness is an argument. Must
//! never show a key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// What every key begins with, so that people and scanners of secrets know one when they see it.
pub const PREFIX: &str = "pk_";

/// Random bytes that a key is made of: 80 bits tell it from others, 160 are its secret.
pub const RANDOM: usize = ID_BYTES + SECRET_BYTES;

const ID_BYTES: usize = 10;
const SECRET_BYTES: usize = 20;

/// Longest id. Ids come into documents and messages.
pub const ID_MAX: usize = 32;

/// Fewest characters of a secret: letters of both cases and digits hold 5.95 bits each, so 22 hold 130.
const SECRET_MIN: usize = 22;

/// Most: a key is a word and not a document.
const SECRET_MAX: usize = 128;

/// Fewest bytes of a pepper, those of its hash.
pub const PEPPER_MIN: usize = 32;

/// The id of a key, if the text has the form of one: `pk_ID_SECRET`. Nothing is around it, and there is no other spelling.
pub fn id_of(text: &str) -> Option<&str> {
    if text.len() > PREFIX.len() + ID_MAX + 1 + SECRET_MAX {
        return None;
    }
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    let fits = (SECRET_MIN..=SECRET_MAX).contains(&secret.len()) && secret.bytes().all(|b| b.is_ascii_alphanumeric());
    (fits && is_id(id)).then_some(id)
}

/// Whether a text can be the id of a key.
pub fn is_id(text: &str) -> bool {
    (1..=ID_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Makes a key of random bytes.
pub fn of_random(bytes: &[u8; RANDOM]) -> String {
    let (id, secret) = bytes.split_at(ID_BYTES);
    let mut key = String::from(PREFIX);
    write_base32(&mut key, id);
    key.push('_');
    write_base32(&mut key, secret);
    key
}

/// Five bits a letter. Both numbers of bytes are multiples of five, so nothing is left over.
fn write_base32(out: &mut String, bytes: &[u8]) {
    for five in bytes.chunks(5) {
        let bits = five.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        out.extend((0..8).rev().map(|place| char::from(LETTERS[(bits >> (place * 5) & 31) as usize])));
    }
}

/// Crockford's: without i, l, o and u, which people mistake.
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The digest of a key. Public enough for a document, of no use without the pepper.
#[derive(Clone, Copy)]
pub struct Digest([u8; 32]);

impl Digest {
    /// A digest that is nobody's, compared with where there is no other.
    pub const NOBODY: Self = Self([0; 32]);

    /// Reads 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// As it stands in documents.
    pub fn to_hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether they are the same, in a time that does not tell where they differ.
    pub fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// The key of a realm's digests, ready for use. Has no `Debug`.
#[derive(Clone)]
pub struct Pepper(Hmac<Sha256>);

impl Pepper {
    /// Reads base64url, with or without padding.
    ///
    /// # Errors
    /// Why it is of no use, in words that show nothing of it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| "is not base64url")?;
        if bytes.len() < PEPPER_MIN {
            return Err("has fewer than 32 bytes");
        }
        Hmac::new_from_slice(&bytes).map(Self).map_err(|_| "is no key")
    }

    /// The digest of a key.
    pub fn digest(&self, key: &str) -> Digest {
        let mut mac = self.0.clone();
        mac.update(key.as_bytes());
        Digest(mac.finalize().into_bytes().into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn two_keys_have_two_ids_and_two_digests(one: [u8; RANDOM], other: [u8; RANDOM]) {
            prop_assume!(one != other);
            let (one, other) = (of_random(&one), of_random(&other));
            prop_assert_ne!(&one, &other);
            let pepper = Pepper::parse(&URL_SAFE_NO_PAD.encode([7; PEPPER_MIN])).unwrap();
            prop_assert!(pepper.digest(&one).is(&pepper.digest(&one)));
            prop_assert!(!pepper.digest(&one).is(&pepper.digest(&other)));
            let read = Digest::parse(&pepper.digest(&one).to_hex()).unwrap();
            prop_assert!(read.is(&pepper.digest(&one)));
        }

        #[test]
        fn any_text_is_a_key_in_one_reading_or_none(text in "(pk_)?[a-zA-Z0-9_. ]{0,60}") {
            if let Some(id) = id_of(&text) {
                let secret = text.strip_prefix(&format!("pk_{id}_")).unwrap();
                prop_assert!(is_id(id) && secret.len() >= SECRET_MIN && is_id(&secret[..SECRET_MIN]));
                prop_assert_eq!(text.matches('_').count(), 2);
            }
        }
    }

    #[test]
    fn a_key_that_is_made_has_the_form_of_one() {
        for byte in 0..=255 {
            let key = of_random(&[byte; RANDOM]);
            let id = id_of(&key).unwrap();
            assert_eq!((key.len(), id.len()), (3 + 16 + 1 + 32, 16));
            assert!(is_id(id));
        }
        let bytes: [u8; RANDOM] = std::array::from_fn(|index| u8::try_from(index * 8).unwrap());
        assert_eq!(of_random(&bytes), "pk_0041061050r3gg28_a1c60t3gf208h44rm2mb1e60s38dhr78");
    }

    #[test]
    fn what_is_nearly_a_key_is_none() {
        let secret = "a".repeat(22);
        assert_eq!(id_of(&format!("pk_A1_{secret}")), Some("A1"));
        assert_eq!(id_of(&format!("pk_a_{}", "Z".repeat(SECRET_MAX))), Some("a"));
        for text in [
            String::new(),
            "pk_".to_owned(),
            format!("pk__{secret}"),
            format!("PK_a_{secret}"),
            format!(" pk_a_{secret}"),
            format!("pk_a_{secret} "),
            format!("pk_a_{secret}\n"),
            format!("pk_a_{}", &secret[1..]),
            format!("pk_a_b_{secret}"),
            format!("pk_a_{secret}_"),
            format!("pk_a-b_{secret}"),
            format!("pk_a_{secret}="),
            format!("pk_ä_{secret}"),
            format!("pk_a_{}", "a".repeat(SECRET_MAX + 1)),
            format!("pk_{}_{secret}", "a".repeat(ID_MAX + 1)),
            "x".repeat(1 << 20),
        ] {
            assert_eq!(id_of(&text), None, "{text:.60}");
        }
    }

    #[test]
    fn a_digest_is_that_of_other_tools() {
        // printf %s KEY | openssl dgst -sha256 -mac HMAC -macopt hexkey:6b6b…
        let pepper = Pepper::parse(&URL_SAFE_NO_PAD.encode([b'k'; 32])).unwrap();
        let digest = pepper.digest("pk_a_secret");
        assert_eq!(digest.to_hex(), OPENSSL);
        assert!(Digest::parse(OPENSSL).unwrap().is(&digest));
        assert!(!Digest::NOBODY.is(&digest));
        for bad in ["", &OPENSSL[1..], &OPENSSL.replace('a', "g"), &format!("{OPENSSL}0")] {
            assert!(Digest::parse(bad).is_none());
        }
        assert!(Pepper::parse(&URL_SAFE_NO_PAD.encode([0; 31])).is_err());
        assert!(Pepper::parse("not base64url!").is_err());
    }

    const OPENSSL: &str = "3a75d12093bed0ce207ab8c56ca7ffc8fa20e2a15793f58e776ad305861918e1";
}
