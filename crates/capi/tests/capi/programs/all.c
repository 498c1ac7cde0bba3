/* Calls every function of the library, meets every status, and checks what comes: against closed forms where
 * there are numbers. Exit status 0 if all is as it should be; run under valgrind by tests/capi/programs.rs.
 *
 *   all FOLDER PLUGIN      a folder for run directories; a shared library that is a plugin (wells)
 */
#include <retrograde.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static rg_error *err = NULL;

#define CHECK(condition)                                                                     \
  do {                                                                                       \
    if (!(condition)) {                                                                      \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
      exit(1);                                                                               \
    }                                                                                        \
  } while (0)

#define OK(call)                                                                             \
  do {                                                                                       \
    rg_status status_ = (call);                                                              \
    if (status_ != RG_OK) {                                                                  \
      fprintf(stderr, "%s:%d: %s: %s: %s\n", __FILE__, __LINE__, #call,                      \
              rg_status_name(status_), rg_error_detail(err));                                \
      exit(1);                                                                               \
    }                                                                                        \
    CHECK(err == NULL);                                                                      \
  } while (0)

/* The call must fail with this status and these words, and so without a place for the error. */
#define FAILS(expected, words, call) fails(expected, words, (call), __LINE__, #call)

static void fails(rg_status expected, const char *words, rg_status status, int line, const char *call) {
  if (status != expected || err == NULL || rg_error_code(err) != expected ||
      strstr(rg_error_message(err), words) == NULL) {
    fprintf(stderr, "%s:%d: %s: %s, expected %s: \"%s\" has no \"%s\"\n", __FILE__, line, call,
            rg_status_name(status), rg_status_name(expected), rg_error_message(err), words);
    exit(1);
  }
  rg_error_free(err);
  err = NULL;
}

/* A Gaussian with mean 1, 2, ... and variance 1, without its constant: log Z = d log(2 pi) / 2. */
typedef struct {
  int calls, drops, end_with;
  const rg_target *self;
  rg_status inner;
} normal;

static rg_status batch(void *user, size_t n, size_t d, const double *x, double *logp, double *grad) {
  normal *me = user;
  me->calls++;
  if (me->end_with != 0) return me->end_with;
  if (me->self != NULL) {
    double l;
    me->inner = rg_target_eval(me->self, 1, d, x, 0, &l, NULL, 0, NULL);
  }
  for (size_t i = 0; i < n; i++) {
    double sum = 0.0;
    for (size_t j = 0; j < d; j++) {
      const double u = x[i * d + j] - (double)(j + 1);
      sum -= 0.5 * u * u;
      if (grad != NULL) grad[i * d + j] = -u;
    }
    if (logp != NULL) logp[i] = sum;
  }
  return RG_OK;
}

static rg_status point(void *user, size_t d, const double *x, double *logp, double *grad) {
  return batch(user, 1, d, x, logp, grad);
}

static rg_status all_nan(void *user, size_t n, size_t d, const double *x, double *logp, double *grad) {
  (void)user, (void)x;
  for (size_t i = 0; logp != NULL && i < n; i++) logp[i] = NAN;
  for (size_t i = 0; grad != NULL && i < n * d; i++) grad[i] = NAN;
  return RG_OK;
}

/* Flat in the second coordinate. */
static rg_status flat(void *user, size_t n, size_t d, const double *x, double *logp, double *grad) {
  (void)user;
  for (size_t i = 0; i < n; i++) {
    if (logp != NULL) logp[i] = -0.5 * x[i * d] * x[i * d];
    if (grad != NULL) grad[i * d] = -x[i * d], grad[i * d + 1] = 0.0;
  }
  return RG_OK;
}

static rg_status wrong_gradient(void *user, size_t n, size_t d, const double *x, double *logp, double *grad) {
  rg_status status = batch(user, n, d, x, logp, grad);
  if (grad != NULL) grad[0] += 0.01;
  return status;
}

static void dropped(void *user) { ((normal *)user)->drops++; }

static const uint64_t caps = RG_CAP_GRADIENT | RG_CAP_ROWWISE | RG_CAP_DETERMINISTIC;

/* A target, a process and a score by tables. */
static rg_status two(void *object, rg_call *call, size_t *d) {
  (void)object, (void)call;
  *d = 2;
  return RG_OK;
}
static rg_status table_eval(void *object, rg_call *call, size_t n, size_t d, const double *x, double *logp,
                            double *grad) {
  const rg_host *host = rg_host_services();
  if (((normal *)object)->end_with != 0)
    return host->fail(call, RG_ERR_CALLBACK, "the oracle is silent");
  return batch(object, n, d, x, logp, grad);
}
static void destroyed(void *object) {
  if (object != NULL) dropped(object);
}
static rg_target_vtable target_table = {.struct_size = sizeof(rg_target_vtable),
                                        .caps = RG_CAP_GRADIENT | RG_CAP_ROWWISE | RG_CAP_DETERMINISTIC,
                                        .threading = RG_THREAD_CALLER,
                                        .destroy = destroyed,
                                        .dim = two,
                                        .eval = table_eval};

/* dX = -X dt + sqrt(2) dW, whose law at rest is N(0, I). */
static double noise = 1.4142135623730951;
static rg_status info(void *object, rg_call *call, size_t *d, size_t *m, double *t_end) {
  (void)object, (void)call;
  *d = 2, *m = 2, *t_end = 1.0;
  return RG_OK;
}
static rg_status drift(void *object, rg_call *call, size_t n, size_t d, const double *t, size_t t_step,
                       const double *x, double *f) {
  (void)object, (void)call, (void)t, (void)t_step;
  for (size_t i = 0; i < n * d; i++) f[i] = -x[i];
  return RG_OK;
}
static rg_status apply_g(void *object, rg_call *call, size_t n, size_t d, size_t m, const double *t,
                         size_t t_step, const double *x, const double *z, double *out) {
  (void)object, (void)call, (void)t, (void)t_step, (void)x, (void)m;
  for (size_t i = 0; i < n * d; i++) out[i] = noise * z[i];
  return RG_OK;
}
static rg_status apply_ggt(void *object, rg_call *call, size_t n, size_t d, const double *t, size_t t_step,
                           const double *x, const double *v, double *out) {
  (void)object, (void)call, (void)t, (void)t_step, (void)x;
  for (size_t i = 0; i < n * d; i++) out[i] = noise * noise * v[i];
  return RG_OK;
}
static rg_status ref_sample(void *object, rg_call *call, size_t n, size_t d, double *x) {
  (void)object;
  rg_host_services()->rng_normal(call, n, d, x);
  return RG_OK;
}
static rg_status ref_eval(void *object, rg_call *call, size_t n, size_t d, const double *x, double *logp,
                          double *grad) {
  (void)object, (void)call;
  for (size_t i = 0; i < n; i++) {
    double sum = -0.5 * (double)d * log(2.0 * 3.14159265358979323846);
    for (size_t j = 0; j < d; j++) {
      sum -= 0.5 * x[i * d + j] * x[i * d + j];
      if (grad != NULL) grad[i * d + j] = -x[i * d + j];
    }
    if (logp != NULL) logp[i] = sum;
  }
  return RG_OK;
}

