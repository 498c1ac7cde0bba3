//! Faults that are planted in processes and scores, which the check must find.

use crate::check::{LIMIT, checked, failures, mutant, plugin};
use crate::workshop;
use retrograde_host::check::{Options, Verdict};
use retrograde_testkit::compiler::root;
use std::path::Path;

/// Panics unless each planted fault fails its check, and none but those named beside it.
fn faults(name: &str, source: &Path, all: &[(&str, &str, &[&str])]) {
    let folder = workshop(name);
    let sound = checked(&plugin(&folder, source, &[]), &Options::default(), LIMIT);
    assert_eq!(sound.worst(), Verdict::Ok, "{}", sound.text());
    let mut wrong = String::new();
    for (from, to, checks) in all {
        let library = mutant(&folder, source, from, to);
        let report = checked(&library, &Options::default(), LIMIT);
        let failed: Vec<_> = failures(&report).iter().map(|l| l.check.as_str()).collect();
        if !failed.contains(&checks[0]) || failed.iter().any(|f| !checks.contains(f)) {
            let report = report.text();
            let lines: String = report.lines().filter(|l| l.contains("FAIL")).collect();
            wrong.push_str(&format!(
                "{to}\n  fails {failed:?}, not {checks:?}\n{lines}\n"
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn faults_of_a_warped_process_are_found() {
    let source = root().join("plugins/c/gompertz.c");
    faults(
        "check-warped",
        &source,
        &[
            (
                "out[k] = 2.0 * p->sigma * p->sigma",
                "out[k] = 1.99 * p->sigma * p->sigma",
                &["div_ggt"],
            ),
            (
                "out[k] = slope(p, x[k]) * v[k];",
                "out[k] = 1.001 * slope(p, x[k]) * v[k];",
                &["drift_jvp", "drift_vjp"],
            ),
            (
                "sum += slope(p, x[i * d + j]);",
                "sum += 0.999 * slope(p, x[i * d + j]);",
                &["drift_div"],
            ),
            (
                "out[k] = g * g * v[k];",
                "out[k] = g * v[k];",
                &["apply_ggt", "div_ggt"],
            ),
            (
                "grad[k] = (-e / v - 1.0)",
                "grad[k] = (-e / v - 0.9)",
                &["ref_eval", "reference", "transition"],
            ),
            (
                "const double sd = p->sigma / sqrt(2.0 * p->rate);",
                "const double sd = 1.1 * p->sigma / sqrt(2.0 * p->rate);",
                &["reference"],
            ),
            (
                "sum += constant -",
                "sum += constant + 0.1 -",
                &["reference", "transition", "cdf"],
            ),
            (
                "kernel(object, t, alpha, sigma2);",
                "kernel(object, 1.01 * t, alpha, sigma2);",
                &["linear", "transition"],
            ),
            (
                "a * to_y(p, r[k]) + sd * z[k]",
                "a * to_y(p, r[k]) + 1.1 * sd * z[k]",
                &["forward_map"],
            ),
            (
                "a * to_y(p, xs[k]) + sd * xt[k]",
                "a * to_y(p, xs[k]) + 1.1 * sd * xt[k]",
                &["transition"],
            ),
            (
                "log_normal(object, n, d, a, v, xs",
                "log_normal(object, n, d, a, 1.1 * v, xs",
                &["transition", "cdf"],
            ),
            (
                "log_det[i] = sum;",
                "log_det[i] = -sum;",
                &["log_det", "warp_score"],
            ),
            (
                "sx[k] = (sy[k] - 1.0)",
                "sx[k] = (sy[k] - 0.9)",
                &["warp_score", "transition"],
            ),
            (
                "x[k] = to_x(object, y[k]);",
                "x[k] = to_x(object, y[k] + 1e-3);",
                &["warp", "linear"],
            ),
            (
                "0.5 * erfc(-SQRT_HALF * u)",
                "0.5 * erfc(-0.7 * u)",
                &["cdf"],
            ),
            (
                "sqrt(v) * normal_quantile(p[i])",
                "1.01 * sqrt(v) * normal_quantile(p[i])",
                &["cdf"],
            ),
            (
                "f[k] = p->rate * at *",
                "f[k] = (1.0 + 1e-6 * t[ts * (k / d)]) * p->rate * at *",
                &["capabilities"],
            ),
            (
                "| RG_CAP_WARPED |",
                "| RG_CAP_WARPED | RG_CAP_G_CONST_X |",
                &["capabilities"],
            ),
            ("*low = 0.0;", "*low = 0.5;", &["support"]),
        ],
    );
}

#[test]
fn faults_of_a_linear_process_and_of_a_score_are_found() {
    let source = root().join("crates/host/tests/host/lies/exploding.c");
    faults(
        "check-exploding",
        &source,
        &[
            ("x[k] *= END;", "x[k] *= 0.95 * END;", &["reference"]),
            (
                "normal(n, d, END * END,",
                "normal(n, d, 0.9 * END * END,",
                &["reference"],
            ),
            (
                "-0.5 * (double)d * log(TAU * v);",
                "-0.5 * (double)d * log(TAU * v) - 0.1;",
                &["reference", "transition"],
            ),
            (
                "*sigma2 = t * t;",
                "*sigma2 = t * t * 1.001;",
                &["linear", "transition"],
            ),
            (
                "*alpha = 1.0;",
                "*alpha = 1.0 - 1e-3 * t;",
                &["linear", "transition"],
            ),
            (
                "xt[k] = xs[k] + sqrt",
                "xt[k] = 1.1 * xs[k] + sqrt",
                &["transition"],
            ),
            ("*out = t * t - s * s;", "*out = t * t;", &["int_g2"]),
            (
                "out[k] = sqrt(2.0 * t[ts * (k / d)]) * z[k];",
                "out[k] = sqrt(2.0 * t[ts * (n - 1)]) * z[k];",
                &["row-wise", "bad numbers", "apply_ggt", "int_g2"],
            ),
            (
                "out[k] = 2.0 * t[ts * (k / d)] * v[k];",
                "out[k] = (ts ? 2.0 : 1.0) * t[ts * (k / d)] * v[k];",
                &["times"],
            ),
            (
                "s[k] = -x[k] / (1.0 + at * at);",
                "s[k] = -x[k] / (1.0 + ts * at * at);",
                &["times"],
            ),
            ("out[k] = -v[k] /", "out[k] = -0.999 * v[k] /", &["jvp"]),
            (
                "normal(1, d, 1.0 + t[ts * i] * t[ts * i],",
                "normal(1, d, 1.001 + t[ts * i] * t[ts * i],",
                &["log_marginal"],
            ),
        ],
    );
}
