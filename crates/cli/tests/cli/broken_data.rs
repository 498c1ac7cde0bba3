//! Data files with a mistake: told by file, line and column, exit code 2, nothing left behind.

use crate::lab::{Lab, ULA};
use insta::assert_snapshot;

const JOB: &str = "[target]\nkind = \"logistic-regression\"\nfile = \"data.csv\"\n";
const GOOD: &str = "a,b,label\n1.5,2,0\n-1,0.5,1\n0,1e-3,1\n";

fn told(more: &str, data: Option<&[u8]>) -> String {
    let lab = Lab::new(format!("{JOB}{more}{ULA}"));
    if let Some(data) = data {
        lab.write("data.csv", data);
    }
    let before = lab.names(".");
    lab.run(&["run", "job.toml"]).ended(2);
    assert_eq!(lab.names("."), before);
    lab.transcript(&["run", "job.toml"])
}

#[test]
fn tables_with_a_mistake() {
    // The good table is one.
    let lab = Lab::new(format!("{JOB}{ULA}"));
    lab.write("data.csv", GOOD);
    lab.run(&["check", "job.toml"]).ended(0);

    let cases: [(&str, &[u8]); 19] = [
        ("ragged", b"a,b,label\n1,2,0\n1,1\n0,1,1\n"),
        ("a cell too many", b"a,b,label\n1,2,0\n1,1,1,1\n"),
        ("a word", b"a,b,label\n1,2,0\n1,two,1\n"),
        ("decimal comma", b"a,b,label\n\"1,5\",2,0\n1,2,1\n"),
        ("semicolons", b"a;b;label\n1;2;0\n1;2;1\n"),
        ("infinite", b"a,b,label\n1,2,0\n1,inf,1\n"),
        ("missing value", b"a,b,label\n1,2,0\n1,NA,1\n"),
        ("empty cell", b"a,b,label\n1,,0\n1,2,1\n"),
        ("missing label", b"a,b,label\n1,2,0\n1,3,\n"),
        ("three classes", b"a,b,label\n1,2,0\n1,3,1\n0,3,2\n"),
        ("one class", b"a,b,label\n1,2,0\n1,3,0\n"),
        ("no label column", b"a,b,class\n1,2,0\n1,3,1\n"),
        ("misspelt label column", b"a,b,lable\n1,2,0\n1,3,1\n"),
        ("name twice", b"a,a,label\n1,2,0\n1,3,1\n"),
        (
            "name of a column of draws",
            b"chain,b,label\n1,2,0\n1,3,1\n",
        ),
        ("name of a statistic", b"a,lp__,label\n1,2,0\n1,3,1\n"),
        ("only names", b"a,b,label\n"),
        ("empty", b""),
        ("not UTF-8", b"a,b,label\n1,2,0\n1,\xff3,1\n"),
    ];
    let mut all: Vec<String> = cases
        .iter()
        .map(|(title, data)| format!("──── {title}\n{}", told("", Some(data))))
        .collect();
    all.push(format!("──── no file\n{}", told("", None)));
    assert_snapshot!("tables_with_a_mistake", all.join("\n"));
}

#[test]
fn settings_that_do_not_fit_the_table() {
    let cases = [
        ("label", "label = \"lable\"\n"),
        ("unknown column", "columns = [\"a\", \"c\"]\n"),
        ("column twice", "columns = [\"a\", \"a\"]\n"),
        ("label among the columns", "columns = [\"a\", \"label\"]\n"),
        ("nothing left", "columns = []\nintercept = false\n"),
        ("prior", "prior_sd = 0\n"),
    ];
    let mut all: Vec<String> = cases
        .iter()
        .map(|(title, more)| format!("──── {title}\n{}", told(more, Some(GOOD.as_bytes()))))
        .collect();
    let lab = Lab::new("");
    lab.write("jobs/job.toml", format!("{JOB}{ULA}"));
    all.push(lab.transcript(&["run", "jobs/job.toml"]));
    lab.write("jobs/data.csv", "a,label\n1,0\nx,1\n");
    all.push(lab.transcript(&["run", "jobs/job.toml"]));
    std::fs::create_dir(lab.path("folder")).unwrap();
    all.push(lab.transcript(&["run", "jobs/job.toml", "--set", "target.file=../folder"]));
    assert_snapshot!("settings_that_do_not_fit_the_table", all.join("\n"));
}
