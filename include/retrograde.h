/* retrograde: draws and log Z from a density that can be evaluated but not normalised.
 *
 * Generated from the library's sources; do not edit.
 *
 * Errors: a function returns RG_OK or an RG_ERR_ code. If its last argument `err` is not NULL, a
 * failure also puts an owned rg_error there, to be freed with rg_error_free; success leaves *err
 * alone. So start with `rg_error *err = NULL`, and free or report it before it is used again.
 * Other outputs are written on success only, `need` excepted.
 * Ownership: what a _new function makes, the _free function of that name frees. Memory is freed by
 * the side that allocated it; NULL may be freed. Using or freeing an object after it was freed is
 * undefined.
 * Strings: NUL-terminated UTF-8. What is handed in is copied. What is handed out goes into a
 * buffer of the caller: `cap` is its size in bytes, `need` gets the bytes needed, NUL included.
 * With `cap` 0 the call only tells `need` and succeeds; a buffer too small gives RG_ERR_BUFFER and
 * stays as it was.
 * Memory: what is known to need more than there is gives RG_ERR_MEMORY; where it ends all the same, in the middle of a
 * run, the process ends, as with any library that cannot go on without.
 * Threads: arguments `const T *` may be used by several threads at once, others by one at a time.
 */


#ifndef RETROGRADE_H
#define RETROGRADE_H

#include <stddef.h>
#include <stdint.h>
#include "retrograde_plugin.h"

/**
 * Version of the binary interface this header describes. Programs built for another one do not
 * work with this library. While the library is 0.x it changes with each minor release.
 */
#define RG_ABI 0

/**
 * Counts the additions to the binary interface RG_ABI. A library with a larger one serves
 * programs built for a smaller one.
 */
#define RG_ABI_MINOR 1

/**
 * Of `flags` in rg_run_options: kernels use no more than the vector instructions that every machine of the
 * kind has, for the same bits on unequal machines.
 */
#define RG_RUN_BASELINE_SIMD 1

/**
 * Of `flags` in rg_run_options: rg_job_run replaces a run directory that exists.
 */
#define RG_RUN_REPLACE 2

/**
 * A flag that stops runs between two steps. Made by rg_cancel_new, freed by rg_cancel_free.
 */
typedef struct rg_cancel rg_cancel;

/**
 * The components that can be asked for by kind and name. Made by rg_context_new, freed by
 * rg_context_free; contexts know nothing of one another.
 */
typedef struct rg_context rg_context;

/**
 * What went wrong in one call: a status code, a sentence, and its causes. A function that fails
 * makes one if it is given a place for it; the caller frees it with rg_error_free. It belongs to
 * no context, may outlive every other object, and may be read on any thread.
 */
typedef struct rg_error rg_error;

/**
 * A forward process, from data at t = 0 to noise at t = t_end. Made by rg_process_new or
 * rg_process_from_vtable, freed by rg_process_free; what is made from it keeps it alive inside.
 */
typedef struct rg_process rg_process;

/**
 * What a run gave: draws, log weights, numbers, verdicts. Made by the functions that run, freed by
 * rg_result_free.
 */
typedef struct rg_result rg_result;

/**
 * A sampler with what it samples. Made by rg_sampler_new or rg_sampler_from_toml, freed by
 * rg_sampler_free; results live on.
 */
typedef struct rg_sampler rg_sampler;

/**
 * A score: the gradient of the log density of a process at a time, or an estimate of it. Made by
 * rg_score_new or rg_score_from_vtable, freed by rg_score_free; what is made from it keeps it alive inside.
 */
typedef struct rg_score rg_score;

/**
 * A log density, mostly not normalised. Made by one of the rg_target_ functions, freed by
 * rg_target_free; what is made from it keeps it alive inside, so that it may be freed at any time.
 */
typedef struct rg_target rg_target;

/**
 * Called with a line of log, `level` 0 for a warning, 1 for what is worth knowing, 2 for details. `utf8` is
 * valid until it returns. It may come on any thread, never twice at once. It must not throw, nor jump out.
 */
typedef void (*rg_log_fn)(void *user, int32_t level, const char *utf8);

/**
 * A log density at one point.
 *
 * `user`: what was given with the function.
 * `d`: the dimension.
 * `x`: the point, d numbers.
 * `logp`: gets the log density, which may be -infinity; NULL if it is not wanted.
 * `grad`: gets its gradient, d numbers; NULL if it is not wanted.
 * Returns RG_OK to go on. Any other value ends the run: an RG_ERR_ code becomes the status of the function that was
 * running; any other becomes RG_ERR_CALLBACK, with the number in its message. 1000 and above are never codes of this
 * library: use them for your own.
 * It must not throw, nor jump out.
 */
typedef rg_status (*rg_point_fn)(void *user, size_t d, const double *x, double *logp, double *grad);

/**
 * Called with what was given as `user` when nothing uses it any more; NULL for nothing to be called. It
 * may come on any thread.
 */
typedef void (*rg_drop_fn)(void *user);

/**
 * Log densities at many points.
 *
 * `user`: what was given with the function.
 * `n`: number of points; it differs from call to call.
 * `d`: the dimension.
 * `x`: the points, n x d, row-major and without gaps: as an array d x n of Julia or Fortran.
 * `logp`: gets n log densities, which may be -infinity; NULL if they are not wanted.
 * `grad`: gets the gradients, n x d; NULL if they are not wanted.
 * Returns as rg_point_fn does. It must not throw, nor jump out.
 */
typedef rg_status (*rg_batch_fn)(void *user,
                                 size_t n,
                                 size_t d,
                                 const double *x,
                                 double *logp,
                                 double *grad);

/**
 * How far a run is. Later versions may append fields; `struct_size` tells which there are.
 */
typedef struct {
  /**
   * Size of this struct in bytes.
   */
  size_t struct_size;
  /**
   * Steps done.
   */
  uint64_t step;
  /**
   * Draws kept so far.
   */
  uint64_t n_draws;
  /**
   * Points at which the target, or its gradient, was evaluated so far.
   */
  uint64_t n_eval;
  /**
   * How much is done, 0 to 1; NaN before the sampler has said so.
   */
  double fraction;
  /**
   * Seconds since the function was called.
   */
  double elapsed_s;
} rg_progress;

