//! `Transfer-Encoding` alone: `chunked` once, in any case, and nothing else (RFC 9112 §6.1 and §7).

use postern_tests::Case;

use super::{FIELDS, TARGET, get, latin, post};

const BODY: &str = "5\r\nhello\r\n0\r\n\r\n";

/// Values that are not `chunked`. Each character is one byte.
const OTHERS: [&str; 46] = [
    "identity", "gzip", "deflate", "compress", "br", "gzip, chunked", "chunked, gzip", "chunked, chunked",
    "identity, chunked", "chunked, identity", "cow, chunked", "chunked;q=1", "chunked;", "chunked; a=b", "\"chunked\"",
    "'chunked'", "chun ked", "chunke", "hunked", "chunkedd", "xchunked", "chunked-x", "chunked=1", "chunked chunked",
    "chunked\tchunked", "chunked\u{0}", "\u{0}chunked", "chunked\u{b}", "\u{b}chunked", "chunked\u{c}",
    "chunked\u{7f}", "chunked\u{80}", "chunked\u{a0}", "\u{a0}chunked", "chun\u{e2}\u{84}\u{aa}ed",
    "\u{ef}\u{bd}\u{83}hunked", "*", "trailers", "0", "", " ", "(chunked)", "chunked(comment)", "chunked/1",
    "Chunked, Chunked", "gzip;q=0, chunked",
];

/// Several fields, or one over several lines.
const SEVERAL: [&str; 14] = [
    "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
    "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
    "transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n",
    "transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n",
    "transfer-encoding: chunked\r\ntransfer-encoding: gzip\r\n",
    "transfer-encoding: chunked\r\ntransfer-encoding:\r\n",
    "transfer-encoding:\r\ntransfer-encoding: chunked\r\n",
    "transfer-encoding: chunked\r\nTransfer-Encoding: Chunked\r\n",
    "transfer-encoding: chunked\r\nx-a: b\r\ntransfer-encoding: chunked\r\n",
    "transfer-encoding:\r\n chunked\r\n",
    "transfer-encoding:\r\n\tchunked\r\n",
    "transfer-encoding: chunked\r\n \r\n",
    "transfer-encoding: gzip,\r\n chunked\r\n",
    "transfer-encoding: chu\r\n nked\r\n",
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for other in OTHERS {
        let fields = format!("transfer-encoding: {other}\r\n");
        let name = other.escape_default();
        cases.push(Case::refused(format!("POST by {name:}"), latin(&post(&fields, BODY))));
        cases.push(Case::refused(format!("GET by {name:}"), latin(&get(&fields))));
    }
    for fields in SEVERAL {
        cases.push(Case::refused(fields.escape_default().to_string(), post(fields, BODY)));
    }
    for (line, fields) in [
        ("HTTP/1.0", "transfer-encoding: chunked\r\n"),
        ("HTTP/1.0", "connection: keep-alive\r\ntransfer-encoding: chunked\r\n"),
        ("HTTP/1.0", "transfer-encoding: chunked\r\ncontent-length: 15\r\n"),
        ("HTTP/1.0", "transfer-encoding: identity\r\n"),
    ] {
        let bytes = format!("POST {TARGET} {line}\r\n{FIELDS}{fields}\r\n{BODY}");
        cases.push(Case::refused(format!("{line} {}", fields.escape_default()), bytes));
    }
    // A list may have empty elements (RFC 9110 §5.6.1.2).
    for value in [",chunked", "chunked,", ", chunked ,"] {
        let fields = format!("transfer-encoding: {value}\r\n");
        cases.push(Case::either(format!("a list {value:?}"), post(&fields, BODY)));
    }
    for fields in [
        "transfer-encoding: chunked\r\n", "transfer-encoding: Chunked\r\n", "TRANSFER-ENCODING: CHUNKED\r\n",
        "Transfer-Encoding: chUnkeD\r\n", "transfer-encoding:chunked\r\n", "transfer-encoding:\tchunked\r\n",
        "transfer-encoding: \t chunked \t \r\n",
    ] {
        let name = fields.escape_default().to_string();
        cases.push(Case::forwarded(name, post(fields, BODY), "POST", TARGET, "hello"));
    }
    cases
}
