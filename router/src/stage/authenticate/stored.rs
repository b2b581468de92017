//! A stored hash of a password, parsed and bounded: what it costs to check is decided when it is compiled.

use std::str::FromStr as _;

use argon2::password_hash::PasswordVerifier as _;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params};
use sha_crypt::ShaCrypt;

/// A stored hash. Half a secret: never shown.
pub(crate) struct StoredHash {
    text: Box<str>,
    form: Form,
}

enum Form {
    Argon2id(Box<PasswordHash>),
    Bcrypt,
    ShaCrypt,
}

impl StoredHash {
    /// Reads one, and refuses what would take too long or be too weak.
    ///
    /// # Errors
    /// Why it is of no use, in words that show nothing of it.
    pub(super) fn compile(text: &str) -> Result<Self, &'static str> {
        let form = if text.starts_with("$argon2id$") {
            Form::Argon2id(Box::new(argon2id(text)?))
        } else if ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| text.starts_with(prefix)) {
            bcrypt(text)?;
            Form::Bcrypt
        } else if text.starts_with("$5$") || text.starts_with("$6$") {
            sha_crypt(text)?;
            Form::ShaCrypt
        } else {
            return Err("is no hash of argon2id, bcrypt or sha-crypt");
        };
        Ok(Self { text: text.into(), form })
    }

    /// Whether it is the hash of `password`. Takes tens of milliseconds, and says no when anything fails.
    pub(super) fn is_of(&self, password: &[u8]) -> bool {
        match &self.form {
            Form::Argon2id(hash) => Argon2::default().verify_password(password, &**hash).is_ok(),
            Form::Bcrypt => {
                let same = bcrypt::verify(password, &self.text).unwrap_or(false);
                // bcrypt looks at 72 bytes alone, so anything could follow them. Said after the work is done:
                // the answer takes as long as any other.
                same && password.len() <= BCRYPT_BYTES
            }
            Form::ShaCrypt => {
                // Each round reads the whole password: who sends a long one would choose what a check costs.
                let looked_at = &password[..password.len().min(SHA_CRYPT_BYTES)];
                let same = ShaCrypt::default().verify_password(looked_at, &*self.text).is_ok();
                same && password.len() <= SHA_CRYPT_BYTES
            }
        }
    }

    /// Tells hashes apart in the cache of answers.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

fn argon2id(text: &str) -> Result<PasswordHash, &'static str> {
    let hash = PasswordHash::new(text).map_err(|_| "is not a hash in PHC form")?;
    if hash.algorithm.as_str() != Algorithm::Argon2id.as_str() {
        return Err("is no hash of argon2id, bcrypt or sha-crypt");
    }
    // A missing version means the first one, which nobody should use any more.
    if hash.version != Some(0x13) {
        return Err("is not of argon2 version 19");
    }
    let params = Params::try_from(&hash).map_err(|_| "has parameters that argon2 does not take")?;
    if params.m_cost() > ARGON2_KIB_MAX || params.t_cost() > ARGON2_PASSES_MAX || params.p_cost() > ARGON2_LANES_MAX {
        return Err("would take more than 256 MiB, 16 passes or 16 lanes");
    }
    let salted = hash.salt.as_ref().is_some_and(|salt| salt.len() >= 8);
    let long = hash.hash.as_ref().is_some_and(|output| output.len() >= 16);
    if salted && long { Ok(hash) } else { Err("has too short a salt or hash") }
}

fn bcrypt(text: &str) -> Result<(), &'static str> {
    let parts = bcrypt::HashParts::from_str(text).map_err(|_| "is not a bcrypt hash")?;
    if !(4..=BCRYPT_COST_MAX).contains(&parts.get_cost()) {
        return Err("has a cost below 4 or above 16");
    }
    Ok(())
}

/// The rounds and the lengths; what the library finds besides it finds with each check.
fn sha_crypt(text: &str) -> Result<(), &'static str> {
    let parts: Vec<&str> = text.split('$').skip(2).collect();
    let (rounds, salt, hash) = match parts.as_slice() {
        [salt, hash] => (SHA_CRYPT_ROUNDS_USUAL, *salt, *hash),
        [rounds, salt, hash] => {
            let rounds = rounds.strip_prefix("rounds=").and_then(|rounds| rounds.parse().ok());
            (rounds.ok_or("is not a sha-crypt hash")?, *salt, *hash)
        }
        _ => return Err("is not a sha-crypt hash"),
    };
    if !(SHA_CRYPT_ROUNDS_MIN..=SHA_CRYPT_ROUNDS_MAX).contains(&rounds) {
        return Err("has fewer than 1 000 or more than 1 000 000 rounds");
    }
    let length = if text.starts_with("$5$") { 43 } else { 86 };
    let fits = (1..=16).contains(&salt.len()) && hash.len() == length;
    if fits { Ok(()) } else { Err("has a salt or a hash of a wrong length") }
}

// What one check may cost: with two threads, half a gigabyte and some seconds at the very most.
const ARGON2_KIB_MAX: u32 = 256 * 1024;
const ARGON2_PASSES_MAX: u32 = 16;
const ARGON2_LANES_MAX: u32 = 16;
const BCRYPT_COST_MAX: u32 = 16;

/// What bcrypt sees of a password.
const BCRYPT_BYTES: usize = 72;

/// Where nothing is said (crypt(5)).
const SHA_CRYPT_ROUNDS_USUAL: u32 = 5_000;
const SHA_CRYPT_ROUNDS_MIN: u32 = 1_000;
/// Half a second.
const SHA_CRYPT_ROUNDS_MAX: u32 = 1_000_000;

/// The longest password that is taken for a hash of sha-crypt.
const SHA_CRYPT_BYTES: usize = 128;
