"""Makes what a measurement is made of: certificates, tokens, lists of requests, and Postern's merged file.

Owns: the site that every proxy serves alike. `SMALL` and `LARGE` routes called /svc-N, one to a destination over TLS
(/tls), three behind a token (/gw-hs, /gw-rs, /gw-po) whose first segment is taken off; the last with a policy as well.
Must never know: the proxies' own configuration languages, but for Postern's documents, which need its syncer.
"""

import base64
import json
import subprocess

HOST = "api.example.com"
SMALL = 10
LARGE = 10_000
# As many callers as a busy gateway sees at once; a cache of verified tokens has to hold that many to be of use.
CALLERS = 1000
# More tokens than a core's memory of verified ones holds, which is some 3 300 of this length.
ANEW = 40_000
# Ways behind a token, and whose tokens they take.
GATEWAYS = {"hs": "hs", "rs": "rs", "po": "rs"}
# What each caller may ask for in a second: far more than the load does, since it is the counting that costs.
RATE = 1_000_000
SECRET = "a-shared-secret-of-the-bench-of-48-characters-00"
ISSUER = "https://issuer.example.com/"
AUDIENCE = "bench"

# What HAProxy says with an `acl` on the same claim.
POLICY = """permit(principal, action in [Action::"GET", Action::"POST"], resource)
  when { principal.claims has team && principal.claims.team like "team-*" };
forbid(principal, action, resource) when { principal.claims has team && principal.claims.team == "team-99" };"""


