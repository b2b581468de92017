"""The contract `test.Echo` as another implementation of gRPC serves it: `server.py [CERTIFICATE KEY]`.

Prints its port on one line and serves until it is killed. Messages are plain bytes.
"""

import sys
import threading
from concurrent import futures

import grpc

cancelled = 0
lock = threading.Lock()


def count():
    global cancelled
    with lock:
        cancelled += 1


def meta(context):
    given = dict(context.invocation_metadata())
    context.send_initial_metadata((("x-answer", given.get("x-ask", "none")), ("x-bytes-bin", given.get("x-bytes-bin", b""))))
    context.set_trailing_metadata((("x-behind", given.get("x-ask", "none")),))


def unary(request, context):
    meta(context)
    return request


def expand(request, context):
    meta(context)
    for number in range(int(request)):
        yield str(number).encode()


def total(requests, context):
    return str(sum(len(request) for request in requests)).encode()


def chat(requests, context):
    meta(context)
    for request in requests:
        yield b"re: " + request


def fail(request, context):
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "100 % no, \u00fcberhaupt nicht")


def sleep(request, context):
    woken = threading.Event()
    context.add_callback(woken.set)
    context.add_callback(count)
    woken.wait(60)
    return b""


def seen(request, context):
    return str(cancelled).encode()


def deadline(request, context):
    left = context.time_remaining()
    return b"none" if left is None or left > 1e6 else str(left).encode()


def main():
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=350),
        options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)],
    )
    handlers = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Expand": grpc.unary_stream_rpc_method_handler(expand),
        "Total": grpc.stream_unary_rpc_method_handler(total),
        "Chat": grpc.stream_stream_rpc_method_handler(chat),
        "Fail": grpc.unary_unary_rpc_method_handler(fail),
        "Sleep": grpc.unary_unary_rpc_method_handler(sleep),
        "Cancelled": grpc.unary_unary_rpc_method_handler(seen),
        "Deadline": grpc.unary_unary_rpc_method_handler(deadline),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))
    if len(sys.argv) > 2:
        certificate, key = (open(path, "rb").read() for path in sys.argv[1:3])
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials(((key, certificate),)))
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


main()
