//! The target `chunked` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| postern_fuzz::check("chunked", data));
