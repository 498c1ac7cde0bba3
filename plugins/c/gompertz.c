/* A forward process in C: Gompertz growth with noise in proportion to x, d independent coordinates.
 *
 *   dX = r X ln(K / X) dt + s X dW,   X > 0
 *
 * Drift and noise are not linear, but y = ln x - m is: an Ornstein-Uhlenbeck process, by Ito's formula
 *
 *   dY = -r Y dt + s dW,   m = ln K - s^2 / (2 r)
 *
 * so that all is known. With A = exp(-r (t - s)) and V = s^2 (1 - A^2) / (2 r):
 *
 *   X_t = exp(m + A (ln x_s - m) + sqrt(V) z)            log-normal; at T the law of long ago, V = s^2 / (2 r)
 *   D = s^2 x^2,   div D = 2 s^2 x,   df/dx = r (ln(K / x) - 1)
 *   score in x: (s_y - 1) / x,   s_y = x s_x + 1         for log |dy/dx| = -ln x
 *   restored: E[y back in time] = (y + V s_y) / A, mapped to x
 *
 * Source: Gompertz (1825), Phil. Trans. R. Soc. 115, 513, with noise; Ito's formula.
 *
 *   cc -std=c11 -O2 -fPIC -shared -fvisibility=hidden -I../../include gompertz.c -o gompertz.so -lm
 *
 * It shows: every slot of a process but int_g2 (G depends on x), outputs that may not be wanted, times of each
 * row, random numbers of the call, a second table for objects that can do less (cdf and quantile are for
 * d = 1), and a flag. Outside of the support, x <= 0, drift and noise are those of the least number above 0,
 * and densities are 0 with a gradient of 0. */
#include <retrograde_plugin.h>

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Set once, by the entry function. */
static const rg_host *host;

static const double TAU = 6.28318530717958647692528676655900577;
static const double SQRT_HALF = 0.70710678118654752440;

typedef struct {
  size_t dim;
  double rate, sigma, log_k, m, t_end;
} gompertz;

/* Of the nearest point of the support; NaN stays NaN. */
static double inside(double x) { return x < DBL_MIN ? DBL_MIN : x; }
static double to_y(const gompertz *p, double x) { return log(inside(x)) - p->m; }
static double to_x(const gompertz *p, double y) { return inside(exp(y + p->m)); }

/* A and V of the kernel over `span`. */
static void kernel(const gompertz *p, double span, double *a, double *v) {
  *a = exp(-p->rate * span);
  *v = -p->sigma * p->sigma * expm1(-2.0 * p->rate * span) / (2.0 * p->rate);
}

static rg_status later(const gompertz *p, rg_call *call, double s, double t, double *a, double *v) {
  if (!(t > s && t - s < INFINITY)) {
    char why[128];
    snprintf(why, sizeof why, "a transition from time %g to time %g: the second must be later and finite", s, t);
    return host->fail(call, RG_ERR_ARG, why);
  }
  kernel(p, t - s, a, v);
  return RG_OK;
}

static rg_status info(void *object, rg_call *call, size_t *d, size_t *m, double *t_end) {
  const gompertz *p = object;
  (void)call;
  *d = *m = p->dim;
  *t_end = p->t_end;
  return RG_OK;
}

/* Nothing depends on t: the process is the same at all times. */
static rg_status drift(void *object, rg_call *call, size_t n, size_t d, const double *t, size_t ts,
                       const double *x, double *f) {
  const gompertz *p = object;
  (void)call, (void)t, (void)ts;
  for (size_t k = 0; k < n * d; k++) {
    const double at = inside(x[k]);
    f[k] = p->rate * at * (p->log_k - log(at));
  }
  return RG_OK;
}

static rg_status apply_g(void *object, rg_call *call, size_t n, size_t d, size_t m, const double *t, size_t ts,
                         const double *x, const double *z, double *out) {
  const gompertz *p = object;
  (void)call, (void)m, (void)t, (void)ts;
  for (size_t k = 0; k < n * d; k++) out[k] = p->sigma * inside(x[k]) * z[k];
  return RG_OK;
}

