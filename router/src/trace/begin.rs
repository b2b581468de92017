//! Which trace a request belongs to.
//!
//! Pure: time and randomness are arguments. Nothing is allocated, because every request passes here where traces are on.

use super::w3c::{self, Parent};
use super::xray::{self, Traced};
use super::{SpanId, TraceId};
use crate::http1::Fields;
use crate::snapshot::Chance;

/// A request's trace, and the spans that the router has in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trace {
    pub(super) id: TraceId,
    /// Whether the id is random in the sense of W3C, as far as whoever made it says so.
    pub(super) random: bool,
    /// The span of the request.
    pub(super) request: SpanId,
    /// The span of what a destination was asked; what it is told is its caller.
    pub(super) attempt: SpanId,
    /// The caller's span, where its word is believed.
    pub(super) caller: Option<SpanId>,
    /// Whether a caller that is believed keeps the trace; none where nobody has decided.
    pub(super) decided: Option<bool>,
    /// Whether the request goes on with a trace that a `traceparent` named, so that its `tracestate` belongs to it.
    pub(super) continues_w3c: bool,
}

impl Trace {
    /// Goes on with the trace that a request names where it is `believed`, or begins one. `now` is in seconds after 1970;
    /// `random` gives 128 random bits.
    pub(crate) fn begin(fields: Option<&Fields>, believed: bool, now: i64, mut random: impl FnMut() -> u128) -> Self {
        let (request, attempt) = two_spans(random());
        let fields = fields.filter(|_| believed);
        if let Some(Parent { trace, span, sampled, random }) = fields.and_then(w3c::parent) {
            let (caller, decided) = (Some(span), Some(sampled));
            return Self { id: trace, random, request, attempt, caller, decided, continues_w3c: true };
        }
        if let Some(Traced { trace, parent, sampled }) = fields.and_then(xray::traced) {
            let (caller, decided) = (parent, sampled);
            return Self { id: trace, random: true, request, attempt, caller, decided, continues_w3c: false };
        }
        let id = new_id(now, random());
        Self { id, random: true, request, attempt, caller: None, decided: None, continues_w3c: false }
    }

    /// The trace's id.
    pub(crate) fn id(&self) -> TraceId {
        self.id
    }

    /// Whether the trace is kept: as a caller that is believed has decided, or as its id falls within `share`, so that
    /// all who see the same id and keep the same share keep the same traces.
    pub(crate) fn is_sampled(&self, share: Chance) -> bool {
        #[allow(clippy::cast_possible_truncation, reason = "the last 32 bits are random in either spelling")]
        self.decided.unwrap_or_else(|| share.hits(|| self.id.number() as u32))
    }
}

/// An id whose first 32 bits are the time in seconds, which X-Ray asks for; the others are random, which is what W3C asks
/// for (the last seven bytes).
fn new_id(now: i64, random: u128) -> TraceId {
    let seconds = u128::try_from(now).unwrap_or(0) & 0xffff_ffff;
    // Zero in all of the bits is no id, and as unlikely as anything.
    TraceId::new(seconds << 96 | random >> 32).or(TraceId::new(1)).unwrap_or(LEAST)
}

const LEAST: TraceId = TraceId(std::num::NonZeroU128::MIN);

#[allow(clippy::cast_possible_truncation, reason = "each is one half of the bits")]
fn two_spans(random: u128) -> (SpanId, SpanId) {
    let span = |bits: u64| SpanId::new(bits).unwrap_or(SpanId(std::num::NonZeroU64::MIN));
    (span((random >> 64) as u64), span(random as u64))
}

#[cfg(test)]
mod tests {
    use postern_config::value::Share;

    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const AMZN: &str = "Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8;Sampled=0";

    fn begun(headers: &[(&str, &str)], believed: bool) -> Trace {
        let fields: Fields = headers.iter().copied().collect();
        let mut counter = 0xfeed_0000_0000_0001_0000_0000_0000_0001;
        Trace::begin(Some(&fields), believed, 0x6920_0000, || {
            counter += 1;
            counter
        })
    }

    #[test]
    fn only_who_is_believed_is_gone_on_with() {
        let w3c = begun(&[("traceparent", PARENT), ("x-amzn-trace-id", AMZN)], true);
        assert_eq!(w3c.id.number(), 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!((w3c.caller.map(SpanId::number), w3c.decided), (Some(0xb7ad_6b71_6920_3331), Some(true)));
        let amzn = begun(&[("traceparent", "00-x"), ("x-amzn-trace-id", AMZN)], true);
        assert_eq!(amzn.id.number(), 0x6789_1233_abcd_ef01_2345_6789_1234_5678);
        assert_eq!((amzn.caller.map(SpanId::number), amzn.decided), (Some(0x5399_5c3f_42cd_8ad8), Some(false)));
        for (headers, believed) in [
            (vec![("traceparent", PARENT), ("x-amzn-trace-id", AMZN)], false),
            (vec![("traceparent", "00-x"), ("x-amzn-trace-id", "Root=x")], true),
            (vec![], true),
        ] {
            let new = begun(&headers, believed);
            assert_eq!(new.id.number() >> 96, 0x6920_0000, "the time comes first");
            assert_eq!((new.caller, new.decided, new.continues_w3c), (None, None, false));
            assert_ne!(new.request, new.attempt);
        }
    }

    #[test]
    fn who_sees_the_same_id_decides_the_same() {
        let root = |end: &str| format!("Root=1-67891233-abcdef0123456789{end}");
        let share = |text: &str| Chance::of(text.parse::<Share>().unwrap());
        for (end, kept, at) in [
            ("00000000", true, "0.01%"),
            ("7fffffff", true, "50%"),
            ("80000000", false, "50%"),
            ("ffffffff", true, "100%"),
            ("00000000", false, "0%"),
        ] {
            let trace = begun(&[("x-amzn-trace-id", &root(end))], true);
            assert_eq!(trace.is_sampled(share(at)), kept, "{end} at {at}");
        }
        // What was decided in front stands.
        assert!(begun(&[("traceparent", PARENT)], true).is_sampled(share("0%")));
        assert!(!begun(&[("x-amzn-trace-id", AMZN)], true).is_sampled(share("100%")));
    }
}
