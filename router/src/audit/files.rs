//! The chain on disk: files that are only appended to, in the order of their names.
//!
//! A file is named after its first line's number and is followed by the next when it is full; the chain goes on from
//! one to the other, also across restarts. Assumes that nobody else writes to the directory. Must never know what
//! lines say.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::chain::Link;

/// The longest line that is read back.
const LINE: u64 = 1024 * 1024;

/// A chain that is written.
pub(super) struct Book {
    directory: PathBuf,
    key: Option<Vec<u8>>,
    /// A file that would grow beyond this is followed by another, in bytes.
    most: u64,
    link: Link,
    file: Option<Open>,
}

struct Open {
    file: File,
    /// Up to where it holds whole lines.
    length: u64,
}

impl Book {
    /// Opens a directory, which is made when it is not there, and goes on where its last whole line ends. Says how
    /// many bytes of a line that was cut off were taken away.
    ///
    /// # Errors
    /// When it cannot be read or written to.
    pub(super) fn open(directory: &Path, key: Option<Vec<u8>>, most: u64) -> io::Result<(Self, u64)> {
        std::fs::create_dir_all(directory)?;
        let mut book = Self { directory: directory.to_owned(), key, most, link: Link::first(), file: None };
        let mut cut = 0;
        // A file without a whole line says nothing of where the chain stands.
        for path in files(directory)?.into_iter().rev() {
            let mut file = OpenOptions::new().read(true).append(true).open(path)?;
            let (length, link) = last_line(&mut file)?;
            cut += file.metadata()?.len() - length;
            file.set_len(length)?;
            if let Some(link) = link {
                book.link = link;
                book.file = Some(Open { file, length });
                break;
            }
        }
        Ok((book, cut))
    }

    /// Appends a line. When that fails nothing of it stays, and the chain is as it was.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub(super) fn append(&mut self, fields: &str) -> io::Result<()> {
        let mut link = self.link.clone();
        let line = link.next(fields, self.key.as_deref());
        if self.file.as_ref().is_some_and(|open| open.length > 0 && open.length + line.len() as u64 > self.most) {
            self.close()?;
        }
        let open = match &mut self.file {
            Some(open) => open,
            none => none.insert(create(&self.directory, link.number)?),
        };
        if let Err(error) = open.file.write_all(line.as_bytes()) {
            // Half a line would make the next one unreadable.
            open.file.set_len(open.length)?;
            return Err(error);
        }
        open.length += line.len() as u64;
        self.link = link;
        Ok(())
    }

    /// Makes sure that what was appended outlives the machine's end.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), |open| open.file.sync_data())
    }

    /// Where the chain stands.
    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    fn close(&mut self) -> io::Result<()> {
        self.sync()?;
        self.file = None;
        Ok(())
    }
}

fn create(directory: &Path, number: u64) -> io::Result<Open> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
    let file = options.open(directory.join(format!("audit-{number:012}.jsonl")))?;
    let length = file.metadata()?.len();
    Ok(Open { file, length })
}

/// The chain's files, oldest first.
fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("audit-") && name.ends_with(".jsonl") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Where the last whole line ends, and what it says of the chain.
fn last_line(file: &mut File) -> io::Result<(u64, Option<Link>)> {
    let length = file.metadata()?.len();
    let from = length.saturating_sub(2 * LINE);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(2 * LINE).read_to_end(&mut tail)?;
    let Some(end) = tail.iter().rposition(|byte| *byte == b'\n') else {
        return Ok(if from == 0 { (0, None) } else { (length, None) });
    };
    let start = tail[..end].iter().rposition(|byte| *byte == b'\n').map_or(0, |before| before + 1);
    Ok((from + end as u64 + 1, Link::read(&tail[start..=end])))
}

/// What a chain was found to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verified {
    /// The number of the first line that there is.
    pub(super) first: u64,
    /// The last line.
    pub(super) last: Link,
    /// How many files it lies in.
    pub(super) files: usize,
}