static rg_status apply_ggt(void *object, rg_call *call, size_t n, size_t d, const double *t, size_t ts,
                           const double *x, const double *v, double *out) {
  const gompertz *p = object;
  (void)call, (void)t, (void)ts;
  for (size_t k = 0; k < n * d; k++) {
    const double g = p->sigma * inside(x[k]);
    out[k] = g * g * v[k];
  }
  return RG_OK;
}

static rg_status div_ggt(void *object, rg_call *call, size_t n, size_t d, const double *t, size_t ts,
                         const double *x, double *out) {
  const gompertz *p = object;
  (void)call, (void)t, (void)ts;
  for (size_t k = 0; k < n * d; k++) out[k] = 2.0 * p->sigma * p->sigma * inside(x[k]);
  return RG_OK;
}

/* df/dx of one coordinate; the Jacobian is diagonal. */
static double slope(const gompertz *p, double x) { return p->rate * (p->log_k - log(inside(x)) - 1.0); }

static rg_status drift_jvp(void *object, rg_call *call, size_t n, size_t d, const double *t, size_t ts,
                           const double *x, const double *v, double *out) {
  const gompertz *p = object;
  (void)call, (void)t, (void)ts;
  for (size_t k = 0; k < n * d; k++) out[k] = slope(p, x[k]) * v[k];
  return RG_OK;
}

static rg_status drift_div(void *object, rg_call *call, size_t n, size_t d, const double *t, size_t ts,
                           const double *x, double *out) {
  const gompertz *p = object;
  (void)call, (void)t, (void)ts;
  for (size_t i = 0; i < n; i++) {
    double sum = 0.0;
    for (size_t j = 0; j < d; j++) sum += slope(p, x[i * d + j]);
    out[i] = sum;
  }
  return RG_OK;
}

/* Log-normal densities in each coordinate: y - A y_s ~ N(0, V). Without `xs` the mean of y is 0. */
static void log_normal(const gompertz *p, size_t n, size_t d, double a, double v, const double *xs,
                       const double *x, double *logp, double *grad) {
  const double constant = -0.5 * log(TAU * v);
  for (size_t i = 0; i < n; i++) {
    double sum = 0.0;
    int none = 0; /* no mass there */
    for (size_t j = 0; j < d; j++) {
      const size_t k = i * d + j;
      const double mean = xs == NULL ? 0.0 : a * to_y(p, xs[k]);
      const double e = to_y(p, x[k]) - mean;
      none |= x[k] <= 0.0 || x[k] == INFINITY;
      sum += constant - 0.5 * e * e / v - log(inside(x[k]));
      if (grad != NULL) grad[k] = (-e / v - 1.0) / inside(x[k]);
    }
    if (logp != NULL) logp[i] = none && !isnan(sum) ? -INFINITY : sum;
    if (grad != NULL && none)
      for (size_t j = 0; j < d; j++) grad[i * d + j] = 0.0;
  }
}

static rg_status ref_sample(void *object, rg_call *call, size_t n, size_t d, double *x) {
  const gompertz *p = object;
  const double sd = p->sigma / sqrt(2.0 * p->rate);
  host->rng_normal(call, n, d, x);
  for (size_t k = 0; k < n * d; k++) x[k] = to_x(p, sd * x[k]);
  return RG_OK;
}

static rg_status ref_eval(void *object, rg_call *call, size_t n, size_t d, const double *x, double *logp,
                          double *grad) {
  const gompertz *p = object;
  (void)call;
  log_normal(p, n, d, 0.0, p->sigma * p->sigma / (2.0 * p->rate), NULL, x, logp, grad);
  return RG_OK;
}

/* Of y, as RG_CAP_WARPED says. */
static rg_status linear(void *object, rg_call *call, size_t d, double t, double *alpha, double *sigma2) {
  (void)call, (void)d;
  kernel(object, t, alpha, sigma2);
  return RG_OK;
}

static rg_status forward_map(void *object, rg_call *call, size_t n, size_t d, double s, double t,
                             const double *r, const double *z, double *x) {
  const gompertz *p = object;
  double a = 0.0, v = 0.0;
  const rg_status status = later(p, call, s, t, &a, &v);
  if (status != RG_OK) return status;
  const double sd = sqrt(v);
  for (size_t k = 0; k < n * d; k++) x[k] = to_x(p, a * to_y(p, r[k]) + sd * z[k]);
  return RG_OK;
}

