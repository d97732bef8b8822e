//! The job spec as a command line says it: a file, flags, or a file with flags over it.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use gristmill_protocol::content::{ContentUri, parse_cid};
use gristmill_protocol::spec::{JobSpec, SPEC_VERSION};
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::failure::{Failure, Result, io};
use crate::quantity::{Bytes, CpuMillis, Seconds};
use crate::transfer::Workbench;
use gristmill_protocol::content::Added;

/// A spec file holds at most 64 KiB of canonical JSON; blanks may double it.
const SPEC_FILE_BYTES_MAX: u64 = 256 * 1024;
/// How long a run may take where nobody says.
const MAX_RUN_SECONDS_DEFAULT: u64 = 3600;

#[derive(Args, Debug, Default)]
#[command(next_help_heading = "What to run")]
pub(crate) struct SpecArgs {
    /// A job spec in JSON; flags add to it and replace what it says
    #[arg(value_name = "SPEC")]
    spec: Option<PathBuf>,
    /// A name for people [default: after the program]
    #[arg(long)]
    name: Option<String>,
    /// A container image; the scheduler looks up the digest of a tag, which is shown before you pay
    #[arg(long, value_name = "NAME:TAG|NAME@sha256:…", conflicts_with = "wasm")]
    image: Option<String>,
    /// A WASI preview 1 module: a file, or its CID
    #[arg(long, value_name = "FILE|CID")]
    wasm: Option<String>,
    /// Stop a module after so many instructions
    #[arg(long, value_name = "INSTRUCTIONS")]
    fuel: Option<u64>,
    /// Data under /input/NAME: a file or directory here, a CID, or a URL with #sha256=…
    #[arg(long = "input", short, value_name = "NAME=SOURCE")]
    inputs: Vec<InputArg>,
    /// A variable of the program's environment. Public: never a secret
    #[arg(long = "env", short, value_name = "NAME=VALUE", value_parser = parse_env)]
    env: Vec<(String, String)>,
    /// GPUs
    #[arg(long, value_name = "NUMBER")]
    gpus: Option<u32>,
    /// Any of these GPU models
    #[arg(long = "gpu-model", value_name = "MODEL")]
    gpu_models: Vec<String>,
    /// Memory of each GPU
    #[arg(long, value_name = "SIZE")]
    vram: Option<Bytes>,
    /// Least CUDA compute capability, such as 8.6
    #[arg(long, value_name = "X.Y")]
    compute_capability: Option<String>,
    /// CPUs, such as 2 or 0.5 [default: 1]
    #[arg(long, value_name = "NUMBER")]
    cpus: Option<CpuMillis>,
    /// Memory [default: 512MiB]
    #[arg(long, value_name = "SIZE")]
    memory: Option<Bytes>,
    /// Room for inputs and output [default: 1GiB]
    #[arg(long, value_name = "SIZE")]
    disk: Option<Bytes>,
    /// How long one attempt may run [default: 1h]
    #[arg(long, value_name = "DURATION")]
    max_run: Option<Seconds>,
    /// Further attempts after one that failed [default: 2]
    #[arg(long, value_name = "NUMBER")]
    retries: Option<u8>,
    /// How to choose among nodes that fit [default: the scheduler's]
    #[arg(long, value_parser = ["best_fit", "round_robin", "cheapest", "reputation"])]
    strategy: Option<String>,
    /// Arguments of the program, after --
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// One `--input`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct InputArg {
    path: String,
    source: Source,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Source {
    /// Cut into blocks here and uploaded before the job.
    Local(PathBuf),
    Ipfs(ContentUri),
    Https {
        url: String,
        sha256: String,
    },
}

impl FromStr for InputArg {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (path, source) = text
            .split_once('=')
            .filter(|(path, source)| !path.is_empty() && !source.is_empty())
            .ok_or("write NAME=SOURCE, such as data=./train.csv, data=bafy… or data=https://…#sha256=…")?;
        let source =
            if source.starts_with("https://") || source.starts_with("http://") {
                let (url, sha256) = source.split_once("#sha256=").ok_or(
                    "a URL needs the sha-256 of its file: https://…#sha256=<64 hexadecimal digits>",
                )?;
                Source::Https { url: url.to_owned(), sha256: sha256.to_owned() }
            } else if source.starts_with("ipfs://") {
                Source::Ipfs(source.parse().map_err(
                    |error: gristmill_protocol::content::ContentError| error.to_string(),
                )?)
            } else if let Ok(cid) = parse_cid(source)
                && !Path::new(source).exists()
            {
                Source::Ipfs(cid.into())
            } else {
                Source::Local(PathBuf::from(source))
            };
        Ok(Self { path: path.to_owned(), source })
    }
}

