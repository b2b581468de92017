//! As much HTTP/1.1 as a load and its destination need of each other: heads are found and looked through for a status
//! and a length. Nothing here is fit for a stranger's bytes.

use std::io;
use std::path::Path;

use crate::Target;

/// The most that a head may take.
const MOST_HEAD: usize = 32 * 1024;

/// The requests of a load, ready to be written.
pub(crate) fn requests(target: &Target) -> io::Result<Vec<Vec<u8>>> {
    let lines = lines(&target.targets)?;
    let method = if target.post.is_some() { "POST" } else { "GET" };
    let made = lines.iter().map(|line| {
        let mut parts = line.split('\t');
        let path = parts.next().unwrap_or("/");
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: postern-bench/1\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n",
            target.host
        );
        for header in parts {
            head.push_str(header);
            head.push_str("\r\n");
        }
        if let Some(bytes) = target.post {
            head.push_str(&format!("Content-Type: application/octet-stream\r\nContent-Length: {bytes}\r\n"));
        }
        head.push_str("\r\n");
        let mut request = head.into_bytes();
        request.resize(request.len() + target.post.unwrap_or(0), b'x');
        request
    });
    Ok(made.collect())
}

fn lines(path: &Path) -> io::Result<Vec<String>> {
    let text = std::fs::read_to_string(path)?;
    let lines: Vec<String> = text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if lines.is_empty() {
        return Err(io::Error::other(format!("{} holds no target", path.display())));
    }
    Ok(lines)
}

/// Where the head in front of `bytes` ends, its empty line included; `from` is what was looked through before.
pub(crate) fn head_end(bytes: &[u8], from: usize) -> io::Result<Option<usize>> {
    let start = from.saturating_sub(3);
    let found = bytes[start..].windows(4).position(|four| four == b"\r\n\r\n");
    if found.is_none() && bytes.len() > MOST_HEAD {
        return Err(io::Error::other("a head without end"));
    }
    Ok(found.map(|at| start + at + 4))
}

/// The value of a header.
fn value<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    head.split(|byte| *byte == b'\n').skip(1).find_map(|line| {
        let (found, rest) = line.split_at_checked(name.len())?;
        let rest = rest.strip_prefix(b":")?;
        found.eq_ignore_ascii_case(name).then(|| rest.trim_ascii())
    })
}

/// How many bytes follow a head: `None` when it does not say.
pub(crate) fn length(head: &[u8]) -> io::Result<Option<u64>> {
    if value(head, b"transfer-encoding").is_some() {
        return Err(io::Error::other("a body in chunks, which this cannot count"));
    }
    let Some(text) = value(head, b"content-length") else { return Ok(None) };
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| io::Error::other("a length that is no number"))
}

/// Whether the sender of a head ends the connection behind its message.
pub(crate) fn closes(head: &[u8]) -> bool {
    value(head, b"connection").is_some_and(|value| value.eq_ignore_ascii_case(b"close"))
}

/// The status of an answer's head.
pub(crate) fn status(head: &[u8]) -> io::Result<u16> {
    let digits = head.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
    digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| io::Error::other("an answer without a status"))
}

/// The path of a request's head.
pub(crate) fn path(head: &[u8]) -> &[u8] {
    head.split(|byte| *byte == b' ').nth(1).unwrap_or(b"/")
}

#[cfg(test)]
mod tests {
    use super::{closes, head_end, length, path, status};

    #[test]
    fn an_answers_head_is_read() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-LENGTH:  7 \r\nConnection: close\r\n\r\n1234567";
        let end = head_end(answer, 0).unwrap().unwrap();
        assert_eq!(&answer[end..], b"1234567");
        assert_eq!(status(&answer[..end]).unwrap(), 200);
        assert_eq!(length(&answer[..end]).unwrap(), Some(7));
        assert!(closes(&answer[..end]));
    }

    #[test]
    fn a_head_that_comes_in_two_is_found_across_the_seam() {
        assert_eq!(head_end(b"GET /a HTTP/1.1\r\n\r", 0).unwrap(), None);
        assert_eq!(head_end(b"GET /a HTTP/1.1\r\n\r\n", 18).unwrap(), Some(19));
        assert_eq!(path(b"GET /a HTTP/1.1\r\n\r\n"), b"/a");
    }

    #[test]
    fn what_cannot_be_counted_is_an_error() {
        assert!(length(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
        assert!(length(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n").is_err());
        assert_eq!(length(b"HTTP/1.1 200 OK\r\n\r\n").unwrap(), None);
    }
}