static rg_status score(void *object, rg_call *call, size_t n, size_t d, const double *t, size_t t_step,
                       const double *x, double *out) {
  (void)object, (void)call, (void)t, (void)t_step;
  for (size_t i = 0; i < n * d; i++) out[i] = -x[i];
  return RG_OK;
}

static int lines = 0;
static void log_line(void *user, int32_t level, const char *utf8) {
  (void)user;
  CHECK(level >= 0 && level <= 2 && strlen(utf8) > 0);
  lines++;
}

static int32_t stop_at_once(void *user, const rg_progress *p) {
  CHECK(p->struct_size == sizeof *p && p->step > 0 && p->elapsed_s >= 0.0);
  ++*(int *)user;
  return 1;
}

static void versions_and_errors(void) {
  char text[256];
  CHECK(strcmp(rg_version(), "") != 0);
  CHECK(rg_check_abi(RG_ABI, RG_ABI_MINOR, text, sizeof text) == RG_OK);
  CHECK(rg_check_abi(RG_ABI + 1u, 0u, text, sizeof text) == RG_ERR_ABI && strlen(text) > 0);
  for (rg_status s = RG_OK; s <= RG_ERR_BUSY; s++)
    CHECK(strncmp(rg_status_name(s), s == RG_OK ? "RG_OK" : "RG_ERR_", 5) == 0);
  CHECK(rg_error_code(NULL) == RG_OK && *rg_error_message(NULL) == 0 && *rg_error_detail(NULL) == 0);
  CHECK(rg_host_services()->abi == RG_PLUGIN_ABI);
  rg_error_free(NULL);
  rg_context_free(NULL);
  rg_target_free(NULL);
  rg_process_free(NULL);
  rg_score_free(NULL);
  rg_sampler_free(NULL);
  rg_result_free(NULL);
  rg_cancel_free(NULL);
  rg_cancel_request(NULL);
}

static void contexts(rg_context *cx, const char *folder, const char *plugin) {
  size_t n = 0, need = 0, ok = 9, bad = 9;
  char name[64];
  OK(rg_context_count(cx, RG_KIND_SAMPLER, &n, &err));
  CHECK(n > 5);
  OK(rg_context_name(cx, RG_KIND_SAMPLER, 0, name, sizeof name, NULL, &err));
  OK(rg_context_describe(cx, RG_KIND_SAMPLER, name, NULL, 0, &need, &err));
  CHECK(need > 100);
  FAILS(RG_ERR_BUFFER, "`buf` holds 2", rg_context_describe(cx, RG_KIND_SAMPLER, name, name, 2, NULL, &err));
  FAILS(RG_ERR_ARG, "kind", rg_context_count(cx, 77, &n, &err));
  OK(rg_context_set_log(cx, log_line, NULL, 2, &err));
  FAILS(RG_ERR_ARG, "max_level", rg_context_set_log(cx, log_line, NULL, 3, &err));
  OK(rg_context_load_plugin(cx, plugin, &err));
  OK(rg_context_load_plugin(cx, plugin, &err));
  OK(rg_context_describe(cx, RG_KIND_TARGET, "wells/double-well", NULL, 0, &need, &err));
  FAILS(RG_ERR_PLUGIN, "plugin", rg_context_load_plugin(cx, "/dev/null", &err));
  OK(rg_context_scan_plugins(cx, folder, &ok, &bad, &err));
  CHECK(ok == 0 && bad == 0);
#ifdef VALGRIND
  enum { CONTEXTS = 20 };
#else
  enum { CONTEXTS = 1000 };
#endif
  static rg_context *many[CONTEXTS];
  for (int i = 0; i < CONTEXTS; i++) OK(rg_context_new(&many[i], &err));
  for (int i = 0; i < CONTEXTS; i++) rg_context_free(many[i * 7 % CONTEXTS]);
}

