//! Colour for people at a terminal.
//!
//! Owns which words of a text are coloured, and how. Takes a text that is finished and puts nothing into it but colour, so
//! without colour it is the same to the byte. Must never know what a text is about beyond the words that stand in it.

use std::fmt::Write as _;

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use clap::ColorChoice;

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const DOUBT: Style = AnsiColor::Yellow.on_default();
const NAME: Style = AnsiColor::Cyan.on_default();
const STRONG: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();

/// How wide the first column of an explanation is.
const STAGE: usize = 12;

/// From now on colour is as was asked for: by `--color`, else by `NO_COLOR` and whether standard output is a terminal.
pub(super) fn choose(choice: ColorChoice) {
    let choice = match choice {
        ColorChoice::Auto => anstream::ColorChoice::Auto,
        ColorChoice::Always => anstream::ColorChoice::Always,
        ColorChoice::Never => anstream::ColorChoice::Never,
    };
    choice.write_global();
}

/// The text, painted line by line where there is to be colour.
pub(super) fn painted(text: &str, line: fn(&str) -> String) -> String {
    match AutoStream::choice(&std::io::stdout()) {
        anstream::ColorChoice::Never => text.to_owned(),
        _ => lines(text, line),
    }
}

fn lines(text: &str, line: fn(&str) -> String) -> String {
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

fn paint(style: Style, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{style}{text}{style:#}") }
}

/// A line of `explain`.
pub(super) fn explained(line: &str) -> String {
    let is_step =
        line.get(..STAGE).is_some_and(|front| front.ends_with(' ')) && line.starts_with(|c: char| c.is_lowercase());
    if is_step && !line.split(' ').next().unwrap_or_default().ends_with(':') {
        let (stage, verdict) = line.split_at(STAGE);
        if stage.trim() == "refused" {
            return paint(BAD, line);
        }
        let style = match verdict {
            _ if verdict.contains(" would refuse") => DOUBT,
            _ if verdict.contains(" refuses") => BAD,
            _ if verdict.contains("is passed over") || verdict.contains("comes after it") => FAINT,
            _ => Style::new(),
        };
        return format!(
            "{}{}",
            paint(NAME, stage),
            if style == Style::new() { verdict.to_owned() } else { paint(style, verdict) }
        );
    }
    match line.split_once(": ") {
        Some((name, value)) if !name.contains(' ') => format!("{}: {value}", paint(FAINT, name)),
        _ => paint(STRONG, line),
    }
}

/// A line of `doctor`.
pub(super) fn diagnosed(line: &str) -> String {
    let word = line.split(' ').next().unwrap_or_default();
    let style = match word {
        "ok" | "nothing" => GOOD,
        "failed" | "look" => BAD,
        "unclear" => DOUBT,
        "skipped" => FAINT,
        _ => return paint(STRONG, line),
    };
    if matches!(word, "nothing" | "look" | "skipped") {
        return paint(style, line);
    }
    let rest = &line[word.len()..];
    let mut out = paint(style, word);
    match rest.rsplit_once("; do: ") {
        // Writing to a string cannot fail.
        Some((found, remedy)) => _ = write!(out, "{found}; {}: {remedy}", paint(NAME, "do")),
        None => out.push_str(rest),
    }
    out
}

/// A line of `why`: a request, what is known of it, or one request among others.
pub(super) fn remembered(line: &str) -> String {
    let status = |text: &str| match text.as_bytes() {
        [b'5', ..] => BAD,
        [b'4', ..] => DOUBT,
        _ => GOOD,
    };
    if let Some(rest) = line.strip_prefix("  ") {
        let at = rest.find("  ").unwrap_or_else(|| rest.len().min(STAGE));
        let (label, value) = rest.split_at(at);
        let style = if label == "do" { GOOD } else { FAINT };
        return format!("  {}{value}", paint(style, label));
    }
    if let Some((asked, answer)) = line.split_once(" → ") {
        return format!("{} → {}", paint(STRONG, asked), paint(status(answer), answer));
    }
    // Time, id, status: each behind two blanks.
    let mut parts = line.splitn(3, "  ");
    match (parts.next(), parts.next(), parts.next()) {
        (Some(time), Some(id), Some(rest)) if rest.len() >= 3 && rest.is_char_boundary(3) => {
            let (code, rest) = rest.split_at(3);
            format!("{}  {id}  {}{rest}", paint(FAINT, time), paint(status(code), code))
        }
        _ => line.to_owned(),
    }
}

/// A line of `diff`.
pub(super) fn changed(line: &str) -> String {
    let weaker = |text: &str| {
        let front = text.strip_suffix("[weaker]").map(|front| (front, BAD, "[weaker]"));
        match front.or_else(|| text.strip_suffix("[weaker?]").map(|front| (front, DOUBT, "[weaker?]"))) {
            Some((front, style, mark)) => (front.to_owned(), paint(style, mark)),
            None => (text.to_owned(), String::new()),
        }
    };
    let (front, mark) = weaker(line);
    let style = match front.as_bytes() {
        [b'+', b' ', ..] => GOOD,
        [b'-' | b'!', b' ', ..] => BAD,
        [b'~', b' ', ..] => DOUBT,
        _ if front.starts_with("generation ") => STRONG,
        _ => return format!("{front}{mark}"),
    };
    format!("{}{mark}", paint(style, &front))
}

/// A line of `status`.
pub(super) fn reported(line: &str) -> String {
    match (line.starts_with("  ! "), line.split_once("  ")) {
        (true, _) => paint(BAD, line),
        (_, Some((admin, rest))) => format!("{}  {rest}", paint(STRONG, admin)),
        _ => paint(STRONG, line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts of every command, and what somebody else may have written into one.
    const TEXTS: [&str; 6] = [
        "match        /a#b answers, of team\nauthorize    demand refuses: no\nrefused      role_missing: x\n\nGET /a\nhost: b",
        "ok       name     x is y\nfailed   tls      tls_expired: z; do: renew it; do: it soon\nskipped  iam      -\n\nlook at tls first",
        "GET api/a → 502 tls_expired\n  at           now, generation 1\n  do           renew it",
        "2026-11-21T12:00:00Z  0f1e  404 route_not_found  1 ms  GET api /a  ",
        "+ added /a#b (team)\n- removed /c#d\n~ changed /e#f\n    policies.x: 1 → 2  [weaker]\n    y: z  [weaker?]\ngeneration 1 → 2: all",
        "127.0.0.1:9901  generation 1 since then\n  ! stale\n\u{1b}[2Jwhat: ärger  ü\n  \n   \n",
    ];

    #[test]
    fn paint_puts_nothing_into_a_text_but_colour() {
        for line in [explained, diagnosed, remembered, changed, reported] {
            for text in TEXTS {
                let painted = lines(text, line);
                // What the text brings of its own stays, and is taken off both here.
                let strip = |text: &str| anstream::adapter::strip_str(text).to_string();
                assert_eq!(strip(&painted), strip(text), "{text:?}");
            }
        }
    }

    #[test]
    fn what_is_wrong_is_red() {
        let red = |text: &str| text.contains(&BAD.to_string());
        assert!(red(&explained("refused      role_missing: x")) && !red(&explained("match        /a#b answers")));
        assert!(red(&diagnosed("failed   tls      x; do: y")) && !red(&diagnosed("ok       tls      x")));
        assert!(red(&remembered("GET api/a → 502 tls_expired")) && !red(&remembered("GET api/a → 200 ")));
        assert!(red(&changed("    x: 1 → 2  [weaker]")) && !red(&changed("+ added /a#b")));
        assert!(red(&reported("  ! stale")) && !red(&reported("127.0.0.1:9901  generation 1")));
    }
}
