"""Draws of a job by ctypes alone, a row each on standard output: `draws.py libretrograde.so JOB.toml SEED N`."""

import ctypes as c
import sys

library, path, seed, n = sys.argv[1:]
rg = c.CDLL(library)
for name in ("rg_error_message", "rg_version"):
    getattr(rg, name).restype = c.c_char_p


class Options(c.Structure):
    """rg_run_options"""

    _fields_ = [
        ("struct_size", c.c_size_t),
        ("seed", c.c_uint64),
        ("n_draws", c.c_size_t),
        ("n_threads", c.c_uint32),
        ("flags", c.c_uint32),
        ("progress", c.c_void_p),
        ("progress_user", c.c_void_p),
        ("cancel", c.c_void_p),
        ("progress_ms", c.c_uint32),
        ("reserved", c.c_uint32),
    ]


def call(function, *arguments):
    """Calls a function whose last argument is the place for an error."""
    error = c.c_void_p()
    status = getattr(rg, function)(*arguments, c.byref(error))
    if status != 0:
        text = rg.rg_error_message(error).decode()
        rg.rg_error_free(error)
        raise RuntimeError(f"{text} (status {status})")


context, sampler, result = c.c_void_p(), c.c_void_p(), c.c_void_p()
call("rg_context_new", c.byref(context))
with open(path, "rb") as file:
    call("rg_sampler_from_toml", context, file.read(), None, c.byref(sampler))
options = Options(c.sizeof(Options), int(seed), int(n))
call("rg_sampler_run", sampler, c.byref(options), c.byref(result))
rows, d = c.c_size_t(), c.c_size_t()
call("rg_result_shape", result, None, c.byref(rows), c.byref(d), None, None)
size = rows.value * d.value
draws = (c.c_double * size)()
call("rg_result_draws", result, draws, c.c_size_t(0), c.c_size_t(size))
for i in range(rows.value):
    print(*(f"{x:.17g}" for x in draws[i * d.value : (i + 1) * d.value]))
rg.rg_result_free(result)
rg.rg_sampler_free(sampler)
rg.rg_context_free(context)
