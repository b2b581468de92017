//! What can be wrong with a message: a closed list.

/// Why bytes are no message, or more than one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub(crate) enum Flaw {
    /// A line ends with LF alone.
    #[error("a line ends without CR")]
    BareLf,
    /// The first line is none.
    #[error("the first line is malformed")]
    FirstLine,
    /// The target is neither a path nor an absolute URI, or holds what no target may.
    #[error("the target is malformed")]
    Target,
    /// Not HTTP/1.1 or HTTP/1.0.
    #[error("the version is not HTTP/1.1")]
    Version,
    /// A field line is none.
    #[error("a header line is malformed")]
    Field,
    /// More fields than are told apart.
    #[error("there are too many headers")]
    TooManyFields,
    /// A head that does not end.
    #[error("the head is too large")]
    HeadTooLarge,
    /// A first line that does not end.
    #[error("the first line is too long")]
    FirstLineTooLong,
    /// Both Content-Length and Transfer-Encoding (RFC 9112 §6.1).
    #[error("there are both Content-Length and Transfer-Encoding")]
    TwoFramings,
    /// Content-Length more than once, or no plain number.
    #[error("Content-Length is not one plain number")]
    ContentLength,
    /// Transfer-Encoding more than once, chunked more than once, or in HTTP/1.0.
    #[error("Transfer-Encoding is malformed")]
    TransferEncoding,
    /// A transfer coding other than chunked.
    #[error("Transfer-Encoding is not chunked")]
    TransferCoding,
    /// A chunk that is none.
    #[error("a chunk is malformed")]
    Chunk,
    /// A chunk's first line, or all trailers together, beyond the bound.
    #[error("a chunk's line or the trailers are too long")]
    ChunkTooLong,
}