/**
 * Called now and then while a run goes on, between two steps, on the thread that called the function that
 * runs. `p` is valid until it returns. A value other than 0 stops the run after this step, and sets the flag `cancel`
 * of its options if there is one; a run whose last step this was is complete all the same. It must not throw, nor jump
 * out.
 */
typedef int32_t (*rg_progress_fn)(void *user, const rg_progress *p);

/**
 * How a run is run. Begin with `rg_run_options o = RG_RUN_OPTIONS_INIT;`, which has the size and the
 * defaults: seed 0, 4000 draws, all threads; those of the job for a job. A struct from an older header, which is shorter, is
 * as good.
 */
typedef struct {
  /**
   * Size of this struct in bytes.
   */
  size_t struct_size;
  /**
   * Seed of all random numbers; 0 is a seed as any other. Jobs: 0 stands for the seed of the job.
   */
  uint64_t seed;
  /**
   * Draws in all; 0 stands for 4000. Jobs: 0 stands for those of the job.
   */
  size_t n_draws;
  /**
   * Threads, 1024 at most; 0 stands for all. They change no bits.
   */
  uint32_t n_threads;
  /**
   * RG_RUN_ bits, or-ed.
   */
  uint32_t flags;
  /**
   * Called with how far the run is; may be NULL.
   */
  rg_progress_fn progress;
  /**
   * Handed to `progress` as it is.
   */
  void *progress_user;
  /**
   * Flag that stops the run; may be NULL. Must live until the function returns.
   */
  const rg_cancel *cancel;
  /**
   * Least time between two calls of `progress`, in ms; 0 stands for 100.
   */
  uint32_t progress_ms;
  /**
   * 0.
   */
  uint32_t reserved;
} rg_run_options;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of the library, for example "0.1.0".
 *
 * Returns NUL-terminated ASCII, never NULL, which lives as long as the library; not to be freed.
 * Threads: any, also several at once.
 */
const char *rg_version(void);

/**
 * Whether this library serves a program built with this header: call it first, as
 * rg_check_abi(RG_ABI, RG_ABI_MINOR, buf, sizeof buf).
 *
 * `abi`, `minor`: RG_ABI and RG_ABI_MINOR as the program was compiled with them.
 * `buf`: room for `cap` bytes; may be NULL if `cap` is 0. If the answer is RG_ERR_ABI it gets a
 * sentence with both versions, or "" if that does not fit (256 bytes always do); otherwise "".
 * `cap`: size of `buf` in bytes.
 * Returns RG_OK if `abi` is the library's and `minor` is not above the library's; otherwise
 * RG_ERR_ABI. RG_ERR_NULL if `buf` is NULL and `cap` is not 0.
 * Threads: any, also several at once.
 */
rg_status rg_check_abi(uint32_t abi, uint32_t minor, char *buf, size_t cap);

/**
 * The services that tables of a caller (rg_target_from_vtable and the like) use in their functions: random
 * numbers, errors with a text, flags. They stand on the rg_call that a function gets.
 *
 * Returns a table that is valid as long as the program runs; never NULL.
 * Threads: any, also several at once.
 */
const rg_host *rg_host_services(void);

/**
 * The name of a status code, for example "RG_ERR_DIM".
 *
 * `code`: any number; for one that is no status the name is "unknown status".
 * Returns NUL-terminated ASCII, never NULL, which lives as long as the library; not to be freed.
 * Threads: any, also several at once.
 */
const char *rg_status_name(rg_status code);

/**
 * The status code of an error: what the function that failed returned.
 *
 * `e`: an error, or NULL, which stands for no error.
 * Returns its code; RG_OK for NULL.
 * Threads: any, also several at once.
 */
rg_status rg_error_code(const rg_error *e);

/**
 * What went wrong: one sentence that names the argument or component, what was given and what
 * would be right.
 *
 * `e`: an error, or NULL, which stands for no error.
 * Returns NUL-terminated UTF-8, never NULL: "" for NULL. The error owns it: it is valid until
 * rg_error_free(e) and must not be freed on its own.
 * Threads: any, also several at once.
 */
const char *rg_error_message(const rg_error *e);

/**
 * The message, followed by its causes: one line "caused by: ..." each, the nearest first.
 *
 * `e`: an error, or NULL, which stands for no error.
 * Returns NUL-terminated UTF-8, never NULL: "" for NULL. The error owns it: it is valid until
 * rg_error_free(e) and must not be freed on its own.
 * Threads: any, also several at once.
 */
const char *rg_error_detail(const rg_error *e);

/**
 * Frees an error and the strings it owns.
 *
 * `e`: an error that was not freed yet and that no other thread is reading, or NULL, which does
 * nothing.
 * Threads: any, not necessarily the one the error arose on.
 */
void rg_error_free(rg_error *e);

/**
 * Makes a context that holds every built-in component.
 *
 * `out`: gets the context, which the caller frees with rg_context_free; not NULL.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_NULL if `out` is NULL; RG_ERR_ARG if two components have one name.
 * Threads: any, also several at once.
 */
rg_status rg_context_new(rg_context **out, rg_error **err);

/**
 * Frees a context. What was made with it lives on.
 *
 * `cx`: a context that was not freed yet and that no other thread is using, or NULL, which does
 * nothing.
 * Threads: any, not necessarily the one that made it.
 */
void rg_context_free(rg_context *cx);

/**
 * Sends lines of log of what is made with the context from now on to a function.
 *
 * `cx`: a context that no other thread is using; not NULL.
 * `f`: the function; NULL for none.
 * `user`: handed to it as it is; must live as long as anything that is made with the context.
 * `max_level`: 0 for warnings only, 1 also for what is worth knowing, 2 for all.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_NULL if `cx` is NULL; RG_ERR_ARG if `max_level` is none of these.
 * Threads: any.
 */
rg_status rg_context_set_log(rg_context *cx,
                             rg_log_fn f,
                             void *user,
                             int32_t max_level,
                             rg_error **err);

