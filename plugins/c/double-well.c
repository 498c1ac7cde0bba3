/* A target in C: the double well in any dimension, every coordinate by itself.
 *
 *   log p(x) = -b sum_i (x_i^2 - a)^2
 *
 * Wells at +sqrt(a) and -sqrt(a) in every coordinate, 2^d in all, of equal mass. log Z is d times that of
 * one coordinate, the logarithm of the integral of exp(-b (x^2 - a)^2); it is no closed form of elementary
 * functions, but a quadrature gives it to all digits: for a = 1, b = 2 it is 0.3442382197 a coordinate.
 *
 *   cc -std=c11 -O2 -fPIC -shared -fvisibility=hidden -I../../include double-well.c -o double-well.so -lm
 *
 * It shows: parameters, an evaluation with outputs that may not be wanted, Hessian-vector products, names of
 * coordinates, and a function of x that is written beside the draws. */
#include <retrograde_plugin.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Set once, by the entry function. */
static const rg_host *host;

typedef struct {
  size_t dim;
  double a, b;
} well;

/* Where the density is 0, that is, where b (x^2 - a)^2 is too large for a number, the gradient is 0. */
static rg_status eval(void *object, rg_call *call, size_t n, size_t d, const double *x, double *logp,
                      double *grad) {
  const well *w = object;
  (void)call;
  for (size_t i = 0; i < n; i++, x += d) {
    double sum = 0.0;
    for (size_t j = 0; j < d; j++) {
      const double u = x[j] * x[j] - w->a;
      sum -= w->b * u * u;
      if (grad != NULL) grad[i * d + j] = -4.0 * w->b * u * x[j];
    }
    if (logp != NULL) logp[i] = sum;
    if (grad != NULL && sum == -INFINITY)
      for (size_t j = 0; j < d; j++) grad[i * d + j] = 0.0;
  }
  return RG_OK;
}

static rg_status hvp(void *object, rg_call *call, size_t n, size_t d, const double *x, const double *v,
                     double *out) {
  const well *w = object;
  (void)call;
  for (size_t k = 0; k < n * d; k++) out[k] = -4.0 * w->b * (3.0 * x[k] * x[k] - w->a) * v[k];
  return RG_OK;
}

static rg_status dim(void *object, rg_call *call, size_t *d) {
  (void)call;
  *d = ((const well *)object)->dim;
  return RG_OK;
}

/* Writes text where it fits, and how much room it takes. */
static rg_status give(const char *text, char *buf, size_t cap, size_t *need) {
  const size_t size = strlen(text) + 1;
  if (need != NULL) *need = size;
  if (buf != NULL && cap >= size) memcpy(buf, text, size);
  return RG_OK;
}

static rg_status name(void *object, rg_call *call, size_t i, char *buf, size_t cap, size_t *need) {
  char text[32];
  (void)object, (void)call;
  snprintf(text, sizeof text, "x%zu", i + 1);
  return give(text, buf, cap, need);
}

static rg_status n_outputs(void *object, rg_call *call, size_t *k) {
  (void)object, (void)call;
  *k = 1;
  return RG_OK;
}

static rg_status output_name(void *object, rg_call *call, size_t i, char *buf, size_t cap, size_t *need) {
  (void)object, (void)call, (void)i;
  return give("share_right", buf, cap, need);
}

/* The share of the coordinates that are in their right-hand well; its mean is 1/2. */
static rg_status outputs(void *object, rg_call *call, size_t n, size_t d, size_t k, const double *x,
                         double *out) {
  (void)object, (void)call;
  for (size_t i = 0; i < n; i++) {
    double right = 0.0, nan = 0.0;
    for (size_t j = 0; j < d; j++) {
      right += x[i * d + j] > 0.0;
      nan += x[i * d + j] * 0.0;
    }
    out[i * k] = right / (double)d + nan;
  }
  return RG_OK;
}

static void destroy(void *object) { free(object); }

static rg_status create(const rg_host *h, rg_call *call, const rg_cfg *cfg, const rg_deps *deps,
                        rg_ref *made) {
  int64_t d = 0;
  double a = 0.0, b = 0.0;
  rg_status status = h->cfg_i64(call, cfg, "dim", &d);
  (void)deps;
  if (status == RG_OK) status = h->cfg_f64(call, cfg, "a", &a);
  if (status == RG_OK) status = h->cfg_f64(call, cfg, "b", &b);
  if (status != RG_OK) return status;
  /* The declared range has its ends; this one is open. */
  if (!(b > 0.0)) {
    char why[96];
    snprintf(why, sizeof why, "`b` is %g: it must be above 0, or the density has no finite integral", b);
    return h->fail(call, RG_ERR_CONFIG, why);
  }
  well *w = malloc(sizeof *w);
  if (w == NULL) return h->fail(call, RG_ERR_MEMORY, "no memory for the target");
  w->dim = (size_t)d;
  w->a = a;
  w->b = b;
  made->object = w;
  return RG_OK;
}

static const rg_target_vtable table = {
    .struct_size = sizeof table,
    .caps = RG_CAP_ROWWISE | RG_CAP_DETERMINISTIC | RG_CAP_GRADIENT,
    .threading = RG_THREAD_CONCURRENT,
    .destroy = destroy,
    .dim = dim,
    .eval = eval,
    .hvp = hvp,
    .name = name,
    .n_outputs = n_outputs,
    .output_name = output_name,
    .outputs = outputs,
};

static const rg_param p_dim = {sizeof p_dim, "dim", "Dimension", RG_TYPE_I64, 0, "2", 1.0, 10000.0, NULL};
static const rg_param p_a = {sizeof p_a, "a", "Square of the place of the wells, in units of x squared",
                             RG_TYPE_F64, 0, "1.0", 0.0, 1e6, NULL};
static const rg_param p_b = {sizeof p_b, "b", "Steepness, > 0; the barrier between two wells is b a^2 high",
                             RG_TYPE_F64, 0, "2.0", 0.0, 1e6, NULL};
static const rg_param *const params[] = {&p_dim, &p_a, &p_b};

static const rg_component component = {
    .struct_size = sizeof component,
    .kind = RG_KIND_TARGET,
    .name = "double-well",
    .doc = "Double well in every coordinate, exp(-b (x^2 - a)^2)",
    .params = params,
    .n_params = sizeof params / sizeof params[0],
    .vtable = &table,
    .create = create,
};
static const rg_component *const components[] = {&component};

static const rg_plugin plugin = {
    .struct_size = sizeof plugin,
    .abi = RG_PLUGIN_ABI,
    .minor = RG_PLUGIN_MINOR,
    .name = "wells",
    .version = "0.1.0",
    .license = "MIT OR Apache-2.0",
    .components = components,
    .n_components = sizeof components / sizeof components[0],
};

RG_EXPORT const rg_plugin *retrograde_plugin_v1(const rg_host *given) {
  host = given;
  return host != NULL && host->abi == RG_PLUGIN_ABI ? &plugin : NULL;
}
