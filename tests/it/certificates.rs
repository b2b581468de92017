//! Certificates that change while the router serves: the new one is used, the wrong one never, and nobody is cut.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use postern_tests::{Authority, Certificate, Request, Router, Secured, TlsClient, Validity, eventually, run};
use rustls::pki_types::CertificateDer;

use crate::listeners::{Scene, listener};

const HOST: &str = "api.example.com";

fn shown(scene: &Scene, router: &Router) -> CertificateDer<'static> {
    TlsClient::new(&scene.authority).connect(router.addresses()[1], HOST).unwrap().shown
}

fn until_shown(scene: &Scene, router: &Router, certificate: &Certificate) {
    eventually("the new certificate", || (shown(scene, router) == certificate.der()).then_some(()));
}

fn reloads(router: &Router, result: &str) -> f64 {
    let address = router.addresses()[1];
    router.metric(&format!("postern_listener_certificate_reloads_total{{listener=\"{address}\",result=\"{result}\"}}"))
}

fn of_listener(router: &Router, name: &str) -> f64 {
    router.metric(&format!("postern_listener_certificate_{name}{{listener=\"{}\"}}", router.addresses()[1]))
}

/// Twenty connections, each of which has been answered.
fn kept(scene: &Scene, router: &Router) -> Vec<Secured> {
    let client = TlsClient::new(&scene.authority);
    let mut kept: Vec<Secured> = (0..20).map(|_| client.connect(router.addresses()[1], HOST).unwrap()).collect();
    go_on(&mut kept);
    kept
}

fn go_on(kept: &mut [Secured]) {
    for secured in kept {
        assert_eq!(secured.client.send(&Request::new("GET", "/")).status, 200);
    }
}

#[test]
fn a_renamed_pair_is_shown_to_new_connections_while_open_ones_go_on() {
    let scene = Scene::new();
    let (first, files) = scene.certificate("one", &[HOST]);
    let router = scene.start(&listener(&files, ""), &[]);
    let mut open = kept(&scene, &router);
    assert_eq!(shown(&scene, &router), first.der());
    let expiry = of_listener(&router, "expiry_seconds");
    assert!(expiry > 0.0, "{expiry}");

    let second = scene.authority.sign(&[HOST], Validity::Now);
    let (place, fresh) = (scene.site.path().join("one"), scene.site.path().join("fresh"));
    fs::create_dir(&fresh).unwrap();
    second.write(&fresh);
    for name in ["certificate.pem", "key.pem"] {
        fs::rename(fresh.join(name), place.join(name)).unwrap();
    }
    until_shown(&scene, &router, &second);
    go_on(&mut open);
    assert_eq!(reloads(&router, "loaded"), 1.0);
    assert_eq!(of_listener(&router, "refused"), 0.0);
}

#[test]
fn a_swapped_symlink_is_followed() {
    let scene = Scene::new();
    let (first, second) = (scene.authority.sign(&[HOST], Validity::Now), scene.authority.sign(&[HOST], Validity::Now));
    scene.write("..1", &first);
    scene.write("..2", &second);
    // As secrets are mounted: files are links into a folder that is a link, and that one is swapped.
    let place = scene.site.path();
    symlink("..1", place.join("..data")).unwrap();
    for name in ["certificate.pem", "key.pem"] {
        symlink(Path::new("..data").join(name), place.join(name)).unwrap();
    }
    let file = |name: &str| place.join(name);
    let files = format!("{{certificate_file = {:?}, key_file = {:?}}}", file("certificate.pem"), file("key.pem"));
    let router = scene.start(&listener(&files, ""), &[]);
    let mut open = kept(&scene, &router);
    assert_eq!(shown(&scene, &router), first.der());
    symlink("..2", place.join("..next")).unwrap();
    fs::rename(place.join("..next"), place.join("..data")).unwrap();
    until_shown(&scene, &router, &second);
    go_on(&mut open);
    assert_eq!(reloads(&router, "loaded"), 1.0);
}

#[test]
fn whatever_is_wrong_with_a_file_the_last_good_pair_stays_and_it_is_seen() {
    let scene = Scene::new();
    let (first, files) = scene.certificate("one", &[HOST]);
    let router = scene.start(&listener(&files, ""), &[]);
    let mut open = kept(&scene, &router);
    let place = scene.site.path().join("one");
    let (certificate, key) = (place.join("certificate.pem"), place.join("key.pem"));
    let put = |file: &Path, text: &str| {
        fs::write(file.with_extension("new"), text).unwrap();
        fs::rename(file.with_extension("new"), file).unwrap();
    };
    let other = scene.authority.sign(&[HOST], Validity::Now);
    let over = scene.authority.sign(&[HOST], Validity::Over);
    let early = scene.authority.sign(&[HOST], Validity::NotYet);
    let half = |text: String| text[..text.len() / 2].to_owned();
    let not_x509 = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned();
    for (what, pem, key_pem, result, words) in [
        ("half a certificate", half(first.pem()), first.key_pem(), "malformed", "holds no whole certificate"),
        ("half a key", first.pem(), half(first.key_pem()), "malformed", "holds no whole private key"),
        ("no PEM", "nothing here".to_owned(), first.key_pem(), "malformed", "holds no whole certificate"),
        ("no certificate inside", not_x509, first.key_pem(), "malformed", "holds no X.509"),
        ("empty", String::new(), first.key_pem(), "unreadable", "is empty"),
        ("another's key", first.pem(), other.key_pem(), "key_mismatch", "is not that of the certificate"),
        ("a certificate before its key", other.pem(), first.key_pem(), "key_mismatch", "issued together"),
        ("expired", over.pem(), over.key_pem(), "expired", "expired at 2021-01-01"),
        ("not yet valid", early.pem(), early.key_pem(), "not_yet_valid", "valid from 2090-01-01"),
    ] {
        let before = reloads(&router, result);
        put(&certificate, &pem);
        put(&key, &key_pem);
        eventually(what, || (reloads(&router, result) > before).then_some(()));
        assert_eq!(of_listener(&router, "refused"), 1.0, "{what}");
        assert_eq!(shown(&scene, &router), first.der(), "{what}");
        assert!(router.diagnostics().contains(words), "{what}: {}", router.diagnostics());
    }
    let before = reloads(&router, "unreadable");
    fs::remove_file(&certificate).unwrap();
    eventually("the missing file", || (reloads(&router, "unreadable") > before).then_some(()));
    // Told once, however long it lies there.
    let told = || router.diagnostics().lines().filter(|line| line.contains("the older files stay in use")).count();
    let before = told();
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(told(), before);
    assert_eq!(reloads(&router, "loaded"), 0.0);
    go_on(&mut open);

    // Put right again, by writing in place, key first.
    fs::write(&key, other.key_pem()).unwrap();
    fs::write(&certificate, other.pem()).unwrap();
    until_shown(&scene, &router, &other);
    eventually("the refusal to be over", || (of_listener(&router, "refused") == 0.0).then_some(()));
    go_on(&mut open);
    assert!(!router.diagnostics().contains("PRIVATE"), "a key is in the log");
}