/**
 * Loads a plugin: its components are in the context then, as "plugin/component". It is never unloaded.
 *
 * `cx`: a context that no other thread is using; not NULL.
 * `path`: the shared library; not NULL.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK, also if it was loaded before; RG_ERR_NULL; RG_ERR_UTF8; RG_ERR_PLUGIN if it is no plugin, or a
 * broken one, or has the name of another, with what is wrong; RG_ERR_IO if it cannot be read.
 * Threads: any.
 */
rg_status rg_context_load_plugin(rg_context *cx,
                                 const char *path,
                                 rg_error **err);

/**
 * Loads every plugin of a folder. Those that cannot be loaded are told to the log and left out.
 *
 * `cx`: a context that no other thread is using; not NULL.
 * `dir`: the folder; NULL for the folders that the program looks in: those of RETROGRADE_PLUGIN_PATH, that of
 * the user and that of the system.
 * `n_ok`: gets the number of plugins that were loaded; may be NULL.
 * `n_bad`: gets the number of files that could not be; may be NULL.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_NULL if `cx` is NULL; RG_ERR_UTF8.
 * Threads: any.
 */
rg_status rg_context_scan_plugins(rg_context *cx,
                                  const char *dir,
                                  size_t *n_ok,
                                  size_t *n_bad,
                                  rg_error **err);

/**
 * How many components of a kind there are.
 *
 * `cx`: a context; not NULL.
 * `kind`: one of the RG_KIND_ constants.
 * `n`: gets the number; not NULL.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_NULL if `cx` or `n` is NULL; RG_ERR_ARG if there is no such kind.
 * Threads: any, also several at once with the same context.
 */
rg_status rg_context_count(const rg_context *cx, int32_t kind, size_t *n, rg_error **err);

/**
 * The name of a component. Those of one kind are in the order of their names.
 *
 * `cx`: a context; not NULL.
 * `kind`: one of the RG_KIND_ constants.
 * `i`: which one of that kind, from 0 to the count less 1.
 * `buf`: room for `cap` bytes; gets the name, NUL-terminated UTF-8. May be NULL if `cap` is 0.
 * `cap`: size of `buf` in bytes; 0 only asks for the size.
 * `need`: gets the bytes the name needs with its NUL, also when the answer is RG_ERR_BUFFER; may
 * be NULL unless `cap` is 0.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_NULL if `cx`, or a `buf` or `need` that is needed, is NULL; RG_ERR_ARG if
 * `kind` or `i` is out of range; RG_ERR_BUFFER if `cap` is too small, and then `buf` is as it was.
 * Threads: any, also several at once with the same context.
 */
rg_status rg_context_name(const rg_context *cx,
                          int32_t kind,
                          size_t i,
                          char *buf,
                          size_t cap,
                          size_t *need,
                          rg_error **err);

/**
 * Describes a component as a JSON object on one line: "kind" (a word), "name", "summary" (one
 * sentence), "source" (where it comes from) and "schema" (the JSON Schema of its settings).
 *
 * `cx`: a context; not NULL.
 * `kind`: one of the RG_KIND_ constants.
 * `name`: the component's name, NUL-terminated UTF-8; not NULL.
 * `buf`: room for `cap` bytes; gets the object, NUL-terminated UTF-8. May be NULL if `cap` is 0.
 * `cap`: size of `buf` in bytes; 0 only asks for the size.
 * `need`: gets the bytes the object needs with its NUL, also when the answer is RG_ERR_BUFFER;
 * may be NULL unless `cap` is 0.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_NULL if `cx` or `name`, or a `buf` or `need` that is needed, is NULL;
 * RG_ERR_ARG if there is no such kind; RG_ERR_UTF8 if `name` is not UTF-8; RG_ERR_NOT_FOUND if no
 * component of the kind is called so, with the nearest name in the message; RG_ERR_BUFFER if
 * `cap` is too small, and then `buf` is as it was.
 * Threads: any, also several at once with the same context.
 */
rg_status rg_context_describe(const rg_context *cx,
                              int32_t kind,
                              const char *name,
                              char *buf,
                              size_t cap,
                              size_t *need,
                              rg_error **err);

/**
 * Makes a target of the registry.
 *
 * `cx`: a context; not NULL.
 * `name`: its name, as rg_context_name tells it; not NULL.
 * `toml`: its settings as TOML, the keys that a job has in `[target]` without `kind`; NULL for none. Files
 * that it names are looked for from the current folder.
 * `out`: gets the target, which the caller frees; not NULL.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_NULL; RG_ERR_UTF8; RG_ERR_NOT_FOUND if no target is called so; RG_ERR_CONFIG if a
 * setting is wrong, with its name and what would be right; RG_ERR_IO if a file cannot be read; what a
 * plugin returns.
 * Threads: any, also several at once with the same context.
 */
rg_status rg_target_new(const rg_context *cx,
                        const char *name,
                        const char *toml,
                        rg_target **out,
                        rg_error **err);

/**
 * Makes a target from a function of one point.
 *
 * `cx`: a context; not NULL.
 * `d`: the dimension, 1 or more.
 * `f`: the function; not NULL. See rg_point_fn.
 * `user`: handed to `f` and `drop` as it is; may be NULL.
 * `drop`: called with `user` once, when nothing uses the target any more, also if this function fails;
 * NULL for nothing to be called.
 * `caps`: RG_CAP_GRADIENT if `f` gives gradients, which nearly every sampler needs; else 0.
 * `threading`: an RG_THREAD_ constant. RG_THREAD_CALLER: `f` is only called on threads that call functions
 * of this library, and never twice at once; RG_THREAD_SERIAL: on any thread, never twice at once;
 * RG_THREAD_CONCURRENT: on any threads at once, which is needed for more than one core to be used.
 * `out`: gets the target, which the caller frees; not NULL.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_NULL; RG_ERR_ARG if `d`, `caps` or `threading` is out of its range.
 * Threads: any, also several at once with the same context.
 */
rg_status rg_target_from_point(const rg_context *cx,
                               size_t d,
                               rg_point_fn f,
                               void *user,
                               rg_drop_fn drop,
                               uint64_t caps,
                               int32_t threading,
                               rg_target **out,
                               rg_error **err);

