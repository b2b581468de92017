//! What a client saw and what arrived, held against what was expected.

use super::{Expect, Run, Seen, Way, shown};
use crate::oracle::Message;
use crate::recorder::Arrival;

/// The word for an expectation.
pub(super) fn name_of(expect: &Expect) -> &'static str {
    match expect {
        Expect::Refused => "to be refused",
        Expect::Declined(_) => "to be declined",
        Expect::Broken => "never to arrive whole",
        Expect::Forwarded { .. } => "to be forwarded",
        Expect::Either => "either",
    }
}

/// Whether the router made an answer by itself: the destination says 200 to everything, and why to nothing.
pub(super) fn is_the_routers(answer: &Message) -> bool {
    answer.status != 200 || answer.field("x-postern-reason").is_some()
}

/// An arrival as a line of text.
pub(super) fn told(arrival: &Arrival) -> String {
    match arrival {
        Arrival::Whole(message) => format!("whole: {message:?}").chars().take(800).collect(),
        Arrival::Wrong(bytes, why) => format!("{why} in {}", shown(bytes)),
        Arrival::Cut(bytes) => format!("the beginning {}", shown(bytes)),
    }
}

/// The marks in an arrival, each once.
pub(super) fn marks(arrival: &Arrival) -> Vec<String> {
    let bytes = match arrival {
        Arrival::Whole(message) => {
            let fields: String = message.fields.iter().flat_map(|(_, value)| [value.as_str(), " "]).collect();
            // Not the body: it may speak of anything.
            format!("{} {} {fields}", message.method, message.target).into_bytes()
        }
        Arrival::Wrong(bytes, _) | Arrival::Cut(bytes) => bytes.clone(),
    };
    let is_mark = |window: &&[u8]| window.starts_with(b"mk") && window[2..].iter().all(u8::is_ascii_digit);
    let mut marks: Vec<String> =
        bytes.windows(9).filter(is_mark).map(|window| String::from_utf8_lossy(window).into_owned()).collect();
    marks.sort();
    marks.dedup();
    marks
}

/// What arrived of one run.
#[derive(Default)]
struct Arrived<'a> {
    before: Vec<&'a Message>,
    own: Vec<&'a Message>,
    after: Vec<&'a Message>,
    cut: bool,
    findings: Vec<String>,
}

fn sort(arrivals: &[Arrival]) -> Arrived<'_> {
    let mut arrived = Arrived::default();
    for arrival in arrivals {
        match arrival {
            Arrival::Whole(message) if message.target.contains("/smuggled") => {
                arrived.findings.push(format!("a hidden request arrived, {}", told(arrival)));
            }
            Arrival::Whole(message) if message.target.starts_with("/before/") => arrived.before.push(message),
            Arrival::Whole(message) if message.target.starts_with("/after/") => arrived.after.push(message),
            Arrival::Whole(message) => arrived.own.push(message),
            Arrival::Wrong(..) => arrived.findings.push(format!("the destination got {}", told(arrival))),
            Arrival::Cut(_) => arrived.cut = true,
        }
    }
    for (what, messages) in
        [("it", &arrived.own), ("what came before", &arrived.before), ("what follows", &arrived.after)]
    {
        if messages.len() > 1 {
            arrived.findings.push(format!("{what} arrived {} times", messages.len()));
        }
    }
    arrived
}

/// Everything that is not as it must be.
pub(super) fn judge(run: &Run<'_>, seen: &Seen, arrivals: &[Arrival]) -> Vec<String> {
    let mut arrived = sort(arrivals);
    let mut findings = std::mem::take(&mut arrived.findings);
    if let Some((bytes, why)) = &seen.wrong {
        findings.push(format!("the client got {why} in {}", shown(bytes)));
    }
    let mut answers = seen.answers.iter();
    if run.way == Way::Pipelined {
        let answered =
            answers.next().is_some_and(|answer| is_answer_to(answer, "GET", &format!("/before/{}", run.mark)));
        if arrived.before.len() != 1 || !answered {
            findings.push("what came before it was not answered".to_owned());
        }
    }
    let own = answers.next();
    let behind: Vec<&Message> = answers.collect();
    if !seen.closed && seen.wrong.is_none() && own.is_none() {
        findings.push("neither answered nor closed".to_owned());
    }
    check_own(run, seen, own, &arrived, &mut findings);
    check_behind(run, &behind, &arrived, &mut findings);
    findings
}