static rg_status solve_noise(void *object, rg_call *call, size_t n, size_t d, double s, double t,
                             const double *r, const double *x, double *z) {
  const gompertz *p = object;
  double a = 0.0, v = 0.0;
  const rg_status status = later(p, call, s, t, &a, &v);
  if (status != RG_OK) return status;
  const double sd = sqrt(v);
  for (size_t k = 0; k < n * d; k++) z[k] = (to_y(p, x[k]) - a * to_y(p, r[k])) / sd;
  return RG_OK;
}

static rg_status transition_sample(void *object, rg_call *call, size_t n, size_t d, double s, double t,
                                   const double *xs, double *xt) {
  const gompertz *p = object;
  double a = 0.0, v = 0.0;
  const rg_status status = later(p, call, s, t, &a, &v);
  if (status != RG_OK) return status;
  const double sd = sqrt(v);
  host->rng_normal(call, n, d, xt);
  for (size_t k = 0; k < n * d; k++) xt[k] = to_x(p, a * to_y(p, xs[k]) + sd * xt[k]);
  return RG_OK;
}

static rg_status transition_score(void *object, rg_call *call, size_t n, size_t d, double s, double t,
                                  const double *xs, const double *xt, double *logp, double *grad) {
  double a = 0.0, v = 0.0;
  const rg_status status = later(object, call, s, t, &a, &v);
  if (status != RG_OK) return status;
  log_normal(object, n, d, a, v, xs, xt, logp, grad);
  return RG_OK;
}

static rg_status restore(void *object, rg_call *call, size_t n, size_t d, double t, double back,
                         const double *x, const double *score, double *r) {
  const gompertz *p = object;
  double a = 0.0, v = 0.0;
  (void)call, (void)t;
  kernel(p, back, &a, &v);
  for (size_t k = 0; k < n * d; k++) {
    const double sy = inside(x[k]) * score[k] + 1.0;
    r[k] = to_x(p, (to_y(p, x[k]) + v * sy) / a);
  }
  return RG_OK;
}

static rg_status warp(void *object, rg_call *call, size_t n, size_t d, const double *x, double *y,
                      double *log_det) {
  const gompertz *p = object;
  (void)call;
  for (size_t i = 0; i < n; i++) {
    double sum = 0.0;
    for (size_t j = 0; j < d; j++) {
      const size_t k = i * d + j;
      if (y != NULL) y[k] = to_y(p, x[k]);
      sum -= x[k] <= 0.0 ? INFINITY : log(inside(x[k]));
    }
    if (log_det != NULL) log_det[i] = sum;
  }
  return RG_OK;
}

static rg_status unwarp(void *object, rg_call *call, size_t n, size_t d, const double *y, double *x) {
  (void)call;
  for (size_t k = 0; k < n * d; k++) x[k] = to_x(object, y[k]);
  return RG_OK;
}

static rg_status warp_score(void *object, rg_call *call, size_t n, size_t d, const double *x, const double *sy,
                            double *sx) {
  (void)object, (void)call;
  for (size_t k = 0; k < n * d; k++) sx[k] = (sy[k] - 1.0) / inside(x[k]);
  return RG_OK;
}

static rg_status cdf(void *object, rg_call *call, size_t n, double s, double t, const double *r,
                     const double *x, double *p) {
  double a = 0.0, v = 0.0;
  const rg_status status = later(object, call, s, t, &a, &v);
  if (status != RG_OK) return status;
  for (size_t i = 0; i < n; i++) {
    const double u = (to_y(object, x[i]) - a * to_y(object, r[i])) / sqrt(v);
    p[i] = x[i] <= 0.0 ? 0.0 : 0.5 * erfc(-SQRT_HALF * u);
  }
  return RG_OK;
}

static double ratio(const double *above, const double *below, double r) {
  double p = above[7], q = below[7];
  for (int i = 6; i >= 0; i--) {
    p = p * r + above[i];
    q = q * r + below[i];
  }
  return p / q;
}