class Material:
    """Files in one folder."""

    def __init__(self, folder, equipment):
        self.folder = folder
        self.openssl = equipment["openssl"]
        self.syncer = equipment["syncer"]
        self.load = equipment["load"]
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, name):
        return str(self.folder / name)

    def make(self, lists):
        """All that does not depend on a port; of the lists of requests, those that are long in the making only when
        asked for."""
        self._certificates()
        self._run("genrsa", "-traditional", "-out", self.path("rs.key"), "2048")
        self._run("rsa", "-in", self.path("rs.key"), "-pubout", "-out", self.path("rs.pub"))
        self._targets(lists)

    def _run(self, *arguments, data=None):
        done = subprocess.run([self.openssl, *arguments], input=data, capture_output=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"openssl {arguments[0]}: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout

    # ---- TLS -------------------------------------------------------------------------------------------------------

    def _certificates(self):
        """An authority, and one leaf on P-256 for both the front and the destination."""
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        self._run("req", "-x509", *curve, "-days", "30", "-subj", "/CN=bench authority",
                  "-keyout", self.path("ca.key"), "-out", self.path("ca.pem"))
        self._run("req", *curve, "-subj", f"/CN={HOST}", "-keyout", self.path("leaf.key"), "-out",
                  self.path("leaf.csr"))
        (self.folder / "leaf.ext").write_text(
            f"subjectAltName=DNS:{HOST},DNS:localhost\nbasicConstraints=CA:FALSE\n", encoding="utf-8")
        self._run("x509", "-req", "-in", self.path("leaf.csr"), "-CA", self.path("ca.pem"), "-CAkey",
                  self.path("ca.key"), "-CAcreateserial", "-days", "30", "-extfile", self.path("leaf.ext"), "-out",
                  self.path("leaf.pem"))
        # HAProxy wants both in one file.
        both = (self.folder / "leaf.pem").read_text(encoding="utf-8") + \
            (self.folder / "leaf.key").read_text(encoding="utf-8")
        (self.folder / "both.pem").write_text(both, encoding="utf-8")

    # ---- requests --------------------------------------------------------------------------------------------------

    def _targets(self, lists):
        for size in ("1k", "100k", "10m"):
            self._write(f"small-{size}.txt", [f"/svc-{n}/items/{size}" for n in range(SMALL)])
        self._write("large-1k.txt", [f"/svc-{n}/items/1k" for n in range(LARGE)])
        self._write("tls-1k.txt", ["/tls/items/1k"])
        for kind in GATEWAYS:
            self._tokens(f"gateway-{kind}.txt", f"/gw-{kind}/items/1k", GATEWAYS[kind], CALLERS)
        if "gateway-rs-anew.txt" in lists:
            self._tokens("gateway-rs-anew.txt", "/gw-rs/items/1k", "rs", ANEW)

    def _write(self, name, lines):
        (self.folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _tokens(self, name, path, kind, count):
        """A list of requests, each with a token of its own."""
        key = self.folder / f"{kind}.key"
        if kind == "hs":
            key.write_text(SECRET, encoding="utf-8")
        done = subprocess.run(
            [self.load, "tokens", "--kind", kind, "--key", str(key), "--issuer", ISSUER, "--audience", AUDIENCE,
             "--count", str(count), "--callers", str(CALLERS), "--path", path, "--out", self.path(name)],
            capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"tokens: {done.stdout.strip()}")

    def jwks(self, kind):
        """The key of a kind of token as an issuer publishes it."""
        if kind == "hs":
            key = {"kty": "oct", "k": encode(SECRET.encode()), "alg": "HS256", "kid": "hs"}
        else:
            told = self._run("rsa", "-in", self.path("rs.key"), "-noout", "-modulus").decode()
            modulus = bytes.fromhex(told.strip().removeprefix("Modulus="))
            key = {"kty": "RSA", "n": encode(modulus), "e": "AQAB", "alg": "RS256", "kid": "rs"}
        return {"keys": [key]}

    # ---- Postern's documents ---------------------------------------------------------------------------------------

    def merged(self, routes, plain, tls):
        """The merged file for so many routes to the destination's two ports, made by the syncer; its path."""
        folder = self.folder / f"postern-{routes}"
        registrations, out = folder / "registrations", folder / "out"
        registrations.mkdir(parents=True, exist_ok=True)
        jwt = [{"name": kind, "issuer": ISSUER, "audiences": [AUDIENCE], "jwks": self.jwks(kind)}
               for kind in ("hs", "rs")]
        local = {"hosts": ["localhost"], "addresses": ["127.0.0.0/8", "::1/128"]}
        boundary = {
            "apiVersion": "postern/v1", "kind": "Boundary", "hosts": [HOST], "identity": {"jwt": jwt},
            "authorization": {"claims": [{"name": "team", "type": "string"}]},
            "destinations": [
                {"name": "plain", "schemes": ["http"], "ports": [plain], **local},
                {"name": "tls", "schemes": ["https"], "ports": [tls],
                 "tls": {"roots": {"pem_file": self.path("ca.pem")}}, **local},
            ],
        }
        (folder / "boundary.json").write_text(json.dumps(boundary), encoding="utf-8")
        to_plain = {"owner": "bench", "destination": {"url": f"http://localhost:{plain}"}}
        # One file for each route, as the store of files wants it.
        for n in range(routes):
            write_json(registrations / f"svc-{n}.json", {"root": f"/svc-{n}", **to_plain})
        write_json(registrations / "tls.json",
                   {"root": "/tls", "owner": "bench", "destination": {"url": f"https://localhost:{tls}"}})
        for kind, issuer in GATEWAYS.items():
            policies = {"authentication": {"any_of": [f"jwt:{issuer}"]},
                        "identity_headers": {"x-user": "sub", "x-team": "team"},
                        "limits": [{"name": "caller", "rate": f"{RATE}/s"}]}
            if kind == "po":
                policies["authorization"] = {"cedar": POLICY}
                policies["telemetry"] = {"audit": "1%"}
            write_json(registrations / f"gw-{kind}.json",
                       {"root": f"/gw-{kind}", "rewrite": {"prefix": "/"}, "policies": policies, **to_plain})
        done = subprocess.run(
            [self.syncer, "run", "--once", "--strict", "--allow-loopback-destinations", "--boundary",
             str(folder / "boundary.json"), "--registrations", str(registrations), "--out", str(out)],
            capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"postern-syncer: {(done.stderr or done.stdout).strip()[-2000:]}")
        return str(out / "merged.json")


def write_json(path, value):
    path.write_text(json.dumps(value), encoding="utf-8")


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
