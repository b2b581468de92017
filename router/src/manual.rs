//! What `docs/reasons.md` says of a reason: the page that people read is the one that the commands tell from.

/// An entry of the page.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Entry {
    /// Whose move it is.
    pub(crate) fault: &'static str,
    /// Why it came to this.
    pub(crate) cause: String,
    /// What to do.
    pub(crate) remedy: String,
}

const PAGE: &str = include_str!("../../docs/reasons.md");

/// The entry of a reason, by its code.
pub(crate) fn entry(code: &str) -> Option<Entry> {
    let (_, rest) = PAGE.split_once(&format!("\n### `{code}`\n"))?;
    let text = rest.split("\n#").next()?;
    let (first, rest) = text.trim().split_once('\n')?;
    let (_, fault) = first.split_once("fault: ")?;
    let (cause, remedy) = rest.split_once("**Do.**")?;
    let cause = cause.trim().strip_prefix("**Cause.**")?;
    Some(Entry { fault, cause: in_one_line(cause), remedy: in_one_line(remedy) })
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reject::Reason;

    #[test]
    fn there_is_an_entry_for_every_reason() {
        for reason in Reason::all() {
            let entry = entry(reason.code()).unwrap_or_else(|| panic!("{}", reason.code()));
            assert!(["client", "destination", "configuration", "router"].contains(&entry.fault), "{entry:?}");
            assert!(entry.cause.len() > 10 && entry.remedy.len() > 10, "{entry:?}");
        }
        assert_eq!(entry("nothing"), None);
    }
}
