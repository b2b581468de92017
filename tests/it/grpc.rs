//! gRPC through the router: another implementation's client and server see nothing of it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use postern_tests::{
    Authority, EchoClient, EchoServer, GrpcServer, HOST, Router, Site, Validity, asking, eventually, python_program,
    registration, runs,
};
use tokio_stream::StreamExt as _;
use tonic::{Code, Request};

const H2C: &str = "
apiVersion: postern/v1
kind: Boundary
hosts: [api.example.com]
destinations:
  - {name: local, hosts: [localhost], schemes: [http], ports: PORTS, addresses: [127.0.0.0/8], protocol: h2c}
";

fn boundary(port: u16) -> String {
    H2C.replace("PORTS", &format!("[{port}]"))
}

/// Every call of `tests/grpc/client.py` through the router.
fn every_call(router: &Router, more: &[&str]) {
    let address = router.address().to_string();
    let output = python_program(&[&["tests/grpc/client.py", &*address, HOST][..], more].concat());
    assert_eq!(output.code, 0, "{}{}\n{}", output.out, output.err, router.diagnostics());
}

const LARGE: &str = "policies: {body: {max: 64MiB}}";

#[test]
fn every_kind_of_call_passes_to_a_destination_in_the_clear() {
    let server = GrpcServer::start();
    let site = Site::new(&boundary(server.port()), &[registration("/", server.port(), LARGE)]);
    every_call(&Router::serve(&site.merged()), &[]);
}

#[test]
fn every_kind_of_call_passes_to_a_destination_over_tls() {
    let authority = Authority::new("corporate");
    let mut site = Site::empty();
    let (certificate, key) = authority.sign(&["localhost"], Validity::Now).write(site.path());
    let server = GrpcServer::secure(&certificate, &key);
    let roots = authority.write(site.path(), "roots.pem");
    for protocol in ["h2", "auto"] {
        let boundary = boundary(server.port()).replace("schemes: [http]", "schemes: [https]").replace(
            "protocol: h2c",
            &format!("protocol: {protocol}, tls: {{roots: {{pem_file: '{}'}}}}", roots.display()),
        );
        let route = registration("/", server.port(), LARGE).replace("http://", "https://");
        site.publish(&boundary, &[route]);
        every_call(&Router::serve(&site.merged()), &[]);
    }
}

/// Runs what a client does. One that hangs fails.
fn block_on(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let patience = Duration::from_secs(100);
    runtime.block_on(async { tokio::time::timeout(patience, test).await.expect("the test came to no end") });
}

/// The same calls as `tests/grpc/client.py`, by tonic.
async fn every_call_by_tonic(client: &EchoClient) {
    let answer = client.unary("Unary", asking(b"hello")).await.unwrap();
    assert_eq!(answer.metadata().get("x-answer").unwrap(), "a");
    assert_eq!(answer.metadata().get_bin("x-bytes-bin").unwrap().to_bytes().unwrap(), &b"\x00\xff"[..]);
    assert!(answer.metadata().contains_key("x-request-id"));
    assert_eq!(answer.into_inner(), "hello");

    let numbers: Vec<Bytes> = client.expand(1_000).await.unwrap().map(Result::unwrap).collect().await;
    assert!(numbers.len() == 1_000 && numbers[999] == "999");
    let messages = vec![Bytes::from(vec![b'x'; 1_000]); 1_000];
    assert_eq!(client.total(messages).await.unwrap(), "1000000");
    assert_eq!(client.total(Vec::new()).await.unwrap(), "0");

    let status = client.unary("Fail", Request::new(Bytes::new())).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "100 % no, \u{fc}berhaupt nicht"));
    let status = client.unary("Missing", Request::new(Bytes::new())).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);

    let (sender, mut answers) = client.chat().await.unwrap();
    for number in 0..100 {
        sender.send(Bytes::from(number.to_string())).await.unwrap();
        assert_eq!(answers.next().await.unwrap().unwrap(), format!("re: {number}"));
    }
    drop(sender);
    assert!(answers.next().await.is_none());

    let large = Bytes::from(vec![7; 16 * 1024 * 1024]);
    assert_eq!(client.unary("Unary", Request::new(large.clone())).await.unwrap().into_inner(), large);
}

async fn cancelled(client: &EchoClient) -> u64 {
    let answer = client.unary("Cancelled", Request::new(Bytes::new())).await.unwrap();
    std::str::from_utf8(answer.get_ref()).unwrap().parse().unwrap()
}

