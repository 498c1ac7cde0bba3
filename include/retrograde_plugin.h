/* retrograde plugins: targets, forward processes, scores and samplers in a shared library.
 *
 * Generated from the library's sources; do not edit. Nothing has to be linked.
 *
 * A plugin exports one function, retrograde_plugin_v1, that gives its table; see rg_plugin. The host makes
 * components by `create` and calls the functions of their tables.
 *
 * Statuses: a function returns RG_OK, or a code with its reason by host->fail. No exception, panic or
 * longjmp may leave it.
 * Arrays: row-major without gaps, 8-byte aligned, n x d unless something else is said; input and output
 * never overlap; n may be 0. An output that is NULL is not wanted; every element of the others is to be
 * written.
 * Strings: NUL-terminated UTF-8, copied by who receives them. Memory is freed by the side that
 * allocated it.
 * Threads: as the class of a table says; SERIAL or CONCURRENT for plugins.
 * Versions: every table begins with its size, and grows at its end only. A slot that is NULL, or beyond the
 * size, does not exist.
 */


#ifndef RETROGRADE_PLUGIN_H
#define RETROGRADE_PLUGIN_H

#include <stddef.h>
#include <stdint.h>
/* Before the definition of the entry function, so that it is seen when all else is hidden. */
#if defined(_WIN32)
#define RG_EXPORT __declspec(dllexport)
#else
#define RG_EXPORT __attribute__((visibility("default")))
#endif


/**
 * Version of the plugin interface; it is also in the name of the entry, retrograde_plugin_v1.
 */
#define RG_PLUGIN_ABI 1

/**
 * Counts what was appended to the tables of this version.
 */
#define RG_PLUGIN_MINOR 0

/**
 * Kind of component: a density.
 */
#define RG_KIND_TARGET 1

/**
 * Kind of component: a forward process.
 */
#define RG_KIND_PROCESS 2

/**
 * Kind of component: a score, the gradient of the log density at a time of the process.
 */
#define RG_KIND_SCORE 3

/**
 * Kind of component: a sampler.
 */
#define RG_KIND_SAMPLER 4

/**
 * Thread class: only on the thread that entered the host. Not for plugins.
 */
#define RG_THREAD_CALLER 0

/**
 * Thread class: on any thread, never two at once for one object.
 */
#define RG_THREAD_SERIAL 1

/**
 * Thread class: on any threads at once.
 */
#define RG_THREAD_CONCURRENT 2

/**
 * Type of a parameter: a number (double).
 */
#define RG_TYPE_F64 1

/**
 * Type of a parameter: a whole number (int64_t).
 */
#define RG_TYPE_I64 2

/**
 * Type of a parameter: true or false.
 */
#define RG_TYPE_BOOL 3

/**
 * Type of a parameter: text.
 */
#define RG_TYPE_STR 4

/**
 * Type of a parameter: a list of numbers.
 */
#define RG_TYPE_F64S 5

/**
 * Weight of a flag: worth knowing, nothing is wrong.
 */
#define RG_SEVERITY_NOTE 0

/**
 * Weight of a flag: the result should be looked at before it is used.
 */
#define RG_SEVERITY_WARNING 1

/**
 * Weight of a flag: the result should not be trusted as it is.
 */
#define RG_SEVERITY_FAILURE 2

/**
 * Capability: row i of the output depends on row i of the input only, bit for bit: neither on n nor
 * on the place of the row. Without it a batch is never split.
 */
#define RG_CAP_ROWWISE (1ull << 0)

/**
 * Capability: draws no random numbers, in the functions that evaluate.
 */
#define RG_CAP_DETERMINISTIC (1ull << 1)

/**
 * Capability of a target: `eval` gives gradients.
 */
#define RG_CAP_GRADIENT (1ull << 2)

/**
 * Capability of a process: G does not depend on x; only then may `div_ggt` be NULL.
 */
#define RG_CAP_G_CONST_X (1ull << 3)

/**
 * Capability of a process: `linear` is exact, and gives one number for alpha and one for sigma2.
 */
#define RG_CAP_LINEAR (1ull << 4)

/**
 * Capability of a process: `linear` is exact, and gives d numbers each.
 */
#define RG_CAP_LINEAR_DIAG (1ull << 5)

/**
 * Capability of a process: `linear` is exact, and gives d x d numbers each, row-major.
 */
#define RG_CAP_LINEAR_DENSE (1ull << 6)

/**
 * Capability of a process: `linear` describes y = warp(x).
 */