static void targets(rg_context *cx) {
  rg_target *t = NULL, *limited = NULL;
  normal me = {0};
  double x[3 * 4] = {1, 2, 9, 9, 0, 0, 9, 9, 3, 1, 9, 9}, l[3], g[3 * 3];
  size_t d = 0, need = 0;
  OK(rg_target_new(cx, "standard-normal", "dim = 3", &t, &err));
  OK(rg_target_dim(t, &d, &err));
  CHECK(d == 3);
  rg_target_free(t);
  FAILS(RG_ERR_NOT_FOUND, "did you mean `standard-normal`", rg_target_new(cx, "standard-norm", NULL, &t, &err));
  FAILS(RG_ERR_CONFIG, "dimm", rg_target_new(cx, "standard-normal", "dimm = 3", &t, &err));
  FAILS(RG_ERR_CONFIG, "TOML", rg_target_new(cx, "standard-normal", "dim = ", &t, &err));
  FAILS(RG_ERR_UTF8, "UTF-8", rg_target_new(cx, "standard\xff", NULL, &t, &err));
  FAILS(RG_ERR_IO, "none.csv", rg_target_new(cx, "logistic-regression", "file = \"none.csv\"", &t, &err));

  OK(rg_target_from_point(cx, 2, point, &me, dropped, RG_CAP_GRADIENT, RG_THREAD_CALLER, &t, &err));
  OK(rg_target_eval(t, 3, 2, x, 4, l, g, 3, &err));
  CHECK(l[0] == 0.0 && l[1] == -2.5 && l[2] == -2.5 && g[3] == 1.0 && g[4] == 2.0 && g[6] == -2.0);
  CHECK(me.calls == 3);
  FAILS(RG_ERR_DIM, "`d`", rg_target_eval(t, 3, 3, x, 4, l, g, 3, &err));
  FAILS(RG_ERR_DIM, "stride", rg_target_eval(t, 3, 2, x, 1, l, g, 3, &err));
  FAILS(RG_ERR_DIM, "address space", rg_target_eval(t, SIZE_MAX / 4, 2, x, 0, l, NULL, 0, &err));
  rg_target_free(t);
  CHECK(me.drops == 1);
  FAILS(RG_ERR_ARG, "threading", rg_target_from_point(cx, 2, point, &me, dropped, 0, 5, &t, &err));
  CHECK(me.drops == 2);
  FAILS(RG_ERR_ARG, "caps", rg_target_from_point(cx, 2, point, &me, dropped, 1u << 20, 0, &t, &err));
  FAILS(RG_ERR_ARG, "`d`", rg_target_from_batch(cx, 0, batch, &me, dropped, caps, 0, &t, &err));
  FAILS(RG_ERR_NULL, "`f`", rg_target_from_batch(cx, 2, NULL, &me, dropped, caps, 0, &t, &err));
  CHECK(me.drops == 5);

  /* Every status that a callback returns comes out as it is; others as RG_ERR_CALLBACK. */
  OK(rg_target_from_batch(cx, 2, batch, &me, NULL, caps, RG_THREAD_SERIAL, &t, &err));
  for (rg_status s = RG_ERR_NULL; s <= RG_ERR_BUSY; s++) {
    me.end_with = s;
    FAILS(s, s == RG_ERR_CANCELLED ? "cancelled" : "target of the caller", rg_target_eval(t, 3, 2, x, 4, l, g, 3, &err));
  }
  me.end_with = 1234;
  FAILS(RG_ERR_CALLBACK, "1234", rg_target_eval(t, 3, 2, x, 4, l, g, 3, &err));
  CHECK(rg_target_eval(t, 3, 2, x, 4, l, g, 3, NULL) == RG_ERR_CALLBACK);
  me.end_with = 0;
  me.self = t;
  OK(rg_target_eval(t, 3, 2, x, 4, l, g, 3, &err));
  CHECK(me.inner == RG_ERR_BUSY);
  me.self = NULL;
  OK(rg_target_check(t, 3, x, 4, 1e-6, NULL, 0, &need, &err));
  OK(rg_target_check(t, 3, x, 4, 1e-6, NULL, 0, NULL, &err));
  CHECK(need > 20);
  FAILS(RG_ERR_ARG, "rtol", rg_target_check(t, 3, x, 4, NAN, NULL, 0, NULL, &err));
  FAILS(RG_ERR_ARG, "rtol", rg_target_check(t, 3, x, 4, INFINITY, NULL, 0, NULL, &err));

  const double lower[2] = {0.0, -INFINITY}, upper[2] = {INFINITY, INFINITY};
  FAILS(RG_ERR_CONFIG, "lower", rg_target_bounded(cx, t, upper, lower, &limited, &err));
  OK(rg_target_bounded(cx, t, lower, NULL, &limited, &err));
  rg_target_free(t);
  FAILS(RG_ERR_UNSUPPORTED, "limits", rg_target_bounded(cx, limited, lower, NULL, &t, &err));
  /* x = exp(y) in the first coordinate: the density of y has the Jacobian exp(y). */
  x[0] = 0.3, x[1] = 2.0;
  OK(rg_target_eval(limited, 1, 2, x, 0, l, NULL, 0, &err));
  CHECK(fabs(l[0] - (-0.5 * pow(exp(0.3) - 1.0, 2.0) + 0.3)) < 1e-14);
  rg_target_free(limited);

  OK(rg_target_from_batch(cx, 2, wrong_gradient, &me, NULL, caps, 0, &t, &err));
  FAILS(RG_ERR_NUMERIC, "gradient is wrong", rg_target_check(t, 1, x, 0, 1e-6, NULL, 0, NULL, &err));
  rg_target_free(t);

  /* Where nothing can be compared, nothing is known to be right. */
  OK(rg_target_from_batch(cx, 2, all_nan, &me, NULL, caps, 0, &t, &err));
  FAILS(RG_ERR_NUMERIC, "nothing could be compared", rg_target_check(t, 1, x, 0, 1e-6, NULL, 0, NULL, &err));
  rg_target_free(t);

  /* An object is taken over, whatever is wrong. */
  me.drops = 0;
  FAILS(RG_ERR_NULL, "`cx`", rg_target_from_vtable(NULL, &target_table, &me, &t, &err));
  FAILS(RG_ERR_NULL, "`out`", rg_target_from_vtable(cx, &target_table, &me, NULL, &err));
  CHECK(me.drops == 2);
  me.drops = 0;
  OK(rg_target_from_vtable(cx, &target_table, &me, &t, &err));
  OK(rg_target_eval(t, 1, 2, x, 0, l, g, 0, &err));
  me.end_with = 1;
  FAILS(RG_ERR_CALLBACK, "the oracle is silent", rg_target_eval(t, 1, 2, x, 0, l, g, 0, &err));
  rg_target_free(t);
  CHECK(me.drops == 1);
  target_table.eval = NULL;
  FAILS(RG_ERR_ARG, "`eval`", rg_target_from_vtable(cx, &target_table, &me, &t, &err));
  CHECK(me.drops == 2);
  target_table.eval = table_eval;
}

