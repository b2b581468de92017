"""The proxies that are compared, each set up for the same job.

Owns: their configurations and processes. All have one worker on one core, an access log of the same fields into a
file, metrics on, kept connections to the destination, forwarding headers stripped and set anew, a request id, and the
same time limits; a request for another host or path is refused.
Must never know: how they are loaded, and what comes out.
"""

import dataclasses
import http.client
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import time

from envoy import envoy_bootstrap
from material import AUDIENCE, GATEWAYS, HOST, ISSUER, RATE, SECRET, Material

PROXY_CORE = "0"
# Above what the memory workload opens; the process's limit of open files may be lower and then rules.
CONNECTIONS = 15_000
IDLE_SECONDS = 300


@dataclasses.dataclass
class Site:
    """What a peer shall serve: so many routes to a destination's two ports, on these ports of its own."""

    material: Material
    routes: int
    plain: int
    tls: int
    front: int
    front_tls: int
    front_h2c: int
    admin: int


class Peer:
    """A proxy: `start`, measure, `stop`."""

    name = ""
    # Whether it is there for the workloads alone that are about Postern itself.
    aside = False

    def __init__(self, equipment, folder):
        self.equipment = equipment
        self.folder = pathlib.Path(folder) / self.name
        self.process = None
        self.site = None

    def lacks(self, _workload):
        """Why this peer cannot take part in a workload, or nothing."""
        return None

    def command(self, site):
        """Writes the configuration; the command that serves it."""
        raise NotImplementedError

    def start(self, site):
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.site = site
        command = [self.equipment["taskset"], "-c", PROXY_CORE, *self.command(site)]
        with (self.folder / "out.log").open("wb") as out, (self.folder / "err.log").open("wb") as err:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                            env=self.equipment.environment)
        self._await_answer()

    def _await_answer(self):
        deadline = time.monotonic() + 60
        said = "no answer"
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                said = f"ended with {self.process.returncode}"
                break
            try:
                status, length = ask(self.site.front, "/svc-0/items/1k")
                if (status, length) == (200, 1024):
                    return
                said = f"answered {status}"
            except OSError as error:
                said = str(error)
            time.sleep(0.05)
        tail = (self.folder / "err.log").read_text(encoding="utf-8", errors="replace")[-1500:]
        self.stop()
        raise RuntimeError(f"{self.name} did not start: {said}\n{tail}")

    def stop(self):
        if self.process is None:
            return
        # At once: nobody waits for its answers any more, and a graceful end would wait for idle connections.
        for number, patience in ((signal.SIGTERM, 1), (signal.SIGKILL, 10)):
            if self.process.poll() is None:
                self.process.send_signal(number)
                try:
                    self.process.wait(patience)
                except subprocess.TimeoutExpired:
                    continue
        self.process = None

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return str(path)


def ask(port, path, headers=None):
    """One request over a connection of its own: status and length of the body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers={"Host": HOST, **(headers or {})})
        answer = connection.getresponse()
        return answer.status, len(answer.read())
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP: {error}") from error
    finally:
        connection.close()


# ---- Postern -------------------------------------------------------------------------------------------------------


class Postern(Peer):
    name = "postern"
    # Of what it tells while it serves: what can be chosen, as settings.
    telling = """access_log = "{folder}/access.log"
audit.directory = "{folder}/audit"
"""

    def __init__(self, equipment, folder):
        super().__init__(equipment, folder)
        done = subprocess.run([equipment["postern"], "serve", "--help"], capture_output=True, text=True, check=False)
        self.has_tls = "--tls-certificate" in done.stdout

    def lacks(self, workload):
        return "not supported by this binary" if workload.front == "tls" and not self.has_tls else None

    def command(self, site):
        merged = site.material.merged(site.routes, site.plain, site.tls)
        settings = self.write("settings.toml", f"""
{self.telling.format(folder=self.folder, collector=site.plain)}
workers = 1
allow_loopback_destinations = true
[limits]
connections = {CONNECTIONS}
connections_per_address = 0
idle = "{IDLE_SECONDS}s"
[shutdown]
lame_duck = "0s"
deadline = "1s"
{self.secure_listener(site) if self.has_tls else ""}""")
        command = [self.equipment["postern"], "serve", "--config", merged, "--settings", settings,
                   "--listen", f"127.0.0.1:{site.front}", "--admin", f"127.0.0.1:{site.admin}"]
        # One port speaks both HTTP/1.1 and HTTP/2.
        site.front_h2c = site.front
        return command

    @staticmethod
    def secure_listener(site):
        """A second listener, so that one process serves plain and TLS as the peers do."""
        return f"""