#define RG_CAP_WARPED (1ull << 7)

/**
 * Capability of a process: drift and noise do not depend on t, so that they make sense before t = 0.
 */
#define RG_CAP_AUTONOMOUS (1ull << 8)

/**
 * Capability of a target: it has no log density to ask for, as a set of data.
 */
#define RG_CAP_NO_DENSITY (1ull << 9)

/**
 * Of `needs` in rg_component: it cannot do without a target. Shifted left by 8: it uses one if it
 * is there. Likewise for the others.
 */
#define RG_NEEDS_TARGET 1

/**
 * Of `needs` in rg_component: it cannot do without a process.
 */
#define RG_NEEDS_PROCESS 2

/**
 * Of `needs` in rg_component: it cannot do without a score.
 */
#define RG_NEEDS_SCORE 4

/**
 * Of `needs` in rg_component: it cannot do without a log density of the target.
 */
#define RG_NEEDS_DENSITY 8

/**
 * Of `needs` in rg_component: it cannot do without a gradient of the target.
 */
#define RG_NEEDS_GRADIENT 16

/**
 * One call on one thread, with its random stream, its memory and its place for an error. It ends when
 * the function that got it returns: never keep it, never hand it to another thread.
 */
typedef struct rg_call rg_call;

/**
 * Parameters that were checked against what the component declares. Only valid in `create`.
 */
typedef struct rg_cfg rg_cfg;

/**
 * A parameter, as the job may set it under the component's `kind`.
 */
typedef struct rg_param {
  /**
   * Size of this table in the plugin, in bytes.
   */
  size_t struct_size;
  /**
   * Its key: a small letter, then small letters, digits and `_`.
   */
  const char *name;
  /**
   * What it is, with its unit, in a sentence.
   */
  const char *doc;
  /**
   * An RG_TYPE_ constant.
   */
  int32_t type;
  /**
   * Not 0: the job must give it.
   */
  uint32_t required;
  /**
   * Its default as it would be written in TOML; NULL if it is required.
   */
  const char *default_toml;
  /**
   * Smallest number allowed, of each element of a list; -inf for none.
   */
  double min;
  /**
   * Largest number allowed; inf for none.
   */
  double max;
  /**
   * The texts that are allowed, ended by NULL; NULL if any is.
   */
  const char *const *choices;
} rg_param;

/**
 * What a function returns: RG_OK, or one of the RG_ERR_ codes. The values never change; later
 * versions may add some.
 */
typedef int32_t rg_status;

/**
 * Work on a block of rows: `rows` rows from `row0` on. `child` is the call to use for them.
 */
typedef rg_status (*rg_rows_fn)(void *user, struct rg_call *child, size_t row0, size_t rows);

/**
 * Work on one of several jobs. `child` is the call to use for it.
 */
typedef rg_status (*rg_job_fn)(void *user, struct rg_call *child, size_t job);

/**
 * Where a call stands in the streams of random numbers of the run. For a plugin that derives them as the
 * host does, from the same key, and so gets the same bits; others need not look at it.
 */
typedef struct rg_frame {
  /**
   * Size of this table in the plugin, in bytes; set it before `tell`.
   */
  size_t struct_size;
  /**
   * The key, 32 bytes, as four numbers in little-endian order.
   */
  uint64_t key0;
  /**
   * Its second part.
   */
  uint64_t key1;
  /**
   * Its third part.
   */
  uint64_t key2;
  /**
   * Its fourth part.
   */
  uint64_t key3;
  /**
   * Fills and streams that were taken from this key.
   */
  uint64_t fills;
  /**
   * The row of the whole batch that the first row of this call is.
   */
  uint64_t row0;
  /**
   * The step of the run, or UINT64_MAX outside of one.
   */
  uint64_t step;
  /**
   * Threads that work can be spread over from here; 1 inside for_rows and for_jobs.
   */
  uint32_t threads;
  /**
   * Not 0 inside for_rows and for_jobs, and for work that is spread as theirs is.
   */
  uint32_t inside;
  /**
   * Name of the vector instructions that kernels use, for example "avx2"; it lives as long as the
   * program. Only told.
   */
  const char *simd;
  /**
   * Rows for which a log density was asked for, so far as this call knows. Only told, as those that
   * follow.
   */
  uint64_t density_evals;
  /**
   * Rows for which a gradient was asked for.
   */
  uint64_t gradient_evals;
  /**
   * Rows for which a score was asked for.
   */
  uint64_t score_evals;
  /**
   * Rows in all evaluations together.
   */
  uint64_t rows;
  /**
   * Rows for which a value was not finite that should have been.
   */
  uint64_t failed;
} rg_frame;

