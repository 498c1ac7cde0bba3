//! The command line.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Draws samples and estimates log Z from densities known up to a constant.
#[derive(Debug, Parser)]
#[command(
    name = "retrograde",
    version,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    /// Writes one JSON object to standard output in place of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Colour: also NO_COLOR and CLICOLOR_FORCE are obeyed.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub(crate) color: Color,
    /// Loads this plugin, a shared library, before those of the usual folders; may be given several times.
    #[arg(long = "plugin", global = true, value_name = "FILE")]
    pub(crate) plugin: Vec<PathBuf>,
    /// Looks for no plugins.
    #[arg(long, global = true)]
    pub(crate) no_plugins: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// When to write in colour.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Color {
    /// When writing to a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    pub(crate) fn write_global(self) {
        match self {
            Color::Auto => {}
            Color::Always => anstream::ColorChoice::Always.write_global(),
            Color::Never => anstream::ColorChoice::Never.write_global(),
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs a job, or goes on with one that was stopped.
    Run(RunArgs),
    /// Checks a job without running it: settings, files, density and gradient at a few points.
    Check(CheckArgs),
    /// Lists the components: targets, processes, scores, samplers.
    List(ListArgs),
    /// Describes a component: its keys with ranges and defaults, and where it comes from.
    Describe(DescribeArgs),
    /// Writes the JSON Schema of job files, for completion and checks in editors.
    Schema,
    /// Shows the report of a run directory.
    Summary(SummaryArgs),
    /// Compares two finished runs of one target: moments, distances beside their noise floor, the truth if it is known.
    Compare(CompareArgs),
    /// Measures the errors of a job that runs a process backwards: start, score, steps, end; and which is the largest.
    Certify(CertifyArgs),
    /// Certifies a job on several time grids: which is best for this target, this score, this many steps.
    CompareSchedules(CompareSchedulesArgs),
    /// log Z by replicates of one or several methods: how far runs spread, whether methods agree.
    Evidence(EvidenceArgs),
    /// Samplers × targets × seeds at equal budgets: tables and pictures of errors, distances and times, beside aims and
    /// published values.
    Bench(BenchArgs),
    /// Writes a crate for a component of your own, with its tests, ready to fill.
    New(NewArgs),
    /// Plugins, which are shared libraries with components: lists, checks, installs and begins them.
    Plugin {
        #[command(subcommand)]
        command: PluginCommand,
    },
    /// Draws the pictures of a run directory as SVG files: marginals, pairs, trace, ladder, weights, flow.
    Plot(PlotArgs),
    /// Writes a completion script for a shell.
    Completions {
        /// The shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

/// Changes to a job from the command line.
#[derive(Debug, Args)]
pub(crate) struct Changes {
    /// Sets a key, for example `--set sampler.step_size=0.1`; may be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Sets `seed`.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<String>,
    /// Sets `draws`.
    #[arg(long, value_name = "N")]
    pub(crate) draws: Option<String>,
    /// Sets `threads`; 0 = all.
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<String>,
    /// Sets the run directory.
    #[arg(short = 'o', long = "output", value_name = "DIR")]
    pub(crate) output: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The job file.
    #[arg(required_unless_present = "resume")]
    pub(crate) job: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) changes: Changes,
    /// Goes on with the run of this directory, to the bits of an uninterrupted one.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["job", "set", "seed", "draws", "output", "simd", "force", "quick", "dry_run"])]
    pub(crate) resume: Option<PathBuf>,
    /// Vector instructions: `auto` for the best of this machine, `baseline` for what every machine of
    /// its kind has, or a level by name, such as `avx2`. They decide the last bits of results; the
    /// report names them.
    #[arg(long, value_name = "LEVEL", default_value = "auto")]
    pub(crate) simd: String,
    /// Replaces the run directory if it exists.
    #[arg(long)]
    pub(crate) force: bool,
    /// A trial: at most 400 draws, and no `[expect]`.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Checks the job and shows it with all defaults; runs nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The job file.
    pub(crate) job: PathBuf,
    #[command(flatten)]
    pub(crate) changes: Changes,
    /// Compares the gradient with differences of the log density.
    #[arg(long)]
    pub(crate) gradient: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only this kind: target, process, score or sampler.
    pub(crate) kind: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DescribeArgs {
    /// Name of the component, alone or with its kind before it: `smc`, `sampler smc`.
    #[arg(num_args = 1..=2, required = true)]
    pub(crate) name: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct SummaryArgs {
    /// The run directory.
    pub(crate) directory: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// The run directory of run A.
    #[arg(value_name = "DIR")]
    pub(crate) first: PathBuf,
    /// The run directory of run B.
    #[arg(value_name = "DIR")]
    pub(crate) second: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct CertifyArgs {
    /// The job file.
    pub(crate) job: PathBuf,
    #[command(flatten)]
    pub(crate) changes: Changes,
    /// Forward paths, rounded up to a multiple of 1024.
    #[arg(long, value_name = "N", default_value_t = 16384)]
    pub(crate) paths: usize,
    /// Draws of each run that is made again with another start, score or grid.
    #[arg(long, value_name = "N", default_value_t = 4096)]
    pub(crate) repeats: usize,
    /// Writes a picture of the bound step by step to this SVG file.
    #[arg(long, value_name = "FILE")]
    pub(crate) picture: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct EvidenceArgs {
    /// The job file.
    pub(crate) job: PathBuf,
    #[command(flatten)]
    pub(crate) changes: Changes,
    /// Samplers to be compared, `pt` for parallel-tempering: that of the job keeps its settings, others have their defaults. Without it that of the job.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub(crate) methods: Vec<String>,
    /// Runs of each method, with the seed of the job and those after it. Default: `replicates` of the job, or 8.
    #[arg(long, value_name = "R")]
    pub(crate) replicates: Option<usize>,
    /// Adds each run to this file when it ends, and takes those of the same job from it.
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// The bench file.
    pub(crate) bench: PathBuf,
    /// Sets a key, for example `--set seeds=2`; may be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// The folder of the record, the tables and the pictures; default is `bench-` and the name of the file. What is in its
    /// record is not run again.
    #[arg(short = 'o', long = "out", value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Checks the file and shows what would run.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CompareSchedulesArgs {
    /// The job file.
    pub(crate) job: PathBuf,
    #[command(flatten)]
    pub(crate) changes: Changes,
    /// Changes of the job to be compared as well, comma-separated keys as of `--set`:
    /// `--variant sampler.kind=rd-f`; may be given several times.
    #[arg(long, value_name = "KEY=VALUE,…")]
    pub(crate) variant: Vec<String>,
    /// Writes a picture of the errors against the number of steps to this SVG file.
    #[arg(long, value_name = "FILE")]
    pub(crate) picture: Option<PathBuf>,
    /// Spacings of the grid.
    #[arg(
        long,
        value_name = "NAME,…",
        value_delimiter = ',',
        default_value = "edm,geometric"
    )]
    pub(crate) spacings: Vec<String>,
    /// Numbers of steps.
    #[arg(
        long,
        value_name = "N,…",
        value_delimiter = ',',
        default_value = "10,20,40"
    )]
    pub(crate) steps: Vec<usize>,
    /// Forward paths, rounded up to a multiple of 1024.
    #[arg(long, value_name = "N", default_value_t = 16384)]
    pub(crate) paths: usize,
    /// Draws of each run that is made again.
    #[arg(long, value_name = "N", default_value_t = 4096)]
    pub(crate) repeats: usize,
}

#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// What it shall be: target, sampler or process.
    pub(crate) kind: String,
    /// Its name in jobs, and that of the folder which is made: `my-target`.
    pub(crate) name: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Lists the plugins that are found, with their components; the folders that are searched; and the
    /// files that cannot be loaded, with the reason.
    List,
    /// Tries out, in another process, whether a plugin keeps what the interface asks of it.
    Check(PluginCheckArgs),
    /// The other process.
    #[command(hide = true)]
    CheckChild,
    /// Loads and checks a plugin in another process, and copies it to a folder that is searched.
    Install(InstallArgs),
    /// Writes a project for a plugin of your own, with its test, ready to fill.
    New(PluginNewArgs),
}