/**
 * Makes a target from a function of many points at once, which costs less than one of a point.
 *
 * `cx`: a context; not NULL.
 * `d`: the dimension, 1 or more.
 * `f`: the function; not NULL. See rg_batch_fn.
 * `user`: handed to `f` and `drop` as it is; may be NULL.
 * `drop`: called with `user` once, when nothing uses the target any more, also if this function fails;
 * NULL for nothing to be called.
 * `caps`: RG_CAP_GRADIENT if `f` gives gradients; RG_CAP_ROWWISE if what it gives for a point does not
 * depend, to the last bit, on the others of the batch: only then is a batch spread over threads;
 * RG_CAP_DETERMINISTIC if it draws no random numbers. Or-ed.
 * `threading`: as for rg_target_from_point.
 * `out`: gets the target, which the caller frees; not NULL.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_NULL; RG_ERR_ARG if `d`, `caps` or `threading` is out of its range.
 * Threads: any, also several at once with the same context.
 */
rg_status rg_target_from_batch(const rg_context *cx,
                               size_t d,
                               rg_batch_fn f,
                               void *user,
                               rg_drop_fn drop,
                               uint64_t caps,
                               int32_t threading,
                               rg_target **out,
                               rg_error **err);

/**
 * Makes a target from a table of functions as plugins have it, with names, outputs and Hessian-vector
 * products where it gives them. Its functions get an rg_call, to which rg_host_services has the services.
 *
 * `cx`: a context; not NULL.
 * `vtable`: the table; not NULL. It is copied. RG_THREAD_CALLER is allowed here.
 * `object`: handed to its functions as it is; may be NULL. `destroy` is called with it once, when nothing
 * uses the target any more, also if this function fails, unless `vtable` is NULL or has no place for `destroy`.
 * `out`: gets the target, which the caller frees; not NULL.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_NULL; RG_ERR_ARG if the table is not right, with what is wrong, or if
 * the dimension is 0; what its functions return.
 * Threads: any, also several at once with the same context.
 */
rg_status rg_target_from_vtable(const rg_context *cx,
                                const rg_target_vtable *vtable,
                                void *object,
                                rg_target **out,
                                rg_error **err);

/**
 * Limits a target to a box. Samplers then work on a scale without limits, x = lower + exp(y), upper -
 * exp(y), or lower + (upper - lower) / (1 + exp(-y)), with the Jacobian in the density; log Z is that of the box.
 * Draws are x, within the limits; rg_target_eval and rg_target_check take y.
 *
 * `cx`: a context; not NULL.
 * `t`: a target without limits of its own; not NULL.
 * `lower`, `upper`: d numbers each, infinite where there is no limit; NULL for no limits on that side.
 * `out`: gets the limited target, which the caller frees; not NULL.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_NULL; RG_ERR_CONFIG if a limit is NaN or the lower one is not below the upper;
 * RG_ERR_UNSUPPORTED if `t` has limits already.
 * Threads: any, also several at once with the same target.
 */
rg_status rg_target_bounded(const rg_context *cx,
                            const rg_target *t,
                            const double *lower,
                            const double *upper,
                            rg_target **out,
                            rg_error **err);

/**
 * The dimension of a target.
 *
 * `t`: a target; not NULL.
 * `d`: gets the dimension; not NULL.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_NULL.
 * Threads: any, also several at once with the same target.
 */
rg_status rg_target_dim(const rg_target *t, size_t *d, rg_error **err);

/**
 * Evaluates a target at n points. A point where the density is NaN or +infinity, or the gradient not
 * finite, comes back as -infinity with gradient 0.
 *
 * `t`: a target; not NULL.
 * `n`: number of points.
 * `d`: the dimension of the target.
 * `x`: points, row i at x + i * x_stride; not NULL unless n is 0. On the scale without limits.
 * `x_stride`: d or more; 0 stands for d.
 * `logp`: gets n log densities; NULL if they are not wanted.
 * `grad`: gets gradients, row i at grad + i * grad_stride; NULL if they are not wanted.
 * `grad_stride`: d or more; 0 stands for d.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_NULL; RG_ERR_DIM if `d`, a stride or n is wrong; RG_ERR_UNSUPPORTED if the target
 * has no density or no gradient and it is wanted; RG_ERR_NUMERIC if more than a tenth of at least 200 points
 * failed; what a callback returns.
 * Threads: any, also several at once with the same target, of which those that are not
 * RG_THREAD_CONCURRENT wait for one another: two such that call each other from two threads wait for ever. From inside of a
 * callback of the same target RG_ERR_BUSY.
 */
rg_status rg_target_eval(const rg_target *t,
                         size_t n,
                         size_t d,
                         const double *x,
                         size_t x_stride,
                         double *logp,
                         double *grad,
                         size_t grad_stride,
                         rg_error **err);

/**
 * Compares the gradient of a target with differences of its log density at n points, and tells what it
 * found as a JSON object on one line: "points", "skipped", "slopes" (derivatives compared),
 * "walls" (those left out, for the density ends beside them), "worst" (largest
 * difference, relative to the largest slope of the point or 1), "at" (null, or "row", "coordinate",
 * "gradient" and "difference" of the worst).
 *
 * `t`: a target with a density and a gradient; not NULL.
 * `n`, `x`, `x_stride`: points, as for rg_target_eval, n of 1 or more.
 * `rtol`: largest "worst" that is right, above 0; 1e-6 is good.
 * `buf`, `cap`, `need`: for the object, as for rg_context_describe, but that a wrong gradient is an error with `cap` 0
 * as well, and that a `buf` too small is told first; with `cap` 0 and `need` NULL nothing is told.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_NUMERIC if the gradient is wrong, with where, or if the density is finite at no point, with the
 * object in `buf` as well;
 * RG_ERR_NULL; RG_ERR_ARG; RG_ERR_DIM; RG_ERR_UNSUPPORTED if there is no gradient; RG_ERR_BUFFER; what a
 * callback returns.
 * Threads: as for rg_target_eval.
 */