/**
 * Services of the host. It lives as long as the program; slots beyond `struct_size` do not exist, so
 * test a slot that was added later with RG_HOST_HAS.
 */
typedef struct rg_host {
  /**
   * Size of this table in the host, in bytes.
   */
  size_t struct_size;
  /**
   * RG_PLUGIN_ABI of the host.
   */
  uint32_t abi;
  /**
   * RG_PLUGIN_MINOR of the host.
   */
  uint32_t minor;
  /**
   * Name of the host, "retrograde".
   */
  const char *name;
  /**
   * Its version, for example "0.1.0".
   */
  const char *version;
  /**
   * Says something to the person: level 0 error, 1 warning, 2 info, 3 debug. `call` may be NULL.
   */
  void (*log)(struct rg_call *call, int32_t level, const char *utf8);
  /**
   * Records why a function fails and gives `code` back, so that one can write
   * `return host->fail(call, RG_ERR_NUMERIC, "why")`. `call` may be NULL in the entry function only.
   */
  rg_status (*fail)(struct rg_call *call, rg_status code, const char *utf8);
  /**
   * Not 0 once the run was asked to stop: then return RG_ERR_CANCELLED soon.
   */
  int32_t (*cancelled)(struct rg_call *call);
  /**
   * Memory of `bytes` bytes, aligned to `align` (a power of two up to 4096), that is taken back when
   * the call returns; of unspecified content. NULL when there is none.
   */
  void *(*scratch)(struct rg_call *call, size_t bytes, size_t align);
  /**
   * Fills `out` with n random 64-bit numbers from the call's own stream.
   */
  void (*rng_u64)(struct rg_call *call, uint64_t *out, size_t n);
  /**
   * Fills n x d numbers uniform in the open interval (0, 1). Row r is of the stream of its block, so
   * that a batch that is split gets the same numbers.
   */
  void (*rng_uniform)(struct rg_call *call, size_t n, size_t d, double *out);
  /**
   * Fills n x d standard normal numbers, in the same way.
   */
  void (*rng_normal)(struct rg_call *call, size_t n, size_t d, double *out);
  /**
   * Calls `f` on blocks that together are the rows 0 .. n, on the threads of the host, and returns
   * when all are done: RG_OK, or the status of the first block that failed.
   */
  rg_status (*for_rows)(struct rg_call *call, size_t n, rg_rows_fn f, void *user);
  /**
   * Calls `f` once for each number below `jobs`, on the threads of the host, as for_rows.
   */
  rg_status (*for_jobs)(struct rg_call *call, size_t jobs, rg_job_fn f, void *user);
  /**
   * Tells where the call stands.
   */
  rg_status (*tell)(struct rg_call *call, struct rg_frame *frame);
  /**
   * Makes the call stand elsewhere, until it returns, for what is drawn and called through it.
   */
  rg_status (*seek)(struct rg_call *call, const struct rg_frame *frame);
  /**
   * Reads a number. In `create` only, as the seven that follow.
   */
  rg_status (*cfg_f64)(struct rg_call *call, const struct rg_cfg *cfg, const char *key, double *out);
  /**
   * Reads a whole number.
   */
  rg_status (*cfg_i64)(struct rg_call *call, const struct rg_cfg *cfg, const char *key, int64_t *out);
  /**
   * Reads true (1) or false (0).
   */
  rg_status (*cfg_bool)(struct rg_call *call,
                        const struct rg_cfg *cfg,
                        const char *key,
                        int32_t *out);
  /**
   * Reads text, which lives until `create` returns.
   */
  rg_status (*cfg_str)(struct rg_call *call,
                       const struct rg_cfg *cfg,
                       const char *key,
                       const char **out);
  /**
   * Reads a list of `n` numbers, which lives until `create` returns.
   */
  rg_status (*cfg_f64s)(struct rg_call *call,
                        const struct rg_cfg *cfg,
                        const char *key,
                        const double **out,
                        size_t *n);
  /**
   * All parameters at once, as TOML; the text lives until `create` returns.
   */
  rg_status (*cfg_toml)(struct rg_call *call, const struct rg_cfg *cfg, const char **out);
  /**
   * Records that a parameter is wrong: its key, what was given, and what it must be ("2 or more").
   * Returns RG_ERR_CONFIG, so that one can write `return host->cfg_refuse(...)`; the person is shown the
   * place in the job. Also in `start` of a sampler, for what does not fit the number of draws.
   */
  rg_status (*cfg_refuse)(struct rg_call *call,
                          const char *key,
                          const char *given,
                          const char *allowed);
  /**
   * Reads a file that a parameter names, relative to the job; the run keeps its checksum. The `n`
   * bytes live until `create` returns.
   */
  rg_status (*read_file)(struct rg_call *call, const char *path, const uint8_t **out, size_t *n);
  /**
   * How much of the run is done, 0 to 1; the host shows it as often as it sees fit. In `step` of a
   * sampler only, as those that follow.
   */
  rg_status (*progress)(struct rg_call *call, double fraction);
  /**
   * Before the first draw: row i of every batch that is handed over is of chain i mod `chains`.
   * Without it there is one.
   */
  rg_status (*set_chains)(struct rg_call *call, size_t chains);
  /**
   * Hands n draws over, n x d numbers, with n unnormalised log weights or NULL for equal ones.
   */
  rg_status (*emit)(struct rg_call *call, size_t n, size_t d, const double *x, const double *log_w);
  /**
   * As emit, with `k` statistics of each draw: their names, and n numbers for each of them.
   */
  rg_status (*emit_stats)(struct rg_call *call,
                          size_t n,
                          size_t d,
                          const double *x,
                          const double *log_w,
                          size_t k,
                          const char *const *names,
                          const double *const *stats);
  /**
   * A number that sums up the run, such as "log_z" and "log_z_se"; the last value given holds.
   */
  rg_status (*emit_scalar)(struct rg_call *call, const char *key, double value);
  /**
   * A row of a table of the report, `n` numbers under the names `columns`, the same each time.
   */
  rg_status (*record)(struct rg_call *call,
                      const char *table,
                      size_t n,
                      const char *const *columns,
                      const double *values);
  /**
   * An outcome that is no failure but that a person must know of: an RG_SEVERITY_, a short key, what
   * happened in a plain sentence, and what to try ("" or NULL for nothing). Also in `flags`.
   */
  rg_status (*flag)(struct rg_call *call,
                    int32_t severity,
                    const char *key,
                    const char *text,
                    const char *advice);
} rg_host;