fn parse_env(text: &str) -> std::result::Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// A complete spec, and what must be uploaded before the job can run.
pub(crate) struct Draft {
    pub(crate) spec: JobSpec,
    pub(crate) uploads: Vec<(String, Added)>,
}

impl SpecArgs {
    /// Reads everything, computes the CIDs of local files, and checks every limit. Nothing leaves this machine but the name
    /// of an image whose tag must be looked up.
    pub(crate) async fn draft(mut self, workbench: &Workbench, app: &App) -> Result<Draft> {
        let mut spec = match &self.spec {
            Some(path) => read_object(path)?,
            None if self.image.is_none() && self.wasm.is_none() => {
                return Err(Failure::usage("what should run? Name a spec file, --image or --wasm")
                    .hint("see `gristmill submit --help` for examples"));
            }
            None => Map::new(),
        };
        if let Some(image) = self.image.as_deref().filter(|image| !image.contains('@')) {
            let resolved = app.call(|client| client.resolve_image(image)).await?;
            app.out.note(format!("{image} is {}", resolved.image));
            // A name for people is still what they wrote.
            if self.name.is_none() && !spec.contains_key("name") {
                spec.insert("name".into(), default_name(&spec, image));
            }
            self.image = Some(resolved.image);
        }
        let mut uploads = Vec::new();
        let mut module = None;
        if let Some(wasm) = &self.wasm {
            module = Some(match parse_cid(wasm) {
                Ok(cid) if !Path::new(wasm).exists() => cid.to_string(),
                _ => add(workbench, app, Path::new(wasm), &mut uploads).await?,
            });
        }
        let mut uris = Vec::new();
        for input in &self.inputs {
            uris.push(match &input.source {
                Source::Local(path) => {
                    let cid = add(workbench, app, path, &mut uploads).await?;
                    json!({ "path": input.path, "uri": format!("ipfs://{cid}") })
                }
                Source::Ipfs(uri) => json!({ "path": input.path, "uri": uri.to_string() }),
                Source::Https { url, sha256 } => {
                    json!({ "path": input.path, "uri": url, "sha256": sha256 })
                }
            });
        }
        self.apply(&mut spec, module, uris)?;
        let json = serde_json::to_vec(&spec).map_err(|error| {
            Failure::usage(format!("the job spec cannot be written as JSON: {error}"))
        })?;
        let refused = |error: gristmill_protocol::spec::SpecError| {
            Failure::usage(format!("the job spec is not valid: {error}"))
        };
        let spec = JobSpec::from_json(&json).map_err(refused)?;
        spec.supported().map_err(refused)?;
        Ok(Draft { spec, uploads })
    }

    /// Puts the flags over what the file says.
    fn apply(
        self,
        spec: &mut Map<String, Value>,
        module: Option<String>,
        inputs: Vec<Value>,
    ) -> Result<()> {
        spec.entry("version").or_insert_with(|| SPEC_VERSION.into());
        if let Some(image) = self.image {
            spec.insert("name".into(), default_name(spec, &image));
            spec.insert("runtime".into(), json!({ "kind": "docker", "image": image }));
        }
        if let (Some(module), Some(wasm)) = (module, &self.wasm) {
            spec.insert("name".into(), default_name(spec, wasm));
            spec.insert("runtime".into(), json!({ "kind": "wasm", "module": module }));
        }
        if let Some(fuel) = self.fuel {
            object(spec, "runtime")?.insert("fuel".into(), fuel.into());
        }
        if let Some(name) = self.name {
            spec.insert("name".into(), name.into());
        }
        if !self.command.is_empty() {
            spec.insert("command".into(), self.command.into());
        }
        for (name, value) in self.env {
            object(spec, "env")?.insert(name, value.into());
        }
        if !inputs.is_empty() {
            let list = spec.entry("inputs").or_insert_with(|| json!([]));
            let list = list
                .as_array_mut()
                .ok_or_else(|| Failure::usage("`inputs` of the spec file is not a list"))?;
            // An input of the same name replaces that of the file.
            list.retain(|old| inputs.iter().all(|new| old["path"] != new["path"]));
            list.extend(inputs);
        }
        let resources = [
            ("gpus", self.gpus.map(Value::from)),
            ("gpu_models", (!self.gpu_models.is_empty()).then(|| self.gpu_models.into())),
            ("vram_bytes", self.vram.map(|vram| vram.0.into())),
            ("compute_capability", self.compute_capability.map(Value::from)),
            ("cpu_millis", self.cpus.map(|cpus| cpus.0.into())),
            ("memory_bytes", self.memory.map(|memory| memory.0.into())),
            ("disk_bytes", self.disk.map(|disk| disk.0.into())),
        ];
        for (name, value) in resources.into_iter().filter_map(|(name, value)| Some((name, value?)))
        {
            object(spec, "resources")?.insert(name.into(), value);
        }
        match self.max_run {
            Some(max_run) => {
                spec.insert("max_run_seconds".into(), max_run.0.into());
            }
            None => {
                spec.entry("max_run_seconds").or_insert_with(|| MAX_RUN_SECONDS_DEFAULT.into());
            }
        }
        if let Some(retries) = self.retries {
            spec.insert("retries".into(), retries.into());
        }
        if let Some(strategy) = self.strategy {
            spec.insert("strategy".into(), strategy.into());
        }
        Ok(())
    }
}