rg_status rg_target_check(const rg_target *t,
                          size_t n,
                          const double *x,
                          size_t x_stride,
                          double rtol,
                          char *buf,
                          size_t cap,
                          size_t *need,
                          rg_error **err);

/**
 * Frees a target. What was made from it lives on.
 *
 * `t`: a target that was not freed yet and that no other thread is using, or NULL, which does nothing.
 * Threads: any, not necessarily the one that made it; a `drop` or `destroy` may be called on it.
 */
void rg_target_free(rg_target *t);

/**
 * Makes a process of the registry.
 *
 * `cx`: a context; not NULL.
 * `name`: its name; not NULL.
 * `toml`: its settings as TOML, the keys that a job has in `[process]` without `kind`; NULL for none.
 * `t`: the target, whose dimension it has; some need more of it. NULL if `d` is given.
 * `d`: the dimension where `t` is NULL; else 0 or that of `t`.
 * `out`: gets the process, which the caller frees; not NULL.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_NULL; RG_ERR_UTF8; RG_ERR_DIM if `d` is not that of `t`; RG_ERR_ARG if it is no dimension;
 * RG_ERR_NOT_FOUND if no process is called so; RG_ERR_CONFIG if a setting is wrong; RG_ERR_UNSUPPORTED if it needs more of a target
 * than there is; what a plugin returns.
 * Threads: any, also several at once with the same context.
 */
rg_status rg_process_new(const rg_context *cx,
                         const char *name,
                         const char *toml,
                         const rg_target *t,
                         size_t d,
                         rg_process **out,
                         rg_error **err);

/**
 * Makes a process from a table of functions as plugins have it.
 *
 * `cx`: a context; not NULL.
 * `vtable`: the table; not NULL. It is copied. RG_THREAD_CALLER is allowed here.
 * `object`: handed to its functions as it is; may be NULL. `destroy` is called with it once, when nothing
 * uses the process any more, also if this function fails, unless `vtable` is NULL or has no place for `destroy`.
 * `out`: gets the process, which the caller frees; not NULL.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_NULL; RG_ERR_ARG if the table is not right, with what is wrong, or if it
 * says of itself what cannot be; what its functions return.
 * Threads: any, also several at once with the same context.
 */
rg_status rg_process_from_vtable(const rg_context *cx,
                                 const rg_process_vtable *vtable,
                                 void *object,
                                 rg_process **out,
                                 rg_error **err);

/**
 * What a process is. Each place may be NULL if it is not wanted.
 *
 * `p`: a process; not NULL.
 * `d`: gets the dimension of the state.
 * `m`: gets the dimension of the noise.
 * `t_end`: gets the time at which the reference law holds, above 0.
 * `caps`: gets RG_CAP_ bits: RG_CAP_ROWWISE, RG_CAP_DETERMINISTIC, RG_CAP_G_CONST_X, RG_CAP_LINEAR or
 * RG_CAP_LINEAR_DIAG or RG_CAP_LINEAR_DENSE, RG_CAP_WARPED.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_NULL if `p` is NULL.
 * Threads: any, also several at once with the same process.
 */
rg_status rg_process_info(const rg_process *p,
                          size_t *d,
                          size_t *m,
                          double *t_end,
                          uint64_t *caps,
                          rg_error **err);

/**
 * The law of a linear process: x at t, given x at 0, is Gaussian with mean alpha x and covariance sigma2.
 *
 * `p`: a process with RG_CAP_LINEAR (1 number each), RG_CAP_LINEAR_DIAG (d numbers each) or
 * RG_CAP_LINEAR_DENSE (d x d numbers each, row-major); with RG_CAP_WARPED the law is that of warp(x). Not NULL.
 * `t`: a time from 0 to t_end.
 * `alpha`: gets alpha; not NULL.
 * `sigma2`: gets sigma2; not NULL.
 * `len`: numbers that there is room for in each.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_NULL; RG_ERR_ARG if `t` is out of its range; RG_ERR_UNSUPPORTED if the process is not
 * linear; RG_ERR_BUFFER if `len` is too small.
 * Threads: any, also several at once with the same process.
 */
rg_status rg_process_linear(const rg_process *p,
                            double t,
                            double *alpha,
                            double *sigma2,
                            size_t len,
                            rg_error **err);

/**
 * The drift f(x, t) of a process at n points.
 *
 * `p`: a process; not NULL.
 * `n`: number of points.
 * `d`: the dimension of the process.
 * `t`: times from 0 to t_end, that of row i at t[i * t_step]; not NULL.
 * `t_step`: 0 for one time for all rows, 1 for one each.
 * `x`: points, row i at x + i * x_stride; not NULL unless n is 0.
 * `x_stride`: d or more; 0 stands for d.
 * `f`: gets the drifts, row i at f + i * f_stride; not NULL unless n is 0.
 * `f_stride`: d or more; 0 stands for d.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_NULL; RG_ERR_DIM; RG_ERR_ARG if a time is out of its range; what the process returns.
 * Threads: as for rg_target_eval.
 */
rg_status rg_process_drift(const rg_process *p,
                           size_t n,
                           size_t d,
                           const double *t,
                           size_t t_step,
                           const double *x,
                           size_t x_stride,
                           double *f,
                           size_t f_stride,
                           rg_error **err);

/**
 * Draws x at t1 given x at t0 for each row: from the transition of the process where it has one, else by
 * `steps` equal Euler-Maruyama steps. The same arguments give the same bits.
 *
 * `p`: a process; not NULL.
 * `seed`: seed of the random numbers.
 * `n`: number of rows.
 * `d`: the dimension of the process.
 * `t0`, `t1`: times, 0 <= t0 < t1 <= t_end.
 * `steps`: 1 or more.
 * `x0`: points, row i at x0 + i * x0_stride; not NULL unless n is 0.
 * `x0_stride`: d or more; 0 stands for d.
 * `x1`: gets the draws, row i at x1 + i * x1_stride; not NULL unless n is 0. May be x0.
 * `x1_stride`: d or more; 0 stands for d.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_NULL; RG_ERR_DIM; RG_ERR_ARG if times or steps are out of their range; what the
 * process returns.
 * Threads: as for rg_target_eval.
 */
