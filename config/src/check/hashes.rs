//! Hashes of passwords: whether a text has the form of one, at a bearable cost.
//!
//! Says nothing about strength, and must never show what is in one: a hash is half a secret.

/// Whether a text has the form of a hash that can be verified.
pub(super) fn check(text: &str) -> Result<(), &'static str> {
    if text.starts_with("$argon2id$") {
        return check_argon2id(text);
    }
    if text.starts_with("$5$") || text.starts_with("$6$") {
        return check_sha_crypt(text);
    }
    let parts: Vec<&str> = text.split('$').collect();
    let ["", "2a" | "2b" | "2y", cost, rest] = parts.as_slice() else {
        return Err("is no hash of argon2id, bcrypt or sha-crypt");
    };
    let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/');
    if cost.len() != 2 || rest.len() != 53 || !rest.bytes().all(alphabet) {
        return Err("is a bcrypt hash that is cut or damaged: one has 60 characters");
    }
    match cost.parse::<u32>() {
        Ok(4..=16) => Ok(()),
        _ => Err("is a bcrypt hash with a cost below 4 or above 16"),
    }
}

/// The PHC form: `$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH`.
fn check_argon2id(text: &str) -> Result<(), &'static str> {
    let parts: Vec<&str> = text.split('$').collect();
    let ["", "argon2id", "v=19", costs, salt, hash] = parts.as_slice() else {
        return Err("is an argon2id hash that is cut or damaged, or not of version 19");
    };
    let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    // Base64 without padding: 8 bytes of salt and 16 of hash are the least (RFC 9106 §3.1, §4).
    if salt.len() < 11 || hash.len() < 22 || !salt.bytes().chain(hash.bytes()).all(alphabet) {
        return Err("is an argon2id hash with a salt or a hash that is cut or damaged");
    }
    let cost = |name: &str| {
        let text = costs.split(',').find_map(|cost| cost.strip_prefix(name)?.strip_prefix('='))?;
        text.parse::<u32>().ok()
    };
    match (cost("m"), cost("t"), cost("p")) {
        (Some(8..=262_144), Some(1..=16), Some(1..=16)) => Ok(()),
        (Some(_), Some(_), Some(_)) => {
            Err("is an argon2id hash that takes more than 256 MiB, 16 passes or 16 lanes, or less than 8 KiB")
        }
        _ => Err("is an argon2id hash without its m, t and p"),
    }
}

/// `$6$SALT$HASH` or `$6$rounds=100000$SALT$HASH`; `$5$` with a shorter hash.
fn check_sha_crypt(text: &str) -> Result<(), &'static str> {
    let parts: Vec<&str> = text.split('$').collect();
    let (kind, rounds, salt, hash) = match parts.as_slice() {
        ["", kind, salt, hash] => (*kind, None, *salt, *hash),
        ["", kind, rounds, salt, hash] => (*kind, Some(*rounds), *salt, *hash),
        _ => return Err(SHA_CRYPT_DAMAGED),
    };
    let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/');
    let length = if kind == "5" { 43 } else { 86 };
    if !(1..=16).contains(&salt.len()) || hash.len() != length || !salt.bytes().chain(hash.bytes()).all(alphabet) {
        return Err(SHA_CRYPT_DAMAGED);
    }
    let Some(rounds) = rounds else { return Ok(()) };
    let digits =
        rounds.strip_prefix("rounds=").filter(|digits| !digits.starts_with(['0', '+'])).ok_or(SHA_CRYPT_DAMAGED)?;
    match digits.parse::<u32>() {
        Ok(1_000..=1_000_000) => Ok(()),
        _ => Err("is a sha-crypt hash with fewer than 1 000 or more than 1 000 000 rounds"),
    }
}

const SHA_CRYPT_DAMAGED: &str = "is a sha-crypt hash that is cut or damaged";

#[cfg(test)]
mod tests {
    use super::*;

    const BCRYPT: &str = "$2y$10$abcdefghijklmnopqrstuuN8sVZQZ1xUq9Qn6z8e1m4vC5Yw3kz2S";
    const SHA256: &str = "$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA";
    const SHA512: &str =
        "$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1";
    const ARGON2ID: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$MTIzNDU2Nzg5MDEyMzQ1Ng";

    #[test]
    fn what_a_tool_prints_is_taken_and_a_slip_is_not() {
        let rounds = |rounds: &str| SHA512.replace("$6$", &format!("$6${rounds}$"));
        let [least, most] = ["rounds=1000", "rounds=1000000"].map(rounds);
        for text in [BCRYPT, &BCRYPT.replace("2y", "2b"), ARGON2ID, SHA256, SHA512, &least, &most] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        for text in [
            "",
            "hunter2",
            "$1$abc$def",
            &BCRYPT[..59],
            &format!("{BCRYPT}x"),
            &BCRYPT.replace("$10$", "$31$"),
            &BCRYPT.replace("$10$", "$3$"),
            &BCRYPT.replace("abc", "a c"),
            &format!("alice:{BCRYPT}"),
            &ARGON2ID.replace("argon2id", "argon2i"),
            &ARGON2ID.replace("v=19$", ""),
            &ARGON2ID.replace("m=19456", "m=4194304"),
            &ARGON2ID.replace("t=2", "t=1000"),
            &ARGON2ID.replace(",p=1", ""),
            &ARGON2ID[..40],
            &ARGON2ID.replace("MTIz", "MT z"),
            &rounds("rounds=999"),
            &rounds("rounds=1000001"),
            &rounds("rounds=01000"),
            &rounds("rounds=99999999999999"),
            &rounds("rounds="),
            &rounds("salt"),
            &SHA512[..97],
            &SHA512.replace("$6$", "$5$"),
            &SHA256.replace("$5$", "$6$"),
            &SHA256.replace("saltsalt", ""),
            &SHA256.replace("saltsalt", "saltsaltsaltsalts"),
            &SHA256.replace("saltsalt", "salt salt"),
        ] {
            assert!(check(text).is_err(), "{text}");
        }
    }
}
