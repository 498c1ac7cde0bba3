/* A process without drift, dX = sqrt(2 t) dW up to T = 3, and the score of a standard normal law under it.
 *
 *   X_t given X_s: N(x_s, (t^2 - s^2) I);   reference law N(0, T^2 I);   p_t = N(0, (1 + t^2) I) */
#include <retrograde_plugin.h>

#include <math.h>
#include <stdlib.h>

static const rg_host *host;
static const double END = 3.0;
static const double TAU = 6.28318530717958647692528676655900577;

static rg_status info(void *object, rg_call *call, size_t *d, size_t *m, double *t_end) {
  (void)call;
  *d = *m = *(const size_t *)object;
  *t_end = END;
  return RG_OK;
}

static rg_status drift(void *object, rg_call *call, size_t n, size_t d, const double *t, size_t ts,
                       const double *x, double *f) {
  (void)object, (void)call, (void)t, (void)ts;
  for (size_t k = 0; k < n * d; k++) f[k] = 0.0 * x[k];
  return RG_OK;
}

static rg_status apply_g(void *object, rg_call *call, size_t n, size_t d, size_t m, const double *t, size_t ts,
                         const double *x, const double *z, double *out) {
  (void)object, (void)call, (void)m, (void)x;
  for (size_t k = 0; k < n * d; k++) out[k] = sqrt(2.0 * t[ts * (k / d)]) * z[k];
  return RG_OK;
}

static rg_status apply_ggt(void *object, rg_call *call, size_t n, size_t d, const double *t, size_t ts,
                           const double *x, const double *v, double *out) {
  (void)object, (void)call, (void)x;
  for (size_t k = 0; k < n * d; k++) out[k] = 2.0 * t[ts * (k / d)] * v[k];
  return RG_OK;
}

static void normal(size_t n, size_t d, double v, const double *mean, const double *x, double *logp, double *grad) {
  for (size_t i = 0; i < n; i++) {
    double sum = -0.5 * (double)d * log(TAU * v);
    for (size_t j = 0; j < d; j++) {
      const size_t k = i * d + j;
      const double e = x[k] - (mean == NULL ? 0.0 : mean[k]);
      sum -= 0.5 * e * e / v;
      if (grad != NULL) grad[k] = -e / v;
    }
    if (logp != NULL) logp[i] = sum;
  }
}

static rg_status ref_sample(void *object, rg_call *call, size_t n, size_t d, double *x) {
  (void)object;
  host->rng_normal(call, n, d, x);
  for (size_t k = 0; k < n * d; k++) x[k] *= END;
  return RG_OK;
}

static rg_status ref_eval(void *object, rg_call *call, size_t n, size_t d, const double *x, double *logp,
                          double *grad) {
  (void)object, (void)call;
  normal(n, d, END * END, NULL, x, logp, grad);
  return RG_OK;
}

static rg_status linear(void *object, rg_call *call, size_t d, double t, double *alpha, double *sigma2) {
  (void)object, (void)call, (void)d;
  *alpha = 1.0;
  *sigma2 = t * t;
  return RG_OK;
}

static rg_status transition_sample(void *object, rg_call *call, size_t n, size_t d, double s, double t,
                                   const double *xs, double *xt) {
  (void)object;
  host->rng_normal(call, n, d, xt);
  for (size_t k = 0; k < n * d; k++) xt[k] = xs[k] + sqrt(t * t - s * s) * xt[k];
  return RG_OK;
}

static rg_status transition_score(void *object, rg_call *call, size_t n, size_t d, double s, double t,
                                  const double *xs, const double *xt, double *logp, double *grad) {
  (void)object, (void)call;
  normal(n, d, t * t - s * s, xs, xt, logp, grad);
  return RG_OK;
}

static rg_status int_g2(void *object, rg_call *call, double s, double t, double *out) {
  (void)object, (void)call;
  *out = t * t - s * s;
  return RG_OK;
}

