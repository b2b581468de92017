//! The binary: hands its arguments to the library.

fn main() -> std::process::ExitCode {
    postern_bench::main()
}
