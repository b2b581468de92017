//! Certificates that were taken back: by a list, by the end of a list, or with their authority.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use postern_tests::{Authority, Certificate, Request, TlsClient, eventually, run};
use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};

use super::{ACME, HOST, NOT_VALID, Scene, told};

/// What becomes of a connection: its status and whether a session goes on, or nothing.
fn answered(client: &TlsClient, address: SocketAddr) -> Option<(u16, bool)> {
    let mut secured = client.connect(address, HOST).ok()?;
    let status = secured.client.try_send(&Request::new("GET", "/orders")).ok()?.status;
    Some((status, secured.resumed))
}

/// Replaces a list as whoever publishes it does.
fn put(file: &Path, text: &str) {
    std::fs::write(file.with_extension("new"), text).unwrap();
    std::fs::rename(file.with_extension("new"), file).unwrap();
}

impl Scene {
    /// One whose authority took these back, with the next list due so many seconds from now.
    fn revoking(due: i64, more: &str) -> Self {
        Self::start("", "", |place, clients| {
            let file = place.join("revoked.pem");
            std::fs::write(&file, clients.revoked(&[], due)).unwrap();
            format!(", crl_file = {file:?}{more}")
        })
    }

    fn list(&self) -> PathBuf {
        self.site.path().join("revoked.pem")
    }

    fn speaking(&self, version: &'static SupportedProtocolVersion, certificate: &Certificate) -> TlsClient {
        TlsClient::speaking(&self.trust, &[version], Some(certificate))
    }

    fn reloads(&self, result: &str) -> f64 {
        let address = self.optional();
        let labels = format!("{{listener=\"{address}\",result=\"{result}\"}}");
        self.router.metric(&format!("postern_listener_certificate_reloads_total{labels}"))
    }
}

#[test]
fn who_was_taken_back_is_out_at_once_also_with_a_session_and_an_open_connection() {
    let scene = Scene::revoking(3_600, "");
    let lasts = Duration::from_secs(3_600);
    let mut taken_back = Vec::new();
    for version in [&TLS13, &TLS12] {
        let ((bad, number), (good, _)) =
            (scene.clients.certify_for(ACME, lasts), scene.clients.certify_for(ACME, lasts));
        let (thief, owner) = (scene.speaking(version, &bad), scene.speaking(version, &good));
        let mut open = [&thief, &owner].map(|client| client.connect(scene.optional(), HOST).unwrap());
        for (client, secured) in [&thief, &owner].into_iter().zip(&mut open) {
            assert_eq!(secured.client.send(&Request::new("GET", "/orders")).status, 200);
            for address in [scene.required(), scene.optional()] {
                assert!(answered(client, address).is_some_and(|(status, _)| status == 200));
                assert_eq!(answered(client, address), Some((200, true)));
            }
        }
        taken_back.push(number);
        put(&scene.list(), &scene.clients.revoked(&taken_back, 3_600));
        for address in [scene.required(), scene.optional()] {
            eventually("the list to be read", || answered(&thief, address).is_none().then_some(()));
            // And with a session from nowhere.
            assert_eq!(answered(&scene.speaking(version, &bad), address), None);
            // No session goes on that began under the older list, and later ones do.
            assert_eq!(answered(&owner, address), Some((200, false)));
            assert_eq!(answered(&owner, address), Some((200, true)));
        }
        let [mut of_thief, mut of_owner] = open;
        assert_eq!(told(&of_thief.client.send(&Request::new("GET", "/orders"))), NOT_VALID);
        assert_eq!(told(&of_thief.client.send(&Request::new("GET", "/open"))), NOT_VALID);
        assert_eq!(of_thief.client.send(&Request::new("GET", "/free")).status, 200);
        assert_eq!(of_owner.client.send(&Request::new("GET", "/orders")).status, 200);
    }
    assert!(scene.router.metric("postern_handshake_failures_total{reason=\"client_certificate\"}") >= 8.0);
    // Taken off the list again, as a certificate on hold is.
    put(&scene.list(), &scene.clients.revoked(&[], 3_600));
    eventually("the empty list", || (scene.reloads("loaded") >= 3.0).then_some(()));
}

#[test]
fn an_authority_that_goes_takes_open_connections_with_it() {
    let scene = Scene::new();
    let acme = scene.clients.certify(ACME);
    let mut open = scene.connect(Some(&acme));
    assert_eq!(open.client.send(&Request::new("GET", "/orders")).status, 200);
    Authority::new("another").write(scene.site.path(), "clients.pem");
    let refused = eventually("the authority to go", || {
        let answer = open.client.send(&Request::new("GET", "/orders"));
        (answer.status != 200).then_some(answer)
    });
    assert_eq!(told(&refused), NOT_VALID);
    scene.clients.write(scene.site.path(), "clients.pem");
    eventually("the authority to come back", || {
        (open.client.send(&Request::new("GET", "/orders")).status == 200).then_some(())
    });
}