/// The name that the file gives, or the last part of the program's.
fn default_name(spec: &Map<String, Value>, program: &str) -> Value {
    if let Some(name) = spec.get("name") {
        return name.clone();
    }
    let program = program.split('@').next().unwrap_or(program);
    let last = program.rsplit('/').next().unwrap_or(program);
    last.strip_suffix(".wasm").unwrap_or(last).chars().take(100).collect::<String>().into()
}

fn object<'a>(spec: &'a mut Map<String, Value>, field: &str) -> Result<&'a mut Map<String, Value>> {
    spec.entry(field)
        .or_insert_with(|| json!({}))
        .as_object_mut()
        .ok_or_else(|| Failure::usage(format!("`{field}` of the spec file is not an object")))
}

fn read_object(path: &Path) -> Result<Map<String, Value>> {
    let usage = |failure: Failure| Failure { exit: crate::failure::Exit::Usage, ..failure };
    let metadata =
        std::fs::metadata(path).map_err(|error| usage(io("read the job spec", path)(error)))?;
    if metadata.len() > SPEC_FILE_BYTES_MAX {
        return Err(Failure::usage(format!("`{}` is too large for a job spec", path.display())));
    }
    let json = std::fs::read(path).map_err(|error| usage(io("read the job spec", path)(error)))?;
    serde_json::from_slice(&json).map_err(|error| {
        Failure::usage(format!("`{}` is not a JSON object: {error}", path.display()))
    })
}

