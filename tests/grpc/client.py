"""Calls every method of `test.Echo` in every way that matters, through ADDRESS: `client.py ADDRESS AUTHORITY`.
With `no-trailing-metadata` behind it the server is one that cannot send any beside a status.

Ends with an error at the first thing that is not as the contract says.
"""

import queue
import sys
import threading
import time

import grpc

address, authority = sys.argv[1:3]
OPTIONS = [
    ("grpc.default_authority", authority),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),
]
PATIENCE = 60


def connect():
    return grpc.insecure_channel(address, options=OPTIONS)


channel = connect()


def unary(name, channel=channel):
    return channel.unary_unary("/test.Echo/" + name)


def fails(call, *codes):
    try:
        call()
    except grpc.RpcError as error:
        assert error.code() in codes, (error.code(), error.details())
        return error
    raise AssertionError("it did not fail")


def check_unary():
    answer, call = unary("Unary").with_call(b"hello", metadata=(("x-ask", "a"), ("x-bytes-bin", b"\x00\xff")), timeout=PATIENCE)
    assert answer == b"hello"
    first, last = dict(call.initial_metadata()), dict(call.trailing_metadata())
    assert (first["x-answer"], first["x-bytes-bin"]) == ("a", b"\x00\xff"), first
    assert "no-trailing-metadata" in sys.argv or last["x-behind"] == "a", last
    assert "x-request-id" in first
    assert unary("Unary")(b"", timeout=PATIENCE) == b""


def check_streams():
    expand = channel.unary_stream("/test.Echo/Expand")
    assert list(expand(b"1000", timeout=PATIENCE)) == [str(number).encode() for number in range(1000)]
    assert list(expand(b"0", timeout=PATIENCE)) == []
    total = channel.stream_unary("/test.Echo/Total")
    assert total(iter([b"x" * 1000] * 1000), timeout=PATIENCE) == b"1000000"
    assert total(iter([]), timeout=PATIENCE) == b"0"


def check_chat():
    # Each message is asked for only when the one before was answered: neither direction waits for the other's end.
    asked = queue.Queue()
    answers = channel.stream_stream("/test.Echo/Chat")(iter(asked.get, None), timeout=PATIENCE)
    for number in range(100):
        asked.put(b"%d" % number)
        assert next(answers) == b"re: %d" % number
    asked.put(None)
    assert list(answers) == []
    # Much in both directions at once.
    answers = channel.stream_stream("/test.Echo/Chat")((b"y" * 10_000 for _ in range(500)), timeout=PATIENCE)
    assert sum(len(answer) for answer in answers) == 500 * 10_004


def check_errors():
    error = fails(lambda: unary("Fail")(b"", timeout=PATIENCE), grpc.StatusCode.FAILED_PRECONDITION)
    assert error.details() == "100 % no, \u00fcberhaupt nicht", error.details()
    fails(lambda: unary("Missing")(b"", timeout=PATIENCE), grpc.StatusCode.UNIMPLEMENTED)


def cancelled():
    return int(unary("Cancelled")(b"", timeout=PATIENCE))


def until_cancelled(number):
    end = time.monotonic() + PATIENCE
    while cancelled() < number:
        assert time.monotonic() < end, "the server never heard of it"
        time.sleep(0.02)


def check_deadline_and_cancel():
    left = float(unary("Deadline")(b"", timeout=50))
    assert 30 < left < 55, left
    before = cancelled()
    fails(lambda: unary("Sleep")(b"", timeout=0.5), grpc.StatusCode.DEADLINE_EXCEEDED)
    until_cancelled(before + 1)
    call = unary("Sleep").future(b"", timeout=PATIENCE)
    time.sleep(0.3)
    call.cancel()
    begun = time.monotonic()
    until_cancelled(before + 2)
    assert time.monotonic() - begun < 10
    answers = channel.stream_stream("/test.Echo/Chat")(iter(queue.Queue().get, None), timeout=PATIENCE)
    answers.cancel()


def check_large():
    message = bytes(range(256)) * (16 * 1024 * 1024 // 256)
    assert unary("Unary")(message, timeout=PATIENCE) == message


def check_many():
    asked = [queue.Queue() for _ in range(300)]
    channels = [connect() for _ in range(4)]
    calls = [
        channels[at % 4].stream_stream("/test.Echo/Chat")(iter(one.get, None), timeout=PATIENCE)
        for at, one in enumerate(asked)
    ]
    for one in asked:
        one.put(b"a")
    for call in calls:
        assert next(call) == b"re: a"
    for one in asked:
        one.put(b"b")
        one.put(None)
    for call in calls:
        assert list(call) == [b"re: b"]
    for one in channels:
        one.close()


for check in (check_unary, check_streams, check_chat, check_errors, check_deadline_and_cancel, check_large, check_many):
    begun = time.monotonic()
    check()
    print(f"{check.__name__} {time.monotonic() - begun:.2f}s", flush=True)
