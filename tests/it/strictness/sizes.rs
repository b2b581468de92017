//! Heads that are too much: too many fields, too large ones, and what has no end.

use postern_tests::Case;

use super::{TARGET, get, with_line};

fn many(fields: usize) -> String {
    // Host and the marker are the first two.
    (2..fields).map(|index| format!("x-{index}: 1\r\n")).collect()
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for fields in [101, 102, 128, 129, 200, 1_000] {
        cases.push(Case::declined(format!("{fields} fields"), get(&many(fields)), &[]));
    }
    for fields in [101, 1_000] {
        let alike = "x-a: 1\r\n".repeat(fields - 2);
        cases.push(Case::declined(format!("{fields} fields, most alike"), get(&alike), &[]));
        let empty = "x-a:\r\n".repeat(fields - 2);
        cases.push(Case::declined(format!("{fields} fields, most empty"), get(&empty), &[]));
        let hosts = "host: api.example.com\r\n".repeat(fields - 2);
        cases.push(Case::declined(format!("{fields} fields, most of them Host"), get(&hosts), &[]));
    }
    for (bytes, fine) in [(32, true), (33, false)] {
        let (name, method) = (format!("a method of {bytes}"), "M".repeat(bytes));
        let line = with_line(&format!("{method} {TARGET} HTTP/1.1"));
        cases.push(match fine {
            true => Case::forwarded(name, line, &method, TARGET, ""),
            false => Case::declined(name, line, &[400]),
        });
    }
    for kib in [25, 32, 64, 128] {
        let long = "a".repeat(kib << 10);
        cases.push(Case::declined(format!("a value of {kib} KiB"), get(&format!("x-a: {long}\r\n")), &[]));
        cases.push(Case::declined(format!("a name of {kib} KiB"), get(&format!("{long}: 1\r\n")), &[]));
        cases.push(Case::declined(format!("a cookie of {kib} KiB"), get(&format!("cookie: a={long}\r\n")), &[]));
        cases.push(Case::declined(
            format!("a method of {kib} KiB"),
            with_line(&format!("{long} {TARGET} HTTP/1.1")),
            &[],
        ));
        let spread: String = (0..kib).map(|index| format!("x-{index}: {}\r\n", "a".repeat(1_024))).collect();
        cases.push(Case::declined(format!("{kib} KiB in pieces"), get(&spread), &[]));
        // Blanks around a value are not of it, and may not count.
        let blanks = get(&format!("x-a:{}1\r\n", " ".repeat(kib << 10)));
        let name = format!("{kib} KiB of blanks");
        cases.push(if kib < 64 { Case::either(name, blanks) } else { Case::declined(name, blanks, &[]) });
        cases.push(Case::refused(format!("{kib} KiB that begin nothing"), format!("{long}\r\n\r\n")));
        let target = format!("GET {TARGET}/{long} HTTP/1.1");
        cases.push(Case::declined(format!("a target of {kib} KiB"), with_line(&target), &[]));
    }
    cases.push(Case::either("a value of 20 KiB", get(&format!("x-a: {}\r\n", "a".repeat(20 << 10)))));
    cases.push(Case::either("a name of 1 KiB", get(&format!("{}: 1\r\n", "a".repeat(1_024)))));
    for fields in [3, 50, 100] {
        cases.push(Case::forwarded(format!("{fields} fields are right"), get(&many(fields)), "GET", TARGET, ""));
    }
    let value = "a".repeat(8 << 10);
    let right = Case::forwarded("a value of 8 KiB is right", get(&format!("x-a: {value}\r\n")), "GET", TARGET, "");
    cases.push(right);
    cases
}
