//! `draws.zarr` and `report.html`: whole at any moment, made of the draws, and in need of nothing; the
//! pictures that `plot` draws anew. What ArviZ finds in a store is held against ours in `tests/arviz`.

use crate::lab::{Lab, NORMAL, PARTICLES, ULA, npy};
use serde_json::Value;

/// Fails unless each array of the store has all its chunks, as readers see it that trust the root alone;
/// where there is a page it says what it is. A run that has not come to a checkpoint has neither.
#[track_caller]
pub(crate) fn assert_readable(lab: &Lab, directory: &str, state: &str) {
    if lab
        .path(&format!("{directory}/draws.zarr/zarr.json"))
        .exists()
    {
        let root = lab.json(&format!("{directory}/draws.zarr/zarr.json"));
        assert_eq!(root["attributes"]["state"], state);
        let nodes = root["consolidated_metadata"]["metadata"]
            .as_object()
            .unwrap();
        let mut arrays = 0;
        for (path, node) in nodes.iter().filter(|(_, n)| n["node_type"] == "array") {
            assert_eq!(
                lab.json(&format!("{directory}/draws.zarr/{path}/zarr.json"))["node_type"],
                "array"
            );
            if node["data_type"] == "float64" {
                let path = format!("{directory}/draws.zarr/{path}");
                // A kill may come when chunks are written and the root, which tells their draws, is not.
                let numbers = array(lab, &path, node, state != "running");
                assert!(numbers.iter().all(|v| v.is_finite()), "{path}");
                arrays += 1;
            }
        }
        assert!(arrays > 0, "{root}");
    }
    if lab.path(&format!("{directory}/report.html")).exists() {
        let page = lab.text(&format!("{directory}/report.html"));
        assert_eq!(page.contains("still going on"), state == "running");
        assert!(page.ends_with("</html>\n"));
    }
}

/// Numbers of an array of a store, last axis fastest; `padded`: what is beyond its end must be NaN.
fn array(lab: &Lab, path: &str, node: &Value, padded: bool) -> Vec<f64> {
    let sizes = |v: &Value| -> Vec<usize> {
        let all = v.as_array().unwrap().iter();
        all.map(|n| n.as_u64().unwrap() as usize).collect()
    };
    let shape = sizes(&node["shape"]);
    let chunk = sizes(&node["chunk_grid"]["configuration"]["chunk_shape"]);
    let mut numbers = vec![f64::NAN; shape.iter().product()];
    let count: Vec<usize> = shape
        .iter()
        .zip(&chunk)
        .map(|(n, c)| n.div_ceil(*c))
        .collect();
    for k in 0..count.iter().product() {
        let index = place(k, &count);
        let key: Vec<String> = index.iter().map(ToString::to_string).collect();
        let bytes = lab.read(&format!("{path}/c/{}", key.join("/")));
        let (words, rest) = bytes.as_chunks::<8>();
        assert!(
            rest.is_empty() && words.len() == chunk.iter().product::<usize>(),
            "{path}"
        );
        for (i, word) in words.iter().enumerate() {
            let inside = place(i, &chunk);
            let at = index
                .iter()
                .zip(&chunk)
                .zip(&inside)
                .map(|((k, c), i)| k * c + i);
            let at: Vec<usize> = at.collect();
            if at.iter().zip(&shape).all(|(i, n)| i < n) {
                let flat = at.iter().zip(&shape).fold(0, |f, (i, n)| f * n + i);
                numbers[flat] = f64::from_le_bytes(*word);
            } else {
                assert!(
                    !padded || f64::from_le_bytes(*word).is_nan(),
                    "{path} is not filled up"
                );
            }
        }
    }
    numbers
}

/// The index of the `k`-th element of an array of that shape.
fn place(mut k: usize, shape: &[usize]) -> Vec<usize> {
    let mut index: Vec<usize> = shape
        .iter()
        .rev()
        .map(|n| {
            let i = k % n;
            k /= n;
            i
        })
        .collect();
    index.reverse();
    index
}