/**
 * A component that another is built with; its table is of the type that the place says.
 */
typedef struct rg_ref {
  /**
   * To be handed to the functions of `vtable`. Valid until `destroy` of who got it has returned.
   */
  void *object;
  /**
   * A rg_target_vtable, rg_process_vtable or rg_score_vtable.
   */
  const void *vtable;
} rg_ref;

/**
 * The parts that a component is built with; NULL for those that are not there.
 */
typedef struct rg_deps {
  /**
   * Size of this table in the host, in bytes.
   */
  size_t struct_size;
  /**
   * Dimension of the job, 0 while there is no target. A process takes its own from here, whatever it
   * needs.
   */
  size_t dim;
  /**
   * The target.
   */
  const struct rg_ref *target;
  /**
   * The forward process.
   */
  const struct rg_ref *process;
  /**
   * The score.
   */
  const struct rg_ref *score;
} rg_deps;

/**
 * A component of a plugin.
 */
typedef struct rg_component {
  /**
   * Size of this table in the plugin, in bytes.
   */
  size_t struct_size;
  /**
   * An RG_KIND_ constant.
   */
  int32_t kind;
  /**
   * RG_NEEDS_ constants.
   */
  uint32_t needs;
  /**
   * Its name: a small letter, then small letters, digits and `-`. In a job it is plugin/name.
   */
  const char *name;
  /**
   * Its version, or NULL for that of the plugin.
   */
  const char *version;
  /**
   * What it is, in a sentence.
   */
  const char *doc;
  /**
   * Its parameters, `n_params` of them.
   */
  const struct rg_param *const *params;
  /**
   * Number of parameters, at most 4096.
   */
  size_t n_params;
  /**
   * The JSON Schema of its parameters, for those that the types above cannot say; NULL for the one
   * that `params` make. `create` then reads them by cfg_toml.
   */
  const char *schema;
  /**
   * The table of functions of its kind; NULL if `create` gives one with each object.
   */
  const void *vtable;
  /**
   * Makes one: puts into made->object what the functions get as their first argument, never NULL (who has
   * no state puts any address there, that of its table for example). made->vtable is
   * `vtable`; one that can do other things with these parameters may put another table there, which
   * lives as long as the object. On failure nothing is kept.
   */
  rg_status (*create)(const struct rg_host *host,
                      struct rg_call *call,
                      const struct rg_cfg *cfg,
                      const struct rg_deps *deps,
                      struct rg_ref *made);
} rg_component;