[[listeners]]
address = "127.0.0.1:{site.front_tls}"
[listeners.tls]
minimum = "1.3"
[[listeners.tls.certificates]]
certificate_file = "{site.material.path("leaf.pem")}"
key_file = "{site.material.path("leaf.key")}"
"""


class PosternSilent(Postern):
    """Without all that can be left out of what it tells; metrics cannot."""

    name = "postern-silent"
    aside = True
    telling = 'access_log = "off"'


class PosternTraced(Postern):
    """With traces of one request in a hundred, to a collector that takes them and does nothing."""

    name = "postern-traced"
    aside = True
    telling = Postern.telling + """tracing.endpoint = "http://127.0.0.1:{collector}"
tracing.protocol = "http"
tracing.sampled = 0.01
"""


# ---- nginx ---------------------------------------------------------------------------------------------------------


class Nginx(Peer):
    name = "nginx"
    # Its defaults would write bodies of 16 KB and answers of 100 KB into files.
    buffers = ("client_body_buffer_size 64k; proxy_buffer_size 16k; proxy_buffers 8 32k; "
               "proxy_busy_buffers_size 64k; proxy_max_temp_file_size 0;")

    def lacks(self, workload):
        return "no token checks without its commercial edition" if workload.gateway else None

    def command(self, site):
        folder, path = self.folder, site.material.path
        temporary = "\n  ".join(f"{kind}_temp_path {folder}/{kind};" for kind in
                                ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        locations = "\n    ".join(f"location /svc-{n}/ {{ proxy_pass http://plain; }}" for n in range(site.routes))
        config = self.write("nginx.conf", f"""
{"user root;" if os.geteuid() == 0 else ""}
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
worker_rlimit_nofile {open_files()};
events {{ worker_connections {open_files() - 100}; }}
http {{
  {temporary}
  log_format json escape=json '{{"time":"$time_iso8601","request_id":"$request_id","client":"$remote_addr",'
    '"method":"$request_method","host":"$host","path":"$uri","protocol":"$server_protocol","status":$status,'
    '"sent":$body_bytes_sent,"received":$request_length,"seconds":$request_time,"upstream":"$upstream_addr",'
    '"upstream_seconds":"$upstream_response_time","agent":"$http_user_agent"}}';
  access_log {folder}/access.log json buffer=64k flush=1s;
  keepalive_timeout {IDLE_SECONDS}s;
  keepalive_requests 1000000000;
  client_header_timeout 10s;
  client_body_timeout 30s;
  client_max_body_size 10m;
  {self.buffers}
  tcp_nodelay on;
  proxy_http_version 1.1;
  proxy_connect_timeout 2s;
  proxy_read_timeout 35s;
  proxy_send_timeout 30s;
  proxy_set_header Connection "";
  proxy_set_header Host localhost;
  proxy_set_header Forwarded "";
  proxy_set_header X-Forwarded-For $remote_addr;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Forwarded-Host $host;
  proxy_set_header X-Request-Id $request_id;
  ssl_certificate {path("leaf.pem")};
  ssl_certificate_key {path("leaf.key")};
  ssl_protocols TLSv1.3;
  upstream plain {{ server 127.0.0.1:{site.plain}; {pool()} }}
  upstream secure {{ server 127.0.0.1:{site.tls}; {pool()} }}
  server {{
    listen 127.0.0.1:{site.front} default_server;
    listen 127.0.0.1:{site.front_tls} default_server ssl http2;
    listen 127.0.0.1:{site.front_h2c} default_server http2;
    return 421;
  }}
  server {{
    listen 127.0.0.1:{site.front};
    listen 127.0.0.1:{site.front_tls} ssl http2;
    listen 127.0.0.1:{site.front_h2c} http2;
    server_name {HOST};
    location / {{ return 404; }}
    location /tls/ {{
      proxy_pass https://secure;
      proxy_ssl_verify on;
      proxy_ssl_trusted_certificate {path("ca.pem")};
      proxy_ssl_server_name on;
      proxy_ssl_name localhost;
      proxy_ssl_protocols TLSv1.3;
    }}
    {locations}
  }}
  server {{
    listen 127.0.0.1:{site.admin};
    location = /metrics {{ stub_status; }}
  }}
}}
""")
        return [self.equipment["nginx"], "-c", config, "-p", str(folder), "-e", str(folder / "error.log")]


def pool():
    return f"keepalive 512; keepalive_requests 1000000000; keepalive_timeout {IDLE_SECONDS}s;"


def open_files():
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


# ---- HAProxy -------------------------------------------------------------------------------------------------------


AS_NGINX = "the same as nginx"


class NginxAsItComes(Nginx):
    """The same with the buffers that it has when nobody sets them, for the workloads where they count."""

    name = "nginx-stock"
    buffers = ""

    def lacks(self, workload):
        return None if workload.name in ("post-16k", "get-100k", "get-10m") else AS_NGINX


class HaProxy(Peer):
    name = "haproxy"

    def command(self, site):
        path = site.material.path
        lines = [f"/svc-{n}/ plain" for n in range(site.routes)] + ["/tls/ secure"]
        lines += [f"/gw-{kind}/ gw-{kind}" for kind in GATEWAYS]
        routes = self.write("routes.map", "\n".join(lines) + "\n")
        config = self.write("haproxy.cfg", f"""