rg_status rg_process_simulate(const rg_process *p,
                              uint64_t seed,
                              size_t n,
                              size_t d,
                              double t0,
                              double t1,
                              size_t steps,
                              const double *x0,
                              size_t x0_stride,
                              double *x1,
                              size_t x1_stride,
                              rg_error **err);

/**
 * Frees a process. What was made from it lives on.
 *
 * `p`: a process that was not freed yet and that no other thread is using, or NULL, which does nothing.
 * Threads: any, not necessarily the one that made it.
 */
void rg_process_free(rg_process *p);

/**
 * Makes a score of the registry.
 *
 * `cx`: a context; not NULL.
 * `name`: its name; not NULL.
 * `toml`: its settings as TOML, the keys that a job has in `[score]` without `kind`; NULL for none.
 * `t`: the target; NULL if the score needs none.
 * `p`: the process; NULL if the score needs none.
 * `out`: gets the score, which the caller frees; not NULL.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_NULL; RG_ERR_UTF8; RG_ERR_NOT_FOUND if no score is called so; RG_ERR_CONFIG if a
 * setting is wrong; RG_ERR_ARG if target and process differ in dimension; RG_ERR_UNSUPPORTED if it needs a target or process that is not there, or more of them than
 * they have; what a plugin returns.
 * Threads: any, also several at once with the same objects.
 */
rg_status rg_score_new(const rg_context *cx,
                       const char *name,
                       const char *toml,
                       const rg_target *t,
                       const rg_process *p,
                       rg_score **out,
                       rg_error **err);

/**
 * Makes a score from a table of functions as plugins have it.
 *
 * `cx`: a context; not NULL.
 * `vtable`: the table; not NULL. It is copied. RG_THREAD_CALLER is allowed here.
 * `object`: handed to its functions as it is; may be NULL. `destroy` is called with it once, when nothing
 * uses the score any more, also if this function fails, unless `vtable` is NULL or has no place for `destroy`.
 * `out`: gets the score, which the caller frees; not NULL.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_NULL; RG_ERR_ARG if the table is not right, with what is wrong, or if it
 * says of itself what cannot be; what its functions return.
 * Threads: any, also several at once with the same context.
 */
rg_status rg_score_from_vtable(const rg_context *cx,
                               const rg_score_vtable *vtable,
                               void *object,
                               rg_score **out,
                               rg_error **err);

/**
 * Evaluates a score at n points. A row that is not finite comes back as 0.
 *
 * `s`: a score; not NULL.
 * `seed`: seed of the random numbers of scores that draw some; the same arguments give the same bits.
 * `n`: number of points.
 * `d`: the dimension of the score.
 * `t`: times from 0 to t_end of the process, that of row i at t[i * t_step]; not NULL.
 * `t_step`: 0 for one time for all rows, 1 for one each.
 * `x`: points, row i at x + i * x_stride; not NULL unless n is 0.
 * `x_stride`: d or more; 0 stands for d.
 * `out`: gets the scores, row i at out + i * out_stride; not NULL unless n is 0.
 * `out_stride`: d or more; 0 stands for d.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_NULL; RG_ERR_DIM; RG_ERR_ARG if a time is out of its range; RG_ERR_NUMERIC if more than a tenth of at least 200 rows failed;
 * what the score returns.
 * Threads: as for rg_target_eval.
 */
rg_status rg_score_eval(const rg_score *s,
                        uint64_t seed,
                        size_t n,
                        size_t d,
                        const double *t,
                        size_t t_step,
                        const double *x,
                        size_t x_stride,
                        double *out,
                        size_t out_stride,
                        rg_error **err);

/**
 * Frees a score. What was made from it lives on.
 *
 * `s`: a score that was not freed yet and that no other thread is using, or NULL, which does nothing.
 * Threads: any, not necessarily the one that made it.
 */
void rg_score_free(rg_score *s);

/**
 * Makes a flag, not set.
 *
 * `out`: gets the flag, which the caller frees; not NULL.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_NULL if `out` is NULL.
 * Threads: any, also several at once.
 */
rg_status rg_cancel_new(rg_cancel **out, rg_error **err);

/**
 * Sets a flag: every run that has it ends after its step with RG_ERR_CANCELLED, those that begin later
 * after their first. It stays set.
 *
 * `c`: a flag; NULL does nothing.
 * Threads: any, also several at once; also in a signal handler, since it stores one atomic number.
 */
void rg_cancel_request(const rg_cancel *c);

/**
 * Frees a flag. Runs that have it go on, and can be stopped by it no more.
 *
 * `c`: a flag that was not freed yet and that no other thread is using, or NULL, which does nothing.
 * Threads: any, not necessarily the one that made it.
 */
void rg_cancel_free(rg_cancel *c);

/**
 * Makes a sampler of the registry.
 *
 * `cx`: a context; not NULL.
 * `name`: its name; not NULL.
 * `toml`: its settings as TOML, the keys that a job has in `[sampler]` without `kind`; NULL for none.
 * `t`: the target; NULL if the sampler goes by process and score alone.
 * `p`: the process; NULL if the sampler needs none.
 * `s`: the score; NULL if the sampler needs none.
 * `out`: gets the sampler, which the caller frees; not NULL.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_NULL; RG_ERR_UTF8; RG_ERR_ARG if all of `t`, `p` and `s` are NULL; RG_ERR_NOT_FOUND if no
 * sampler is called so; RG_ERR_CONFIG if a setting is wrong; RG_ERR_UNSUPPORTED if it needs a part that is
 * not there, or more of one than it has; what a plugin returns.
 * Threads: any, also several at once with the same objects.
 */
rg_status rg_sampler_new(const rg_context *cx,
                         const char *name,
                         const char *toml,
                         const rg_target *t,
                         const rg_process *p,
                         const rg_score *s,
                         rg_sampler **out,
                         rg_error **err);

