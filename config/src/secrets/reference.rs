//! Where a secret stands, written in the boundary in the secret's place.
//!
//! A reference says nothing of the secret and may be shown. Secrets are base64url, in which there is no `:`, so a text is
//! never both. Must never read what it names.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::problem::{Problem, ProblemKind, did_you_mean, shown};

/// What a reference begins with, and what follows.
const FORMS: [(&str, &str); 4] = [
    ("env", "env:NAME, a variable of the syncer's environment"),
    ("file", "file:/PATH, an absolute path on the syncer's disk"),
    ("secretsmanager", "secretsmanager:NAME or secretsmanager:ARN, with #KEY behind it for a member of a JSON object"),
    ("ssm", "ssm:/NAME, a parameter of type SecureString"),
];

/// Where a secret stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// A variable of the syncer's environment.
    Environment(String),
    /// A file on the syncer's disk, by its absolute path.
    File(String),
    /// A secret in AWS Secrets Manager.
    SecretsManager {
        /// Its name or ARN.
        id: String,
        /// The member of the JSON object in it, when it is not the whole text.
        key: Option<String>,
    },
    /// A parameter in the AWS Systems Manager Parameter Store.
    Parameter(String),
}

impl Reference {
    /// Reads a text; `None` when it is no reference at all.
    ///
    /// # Errors
    /// The problem of one that names nothing, without a place.
    pub fn read(text: &str) -> Option<Result<Self, Problem>> {
        let (scheme, rest) = text.split_once(':')?;
        let (_, form) = FORMS.iter().find(|(known, _)| *known == scheme)?;
        let read = match scheme {
            "env" => is_variable(rest).then(|| Self::Environment(rest.to_owned())),
            "file" => is_path(rest).then(|| Self::File(rest.to_owned())),
            "ssm" => is_parameter(rest).then(|| Self::Parameter(rest.to_owned())),
            _ => secrets_manager(rest),
        };
        Some(read.ok_or_else(|| {
            let message = format!("{} is a reference that names nothing", shown(text));
            Problem::new("", ProblemKind::Invalid, message).hint(format!("write {form}"))
        }))
    }

    /// What to say of a text that is neither base64url nor a reference, when it looks like a slip of one. Nothing of what
    /// may be a secret is in it.
    pub fn hint_for(text: &str) -> Option<String> {
        let (scheme, _) = text.split_once(':')?;
        let near = did_you_mean(scheme, FORMS.iter().map(|(known, _)| *known));
        Some(near.unwrap_or_else(|| {
            let known: Vec<&str> = FORMS.iter().map(|(known, _)| *known).collect();
            format!("a reference begins with one of {}, and a colon", known.join(", "))
        }))
    }

    /// Tells it from others in the name of a secret.
    pub(super) fn mark(&self) -> String {
        let digest = Sha256::digest(self.to_string().as_bytes());
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{path}"),
            Self::SecretsManager { id, key: None } => write!(f, "secretsmanager:{id}"),
            Self::SecretsManager { id, key: Some(key) } => write!(f, "secretsmanager:{id}#{key}"),
            Self::Parameter(name) => write!(f, "ssm:{name}"),
        }
    }
}

/// POSIX.1-2017 §8.1.
fn is_variable(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=256).contains(&text.len()) && text.bytes().all(word) && !text.starts_with(|c: char| c.is_ascii_digit())
}

/// A relative path would depend on where the syncer was started.
fn is_path(text: &str) -> bool {
    (2..=4096).contains(&text.len()) && text.starts_with('/') && !text.chars().any(char::is_control)
}

/// `PutParameter`: letters, digits and `_ . - /`, at most 1 011 characters. A selector of a version (`:3`) would keep a
/// rotation from being seen.
fn is_parameter(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/".contains(&byte);
    (2..=1011).contains(&text.len()) && text.starts_with('/') && text.bytes().all(fits)
}

/// `CreateSecret`: letters, digits and `/ _ + = . @ -`, at most 512; so `#` can only be ours.
fn secrets_manager(text: &str) -> Option<Reference> {
    let (id, key) = match text.split_once('#') {
        Some((id, key)) => (id, Some(key)),
        None => (text, None),
    };
    let name = match id.strip_prefix("arn:") {
        Some(arn) => {
            let parts: Vec<&str> = arn.splitn(6, ':').collect();
            let &[_, "secretsmanager", region, account, "secret", name] = parts.as_slice() else { return None };
            (!region.is_empty() && account.bytes().all(|byte| byte.is_ascii_digit())).then_some(name)?
        }
        None => id,
    };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"/_+=.@-".contains(&byte);
    let is_name = (1..=519).contains(&name.len()) && name.bytes().all(fits);
    let is_key = key.is_none_or(|key| (1..=256).contains(&key.len()) && !key.chars().any(char::is_control));
    (is_name && is_key).then(|| Reference::SecretsManager { id: id.to_owned(), key: key.map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "secretsmanager:arn:aws:secretsmanager:eu-west-1:111122223333:secret:postern/hs-AbCdEf";

    #[test]
    fn a_reference_reads_as_it_is_written() {
        for text in [
            "env:CORP_KEY",
            "env:_1",
            "file:/run/secrets/corp key",
            "ssm:/postern/corp.v1-a_b",
            "secretsmanager:postern/corp",
            "secretsmanager:postern/corp#hs 256",
            ARN,
            &format!("{ARN}#k#2"),
        ] {
            assert_eq!(Reference::read(text).unwrap().unwrap().to_string(), text);
            assert!(Reference::read(text).unwrap().unwrap().mark().len() == 16);
        }
    }

    #[test]
    fn one_that_names_nothing_is_a_problem_with_a_remedy() {
        for text in [
            "env:",
            "env:1A",
            "env:A-B",
            "env:A B",
            "file:",
            "file:relative",
            "file:/",
            "file:/a\nb",
            "ssm:name",
            "ssm:/",
            "ssm:/a:3",
            "ssm:/a b",
            "secretsmanager:",
            "secretsmanager:#a",
            "secretsmanager:a#",
            "secretsmanager:a b",
            "secretsmanager:arn:aws:ssm:eu-west-1:1:parameter/a",
            "secretsmanager:arn:aws:secretsmanager:eu-west-1:1:secret:",
            "secretsmanager:arn:aws:secretsmanager::1:secret:a",
        ] {
            let problem = Reference::read(text).unwrap().unwrap_err();
            assert!(problem.hint.unwrap().starts_with("write "), "{text:?}");
            assert!(!problem.message.contains('\n'));
        }
        assert!(Reference::read(&format!("ssm:/{}", "a".repeat(1010))).unwrap().is_ok());
        assert!(Reference::read(&format!("ssm:/{}", "a".repeat(1011))).unwrap().is_err());
    }

    #[test]
    fn another_text_is_none_and_a_slip_has_a_remedy_that_shows_nothing_of_it() {
        for text in ["c2VjcmV0", "", "env", "Env:A", "vault:c2VjcmV0", "secret:jwt/corp/0"] {
            assert!(Reference::read(text).is_none(), "{text}");
        }
        assert_eq!(Reference::hint_for("secretmanager:x").unwrap(), "did you mean \"secretsmanager\"?");
        assert!(!Reference::hint_for("c2VjcmV0:c2VjcmV0").unwrap().contains("c2V"));
        assert_eq!(Reference::hint_for("c2VjcmV0"), None);
    }
}
