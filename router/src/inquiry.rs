//! Questions to the cores about what only they know: which requests came lately.
//!
//! A core answers between two requests; nothing that traffic touches is shared for it. Must never change anything.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

/// How many questions may wait at a core.
const WAITING: usize = 16;
/// How long a core is waited for: one that is this late has other troubles, and the others' answers count.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is asked.
#[derive(Debug, Clone)]
pub(crate) enum Question {
    /// The lines of the request that is called so.
    Request(String),
    /// So many of the last requests that were refused, failed or slow.
    Notable(usize),
}

/// A question on its way.
pub(crate) struct Inquiry {
    question: Question,
    answer: oneshot::Sender<Vec<String>>,
}

/// The ways to the cores, and their ends there.
pub(crate) fn channels(cores: usize) -> (Vec<mpsc::Sender<Inquiry>>, Vec<mpsc::Receiver<Inquiry>>) {
    (0..cores).map(|_| mpsc::channel(WAITING)).unzip()
}

/// What all cores answer, one after the other.
pub(crate) async fn ask(cores: &[mpsc::Sender<Inquiry>], question: &Question) -> Vec<String> {
    let mut lines = Vec::new();
    for core in cores {
        let (answer, answered) = oneshot::channel();
        if core.try_send(Inquiry { question: question.clone(), answer }).is_ok()
            && let Ok(Ok(found)) = tokio::time::timeout(PATIENCE, answered).await
        {
            lines.extend(found);
        }
    }
    lines
}

/// Answers for a core by what it knows, until nobody can ask any more.
pub(crate) async fn answer(mut inquiries: mpsc::Receiver<Inquiry>, known: impl Fn(&Question) -> Vec<String>) {
    while let Some(Inquiry { question, answer }) = inquiries.recv().await {
        // Whoever does not wait any more need not know.
        let _ = answer.send(known(&question));
    }
}
