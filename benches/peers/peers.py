"""The same work in JAX, BlackJAX, NumPy and retrograde, in one run: times, and their ratios.

    just peers

Work: ULA and the dilation path (score-norm rule, linear schedule) on 40 Gaussian modes in the plane,
as ns a particle and step; Heun's 18 steps of a diffusion on 40 modes in 2 and 50 dimensions, as ns a
row and call of the score; tempered SMC with ten MALA moves a temperature on the ionosphere
posterior, as ns a gradient evaluation. All in float64. JAX is compiled, and timed from the second
call on; the best of REPEATS counts. Retrograde's time is what its run directory says of the sampling
(`timing.json`), start and output apart; the best of as many runs.
"""

import csv
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import blackjax
import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)

REPEATS = 3
ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "target" / "release" / "retrograde"
CHAINS, STEPS, NUMPY_STEPS = 100_000, 200, 10
VARIANCE = math.log1p(math.e) ** 2  # of each mode of gmm40
ULA_STEP, DILATION_STEP, DRIFT, SMALLEST = 0.1, 0.3, 1.0, 1e-4
PARTICLES, MOVES, ALPHA = 2000, 10, 0.9


def best(work, repeats=REPEATS):
    """Shortest time of so many calls, in seconds, and what the last gave."""
    shortest = math.inf
    for _ in range(repeats):
        start = time.perf_counter()
        out = work()
        shortest = min(shortest, time.perf_counter() - start)
    return shortest, out


def retrograde(job):
    """Shortest sampling time of REPEATS runs of a job, in seconds, and its last report."""
    shortest = math.inf
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "job.toml"
        path.write_text(job)
        for k in range(REPEATS):
            out = pathlib.Path(folder) / f"run{k}"
            command = [PROGRAM, "run", path, "-o", out]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode not in (0, 3):
                sys.exit(f"retrograde failed on\n{job}\n{done.stderr}")
            timing = json.loads((out / "timing.json").read_text())
            shortest = min(shortest, timing["sampling_seconds"])
        return shortest, json.loads((out / "report.json").read_text())


# Forty modes. Where they lie does not matter for the cost: these are not those of gmm40.
MEANS = np.random.default_rng(0).uniform(-40.0, 40.0, (40, 2))


def score_jax(x):
    """Score of the mixture by its closed form, n × 2."""
    difference = jnp.asarray(MEANS)[None] - x[:, None]
    weight = jax.nn.softmax(-0.5 / VARIANCE * (difference**2).sum(-1), axis=-1)
    return (weight[:, :, None] * difference).sum(1) / VARIANCE


def score_products_jax(x):
    """The same with ‖x‖² − 2x·μ + ‖μ‖² and matrix products, n × 2."""
    means = jnp.asarray(MEANS)
    logits = (x @ means.T - 0.5 * (means**2).sum(-1)) / VARIANCE
    return (jax.nn.softmax(logits, axis=-1) @ means - x) / VARIANCE


def score_numpy(x):
    logits = (x @ MEANS.T - 0.5 * (MEANS**2).sum(-1)) / VARIANCE
    weight = np.exp(logits - logits.max(-1, keepdims=True))
    weight /= weight.sum(-1, keepdims=True)
    return (weight @ MEANS - x) / VARIANCE


def langevin_jax(score):
    """ULA as one compiled loop."""

    def step(x, key):
        noise = jax.random.normal(key, x.shape)
        return x + ULA_STEP * score(x) + math.sqrt(2 * ULA_STEP) * noise, None

    return jax.jit(lambda x, key: jax.lax.scan(step, x, jax.random.split(key, STEPS))[0])


def dilation_jax(score):
    """The dilation path with h = min(h_max, δ/‖s‖) as one compiled loop."""
    path = jnp.linspace(SMALLEST, 1.0, STEPS)

    def step(x, now):
        key, level = now
        root = jnp.sqrt(level)
        s = score(x / root) / root
        size = jnp.sqrt((s**2).sum(-1, keepdims=True))
        h = jnp.minimum(DILATION_STEP, DRIFT / size)
        return x + h * s + jnp.sqrt(2 * h) * jax.random.normal(key, x.shape), None

    def run(x, key):
        return jax.lax.scan(step, x, (jax.random.split(key, STEPS), path))[0]

    return jax.jit(run)


