/* my-component: a forward process. Write here what it is, and where it comes from.
 *
 *   dX = -b X / 2 dt + sqrt(b) dW on [0, T],   X_t given X_0 ~ N(a X_0, (1 - a^2) I),   a = exp(-b t / 2)
 *
 * As it stands it is the Ornstein-Uhlenbeck process: replace parameters, drift, noise and reference law by
 * your own. Write the forward direction only: what runs backwards is made from it. */
#include <retrograde_plugin.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Set once, by the entry function. */
static const rg_host *host;

/* What the functions get as their first argument. */
typedef struct {
  size_t dim;
  double rate, t_end;
} my_process;

static rg_status info(void *object, rg_call *call, size_t *d, size_t *m, double *t_end) {
  const my_process *p = object;
  (void)call;
  *d = p->dim;
  *m = p->dim;
  *t_end = p->t_end;
  return RG_OK;
}

/* t is one time for all rows (ts = 0) or one a row (ts = 1); this process does not ask for it. */
static rg_status drift(void *object, rg_call *call, size_t n, size_t d, const double *t, size_t ts,
                       const double *x, double *f) {
  const my_process *p = object;
  (void)call, (void)t, (void)ts;
  for (size_t k = 0; k < n * d; k++) f[k] = -0.5 * p->rate * x[k];
  return RG_OK;
}

/* G z. */
static rg_status apply_g(void *object, rg_call *call, size_t n, size_t d, size_t m, const double *t, size_t ts,
                         const double *x, const double *z, double *out) {
  const double g = sqrt(((const my_process *)object)->rate);
  (void)call, (void)m, (void)t, (void)ts, (void)x;
  for (size_t k = 0; k < n * d; k++) out[k] = g * z[k];
  return RG_OK;
}

/* G G' v. */
static rg_status apply_ggt(void *object, rg_call *call, size_t n, size_t d, const double *t, size_t ts,
                           const double *x, const double *v, double *out) {
  const double g2 = ((const my_process *)object)->rate;
  (void)call, (void)t, (void)ts, (void)x;
  for (size_t k = 0; k < n * d; k++) out[k] = g2 * v[k];
  return RG_OK;
}

/* Draws at T: N(0, I). */
static rg_status ref_sample(void *object, rg_call *call, size_t n, size_t d, double *x) {
  (void)object;
  host->rng_normal(call, n, d, x);
  return RG_OK;
}

static rg_status ref_eval(void *object, rg_call *call, size_t n, size_t d, const double *x, double *logp,
                          double *grad) {
  (void)object, (void)call;
  for (size_t i = 0; i < n; i++) {
    double sum = 0.0;
    for (size_t j = 0; j < d; j++) {
      const double v = x[i * d + j];
      sum -= 0.5 * (v * v + 1.8378770664093453); /* ln 2 pi */
      if (grad != NULL) grad[i * d + j] = -v;
    }
    if (logp != NULL) logp[i] = sum;
  }
  return RG_OK;
}

/* Leave this out, and RG_CAP_LINEAR, where the law of X_t is not Gaussian; write div_ggt and leave out
 * RG_CAP_G_CONST_X where the noise depends on x. */
static rg_status linear(void *object, rg_call *call, size_t d, double t, double *alpha, double *sigma2) {
  const my_process *p = object;
  (void)call, (void)d;
  alpha[0] = exp(-0.5 * p->rate * t);
  sigma2[0] = -expm1(-p->rate * t);
  return RG_OK;
}

static void destroy(void *object) { free(object); }

static rg_status create(const rg_host *h, rg_call *call, const rg_cfg *cfg, const rg_deps *deps,
                        rg_ref *made) {
  const char *const keys[] = {"rate", "t_end"};
  double values[2];
  for (int i = 0; i < 2; i++) {
    const rg_status status = h->cfg_f64(call, cfg, keys[i], &values[i]);
    if (status != RG_OK) return status;
    if (!(values[i] > 0.0 && isfinite(values[i]))) {
      char given[32];
      snprintf(given, sizeof given, "%g", values[i]);
      return h->cfg_refuse(call, keys[i], given, "a number above 0");
    }
  }
  my_process *p = malloc(sizeof *p);
  if (p == NULL) return h->fail(call, RG_ERR_MEMORY, "no memory for the process");
  p->dim = deps->dim; /* that of the target */
  p->rate = values[0];
  p->t_end = values[1];
  made->object = p;
  return RG_OK;
}

static const rg_process_vtable table = {
    .struct_size = sizeof table,
    .caps = RG_CAP_ROWWISE | RG_CAP_DETERMINISTIC | RG_CAP_G_CONST_X | RG_CAP_LINEAR | RG_CAP_AUTONOMOUS,
    .threading = RG_THREAD_CONCURRENT,
    .destroy = destroy,
    .info = info,
    .drift = drift,
    .apply_g = apply_g,
    .apply_ggt = apply_ggt,
    .ref_sample = ref_sample,
    .ref_eval = ref_eval,
    .linear = linear,
};

static const rg_param p_rate = {sizeof p_rate, "rate", "Rate b, > 0, in units of 1/time",
                                RG_TYPE_F64, 0, "2.0", 0.0, INFINITY, NULL};
static const rg_param p_t_end = {sizeof p_t_end, "t_end", "Time T, > 0, at which the reference law N(0, I) holds",
                                 RG_TYPE_F64, 0, "8.0", 0.0, INFINITY, NULL};
static const rg_param *const params[] = {&p_rate, &p_t_end};

static const rg_component component_table = {
    .struct_size = sizeof component_table,
    .kind = RG_KIND_PROCESS,
    .needs = RG_NEEDS_TARGET,
    .name = "my-component",
    .doc = "One sentence for `list`\nAuthor (year), title",
    .params = params,
    .n_params = sizeof params / sizeof params[0],
    .vtable = &table,
    .create = create,
};
static const rg_component *const components[] = {&component_table};

static const rg_plugin plugin = {
    .struct_size = sizeof plugin,
    .abi = RG_PLUGIN_ABI,
    .minor = RG_PLUGIN_MINOR,
    .name = "my-component",
    .version = "0.1.0",
    .license = "MIT OR Apache-2.0",
    .components = components,
    .n_components = sizeof components / sizeof components[0],
};

RG_EXPORT const rg_plugin *retrograde_plugin_v1(const rg_host *given) {
  host = given;
  return host != NULL && host->abi == RG_PLUGIN_ABI ? &plugin : NULL;
}