/**
 * A plugin. It lives as long as the program.
 */
typedef struct rg_plugin {
  /**
   * Size of this table in the plugin, in bytes.
   */
  size_t struct_size;
  /**
   * RG_PLUGIN_ABI that it was compiled with.
   */
  uint32_t abi;
  /**
   * RG_PLUGIN_MINOR that it was compiled with.
   */
  uint32_t minor;
  /**
   * Its name: a small letter, then small letters, digits and `-`.
   */
  const char *name;
  /**
   * Its version, for example "0.1.0".
   */
  const char *version;
  /**
   * Its licence, for example "MIT", or NULL.
   */
  const char *license;
  /**
   * Its components, `n_components` of them.
   */
  const struct rg_component *const *components;
  /**
   * Number of components, at most 4096.
   */
  size_t n_components;
} rg_plugin;

/**
 * A density known up to a constant. Arrays are row-major without gaps; `x` is n x d. Input and output
 * never overlap, n may be 0, and an output that is NULL is not wanted; every element of the others must
 * be written. log p = -inf says that there is no mass (the gradient is 0 then); NaN marks a point that
 * could not be evaluated, which is counted. A status other than RG_OK fails the whole call.
 */
typedef struct rg_target_vtable {
  /**
   * Size of this table in the plugin, in bytes.
   */
  size_t struct_size;
  /**
   * RG_CAP_ROWWISE, RG_CAP_DETERMINISTIC, RG_CAP_GRADIENT.
   */
  uint64_t caps;
  /**
   * An RG_THREAD_ constant.
   */
  int32_t threading;
  /**
   * 0.
   */
  uint32_t reserved;
  /**
   * Frees `object`; called once. May be NULL.
   */
  void (*destroy)(void *object);
  /**
   * The dimension d, the same at all times.
   */
  rg_status (*dim)(void *object, struct rg_call *call, size_t *d);
  /**
   * Writes log densities (n) and gradients (n x d).
   */
  rg_status (*eval)(void *object,
                    struct rg_call *call,
                    size_t n,
                    size_t d,
                    const double *x,
                    double *logp,
                    double *grad);
  /**
   * Optional, as all that follow. Writes Hessian-vector products, the Hessian of log p at x times v;
   * n x d.
   */
  rg_status (*hvp)(void *object,
                   struct rg_call *call,
                   size_t n,
                   size_t d,
                   const double *x,
                   const double *v,
                   double *out);
  /**
   * Name of coordinate i. `need` gets the bytes that it takes, NUL included; `buf` is written if
   * `cap` is enough.
   */
  rg_status (*name)(void *object,
                    struct rg_call *call,
                    size_t i,
                    char *buf,
                    size_t cap,
                    size_t *need);
  /**
   * Number k of the functions of x that are written beside the draws.
   */
  rg_status (*n_outputs)(void *object, struct rg_call *call, size_t *k);
  /**
   * Name of function i, in the way of `name`.
   */
  rg_status (*output_name)(void *object,
                           struct rg_call *call,
                           size_t i,
                           char *buf,
                           size_t cap,
                           size_t *need);
  /**
   * Writes the functions, n x k.
   */
  rg_status (*outputs)(void *object,
                       struct rg_call *call,
                       size_t n,
                       size_t d,
                       size_t k,
                       const double *x,
                       double *out);
} rg_target_vtable;

/**
 * A process dX = f(X, t) dt + G(X, t) dW (Ito), t in [0, T], from data at t = 0 to noise at T. Arrays as
 * in rg_target_vtable. `t` is one time for all rows if `ts` is 0, and one for each (n numbers) if it is
 * 1. Where a Jacobian is absent, the host takes differences and says so.
 */