#[test]
fn sessions_do_not_outlive_the_authorities_that_let_them_in() {
    let scene = Scene::new();
    let (_, files) = scene.certificate("one", &[HOST]);
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let trust = old.write(scene.site.path(), "clients.pem");
    let demand = format!(", client_authentication = {{ca_file = {trust:?}, mode = \"required\"}}");
    let router = scene.start(&listener(&files, &demand), &[]);
    let address = router.addresses()[1];
    let partner = old.sign(&["partner.example.com"], Validity::Now);
    let answered = |client: &TlsClient| {
        let mut secured = client.connect(address, HOST).ok()?;
        let status = secured.client.try_send(&Request::new("GET", "/")).ok()?.status;
        Some((status, secured.resumed))
    };
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let client = TlsClient::speaking(&scene.authority, &[version], Some(&partner));
        assert_eq!((answered(&client), answered(&client)), (Some((200, false)), Some((200, true))));
        new.write(scene.site.path(), "clients.pem");
        // The ticket in hand says that the certificate was verified; nobody believes it any more.
        eventually("the old authority to be forgotten", || answered(&client).is_none().then_some(()));
        let fresh = new.sign(&["partner.example.com"], Validity::Now);
        let known = TlsClient::speaking(&scene.authority, &[version], Some(&fresh));
        assert_eq!(answered(&known), Some((200, false)));
        old.write(scene.site.path(), "clients.pem");
        eventually("the old authority again", || answered(&client).filter(|(status, _)| *status == 200));
    }
}

#[test]
fn a_wrong_file_at_the_start_is_told_and_nothing_listens() {
    let scene = Scene::new();
    let place = scene.site.path();
    let good = scene.authority.sign(&[HOST], Validity::Now);
    let over = scene.authority.sign(&[HOST], Validity::Over);
    let write = |name: &str, text: &str| {
        let file = place.join(name);
        fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let (certificate, key) = (write("c.pem", &good.pem()), write("k.pem", &good.key_pem()));
    let other = write("other.pem", &over.key_pem());
    let expired = write("expired.pem", &over.pem());
    let cut = write("cut.pem", &good.pem()[..100]);
    let absent = place.join("absent.pem").to_str().unwrap().to_owned();
    // Whoever takes a wrong file then fails for another reason, instead of serving for ever.
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    for (certificate, key, words) in [
        (&absent, &key, ["there is no file at", "check the path"]),
        (&certificate, &absent, ["there is no file at", "check the path"]),
        (&cut, &key, ["cut.pem", "holds no whole certificate"]),
        (&certificate, &cut, ["cut.pem", "holds no whole private key"]),
        (&certificate, &other, ["other.pem", "is not that of the certificate"]),
        (&expired, &other, ["expired.pem", "expired at 2021-01-01"]),
    ] {
        let flags = ["--listen", "127.0.0.1:0", "--admin", &taken, "--tls-certificate", certificate];
        let output = run("postern-router", &[&["serve"], &flags[..], &["--tls-key", key]].concat());
        assert_eq!(output.code, 1, "{}", output.err);
        for word in words.iter().chain(&["cannot speak TLS on 127.0.0.1:0"]) {
            assert!(output.err.contains(word), "no {word} in\n{}", output.err);
        }
    }
    let settings = format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\ntls = {{certificates = [{}], client_authentication = {{ca_file = \
         {absent:?}, mode = \"required\"}}}}\n",
        scene.write("one", &good)
    );
    let file = write("router.toml", &settings);
    let output = run("postern-router", &["serve", "--settings", &file, "--admin", &taken]);
    assert!(output.code == 1 && output.err.contains("absent.pem"), "{}", output.err);
}

#[test]
fn a_certificate_that_is_the_same_again_is_not_loaded_again() {
    let scene = Scene::new();
    let (first, files) = scene.certificate("one", &[HOST]);
    let router = scene.start(&listener(&files, ""), &[]);
    let place = scene.site.path().join("one");
    for _ in 0..3 {
        fs::write(place.join("certificate.pem"), first.pem()).unwrap();
        std::thread::sleep(Duration::from_millis(700));
    }
    // What it looks at afterwards shows that it has looked.
    let second = scene.authority.sign(&[HOST], Validity::Now);
    second.write(&place);
    until_shown(&scene, &router, &second);
    assert_eq!(reloads(&router, "loaded"), 1.0);
}
