//! One direction of a tunnel: what is read from one side is written to the other, and only then is more read.
//!
//! Owns one buffer, which is there only while bytes are on their way, and the place in the frame that was last
//! written. Must never know which side it leads to, or time.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::poll_read_buf;

use crate::buffer::Buffer;
use crate::websocket::Frames;

/// Which end of it broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// The side that is read.
    From,
    /// The side that is written.
    To,
}

/// One direction.
pub(super) struct Way {
    buffer: Buffer,
    sent: usize,
    /// Of what was written.
    frames: Frames,
    unflushed: bool,
    over: bool,
    /// How many bytes were written.
    pub(super) passed: u64,
}

/// The last frame on a way, and how far it is.
pub(super) struct Parting {
    frame: Vec<u8>,
    step: Step,
}

enum Step {
    /// What has begun is brought to its end.
    EndFrame,
    /// The last frame goes out.
    Say,
    /// Nothing more will be written.
    Close,
    Done,
}

impl Parting {
    /// A goodbye with this frame.
    pub(super) fn new(frame: &[u8]) -> Self {
        Self { frame: frame.to_vec(), step: Step::EndFrame }
    }
}

impl Way {
    /// With bytes that were read already.
    pub(super) fn new(buffer: Buffer) -> Self {
        Self { buffer, sent: 0, frames: Frames::default(), unflushed: false, over: false, passed: 0 }
    }

    /// Whether nothing more will pass.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Whether a frame that says goodbye has passed.
    pub(super) fn has_said_goodbye(&self) -> bool {
        self.frames.has_said_goodbye() && self.frames.is_between()
    }

    /// Passes on what there is; ready, once, when no more will come and all of it is written. Pending from then on.
    pub(super) fn poll<F, T>(&mut self, context: &mut Context<'_>, from: &mut F, to: &mut T) -> Poll<Result<(), Broken>>
    where
        F: AsyncRead + Unpin,
        T: AsyncWrite + Unpin,
    {
        if self.over {
            return Poll::Pending;
        }
        let ended = ready!(self.poll_pass(context, from, to));
        (self.over, self.buffer, self.sent) = (true, Buffer::default(), 0);
        Poll::Ready(ended)
    }

    fn poll_pass<F, T>(&mut self, context: &mut Context<'_>, from: &mut F, to: &mut T) -> Poll<Result<(), Broken>>
    where
        F: AsyncRead + Unpin,
        T: AsyncWrite + Unpin,
    {
        loop {
            while self.sent < self.buffer.len() {
                ready!(self.poll_write(context, to, self.buffer.len()))?;
            }
            if self.unflushed {
                ready!(Pin::new(&mut *to).poll_flush(context)).map_err(|_| Broken::To)?;
                self.unflushed = false;
            }
            match ready!(self.poll_read(context, from)) {
                Ok(0) => return Poll::Ready(Ok(())),
                Ok(_) => {}
                Err(_) => return Poll::Ready(Err(Broken::From)),
            }
        }
    }

    /// Writes once, at most up to `end` of the buffer.
    fn poll_write<T>(&mut self, context: &mut Context<'_>, to: &mut T, end: usize) -> Poll<Result<(), Broken>>
    where
        T: AsyncWrite + Unpin,
    {
        match ready!(Pin::new(to).poll_write(context, &self.buffer[self.sent..end])) {
            Ok(written @ 1..) => {
                self.frames.pass(&self.buffer[self.sent..self.sent + written]);
                self.sent += written;
                self.passed += written as u64;
                self.unflushed = true;
                Poll::Ready(Ok(()))
            }
            Ok(0) | Err(_) => Poll::Ready(Err(Broken::To)),
        }
    }

    /// Reads once, when all is written; while nothing comes, no memory is held.
    fn poll_read<F>(&mut self, context: &mut Context<'_>, from: &mut F) -> Poll<std::io::Result<usize>>
    where
        F: AsyncRead + Unpin,
    {
        if self.buffer.capacity() == 0 {
            self.buffer = Buffer::medium();
        }
        self.buffer.clear();
        self.sent = 0;
        let read = poll_read_buf(Pin::new(from), context, &mut *self.buffer);
        if self.buffer.is_empty() {
            self.buffer = Buffer::default();
        }
        read
    }

    /// Brings the frame that is under way to its end, says goodbye, and closes. Where frames cannot be told apart, or
    /// goodbye was said already, it only closes.
    pub(super) fn poll_part<F, T>(
        &mut self,
        context: &mut Context<'_>,
        parting: &mut Parting,
        from: &mut F,
        to: &mut T,
    ) -> Poll<()>
    where
        F: AsyncRead + Unpin,
        T: AsyncWrite + Unpin,
    {
        loop {
            match parting.step {
                Step::EndFrame => parting.step = ready!(self.poll_end_frame(context, from, to)),
                Step::Say => {
                    let Poll::Ready(written) = Pin::new(&mut *to).poll_write(context, &parting.frame) else {
                        return Poll::Pending;
                    };
                    match written {
                        Ok(written @ 1..) => drop(parting.frame.drain(..written)),
                        Ok(0) | Err(_) => parting.step = Step::Done,
                    }
                    if parting.frame.is_empty() {
                        parting.step = Step::Close;
                    }
                }
                Step::Close => {
                    let _ = ready!(Pin::new(&mut *to).poll_shutdown(context));
                    parting.step = Step::Done;
                }
                Step::Done => return Poll::Ready(()),
            }
        }
    }

    fn poll_end_frame<F, T>(&mut self, context: &mut Context<'_>, from: &mut F, to: &mut T) -> Poll<Step>
    where
        F: AsyncRead + Unpin,
        T: AsyncWrite + Unpin,
    {
        while !self.frames.is_between() {
            if self.frames.is_lost() {
                return Poll::Ready(Step::Close);
            }
            if self.sent == self.buffer.len() && !matches!(ready!(self.poll_read(context, from)), Ok(1..)) {
                return Poll::Ready(Step::Close);
            }
            // A copy walks ahead to where the frame ends.
            let Ok(rest) = { self.frames }.pass_frame(&self.buffer[self.sent..]) else {
                return Poll::Ready(Step::Close);
            };
            if ready!(self.poll_write(context, to, self.sent + rest)).is_err() {
                return Poll::Ready(Step::Done);
            }
        }
        Poll::Ready(if self.frames.has_said_goodbye() { Step::Close } else { Step::Say })
    }
}

/// Reads and drops whatever comes; ready when no more will.
pub(super) fn poll_silence<F>(context: &mut Context<'_>, from: &mut F, space: &mut Buffer) -> Poll<()>
where
    F: AsyncRead + Unpin,
{
    loop {
        space.clear();
        if !matches!(ready!(poll_read_buf(Pin::new(&mut *from), context, &mut **space)), Ok(1..)) {
            return Poll::Ready(());
        }
    }
}
