//! The `kabar` program: command line, configuration and wiring.

mod billing;
mod cli;
mod demo;
mod doctor;
mod inbound;
mod people;
mod serve;
mod settings;
mod understand;

use std::process::ExitCode;

use clap::Parser;

/// Webhooks are many small, short-lived allocations on several threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().worker_threads(workers()).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                eprintln!("kabar: the runtime cannot be started: {error}");
                return ExitCode::FAILURE;
            }
        };
    match runtime.block_on(cli.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kabar: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Twice the processors, four at least: one that a long query keeps busy leaves the others to everybody else.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(4, |cores| (2 * cores.get()).max(4))
}
