"""log Z a second: tempered SMC and parallel tempering here against BlackJAX's adaptive tempered SMC.

Same target, number of particles, base, share of the effective sample size, and kernel: MALA, ten moves a temperature,
its step size adapted from one temperature to the next to an acceptance of 0.6 (BlackJAX leaves that to its user; here
it is adapted move by move, in units of the particles' standard deviations). All in float64, compiled, on all cores. Each method runs
SEEDS times; what counts is 1/(mean square error of log Z x seconds of a run).
"""

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

from peers import ALPHA, MEANS, MOVES, PARTICLES, PROGRAM, ROOT, VARIANCE, ionosphere

SEEDS = 24
AIM, GAIN = 0.6, 2.0


def normal(sd, d):
    def log_density(w):
        return -0.5 * (w / sd) @ (w / sd) - d * math.log(sd) - 0.5 * d * math.log(2 * math.pi)

    return log_density


def logistic():
    """Log likelihood of the regression; the prior is the base."""
    x, y = map(jnp.asarray, ionosphere())

    def log_likelihood(w):
        logits = x @ w
        return (y * logits - jax.nn.softplus(logits)).sum()

    return log_likelihood, x.shape[1], 1.0, 0.02


def forty():
    """Forty modes, over the base N(0, 25² I) that covers them."""
    base = normal(25.0, 2)
    means = jnp.asarray(MEANS)

    def log_likelihood(w):
        squares = ((w - means) ** 2).sum(1)
        logs = -0.5 * squares / VARIANCE - math.log(2 * math.pi * VARIANCE) - math.log(len(means))
        return jax.scipy.special.logsumexp(logs) - base(w)

    return log_likelihood, 2, 25.0, 0.5


def smc_blackjax(log_likelihood, d, sd, first):
    """Log Z and seconds of each of SEEDS runs, and gradients of the last."""
    log_prior = normal(sd, d)

    @jax.jit
    def step(key, state, step_size):
        sampler = blackjax.adaptive_tempered_smc(
            log_prior,
            log_likelihood,
            blackjax.mala.build_kernel(),
            blackjax.mala.init,
            blackjax.smc.extend_params({"step_size": step_size}),
            blackjax.smc.resampling.systematic,
            target_ess=ALPHA,
            num_mcmc_steps=MOVES,
        )
        state, info = sampler.step(key, state)
        return state, info.log_likelihood_increment, info.update_info.acceptance_rate.mean()

    init = blackjax.adaptive_tempered_smc(
        log_prior,
        log_likelihood,
        blackjax.mala.build_kernel(),
        blackjax.mala.init,
        blackjax.smc.extend_params({"step_size": first}),
        blackjax.smc.resampling.systematic,
        target_ess=ALPHA,
        num_mcmc_steps=MOVES,
    ).init

    def work(seed):
        key = jax.random.key(seed)
        key, now = jax.random.split(key)
        state = init(sd * jax.random.normal(now, (PARTICLES, d)))
        levels, log_z, size = 0, 0.0, first
        while float(state.tempering_param) < 1.0:
            key, now = jax.random.split(key)
            state, increment, accepted = step(now, state, size)
            size *= math.exp(GAIN * (float(accepted) - AIM))
            levels, log_z = levels + 1, log_z + float(increment)
        return levels, log_z

    work(0)
    out = []
    for seed in range(1, SEEDS + 1):
        start = time.perf_counter()
        levels, log_z = work(seed)
        out.append((log_z, time.perf_counter() - start))
    return out, PARTICLES * levels * MOVES


def ours(target, sd, truth):
    """The same of our methods: SMC with the same kernel, SMC and parallel tempering as they come."""
    head = f"draws = {PARTICLES}\nseed = 1\n{target}"
    same = (
        f'[sampler]\nkind = "smc"\nmove = "mala"\nmoves = {MOVES}\nmax_moves = {MOVES}\n'
        f"alpha = {ALPHA}\nbase_sd = {sd}\npilot_moves = 0\n"
    )
    rows = []
    for name, sampler in [
        ("SMC, MALA x 10", same),
        ("SMC, defaults", '[sampler]\nkind = "smc"\n'),
        ("PT, defaults", '[sampler]\nkind = "parallel-tempering"\n'),
    ]:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "job.toml"
            path.write_text(head + sampler)
            command = [PROGRAM, "evidence", path, "--replicates", str(SEEDS), "--json"]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode not in (0, 3):
                sys.exit(f"retrograde failed on\n{head}{sampler}\n{done.stderr}")
            method = json.loads(done.stdout)["evidence"]["methods"][0]
            runs = [(r["log_z"], r["seconds"]) for r in method["runs"]]
            rows.append((name, runs, method["evaluations"]))
    return rows


def main():
    data = ROOT / "examples" / "data" / "ionosphere.csv"
    means = json.dumps(MEANS.tolist())
    forty_modes = (
        f'[target]\nkind = "gaussian-mixture"\nweights = {[1 / 40] * 40}\nmeans = {means}\n'
        f"variances = {[[VARIANCE] * 2] * 40}\n"
    )
    regression = f'[target]\nkind = "logistic-regression"\nfile = "{data}"\n'
    print(f"{os.cpu_count()} cores; JAX {jax.__version__}, BlackJAX {blackjax.__version__}; {SEEDS} runs each\n")
    print("| target | method | error: mean, rms | evaluations | s a run | us an evaluation | 1/(mse s), BlackJAX = 1 |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, problem, target, truth in [
        ("ionosphere", logistic, regression, -111.608),
        ("40 modes", forty, forty_modes, 0.0),
    ]:
        log_likelihood, d, sd, first = problem()
        runs, gradients = smc_blackjax(log_likelihood, d, sd, first)
        rows = [("BlackJAX SMC, MALA x 10", runs, gradients), *ours(target, sd, truth)]
        reference = None
        for method, runs, gradients in rows:
            errors = np.array([z - truth for z, _ in runs])
            seconds = float(np.mean([s for _, s in runs]))
            mse = float(np.mean(errors**2))
            worth = 1.0 / (mse * seconds)
            reference = reference or worth
            print(
                f"| {name} | {method} | {errors.mean():+.4f}, {math.sqrt(mse):.4f} | {gradients / 1e6:.2f} M "
                f"| {seconds:.3f} | {seconds / gradients * 1e6:.3f} | {worth / reference:.1f} |"
            )


if __name__ == "__main__":
    main()
