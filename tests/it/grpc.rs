//! gRPC through the router: another implementation's client and server see nothing of it.

use postern_tests::{
    Authority, GrpcServer, HOST, Request, Router, Site, Validity, boundary_with, python_program, registration,
};

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
fn every_call(router: &Router) {
    let output = python_program(&["tests/grpc/client.py", &router.address().to_string(), HOST]);
    assert_eq!(output.code, 0, "{}{}\n{}", output.out, output.err, router.diagnostics());
}

const LARGE: &str = "policies: {body: {max: 64MiB}}";

#[test]
fn every_kind_of_call_passes_to_a_destination_in_the_clear() {
    let server = GrpcServer::start();
    let site = Site::new(&boundary(server.port()), &[registration("/", server.port(), LARGE)]);
    every_call(&Router::serve(&site.merged()));
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
        every_call(&Router::serve(&site.merged()));
    }
}