static void processes_and_scores(rg_context *cx) {
  rg_process *p = NULL;
  rg_score *s = NULL;
  rg_target *t = NULL;
  normal me = {0};
  size_t d, m;
  double end, alpha[4], sigma2[4], times[2] = {0.5, 1.0}, x[4] = {1, 2, 3, 4}, f[4];
  uint64_t what;
  OK(rg_process_new(cx, "ou", NULL, NULL, 2, &p, &err));
  OK(rg_process_info(p, &d, &m, &end, &what, &err));
  CHECK(d == 2 && m == 2 && end > 0.0 && (what & RG_CAP_LINEAR) && (what & RG_CAP_G_CONST_X));
  OK(rg_process_linear(p, 0.5, alpha, sigma2, 1, &err));
  CHECK(alpha[0] > 0.0 && alpha[0] < 1.0 && fabs(alpha[0] * alpha[0] + sigma2[0] - 1.0) < 1e-12);
  FAILS(RG_ERR_BUFFER, "alpha", rg_process_linear(p, 0.5, alpha, sigma2, 0, &err));
  FAILS(RG_ERR_ARG, "t_end", rg_process_linear(p, -1.0, alpha, sigma2, 1, &err));
  FAILS(RG_ERR_ARG, "t_step", rg_process_drift(p, 2, 2, times, (size_t)1 << 40, x, 0, f, 0, &err));
  OK(rg_process_drift(p, 2, 2, times, 1, x, 0, f, 0, &err));
  CHECK(f[0] < 0.0 && fabs(f[1] / f[0] - 2.0) < 1e-14);

  /* Two thousand draws of the transition: mean alpha x, variance sigma2, within five standard errors. */
  enum { N = 2000 };
  double *from = malloc(N * 2 * sizeof *from), *to = malloc(N * 2 * sizeof *to), mean = 0.0, square = 0.0;
  CHECK(from != NULL && to != NULL);
  for (size_t i = 0; i < N * 2; i++) from[i] = 1.5;
  OK(rg_process_simulate(p, 7, N, 2, 0.0, 0.5, 1, from, 0, to, 0, &err));
  for (size_t i = 0; i < N * 2; i++) {
    const double u = to[i] - 1.5 * alpha[0];
    mean += u / (N * 2.0), square += u * u / (N * 2.0);
  }
  CHECK(fabs(mean) < 5.0 * sqrt(sigma2[0] / (N * 2.0)));
  CHECK(fabs(square / sigma2[0] - 1.0) < 5.0 * sqrt(2.0 / (N * 2.0)));
  FAILS(RG_ERR_ARG, "t1", rg_process_simulate(p, 7, N, 2, 0.5, 0.5, 1, from, 0, to, 0, &err));
  free(from), free(to);

  OK(rg_target_new(cx, "standard-normal", "dim = 2", &t, &err));
  OK(rg_score_new(cx, "exact", NULL, t, p, &s, &err));
  OK(rg_score_eval(s, 0, 2, 2, times, 0, x, 0, f, 0, &err));
  for (int i = 0; i < 4; i++) CHECK(fabs(f[i] + x[i]) < 1e-12);
  FAILS(RG_ERR_ARG, "t_step", rg_score_eval(s, 0, 2, 2, times, 2, x, 0, f, 0, &err));
  times[1] = end * 1.5;
  FAILS(RG_ERR_ARG, "`t`", rg_score_eval(s, 0, 2, 2, times, 1, x, 0, f, 0, &err));
  times[1] = 1.0;
  rg_score_free(s);
  FAILS(RG_ERR_UNSUPPORTED, "process", rg_score_new(cx, "exact", NULL, t, NULL, &s, &err));
  rg_target_free(t);
  rg_process_free(p);

  const rg_process_vtable process_table = {.struct_size = sizeof process_table,
                                           .caps = RG_CAP_ROWWISE | RG_CAP_DETERMINISTIC | RG_CAP_G_CONST_X,
                                           .threading = RG_THREAD_CONCURRENT,
                                           .destroy = destroyed,
                                           .info = info,
                                           .drift = drift,
                                           .apply_g = apply_g,
                                           .apply_ggt = apply_ggt,
                                           .ref_sample = ref_sample,
                                           .ref_eval = ref_eval};
  OK(rg_process_from_vtable(cx, &process_table, &me, &p, &err));
  OK(rg_process_simulate(p, 7, 2, 2, 0.0, 1.0, 50, x, 0, f, 0, &err));
  OK(rg_process_drift(p, 2, 2, times, 0, x, 0, f, 0, &err));
  CHECK(f[3] == -4.0);
  FAILS(RG_ERR_UNSUPPORTED, "linear", rg_process_linear(p, 0.5, alpha, sigma2, 1, &err));
  const rg_score_vtable score_table = {.struct_size = sizeof score_table,
                                       .caps = RG_CAP_ROWWISE | RG_CAP_DETERMINISTIC,
                                       .threading = RG_THREAD_CONCURRENT,
                                       .destroy = destroyed,
                                       .dim = two,
                                       .eval = score};
  OK(rg_score_from_vtable(cx, &score_table, &me, &s, &err));
  OK(rg_score_eval(s, 0, 2, 2, times, 0, x, 0, f, 0, &err));
  CHECK(f[0] == -1.0);

  /* A sampler on them alone: the law at rest stays. */
  rg_sampler *sampler = NULL;
  OK(rg_sampler_new(cx, "reverse-sde", NULL, NULL, p, s, &sampler, &err));
  rg_process_free(p);
  rg_score_free(s);
  rg_run_options options = RG_RUN_OPTIONS_INIT;
  options.n_draws = 500;
  rg_result *r = NULL;
  OK(rg_sampler_run(sampler, &options, &r, &err));
  rg_sampler_free(sampler);
  rg_result_free(r);
  CHECK(me.drops == 2);
}