/**
 * Makes a sampler from the text of a job: its tables `[target]`, `[process]`, `[score]` and `[sampler]`. Seed, draws
 * and threads are those of the run.
 *
 * `cx`: a context; not NULL.
 * `toml`: the job; not NULL. Files that it names are looked for from the current folder.
 * `t`: takes the place of `[target]`, of which only `bounds` is read then; NULL if the job has a target.
 * `out`: gets the sampler, which the caller frees; not NULL.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_NULL; RG_ERR_UTF8; RG_ERR_CONFIG if the job is wrong, with line and column of all that
 * is; what making its components returns.
 * Threads: any, also several at once with the same objects.
 */
rg_status rg_sampler_from_toml(const rg_context *cx,
                               const char *toml,
                               const rg_target *t,
                               rg_sampler **out,
                               rg_error **err);

/**
 * Runs a sampler. The bits of the draws depend on its settings, on the seed, on the version of this library
 * and on the vector instructions of the machine (see RG_RUN_BASELINE_SIMD), not on the number of threads.
 *
 * `s`: a sampler; not NULL.
 * `options`: see rg_run_options; NULL for the defaults.
 * `out`: gets the result, which the caller frees; not NULL. With RG_ERR_CANCELLED it gets one if the run had begun,
 * not complete, with what there was by then; else it stays as it was: set it to NULL first.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_CANCELLED; RG_ERR_NULL; RG_ERR_ARG or RG_ERR_CONFIG if options or settings are wrong;
 * RG_ERR_NUMERIC if the target is not finite at too many points; what a callback returns.
 * Threads: any, also several at once with the same sampler; targets that are not RG_THREAD_CONCURRENT then
 * wait for one another. From inside of a callback of its own target RG_ERR_BUSY.
 */
rg_status rg_sampler_run(const rg_sampler *s,
                         const rg_run_options *options,
                         rg_result **out,
                         rg_error **err);

/**
 * All in one: a target from a function, a sampler from TOML, a run, its draws.
 *
 * `cx`: a context; not NULL.
 * `toml`: the job without `[target]`; not NULL. `kind` of `[sampler]` is enough. Of `[target]` only `bounds` is read; tables
 * and keys that say how a job is run, such as `seed`, count for nothing here.
 * `d`, `f`, `user`, `caps`, `threading`: as for rg_target_from_batch.
 * `seed`: seed of all random numbers.
 * `n`: draws in all, 1 or more.
 * `draws`: gets n x d numbers; not NULL.
 * `log_z`: gets log Z; NULL if it is not wanted.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_NULL; RG_ERR_ARG if `n` is 0; RG_ERR_UNSUPPORTED if log Z is wanted and the sampler estimates none,
 * or if the draws have weights (use rg_sampler_run); RG_ERR_NUMERIC if the run says of itself that it failed, as where the
 * density cannot be normalised; else as rg_sampler_from_toml and rg_sampler_run.
 * Threads: any, also several at once with the same context.
 */
rg_status rg_sample(const rg_context *cx,
                    const char *toml,
                    size_t d,
                    rg_batch_fn f,
                    void *user,
                    uint64_t caps,
                    int32_t threading,
                    uint64_t seed,
                    size_t n,
                    double *draws,
                    double *log_z,
                    rg_error **err);

/**
 * Frees a sampler.
 *
 * `s`: a sampler that was not freed yet and that no other thread is using, or NULL, which does nothing.
 * Threads: any, not necessarily the one that made it; a `drop` or `destroy` may be called on it.
 */
void rg_sampler_free(rg_sampler *s);

/**
 * Runs a job in a directory, as the program does: the same files, the same report, checkpoints on the way,
 * from which rg_job_resume goes on after the program has ended in whatever way.
 *
 * `cx`: a context; not NULL.
 * `toml`: the job; not NULL. Files that it names are looked for from the current folder.
 * `t`: takes the place of `[target]`, of which only `bounds` is read then; NULL if the job has a target.
 * `dir`: the run directory; NULL for that of the job, output.directory. It must not be there unless RG_RUN_REPLACE is
 * given.
 * `options`: see rg_run_options; NULL for the defaults, with which seed and draws are those of the job.
 * `out`: gets the result, which the caller frees; not NULL. With RG_ERR_CANCELLED as for rg_sampler_run.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_CANCELLED, after which rg_job_resume goes on; RG_ERR_NULL; RG_ERR_UTF8; RG_ERR_CONFIG if
 * the job is wrong, with line and column, or the directory is there, cannot be made or is being written by another run;
 * RG_ERR_IO if it cannot be written; what running it returns.
 * Threads: any, also several at once, each in a directory of its own.
 */
rg_status rg_job_run(const rg_context *cx,
                     const char *toml,
                     const rg_target *t,
                     const char *dir,
                     const rg_run_options *options,
                     rg_result **out,
                     rg_error **err);

/**
 * Goes on with the run of a directory, to the bits that it would have had without the stop.
 *
 * `cx`: a context with the plugins that the job uses; not NULL.
 * `dir`: the run directory; not NULL.
 * `t`: the target that the run was begun with, if it was handed in; it must have the same limits, and give the same numbers,
 * which nobody can check. NULL if the job has a target.
 * `options`: `n_threads`, `progress` and `cancel` are read; NULL for the defaults.
 * `out`: gets the result, which the caller frees; not NULL. With RG_ERR_CANCELLED as for rg_sampler_run.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns as rg_job_run; RG_ERR_CONFIG also if the directory holds no run, is damaged, or what it depends on has
 * changed, and if `t` cannot be the target that it was begun with. A run that is complete is left as it is; its draws are those of its files, if the job writes
 * npy.
 * Threads: any, also several at once, each in a directory of its own.
 */
rg_status rg_job_resume(const rg_context *cx,
                        const char *dir,
                        const rg_target *t,
                        const rg_run_options *options,
                        rg_result **out,
                        rg_error **err);

/**
 * How far the draws of a job are from its target, and whether start, score or steps are to blame, as a JSON
 * object on one line: what `retrograde certify --json` has under "certificate".
 *
 * `cx`: a context; not NULL.
 * `toml`: the job, with a process, a score and a sampler that goes back through the process; not NULL.
 * `t`: takes the place of `[target]`; NULL if the job has a target.
 * `paths`: paths that are simulated, 16 to 2^24; 0 stands for 16384. The seed is that of the job.
 * `buf`, `cap`, `need`: for the object, as for rg_context_describe. Each call computes it anew: give a large
 * buffer.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_NULL; RG_ERR_UTF8; RG_ERR_CONFIG if the job is wrong; RG_ERR_ARG if `paths` is;
 * RG_ERR_UNSUPPORTED if it is no diffusion that can be certified; RG_ERR_BUFFER; what running it returns.
 * Threads: any, also several at once.
 */