typedef struct rg_process_vtable {
  /**
   * Size of this table in the plugin, in bytes.
   */
  size_t struct_size;
  /**
   * RG_CAP_ constants.
   */
  uint64_t caps;
  /**
   * An RG_THREAD_ constant.
   */
  int32_t threading;
  /**
   * 0.
   */
  uint32_t reserved;
  /**
   * Frees `object`; called once. May be NULL.
   */
  void (*destroy)(void *object);
  /**
   * The dimension d, the dimension m of the noise, and the end T > 0 of the process.
   */
  rg_status (*info)(void *object, struct rg_call *call, size_t *d, size_t *m, double *t_end);
  /**
   * Writes f, n x d.
   */
  rg_status (*drift)(void *object,
                     struct rg_call *call,
                     size_t n,
                     size_t d,
                     const double *t,
                     size_t ts,
                     const double *x,
                     double *f);
  /**
   * Writes G z for z of n x m; n x d.
   */
  rg_status (*apply_g)(void *object,
                       struct rg_call *call,
                       size_t n,
                       size_t d,
                       size_t m,
                       const double *t,
                       size_t ts,
                       const double *x,
                       const double *z,
                       double *out);
  /**
   * Writes G G' v, n x d.
   */
  rg_status (*apply_ggt)(void *object,
                         struct rg_call *call,
                         size_t n,
                         size_t d,
                         const double *t,
                         size_t ts,
                         const double *x,
                         const double *v,
                         double *out);
  /**
   * Draws from the reference law, that of X at T; n x d.
   */
  rg_status (*ref_sample)(void *object, struct rg_call *call, size_t n, size_t d, double *x);
  /**
   * Writes the normalised log density (n) of the reference law and its gradient (n x d).
   */
  rg_status (*ref_eval)(void *object,
                        struct rg_call *call,
                        size_t n,
                        size_t d,
                        const double *x,
                        double *logp,
                        double *grad);
  /**
   * Optional, as all that follow. Writes the sum over j of d/dx_j (G G')_ij, n x d. NULL only with
   * RG_CAP_G_CONST_X.
   */
  rg_status (*div_ggt)(void *object,
                       struct rg_call *call,
                       size_t n,
                       size_t d,
                       const double *t,
                       size_t ts,
                       const double *x,
                       double *out);
  /**
   * X_t = alpha X_0 + noise of covariance sigma2, at time t: 1, d or d x d numbers each, as one of the
   * RG_CAP_LINEAR bits says.
   */
  rg_status (*linear)(void *object,
                      struct rg_call *call,
                      size_t d,
                      double t,
                      double *alpha,
                      double *sigma2);
  /**
   * Draws X_t given X_s = xs, s < t; n x d. With `transition_score`, or neither.
   */
  rg_status (*transition_sample)(void *object,
                                 struct rg_call *call,
                                 size_t n,
                                 size_t d,
                                 double s,
                                 double t,
                                 const double *xs,
                                 double *xt);
  /**
   * Writes log p(x_t | x_s) (n) and its gradient in x_t (n x d).
   */
  rg_status (*transition_score)(void *object,
                                struct rg_call *call,
                                size_t n,
                                size_t d,
                                double s,
                                double t,
                                const double *xs,
                                const double *xt,
                                double *logp,
                                double *grad_xt);
  /**
   * Writes (df/dx)' u, n x d.
   */
  rg_status (*drift_vjp)(void *object,
                         struct rg_call *call,
                         size_t n,
                         size_t d,
                         const double *t,
                         size_t ts,
                         const double *x,
                         const double *u,
                         double *out);
  /**
   * Writes (df/dx) v, n x d.
   */
  rg_status (*drift_jvp)(void *object,
                         struct rg_call *call,
                         size_t n,
                         size_t d,
                         const double *t,
                         size_t ts,
                         const double *x,
                         const double *v,
                         double *out);
  /**
   * Writes the divergence of f, n numbers.
   */
  rg_status (*drift_div)(void *object,
                         struct rg_call *call,
                         size_t n,
                         size_t d,
                         const double *t,
                         size_t ts,
                         const double *x,
                         double *out);
  /**
   * Writes the integral of g squared from s to t; where G = g(t) times the identity.
   */
  rg_status (*int_g2)(void *object, struct rg_call *call, double s, double t, double *out);
  /**
   * Writes X_t from X_s = r and noise z ~ N(0, I), n x d. With `solve_noise`, or neither.
   */
  rg_status (*forward_map)(void *object,
                           struct rg_call *call,
                           size_t n,
                           size_t d,
                           double s,
                           double t,
                           const double *r,
                           const double *z,
                           double *x);
  /**
   * Writes the noise that takes r at s to x at t; n x d.
   */
  rg_status (*solve_noise)(void *object,
                           struct rg_call *call,
                           size_t n,
                           size_t d,
                           double s,
                           double t,
                           const double *r,
                           const double *x,
                           double *z);
  /**
   * Writes, for each row, the mean of X at u = t - back given X = x at t, 0 < back <= t, from the score
   * s = grad log p_t(x); `x`, `score`, `r` are n x d. Where X_t = E X_u + noise of covariance Q (given
   * X_u; E, Q of d x d, or numbers times the identity), that is r = E^-1 (x + Q s), by Tweedie's formula.
   * Where the process is linear in y = psi(x): the same in y, r = psi^-1(E^-1 (psi(x) + Q sy)), with sy =
   * J'^-1 (s - grad log |det J|), J = dy/dx. Others come as near to that mean as they can; without it
   * the host takes r = x - back (f - div D - D s), with D = G G' at (t, x) and f there.
   */
  rg_status (*restore)(void *object,
                       struct rg_call *call,
                       size_t n,
                       size_t d,
                       double t,
                       double back,
                       const double *x,
                       const double *score,
                       double *r);
  /**
   * Writes y = psi(x), in which the process is linear (n x d), and log |det dy/dx| (n). With `unwarp`
   * and `warp_score`, or none of them.
   */
  rg_status (*warp)(void *object,
                    struct rg_call *call,
                    size_t n,
                    size_t d,
                    const double *x,
                    double *y,
                    double *log_det);
  /**
   * Writes x from y; n x d.
   */
  rg_status (*unwarp)(void *object,
                      struct rg_call *call,
                      size_t n,
                      size_t d,
                      const double *y,
                      double *x);
  /**
   * Writes the score in x from the score sy in y = psi(x): J' sy + grad log |det J|, J = dy/dx; n x d.
   */
  rg_status (*warp_score)(void *object,
                          struct rg_call *call,
                          size_t n,
                          size_t d,
                          const double *x,
                          const double *sy,
                          double *sx);
  /**
   * For d = 1: writes P(X_t <= x given X_s = r), n numbers. With `quantile`, or neither.
   */
  rg_status (*cdf)(void *object,
                   struct rg_call *call,
                   size_t n,
                   double s,
                   double t,
                   const double *r,
                   const double *x,
                   double *p);
  /**
   * For d = 1: writes x from p = P(X_t <= x given X_s = r), n numbers.
   */
  rg_status (*quantile)(void *object,
                        struct rg_call *call,
                        size_t n,
                        double s,
                        double t,
                        const double *r,
                        const double *p,
                        double *x);
  /**
   * The open interval that every coordinate lies in; without it all numbers.
   */
  rg_status (*support)(void *object, struct rg_call *call, double *low, double *high);
  /**
   * Says by host->flag what a person must know, for example that the reference law is approximate.
   */
  rg_status (*flags)(void *object, struct rg_call *call);
  /**
   * With RG_CAP_LINEAR: writes the time in [0, t_end] at which the noise level, the root of sigma2 over
   * alpha, is `level`; without it the host searches.
   */
  rg_status (*time_of)(void *object, struct rg_call *call, double level, double t_end, double *t);
} rg_process_vtable;