def fastest_jax(loop, start):
    """Time of the faster of the two forms of the score."""
    times = []
    for score in (score_jax, score_products_jax):
        compiled, key = loop(score), jax.random.key(1)
        compiled(start, key).block_until_ready()
        times.append(best(lambda: compiled(start, key).block_until_ready())[0])
    return min(times)


LEVELS = 18


def edm_levels():
    """80 … 0.002 evenly in the seventh root, then 0."""
    u = np.linspace(0.0, 1.0, LEVELS)
    return np.append((80 ** (1 / 7) + u * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7, 0.0)


def heun_jax(means, products):
    """Heun's steps in the noise level on modes of unit variance, as one compiled function."""
    means, levels = jnp.asarray(means), edm_levels()

    def direction(x, sigma):
        variance = 1.0 + sigma**2
        if products:
            logits = (x @ means.T - 0.5 * (means**2).sum(-1)) / variance
            mean = jax.nn.softmax(logits, axis=-1) @ means
        else:
            difference = means[None] - x[:, None]
            weight = jax.nn.softmax(-0.5 / variance * (difference**2).sum(-1), axis=-1)
            mean = x + (weight[:, :, None] * difference).sum(1)
        return -sigma * (mean - x) / variance

    @jax.jit
    def run(x):
        for now, after in zip(levels[:-1], levels[1:]):
            d = direction(x, now)
            y = x + (after - now) * d
            x = y if after == 0.0 else x + 0.5 * (after - now) * (d + direction(y, after))
        return x

    return run


def heun(d):
    """Shortest times of Heun in d dimensions, JAX's and ours, in ns a row and score."""
    means = np.random.default_rng(0).uniform(-40.0, 40.0, (40, d))
    start = 80.0 * jax.random.normal(jax.random.key(0), (CHAINS, d))
    times = []
    for products in (False, True):
        if not products and d > 10:
            continue  # 1.6 GB of differences
        run = heun_jax(means, products)
        run(start).block_until_ready()
        times.append(best(lambda: run(start).block_until_ready())[0])
    job = f"""draws = {CHAINS}
[target]
kind = "gaussian-mixture"
means = {means.tolist()}
sd = 1.0
[process]
kind = "edm"
[score]
kind = "exact"
[sampler]
kind = "edm"
grid = {{ steps = {LEVELS} }}
[output]
formats = []
"""
    per = CHAINS * (2 * LEVELS - 1) / 1e9
    return min(times) / per, retrograde(job)[0] / per


def langevin_numpy():
    generator = np.random.default_rng(1)
    x = generator.standard_normal((CHAINS, 2))
    start = time.perf_counter()
    for _ in range(NUMPY_STEPS):
        noise = generator.standard_normal(x.shape)
        x = x + ULA_STEP * score_numpy(x) + math.sqrt(2 * ULA_STEP) * noise
    return (time.perf_counter() - start) / (CHAINS * NUMPY_STEPS)


def ionosphere():
    """Standardised columns with a column of ones before them, and labels of 0 and 1."""
    with open(ROOT / "examples" / "data" / "ionosphere.csv", newline="") as file:
        rows = list(csv.reader(file))
    label = rows[0].index("label")
    data = [[v for k, v in enumerate(r) if k != label] for r in rows[1:]]
    x = np.array(data, dtype=float)
    spread = x.std(0)
    x = np.where(spread > 0, (x - x.mean(0)) / np.where(spread > 0, spread, 1.0), 0.0)
    names = sorted({r[label] for r in rows[1:]})
    y = np.array([names.index(r[label]) for r in rows[1:]], dtype=float)
    return np.column_stack([np.ones(len(x)), x]), y


def smc_blackjax():
    """Seconds and gradient evaluations of adaptive tempered SMC, and its log Z."""
    x, y = map(jnp.asarray, ionosphere())
    d = x.shape[1]

    def log_prior(w):
        return -0.5 * w @ w - 0.5 * d * math.log(2 * math.pi)

    def log_likelihood(w):
        logits = x @ w
        return (y * logits - jax.nn.softplus(logits)).sum()

    sampler = blackjax.adaptive_tempered_smc(
        log_prior,
        log_likelihood,
        blackjax.mala.build_kernel(),
        blackjax.mala.init,
        blackjax.smc.extend_params({"step_size": 0.02}),
        blackjax.smc.resampling.systematic,
        target_ess=ALPHA,
        num_mcmc_steps=MOVES,
    )
    step = jax.jit(sampler.step)

    def work(seed=1):
        key = jax.random.key(seed)
        key, now = jax.random.split(key)
        state = sampler.init(jax.random.normal(now, (PARTICLES, d)))
        levels, log_z = 0, 0.0
        while float(state.tempering_param) < 1.0:
            key, now = jax.random.split(key)
            state, info = step(now, state)
            levels, log_z = levels + 1, log_z + float(info.log_likelihood_increment)
        return levels, log_z

    work()
    seconds, (levels, log_z) = best(work, 2)
    return seconds, PARTICLES * levels * MOVES, levels, log_z


def table(rows):
    print("| work | rival | rival's | retrograde | ratio |")
    print("| --- | --- | --- | --- | --- |")
    for work, rival, theirs, ours, unit in rows:
        print(f"| {work} | {rival} | {theirs:.4g} {unit} | {ours:.4g} {unit} | {theirs / ours:.1f} |")


def main():
    start = jax.random.normal(jax.random.key(0), (CHAINS, 2))
    per = CHAINS * STEPS
    rows = []

    ula = f"""draws = {CHAINS}
[target]
kind = "gmm40"
[sampler]
kind = "ula"
chains = {CHAINS}
step_size = {ULA_STEP}
warmup = {STEPS - 1}
[output]
formats = []
"""
    ours = retrograde(ula)[0] / per * 1e9
    theirs = fastest_jax(langevin_jax, start) / per * 1e9
    rows.append(("ULA, 40 modes, d = 2, n = 10⁵", "JAX", theirs, ours, "ns a particle-step"))
    slow = min(langevin_numpy() for _ in range(REPEATS)) * 1e9
    rows.append(("the same", "NumPy", slow, ours, "ns a particle-step"))

    dilation = f"""draws = {CHAINS}
[target]
kind = "gmm40"
[sampler]
kind = "dilation"
rule = "score-norm"
schedule = "linear"
step_size = {DILATION_STEP}
drift_cap = {DRIFT}
steps = {STEPS}
tail = 0
[output]
formats = []
"""
    ours = retrograde(dilation)[0] / per * 1e9
    theirs = fastest_jax(dilation_jax, jnp.zeros_like(start)) / per * 1e9
    rows.append(("dilation path, score-norm rule", "JAX", theirs, ours, "ns a particle-step"))

    for d in (2, 50):
        theirs, ours = heun(d)
        name = f"Heun in 18 steps, 40 modes, d = {d}, n = 10⁵"
        rows.append((name, "JAX", theirs, ours, "ns a row and score"))

    smc = f"""draws = {PARTICLES}
[target]
kind = "logistic-regression"
file = "{ROOT / 'examples' / 'data' / 'ionosphere.csv'}"
[sampler]
kind = "smc"
move = "mala"
moves = {MOVES}
max_moves = {MOVES}
alpha = {ALPHA}
pilot_moves = 0
[output]
formats = []
"""
    seconds, report = retrograde(smc)
    evaluations = report["evaluations"]["gradient_evals"]
    other, count, levels, log_z = smc_blackjax()
    name = "tempered SMC, ionosphere, MALA × 10"
    rows.append((name, "BlackJAX", other / count * 1e9, seconds / evaluations * 1e9, "ns a gradient"))
    rows.append((name, "BlackJAX", other, seconds, "s in all"))

    print(f"{os.cpu_count()} cores; JAX {jax.__version__}, BlackJAX {blackjax.__version__}, ")
    print(f"NumPy {np.__version__}; best of {REPEATS}\n")
    table(rows)
    print(f"\nlog Z (in truth −111.608): BlackJAX {log_z:.2f} at {levels} temperatures, ", end="")
    ours = report["log_z"]["value"]
    print(f"retrograde {ours:.2f}")


if __name__ == "__main__":
    main()