rg_status rg_job_certify(const rg_context *cx,
                         const char *toml,
                         const rg_target *t,
                         size_t paths,
                         char *buf,
                         size_t cap,
                         size_t *need,
                         rg_error **err);

/**
 * The shape of a result.  Each place may be NULL if it is not wanted.
 *
 * `r`: a result; not NULL.
 * `chains`: gets the number of chains; particles and independent draws are one.
 * `n`: gets the number of draws in all, `chains` times those of a chain.
 * `d`: gets the dimension.
 * `k`: gets the number of outputs of the target.
 * `complete`: gets 1 if the run came to its end, 0 if it was stopped.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_NULL if `r` is NULL; RG_ERR_UNSUPPORTED if it is of a job that was complete before it
 * was resumed and did not write its draws as npy.
 * Threads: any, also several at once with the same result.
 */
rg_status rg_result_shape(const rg_result *r,
                          size_t *chains,
                          size_t *n,
                          size_t *d,
                          size_t *k,
                          int32_t *complete,
                          rg_error **err);

/**
 * Copies the draws of a complete run, n x d, chain after chain; those of a limited target lie within its limits.
 *
 * `r`: a result; not NULL.
 * `out`: gets the draws, row i at out + i * row_stride; not NULL.
 * `row_stride`: d or more; 0 stands for d.
 * `out_len`: numbers that there is room for at `out`, (n - 1) * row_stride + d at least.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_NULL; RG_ERR_DIM if the stride is wrong; RG_ERR_BUFFER if `out_len` is too small;
 * RG_ERR_INCOMPLETE if the run was stopped; RG_ERR_UNSUPPORTED as for rg_result_shape.
 * Threads: any, also several at once with the same result.
 */
rg_status rg_result_draws(const rg_result *r,
                          double *out,
                          size_t row_stride,
                          size_t out_len,
                          rg_error **err);

/**
 * Copies what draws there are, also of a run that was stopped: those of a diffusion that was stopped half-way
 * back, or of particles on their way, are no draws of the target.
 *
 * `r`, `out`, `row_stride`, `out_len`, `err`: as for rg_result_draws.
 * Returns RG_OK; RG_ERR_NULL; RG_ERR_DIM; RG_ERR_BUFFER; RG_ERR_UNSUPPORTED as for rg_result_shape.
 * Threads: any, also several at once with the same result.
 */
rg_status rg_result_partial_draws(const rg_result *r,
                                  double *out,
                                  size_t row_stride,
                                  size_t out_len,
                                  rg_error **err);

/**
 * Copies the outputs of the target at the draws of a complete run, n x k, chain after chain.
 *
 * `r`: a result; not NULL.
 * `out`: gets the outputs, row i at out + i * row_stride; not NULL.
 * `row_stride`: k or more; 0 stands for k.
 * `out_len`: numbers that there is room for at `out`, (n - 1) * row_stride + k at least.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns as rg_result_draws; RG_ERR_UNSUPPORTED also if the target has no outputs.
 * Threads: any, also several at once with the same result.
 */
rg_status rg_result_outputs(const rg_result *r,
                            double *out,
                            size_t row_stride,
                            size_t out_len,
                            rg_error **err);

/**
 * Copies the log weights of the draws, n numbers in their order, not normalised.
 *
 * `r`: a result; not NULL.
 * `out`: gets the weights; not NULL.
 * `out_len`: numbers that there is room for at `out`, n at least.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns as rg_result_draws; RG_ERR_UNSUPPORTED also if all draws weigh the same.
 * Threads: any, also several at once with the same result.
 */
rg_status rg_result_log_weights(const rg_result *r, double *out, size_t out_len, rg_error **err);

/**
 * One of the numbers that sum a run up: "log_z", "log_z_se", and what the sampler names, such as
 * "acceptance"; rg_result_json has them all.
 *
 * `r`: a result; not NULL.
 * `key`: its name; not NULL.
 * `out`: gets the number; not NULL.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_NULL; RG_ERR_UTF8; RG_ERR_UNSUPPORTED if the run has no such number, with those that it
 * has; RG_ERR_INCOMPLETE for log Z of a run that was stopped.
 * Threads: any, also several at once with the same result.
 */
rg_status rg_result_scalar(const rg_result *r,
                           const char *key,
                           double *out,
                           rg_error **err);

/**
 * A result as a JSON object on one line, without its draws: what the report.json of a job holds, by the same checks,
 * but for those that need more than a run in memory has: "complete", "seed", "simd", "chains", "steps", "evaluations", "log_z"
 * (null, or "value" and "se"), "scalars", "coordinates" (and outputs: name, mean, sd, quantiles, effective sample sizes,
 * R-hat), "verdicts" (check, status, text, advice). A number that is not finite is null.
 *
 * `r`: a result; not NULL.
 * `buf`, `cap`, `need`: as for rg_context_describe.
 * `err`: gets an error on failure, which the caller frees; may be NULL.
 * Returns RG_OK; RG_ERR_NULL; RG_ERR_BUFFER if `cap` is too small, and then `buf` is as it was.
 * Threads: any, also several at once with the same result.
 */
rg_status rg_result_json(const rg_result *r,
                         char *buf,
                         size_t cap,
                         size_t *need,
                         rg_error **err);

/**
 * Frees a result.
 *
 * `r`: a result that was not freed yet and that no other thread is using, or NULL, which does nothing.
 * Threads: any, not necessarily the one that made it.
 */
void rg_result_free(rg_result *r);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* RETROGRADE_H */

/* The defaults of rg_run_options: `rg_run_options o = RG_RUN_OPTIONS_INIT;` */
#define RG_RUN_OPTIONS_INIT {sizeof(rg_run_options), 0, 0, 0, 0, NULL, NULL, NULL, 0, 0}
