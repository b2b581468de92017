//! Whom the router believes, against real handshakes.

use std::fs;
use std::path::PathBuf;

use postern_config::document::{ClientCertificate, Roots};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{HandshakeKind, RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::snapshot::Speaks;
use crate::snapshot::TlsPlan;
use crate::upstream::tls::{ClientConfigs, Verify, client_config};

const API: &str = "a1b2.execute-api.eu-west-1.amazonaws.com";
const REGION: &str = "*.execute-api.eu-west-1.amazonaws.com";
const PRIVATE_ZONE: &str = "orders.apis.internal";

/// A certificate authority in a file.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

type Identity = (CertificateDer<'static>, KeyPair);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let directory = TempDir::new().unwrap();
        fs::write(directory.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, directory }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    fn roots(&self) -> Roots {
        Roots::PemFile(self.path("ca.pem").to_str().unwrap().to_owned())
    }

    fn identity(&self, names: &[&str], adjust: impl FnOnce(&mut CertificateParams)) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = params(names);
        adjust(&mut params);
        (params.signed_by(&key, &self.issuer).unwrap().into(), key)
    }

    fn client_certificate(&self) -> ClientCertificate {
        let key = KeyPair::generate().unwrap();
        let mut params = params(&["postern.internal"]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.path("client.pem"), certificate.pem()).unwrap();
        fs::write(self.path("client.key"), key.serialize_pem()).unwrap();
        let text = |file| self.path(file).to_str().unwrap().to_owned();
        ClientCertificate { certificate_file: text("client.pem"), key_file: text("client.key") }
    }
}

fn params(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).unwrap()
}

fn self_signed(names: &[&str], is_ca: IsCa) -> Identity {
    let key = KeyPair::generate().unwrap();
    let mut params = params(names);
    params.is_ca = is_ca;
    (params.self_signed(&key).unwrap().into(), key)
}

/// What a TLS destination saw.
#[derive(Default)]
struct Seen {
    asked: RefCell<Vec<String>>,
    resumed: Cell<usize>,
    requests: Cell<usize>,
}

fn server_config((certificate, key): Identity) -> ServerConfig {
    ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap()
}

async fn serve(config: ServerConfig) -> (Server, Rc<Seen>) {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let seen = Rc::new(Seen::default());
    let note = Rc::clone(&seen);
    let server = Server::start(move |stream, _| {
        let (acceptor, seen) = (acceptor.clone(), Rc::clone(&note));
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let connection = stream.get_ref().1;
            seen.asked.borrow_mut().push(connection.server_name().unwrap().to_owned());
            let resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
            seen.resumed.set(seen.resumed.get() + usize::from(resumed));
            if read_head(&mut stream).await.is_some() {
                seen.requests.set(seen.requests.get() + 1);
                let answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
                stream.write_all(answer).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        }
    })
    .await;
    (server, seen)
}

fn plan(asked: &str, config: Arc<rustls::ClientConfig>) -> TlsPlan {
    TlsPlan { server_name: ServerName::try_from(asked.to_owned()).unwrap(), http1: Arc::clone(&config), config }
}

fn destination(server: &Server, asked: &str, config: &Arc<rustls::ClientConfig>) -> Arc<Destination> {
    let plan = plan(asked, Arc::clone(config));
    Destination::for_test(("localhost", server.port), asked, Some(plan), &["127.0.0.0/8"], true)
}

/// What becomes of a request to a destination with this identity, which is asked for by `asked`.
async fn meet(authority: &Authority, identity: Identity, asked: &str, verify: Verify) -> Result<String, Rejection> {
    let (server, seen) = serve(server_config(identity)).await;
    let config = client_config(&authority.roots(), verify, None, Speaks::Http1).unwrap();
    let destination = destination(&server, asked, &config);
    let head = head(Method::POST, "/", &destination);
    let mut phases = Phases::default();
    let answer = upstreams()
        .forward(&destination, timeouts(), head, Script::bytes(b"secret").metered(), &mut phases, Instant::now())
        .await;
    match answer {
        Ok(answer) => {
            assert!(phases.tls.is_some());
            assert_eq!(*seen.asked.borrow(), [asked]);
            let text = collect(answer.content).await.unwrap();
            Ok(String::from_utf8(text).unwrap())
        }
        Err(rejection) => {
            assert_eq!(seen.requests.get(), 0, "nothing of the request was sent");
            Err(rejection)
        }
    }
}

fn fixed(pattern: &str) -> Verify {
    Verify::Fixed(pattern.parse().unwrap())
}