/// Languages that plugins can be begun in.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Language {
    /// A crate, built by cargo.
    Rust,
    /// C11, built by make.
    C,
    /// C++17, built by make.
    Cpp,
}

#[derive(Debug, Args)]
pub(crate) struct PluginNewArgs {
    /// What its component shall be: target, process, score or sampler.
    pub(crate) kind: String,
    /// The language.
    #[arg(long, value_enum)]
    pub(crate) lang: Language,
    /// Name of plugin and component, in jobs `my-target/my-target`.
    pub(crate) name: String,
    /// The folder that is made; default is the name.
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    /// The plugin, a shared library.
    pub(crate) file: PathBuf,
    /// Where to put it; default is `retrograde/plugins` in the user's folder for data.
    #[arg(long, value_name = "DIR")]
    pub(crate) into: Option<PathBuf>,
    /// Replaces another plugin of its name.
    #[arg(long)]
    pub(crate) force: bool,
    /// Only loads it, and does not check it.
    #[arg(long)]
    pub(crate) no_check: bool,
    /// The longest that loading it, or one call of a function in its check, may take, above 0.
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    pub(crate) time_limit: f64,
}

#[derive(Debug, Args)]
pub(crate) struct PluginCheckArgs {
    /// The plugin, a shared library.
    pub(crate) file: PathBuf,
    /// Sets a parameter of a component, for example `--set double-well.dim=3`; may be given several times.
    #[arg(long = "set", value_name = "COMPONENT.KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Takes the parameters of its components from this job; `--set` goes before them.
    #[arg(long, value_name = "FILE")]
    pub(crate) job: Option<PathBuf>,
    /// Seed of the points and random numbers that it is tried with.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// The longest that one call of a function may take, above 0.
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    pub(crate) time_limit: f64,
}

#[derive(Debug, Args)]
pub(crate) struct PlotArgs {
    /// The run directory.
    pub(crate) directory: PathBuf,
    /// Only this picture, such as `marginals` or `pairs`; may be given several times.
    #[arg(long, value_name = "NAME")]
    pub(crate) kind: Vec<String>,
    /// Where to put the files; default is the run directory.
    #[arg(short = 'o', long = "output", value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}
