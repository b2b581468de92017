//! `traceparent` and `tracestate` (W3C Trace Context, level 2), read as if a stranger had written them.
//!
//! Pure. What is not to the letter of the standard is not there at all. Must never know whom to believe.

use std::borrow::Cow;

use super::hex;
use super::{SpanId, TraceId};
use crate::http1::{Fields, text};

/// The header that names trace and caller.
pub(super) const TRACEPARENT: &str = "traceparent";
/// The header with what other tracing systems add.
pub(super) const TRACESTATE: &str = "tracestate";

/// Flag 0: the caller keeps this trace (§ 3.2.2.5.1).
const SAMPLED: u8 = 0b01;
/// Flag 1: the right-most seven bytes of the trace id are random (§ 3.2.2.5.2).
const RANDOM: u8 = 0b10;
/// How long a header of version 00 is.
pub(super) const LENGTH: usize = 55;

/// The most bytes of `tracestate` that are passed on: what everybody has to pass on at least (§ 3.3.1.5).
const STATE_BYTES: usize = 512;
/// Its most members (§ 3.3.1.1).
const STATE_MEMBERS: usize = 32;

/// What a `traceparent` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parent {
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
    pub(super) sampled: bool,
    pub(super) random: bool,
}

/// The one `traceparent` of a request; two of them are nobody's.
pub(super) fn parent(fields: &Fields) -> Option<Parent> {
    let mut values = fields.all(TRACEPARENT);
    let only = values.next()?;
    if values.next().is_some() { None } else { read(only) }
}

/// `00-TRACE-SPAN-FLAGS`, in lower case (§ 3.2). A later version may add to its end, and begins the same.
fn read(value: &[u8]) -> Option<Parent> {
    let [version, trace, span, flags] = [0..2, 3..35, 36..52, 53..55].map(|place| value.get(place));
    let version = hex::read(version?)?;
    let dashes = [2, 35, 52].iter().all(|at| value.get(*at) == Some(&b'-'));
    let ends = match version {
        0 => value.len() == LENGTH,
        0xff => false,
        _ => value.get(LENGTH).is_none_or(|next| *next == b'-'),
    };
    if !dashes || !ends {
        return None;
    }
    let flags = u8::try_from(hex::read(flags?)?).ok()?;
    Some(Parent {
        trace: TraceId::new(hex::read(trace?)?)?,
        span: SpanId::new(u64::try_from(hex::read(span?)?).ok()?)?,
        sampled: flags & SAMPLED != 0,
        // Version 00 of level 1 has no such flag, and says nothing then.
        random: flags & RANDOM != 0,
    })
}

/// Appends a header of version 00. Flags that nobody knows are not passed on (§ 3.2.2.5.3).
pub(super) fn write(out: &mut Vec<u8>, parent: &Parent) {
    let flags = if parent.sampled { SAMPLED } else { 0 } | if parent.random { RANDOM } else { 0 };
    out.extend_from_slice(b"00-");
    hex::write::<32>(out, parent.trace.number());
    out.push(b'-');
    hex::write::<16>(out, parent.span.number().into());
    out.push(b'-');
    hex::write::<2>(out, flags.into());
}

/// The `tracestate` of a request, when all of it is as the standard has it (§ 3.3.1) and short enough to be passed on.
/// Several headers are one list.
pub(super) fn state(fields: &Fields) -> Option<Cow<'_, str>> {
    let mut values = fields.all(TRACESTATE);
    let first = text(values.next()?)?;
    let mut whole = Cow::Borrowed(first);
    for more in values {
        if whole.len() > STATE_BYTES {
            return None;
        }
        whole = Cow::Owned(format!("{whole},{}", text(more)?));
    }
    is_state(&whole).then_some(whole)
}

fn is_state(whole: &str) -> bool {
    if whole.len() > STATE_BYTES {
        return false;
    }
    let members =
        || whole.split(',').map(|member| member.trim_matches([' ', '\t'])).filter(|member| !member.is_empty());
    let key = |member: &'_ str| member.split_once('=').map_or(0, |(key, _)| key.len());
    let twice = members()
        .enumerate()
        .any(|(index, one)| members().take(index).any(|other| other.get(..key(other)) == one.get(..key(one))));
    (1..=STATE_MEMBERS).contains(&members().count()) && members().all(is_member) && !twice
}