#[test]
fn a_certificate_for_the_name_is_accepted() {
    for (names, asked, verify) in [
        (&[PRIVATE_ZONE][..], PRIVATE_ZONE, Verify::ServerName),
        // The recipe for API Gateway: dialled by a private name, asked for by the API's own.
        (&[REGION], API, Verify::ServerName),
        // The other way: asked for by the private name, which API Gateway answers with its wildcard all the same.
        (&[REGION], PRIVATE_ZONE, fixed(REGION)),
        (&["other.test", REGION], PRIVATE_ZONE, fixed(REGION)),
        (&[API], PRIVATE_ZONE, fixed(API)),
        (&[REGION], PRIVATE_ZONE, fixed(API)),
    ] {
        local(async move {
            let authority = Authority::new();
            let identity = authority.identity(names, |_| {});
            assert_eq!(meet(&authority, identity, asked, verify).await.unwrap(), "ok", "{names:?} {asked}");
        });
    }
}

#[test]
fn a_certificate_for_another_name_is_not() {
    for (names, asked, verify) in [
        (&["other.internal"][..], PRIVATE_ZONE, Verify::ServerName),
        // A private-zone name never matches what API Gateway shows.
        (&[REGION], PRIVATE_ZONE, Verify::ServerName),
        (&["*.execute-api.us-east-1.amazonaws.com"], API, Verify::ServerName),
        (&["*.execute-api.us-east-1.amazonaws.com"], PRIVATE_ZONE, fixed(REGION)),
        // A wildcard stands for one label, neither for none nor for two.
        (&[REGION], "vpce-1.a1b2.execute-api.eu-west-1.amazonaws.com", Verify::ServerName),
        (&[REGION], "execute-api.eu-west-1.amazonaws.com", Verify::ServerName),
        (&["*.amazonaws.com"], API, Verify::ServerName),
        (&["*.eu-west-1.amazonaws.com"], PRIVATE_ZONE, fixed(REGION)),
        // One API's certificate is not the region's.
        (&[API], PRIVATE_ZONE, fixed(REGION)),
        // The name asked for counts for nothing when another is demanded.
        (&[PRIVATE_ZONE], PRIVATE_ZONE, fixed(REGION)),
        (&[PRIVATE_ZONE], PRIVATE_ZONE, fixed(API)),
    ] {
        local(async move {
            let authority = Authority::new();
            let identity = authority.identity(names, |_| {});
            let rejection = meet(&authority, identity, asked, verify).await.unwrap_err();
            assert_eq!(rejection.reason, Reason::TlsNameMismatch, "{names:?} {asked}");
            assert!(rejection.detail.contains(names[0]), "says what was presented: {}", rejection.detail);
        });
    }
}

#[test]
fn what_else_is_wrong_with_a_certificate_has_a_reason() {
    type Make = fn(&Authority) -> Identity;
    let cases: [(&str, Make, Reason); 8] = [
        (
            "expired",
            |authority| authority.identity(&[API], |params| params.not_after = date_time_ymd(2020, 1, 1)),
            Reason::TlsExpired,
        ),
        (
            "not valid yet",
            |authority| authority.identity(&[API], |params| params.not_before = date_time_ymd(2090, 1, 1)),
            Reason::TlsExpired,
        ),
        ("self-signed", |_| self_signed(&[API], IsCa::NoCa), Reason::TlsUnknownIssuer),
        (
            "its own authority",
            |_| self_signed(&[API], IsCa::Ca(BasicConstraints::Unconstrained)),
            Reason::TlsUnknownIssuer,
        ),
        ("another authority", |_| Authority::new().identity(&[API], |_| {}), Reason::TlsUnknownIssuer),
        ("no name", |authority| authority.identity(&[], |_| {}), Reason::TlsNameMismatch),
        // A NUL would end the name for whoever reads C strings; such a name is no name at all.
        (
            "a name with a NUL",
            |authority| authority.identity(&["a1b2.execute-api.eu-west-1.amazonaws.com\0.evil.test"], |_| {}),
            Reason::TlsNameMismatch,
        ),
        (
            "a client's certificate",
            |authority| {
                let purpose = vec![ExtendedKeyUsagePurpose::ClientAuth];
                authority.identity(&[API], |params| params.extended_key_usages = purpose)
            },
            Reason::TlsFailed,
        ),
    ];
    for (what, make, reason) in cases {
        for (asked, verify) in [(API, Verify::ServerName), (PRIVATE_ZONE, fixed(API))] {
            local(async move {
                let authority = Authority::new();
                let identity = make(&authority);
                let rejection = meet(&authority, identity, asked, verify).await.unwrap_err();
                assert_eq!(rejection.reason, reason, "{what}: {}", rejection.detail);
            });
        }
    }
}