async fn add(
    workbench: &Workbench,
    app: &App,
    path: &Path,
    uploads: &mut Vec<(String, Added)>,
) -> Result<String> {
    if !path.exists() {
        return Err(Failure::usage(format!("there is no `{}`", path.display()))
            .hint("it is neither a file, nor a CID, nor a URL"));
    }
    let added = workbench.add(path).await?;
    app.out.note(format!("{} is {}", path.display(), added.cid));
    uploads.push((path.display().to_string(), added));
    Ok(added.cid.to_string())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::output::{Color, Output};
    use crate::settings::{GlobalArgs, Settings};

    const CID: &str = "bafkreihzjsutuqv2sdmdorigtxyhudkknxaoeqcvfxagscnskh4oiawmni";

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: SpecArgs,
    }

    fn draft(line: &[&str]) -> Result<Draft> {
        let args = Line::try_parse_from(std::iter::once("submit").chain(line.iter().copied()))
            .unwrap()
            .args;
        let app = App::new(
            Settings::load(&GlobalArgs::default()).unwrap(),
            Output::new(true, true, Color::Never),
        );
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { args.draft(&Workbench::new().unwrap(), &app).await })
    }

    #[test]
    fn inputs_are_told_apart() {
        let source = |text: &str| text.parse::<InputArg>().map(|input| input.source);
        assert_eq!(source("data=./train.csv"), Ok(Source::Local("./train.csv".into())));
        assert_eq!(source("data=a=b"), Ok(Source::Local("a=b".into())));
        assert!(matches!(source(&format!("data={CID}")), Ok(Source::Ipfs(_))));
        assert!(matches!(source(&format!("data=ipfs://{CID}/a/b")), Ok(Source::Ipfs(_))));
        assert_eq!(
            source("data=https://x.example/f?a=b#sha256=00"),
            Ok(Source::Https { url: "https://x.example/f?a=b".into(), sha256: "00".into() })
        );
        for text in [
            "",
            "data",
            "=x",
            "data=",
            "data=https://x.example/f",
            "data=ipfs://nothing",
            "data=ipfs://",
        ] {
            assert!(text.parse::<InputArg>().is_err(), "{text}");
        }
    }

    #[test]
    fn flags_alone_make_a_spec() {
        let image = format!("localhost:5000/tools/digits@sha256:{}", "a".repeat(64));
        let draft = draft(&[
            "--image",
            &image,
            "--input",
            &format!("digits={CID}"),
            "--env",
            "SEED=1=2",
            "--gpus",
            "1",
            "--gpu-model",
            "A100",
            "--gpu-model",
            "H100",
            "--vram",
            "24GiB",
            "--cpus",
            "1.5",
            "--memory",
            "2GiB",
            "--disk",
            "3GiB",
            "--max-run",
            "10m",
            "--retries",
            "0",
            "--strategy",
            "cheapest",
            "--",
            "train",
            "--epochs",
            "3",
        ])
        .unwrap();
        insta::assert_json_snapshot!(draft.spec);
        assert!(draft.uploads.is_empty());
    }

    #[test]
    fn local_files_become_cids_before_anything_is_sent() {
        let directory = tempfile::tempdir().unwrap();
        let module = directory.path().join("mill.wasm");
        std::fs::write(&module, "flour").unwrap();
        let data = directory.path().join("data");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("a.txt"), "grist").unwrap();
        let draft = draft(&[
            "--wasm",
            module.to_str().unwrap(),
            "--input",
            &format!("data={}", data.display()),
        ])
        .unwrap();
        assert_eq!(draft.spec.name, "mill");
        assert_eq!(draft.spec.max_run_seconds, 3600);
        assert_eq!(draft.uploads.len(), 2);
        let uri = format!("ipfs://{}", draft.uploads[1].1.cid);
        assert_eq!((draft.spec.inputs[0].path.as_str(), &draft.spec.inputs[0].uri), ("data", &uri));
        let flour = "bafkreihvl6l47ig5l4mmdlah2lbwdmmy6gp5quragl5k4bcrufia6hc7ka";
        assert_eq!(draft.uploads[0].1.cid.to_string(), flour, "as every IPFS tool computes it");
    }

    #[test]
    fn flags_stand_over_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("job.json");
        std::fs::write(
            &file,
            format!(
                r#"{{"version":1,"name":"mine","runtime":{{"kind":"wasm","module":"{CID}"}},"max_run_seconds":60,"env":{{"A":"1","B":"2"}},
                "inputs":[{{"path":"a","uri":"ipfs://{CID}"}},{{"path":"b","uri":"ipfs://{CID}"}}],"resources":{{"cpu_millis":4000}}}}"#
            ),
        )
        .unwrap();
        let path = file.to_str().unwrap();
        let plain = draft(&[path]).unwrap().spec;
        assert_eq!(
            (plain.name.as_str(), plain.max_run_seconds, plain.resources.cpu_millis),
            ("mine", 60, 4000)
        );
        let spec = draft(&[
            path,
            "--env",
            "B=3",
            "--memory",
            "1GiB",
            "--fuel",
            "9",
            "--input",
            &format!("b=ipfs://{CID}/x"),
        ])
        .unwrap()
        .spec;
        assert_eq!((spec.env["A"].as_str(), spec.env["B"].as_str()), ("1", "3"));
        assert_eq!(
            spec.inputs.iter().map(|input| input.path.as_str()).collect::<Vec<_>>(),
            ["a", "b"]
        );
        assert!(spec.inputs[1].uri.ends_with("/x"));
        assert_eq!((spec.resources.cpu_millis, spec.resources.memory_bytes), (4000, 1 << 30));
        assert_ne!(spec.hash(), plain.hash());
    }

    #[test]
    fn what_cannot_run_is_refused_here() {
        let image = format!("tools/digits@sha256:{}", "a".repeat(64));
        for (line, words) in [
            (vec![], "--wasm"),
            (vec!["--wasm", "/nonexistent.wasm"], "nonexistent"),
            (vec!["--image", "tools/digits@latest"], "digest"),
            (vec!["/nonexistent.json"], "nonexistent"),
            (vec!["--image", &image, "--vram", "8GiB"], "gpus"),
            (vec!["--image", &image, "--input", "../x=/etc/hostname"], "inputs"),
            (vec!["--image", &image, "--input", "x=https://a.example/f#sha256=12"], "sha256"),
            (vec!["--image", &image, "--fuel", "5"], "fuel"),
        ] {
            let Err(failure) = draft(&line) else { panic!("{line:?} was taken") };
            assert_eq!(failure.exit, crate::failure::Exit::Usage, "{line:?}");
            assert!(failure.message.contains(words), "{line:?}: {}", failure.message);
        }
    }
}
