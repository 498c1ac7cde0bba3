//! include/retrograde_plugin.hpp and the plugins of plugins/ in C, C++ and Fortran: that they compile, that each
//! exports its entry alone, and that what they compute is right, by the programs of tests/abi/plugins and their
//! small host. What the programs find is tried on plugins with planted mistakes.

use retrograde_testkit::compiler::{cc, cxx, root, run, workshop};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TMP: &str = env!("CARGO_TARGET_TMPDIR");

fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/abi/plugins")
}

fn source(name: &str) -> String {
    let path = root().join("plugins").join(name);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn shared(command: &mut Command) -> &mut Command {
    command
        .args(["-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-I"])
        .arg(root().join("include"))
}

fn export_list() -> String {
    let script = root().join("plugins/exports.map");
    format!("-Wl,--version-script={}", script.display())
}

/// The plugin of that source in C, built as its README says.
fn c_plugin(folder: &Path, text: &str) -> PathBuf {
    let (file, built) = (folder.join("plugin.c"), folder.join("plugin.so"));
    fs::write(&file, text).unwrap();
    run(shared(cc().arg("-std=c11"))
        .arg(&file)
        .arg("-o")
        .arg(&built)
        .arg("-lm"));
    built
}

fn cpp_plugin(folder: &Path, text: &str) -> PathBuf {
    let (file, built) = (folder.join("plugin.cpp"), folder.join("plugin.so"));
    fs::write(&file, text).unwrap();
    run(shared(cxx().arg("-std=c++17"))
        .arg(&file)
        .arg("-o")
        .arg(&built)
        .arg(export_list()));
    built
}

/// The Fortran compiler, `$FC` or else `gfortran`.
fn fc() -> Command {
    let program = env::var_os("FC").unwrap_or_else(|| "gfortran".into());
    if let Err(e) = Command::new(&program).arg("--version").output() {
        panic!(
            "this test compiles Fortran, but `{}` does not start ({e}): install a Fortran compiler (Debian and \
             Ubuntu: apt install gfortran; Fedora: dnf install gcc-gfortran) or name one in FC",
            program.display()
        );
    }
    Command::new(program)
}

fn fortran_plugin(folder: &Path, text: &str) -> PathBuf {
    let (file, built) = (folder.join("plugin.f90"), folder.join("plugin.so"));
    fs::write(&file, text).unwrap();
    run(fc()
        .args(["-std=f2008ts", "-Wall", "-Wextra", "-pedantic", "-Werror"])
        .args([
            "-Wno-unused-dummy-argument",
            "-O2",
            "-fPIC",
            "-shared",
            "-J",
        ])
        .arg(folder)
        .arg(export_list())
        .arg(root().join("plugins/fortran/retrograde_plugin.f90"))
        .arg(&file)
        .arg("-o")
        .arg(&built));
    built
}

/// One of the programs that check, built.
fn checker(folder: &Path, name: &str) -> PathBuf {
    let built = folder.join(name);
    run(cc()
        .args([
            "-std=c11",
            "-D_GNU_SOURCE",
            "-O1",
            "-Wno-unused-function",
            "-I",
        ])
        .arg(root().join("include"))
        .arg(programs().join(format!("{name}.c")))
        .arg("-o")
        .arg(&built)
        .args(["-lm", "-ldl"]));
    built
}

/// What a checker says of a plugin; the error is all that it printed.
fn verdict(checker: &Path, plugin: &Path, args: &[&str]) -> Result<(), String> {
    let output = Command::new(checker)
        .arg(plugin)
        .args(args)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() && said.ends_with("all is well\n") {
        return Ok(());
    }
    Err(format!("{args:?}: {}\n{said}", output.status))
}

/// That a checker passes a plugin, and that it says `expected` of each copy with a planted mistake.
fn check(
    name: &str,
    program: &str,
    build: impl Fn(&Path, &str) -> PathBuf,
    text: &str,
    runs: &[&[&str]],
    mistakes: &[(&str, &str, &str)],
) {
    let folder = workshop(TMP, name);
    let checker = checker(&folder, program);
    let plugin = build(&folder, text);
    exports_its_entry_alone(&plugin);
    for args in runs {
        verdict(&checker, &plugin, args).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    for (i, (right, wrong, expected)) in mistakes.iter().enumerate() {
        assert_eq!(text.matches(right).count(), 1, "{name}: {right:?}");
        let folder = workshop(TMP, &format!("{name}-{i}"));
        let broken = build(&folder, &text.replace(right, wrong));
        let found: Vec<String> = runs
            .iter()
            .filter_map(|args| verdict(&checker, &broken, args).err())
            .collect();
        assert!(
            found.iter().any(|f| f.contains(expected)),
            "{name}: {wrong:?} should give {expected:?}, and gives {found:?}"
        );
    }
}

fn exports_its_entry_alone(plugin: &Path) {
    let symbols = run(Command::new("nm")
        .args(["-D", "--defined-only"])
        .arg(plugin));
    let names: Vec<&str> = symbols
        .lines()
        .filter_map(|l| l.split_whitespace().nth(2))
        .filter(|name| !name.starts_with("_init") && !name.starts_with("_fini"))
        .collect();
    assert_eq!(names, ["retrograde_plugin_v1"], "{}", plugin.display());
}

#[test]
fn double_well_in_c() {
    check(
        "double-well",
        "target",
        c_plugin,
        &source("c/double-well.c"),
        &[
            // Quadrature elsewhere, to 13 digits.
            &["double-well", "0.3442382197296", "dim=1"],
            &["double-well", "0.6884764394592"],
            &["double-well", "-", "dim=5", "a=0.7", "b=1.3"],
        ],
        &[
            (
                "-4.0 * w->b * u * x[j]",
                "-3.9 * w->b * u * x[j]",
                "gradient",
            ),
            ("3.0 * x[k] * x[k]", "2.0 * x[k] * x[k]", "Hessian"),
            ("sum -= w->b * u * u", "sum -= w->b * u * u * 1.01", "log Z"),
            ("sum == -INFINITY", "sum == 1.0", "gradient without mass"),
            ("cap >= size", "cap >= 1", "too small"),
        ],
    );
}

#[test]
fn rosenbrock_in_fortran() {
    check(
        "rosenbrock",
        "target",
        fortran_plugin,
        &source("fortran/rosenbrock.f90"),
        &[
            // log π − ½ log ½ − ½ log 5.
            &["rosenbrock", "0.68658451990993"],
            &["rosenbrock", "-", "dim=4", "a=1.5", "b=0.7", "mu=-0.5"],
        ],
        &[
            (
                "+ 4.0_c_double * v%b * u * x",
                "+ 3.0_c_double * v%b * u * x",
                "gradient",
            ),
            ("slope * y + (x(j, i)", "slope * y - (x(j, i)", "Hessian"),
            (
                "total - v%b * u * u",
                "total - v%b * u * u * 1.01_c_double",
                "log Z",
            ),
        ],
    );
}

#[test]
fn gompertz_in_c() {
    check(
        "gompertz",
        "process",
        c_plugin,
        &source("c/gompertz.c"),
        &[
            // The log-normal density at 0.7, by SciPy.
            &["gompertz", "1", "-0.7691971531440567"],
            &[
                "gompertz",
                "1",
                "-0.21497773409247875",
                "rate=0.8",
                "sigma=0.7",
                "capacity=1.4",
            ],
            &[
                "gompertz",
                "3",
                "-",
                "rate=0.8",
                "sigma=0.7",
                "capacity=1.4",
            ],
        ],
        &[
            (
                "2.0 * p->sigma * p->sigma * inside",
                "1.0 * p->sigma * p->sigma * inside",
                "div D",
            ),
            (
                "p->log_k - log(inside(x)) - 1.0",
                "p->log_k - log(inside(x))",
                "df/dx",
            ),
            (
                "p->rate * at * (p->log_k",
                "1.01 * p->rate * at * (p->log_k",
                "forward equation",
            ),
            (
                "log_k - p->sigma * p->sigma / (2.0",
                "log_k - p->sigma * p->sigma / (1.0",
                "flow of the reference law",
            ),
            (
                "0.5 * e * e / v - log(inside(x[k]))",
                "0.5 * e * e / v",
                "reference law: ",
            ),
            ("score[k] + 1.0", "score[k]", "restore"),
            ("(sy[k] - 1.0)", "(sy[k] + 1.0)", "grad log det"),
            (
                "to_x(p, sd * x[k])",
                "to_x(p, 1.06 * sd * x[k])",
                "draws are",
            ),
            (
                "a * to_y(p, xs[k]) + sd * xt[k])",
                "a * to_y(p, xs[k]) - 0.94 * sd * xt[k])",
                "draws are",
            ),
            (
                "3.3430575583588128105e+4",
                "3.3430575583588128105e+3",
                "quantile",
            ),
            (
                "2.65321895265761230930e-2",
                "2.65321895265761230930e-1",
                "quantile",
            ),
            ("if (p->dim != 1)", "if (0)", "for d = 1"),
            (
                "return x < DBL_MIN ? DBL_MIN : x;",
                "return x;",
                "outside of the support",
            ),
        ],
    );
}

#[test]
fn student_in_cpp() {
    check(
        "student",
        "process",
        cpp_plugin,
        &source("cpp/student.cpp"),
        &[
            // Student's density at 0.7, by SciPy.
            &["student", "1", "-1.2490906183167407"],
            &[
                "student",
                "1",
                "-1.5400330750163955",
                "nu=3.5",
                "mu=0.4",
                "delta=1.7",
                "theta=0.9",
            ],
            &["student", "3", "-", "nu=2.2"],
        ],
        &[
            (
                "c_ = 2.0 * theta_ / (nu_ - 1.0)",
                "c_ = 2.0 * theta_ / nu_",
                "flow of the reference law",
            ),
            ("2.0 * c_ * (x.data()", "1.0 * c_ * (x.data()", "div D"),
            ("std::sqrt(noise(", "std::abs(noise(", "G G' v"),
            ("radius * std::cos", "0.93 * radius * std::cos", "draws are"),
            (
                "- 0.5 * std::log(pi * nu_)",
                "- 0.5 * std::log(3.0 * nu_)",
                "reference law: ",
            ),
        ],
    );
}

#[test]
fn barker_in_c() {
    check(
        "barker",
        "sampler",
        c_plugin,
        &source("c/barker.c"),
        &[&["barker", "1"], &["barker-unsaved", "0"]],
        &[
            (
                "- softplus(w * grad[k]);",
                "- softplus(-w * grad[k]);",
                "moment",
            ),
            ("if (log(u[i * (d + 1) + d]) < ratio)", "if (1)", "moment"),
            (
                "s.accepted = run->accepted;",
                "s.accepted = 0.0;",
                "other draws",
            ),
            ("run->log_h = s.log_h;", "run->log_h = 0.0;", "other draws"),
            (
                "memcmp(&s, &expected, sizeof s) != 0",
                "memcmp(&s, &expected, 0) != 0",
                "may be anything",
            ),
            (
                "(b->eval->caps & RG_CAP_ROWWISE) && b->eval->threading == RG_THREAD_CONCURRENT",
                "1",
                "serial target",
            ),
            ("n_draws % b->chains != 0) {", "0) {", "8001 draws"),
        ],
    );
}

/// The example at the top of the header.
fn example() -> String {
    let header = fs::read_to_string(root().join("include/retrograde_plugin.hpp")).unwrap();
    let (_, rest) = header.split_once(" * ```cpp\n").expect("an example");
    let (code, _) = rest.split_once(" * ```\n").expect("it ends");
    let lines = code.lines().map(|l| {
        l.strip_prefix(" * ")
            .or(l.strip_prefix(" *"))
            .expect("a comment")
    });
    lines.map(|l| format!("{l}\n")).collect()
}

#[test]
fn the_example_of_the_cpp_header_is_a_plugin() {
    let example = example();
    check(
        "round",
        "target",
        cpp_plugin,
        &example,
        // log 2π.
        &[
            &["round", "1.8378770664093453"],
            &["round", "-", "dim=4", "sd=0.6"],
        ],
        &[("-precision_ * x(i, j)", "precision_ * x(i, j)", "gradient")],
    );
}

#[test]
fn classes_of_every_kind() {
    let folder = workshop(TMP, "classes");
    let built = folder.join("classes");
    for (standard, rtti) in [("c++17", "-fno-rtti"), ("c++20", "-frtti")] {
        run(cxx()
            .arg(format!("-std={standard}"))
            .args([rtti, "-D_GNU_SOURCE", "-Wno-unused-function", "-I"])
            .arg(root().join("include"))
            .arg(programs().join("classes.cpp"))
            .arg("-o")
            .arg(&built)
            .arg("-ldl"));
        let said = run(&mut Command::new(&built));
        assert!(said.ends_with("all is well\n"), "{standard}: {said}");
    }
}

#[test]
fn mistakes_in_classes_do_not_compile() {
    let student = source("cpp/student.cpp");
    let classes = fs::read_to_string(programs().join("classes.cpp")).unwrap();
    let folder = workshop(TMP, "mistakes");
    for (text, right, wrong, expected) in [
        (
            &student,
            "void div_ggt(Call &, Times, ConstMat x, Mat out) const",
            "void div_ggt(Call &, ConstMat x, Mat out) const",
            "`div_ggt` must be",
        ),
        (
            &student,
            "void div_ggt(",
            "void div_gtt(",
            "RG_CAP_G_CONST_X",
        ),
        (
            &student,
            "void drift_jvp(Call &, Times, ConstMat, ConstMat v, Mat out) const",
            "void drift_jvp(Call &, Times, ConstMat, ConstMat v, Mat out)",
            "const if the component",
        ),
        (
            &student,
            "void apply_g(",
            "void apply_noise(",
            "a process has `dim`",
        ),
        (
            &student,
            "About(\"student\"",
            "About(\"Student\"",
            "a small letter",
        ),
        (
            &student,
            "RETROGRADE_PLUGIN(\"pearson\"",
            "RETROGRADE_PLUGIN(\"Pearson\"",
            "a small letter",
        ),
        (
            &student,
            "RG_CAP_AUTONOMOUS)",
            "RG_CAP_LINEAR)",
            "come together",
        ),
        (
            &student,
            "RG_THREAD_CONCURRENT",
            "RG_THREAD_CALLER",
            "RG_THREAD_SERIAL",
        ),
        (
            &student,
            "class Student : public Process",
            "class Student final : public Process",
            "nor final",
        ),
        (
            &classes,
            "  void solve_noise(",
            "  void solve_nois(",
            "`forward_map` and `solve_noise`",
        ),
        (
            &classes,
            "  void quantile(",
            "  void quantil(",
            "`cdf` and `quantile`",
        ),
        (
            &classes,
            "  void unwarp(",
            "  void unwrap(",
            "`warp`, `unwarp` and `warp_score`",
        ),
        (
            &classes,
            "  void transition_sample(",
            "  void transition_draw(",
            "`transition_sample` and",
        ),
        (
            &classes,
            "  std::size_t n_outputs() const",
            "  std::size_t outputs_n() const",
            "`n_outputs`, `output_name`",
        ),
        (
            &classes,
            "  Run load(Call &, Reader &in)",
            "  Run read(Call &, Reader &in)",
            "`save` and `load`",
        ),
        (
            &classes,
            "  double int_g2(",
            "  void *int_g2(",
            "`int_g2` must be",
        ),
    ] {
        assert_eq!(text.matches(right).count(), 1, "{right:?}");
        let file = folder.join("mistake.cpp");
        let compile = |text: &str| {
            fs::write(&file, text).unwrap();
            let mut compiler = cxx();
            compiler
                .args([
                    "-std=c++17",
                    "-D_GNU_SOURCE",
                    "-Wno-unused-function",
                    "-fsyntax-only",
                    "-I",
                ])
                .arg(root().join("include"))
                .arg("-I")
                .arg(programs())
                .arg(&file);
            compiler.output().unwrap()
        };
        let output = compile(&text.replace(right, wrong));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{wrong:?} compiles");
        assert!(
            said.contains(expected),
            "{wrong:?} gives no {expected:?}:\n{said}"
        );
    }
}