/// `key=value` (§ 3.3.1.3).
fn is_member(member: &str) -> bool {
    let Some((key, value)) = member.split_once('=') else { return false };
    let starts = key.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/@".contains(&byte);
    let is_key = starts && key.len() <= 256 && key.bytes().all(fits) && key.matches('@').count() <= 1;
    let printable = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'=';
    is_key && (1..=256).contains(&value.len()) && value.bytes().all(printable)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_is_to_the_letter_is_read() {
        let with_flags = |sampled, random| {
            let trace = TraceId::new(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c).unwrap();
            Some(Parent { trace, span: SpanId::new(0xb7ad_6b71_6920_3331).unwrap(), sampled, random })
        };
        for (flags, expected) in [
            ("00", with_flags(false, false)),
            ("01", with_flags(true, false)),
            ("02", with_flags(false, true)),
            ("03", with_flags(true, true)),
            ("ff", with_flags(true, true)),
            ("fc", with_flags(false, false)),
        ] {
            assert_eq!(read(format!("{}{flags}", &GOOD[..53]).as_bytes()), expected, "{flags}");
        }
        // A version to come may add to the end.
        for later in [format!("01{}", &GOOD[2..]), format!("fe{}-more-to-come", &GOOD[2..])] {
            assert_eq!(read(later.as_bytes()), with_flags(true, false), "{later}");
        }
    }

    #[test]
    fn what_is_not_to_the_letter_is_not_there() {
        for wrong in [
            String::new(),
            "00".to_owned(),
            GOOD.to_uppercase(),
            GOOD.replace('-', "_"),
            GOOD.replace("-01", "-0"),
            GOOD.replace("-01", "-01-"),
            GOOD.replace("-01", "-01-more"),
            GOOD.replace("-01", "-0g"),
            GOOD.replace("-01", "-+1"),
            format!("{GOOD} "),
            format!("{GOOD},{GOOD}"),
            format!("ff{}", &GOOD[2..]),
            format!("0{GOOD}"),
            format!("0x{}", &GOOD[2..]),
            format!("01{}x", &GOOD[2..]),
            GOOD.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            GOOD.replace("b7ad6b7169203331", &"0".repeat(16)),
            GOOD.replace("0af7", "0AF7"),
            GOOD.replace("0af7", "0a 7"),
            GOOD.replace("0af7", "\u{e4}7"),
        ] {
            assert_eq!(read(wrong.as_bytes()), None, "{wrong}");
        }
        let twice: Fields = [("traceparent", GOOD), ("Traceparent", GOOD)].into_iter().collect();
        assert_eq!(parent(&twice), None);
    }

    #[test]
    fn a_state_is_passed_on_whole_or_not_at_all() {
        let long = format!("a={}", "x".repeat(256));
        let many: Vec<String> = (0..33).map(|number| format!("k{number}=v")).collect();
        for (given, expected) in [
            (vec!["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"], true),
            (vec!["rojo=1", "congo=2"], true),
            (vec!["1a-_*/=v", "t@vendor= !<>"], true),
            (vec!["a=1, ,b=2,"], true),
            (vec![&*long, "b=1"], true),
            (vec![&*many[..32].join(",")], true),
            (vec![""], false),
            (vec![","], false),
            (vec!["a"], false),
            (vec!["=1"], false),
            (vec!["a="], false),
            (vec!["A=1"], false),
            (vec!["a=1,a=2"], false),
            (vec!["a=1", "a=1"], false),
            (vec!["a=1=2"], false),
            (vec!["a@b@c=1"], false),
            (vec!["a=1;b=\u{1}"], false),
            (vec![&*many.join(",")], false),
            (vec![&*format!("{long}x")], false),
            (vec![&*long, &*long.replace('a', "b")], false),
        ] {
            let fields: Fields = given.iter().map(|value| (TRACESTATE, *value)).collect();
            assert_eq!(state(&fields).as_deref(), expected.then_some(&*given.join(",")), "{given:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(trace in 1_u128.., span in 1_u64.., sampled: bool, random: bool) {
            let parent = Parent { trace: TraceId::new(trace).unwrap(), span: SpanId::new(span).unwrap(), sampled, random };
            let mut out = Vec::new();
            write(&mut out, &parent);
            prop_assert_eq!(out.len(), LENGTH);
            prop_assert_eq!(read(&out), Some(parent));
        }

        #[test]
        fn nothing_that_is_read_would_be_written_otherwise(value in "[0-9a-fA-F-]{50,60}|00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]|.{0,80}") {
            if let Some(parent) = read(value.as_bytes()) && value.starts_with("00-") {
                let mut out = Vec::new();
                write(&mut out, &parent);
                prop_assert_eq!(&out[..53], &value.as_bytes()[..53]);
            }
        }

        #[test]
        fn no_state_that_passes_holds_what_could_end_a_line(value in "\\PC{0,600}") {
            let fields: Fields = [(TRACESTATE, &*value)].into_iter().collect();
            if let Some(state) = state(&fields) {
                prop_assert!(state.len() <= STATE_BYTES && state.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')));
            }
        }
    }
}
