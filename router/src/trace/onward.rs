//! What the head for a destination says of the trace.
//!
//! Pure. Of what the client said nothing is passed on but a `tracestate` whose trace is gone on with, and what it signed,
//! which goes as it came.

use std::borrow::Cow;

use super::w3c::{self, Parent, TRACEPARENT, TRACESTATE};
use super::xray::{self, AMZN_TRACE_ID};
use super::{Rules, Trace};
use crate::http1::{Fields, write_field};

/// The headers about a trace that are taken off a request, and those that stand there instead.
pub(crate) struct Onward<'r> {
    trace: Trace,
    sampled: bool,
    /// Which are the client's, because it signed them.
    signed: Signed,
    writes_amzn: bool,
    state: Option<Cow<'r, str>>,
}

#[derive(Clone, Copy)]
struct Signed {
    parent: bool,
    state: bool,
    amzn: bool,
}

impl<'r> Onward<'r> {
    /// `is_signed` says whether the client signed a header.
    pub(crate) fn new(
        rules: &Rules,
        trace: Trace,
        sampled: bool,
        fields: &'r Fields,
        is_signed: impl Fn(&str) -> bool,
    ) -> Self {
        let parent = is_signed(TRACEPARENT);
        // A state without its parent would be another's.
        let signed = Signed { parent, state: parent || is_signed(TRACESTATE), amzn: is_signed(AMZN_TRACE_ID) };
        let came = || fields.get(AMZN_TRACE_ID).is_some();
        Self {
            trace,
            sampled,
            signed,
            writes_amzn: !signed.amzn && (rules.always_amzn || came()),
            state: (trace.continues_w3c && !signed.state).then(|| w3c::state(fields)).flatten(),
        }
    }

    /// Whether a client's header does not go on.
    pub(crate) fn takes_off(&self, name: &[u8]) -> bool {
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        match name.len() {
            10 => !self.signed.state && is(TRACESTATE),
            11 => !self.signed.parent && is(TRACEPARENT),
            15 => !self.signed.amzn && is(AMZN_TRACE_ID),
            _ => false,
        }
    }

    /// Appends the router's own.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let Trace { id, attempt, random, .. } = self.trace;
        if !self.signed.parent {
            out.extend_from_slice(b"traceparent: ");
            w3c::write(out, &Parent { trace: id, span: attempt, sampled: self.sampled, random });
            out.extend_from_slice(b"\r\n");
        }
        if let Some(state) = &self.state {
            write_field(out, TRACESTATE.as_bytes(), state.as_bytes());
        }
        if self.writes_amzn {
            out.extend_from_slice(b"x-amzn-trace-id: ");
            xray::write(out, id, attempt, self.sampled);
            out.extend_from_slice(b"\r\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use postern_config::value::Share;

    use super::*;
    use crate::snapshot::Chance;
    use crate::trace::Believed;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const AMZN: &str = "Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8;Sampled=0";
    const OURS: &str = "-0000000000000002-";

    /// What goes on of these headers: the client's, and then the router's.
    fn onward(headers: &[(&str, &str)], believed: bool, always_amzn: bool, signed: &[&str]) -> String {
        let fields: Fields = headers.iter().copied().collect();
        let (share, slow) = (Chance::of(Share::ALL), Duration::from_secs(1));
        let rules = Rules { share, slow, believed: Believed::All, always_amzn };
        let trace = Trace::begin(Some(&fields), believed, 0x1111_1111, || 1 << 64 | 2);
        let onward = Onward::new(&rules, trace, rules.keeps(&trace, None), &fields, |name| signed.contains(&name));
        let mut out = Vec::new();
        fields.write_kept(&mut out, |name| !onward.takes_off(name));
        onward.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_destination_is_told_the_routers_span_and_nothing_that_a_stranger_said() {
        let new = "traceparent: 00-11111111000000000000000100000000-0000000000000002-03\r\n";
        let amzn = "x-amzn-trace-id: Root=1-11111111-000000000000000100000000;Parent=0000000000000002;Sampled=1\r\n";
        let all = [("Traceparent", PARENT), ("TraceState", "a=1"), ("X-Amzn-Trace-Id", AMZN), ("x-other", "1")];
        assert_eq!(onward(&all, false, false, &[]), format!("x-other: 1\r\n{new}{amzn}"));
        assert_eq!(onward(&[], false, false, &[]), new);
        assert_eq!(onward(&[], false, true, &[]), format!("{new}{amzn}"));
        for odd in ["00-x", "", "00-00000000000000000000000000000000-b7ad6b7169203331-01"] {
            assert_eq!(onward(&[("traceparent", odd), ("tracestate", "a=1")], true, false, &[]), new, "{odd}");
        }
    }

    #[test]
    fn what_is_believed_is_bridged_both_ways() {
        let both = [("traceparent", PARENT), ("tracestate", "a=1"), ("x-amzn-trace-id", AMZN)];
        assert_eq!(
            onward(&both, true, false, &[]),
            "traceparent: 00-0af7651916cd43dd8448eb211c80319c-0000000000000002-01\r\ntracestate: a=1\r\n\
             x-amzn-trace-id: Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=0000000000000002;Sampled=1\r\n"
        );
        assert_eq!(
            onward(&[("x-amzn-trace-id", AMZN), ("tracestate", "a=1")], true, false, &[]),
            "traceparent: 00-67891233abcdef012345678912345678-0000000000000002-02\r\n\
             x-amzn-trace-id: Root=1-67891233-abcdef012345678912345678;Parent=0000000000000002;Sampled=0\r\n"
        );
        let odd_state = [("traceparent", PARENT), ("tracestate", "a=1,a=2")];
        assert!(!onward(&odd_state, true, false, &[]).contains("tracestate"));
    }

    #[test]
    fn what_the_client_signed_goes_as_it_came() {
        let all = [("traceparent", PARENT), ("tracestate", "a=1"), ("x-amzn-trace-id", AMZN)];
        let whole = onward(&all, false, true, &["traceparent", "tracestate", "x-amzn-trace-id"]);
        assert_eq!(whole, format!("traceparent: {PARENT}\r\ntracestate: a=1\r\nx-amzn-trace-id: {AMZN}\r\n"));
        let parent = onward(&all, false, false, &["traceparent"]);
        assert!(parent.contains(PARENT) && parent.contains("tracestate: a=1") && !parent.contains(AMZN), "{parent}");
        let amzn = onward(&all, false, true, &["x-amzn-trace-id"]);
        assert!(amzn.contains(AMZN) && amzn.contains(OURS) && !amzn.contains("tracestate"), "{amzn}");
        assert_eq!(amzn.matches("x-amzn-trace-id").count(), 1);
        // That there is none can be signed as well.
        let absent = onward(&[], false, true, &["x-amzn-trace-id"]);
        assert!(absent.contains(OURS) && !absent.contains("x-amzn-trace-id"), "{absent}");
    }
}