static void runs(rg_context *cx) {
  rg_target *t = NULL;
  rg_sampler *s = NULL;
  rg_result *r = NULL;
  rg_cancel *c = NULL;
  normal me = {0};
  size_t chains, n, d, k, need;
  int32_t complete = -1;
  double z, se, x[4];
  int calls = 0;
  OK(rg_target_from_batch(cx, 2, batch, &me, dropped, caps, RG_THREAD_CONCURRENT, &t, &err));
  FAILS(RG_ERR_CONFIG, "step_sise", rg_sampler_new(cx, "ula", "step_sise = 1", t, NULL, NULL, &s, &err));
  FAILS(RG_ERR_ARG, "target", rg_sampler_new(cx, "ula", NULL, NULL, NULL, NULL, &s, &err));
  OK(rg_sampler_new(cx, "smc", NULL, t, NULL, NULL, &s, &err));
  rg_target_free(t);
  rg_run_options options = RG_RUN_OPTIONS_INIT;
  options.n_draws = 1000, options.seed = 3;
  OK(rg_sampler_run(s, &options, &r, &err));
  OK(rg_result_shape(r, &chains, &n, &d, &k, &complete, &err));
  CHECK(chains == 1 && n == 1000 && d == 2 && k == 0 && complete == 1);
  OK(rg_result_scalar(r, "log_z", &z, &err));
  OK(rg_result_scalar(r, "log_z_se", &se, &err));
  CHECK(se > 0.0 && se < 0.1 && fabs(z - log(2.0 * 3.14159265358979323846)) < 5.0 * se);
  FAILS(RG_ERR_UNSUPPORTED, "log_z", rg_result_scalar(r, "logz", &z, &err));
  double *draws = malloc(n * 3 * sizeof *draws), mean[2] = {0};
  CHECK(draws != NULL);
  FAILS(RG_ERR_BUFFER, "`out`", rg_result_draws(r, draws, 3, n * 3 - 2, &err));
  OK(rg_result_draws(r, draws, 3, n * 3 - 1, &err));
  for (size_t i = 0; i < n; i++) mean[0] += draws[3 * i] / (double)n, mean[1] += draws[3 * i + 1] / (double)n;
  CHECK(fabs(mean[0] - 1.0) < 0.3 && fabs(mean[1] - 2.0) < 0.3);
  FAILS(RG_ERR_UNSUPPORTED, "weights", rg_result_log_weights(r, draws, n, &err));
  FAILS(RG_ERR_UNSUPPORTED, "outputs", rg_result_outputs(r, draws, 0, n, &err));
  OK(rg_result_json(r, NULL, 0, &need, &err));
  char *json = malloc(need);
  CHECK(json != NULL);
  OK(rg_result_json(r, json, need, NULL, &err));
  CHECK(strstr(json, "\"log_z\":{") != NULL && json[0] == '{');
  free(json);
  rg_result_free(r);

  /* Stopped by what watches it, and by the flag. */
  r = NULL;
  OK(rg_cancel_new(&c, &err));
  options.progress = stop_at_once, options.progress_user = &calls, options.cancel = c;
  options.progress_ms = 1;
  FAILS(RG_ERR_CANCELLED, "cancelled", rg_sampler_run(s, &options, &r, &err));
  CHECK(calls == 1 && r != NULL);
  OK(rg_result_shape(r, &chains, &n, &d, NULL, &complete, &err));
  CHECK(complete == 0 && n <= 1000);
  FAILS(RG_ERR_INCOMPLETE, "cancelled", rg_result_draws(r, draws, 0, n * d, &err));
  OK(rg_result_partial_draws(r, draws, 0, n * d, &err));
  FAILS(RG_ERR_INCOMPLETE, "cancelled", rg_result_scalar(r, "log_z", &z, &err));
  rg_result_free(r);
  rg_cancel_request(c);
  r = NULL;
  FAILS(RG_ERR_CANCELLED, "cancelled", rg_sampler_run(s, &options, &r, &err));
  rg_result_free(r);
  rg_cancel_free(c);
  options.cancel = NULL, options.progress = NULL;

  options.struct_size = 3;
  FAILS(RG_ERR_ARG, "RG_RUN_OPTIONS_INIT", rg_sampler_run(s, &options, &r, &err));
  options.struct_size = sizeof options, options.flags = 1u << 30;
  FAILS(RG_ERR_ARG, "flags", rg_sampler_run(s, &options, &r, &err));
  options.flags = RG_RUN_BASELINE_SIMD, options.n_threads = 1025;
  FAILS(RG_ERR_ARG, "1024", rg_sampler_run(s, &options, &r, &err));
  options.n_threads = 0, options.reserved = 1;
  FAILS(RG_ERR_ARG, "reserved", rg_sampler_run(s, &options, &r, &err));
  options.reserved = 0, options.n_draws = 0;
  OK(rg_sampler_run(s, &options, &r, &err));
  OK(rg_result_shape(r, NULL, &n, NULL, NULL, NULL, &err));
  CHECK(n == 4000);
  rg_result_free(r);
  options.n_draws = SIZE_MAX / 64;
  FAILS(RG_ERR_ARG, "particles", rg_sampler_run(s, &options, &r, &err));
  rg_sampler_free(s);
  CHECK(me.drops == 1);

  OK(rg_target_from_batch(cx, 2, all_nan, NULL, NULL, caps, RG_THREAD_CONCURRENT, &t, &err));
  OK(rg_sampler_from_toml(cx, "[sampler]\nkind = \"smc\"\n", t, &s, &err));
  options.n_draws = 1000;
  FAILS(RG_ERR_NUMERIC, "", rg_sampler_run(s, &options, &r, &err));
  rg_sampler_free(s);
  FAILS(RG_ERR_CONFIG, "job:3:1", rg_sampler_from_toml(cx, "[sampler]\nkind = \"smc\"\nmovez = 1\n", t, &s, &err));
  rg_target_free(t);

  /* The checks of a job hold for a run in memory: chains that stay where they began, points without a density. */
  static char told[65536];
  OK(rg_target_new(cx, "gaussian-mixture", "weights = [0.5, 0.5]\nmeans = [[-9.0], [9.0]]\nvariances = [[1.0], [1.0]]", &t, &err));
  OK(rg_sampler_new(cx, "ula", "step_size = 0.1", t, NULL, NULL, &s, &err));
  rg_target_free(t);
  options.n_draws = 400, options.seed = 1;
  OK(rg_sampler_run(s, &options, &r, &err));
  OK(rg_result_json(r, told, sizeof told, NULL, &err));
  CHECK(strstr(told, "\"check\":\"R-hat\",\"status\":\"fail\"") != NULL);
  rg_result_free(r);
  rg_sampler_free(s);
  FAILS(RG_ERR_NUMERIC, "normal",
        rg_sample(cx, "[sampler]\nkind = \"hmc\"\n", 2, flat, &me, caps, 0, 3, 1000, draws, NULL, &err));

  OK(rg_sample(cx, "[sampler]\nkind = \"smc\"\n", 2, batch, &me, caps, RG_THREAD_CALLER, 3, 1000, draws, &se, &err));
  CHECK(fabs(draws[0]) < 10.0);
  FAILS(RG_ERR_UNSUPPORTED, "log_z",
        rg_sample(cx, "[sampler]\nkind = \"ula\"\n", 2, batch, &me, caps, 0, 3, 1000, draws, x, &err));
  /* Four chains: a number of draws that they do not share evenly is refused, another one is there whole. */
  for (size_t i = 0; i < 2000; i++) draws[i] = NAN;
  const char *ula = "[sampler]\nkind = \"ula\"\n";
  FAILS(RG_ERR_CONFIG, "chains", rg_sample(cx, ula, 2, batch, &me, caps, 0, 3, 10, draws, NULL, &err));
  CHECK(draws[0] != draws[0]);
  OK(rg_sample(cx, ula, 2, batch, &me, caps, 0, 3, 8, draws, NULL, &err));
  for (size_t i = 0; i < 16; i++) CHECK(draws[i] == draws[i]);
  CHECK(draws[16] != draws[16]);
  free(draws);

  /* A limited target: its draws lie within the limits, whoever runs it. */
  const double lower[2] = {0.0, 0.0};
  rg_target *limited = NULL;
  OK(rg_target_from_batch(cx, 2, batch, &me, NULL, caps, RG_THREAD_CONCURRENT, &t, &err));
  OK(rg_target_bounded(cx, t, lower, NULL, &limited, &err));
  OK(rg_sampler_new(cx, "hmc", NULL, limited, NULL, NULL, &s, &err));
  rg_target_free(t);
  rg_target_free(limited);
  options.n_draws = 400;
  OK(rg_sampler_run(s, &options, &r, &err));
  OK(rg_result_shape(r, NULL, &n, NULL, &k, NULL, &err));
  CHECK(k == 0);
  draws = malloc(n * 2 * sizeof *draws);
  CHECK(draws != NULL);
  OK(rg_result_draws(r, draws, 0, n * 2, &err));
  double centre = 0.0;
  for (size_t i = 0; i < n * 2; i++) {
    CHECK(draws[i] > 0.0);
    centre += draws[i] / (double)(n * 2);
  }
  /* Normals of mean 1 and 2 above 0: m + phi(m) / Phi(m), here (1.2876 + 2.0553) / 2, to 0.03 over some hundred effective draws. */
  CHECK(fabs(centre - 1.6714) < 0.15);
  static char said[65536];
  OK(rg_result_json(r, said, sizeof said, NULL, &err));
  const char *told_mean = strstr(said, "\"mean\":");
  CHECK(told_mean != NULL && fabs(strtod(told_mean + 7, NULL) - 1.2876) < 0.2);
  rg_result_free(r);
  const char *bounds = "[target]\nbounds = { lower = [0, 0], upper = [inf, inf] }\n[sampler]\nkind = \"hmc\"\n";
  OK(rg_sample(cx, bounds, 2, batch, &me, caps, RG_THREAD_CALLER, 3, n, draws, NULL, &err));
  for (size_t i = 0; i < n * 2; i++) CHECK(draws[i] > 0.0);
  free(draws);
  rg_sampler_free(s);
}

