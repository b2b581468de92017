//! What is one message, and what is none.