/**
 * The gradient of log p_t, p_t the law of a process at time t. Arrays as in rg_target_vtable. `t` is one
 * time for all rows if `ts` is 0, and one for each (n numbers) if it is 1.
 */
typedef struct rg_score_vtable {
  /**
   * Size of this table in the plugin, in bytes.
   */
  size_t struct_size;
  /**
   * RG_CAP_ROWWISE, RG_CAP_DETERMINISTIC.
   */
  uint64_t caps;
  /**
   * An RG_THREAD_ constant.
   */
  int32_t threading;
  /**
   * 0.
   */
  uint32_t reserved;
  /**
   * Frees `object`; called once. May be NULL.
   */
  void (*destroy)(void *object);
  /**
   * The dimension d, the same at all times.
   */
  rg_status (*dim)(void *object, struct rg_call *call, size_t *d);
  /**
   * Writes the score, n x d.
   */
  rg_status (*eval)(void *object,
                    struct rg_call *call,
                    size_t n,
                    size_t d,
                    const double *t,
                    size_t ts,
                    const double *x,
                    double *s);
  /**
   * Optional, as all that follow. Writes the Jacobian of the score times k tangents a row: `v` and
   * `out` are n x (k d), tangent j of a row in its columns j d .. (j + 1) d.
   */
  rg_status (*jvp)(void *object,
                   struct rg_call *call,
                   size_t n,
                   size_t d,
                   size_t k,
                   const double *t,
                   size_t ts,
                   const double *x,
                   const double *v,
                   double *out);
  /**
   * Writes log p_t(x), normalised; n numbers.
   */
  rg_status (*log_marginal)(void *object,
                            struct rg_call *call,
                            size_t n,
                            size_t d,
                            const double *t,
                            size_t ts,
                            const double *x,
                            double *out);
  /**
   * Says by host->flag what a person must know, for example that the score is an estimate.
   */
  rg_status (*flags)(void *object, struct rg_call *call);
} rg_score_vtable;

