//! The worker: runs one WASI preview 1 command module, deterministically, and reports how it ended.
//!
//! The same module with the same input gives the same output on every machine: a clock that stands still, random
//! numbers from the job's id, canonical NaNs, no threads. Its limits are fuel, memory and the size of files in here,
//! and time from outside as well.

use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gristmill_protocol::receipt::{Limit, Outcome};
use rustix::process::{Resource, Rlimit, Signal};
use wasmtime::{Config, Engine, Linker, Module, ResourceLimiter, Store, Trap};
use wasmtime_wasi::{
    Deterministic, FsPerms, HostMonotonicClock, HostWallClock, I32Exit, WasiCtxBuilder, p1,
};

use super::{WorkerReport, WorkerTask};

const STACK_BYTES: usize = 1 << 20;
const TABLE_ELEMENTS_MAX: usize = 1 << 20;
const FILES_MAX: u64 = 1024;
/// Fuel of a module that names none: more than any machine uses in the longest run.
const FUEL_UNLIMITED: u64 = u64::MAX / 2;
const TASK_BYTES_MAX: u64 = 1 << 20;

/// The hidden command: reads a task from stdin, runs it, writes the report. Fails only where no report can be written.
pub fn main() -> std::io::Result<()> {
    let mut json = Vec::new();
    std::io::stdin().take(TASK_BYTES_MAX).read_to_end(&mut json)?;
    let task: WorkerTask = serde_json::from_slice(&json)?;
    let report = match confine(&task) {
        Ok(()) => run(&task),
        Err(error) => {
            WorkerReport::Failed { reason: format!("cannot confine the worker: {error}") }
        }
    };
    let json = serde_json::to_vec(&report)?;
    let temporary = task.report.with_extension("part");
    std::fs::write(&temporary, json)?;
    std::fs::rename(temporary, &task.report)
}

/// Ties the worker's life to the agent's, and takes from it what it does not need.
fn confine(task: &WorkerTask) -> std::io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // The agent may have died before the line above.
    let parent =
        rustix::process::getppid().map(|parent| parent.as_raw_nonzero().get().unsigned_abs());
    if parent != Some(task.agent) {
        return Err(std::io::Error::other("the agent is gone"));
    }
    let limit = |resource, most: u64| {
        rustix::process::setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
    };
    limit(Resource::Core, 0)?;
    limit(Resource::Nofile, FILES_MAX)?;
    limit(Resource::Fsize, task.output_bytes_max.max(1 << 20))?;
    // Compiling takes time too; the agent watches the clock of the run itself.
    limit(Resource::Cpu, u64::from(task.run_seconds).saturating_mul(2).saturating_add(120))?;
    Ok(())
}

struct State {
    wasi: p1::WasiP1Ctx,
    memory: Memory,
}

/// Refuses memory beyond the limit by a trap: a program that saw the refusal could answer differently elsewhere.
struct Memory {
    bytes_max: u64,
    was_refused: bool,
}

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired as u64 <= self.bytes_max {
            return Ok(true);
        }
        self.was_refused = true;
        Err(wasmtime::Error::msg("the memory limit is reached"))
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }
}

/// A clock that stands still at the epoch.
struct StillClock;

impl HostWallClock for StillClock {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

/// A clock that counts how often it is asked.
struct CountingClock(AtomicU64);

impl HostMonotonicClock for CountingClock {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

fn run(task: &WorkerTask) -> WorkerReport {
    let failed = |doing: &str, error: wasmtime::Error| WorkerReport::Failed {
        reason: format!("cannot {doing}: {error:#}"),
    };
    let engine = match engine() {
        Ok(engine) => engine,
        Err(error) => return failed("start the engine", error),
    };
    let invalid = |error: wasmtime::Error| WorkerReport::Invalid {
        reason: format!("the module is not a WASI preview 1 command: {error:#}"),
    };
    let bytes = match std::fs::read(&task.module) {
        Ok(bytes) => bytes,
        Err(error) => return failed("read the module", error.into()),
    };
    // Only the binary form: a text that happens to be a module would have another meaning elsewhere.
    let module = match Module::from_binary(&engine, &bytes) {
        Ok(module) => module,
        Err(error) => return invalid(error),
    };
    let mut linker: Linker<State> = Linker::new(&engine);
    if let Err(error) = p1::add_to_linker_sync(&mut linker, |state| &mut state.wasi) {
        return failed("link the module", error);
    }
    let wasi = match wasi(task) {
        Ok(wasi) => wasi,
        Err(error) => return failed("open the folders", error),
    };
    let memory = Memory { bytes_max: task.memory_bytes, was_refused: false };
    let mut store = Store::new(&engine, State { wasi, memory });
    store.limiter(|state| &mut state.memory);
    let fuel = task.fuel.unwrap_or(FUEL_UNLIMITED);
    if let Err(error) = store.set_fuel(fuel) {
        return failed("set the fuel", error);
    }
    let result = linker.instantiate(&mut store, &module).and_then(|instance| {
        let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
        start.call(&mut store, ())
    });
    let fuel_used = fuel.saturating_sub(store.get_fuel().unwrap_or(0));
    let Err(error) = result else {
        return WorkerReport::Ended { outcome: Outcome::Exited { exit_code: 0 }, fuel_used };
    };
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        return WorkerReport::Ended { outcome: Outcome::Exited { exit_code: exit.0 }, fuel_used };
    }
    if store.data().memory.was_refused {
        return WorkerReport::Ended {
            outcome: Outcome::Limited { limit: Limit::Memory },
            fuel_used,
        };
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => {
            WorkerReport::Ended { outcome: Outcome::Limited { limit: Limit::Fuel }, fuel_used }
        }
        // A trap is how a program crashes; 134 is what a shell says of an abort.
        Some(trap) => {
            eprintln!("the program crashed: {trap}");
            WorkerReport::Ended { outcome: Outcome::Exited { exit_code: 134 }, fuel_used }
        }
        None => invalid(error),
    }
}

fn engine() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .max_wasm_stack(STACK_BYTES)
        .wasm_memory64(false)
        .wasm_multi_memory(false);
    Engine::new(&config)
}

fn wasi(task: &WorkerTask) -> wasmtime::Result<p1::WasiP1Ctx> {
    let mut builder = WasiCtxBuilder::new();
    builder.arg(&task.name).args(&task.arguments).envs(&task.environment);
    builder.inherit_stdout().inherit_stderr();
    builder.preopened_dir(&task.input, "/input", FsPerms::ReadOnly)?;
    builder.preopened_dir(&task.output, "/output", FsPerms::ReadWrite)?;
    builder.wall_clock(StillClock).monotonic_clock(CountingClock(AtomicU64::new(0)));
    let mut seed = task.seed.to_vec();
    builder.secure_random(Deterministic::new(seed.clone()));
    seed.reverse();
    builder.insecure_random(Deterministic::new(seed)).insecure_random_seed(1);
    builder.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
    Ok(builder.build_p1())
}