static const char *job = "seed = 5\ndraws = 600\n[sampler]\nkind = \"ula\"\nstep_size = 0.1\n";

static void jobs(rg_context *cx, const char *folder) {
  char whole[4096], cut[4096], there[8192];
  rg_target *t = NULL;
  rg_result *r = NULL;
  normal me = {0};
  size_t n, need = 0;
  int calls = 0;
  snprintf(whole, sizeof whole, "%s/whole", folder);
  snprintf(cut, sizeof cut, "%s/cut", folder);
  OK(rg_target_from_batch(cx, 2, batch, &me, dropped, caps, RG_THREAD_SERIAL, &t, &err));
  OK(rg_job_run(cx, job, t, whole, NULL, &r, &err));
  OK(rg_result_shape(r, NULL, &n, NULL, NULL, NULL, &err));
  CHECK(n == 600);
  double *a = malloc(n * 2 * sizeof *a), *b = malloc(n * 2 * sizeof *b);
  CHECK(a != NULL && b != NULL);
  OK(rg_result_draws(r, a, 0, n * 2, &err));
  rg_result_free(r);
  FAILS(RG_ERR_CONFIG, "RG_RUN_REPLACE", rg_job_run(cx, job, t, whole, NULL, &r, &err));
  snprintf(there, sizeof there, "%s/report.json", whole);
  FILE *report = fopen(there, "rb");
  CHECK(report != NULL && fclose(report) == 0);

  /* Stopped after a step, and taken up: the same bits. */
  rg_run_options options = RG_RUN_OPTIONS_INIT;
  options.n_draws = 0, options.progress = stop_at_once, options.progress_user = &calls;
  FAILS(RG_ERR_CANCELLED, "cancelled", rg_job_run(cx, job, t, cut, &options, &r, &err));
  rg_result_free(r);
  const double none[2] = {-1.0, -1.0};
  rg_target *limited = NULL;
  OK(rg_target_bounded(cx, t, none, NULL, &limited, &err));
  FAILS(RG_ERR_CONFIG, "limits", rg_job_resume(cx, cut, limited, NULL, &r, &err));
  FAILS(RG_ERR_CONFIG, "hand it in", rg_job_resume(cx, cut, NULL, NULL, &r, &err));
  rg_target_free(limited);
  OK(rg_job_resume(cx, cut, t, NULL, &r, &err));
  OK(rg_result_draws(r, b, 0, n * 2, &err));
  CHECK(memcmp(a, b, n * 2 * sizeof *a) == 0);
  rg_result_free(r);
  OK(rg_job_resume(cx, cut, t, NULL, &r, &err));
  /* Complete already: what is in its files. */
  for (size_t i = 0; i < n * 2; i++) b[i] = 0.0;
  OK(rg_result_draws(r, b, 0, n * 2, &err));
  CHECK(memcmp(a, b, n * 2 * sizeof *a) == 0);
  rg_result_free(r);
  snprintf(there, sizeof there, "%s/draws.npy", cut);
  CHECK(remove(there) == 0);
  OK(rg_job_resume(cx, cut, t, NULL, &r, &err));
  FAILS(RG_ERR_UNSUPPORTED, "draws.npy", rg_result_draws(r, b, 0, n * 2, &err));
  rg_result_free(r);
  free(a), free(b);
  rg_target_free(t);
  CHECK(me.drops == 1 && lines > 0);
  FAILS(RG_ERR_CONFIG, "none", rg_job_resume(cx, "none", NULL, NULL, &r, &err));

  const char *diffusion = "seed = 1\ndraws = 200\n[target]\nkind = \"standard-normal\"\ndim = 2\n"
                          "[process]\nkind = \"ou\"\n[score]\nkind = \"exact\"\n"
                          "[sampler]\nkind = \"reverse-sde\"\n";
  FAILS(RG_ERR_ARG, "paths", rg_job_certify(cx, diffusion, NULL, 15, NULL, 0, &need, &err));
  FAILS(RG_ERR_ARG, "paths", rg_job_certify(cx, diffusion, NULL, SIZE_MAX, NULL, 0, &need, &err));
  OK(rg_job_certify(cx, diffusion, NULL, 1024, NULL, 0, &need, &err));
  CHECK(need > 100);
}

