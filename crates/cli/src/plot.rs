//! `retrograde plot`.

use crate::args::PlotArgs;
use crate::outcome::{Exit, Output};
use serde_json::json;

pub(crate) fn plot(args: &PlotArgs, out: &Output) -> Exit {
    let registry = match crate::plugins::registry(out) {
        Ok(registry) => registry,
        Err(e) => return out.error(&e.into()),
    };
    let into = args.output.as_deref().unwrap_or(&args.directory);
    match retrograde::job::plot(&args.directory, &registry, &args.kind, into) {
        Err(e) => out.error(&e),
        Ok(files) => {
            out.result(
                || json!({ "files": files }),
                || files.iter().map(|f| format!("{}\n", f.display())).collect(),
            );
            Exit::Ok
        }
    }
}
