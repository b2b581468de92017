//! What is refused, and what passes.
