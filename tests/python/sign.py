#!/usr/bin/env python3
"""AWS signatures for the tests: made by botocore's signer, verified by what AWS documents, apart from any signer.

    sign.py sign FILE      FILE: [{name, method, url, headers, body, token, presign}] → what to send
    sign.py verify FILE    FILE: [{name, method, target, headers, body, secret, double, normalize}] → [{name, ok, why}]
    sign.py vectors        the published vectors as requests to send

Bodies are hex. Only what arrived is looked at: method, target, headers and body of the request itself.
"""

import hashlib
import hmac
import json
import pathlib
import re
import sys
from urllib.parse import quote, unquote, urlsplit

SECRET = "tests-secret-key"
KEY_ID = "AKIDTESTTESTTEST"
REGION, SERVICE = "eu-west-1", "execute-api"


def sign(cases):
    from botocore.auth import SigV4Auth, SigV4QueryAuth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    signed = []
    for case in cases:
        credentials = Credentials(KEY_ID, SECRET, case.get("token"))
        request = AWSRequest(method=case["method"], url=case["url"], data=bytes.fromhex(case["body"]))
        for name, value in case["headers"]:
            request.headers.add_header(name, value)
        if case["presign"]:
            SigV4QueryAuth(credentials, SERVICE, REGION, expires=300).add_auth(request)
        else:
            SigV4Auth(credentials, SERVICE, REGION).add_auth(request)
        url = urlsplit(request.url)
        signed.append({"name": case["name"], "method": case["method"], "body": case["body"],
                       "target": url.path + (f"?{url.query}" if url.query else ""),
                       "headers": [[name, value] for name, value in request.headers.items()]})
    return signed


def verify(requests):
    return [{"name": request["name"], **judged(request)} for request in requests]


def judged(request):
    headers = [(name.lower(), value) for name, value in request["headers"]]
    path, _, query = request["target"].partition("?")
    pairs = [pair.partition("=")[::2] for pair in query.split("&") if pair]
    authorization = [value for name, value in headers if name == "authorization"]
    if authorization:
        found = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=(\S+), ?SignedHeaders=(\S+), ?Signature=([0-9a-f]{64})",
                             authorization[0])
        if not found or len(authorization) > 1:
            return {"ok": False, "why": f"no signature in {authorization}"}
        credential, names, signature = found.groups()
        date = "".join(value for name, value in headers if name == "x-amz-date")
    else:
        given = {name: unquote(value) for name, value in pairs}
        credential, names = given["X-Amz-Credential"], given["X-Amz-SignedHeaders"]
        signature, date = given["X-Amz-Signature"], given["X-Amz-Date"]
        pairs = [pair for pair in pairs if pair[0] != "X-Amz-Signature"]

    names = names.split(";")
    body = bytes.fromhex(request["body"])
    payload = hashlib.sha256(body).hexdigest()
    announced = [value for name, value in headers if name == "x-amz-content-sha256"]
    if announced and announced != [payload]:
        return {"ok": False, "why": "the body is not what its hash says"}
    canonical = "\n".join([
        request["method"],
        canonical_path(path, request["double"], request["normalize"]),
        "&".join(f"{name}={value}" for name, value in sorted(pairs)),
        *(f"{name}:" + ",".join(" ".join(value.split()) for known, value in headers if known == name) for name in names),
        "",
        ";".join(names),
        payload,
    ])
    scope = credential.split("/", 1)[1]
    to_sign = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + request["secret"]).encode()
    for part in [*scope.split("/"), to_sign]:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    ok = hmac.compare_digest(key.hex(), signature)
    return {"ok": ok, "why": "" if ok else f"the signature does not fit\n{canonical}"}


def canonical_path(path, double, normalize):
    if normalize:
        kept = []
        for part in path.split("/"):
            if part == "..":
                kept = kept[:-1]
            elif part not in ("", "."):
                kept.append(part)
        ends_open = path.endswith(("/", "/.", "/.."))
        path = "/" + "/".join(kept) + ("/" if ends_open and kept else "")
    return quote(path, safe="/-._~") if double else path


def vectors():
    known = json.loads((pathlib.Path(__file__).parent / "sigv4_vectors.json").read_text())
    requests = []
    for vector in known["vectors"]:
        head, _, body = vector["signed_request"].partition("\n\n")
        first, *lines = head.split("\n")
        method, target = first.removesuffix(" HTTP/1.1").split(" ", 1)
        folded = any(line[:1].isspace() for line in lines)
        headers = []
        for line in lines:
            if line[:1].isspace():
                headers[-1][1] += f"\r\n{line}"
            else:
                headers.append(line.split(":", 1))
        requests.append({
            "name": vector["name"], "method": method, "target": target, "headers": headers, "body": body.encode().hex(),
            "secret": known["secret_key"], "double": False, "normalize": vector["normalize"],
            "signature": vector["signature"],
            "valid_http": " " not in target and target.isascii() and not folded,
        })
    return requests


def main():
    command, *files = sys.argv[1:]
    given = json.loads(pathlib.Path(files[0]).read_text()) if files else None
    print(json.dumps({"sign": lambda: sign(given), "verify": lambda: verify(given), "vectors": vectors}[command]()))


if __name__ == "__main__":
    main()
