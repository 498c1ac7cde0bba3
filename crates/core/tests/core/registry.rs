//! Components by name.

use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};
use retrograde_core::registry::{Folder, Parts};
use retrograde_core::*;
use std::sync::Arc;

/// A target for the registry of these tests.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Flat {
    /// Dimension.
    #[schemars(range(min = 1))]
    dim: usize,
    /// Height.
    #[serde(default)]
    height: f64,
}

impl Build<dyn Target> for Flat {
    fn build(self, _: &Parts<'_>) -> Result<Arc<dyn Target>> {
        if self.dim == 0 {
            return Err(Error::setting("target flat", "dim", 0, "at least 1"));
        }
        Ok(Arc::new(self))
    }
}

impl Target for Flat {
    fn dim(&self) -> usize {
        self.dim
    }

    fn has_gradient(&self) -> bool {
        false
    }

    fn eval(
        &self,
        _: &mut Cx<'_>,
        _: ArrayView2<'_, f64>,
        l: Option<ArrayViewMut1<'_, f64>>,
        _: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        l.into_iter().for_each(|mut l| l.fill(self.height));
        Ok(())
    }
}

register! {
    target "flat" => Flat, needs NOTHING, summary "The same everywhere", source "none";
}

fn settings(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_registered_component_is_found_described_and_built() {
    __link();
    let registry = Registry::builtin().unwrap();
    assert_eq!(registry.of(Kind::Target).count(), 1);
    assert_eq!(registry.of(Kind::Sampler).count(), 0);
    let component = registry.get(Kind::Target, "flat").unwrap();
    let schema = component.schema.as_value();
    assert_eq!(schema["properties"]["dim"]["minimum"], 1);
    assert_eq!(schema["properties"]["height"]["default"], 0.0);
    assert_eq!(schema["additionalProperties"], false);
    let files = Folder::default();
    let parts = Parts::new(&files);
    let built = registry
        .target("flat", settings(r#"{"dim": 3}"#), &parts)
        .unwrap();
    assert_eq!(built.dim(), 3);
}

#[test]
fn what_is_wrong_is_named() {
    let registry = Registry::builtin().unwrap();
    let files = Folder::default();
    let parts = Parts::new(&files);
    let error = |name: &str, text: &str| match registry.target(name, settings(text), &parts) {
        Ok(_) => panic!("{text} was taken"),
        Err(e) => (e.status(), e.to_string()),
    };
    let (status, text) = error("flatt", "{}");
    assert_eq!(status, Status::NotFound);
    assert_eq!(text, "no target is called `flatt`; did you mean `flat`?");
    let (status, text) = error("flat", r#"{"dim": "three"}"#);
    assert_eq!(status, Status::Config);
    assert!(
        text.starts_with("target flat: invalid type") && text.ends_with("(at `dim`)"),
        "{text}"
    );
    let (_, text) = error("flat", r#"{"dim": 1, "hight": 2}"#);
    assert!(text.contains("unknown field `hight`"), "{text}");
    let (_, text) = error("flat", r#"{"dim": 0}"#);
    assert_eq!(text, "target flat: `dim` is 0, but must be at least 1");
    let mut again = registry.clone();
    let twice = again
        .add(registry.get(Kind::Target, "flat").unwrap().clone())
        .unwrap_err();
    assert!(
        twice
            .to_string()
            .contains("`flat`, which is a target already"),
        "{twice}"
    );
}

#[test]
fn missing_parts_and_abilities_are_named() {
    use retrograde_core::registry::Needs;
    let files = Folder::default();
    let parts = Parts::new(&files);
    let needs = Needs::DENSITY_AND_GRADIENT;
    let e = parts.check("sampler x", &needs).unwrap_err();
    assert_eq!(
        e.to_string(),
        "sampler x needs a target, which the job does not have; add a [target] table"
    );
    let parts = parts.with_target(Arc::new(Flat {
        dim: 1,
        height: 0.0,
    }));
    let e = parts.check("sampler x", &needs).unwrap_err();
    assert!(
        e.to_string()
            .starts_with("sampler x needs a gradient, which the target does not have")
    );
    assert_eq!(e.status(), Status::Unsupported);
}
