"""Holds report.json of run directories against what ArviZ finds in their draws.zarr.

usage: check.py DIR...

Mean, sd, ess_bulk, ess_tail, rhat and mcse of every coordinate agree to 1e-10; draws.zarr has what
ArviZ's functions look for; and a report with one number changed would not pass.
"""

import copy
import json
import math
import sys
import warnings
from pathlib import Path

import arviz_base
import numpy as np

TOLERANCE = 1e-10
# ArviZ's tails begin where its intervals end; ours are the 5 % and 95 % quantiles of Vehtari et al. (2021).
arviz_base.rcParams["stats.ci_prob"] = 0.95
# Name in report.json, name in ArviZ.
NUMBERS = {
    "mean": "mean",
    "sd": "sd",
    "ess_bulk": "ess_bulk",
    "ess_tail": "ess_tail",
    "rhat": "r_hat",
    "mcse_mean": "mcse_mean",
}


def opened(directory):
    """The store as its users open it, without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            import arviz as az

            return az, az.from_zarr(directory / "draws.zarr")
        except ImportError:
            import arviz_stats as az
            import xarray

            return az, xarray.open_datatree(directory / "draws.zarr", engine="zarr")


def coordinate_names(posterior):
    """Our name of every element of the posterior: an array `x` over labels 0, 1 is x[0], x[1] there."""
    for name, variable in posterior.data_vars.items():
        axes = variable.dims[2:]
        for index in np.ndindex(*(variable.sizes[a] for a in axes)):
            chosen = dict(zip(axes, index))
            labels = [int(posterior[a].values[i]) for a, i in chosen.items()]
            spelled = {
                name,
                name + "_".join(map(str, labels)),
                name + "_" + "_".join(map(str, labels)),
                name + "[" + ",".join(map(str, labels)) + "]",
            }
            yield name, chosen, labels, spelled


def element(tree, name, chosen):
    return float(tree[name].isel(chosen))


def theirs(az, tree):
    """ArviZ's numbers of each element: those of the summary, and those of its single functions."""
    posterior = tree["posterior"].to_dataset()
    table = az.summary(tree, round_to="none")
    # ArviZ divides by the number of draws S where ours, as in R's posterior, is S - 1.
    draws = posterior.sizes["chain"] * posterior.sizes["draw"]
    table["sd"] *= math.sqrt(draws / (draws - 1))
    alone = {
        "ess_bulk": az.ess(tree, method="bulk"),
        "ess_tail": az.ess(tree, method="tail", prob=(0.05, 0.95)),
        "mcse_mean": az.mcse(tree, method="mean"),
    }
    if posterior.sizes["chain"] > 1:
        alone["r_hat"] = az.rhat(tree)
    for name, chosen, labels, spelled in coordinate_names(posterior):
        row = name if not labels else f"{name}[{', '.join(map(str, labels))}]"
        yield spelled, [
            {k: float(table.loc[row, k]) for k in NUMBERS.values()},
            {k: element(v, name, chosen) for k, v in alone.items()},
        ]


def disagreements(found_by_arviz, report):
    found, ours = [], {c["name"]: c for c in report["coordinates"]}
    for spelled, sources in found_by_arviz:
        (known,) = spelled & ours.keys()
        mine = ours.pop(known)
        for source in sources:
            for key, other in NUMBERS.items():
                if other not in source:
                    continue
                a, b = mine[key], source[other]
                a = math.nan if a is None else a
                # One chain has no R-hat, here and there.
                if math.isnan(a) and math.isnan(b):
                    continue
                scale = max(abs(b), mine["sd"] if key == "mean" else 0.0)
                if not abs(a - b) <= TOLERANCE * scale:
                    found.append(f"{known} {key}: {a!r} here, {b!r} in ArviZ")
    found.extend(f"{name} is not in the posterior" for name in ours)
    return found


def check(directory):
    az, tree = opened(directory)
    report = json.loads((directory / "report.json").read_text())
    assert tree.attrs["state"] == "complete", tree.attrs["state"]
    assert tree.attrs["seed"] == report["seed"]
    assert 'kind = "' in tree.attrs["job"]
    for group in tree.children.values():
        assert list(group.attrs["sample_dims"]) == ["chain", "draw"]
        assert group.attrs["inference_library"] == "retrograde"
        for dim in group.to_dataset().sizes:
            assert group[dim].dtype == np.int64, f"{group.name} has no labels for {dim}"
    shape = (report["chains"], report["draws_per_chain"])
    posterior = tree["posterior"]
    assert (posterior.sizes["chain"], posterior.sizes["draw"]) == shape
    stats = tree["sample_stats"]
    assert stats["lp"].shape == shape and np.isfinite(stats["lp"]).all()
    if "diverging" in stats:
        assert stats["diverging"].dtype == bool and stats["n_steps"].dtype == np.int64
        assert (stats["n_steps"] > 0).all() and (stats["step_size"] > 0).all()
    # The same draws as for NumPy.
    flat = np.load(directory / "draws.npy")
    total = sum(float(v.sum()) for v in posterior.to_dataset().data_vars.values())
    extra = directory / "outputs.npy"
    expected = float(flat.sum()) + (float(np.load(extra).sum()) if extra.exists() else 0.0)
    assert abs(total - expected) <= 1e-9 * np.abs(flat).sum()

    numbers = list(theirs(az, tree))
    found = disagreements(numbers, report)
    assert not found, "\n".join(found)
    if hasattr(az, "diagnose"):
        az.diagnose(tree)
    # The comparison itself: one digit wrong in one number is noticed.
    for key in NUMBERS:
        broken = copy.deepcopy(report)
        value = broken["coordinates"][0][key]
        if value is not None:
            row = broken["coordinates"][0]
            row[key] = value + 1e-8 * (row["sd"] if key == "mean" else value)
            assert disagreements(numbers, broken), f"a wrong {key} was not noticed"
    name = f"{az.__name__} {getattr(az, '__version__', '')}"
    print(f"{directory.name}: {len(report['coordinates'])} coordinates as in {name}")


for argument in sys.argv[1:]:
    check(Path(argument))