#[test]
fn a_list_that_is_wrong_or_overdue_changes_nothing_and_ends_a_start() {
    let scene = Scene::revoking(3_600, "");
    let (bad, number) = scene.clients.certify_for(ACME, Duration::from_secs(3_600));
    let good = scene.clients.certify(ACME);
    put(&scene.list(), &scene.clients.revoked(&[number], 3_600));
    eventually("the list", || answered(&scene.client(Some(&bad)), scene.optional()).is_none().then_some(()));
    let fine = scene.clients.revoked(&[], 3_600);
    let rows = [
        ("overdue", scene.clients.revoked(&[], -60), "expired", "was to be replaced by"),
        ("cut", fine[..fine.len() / 2].to_owned(), "malformed", "holds no whole list"),
        ("no list", good.pem(), "malformed", "holds no whole list"),
        ("empty", String::new(), "unreadable", "is empty"),
    ];
    for (what, text, result, words) in &rows {
        let before = scene.reloads(result);
        put(&scene.list(), text);
        eventually(what, || (scene.reloads(result) > before).then_some(()));
        assert!(scene.router.diagnostics().contains(words), "{what}: {}", scene.router.diagnostics());
        assert_eq!(answered(&scene.client(Some(&bad)), scene.optional()), None, "{what}");
        assert_eq!(answered(&scene.client(Some(&good)), scene.optional()), Some((200, false)), "{what}");
    }
    // Whoever takes a wrong file then fails for another reason, instead of serving for ever.
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    let settings = scene.site.path().join("settings.toml");
    for (what, text, _, words) in &rows {
        put(&scene.list(), text);
        let output = run("postern-router", &["serve", "--settings", settings.to_str().unwrap(), "--admin", &taken]);
        assert!(output.code == 1 && output.err.contains(words), "{what}: {}", output.err);
    }
    let text = std::fs::read_to_string(&settings).unwrap();
    let without = text.replace(&format!(", crl_file = {:?}", scene.list()), ", crl_overdue = \"refuse\"");
    std::fs::write(&settings, without).unwrap();
    let output = run("postern-router", &["serve", "--settings", settings.to_str().unwrap(), "--admin", &taken]);
    assert!(output.code != 0 && output.err.contains("crl_overdue"), "{}", output.err);
}

#[test]
fn of_every_issuer_there_must_be_a_list() {
    let scene = Scene::revoking(3_600, "");
    let acme = scene.clients.certify(ACME);
    assert_eq!(answered(&scene.client(Some(&acme)), scene.optional()), Some((200, false)));
    put(&scene.list(), &Authority::new("strangers").revoked(&[], 3_600));
    eventually("a stranger's list", || answered(&scene.client(Some(&acme)), scene.optional()).is_none().then_some(()));
    // One that the right name is on, and another's signature.
    put(&scene.list(), &Authority::new("clients").revoked(&[], 3_600));
    eventually("a forged list", || (scene.reloads("loaded") >= 2.0).then_some(()));
    assert_eq!(answered(&scene.client(Some(&acme)), scene.optional()), None);
    let both = [Authority::new("strangers").revoked(&[], 3_600), scene.clients.revoked(&[], 3_600)].concat();
    put(&scene.list(), &both);
    eventually("both lists", || answered(&scene.client(Some(&acme)), scene.optional()));
}

#[test]
fn a_list_that_becomes_overdue_holds_on_or_lets_nobody_in() {
    for (more, holds) in [("", true), (", crl_overdue = \"refuse\"", false)] {
        let scene = Scene::revoking(6, more);
        let (bad, number) = scene.clients.certify_for(ACME, Duration::from_secs(3_600));
        let good = scene.clients.certify(ACME);
        put(&scene.list(), &scene.clients.revoked(&[number], 6));
        eventually("the list", || answered(&scene.client(Some(&bad)), scene.optional()).is_none().then_some(()));
        let client = scene.client(Some(&good));
        assert_eq!(
            (answered(&client, scene.optional()), answered(&client, scene.optional())),
            (Some((200, false)), Some((200, true)))
        );
        let mut open = scene.connect(Some(&good));
        eventually("the list to be overdue", || {
            scene.router.diagnostics().contains("the list of revoked certificates was to be replaced").then_some(())
        });
        if holds {
            assert_eq!(answered(&client, scene.optional()), Some((200, true)));
            assert_eq!(open.client.send(&Request::new("GET", "/orders")).status, 200);
        } else {
            // A word in the log comes a moment before its deed.
            eventually("nobody to come in", || answered(&client, scene.optional()).is_none().then_some(()));
            assert_eq!(told(&open.client.send(&Request::new("GET", "/orders"))), NOT_VALID);
            assert_eq!(scene.ask(None, "/free").status, 200);
        }
        assert_eq!(answered(&scene.client(Some(&bad)), scene.optional()), None);
        put(&scene.list(), &scene.clients.revoked(&[number], 3_600));
        eventually("the next list", || answered(&client, scene.optional()).filter(|(status, _)| *status == 200));
        assert_eq!(answered(&scene.client(Some(&bad)), scene.optional()), None);
    }
}