global
  nbthread 1
  maxconn {CONNECTIONS}
  no strict-limits
  log stdout format raw local0 info
  ssl-default-bind-options ssl-min-ver TLSv1.3
  ssl-default-server-options ssl-min-ver TLSv1.3
defaults
  mode http
  log global
  option http-keep-alive
  http-reuse always
  timeout connect 2s
  timeout client 60s
  timeout server 35s
  timeout http-request 10s
  timeout http-keep-alive {IDLE_SECONDS}s
  unique-id-format %[uuid()]
  unique-id-header X-Request-Id
frontend front
  bind 127.0.0.1:{site.front}
  bind 127.0.0.1:{site.front_tls} ssl crt {path("both.pem")} alpn h2,http/1.1
  bind 127.0.0.1:{site.front_h2c} proto h2
  log-format '{{"time":"%t","request_id":"%ID","client":"%ci","method":"%HM","path":"%HPO","protocol":"%HV","status":%ST,"sent":%B,"received":%U,"wait":%Tw,"connect":%Tc,"first":%Tr,"total":%Ta,"backend":"%b","agent":%{{+Q}}[capture.req.hdr(0)]}}'
  declare capture request len 64
  http-request capture req.hdr(User-Agent) id 0
  http-request return status 421 unless {{ req.hdr(host),field(1,:) -m str {HOST} }}
  http-request del-header Forwarded
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}
  http-request set-header X-Forwarded-Proto http unless {{ ssl_fc }}
  http-request set-header X-Forwarded-Host {HOST}
  http-request set-header Host localhost
  use_backend %[path,map_beg({routes},none)]
backend none
  http-request return status 404
backend plain
  server one 127.0.0.1:{site.plain} pool-max-conn 512
backend secure
  server one 127.0.0.1:{site.tls} ssl verify required ca-file {path("ca.pem")} sni str(localhost) pool-max-conn 512
{self.gateway(site, "hs", "HS256", SECRET)}
{self.gateway(site, "rs", "RS256", path("rs.pub"))}
{self.gateway(site, "po", "RS256", path("rs.pub"), self.policy)}
frontend admin
  bind 127.0.0.1:{site.admin}
  http-request use-service prometheus-exporter if {{ path /metrics }}
""")
        return [self.equipment["haproxy"], "-db", "-f", config]

    policy = """
  http-request deny unless { method GET POST } { var(txn.token),jwt_payload_query('$.team') -m beg team- }
  http-request deny if { var(txn.token),jwt_payload_query('$.team') -m str team-99 }"""

    @staticmethod
    def gateway(site, kind, algorithm, key, more=""):
        return f"""backend gw-{kind}
  stick-table type string len 64 size 100k expire 60s store http_req_rate(1s)
  http-request set-var(txn.token) http_auth_bearer
  http-request set-var(txn.exp) var(txn.token),jwt_payload_query('$.exp','int')
  http-request set-var(txn.now) date()
  http-request return status 401 unless {{ var(txn.token),jwt_header_query('$.alg') -m str {algorithm} }}
  http-request return status 401 unless {{ var(txn.token),jwt_payload_query('$.iss') -m str {ISSUER} }}
  http-request return status 401 unless {{ var(txn.token),jwt_payload_query('$.aud') -m str {AUDIENCE} }}
  http-request return status 401 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}
  http-request return status 401 unless {{ var(txn.token),jwt_verify("{algorithm}","{key}") -m int 1 }}
  http-request set-var(txn.sub) var(txn.token),jwt_payload_query('$.sub')
  http-request track-sc0 var(txn.sub)
  http-request deny deny_status 429 if {{ sc0_http_req_rate gt {RATE} }}{more}
  http-request set-header X-User %[var(txn.token),jwt_payload_query('$.sub')]
  http-request set-header X-Team %[var(txn.token),jwt_payload_query('$.team')]
  http-request replace-path /gw-{kind}/(.*) /\\1
  server one 127.0.0.1:{site.plain} pool-max-conn 512"""


# ---- Envoy ---------------------------------------------------------------------------------------------------------


class Envoy(Peer):
    name = "envoy"

    def command(self, site):
        config = self.write("envoy.json", json.dumps(envoy_bootstrap(site, self.folder, IDLE_SECONDS)))
        return [self.equipment["envoy"], "--concurrency", "1", "-c", config, "--log-level", "warning",
                "--disable-hot-restart", "--base-id", str(os.getpid())]


KINDS = (Nginx, NginxAsItComes, HaProxy, Postern, PosternSilent, PosternTraced, Envoy)