static const rg_process_vtable process = {
    .struct_size = sizeof process,
    .caps = RG_CAP_ROWWISE | RG_CAP_DETERMINISTIC | RG_CAP_G_CONST_X | RG_CAP_LINEAR,
    .threading = RG_THREAD_CONCURRENT,
    .destroy = free,
    .info = info,
    .drift = drift,
    .apply_g = apply_g,
    .apply_ggt = apply_ggt,
    .ref_sample = ref_sample,
    .ref_eval = ref_eval,
    .linear = linear,
    .transition_sample = transition_sample,
    .transition_score = transition_score,
    .int_g2 = int_g2,
};

/* --- the score ------------------------------------------------------------------------------------------ */

static rg_status dim(void *object, rg_call *call, size_t *d) {
  (void)call;
  *d = *(const size_t *)object;
  return RG_OK;
}

static rg_status eval(void *object, rg_call *call, size_t n, size_t d, const double *t, size_t ts,
                      const double *x, double *s) {
  (void)object, (void)call;
  for (size_t k = 0; k < n * d; k++) {
    const double at = t[ts * (k / d)];
    s[k] = -x[k] / (1.0 + at * at);
  }
  return RG_OK;
}

static rg_status jvp(void *object, rg_call *call, size_t n, size_t d, size_t tangents, const double *t, size_t ts,
                     const double *x, const double *v, double *out) {
  (void)object, (void)call, (void)x;
  for (size_t k = 0; k < n * d * tangents; k++) {
    const double at = t[ts * (k / (d * tangents))];
    out[k] = -v[k] / (1.0 + at * at);
  }
  return RG_OK;
}

static rg_status log_marginal(void *object, rg_call *call, size_t n, size_t d, const double *t, size_t ts,
                              const double *x, double *out) {
  (void)object, (void)call;
  for (size_t i = 0; i < n; i++) normal(1, d, 1.0 + t[ts * i] * t[ts * i], NULL, x + i * d, out + i, NULL);
  return RG_OK;
}

static const rg_score_vtable score = {
    .struct_size = sizeof score,
    .caps = RG_CAP_ROWWISE | RG_CAP_DETERMINISTIC,
    .threading = RG_THREAD_CONCURRENT,
    .destroy = free,
    .dim = dim,
    .eval = eval,
    .jvp = jvp,
    .log_marginal = log_marginal,
};

/* --- the plugin ------------------------------------------------------------------------------------------ */

static rg_status create(const rg_host *h, rg_call *call, const rg_cfg *cfg, const rg_deps *deps, rg_ref *made) {
  (void)cfg;
  size_t *d = malloc(sizeof *d);
  if (d == NULL) return h->fail(call, RG_ERR_MEMORY, "no memory");
  *d = deps->dim;
  made->object = d;
  return RG_OK;
}

static const rg_component its_process = {
    .struct_size = sizeof its_process,
    .kind = RG_KIND_PROCESS,
    .needs = RG_NEEDS_TARGET,
    .name = "spreading",
    .doc = "Noise without drift",
    .vtable = &process,
    .create = create,
};
static const rg_component its_score = {
    .struct_size = sizeof its_score,
    .kind = RG_KIND_SCORE,
    .needs = RG_NEEDS_TARGET,
    .name = "normal",
    .doc = "The score of a standard normal law under that",
    .vtable = &score,
    .create = create,
};
static const rg_component *const components[] = {&its_process, &its_score};

static const rg_plugin plugin = {
    .struct_size = sizeof plugin,
    .abi = RG_PLUGIN_ABI,
    .minor = RG_PLUGIN_MINOR,
    .name = "exploding",
    .version = "1.0.0",
    .components = components,
    .n_components = 2,
};

__attribute__((visibility("default"))) const rg_plugin *retrograde_plugin_v1(const rg_host *given) {
  host = given;
  return &plugin;
}