fn is_answer_to(answer: &Message, method: &str, target: &str) -> bool {
    let body = if method == "HEAD" { String::new() } else { format!("{method} {target}") };
    answer.status == 200 && answer.body == body.as_bytes()
}

fn check_own(run: &Run<'_>, seen: &Seen, own: Option<&Message>, arrived: &Arrived<'_>, findings: &mut Vec<String>) {
    let mut find = |finding: String| findings.push(finding);
    if let Some(message) = arrived.own.first() {
        if let Some((name, value)) = message.fields.iter().find(|(_, value)| value.contains("forged")) {
            find(format!("{name}: {value} arrived"));
        }
        if let Some((name, value)) = run.case.keeps.filter(|(name, value)| message.field(name) != Some(*value)) {
            find(format!("{name}: {value} did not arrive"));
        }
    }
    let statuses = match run.case.expect {
        Expect::Declined(statuses) => statuses,
        _ => &[],
    };
    let is_refusal = |answer: &Message| match statuses {
        [] => matches!(answer.status, 400..=499 | 501 | 505),
        statuses => statuses.contains(&answer.status),
    };
    let status = own.map(|answer| answer.status);
    match &run.case.expect {
        Expect::Refused | Expect::Declined(_) | Expect::Broken => {
            if !arrived.own.is_empty() {
                find("it arrived".to_owned());
            } else if own.is_some_and(|answer| !is_refusal(answer)) {
                find(format!("answered {}", status.unwrap_or_default()));
            } else if own.is_none() && !statuses.is_empty() {
                find("not answered".to_owned());
            }
            let declined = matches!(run.case.expect, Expect::Declined(_));
            if arrived.cut && !matches!(run.case.expect, Expect::Broken) {
                find("a beginning of it arrived".to_owned());
            }
            if !declined && !seen.closed && seen.wrong.is_none() {
                find("the connection stays open".to_owned());
            }
        }
        Expect::Forwarded { method, target, body } => {
            let (target, body) = (target.replace(super::MARK, &run.mark), super::marked(body, &run.mark));
            match arrived.own.first() {
                None => find(format!("it did not arrive; answered {status:?}")),
                Some(got) if (&got.method, &got.target, &got.body) != (method, &target, &body) => {
                    find(format!("it arrived as {}", told(&Arrival::Whole((*got).clone()))));
                }
                Some(_) if !own.is_some_and(|answer| is_answer_to(answer, method, &target)) => {
                    find(format!("it arrived and was answered {status:?}"));
                }
                Some(_) => {}
            }
        }
        Expect::Either => match (arrived.own.first(), own) {
            (Some(got), Some(answer)) if is_answer_to(answer, &got.method, &got.target) => {}
            (Some(_), _) => find(format!("it arrived and was answered {status:?}")),
            (None, Some(answer)) if !is_refusal(answer) => find(format!("answered {}", answer.status)),
            (None, _) => {}
        },
    }
}

/// What follows on the connection is a request of its own, or is not read.
fn check_behind(run: &Run<'_>, behind: &[&Message], arrived: &Arrived<'_>, findings: &mut Vec<String>) {
    let mut find = |finding: String| findings.push(finding);
    if run.way != Way::Pipelined {
        if let Some(answer) = behind.first() {
            find(format!("a second answer, {}", answer.status));
        }
        return;
    }
    let answered = behind.first().map(|answer| is_answer_to(answer, "GET", &format!("/after/{}", run.mark)));
    if behind.len() > 1 {
        find(format!("{} answers behind its own", behind.len()));
    }
    match &run.case.expect {
        Expect::Refused | Expect::Broken if !behind.is_empty() || !arrived.after.is_empty() => {
            find("what follows it was read as a request".to_owned());
        }
        Expect::Forwarded { .. } if answered != Some(true) || arrived.after.is_empty() => {
            find("what follows it was not answered".to_owned());
        }
        Expect::Either | Expect::Declined(_)
            if answered == Some(false) || answered.is_some() == arrived.after.is_empty() =>
        {
            find(format!("what follows it was answered {:?}", behind.first().map(|answer| answer.status)));
        }
        _ => {}
    }
}