/**
 * A method that gives draws, step by step.
 */
typedef struct rg_sampler_vtable {
  /**
   * Size of this table in the plugin, in bytes.
   */
  size_t struct_size;
  /**
   * RG_CAP_ROWWISE, RG_CAP_DETERMINISTIC.
   */
  uint64_t caps;
  /**
   * An RG_THREAD_ constant.
   */
  int32_t threading;
  /**
   * 0.
   */
  uint32_t reserved;
  /**
   * Frees `object`; called once, after every run has ended. May be NULL.
   */
  void (*destroy)(void *object);
  /**
   * Begins a run of `n_draws` draws in all.
   */
  rg_status (*start)(void *object, struct rg_call *call, size_t n_draws, void **run);
  /**
   * Goes one grid move, sweep or temperature on; `done` gets 1 after the last, else 0.
   */
  rg_status (*step)(void *object, struct rg_call *call, void *run, int32_t *done);
  /**
   * Frees the run; called once for each that was begun or loaded.
   */
  void (*end)(void *object, void *run);
  /**
   * Optional, with `load`: without them a run that is resumed begins again at its first step (same
   * bits, more time), and says so. `need` gets the bytes that the state takes; `buf` is written if
   * `cap` is enough.
   */
  rg_status (*save)(void *object,
                    struct rg_call *call,
                    const void *run,
                    void *buf,
                    size_t cap,
                    size_t *need);
  /**
   * Goes on from bytes that `save` wrote.
   */
  rg_status (*load)(void *object, struct rg_call *call, const void *buf, size_t len, void **run);
  /**
   * Rows that it works on for `n_draws` draws; without it `n_draws`.
   */
  rg_status (*rows)(void *object, struct rg_call *call, size_t n_draws, size_t *rows);
} rg_sampler_vtable;

/**
 * Success.
 */
#define RG_OK 0

/**
 * A pointer that must not be NULL is NULL.
 */
#define RG_ERR_NULL 1

/**
 * An argument is out of its range.
 */
#define RG_ERR_ARG 2

/**
 * A dimension, length or stride does not fit.
 */
#define RG_ERR_DIM 3

/**
 * A string is not valid UTF-8.
 */
#define RG_ERR_UTF8 4

/**
 * A setting or a data file is wrong.
 */
#define RG_ERR_CONFIG 5

/**
 * No component, key or file of that name.
 */
#define RG_ERR_NOT_FOUND 6

/**
 * The component lacks the ability that was asked for.
 */
#define RG_ERR_UNSUPPORTED 7

/**
 * The caller's buffer is too small.
 */
#define RG_ERR_BUFFER 8

/**
 * Versions of the binary interface do not fit.
 */
#define RG_ERR_ABI 9

/**
 * A plugin could not be loaded or broke its contract.
 */
#define RG_ERR_PLUGIN 10

/**
 * A callback or plugin function returned an error of its own.
 */
#define RG_ERR_CALLBACK 11

/**
 * A number is not finite where it must be, or a method broke down numerically.
 */
#define RG_ERR_NUMERIC 12

/**
 * The run was cancelled.
 */
#define RG_ERR_CANCELLED 13

/**
 * A component was called on a thread it may not be called on.
 */
#define RG_ERR_THREAD 14

/**
 * Reading or writing failed.
 */
#define RG_ERR_IO 15

/**
 * Memory could not be had.
 */
#define RG_ERR_MEMORY 16

/**
 * A panic was caught at a boundary.
 */
#define RG_ERR_PANIC 17

/**
 * The object was left in an unknown state by an earlier panic.
 */
#define RG_ERR_POISONED 18

/**
 * The result is of a run that did not finish.
 */
#define RG_ERR_INCOMPLETE 19

/**
 * The object is in use.
 */
#define RG_ERR_BUSY 20

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The one symbol that a plugin exports; write RG_EXPORT before its definition. The host calls it once; it does no work, and returns the
 * plugin's own table, or NULL after host->fail(NULL, ...) to refuse. It may be called on any thread.
 */
extern const struct rg_plugin *retrograde_plugin_v1(const struct rg_host *host);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* RETROGRADE_PLUGIN_H */

/* Whether the host has a slot: RG_HOST_HAS(host, flag). */
#define RG_HOST_HAS(host, slot) \
  ((host)->struct_size >= offsetof(rg_host, slot) + sizeof((host)->slot) && (host)->slot)
