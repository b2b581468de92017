//! `X-Amzn-Trace-Id`, as load balancers, API Gateway and X-Ray write it (AWS X-Ray Developer Guide, "Tracing header"),
//! and its bridge to W3C's ids: both have 128 bits, which stand in another form.
//!
//! Pure. Must never know whom to believe.

use super::hex;
use super::{SpanId, TraceId};
use crate::http1::Fields;

/// The header.
pub(super) const AMZN_TRACE_ID: &str = "x-amzn-trace-id";

/// The most bytes that are looked at; a load balancer takes 500.
const BYTES: usize = 512;

/// What such a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Traced {
    pub(super) trace: TraceId,
    /// None behind a load balancer, which names a trace and keeps no span.
    pub(super) parent: Option<SpanId>,
    /// None where nobody has decided.
    pub(super) sampled: Option<bool>,
}

/// The one header of a request; two of them are nobody's.
pub(super) fn traced(fields: &Fields) -> Option<Traced> {
    let mut values = fields.all(AMZN_TRACE_ID);
    let only = values.next()?;
    if values.next().is_some() { None } else { read(only) }
}

/// `Root=1-SECONDS-RANDOM;Parent=SPAN;Sampled=0|1|?`, in any order, with words of others between (`Self`, `Lineage`).
fn read(value: &[u8]) -> Option<Traced> {
    if value.len() > BYTES {
        return None;
    }
    let (mut root, mut parent, mut sampled) = (None, None, None);
    for word in value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii).filter(|word| !word.is_empty()) {
        let at = word.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (&word[..at], &word[at + 1..]);
        // Which of two would be meant, nobody knows.
        let second = match name {
            b"Root" => root.replace(read_root(value)?).is_some(),
            b"Parent" => parent.replace(read_span(value)?).is_some(),
            b"Sampled" => sampled.replace(read_decision(value)?).is_some(),
            _ => false,
        };
        if second {
            return None;
        }
    }
    Some(Traced { trace: root?, parent, sampled: sampled.flatten() })
}

/// `1-8 digits-24 digits`.
fn read_root(value: &[u8]) -> Option<TraceId> {
    let well_formed = value.len() == 35 && value.starts_with(b"1-") && value[10] == b'-';
    let number = |place: &[u8]| hex::read(place);
    let number = well_formed.then(|| Some(number(&value[2..10])? << 96 | number(&value[11..])?)).flatten()?;
    TraceId::new(number)
}

fn read_span(value: &[u8]) -> Option<SpanId> {
    let number = (value.len() == 16).then(|| hex::read(value)).flatten()?;
    SpanId::new(u64::try_from(number).ok()?)
}

/// `?` asks whoever comes next to decide.
fn read_decision(value: &[u8]) -> Option<Option<bool>> {
    match value {
        b"0" => Some(Some(false)),
        b"1" => Some(Some(true)),
        b"?" => Some(None),
        _ => None,
    }
}

/// Appends what a destination is told.
pub(super) fn write(out: &mut Vec<u8>, trace: TraceId, span: SpanId, sampled: bool) {
    out.extend_from_slice(b"Root=1-");
    hex::write::<8>(out, trace.number() >> 96);
    out.push(b'-');
    hex::write::<24>(out, trace.number());
    out.extend_from_slice(b";Parent=");
    hex::write::<16>(out, span.number().into());
    out.extend_from_slice(if sampled { b";Sampled=1" } else { b";Sampled=0" });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROOT: &str = "Root=1-67891233-abcdef012345678912345678";

    #[test]
    fn the_forms_that_aws_writes_are_read() {
        let trace = TraceId::new(0x6789_1233_abcd_ef01_2345_6789_1234_5678).unwrap();
        let parent = SpanId::new(0x5399_5c3f_42cd_8ad8);
        let told = |parent, sampled| Some(Traced { trace, parent, sampled });
        for (value, expected) in [
            (ROOT.to_owned(), told(None, None)),
            (format!("{ROOT};Parent=53995c3f42cd8ad8;Sampled=1"), told(parent, Some(true))),
            (
                format!("{ROOT};Parent=53995c3f42cd8ad8;Sampled=0;Lineage=a87bd80c:1|68fd508a:5"),
                told(parent, Some(false)),
            ),
            (format!("Self=1-67891234-12456789abcdef012345678;{ROOT}"), told(None, None)),
            (format!("Sampled=?; {ROOT} ; CalledFrom=app;"), told(None, None)),
        ] {
            assert_eq!(read(value.as_bytes()), expected, "{value}");
        }
    }

    #[test]
    fn what_has_no_reading_or_two_is_not_there() {
        for value in [
            String::new(),
            "Sampled=1".to_owned(),
            "Root=".to_owned(),
            "root=1-67891233-abcdef012345678912345678".to_owned(),
            ROOT.to_uppercase(),
            ROOT.replace("1-", "2-"),
            ROOT.replace("abcdef", "ABCDEF"),
            ROOT.replace('-', ""),
            format!("{ROOT}0"),
            ROOT[..ROOT.len() - 1].to_owned(),
            "Root=1-00000000-000000000000000000000000".to_owned(),
            format!("{ROOT};{ROOT}"),
            format!("{ROOT};Parent=0000000000000000"),
            format!("{ROOT};Parent=53995c3f42cd8ad"),
            format!("{ROOT};Parent="),
            format!("{ROOT};Sampled=2"),
            format!("{ROOT};Sampled=true"),
            format!("{ROOT};Sampled=1;Sampled=1"),
            format!("{ROOT};word"),
            format!("{ROOT},Sampled=1"),
            format!("{ROOT};x={}", "y".repeat(BYTES)),
        ] {
            assert_eq!(read(value.as_bytes()), None, "{value}");
        }
        let twice: Fields = [(AMZN_TRACE_ID, ROOT), ("X-Amzn-Trace-Id", ROOT)].into_iter().collect();
        assert_eq!(traced(&twice), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(trace in 1_u128.., span in 1_u64.., sampled: bool) {
            let (trace, span) = (TraceId::new(trace).unwrap(), SpanId::new(span).unwrap());
            let mut out = Vec::new();
            write(&mut out, trace, span, sampled);
            prop_assert_eq!(read(&out), Some(Traced { trace, parent: Some(span), sampled: Some(sampled) }));
        }

        #[test]
        fn no_bytes_are_too_odd(value in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = read(&value);
        }
    }
}
