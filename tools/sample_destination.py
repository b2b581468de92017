#!/usr/bin/env python3
"""A small private API to try Postern with: answers every request with what it received, as JSON.

    python3 tools/sample_destination.py --name orders --port 9001

Standard library only, so that `make demo` and the compose file need nothing else. HTTP/1.1 with kept connections.
"""

import argparse
import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY_LIMIT = 10 * 1024 * 1024


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 120  # of an idle connection: longer than a proxy keeps it, so the proxy is the one to close
    disable_nagle_algorithm = True
    name = "sample"

    def answer(self):
        try:
            body = self.read_body()
        except ValueError as error:
            # What follows on the connection can no longer be told apart.
            self.close_connection = True
            return self.send(400, {"api": self.name, "error": str(error)})
        headers = {}
        for name, value in self.headers.items():
            headers.setdefault(name.lower(), []).append(value)
        return self.send(200, {
            "api": self.name,
            "method": self.command,
            "path": self.path,
            "headers": {name: values[0] if len(values) == 1 else values for name, values in headers.items()},
            "body_bytes": len(body),
            "body": body[:4096].decode("utf-8", "replace"),
        })

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def read_body(self):
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            return self.read_chunks()
        length = self.headers.get("content-length", "0")
        if not length.isdigit() or int(length) > BODY_LIMIT:
            raise ValueError(f"bad content-length {length!r}")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise ValueError("the body ended early")
        return body

    def read_chunks(self):
        body = bytearray()
        while True:
            size = int(self.rfile.readline(1024).split(b";")[0], 16)
            if size < 0 or len(body) + size > BODY_LIMIT:
                raise ValueError("chunked body too long")
            if size == 0:
                while self.rfile.readline(1024) not in (b"\r\n", b"\n", b""):
                    pass  # trailers
                return bytes(body)
            body += self.rfile.read(size)
            if self.rfile.readline(1024) != b"\r\n":
                raise ValueError("chunk not ended by CRLF")

    def send(self, status, fields):
        body = (json.dumps(fields, indent=2) + "\n").encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format, *args):  # noqa: A002 - the base class calls it so
        print(f"{self.name}: {format % args}", flush=True)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        # A client that went away is no news.
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    environment = os.environ
    parser.add_argument("--name", default=environment.get("NAME", "sample"), help="what it calls itself (or NAME)")
    parser.add_argument("--bind", default=environment.get("BIND", "127.0.0.1"), help="address (or BIND)")
    parser.add_argument("--port", type=int, default=int(environment.get("PORT", "9001")), help="0: any free (or PORT)")
    options = parser.parse_args()
    Handler.name = options.name
    try:
        server = Server((options.bind, options.port), Handler)
    except OSError as error:
        sys.exit(f"{options.name}: cannot listen on {options.bind}:{options.port}: {error.strerror}")
    # As PID 1 of a container a signal without a handler is ignored. shutdown() waits for serve_forever to return,
    # so it must not be called on the thread that runs it.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"{options.name}: listening on http://{options.bind}:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