#[test]
fn the_store_has_the_draws_bit_for_bit_with_names_and_labels() {
    // Chains of their own chunks, many chains in shared ones, particles.
    let few = ULA.to_owned() + "thin = 2\n";
    let many = ULA.to_owned() + "chains = 100\nwarmup = 2\n";
    let hmc = "[sampler]\nkind = \"hmc\"\nwarmup = 20\n".to_owned();
    for (sampler, chains) in [
        (few, 4),
        (many, 100),
        (hmc, 4),
        ("[sampler]\nkind = \"smc\"\n".into(), 1),
    ] {
        let lab = Lab::new(format!(
            "draws = 1200\n[target]\nkind = \"eight-schools\"\n{sampler}"
        ));
        lab.run(&["run", "job.toml", "-o", "out"]);
        assert_readable(&lab, "out", "complete");
        let root = lab.json("out/draws.zarr/zarr.json");
        assert_eq!(root["attributes"]["seed"], 0);
        assert!(
            root["attributes"]["job"]
                .as_str()
                .unwrap()
                .contains("[sampler]")
        );
        assert!(!root.to_string().contains("directory"), "no place, no time");
        let nodes = &root["consolidated_metadata"]["metadata"];
        let names = lab.json("out/report.json");
        let names: Vec<&str> = names["coordinates"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["name"].as_str().unwrap())
            .collect();
        let (shape, draws) = npy(&lab.read("out/draws.npy"));
        assert_eq!(shape, format!("({chains}, {}, 10)", 1200 / chains));
        for (k, name) in names.iter().take(10).enumerate() {
            // eta1 … eta8 are one array.
            let (variable, at, size) = match name.strip_prefix("eta") {
                Some(i) => ("eta", i.parse::<usize>().unwrap() - 1, 8),
                None => (*name, 0, 1),
            };
            let node = &nodes[format!("posterior/{variable}")];
            assert_eq!(node["dimension_names"][0], "chain");
            assert_eq!(node["fill_value"], "NaN");
            let found = array(
                &lab,
                &format!("out/draws.zarr/posterior/{variable}"),
                node,
                true,
            );
            let found = found.iter().skip(at).step_by(size);
            let expected: Vec<&f64> = draws.iter().skip(k).step_by(10).collect();
            assert_eq!(found.collect::<Vec<_>>(), expected, "{name}");
        }
        for group in ["posterior", "sample_stats"] {
            if nodes[group].is_null() {
                continue;
            }
            assert_eq!(
                nodes[group]["attributes"]["sample_dims"],
                serde_json::json!(["chain", "draw"])
            );
            for label in ["chain", "draw"] {
                assert_eq!(nodes[format!("{group}/{label}")]["data_type"], "int64");
            }
        }
        let first = lab.read("out/draws.zarr/posterior/eta_dim_0/c/0");
        assert_eq!(first[..8], 1_i64.to_le_bytes());
    }
}

#[test]
fn a_run_can_be_looked_at_while_it_goes_on() {
    let job = "[target]\nkind = \"eight-schools\"\n[sampler]\nkind = \"ula\"\nthin = 1000\n";
    let lab = Lab::new(format!("draws = 1000000\n{job}"));
    let set = "output.checkpoint_seconds=0";
    let mut run = lab.start(&["run", "job.toml", "-o", "out", "--set", set]);
    run.wait_until(|| lab.path("out/report.html").exists());
    run.wait_until(|| lab.path("out/draws.zarr/zarr.json").exists());
    run.signal("KILL");
    run.end();
    assert_readable(&lab, "out", "running");
    // Interrupted in the end, it says so.
    let mut run = lab.start(&["run", "--resume", "out"]);
    let before = lab.read("out/checkpoint.bin");
    run.wait_until(|| lab.read("out/checkpoint.bin") != before);
    run.signal("INT");
    run.end().ended(130);
    assert_readable(&lab, "out", "stopped");
}

