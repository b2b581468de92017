//! Sound tokens that were changed on the way: other spellings of the same bytes, altered and truncated signatures, other
//! numbers of parts.

use super::Cases;
use super::forge::{Forge, HEADER, claims, decode, encode, signed};

/// The order of P-256's group.
const P256_ORDER: &str = "_____wAAAAD__________7zm-q2nF56E87nKwvxjJVE";
/// The order of Ed25519's group, the lowest byte first.
const ED_ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

pub(super) fn table(forge: &Forge, cases: &mut Cases) {
    spellings(forge, cases);
    parts(forge, cases);
    signatures(forge, cases);
    elliptic(forge, cases);
    edwards(forge, cases);
    at_random(forge, cases);
}

/// One token has one spelling.
fn spellings(forge: &Forge, cases: &mut Cases) {
    let token = forge.sound("ES256");
    let [header, payload, signature] = split(&token);
    for padding in ["=", "==", "==="] {
        cases.refused("padding behind the header", format!("{header}{padding}.{payload}.{signature}"));
        cases.refused("padding behind the claims", format!("{header}.{payload}{padding}.{signature}"));
        cases.refused("padding behind the signature", format!("{token}{padding}"));
    }
    for (at, _) in token.char_indices().step_by(37) {
        for blank in [" ", "\t", "%20", "+", "/", "~", "=", "."] {
            cases.refused(format!("{blank:?} put in at {at}"), format!("{}{blank}{}", &token[..at], &token[at..]));
        }
    }
    for (name, changed) in [
        ("a blank behind", format!("{token} x")),
        ("a comma and the same again", format!("{token},{token}")),
        ("in quotes", format!("\"{token}\"")),
        ("the scheme twice", format!("Bearer {token}")),
        ("upper case", token.to_uppercase()),
        ("backwards", token.chars().rev().collect()),
        ("escaped", token.replace('.', "%2E")),
        ("another dot", token.replace('.', "\u{ff0e}")),
    ] {
        cases.refused(name, changed);
    }
    // The bits behind the last byte are nobody's: with them set the bytes are the same, the text is not.
    for last in "BCDEFGHIJKLMNOPQRSTUVWXYZ".chars() {
        let changed = format!("{}{last}", &token[..token.len() - 1]);
        if changed != token {
            cases.refused(format!("{last} at the end of the signature"), changed);
        }
    }
}

fn parts(forge: &Forge, cases: &mut Cases) {
    let token = forge.sound("ES256");
    let [header, payload, signature] = split(&token);
    for changed in [
        header.to_owned(),
        payload.to_owned(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        "....".to_owned(),
        "a".to_owned(),
        format!("{header}."),
        format!("{header}.."),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!(".{payload}.{signature}"),
        format!("{header}..{signature}"),
        format!("..{signature}"),
        format!(".{token}"),
        format!("{token}."),
        format!("{token}.."),
        format!("{token}.{signature}"),
        format!("{token}.{payload}.{signature}"),
        format!("{payload}.{header}.{signature}"),
        format!("{header}.{header}.{signature}"),
        format!("{signature}.{payload}.{header}"),
        format!("{header}.{payload}.{signature}.AAAA.AAAA"),
        "a.b.c".to_owned(),
        "null.null.null".to_owned(),
        "e30.e30.e30".to_owned(),
        "A".repeat(16 * 1024),
        "A".repeat(16 * 1024 + 1),
        ".".repeat(1_000),
        format!("{token}{}", "A".repeat(17_000)),
    ] {
        cases.refused(format!("{} parts: {:.40}", changed.split('.').count(), changed), changed);
    }
}

fn signatures(forge: &Forge, cases: &mut Cases) {
    for algorithm in ["RS256", "PS256", "ES256", "ES384", "EdDSA", "HS256"] {
        let token = forge.sound(algorithm);
        let [header, payload, signature] = split(&token);
        let bytes = decode(signature);
        let with = |bytes: &[u8]| format!("{header}.{payload}.{}", encode(bytes));
        for at in (0..bytes.len()).step_by(4) {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at / 4 % 8);
            cases.refused(format!("{algorithm}: a bit of byte {at}"), with(&changed));
        }
        for length in [1, 2, bytes.len() / 2, bytes.len() - 1] {
            cases.refused(format!("{algorithm}: the first {length} bytes"), with(&bytes[..length]));
        }
        cases.refused(format!("{algorithm}: a byte more"), with(&[&bytes[..], &[0]].concat()));
        cases.refused(format!("{algorithm}: a zero in front"), with(&[&[0], &bytes[..]].concat()));
        cases.refused(format!("{algorithm}: zeros"), with(&vec![0; bytes.len()]));
        cases.refused(format!("{algorithm}: ones"), with(&vec![0xff; bytes.len()]));
        cases.refused(format!("{algorithm}: twice"), with(&[&bytes[..], &bytes[..]].concat()));
    }
}

