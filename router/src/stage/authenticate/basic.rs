//! A realm of users with passwords, compiled, and the question whether a password is right.
//!
//! Answering it takes tens of milliseconds of CPU, so the stage only asks; `passwords` answers.

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use http::header::RETRY_AFTER;
use postern_config::document::{BasicRealm, LockoutPolicy};
use postern_config::value::Period;
use zeroize::Zeroizing;

use super::challenge::{self, Challenges};
use super::stored::StoredHash;
use super::{Flaw, Way};
use crate::lockout::LockoutRule;
use crate::principal::Principal;
use crate::reject::{Reason, Rejection};

/// A list of users with passwords.
pub(crate) struct Realm {
    /// `basic:NAME`.
    via: Arc<str>,
    users: Box<[User]>,
    by_name: HashMap<Arc<str>, usize>,
    challenge: HeaderValue,
    lockout: LockoutRule,
    notes: Vec<String>,
}

struct User {
    stored: StoredHash,
    /// Who it is, once the password was right.
    principal: Principal,
}

impl Realm {
    /// Parses the hashes. A user whose hash is of no use is left out and [noted](Self::notes).
    pub(crate) fn compile(document: &BasicRealm) -> Self {
        let name = &document.name;
        let via: Arc<str> = format!("basic:{name}").into();
        let (mut users, mut by_name, mut notes) = (Vec::new(), HashMap::new(), Vec::new());
        for user in &document.users {
            match StoredHash::compile(&user.hash) {
                Ok(stored) => {
                    let name: Arc<str> = user.name.as_str().into();
                    // Of two with one name the first counts; the document's check refuses them anyway.
                    by_name.entry(Arc::clone(&name)).or_insert(users.len());
                    let scopes = user.scopes.iter().map(|scope| scope.as_str().into()).collect();
                    let principal = Principal::of_user(name, Arc::clone(&via), scopes).with_roles(&user.roles);
                    users.push(User { stored, principal });
                }
                Err(why) => notes.push(format!("user {} is left out: the hash {why}", user.name)),
            }
        }
        Self {
            via,
            users: users.into(),
            by_name,
            challenge: challenge::of_realm(name.as_str()),
            lockout: rule(&document.lockout),
            notes,
        }
    }

    /// What was left out, for the log and for `check`.
    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Whose hash stands in for a user that nobody knows. Users may have hashes of different costs, so it is another one
    /// for each name, and for one name always the same, as it is for those who are known.
    fn stand_in(&self, name: &str) -> Option<usize> {
        static SEED: OnceLock<foldhash::quality::RandomState> = OnceLock::new();
        let lot = SEED.get_or_init(Default::default).hash_one(name);
        usize::try_from(lot.checked_rem(self.users.len() as u64)?).ok()
    }

    /// The `WWW-Authenticate` of this realm.
    pub(super) fn challenge(&self) -> &HeaderValue {
        &self.challenge
    }
}

/// Whether a password is a user's, with all that is needed to answer. Holds a password: has no `Debug`.
pub(crate) struct PasswordQuestion {
    realm: Arc<Realm>,
    /// Whose hash is computed.
    index: usize,
    /// Whether that is the user who was named. If not, the work is done for its time alone.
    known: bool,
    credentials: Credentials,
    challenges: Challenges,
}

/// `user:password`, wiped when dropped.
struct Credentials {
    bytes: Zeroizing<Vec<u8>>,
    colon: usize,
}

impl Credentials {
    fn parse(base64: &str) -> Result<Self, Flaw> {
        let bytes = STANDARD.decode(base64).map(Zeroizing::new).map_err(|_| Flaw::BasicEncoding)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| Flaw::BasicEncoding)?;
        // The first colon ends the name (RFC 7617 §2); control characters are in neither.
        let colon = text.find(':').ok_or(Flaw::BasicEncoding)?;
        if text.chars().any(char::is_control) {
            return Err(Flaw::BasicControl);
        }
        Ok(Self { bytes, colon })
    }

    fn name(&self) -> &[u8] {
        &self.bytes[..self.colon]
    }

    fn password(&self) -> &[u8] {
        &self.bytes[self.colon + 1..]
    }
}