#[test]
fn the_page_needs_nothing_and_has_all_there_is_to_say() {
    let jobs = [
        (
            format!("draws = 4000\n{NORMAL}{ULA}thin = 20\n"),
            vec!["marginals", "pairs", "trace"],
        ),
        (
            format!("draws = 300\n{}", PARTICLES[0].1),
            vec!["marginals", "pairs", "ladder"],
        ),
        (
            "draws = 400\n[target]\nkind = \"gmm40\"\n[sampler]\nkind = \"smc\"\nbase_sd = 25.0\n"
                .into(),
            vec!["marginals", "pairs", "ladder"],
        ),
    ];
    for (job, pictures) in jobs {
        let lab = Lab::new(job);
        lab.run(&["run", "job.toml", "-o", "out"]);
        let page = lab.text("out/report.html");
        for foreign in [
            "<script",
            "http-equiv",
            "src=",
            "<link",
            "@import",
            "url(http",
            "NaN",
            "inf\"",
        ] {
            assert!(!page.contains(foreign), "{foreign}");
        }
        // The only addresses are the names of SVG's own words.
        assert_eq!(
            page.matches("http").count(),
            page.matches("http://www.w3.org/2000/svg").count()
        );
        for picture in &pictures {
            assert_eq!(
                page.matches(&format!("<figure id=\"{picture}\">")).count(),
                1,
                "{picture}"
            );
        }
        let report = lab.json("out/report.json");
        for v in report["verdicts"].as_array().unwrap() {
            let text = v["text"].as_str().unwrap();
            assert!(page.contains(&text.replace('<', "&lt;")), "{text}");
        }
        // The clips of a picture are its own on a page with several.
        let mut clips: Vec<&str> = page
            .split("<clipPath id=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap())
            .collect();
        let all = clips.len();
        clips.sort_unstable();
        clips.dedup();
        assert!(all > 0 && clips.len() == all);

        // `plot` draws the same ones anew.
        let said = lab.run(&["plot", "out"]).ended(0);
        assert_eq!(said.out.lines().count(), pictures.len());
        for picture in &pictures {
            let svg = lab.text(&format!("out/{picture}.svg"));
            assert!(svg.starts_with("<svg ") && page.contains(&svg), "{picture}");
        }
    }
}

#[test]
fn the_exact_density_of_a_mixture_is_laid_over_and_missed_modes_are_seen() {
    // Chains that begin at the origin do not find all modes; the centres are all in the picture.
    let lab = Lab::new(format!("draws = 400\n[target]\nkind = \"gmm40\"\n{ULA}"));
    lab.run(&["run", "job.toml", "-o", "out"]);
    let page = lab.text("out/report.html");
    assert!(page.contains("Orange: the exact marginal density."));
    assert!(page.contains("Orange: centres of the 40 components."));
    assert!(page.contains("Contours of the log density"));
    let plain = Lab::new(format!(
        "draws = 400\n{NORMAL}bounds = {{ lower = 0.0 }}\n{ULA}"
    ));
    plain.run(&["run", "job.toml", "-o", "out"]);
    let page = plain.text("out/report.html");
    assert!(
        !page.contains("exact marginal density"),
        "limits change the law"
    );
}

#[test]
fn plot_refuses_by_name_what_it_cannot_draw() {
    let lab = Lab::new(format!("draws = 400\n{NORMAL}{ULA}"));
    lab.run(&["run", "job.toml", "-o", "out"]);
    let said = lab
        .run(&["plot", "out", "--kind", "pairs", "-o", "pictures", "--json"])
        .ended(0);
    assert_eq!(
        said.json()["files"],
        serde_json::json!(["pictures/pairs.svg"])
    );
    assert_eq!(lab.names("pictures"), ["pairs.svg"]);
    let refused = |args: &[&str], words: &str| {
        let said = lab.run(args).ended(2);
        assert!(
            said.err.contains(words) && said.out.is_empty(),
            "{}",
            said.err
        );
    };
    refused(&["plot", "nowhere"], "no such run directory");
    refused(&["plot", "job.toml"], "a file, not a run directory");
    refused(&["plot", "pictures"], "not a run directory");
    refused(
        &["plot", "out", "--kind", "ladder"],
        "there are `marginals`, `pairs`, `trace`",
    );
    let draws = lab.read("out/draws.npy");
    lab.write("out/draws.npy", &draws[..draws.len() - 8]);
    refused(&["plot", "out"], "draws.npy is not as the run wrote it");
    std::fs::remove_file(lab.path("out/draws.npy")).unwrap();
    refused(&["plot", "out"], "no draws.npy");
    std::fs::remove_file(lab.path("out/report.json")).unwrap();
    refused(&["plot", "out"], "the run has no report yet");
}

#[test]
fn formats_are_written_where_they_are_asked_for() {
    let lab = Lab::new(format!(
        "draws = 400\n{NORMAL}{ULA}[output]\nformats = [\"csv\"]\n"
    ));
    lab.run(&["run", "job.toml", "-o", "out"]);
    let names = lab.names("out");
    assert!(
        !names
            .iter()
            .any(|n| n == "draws.zarr" || n == "report.html"),
        "{names:?}"
    );
}

#[test]
#[cfg_attr(
    not(target_os = "linux"),
    ignore = "NOT CHECKED HERE: needs the `script` of util-linux"
)]
fn a_terminal_gets_a_picture_and_a_pipe_does_not() {
    let lab = Lab::new(format!("draws = 400\n{NORMAL}{ULA}"));
    let piped = lab.run(&["run", "job.toml", "-o", "piped"]);
    assert!(!piped.out.contains('⠀'));
    let program = env!("CARGO_BIN_EXE_retrograde");
    let line = format!("NO_COLOR=1 script -qec '{program} run job.toml -o seen' /dev/null");
    let seen = lab.shell(&line, &[]).output().unwrap();
    let seen = String::from_utf8_lossy(&seen.stdout).replace('\r', "");
    let picture: Vec<&str> = seen.lines().filter(|l| l.contains('│')).collect();
    assert_eq!(picture.len(), 18, "{seen}");
    assert!(
        picture
            .iter()
            .all(|l| l.chars().count() < 80 && !l.contains('\u{1b}'))
    );
    let line = format!("script -qec '{program} run job.toml -o json --json' /dev/null");
    let json = lab.shell(&line, &[]).output().unwrap();
    assert!(!String::from_utf8_lossy(&json.stdout).contains('│'));
}