/* The standard normal quantile: Wichura (1988), Algorithm AS 241, Applied Statistics 37, 477. */
static double normal_quantile(double p) {
  static const double a[8] = {3.3871328727963666080e0,  1.3314166789178437745e+2, 1.9715909503065514427e+3,
                              1.3731693765509461125e+4, 4.5921953931549871457e+4, 6.7265770927008700853e+4,
                              3.3430575583588128105e+4, 2.5090809287301226727e+3};
  static const double b[8] = {1.0,                      4.2313330701600911252e+1, 6.8718700749205790830e+2,
                              5.3941960214247511077e+3, 2.1213794301586595867e+4, 3.9307895800092710610e+4,
                              2.8729085735721942674e+4, 5.2264952788528545610e+3};
  static const double c[8] = {1.42343711074968357734e0,  4.63033784615654529590e0,  5.76949722146069140550e0,
                              3.64784832476320460504e0,  1.27045825245236838258e0,  2.41780725177450611770e-1,
                              2.27238449892691845833e-2, 7.74545014278341407640e-4};
  static const double e[8] = {1.0,                       2.05319162663775882187e0,  1.67638483018380384940e0,
                              6.89767334985100004550e-1, 1.48103976427480074590e-1, 1.51986665636164571966e-2,
                              5.47593808499534494600e-4, 1.05075007164441684324e-9};
  static const double f[8] = {6.65790464350110377720e0,  5.46378491116411436990e0,  1.78482653991729133580e0,
                              2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
                              2.71155556874348757815e-5, 2.01033439929228813265e-7};
  static const double g[8] = {1.0,                       5.99832206555887937690e-1, 1.36929880922735805310e-1,
                              1.48753612908506148525e-2, 7.86869131145613259100e-4, 1.84631831751005468180e-5,
                              1.42151175831644588870e-7, 2.04426310338993978564e-15};
  const double q = p - 0.5;
  if (!(p >= 0.0 && p <= 1.0)) return NAN;
  if (fabs(q) <= 0.425) return q * ratio(a, b, 0.180625 - q * q);
  const double tail = q < 0.0 ? p : 1.0 - p;
  if (tail == 0.0) return q < 0.0 ? -INFINITY : INFINITY;
  const double r = sqrt(-log(tail));
  const double x = r <= 5.0 ? ratio(c, e, r - 1.6) : ratio(f, g, r - 5.0);
  return q < 0.0 ? -x : x;
}

static rg_status quantile(void *object, rg_call *call, size_t n, double s, double t, const double *r,
                          const double *p, double *x) {
  double a = 0.0, v = 0.0;
  const rg_status status = later(object, call, s, t, &a, &v);
  if (status != RG_OK) return status;
  for (size_t i = 0; i < n; i++)
    x[i] = to_x(object, a * to_y(object, r[i]) + sqrt(v) * normal_quantile(p[i]));
  return RG_OK;
}

static rg_status support(void *object, rg_call *call, double *low, double *high) {
  (void)object, (void)call;
  *low = 0.0;
  *high = INFINITY;
  return RG_OK;
}

static rg_status flags(void *object, rg_call *call) {
  const gompertz *p = object;
  const double left = exp(-p->rate * p->t_end);
  if (left < 0.1) return RG_OK;
  char text[192];
  snprintf(text, sizeof text,
           "the reference law is that of long ago, and at T a share %.2g of ln x is left of the data", left);
  return host->flag(call, RG_SEVERITY_WARNING, "approximate-reference", text, "a larger `t_end` or `rate`");
}

static void destroy(void *object) { free(object); }

/* Copied for the table without cdf and quantile. */
#define SLOTS                                                                                               \
  .struct_size = sizeof(rg_process_vtable),                                                                 \
  .caps = RG_CAP_ROWWISE | RG_CAP_DETERMINISTIC | RG_CAP_LINEAR | RG_CAP_WARPED | RG_CAP_AUTONOMOUS,        \
  .threading = RG_THREAD_CONCURRENT, .destroy = destroy, .info = info, .drift = drift, .apply_g = apply_g,  \
  .apply_ggt = apply_ggt, .ref_sample = ref_sample, .ref_eval = ref_eval, .div_ggt = div_ggt,               \
  .linear = linear, .transition_sample = transition_sample, .transition_score = transition_score,          \
  .drift_vjp = drift_jvp /* a diagonal Jacobian is its own transpose */, .drift_jvp = drift_jvp,            \
  .drift_div = drift_div, .forward_map = forward_map, .solve_noise = solve_noise, .restore = restore,       \
  .warp = warp, .unwarp = unwarp, .warp_score = warp_score, .support = support, .flags = flags