async fn until_cancelled(client: &EchoClient, count: u64) {
    while cancelled(client).await < count {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn deadlines_and_cancels(client: &EchoClient) {
    let mut request = Request::new(Bytes::new());
    request.set_timeout(Duration::from_secs(50));
    let left = client.unary("Deadline", request).await.unwrap().into_inner();
    let left: f64 = std::str::from_utf8(&left).unwrap().parse().unwrap();
    assert!((30.0..55.0).contains(&left), "{left}");
    let before = cancelled(client).await;
    let call = client.unary("Sleep", Request::new(Bytes::new()));
    assert!(tokio::time::timeout(Duration::from_millis(300), call).await.is_err());
    until_cancelled(client, before + 1).await;
}

async fn many_at_once(router: &Router) {
    let mut chats = Vec::new();
    for _ in 0..4 {
        let client = EchoClient::connect(router.address(), HOST).await;
        for _ in 0..75 {
            chats.push(client.chat().await.unwrap());
        }
    }
    for round in ["a", "b"] {
        for (sender, _) in &chats {
            sender.send(Bytes::from(round)).await.unwrap();
        }
        for (_, answers) in &mut chats {
            assert_eq!(answers.next().await.unwrap().unwrap(), format!("re: {round}"));
        }
    }
}

#[test]
fn two_implementations_of_grpc_talk_through_the_router() {
    let (ours, theirs) = (EchoServer::start(), GrpcServer::start());
    for port in [ours.port(), theirs.port()] {
        let site = Site::new(&boundary(port), &[registration("/", port, LARGE)]);
        let router = Router::serve(&site.merged());
        block_on(async {
            let client = EchoClient::connect(router.address(), HOST).await;
            every_call_by_tonic(&client).await;
            deadlines_and_cancels(&client).await;
            // Python answers a stream's head only with its first message.
            if port == ours.port() {
                many_at_once(&router).await;
            }
        });
        if port == ours.port() {
            every_call(&router, &["no-trailing-metadata"]);
        }
    }
}

#[test]
fn a_refusal_is_told_in_the_words_of_grpc() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let guarded = "policies: {authentication: {any_of: [iam]}}";
    let routes = [registration("/test.Echo", nobody, ""), registration("/test.Guarded", nobody, guarded)];
    let site = Site::new(&boundary(nobody), &routes);
    let router = Router::serve(&site.merged());
    block_on(async {
        let client = EchoClient::connect(router.address(), HOST).await;
        let status = client.unary("Unary", Request::new(Bytes::new())).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Unavailable, "the destination cannot be reached"));
        assert_eq!(status.metadata().get("x-postern-reason").unwrap(), "destination_refused");
        assert!(status.metadata().contains_key("x-request-id"));
        let stranger = EchoClient::connect(router.address(), "other.example").await;
        let status = stranger.unary("Unary", Request::new(Bytes::new())).await.unwrap_err();
        assert_eq!(status.metadata().get("x-postern-reason").unwrap(), "host_not_listed");
    });
}

#[test]
fn a_destination_that_goes_away_in_the_middle_is_told_as_unavailable() {
    let mut server = GrpcServer::start();
    let site = Site::new(&boundary(server.port()), &[registration("/", server.port(), "")]);
    let router = Router::serve(&site.merged());
    block_on(async {
        let client = EchoClient::connect(router.address(), HOST).await;
        let mut chats = Vec::new();
        for _ in 0..10 {
            let client = client.clone();
            chats.push(tokio::spawn(async move {
                // The server answers a stream's head with its first message.
                let (sender, mut answers) = client.chat_with(Bytes::from_static(b"a")).await.unwrap();
                assert_eq!(answers.next().await.unwrap().unwrap(), "re: a");
                (sender, answers)
            }));
        }
        let mut open = Vec::new();
        for chat in chats {
            open.push(chat.await.unwrap());
        }
        server.kill();
        for (_, mut answers) in open {
            assert_eq!(answers.next().await.unwrap().unwrap_err().code(), Code::Unavailable);
        }
    });
}

#[test]
fn each_of_many_streams_is_told_when_their_destination_goes() {
    let count = runs("streams of gRPC whose destination goes", 300, 2_000);
    let mut server = EchoServer::start();
    let site = Site::new(&boundary(server.port()), &[registration("/", server.port(), "")]);
    let router = Router::serve(&site.merged());
    block_on(async {
        let mut chats = Vec::new();
        while chats.len() < count {
            // As many as one connection may have.
            let client = EchoClient::connect(router.address(), HOST).await;
            for _ in 0..100.min(count - chats.len()) {
                chats.push(client.chat().await.unwrap());
            }
        }
        for (sender, answers) in &mut chats {
            sender.send(Bytes::from_static(b"a")).await.unwrap();
            assert_eq!(answers.next().await.unwrap().unwrap(), "re: a");
        }
        let began = Instant::now();
        server.kill();
        for (_, answers) in &mut chats {
            assert_eq!(answers.next().await.unwrap().unwrap_err().code(), Code::Unavailable);
        }
        assert!(began.elapsed() < Duration::from_secs(30), "the last was told after {:?}", began.elapsed());
        eprintln!("{count} were told within {:?}", began.elapsed());
    });
    eventually("nothing to be left", || (router.metric("postern_active_requests") == 0.0).then_some(()));
}