/// Why a chain does not hold.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// It cannot be read.
    #[error("{path}: {error}")]
    Unreadable {
        /// What was read.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// There is none.
    #[error("{0}: holds no audit log (files are named audit-NUMBER.jsonl)")]
    Empty(PathBuf),
    /// The first line that does not hold.
    #[error("{path}:{line}: this line {why}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// Holds every line of every file against the one before.
pub(super) fn verify(directory: &Path, key: Option<&[u8]>) -> Result<Verified, Broken> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |error| Broken::Unreadable { path, error }
    };
    let mut standing: Option<Verified> = None;
    let files = files(directory).map_err(unreadable(directory))?;
    for path in &files {
        let mut reader = BufReader::new(File::open(path).map_err(unreadable(path))?);
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            if (&mut reader).take(LINE).read_until(b'\n', &mut line).map_err(unreadable(path))? == 0 {
                break;
            }
            let broken = |why| Broken::Line { path: path.clone(), line: number, why };
            let before = match &standing {
                Some(verified) => verified.last.clone(),
                None => Link::before(&line).ok_or_else(|| broken("is not whole"))?,
            };
            let last = before.check(&line, key).map_err(broken)?;
            let first = standing.as_ref().map_or(last.number, |verified| verified.first);
            standing = Some(Verified { first, last, files: files.len() });
        }
    }
    standing.ok_or_else(|| Broken::Empty(directory.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(directory: &Path, lines: u64, most: u64) -> Book {
        let (mut book, cut) = Book::open(directory, None, most).unwrap();
        assert_eq!(cut, 0);
        for number in 0..lines {
            book.append(&format!("\"kind\":\"test\",\"at\":{number}")).unwrap();
        }
        book
    }

    #[test]
    fn a_chain_goes_on_over_files_and_restarts() {
        let place = tempfile::tempdir().unwrap();
        for _ in 0..5 {
            filled(place.path(), 20, 1_000);
        }
        let verified = verify(place.path(), None).unwrap();
        assert_eq!((verified.first, verified.last.number), (1, 100));
        let files = files(place.path()).unwrap();
        assert!(files.len() > 5 && verified.files == files.len());
        assert!(files.iter().all(|file| file.metadata().unwrap().len() <= 1_000));
        // What is put away is missed by nobody who is told from where on it holds.
        std::fs::remove_file(&files[0]).unwrap();
        let rest = verify(place.path(), None).unwrap();
        assert!(rest.first > 1 && rest.last == verified.last);
        std::fs::remove_file(&files[2]).unwrap();
        assert!(matches!(verify(place.path(), None), Err(Broken::Line { line: 1, .. })));
    }

    #[test]
    fn half_a_line_is_taken_away_and_the_chain_goes_on() {
        let place = tempfile::tempdir().unwrap();
        filled(place.path(), 3, 10_000);
        let path = files(place.path()).unwrap().remove(0);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"n\":4,\"ki").unwrap();
        assert!(matches!(verify(place.path(), None), Err(Broken::Line { line: 4, why: "is not whole", .. })));
        let (mut book, cut) = Book::open(place.path(), None, 10_000).unwrap();
        assert_eq!(cut, 10);
        book.append("\"kind\":\"test\"").unwrap();
        assert_eq!(verify(place.path(), None).unwrap().last.number, 4);
        // A file that holds nothing else does not hide the one before.
        std::fs::write(place.path().join("audit-000000000005.jsonl"), b"{\"n\":").unwrap();
        let (book, cut) = Book::open(place.path(), None, 10_000).unwrap();
        assert_eq!((book.link().number, cut), (4, 5));
    }

    #[test]
    fn a_line_that_was_changed_is_named() {
        let place = tempfile::tempdir().unwrap();
        filled(place.path(), 10, 10_000);
        let path = files(place.path()).unwrap().remove(0);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("\"at\":6", "\"at\":7")).unwrap();
        let broken = verify(place.path(), None).unwrap_err();
        assert!(broken.to_string().ends_with(":7: this line was changed: its digest does not cover it"), "{broken}");
    }
}