#[test]
fn what_does_not_speak_tls_gets_no_request() {
    local(async {
        let authority = Authority::new();
        let config = client_config(&authority.roots(), Verify::ServerName, None, Speaks::Http1).unwrap();
        let plain = Server::answering("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
        let closing = Server::start(|mut stream, _| async move { drop(stream.read_u8().await) }).await;
        let talking = Server::start(|mut stream, _| async move {
            stream.write_all(b"220 mail.example.com ESMTP\r\n").await.unwrap();
            while stream.read_u8().await.is_ok() {}
        })
        .await;
        for server in [closing, talking] {
            let reason = get(&upstreams(), &destination(&server, API, &config)).await.unwrap_err();
            assert_eq!(reason, Reason::TlsFailed);
        }
        let short = Timeouts { connect: Duration::from_millis(200), ..timeouts() };
        let silent = destination(&plain, API, &config);
        let reason = send(&upstreams(), &silent, Method::GET, Script::none(), short).await.unwrap_err();
        assert_eq!(reason, Reason::DestinationConnectTimeout);
    });
}

#[test]
fn tls_1_2_is_spoken_and_nothing_older_offered() {
    local(async {
        let authority = Authority::new();
        let config = client_config(&authority.roots(), Verify::ServerName, None, Speaks::Http1).unwrap();
        assert!(config.alpn_protocols == [b"http/1.1"] && !config.enable_early_data);
        let (certificate, key) = authority.identity(&[API], |_| {});
        let old = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap();
        let (server, _) = serve(old).await;
        assert_eq!(get(&upstreams(), &destination(&server, API, &config)).await.unwrap(), "ok");
    });
}

#[test]
fn a_session_is_resumed_only_under_the_same_demand() {
    local(async {
        let authority = Authority::new();
        let (server, seen) = serve(server_config(authority.identity(&[REGION], |_| {}))).await;
        let mut configs = ClientConfigs::default();
        let upstreams = upstreams();
        let right = configs.config(&authority.roots(), fixed(REGION), None, Speaks::Http1).unwrap();
        for resumed in [0, 1, 2] {
            assert_eq!(get(&upstreams, &destination(&server, PRIVATE_ZONE, &right)).await.unwrap(), "ok");
            assert_eq!(seen.resumed.get(), resumed);
        }
        // The same name asked for, another one demanded: no session may stand in for the check.
        let other = fixed("*.execute-api.us-east-1.amazonaws.com");
        let other = configs.config(&authority.roots(), other, None, Speaks::Http1).unwrap();
        let reason = get(&upstreams, &destination(&server, PRIVATE_ZONE, &other)).await.unwrap_err();
        assert_eq!((reason, seen.resumed.get()), (Reason::TlsNameMismatch, 2));
        // And the same demand is the same configuration.
        let again = configs.config(&authority.roots(), fixed(REGION), None, Speaks::Http1).unwrap();
        assert!(Arc::ptr_eq(&right, &again));
    });
}

#[test]
fn a_destination_that_asks_who_calls_is_told() {
    local(async {
        let authority = Authority::new();
        let mut store = RootCertStore::empty();
        store.add(authority.issuer.der().clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(store), Arc::clone(&provider)).build().unwrap();
        let (certificate, key) = authority.identity(&[API], |_| {});
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap();
        let (server, _) = serve(config).await;
        let client = authority.client_certificate();
        let known = client_config(&authority.roots(), Verify::ServerName, Some(&client), Speaks::Http1).unwrap();
        assert_eq!(get(&upstreams(), &destination(&server, API, &known)).await.unwrap(), "ok");
        let nobody = client_config(&authority.roots(), Verify::ServerName, None, Speaks::Http1).unwrap();
        assert_eq!(get(&upstreams(), &destination(&server, API, &nobody)).await.unwrap_err(), Reason::TlsFailed);
    });
}

#[test]
fn http2_is_spoken_only_where_tls_agrees_on_it() {
    type Row<'r> = (&'r [&'r [u8]], Speaks, Result<&'r str, Reason>);
    let rows: [Row<'_>; 4] = [
        (&[], Speaks::Either, Ok("ok")),
        (&[b"http/1.1"], Speaks::Either, Ok("ok")),
        (&[], Speaks::Http2, Err(Reason::TlsFailed)),
        (&[b"http/1.1"], Speaks::Http2, Err(Reason::TlsFailed)),
    ];
    for (offered, speaks, outcome) in rows {
        local(async move {
            let authority = Authority::new();
            let mut config = server_config(authority.identity(&[API], |_| {}));
            config.alpn_protocols = offered.iter().map(|name| name.to_vec()).collect();
            let (server, seen) = serve(config).await;
            let roots = authority.roots();
            let made = |speaks| client_config(&roots, Verify::ServerName, None, speaks).unwrap();
            let plan = TlsPlan { http1: made(Speaks::Http1), ..plan(API, made(speaks)) };
            let address = ("localhost", server.port);
            let destination = Destination::speaking(speaks, address, API, Some(plan), &["127.0.0.0/8"], true);
            let upstreams = upstreams();
            // The second time it is known what was agreed on.
            for _ in 0..2 {
                let got = get(&upstreams, &destination).await;
                assert_eq!(got.as_deref().map_err(|reason| *reason), outcome, "{speaks:?} {offered:?}");
            }
            assert_eq!(seen.requests.get(), if outcome.is_ok() { 2 } else { 0 });
        });
    }
}