/// Who of the route's realms is asked about: the first that knows the user, or else the first that has any
/// user, of whom one then stands in for the missing one.
pub(super) fn ask(ways: &[Way], base64: &str) -> Result<PasswordQuestion, Flaw> {
    let realms = || {
        ways.iter().filter_map(|way| match way {
            Way::Basic(realm) => Some(realm),
            Way::None | Way::Iam | Way::Jwt(_) | Way::ApiKey(_) | Way::Mtls(_) | Way::External(_) => None,
        })
    };
    if realms().next().is_none() {
        return Err(Flaw::NotAccepted);
    }
    let credentials = Credentials::parse(base64)?;
    let name = std::str::from_utf8(credentials.name()).map_err(|_| Flaw::BasicEncoding)?;
    let known = realms().find_map(|realm| realm.by_name.get(name).map(|index| (realm, *index, true)));
    let stand_in = || realms().find_map(|realm| Some((realm, realm.stand_in(name)?, false)));
    let (realm, index, known) = known.or_else(stand_in).ok_or(Flaw::UnknownUser)?;
    let challenges = challenge::plain_challenges(ways);
    Ok(PasswordQuestion { realm: Arc::clone(realm), index, known, credentials, challenges })
}

impl PasswordQuestion {
    /// Computes the hash and compares. Tens of milliseconds: for the pool alone.
    pub(crate) fn holds(&self) -> bool {
        // In this order: an unknown user costs as much as a known one.
        let same = self.user().stored.is_of(self.credentials.password());
        same && self.known
    }

    /// What tells this question from every other. Holds the password: only ever goes into a keyed digest.
    ///
    /// The stored hash is in it, so an answer dies with a change of the hash; the name as it was sent is in it,
    /// so that questions about two unknown users never look like one.
    pub(crate) fn parts(&self) -> [&[u8]; 4] {
        [self.realm.via.as_bytes(), self.credentials.name(), self.user().stored.as_bytes(), self.credentials.password()]
    }

    /// The realm and the name, as it was sent: of whom wrong passwords are counted.
    pub(crate) fn named(&self) -> [&[u8]; 2] {
        [self.realm.via.as_bytes(), self.credentials.name()]
    }

    /// When whoever asks is told to wait.
    pub(crate) fn lockout(&self) -> LockoutRule {
        self.realm.lockout
    }

    /// Who it is, when the password was right.
    pub(crate) fn principal(&self) -> Principal {
        self.user().principal.clone()
    }

    /// The refusal, when it was wrong.
    pub(crate) fn refusal(&self) -> Rejection {
        let flaw = if self.known { Flaw::WrongPassword } else { Flaw::UnknownUser };
        challenge::refuse_password(&self.challenges, flaw)
    }

    /// The refusal, when there were too many wrong ones before.
    pub(crate) fn wait(left: Duration) -> Rejection {
        // Rounded up: who comes back in time is not told to wait again.
        let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        Rejection::new(Reason::TooManyFailures, "too many wrong passwords for this name from this network")
            .header(RETRY_AFTER, HeaderValue::from(seconds))
    }

    fn user(&self) -> &User {
        &self.realm.users[self.index]
    }
}

fn rule(document: &LockoutPolicy) -> LockoutRule {
    let or_usual = |period: Option<Period>| period.map_or(LOCKOUT_USUAL, Period::duration);
    LockoutRule {
        failures: document.failures.unwrap_or(LOCKOUT_FAILURES),
        within: or_usual(document.within),
        lasts: or_usual(document.lasts),
        mode: document.mode,
    }
}

/// Nobody mistypes a password as often, and who guesses gets through 2 880 a day.
const LOCKOUT_FAILURES: u32 = 10;
const LOCKOUT_USUAL: Duration = Duration::from_secs(300);