/* NULL in each pointer argument in turn. */
#define NIL(argument, call) FAILS(RG_ERR_NULL, "`" argument "`", call)

static void nulls(rg_context *cx) {
  rg_target *t = NULL, *made = NULL;
  rg_process *p = NULL, *made_p = NULL;
  rg_score *s = NULL, *made_s = NULL;
  rg_sampler *sampler = NULL, *made_sampler = NULL;
  rg_result *r = NULL, *made_r = NULL;
  rg_cancel *c = NULL;
  double x[2] = {0}, y[400 * 2], half = 0.5;
  size_t n = 0;
  char text[8];
  const char *smc = "[target]\nkind = \"standard-normal\"\ndim = 2\n[sampler]\nkind = \"smc\"\n";
  OK(rg_target_new(cx, "standard-normal", "dim = 2", &t, &err));
  OK(rg_process_new(cx, "ou", NULL, t, 0, &p, &err));
  OK(rg_score_new(cx, "exact", NULL, t, p, &s, &err));
  OK(rg_sampler_new(cx, "smc", NULL, t, p, s, &sampler, &err));
  rg_run_options options = RG_RUN_OPTIONS_INIT;
  options.n_draws = 400;
  OK(rg_sampler_run(sampler, &options, &r, &err));

  NIL("out", rg_context_new(NULL, &err));
  NIL("cx", rg_context_set_log(NULL, log_line, NULL, 1, &err));
  NIL("cx", rg_context_load_plugin(NULL, "a.so", &err));
  NIL("path", rg_context_load_plugin(cx, NULL, &err));
  NIL("cx", rg_context_scan_plugins(NULL, NULL, NULL, NULL, &err));
  NIL("cx", rg_target_new(NULL, "gmm40", NULL, &made, &err));
  NIL("name", rg_target_new(cx, NULL, NULL, &made, &err));
  NIL("out", rg_target_new(cx, "gmm40", NULL, NULL, &err));
  NIL("cx", rg_target_from_point(NULL, 2, point, NULL, NULL, 0, 0, &made, &err));
  NIL("f", rg_target_from_point(cx, 2, NULL, NULL, NULL, 0, 0, &made, &err));
  NIL("out", rg_target_from_point(cx, 2, point, NULL, NULL, 0, 0, NULL, &err));
  NIL("cx", rg_target_from_batch(NULL, 2, batch, NULL, NULL, 0, 0, &made, &err));
  NIL("out", rg_target_from_batch(cx, 2, batch, NULL, NULL, 0, 0, NULL, &err));
  NIL("cx", rg_target_from_vtable(NULL, &target_table, NULL, &made, &err));
  NIL("vtable", rg_target_from_vtable(cx, NULL, NULL, &made, &err));
  NIL("out", rg_target_from_vtable(cx, &target_table, NULL, NULL, &err));
  NIL("cx", rg_target_bounded(NULL, t, NULL, NULL, &made, &err));
  NIL("t", rg_target_bounded(cx, NULL, NULL, NULL, &made, &err));
  NIL("out", rg_target_bounded(cx, t, NULL, NULL, NULL, &err));
  NIL("t", rg_target_dim(NULL, &n, &err));
  NIL("d", rg_target_dim(t, NULL, &err));
  NIL("t", rg_target_eval(NULL, 1, 2, x, 0, y, NULL, 0, &err));
  NIL("x", rg_target_eval(t, 1, 2, NULL, 0, y, NULL, 0, &err));
  OK(rg_target_eval(t, 0, 2, NULL, 0, NULL, NULL, 0, &err));
  NIL("t", rg_target_check(NULL, 1, x, 0, 1e-6, NULL, 0, NULL, &err));
  NIL("x", rg_target_check(t, 1, NULL, 0, 1e-6, NULL, 0, NULL, &err));
  NIL("cx", rg_process_new(NULL, "ou", NULL, t, 0, &made_p, &err));
  NIL("name", rg_process_new(cx, NULL, NULL, t, 0, &made_p, &err));
  FAILS(RG_ERR_ARG, "`d`", rg_process_new(cx, "ou", NULL, NULL, 0, &made_p, &err));
  NIL("out", rg_process_new(cx, "ou", NULL, t, 0, NULL, &err));
  NIL("vtable", rg_process_from_vtable(cx, NULL, NULL, &made_p, &err));
  NIL("p", rg_process_info(NULL, &n, NULL, NULL, NULL, &err));
  OK(rg_process_info(p, NULL, NULL, NULL, NULL, &err));
  NIL("p", rg_process_linear(NULL, 0.5, x, y, 1, &err));
  NIL("alpha", rg_process_linear(p, 0.5, NULL, y, 1, &err));
  NIL("sigma2", rg_process_linear(p, 0.5, x, NULL, 1, &err));
  NIL("p", rg_process_drift(NULL, 1, 2, &half, 0, x, 0, y, 0, &err));
  NIL("t", rg_process_drift(p, 1, 2, NULL, 0, x, 0, y, 0, &err));
  NIL("x", rg_process_drift(p, 1, 2, &half, 0, NULL, 0, y, 0, &err));
  NIL("f", rg_process_drift(p, 1, 2, &half, 0, x, 0, NULL, 0, &err));
  NIL("p", rg_process_simulate(NULL, 0, 1, 2, 0.0, 0.5, 1, x, 0, y, 0, &err));
  NIL("x0", rg_process_simulate(p, 0, 1, 2, 0.0, 0.5, 1, NULL, 0, y, 0, &err));
  NIL("x1", rg_process_simulate(p, 0, 1, 2, 0.0, 0.5, 1, x, 0, NULL, 0, &err));
  NIL("cx", rg_score_new(NULL, "exact", NULL, t, p, &made_s, &err));
  NIL("name", rg_score_new(cx, NULL, NULL, t, p, &made_s, &err));
  NIL("out", rg_score_new(cx, "exact", NULL, t, p, NULL, &err));
  NIL("vtable", rg_score_from_vtable(cx, NULL, NULL, &made_s, &err));
  NIL("s", rg_score_eval(NULL, 0, 1, 2, &half, 0, x, 0, y, 0, &err));
  NIL("t", rg_score_eval(s, 0, 1, 2, NULL, 0, x, 0, y, 0, &err));
  NIL("x", rg_score_eval(s, 0, 1, 2, &half, 0, NULL, 0, y, 0, &err));
  NIL("out", rg_score_eval(s, 0, 1, 2, &half, 0, x, 0, NULL, 0, &err));
  NIL("cx", rg_sampler_new(NULL, "smc", NULL, t, NULL, NULL, &made_sampler, &err));
  NIL("name", rg_sampler_new(cx, NULL, NULL, t, NULL, NULL, &made_sampler, &err));
  NIL("out", rg_sampler_new(cx, "smc", NULL, t, NULL, NULL, NULL, &err));
  NIL("cx", rg_sampler_from_toml(NULL, smc, NULL, &made_sampler, &err));
  NIL("toml", rg_sampler_from_toml(cx, NULL, NULL, &made_sampler, &err));
  NIL("out", rg_sampler_from_toml(cx, smc, NULL, NULL, &err));
  NIL("s", rg_sampler_run(NULL, &options, &made_r, &err));
  NIL("out", rg_sampler_run(sampler, &options, NULL, &err));
  NIL("cx", rg_sample(NULL, smc, 2, batch, NULL, caps, 0, 0, 10, y, NULL, &err));
  NIL("toml", rg_sample(cx, NULL, 2, batch, NULL, caps, 0, 0, 10, y, NULL, &err));
  NIL("f", rg_sample(cx, smc, 2, NULL, NULL, caps, 0, 0, 10, y, NULL, &err));
  NIL("draws", rg_sample(cx, smc, 2, batch, NULL, caps, 0, 0, 10, NULL, NULL, &err));
  NIL("cx", rg_job_run(NULL, smc, NULL, "never", &options, &made_r, &err));
  NIL("toml", rg_job_run(cx, NULL, NULL, "never", &options, &made_r, &err));
  NIL("out", rg_job_run(cx, smc, NULL, "never", &options, NULL, &err));
  NIL("cx", rg_job_resume(NULL, "never", NULL, NULL, &made_r, &err));
  NIL("dir", rg_job_resume(cx, NULL, NULL, NULL, &made_r, &err));
  NIL("out", rg_job_resume(cx, "never", NULL, NULL, NULL, &err));
  NIL("cx", rg_job_certify(NULL, smc, NULL, 0, text, sizeof text, NULL, &err));
  NIL("toml", rg_job_certify(cx, NULL, NULL, 0, text, sizeof text, NULL, &err));
  NIL("buf", rg_job_certify(cx, smc, NULL, 0, NULL, 1, NULL, &err));
  NIL("out", rg_cancel_new(NULL, &err));
  NIL("r", rg_result_shape(NULL, &n, NULL, NULL, NULL, NULL, &err));
  OK(rg_result_shape(r, NULL, NULL, NULL, NULL, NULL, &err));
  NIL("r", rg_result_draws(NULL, y, 0, 800, &err));
  NIL("out", rg_result_draws(r, NULL, 0, 800, &err));
  NIL("r", rg_result_partial_draws(NULL, y, 0, 800, &err));
  NIL("out", rg_result_partial_draws(r, NULL, 0, 800, &err));
  NIL("r", rg_result_outputs(NULL, y, 0, 800, &err));
  NIL("r", rg_result_log_weights(NULL, y, 400, &err));
  NIL("r", rg_result_scalar(NULL, "log_z", x, &err));
  NIL("key", rg_result_scalar(r, NULL, x, &err));
  NIL("out", rg_result_scalar(r, "log_z", NULL, &err));
  NIL("r", rg_result_json(NULL, text, sizeof text, NULL, &err));
  NIL("need", rg_result_json(r, NULL, 0, NULL, &err));
  CHECK(made == NULL && made_p == NULL && made_s == NULL && made_sampler == NULL && made_r == NULL && c == NULL);

  /* Freed in the order in which they were made; what is left works. */
  rg_target_free(t);
  rg_process_free(p);
  OK(rg_score_eval(s, 0, 1, 2, &half, 0, x, 0, y, 0, &err));
  rg_score_free(s);
  OK(rg_sampler_run(sampler, &options, &made_r, &err));
  rg_sampler_free(sampler);
  OK(rg_result_draws(made_r, y, 0, 800, &err));
  rg_result_free(made_r);
  rg_result_free(r);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  rg_context *cx = NULL;
  versions_and_errors();
  OK(rg_context_new(&cx, &err));
  contexts(cx, argv[1], argv[2]);
  targets(cx);
  processes_and_scores(cx);
  runs(cx);
  jobs(cx, argv[1]);
  nulls(cx);
  rg_context_free(cx);
  puts("every function, every status");
  return 0;
}
