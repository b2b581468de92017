//! The fields of a head: one text, and where each name and value stands in it.

use super::twins;
use crate::buffer::Buffer;

/// Header fields in the order they came. Finding one is a walk over the names, of which there are few.
#[derive(Default)]
pub(crate) struct Fields {
    text: Buffer,
    list: Vec<Field>,
}

/// Where a field stands in the text; heads are shorter than 64 KiB. One that was dropped has no name any more, which no
/// other has: it only marks where its line begins.
#[derive(Clone, Copy)]
struct Field {
    name: u16,
    name_len: u16,
    value: u16,
    value_len: u16,
}

impl Field {
    fn is_dropped(self) -> bool {
        self.name_len == 0
    }
}

impl Fields {
    /// The fields of a head that is kept in `text`, given as byte ranges within it.
    pub(super) fn index<'t>(
        text: Buffer,
        head: &'t [u8],
        fields: impl Iterator<Item = (&'t [u8], &'t [u8])>,
    ) -> Option<Self> {
        let start = head.as_ptr() as usize;
        let place = |part: &[u8]| -> Option<(u16, u16)> {
            // A parser may give an empty part from elsewhere.
            let at = if part.is_empty() { 0 } else { (part.as_ptr() as usize).checked_sub(start)? };
            Some((u16::try_from(at).ok()?, u16::try_from(part.len()).ok()?))
        };
        let mut list = Vec::with_capacity(fields.size_hint().0 + 2);
        for (name, value) in fields {
            let ((name, name_len), (value, value_len)) = (place(name)?, place(value)?);
            list.push(Field { name, name_len, value, value_len });
        }
        Some(Self { text, list })
    }

    /// No fields yet, behind a text that is no field; so many of so many bytes will come, or about.
    pub(super) fn behind(text: &str, count: usize, bytes: usize) -> Self {
        let mut fields = Self { text: Buffer::exact(text.len() + bytes), list: Vec::with_capacity(count) };
        fields.text.extend_from_slice(text.as_bytes());
        fields
    }

    /// Adds a field; left out when the text would grow beyond what is told apart.
    pub(crate) fn push(&mut self, name: &str, value: &[u8]) -> bool {
        let start = self.text.len();
        let middle = start + name.len() + 2;
        if middle + value.len() + 2 > usize::from(u16::MAX) {
            return false;
        }
        write_field(&mut self.text, name.as_bytes(), value);
        #[allow(clippy::cast_possible_truncation, reason = "the sum of all fits")]
        self.list.push(Field {
            name: start as u16,
            name_len: name.len() as u16,
            value: middle as u16,
            value_len: value.len() as u16,
        });
        true
    }

    /// Drops fields by their names, as if they had never come.
    pub(super) fn drop_named(&mut self, is_dropped: impl Fn(&[u8]) -> bool) {
        for place in 0..self.list.len() {
            if is_dropped(self.name(self.list[place])) {
                self.list[place].name_len = 0;
            }
        }
    }

    /// Writes the lines of all fields whose name is to be kept, as they came. Neighbours go in one piece.
    pub(crate) fn write_kept(&self, out: &mut Vec<u8>, mut keep: impl FnMut(&[u8]) -> bool) {
        let mut run = 0..0;
        for (place, field) in self.list.iter().enumerate() {
            if !field.is_dropped() && keep(self.name(*field)) {
                let start = usize::from(field.name);
                let end = self.line_end(place);
                if start != run.end {
                    out.extend_from_slice(&self.text[run]);
                    run = start..start;
                }
                run.end = end;
            }
        }
        out.extend_from_slice(&self.text[run]);
    }

    /// Where the line of a field ends: where the next begins, or behind its own CRLF.
    fn line_end(&self, place: usize) -> usize {
        if let Some(next) = self.list.get(place + 1) {
            return usize::from(next.name);
        }
        let field = self.list[place];
        let behind = usize::from(field.value) + usize::from(field.value_len);
        // An empty value may be placed anywhere: look from the name on.
        let from = behind.max(usize::from(field.name) + usize::from(field.name_len));
        memchr::memchr(b'\n', &self.text[from..]).map_or(self.text.len(), |at| from + at + 1)
    }

    /// The text that the fields stand in.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.list.iter().filter(|field| !field.is_dropped()).count()
    }

    /// Every field: name as it came, value without blanks around it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let left = self.list.iter().filter(|field| !field.is_dropped());
        left.map(|field| (self.name(*field), self.value(*field)))
    }

    /// The first value under a name in lower case.
    pub(crate) fn get<'f>(&'f self, name: &str) -> Option<&'f [u8]> {
        let mut fields = self.list.iter();
        fields.find(|field| self.is_named(**field, name)).map(|field| self.value(*field))
    }

    /// Every value under a name in lower case.
    pub(crate) fn all<'f>(&'f self, name: &'f str) -> impl Iterator<Item = &'f [u8]> {
        self.list.iter().filter(|field| self.is_named(**field, name)).map(|field| self.value(*field))
    }

    /// The value under a name in lower case that is there once and has no twin.
    pub(crate) fn only<'f>(&'f self, name: &str) -> Option<&'f [u8]> {
        let mut alike = self.list.iter().filter(|field| twins::reads_as(self.name(**field), name));
        let alone = alike.next().filter(|_| alike.next().is_none())?;
        self.is_named(*alone, name).then(|| self.value(*alone))
    }

    /// Whether something is there that others read as a name in lower case, and that is not spelled so.
    pub(crate) fn has_twin(&self, name: &str) -> bool {
        self.list.iter().any(|field| twins::reads_as(self.name(*field), name) && !self.is_named(*field, name))
    }

    fn is_named(&self, field: Field, name: &str) -> bool {
        usize::from(field.name_len) == name.len() && self.name(field).eq_ignore_ascii_case(name.as_bytes())
    }

    fn name(&self, field: Field) -> &[u8] {
        let start = usize::from(field.name);
        &self.text[start..start + usize::from(field.name_len)]
    }

    fn value(&self, field: Field) -> &[u8] {
        let start = usize::from(field.value);
        &self.text[start..start + usize::from(field.value_len)]
    }
}

/// For tests and tools: names and values as they are.
impl<'a> FromIterator<(&'a str, &'a str)> for Fields {
    fn from_iter<T: IntoIterator<Item = (&'a str, &'a str)>>(pairs: T) -> Self {
        let mut fields = Self::default();
        for (name, value) in pairs {
            fields.push(name, value.as_bytes());
        }
        fields
    }
}

/// A value as text, when it is ASCII without control characters.
pub(crate) fn text(value: &[u8]) -> Option<&str> {
    let plain = value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    plain.then(|| std::str::from_utf8(value).ok()).flatten()
}

/// Writes a field as a line.
pub(crate) fn write_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for part in [name, b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}