static const rg_process_vtable on_the_line = {SLOTS, .cdf = cdf, .quantile = quantile};
static const rg_process_vtable in_space = {SLOTS};

static rg_status create(const rg_host *h, rg_call *call, const rg_cfg *cfg, const rg_deps *deps, rg_ref *made) {
  const char *const keys[4] = {"rate", "sigma", "capacity", "t_end"};
  double values[4];
  for (int i = 0; i < 4; i++) {
    const rg_status status = h->cfg_f64(call, cfg, keys[i], &values[i]);
    if (status != RG_OK) return status;
    if (!(values[i] > 0.0 && values[i] < INFINITY)) {
      char why[96];
      snprintf(why, sizeof why, "`%s` is %g: it must be above 0 and finite", keys[i], values[i]);
      return h->fail(call, RG_ERR_CONFIG, why);
    }
  }
  if (deps == NULL || deps->dim == 0)
    return h->fail(call, RG_ERR_CONFIG, "it takes its dimension from the target, and there is none");
  gompertz *p = malloc(sizeof *p);
  if (p == NULL) return h->fail(call, RG_ERR_MEMORY, "no memory for the process");
  p->dim = deps->dim;
  p->rate = values[0];
  p->sigma = values[1];
  p->log_k = log(values[2]);
  p->t_end = values[3];
  p->m = p->log_k - p->sigma * p->sigma / (2.0 * p->rate);
  if (!(fabs(p->m) < 500.0)) {
    char why[160];
    snprintf(why, sizeof why,
             "`sigma` is %g: with `rate` %g and `capacity` %g the median of x, exp(%g), is too small or too large",
             p->sigma, p->rate, values[2], p->m);
    free(p);
    return h->fail(call, RG_ERR_CONFIG, why);
  }
  made->object = p;
  if (p->dim != 1) made->vtable = &in_space;
  return RG_OK;
}

static const rg_param rate = {sizeof rate, "rate", "Rate r of the growth, > 0, in units of 1/time", RG_TYPE_F64,
                              0, "0.5", 0.0, INFINITY, NULL};
static const rg_param sigma = {sizeof sigma, "sigma", "Noise s, > 0, in units of 1/sqrt(time)", RG_TYPE_F64, 0,
                               "1.0", 0.0, INFINITY, NULL};
static const rg_param capacity = {sizeof capacity, "capacity", "Capacity K, > 0, in units of x, where the drift is 0",
                                  RG_TYPE_F64, 0, "1.0", 0.0, INFINITY, NULL};
static const rg_param t_end = {sizeof t_end, "t_end", "Time T, > 0, at which the reference law holds", RG_TYPE_F64,
                               0, "10.0", 0.0, INFINITY, NULL};
static const rg_param *const params[] = {&rate, &sigma, &capacity, &t_end};

static const rg_component component = {
    .struct_size = sizeof component,
    .kind = RG_KIND_PROCESS,
    .needs = RG_NEEDS_TARGET,
    .name = "gompertz",
    .doc = "Gompertz growth with noise in proportion to x, on positive numbers",
    .params = params,
    .n_params = sizeof params / sizeof params[0],
    .vtable = &on_the_line,
    .create = create,
};
static const rg_component *const components[] = {&component};

static const rg_plugin plugin = {
    .struct_size = sizeof plugin,
    .abi = RG_PLUGIN_ABI,
    .minor = RG_PLUGIN_MINOR,
    .name = "growth",
    .version = "0.1.0",
    .license = "MIT OR Apache-2.0",
    .components = components,
    .n_components = sizeof components / sizeof components[0],
};

RG_EXPORT const rg_plugin *retrograde_plugin_v1(const rg_host *given) {
  host = given;
  return host != NULL && host->abi == RG_PLUGIN_ABI ? &plugin : NULL;
}
