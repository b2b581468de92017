//! Certificates of clients: what they say of their holders, how a load balancer relays them, and lists of those that
//! were taken back.

use std::time::Duration;

use rcgen::{
    CertificateParams, CertificateRevocationListParams, CustomExtension, KeyIdMethod, KeyPair, RevokedCertParams,
    SerialNumber,
};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::tls::{Authority, Certificate};

/// One name in a certificate, as bytes, so that it can also be none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says<'a> {
    /// A DNS name.
    Dns(&'a [u8]),
    /// A URI.
    Uri(&'a [u8]),
}

/// A certificate that was taken back, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Serial(u64);

impl Authority {
    /// A certificate that says this of its holder, for a day.
    pub fn certify(&self, says: &[Says<'_>]) -> Certificate {
        self.certify_for(says, Duration::from_secs(86_400)).0
    }

    /// The same for so long from now, and with the number that it has.
    pub fn certify_for(&self, says: &[Says<'_>], lasts: Duration) -> (Certificate, Serial) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let number =
            u64::from_be_bytes(Sha256::digest(format!("{:?}", std::time::Instant::now()))[..8].try_into().unwrap());
        params.serial_number = Some(SerialNumber::from(number >> 1 | 1));
        params.not_before = OffsetDateTime::now_utc() - Duration::from_secs(60);
        params.not_after = OffsetDateTime::now_utc() + lasts;
        if !says.is_empty() {
            params.custom_extensions.push(alternative_names(says));
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, self.issuer()).unwrap();
        (Certificate::of(certificate, key), Serial(number >> 1 | 1))
    }

    /// The list of what it took back, as PEM, issued a minute ago; the next is due so many seconds from now.
    pub fn revoked(&self, numbers: &[Serial], due: i64) -> String {
        let now = OffsetDateTime::now_utc();
        let revoked = numbers.iter().map(|number| RevokedCertParams {
            serial_number: SerialNumber::from(number.0),
            revocation_time: now - Duration::from_secs(60),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: now - Duration::from_secs(3_600),
            next_update: now + time::Duration::seconds(due),
            crl_number: SerialNumber::from(u64::try_from(now.unix_timestamp()).unwrap()),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(self.issuer()).unwrap().pem().unwrap()
    }
}

impl Certificate {
    /// Its fingerprint, as a boundary has it.
    pub fn fingerprint(&self) -> String {
        let digits: Vec<String> = Sha256::digest(self.der()).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256:{}", digits.concat())
    }

    /// As a load balancer relays it: PEM, escaped as in URLs but for `+`, `=` and `/`.
    pub fn relayed(&self) -> String {
        let keeps = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+=/".contains(&byte);
        self.pem()
            .bytes()
            .map(|byte| if keeps(byte) { (byte as char).to_string() } else { format!("%{byte:02X}") })
            .collect()
    }
}

/// Written by hand (RFC 5280 §4.2.1.6), because no library lets a name be none.
fn alternative_names(says: &[Says<'_>]) -> CustomExtension {
    let mut names = Vec::new();
    for name in says {
        let (tag, bytes) = match name {
            Says::Dns(bytes) => (0x82, *bytes),
            Says::Uri(bytes) => (0x86, *bytes),
        };
        names.push(tag);
        length(&mut names, bytes.len());
        names.extend_from_slice(bytes);
    }
    let mut content = vec![0x30];
    length(&mut content, names.len());
    content.extend(names);
    CustomExtension::from_oid_content(&[2, 5, 29, 17], content)
}

/// The length of a DER value (X.690 §8.1.3).
fn length(out: &mut Vec<u8>, length: usize) {
    match u8::try_from(length) {
        Ok(short @ ..=127) => out.push(short),
        _ => {
            let [.., high, low] = length.to_be_bytes();
            out.extend([0x82, high, low]);
        }
    }
}
