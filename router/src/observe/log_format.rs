//! The access log in other forms than JSON with all fields: the same line, shown otherwise.
//!
//! Pure. Must never show what is not in the line.

use std::io::Write;

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// How lines look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// JSON with all fields.
    #[default]
    Whole,
    /// JSON with these fields, in this order.
    Json(Vec<String>),
    /// `field=value`, with these fields, or with all.
    KeyValue(Vec<String>),
    /// What Apache and nginx call combined.
    Combined,
}

impl LogFormat {
    /// Whether `user_agent` and `referer` are asked for, which are in no line otherwise.
    pub(crate) fn wants_agent(&self) -> bool {
        match self {
            Self::Whole => false,
            Self::Json(fields) | Self::KeyValue(fields) => {
                fields.iter().any(|field| matches!(field.as_str(), "user_agent" | "referer"))
            }
            Self::Combined => true,
        }
    }

    /// The line, which is a JSON object, in this form; with its newline.
    pub(crate) fn show(&self, line: &[u8], out: &mut Vec<u8>) {
        let Ok(members) = serde_json::from_slice::<Map<String, Value>>(line) else { return };
        // Writing into memory does not fail.
        match self {
            Self::Whole => out.extend_from_slice(line.trim_ascii_end()),
            Self::Json(fields) => {
                let chosen: Map<String, Value> =
                    fields.iter().filter_map(|name| Some((name.clone(), members.get(name)?.clone()))).collect();
                let _ = serde_json::to_writer(&mut *out, &chosen);
            }
            Self::KeyValue(fields) => {
                let all = members.iter().filter(|_| fields.is_empty()).map(|(name, value)| (name.as_str(), value));
                let chosen = fields.iter().filter_map(|name| Some((name.as_str(), members.get(name)?)));
                for (index, (name, value)) in all.chain(chosen).enumerate() {
                    let gap = if index == 0 { "" } else { " " };
                    let _ = write!(out, "{gap}{name}={}", key_value(value));
                }
            }
            Self::Combined => combined(&members, out),
        }
        out.push(b'\n');
    }
}

/// In quotes when it could be taken for more than one value.
fn key_value(value: &Value) -> String {
    match value {
        Value::String(text)
            if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"=\\".contains(&byte)) =>
        {
            text.clone()
        }
        other => other.to_string(),
    }
}

/// `client - user [time] "request" status bytes "referer" "user agent"`.
fn combined(members: &Map<String, Value>, out: &mut Vec<u8>) {
    let text = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| members.get(name).and_then(Value::as_u64).unwrap_or_default();
    let user = match text("authenticated_by") {
        "" | "none" => "-".to_owned(),
        _ => quoted(text("principal")).replace(' ', "\\x20"),
    };
    let time = OffsetDateTime::parse(text("time"), &Rfc3339).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let format = format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");
    let time = time.format(format).unwrap_or_default();
    let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { quoted(text) };
    let request = format!(
        "{} {} HTTP/{}",
        text("method"),
        text("path"),
        if text("protocol").is_empty() { "1.1" } else { text("protocol") }
    );
    let _ = write!(
        out,
        "{} - {user} [{time}] \"{}\" {} {} \"{}\" \"{}\"",
        or_dash(text("client")),
        quoted(&request),
        number("status"),
        number("bytes_out"),
        or_dash(text("referer")),
        or_dash(text("user_agent")),
    );
}

/// As Apache writes what could end the quotes, or the line.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"time":"2026-11-21T20:10:09.123Z","request_id":"0a","method":"GET","path":"/a\"b","status":200,"principal":"a b","authenticated_by":"jwt:corp","client":"10.0.0.1","bytes_out":7,"user_agent":"x \"y\"\n"}"#;

    fn shown(format: &LogFormat) -> String {
        let mut out = Vec::new();
        format.show(LINE.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_form_shows_the_same_line() {
        let fields = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        for (format, expected) in [
            (LogFormat::Json(fields(&["status", "client", "nothing"])), "{\"status\":200,\"client\":\"10.0.0.1\"}\n".to_owned()),
            (LogFormat::KeyValue(fields(&["status", "path", "principal"])), "status=200 path=\"/a\\\"b\" principal=\"a b\"\n".to_owned()),
            (
                LogFormat::Combined,
                "10.0.0.1 - a\\x20b [21/Nov/2026:20:10:09 +0000] \"GET /a\\\"b HTTP/1.1\" 200 7 \"-\" \"x \\\"y\\\"\\x0a\"\n".to_owned(),
            ),
            (LogFormat::Whole, format!("{LINE}\n")),
        ] {
            assert_eq!(shown(&format), expected);
        }
        let all = shown(&LogFormat::KeyValue(Vec::new()));
        assert!(
            all.starts_with("time=2026-11-21T20:10:09.123Z request_id=0a method=GET") && all.lines().count() == 1,
            "{all}"
        );
    }
}
