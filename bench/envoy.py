"""Envoy's configuration, which is a tree of messages with long names.

Owns: the bootstrap for the same job as the other peers', as JSON. Routes stand in a matcher tree: a plain list is
looked through from the top and would take most of the time at 10 000 routes.
Must never know: processes.
"""

import json

from material import AUDIENCE, GATEWAYS, HOST, ISSUER

TYPE = "type.googleapis.com/"
MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"


def typed(name, **fields):
    return {"@type": TYPE + name, **fields}


def envoy_bootstrap(site, folder, idle):
    return {
        "admin": {"address": address(site.admin)},
        "static_resources": {
            "listeners": [listener("plain", site.front, site, folder, idle, None),
                          listener("tls", site.front_tls, site, folder, idle, front_tls(site)),
                          listener("h2c", site.front_h2c, site, folder, idle, None)],
            "clusters": [cluster("plain", site.plain, idle, None), cluster("secure", site.tls, idle, back_tls(site))],
        },
        # Defaults would refuse what the memory workload opens.
        "layered_runtime": {"layers": [{"name": "static", "static_layer": {
            "overload": {"global_downstream_max_connections": 50_000}}}]},
    }


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def listener(name, port, site, folder, idle, transport):
    chain = {"filters": [{"name": "http", "typed_config": manager(name, site, folder, idle)}]}
    if transport:
        chain["transport_socket"] = transport
    return {"name": name, "address": address(port), "filter_chains": [chain]}


def manager(name, site, folder, idle):
    log = typed("envoy.extensions.access_loggers.file.v3.FileAccessLog", path=f"{folder}/access.log", log_format={
        "json_format": {"time": "%START_TIME%", "request_id": "%REQ(X-REQUEST-ID)%", "method": "%REQ(:METHOD)%",
                        "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "host": "%REQ(:AUTHORITY)%",
                        "path": "%REQ(:PATH)%", "protocol": "%PROTOCOL%", "status": "%RESPONSE_CODE%",
                        "sent": "%BYTES_SENT%", "received": "%BYTES_RECEIVED%", "total": "%DURATION%",
                        "upstream": "%UPSTREAM_HOST%", "agent": "%REQ(USER-AGENT)%"}})
    return typed(
        MANAGER, stat_prefix=name, codec_type="AUTO", route_config=routes(site), use_remote_address=True,
        access_log=[{"name": "file", "typed_config": log}], request_headers_timeout="10s",
        stream_idle_timeout="60s", common_http_protocol_options={"idle_timeout": f"{idle}s"},
        http_filters=[
            {"name": "jwt", "typed_config": tokens(site)},
            {"name": "router", "typed_config": typed("envoy.extensions.filters.http.router.v3.Router")}])


def routes(site):
    """Names of requests and where they lead; the gateways' prefix is taken off."""
    table = {f"/svc-{n}/": target("plain") for n in range(site.routes)}
    table["/tls/"] = target("secure")
    for kind in GATEWAYS:
        table[f"/gw-{kind}/"] = target("plain", prefix=f"/gw-{kind}/", prefix_rewrite="/")
    found = {prefix: {"action": {"name": "route", "typed_config": route}} for prefix, route in table.items()}
    path = typed("envoy.type.matcher.v3.HttpRequestHeaderMatchInput", header_name=":path")
    tree = {"input": {"name": "path", "typed_config": path}, "prefix_match_map": {"map": found}}
    host = {"name": "host", "domains": [HOST], "matcher": {"matcher_tree": tree},
            "request_headers_to_remove": ["forwarded"],
            "request_headers_to_add": [{"header": {"key": "x-forwarded-host", "value": HOST},
                                        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}]}
    return {"name": "routes", "virtual_hosts": [host]}


def target(cluster_name, prefix="/", **action):
    return typed("envoy.config.route.v3.Route", match={"prefix": prefix},
                 route={"cluster": cluster_name, "timeout": "35s", "host_rewrite_literal": "localhost", **action})


def tokens(site):
    providers, rules = {}, []
    for kind, issuer in GATEWAYS.items():
        providers[kind] = {
            "issuer": ISSUER, "audiences": [AUDIENCE],
            "local_jwks": {"inline_string": json.dumps(site.material.jwks(issuer))},
            "forward": True,
            "claim_to_headers": [{"header_name": "x-user", "claim_name": "sub"},
                                 {"header_name": "x-team", "claim_name": "team"}]}
        rules.append({"match": {"prefix": f"/gw-{kind}/"}, "requires": {"provider_name": kind}})
    return typed("envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication", providers=providers, rules=rules)


def cluster(name, port, idle, transport):
    options = typed("envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    common_http_protocol_options={"idle_timeout": f"{idle}s"},
                    explicit_http_config={"http_protocol_options": {}})
    made = {
        "name": name, "connect_timeout": "2s", "type": "STATIC",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
        "load_assignment": {"cluster_name": name, "endpoints": [
            {"lb_endpoints": [{"endpoint": {"address": address(port)}}]}]},
    }
    if transport:
        made["transport_socket"] = transport
    return made


def file_at(path):
    return {"filename": path}


def front_tls(site):
    path = site.material.path
    shared = {"tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
              "alpn_protocols": ["h2", "http/1.1"],
              "tls_certificates": [{"certificate_chain": file_at(path("leaf.pem")),
                                    "private_key": file_at(path("leaf.key"))}]}
    return {"name": "tls", "typed_config": typed(
        "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", common_tls_context=shared)}


def back_tls(site):
    named = [{"san_type": "DNS", "matcher": {"exact": "localhost"}}]
    shared = {"tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
              "validation_context": {"trusted_ca": file_at(site.material.path("ca.pem")),
                                     "match_typed_subject_alt_names": named}}
    return {"name": "tls", "typed_config": typed(
        "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", sni="localhost", common_tls_context=shared)}
