//! The model of examples/bridgestan made by BridgeStan itself, where somebody has done so.

use super::{log_density, log_evidence, on_threads, registry, smc};
use ndarray::{Array2, Axis, array};
use retrograde_core::registry::{Folder, Parts};
use retrograde_core::{Result, Target};
use retrograde_testkit::compiler::root;
use retrograde_testkit::{
    assert_close, assert_target, assert_z, eval, importance_log_z, mean_se, with_cx,
};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

fn build(library: &PathBuf, data: Option<&str>) -> Result<Arc<dyn Target>> {
    let mut settings = json!({
        "library": library, "transformed_parameters": true, "generated_quantities": true,
    });
    if let Some(data) = data {
        settings["data"] = json!(data);
    }
    let files = Folder(root().join("examples/bridgestan"));
    registry().target("bridgestan", settings, &Parts::new(&files))
}

#[test]
fn a_library_that_bridgestan_made() {
    let Some(library) = std::env::var_os("RETROGRADE_BRIDGESTAN").map(PathBuf::from) else {
        let note = "NOT RUN: bridgestan::stan::a_library_that_bridgestan_made. RETROGRADE_BRIDGESTAN must \
                    name a library that BridgeStan 2 made of examples/bridgestan/normal.stan.\n";
        let _ = std::io::Write::write_all(&mut std::io::stderr(), note.as_bytes());
        return;
    };
    let target = build(&library, Some("normal.json")).unwrap();
    let x = array![
        [0.4, -0.2],
        [1.0, 0.1],
        [-0.7, 0.9],
        [2.5, -0.6],
        [0.9, -0.05]
    ];
    for row in x.rows() {
        let (value, _) = eval(target.as_ref(), &row.to_vec());
        assert_close("log density", value, log_density(row[0], row[1]), 1e-12);
    }
    assert_target("a Stan model", target.as_ref(), x.view());
    if let Some(hvp) = target.hvp() {
        let (v, h) = ([0.3, -1.1], 1e-4);
        let mut out = Array2::zeros((1, 2));
        let point = x.row(0).insert_axis(Axis(0));
        with_cx(1, |cx| {
            hvp.hvp(cx, point, array![[v[0], v[1]]].view(), out.view_mut())
        })
        .unwrap();
        let slope = |h: f64| eval(target.as_ref(), &[0.4 + h * v[0], -0.2 + h * v[1]]).1;
        let (up, down) = (slope(h), slope(-h));
        for j in 0..2 {
            let difference = (up[j] - down[j]) / (2.0 * h);
            assert_close("Hessian-vector product", out[(0, j)], difference, 1e-5);
        }
    }

    let (log_z, se) = importance_log_z(target.as_ref(), &[0.9, 0.0], &[0.6, 0.4], 40_000, 1);
    assert_z("log Z by importance sampling", log_z, log_evidence(), se);
    let (log_z, se) = smc(Arc::clone(&target), 4000, Arc::default()).unwrap();
    assert_z("log Z by SMC", log_z, log_evidence(), se);

    let outputs = target.outputs().unwrap();
    let names: Vec<String> = (0..outputs.count()).map(|i| outputs.name(i)).collect();
    assert_eq!(names, ["mu", "sigma", "variance", "y_new"]);
    let one = on_threads(target.as_ref(), 3000, 1);
    assert_eq!(one, on_threads(target.as_ref(), 3000, 2));
    for row in one.rows() {
        assert_close("variance", row[2], row[1] * row[1], 1e-14);
    }
    // (y − μ) / σ is standard normal, from one row to the next.
    let z: Vec<f64> = one
        .rows()
        .into_iter()
        .map(|r| (r[3] - r[0]) / r[1])
        .collect();
    let (mean, se) = mean_se(z.iter().copied());
    assert_z("mean of z", mean, 0.0, se);
    let (variance, se) = mean_se(z.iter().map(|z| z * z));
    assert_z("variance of z", variance, 1.0, se);
    let (covariance, se) = mean_se(z.chunks(2).map(|z| z[0] * z[1]));
    assert_z("covariance of neighbours", covariance, 0.0, se);

    let error = build(&library, None).err().unwrap().to_string();
    assert!(error.contains("variable name=N"), "{error}");
}