/// ECDSA: only two numbers of fixed length within the group (RFC 7518 §3.4; CVE-2022-21449 took zeros).
fn elliptic(forge: &Forge, cases: &mut Cases) {
    let token = forge.sound("ES256");
    let [header, payload, signature] = split(&token);
    let bytes = decode(signature);
    let (r, s) = bytes.split_at(32);
    let with = |bytes: &[u8]| format!("{header}.{payload}.{}", encode(bytes));
    let message = format!("{header}.{payload}");
    cases.refused("ES256: a signature in DER", with(&forge.p256.sign_der("ES256", message.as_bytes())));
    let (zero, order, mut one) = ([0_u8; 32], decode(P256_ORDER), [0_u8; 32]);
    one[31] = 1;
    for (name, first, second) in [
        ("(0, 0)", &zero[..], &zero[..]),
        ("(0, s)", &zero, s),
        ("(r, 0)", r, &zero),
        ("(n, n)", &order, &order),
        ("(n, s)", &order, s),
        ("(r, n)", r, &order),
        ("(1, 1)", &one, &one),
        ("(1, s)", &one, s),
        ("(r, 1)", r, &one),
        ("(s, r)", s, r),
        ("(r, r)", r, r),
    ] {
        cases.refused(format!("ES256: {name}"), with(&[first, second].concat()));
    }
    // The other root is as sound by RFC 7518, which asks for no lower half: the claims are the same.
    cases.passes("ES256: (r, n - s)", with(&[r, &minus(&order, s)].concat()));
    cases.refused("ES256 by a key on P-384", signed(HEADER, &claims().to_string(), |m| forge.p384.sign("ES384", m)));
    let other = r#"{"alg":"ES384","kid":"p384"}"#;
    cases.refused("ES384 by a key on P-256", signed(other, &claims().to_string(), |m| forge.p256.sign("ES256", m)));
}

/// `a - b` of two numbers, the highest byte first; `a` is the larger.
fn minus(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut result = vec![0; a.len()];
    let mut borrow = 0_i16;
    for at in (0..a.len()).rev() {
        let value = i16::from(a[at]) - i16::from(b[at]) - borrow;
        borrow = i16::from(value < 0);
        result[at] = u8::try_from(value.rem_euclid(256)).unwrap();
    }
    result
}

/// Ed25519: the second number is below the group's order (RFC 8032 §5.1.7), or one signature would have many forms.
fn edwards(forge: &Forge, cases: &mut Cases) {
    let token = forge.sound("EdDSA");
    let [header, payload, signature] = split(&token);
    let bytes = decode(signature);
    let mut changed = bytes.clone();
    let mut carry = 0_u16;
    for (byte, add) in changed[32..].iter_mut().zip(ED_ORDER) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = u8::try_from(sum & 0xff).unwrap();
        carry = sum >> 8;
    }
    cases.refused("EdDSA: the second number plus the order", format!("{header}.{payload}.{}", encode(&changed)));
    let swapped = [&bytes[32..], &bytes[..32]].concat();
    cases.refused("EdDSA: halves swapped", format!("{header}.{payload}.{}", encode(&swapped)));
}

/// One letter changed somewhere: the same places in every run.
fn at_random(forge: &Forge, cases: &mut Cases) {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut below = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % bound as u64).unwrap()
    };
    for algorithm in ["RS256", "ES256", "EdDSA", "HS512"] {
        let token = forge.sound(algorithm);
        for _ in 0..60 {
            let mut bytes = token.clone().into_bytes();
            let at = below(bytes.len());
            bytes[at] = LETTERS[below(LETTERS.len())];
            let changed = String::from_utf8(bytes).unwrap();
            if changed != token {
                cases.refused(format!("{algorithm}: a letter at {at}"), changed);
            }
        }
    }
}

fn split(token: &str) -> [&str; 3] {
    token.split('.').collect::<Vec<_>>().try_into().unwrap()
}
