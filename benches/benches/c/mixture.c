/* Forty equal Gaussians in the plane as a plugin, and its kernel by itself: a program that loads the file
 * can call the kernel directly, as if it were linked in, and measure what the plugin's boundary adds. */
#include <retrograde_plugin.h>

#include <math.h>

#ifndef NAME
#define NAME "benchmark"
#endif

enum { MODES = 40 };
static double means[MODES][2];

/* n x 2 points; log densities and gradients, either of which may be NULL. */
RG_EXPORT void kernel(size_t n, const double *x, double *logp, double *grad) {
  for (size_t i = 0; i < n; i++) {
    double q[MODES], top = -INFINITY, sum = 0.0, g0 = 0.0, g1 = 0.0;
    for (size_t k = 0; k < MODES; k++) {
      const double u = x[2 * i] - means[k][0], v = x[2 * i + 1] - means[k][1];
      q[k] = -0.5 * (u * u + v * v);
      if (q[k] > top) top = q[k];
    }
    for (size_t k = 0; k < MODES; k++) {
      const double w = exp(q[k] - top);
      sum += w;
      g0 += w * (means[k][0] - x[2 * i]);
      g1 += w * (means[k][1] - x[2 * i + 1]);
    }
    if (logp) logp[i] = top + log(sum);
    if (grad) grad[2 * i] = g0 / sum, grad[2 * i + 1] = g1 / sum;
  }
}

static rg_status eval(void *object, rg_call *call, size_t n, size_t d, const double *x, double *logp,
                      double *grad) {
  (void)object, (void)call, (void)d;
  kernel(n, x, logp, grad);
  return RG_OK;
}

static rg_status dim(void *object, rg_call *call, size_t *d) {
  (void)object, (void)call;
  *d = 2;
  return RG_OK;
}

static void destroy(void *object) { (void)object; }

static rg_status create(const rg_host *h, rg_call *call, const rg_cfg *cfg, const rg_deps *deps,
                        rg_ref *made) {
  (void)h, (void)call, (void)cfg, (void)deps;
  made->object = means;
  return RG_OK;
}

static const rg_target_vtable table = {
    .struct_size = sizeof table,
    .caps = RG_CAP_ROWWISE | RG_CAP_DETERMINISTIC | RG_CAP_GRADIENT,
    .threading = RG_THREAD_CONCURRENT,
    .destroy = destroy,
    .dim = dim,
    .eval = eval,
};

static const rg_component component = {
    .struct_size = sizeof component,
    .kind = RG_KIND_TARGET,
    .name = "mixture",
    .doc = "Forty Gaussians in the plane",
    .vtable = &table,
    .create = create,
};
static const rg_component *const components[] = {&component};

static const rg_plugin plugin = {
    .struct_size = sizeof plugin,
    .abi = RG_PLUGIN_ABI,
    .minor = RG_PLUGIN_MINOR,
    .name = NAME,
    .version = "0.1.0",
    .license = "MIT OR Apache-2.0",
    .components = components,
    .n_components = 1,
};

RG_EXPORT const rg_plugin *retrograde_plugin_v1(const rg_host *given) {
  for (size_t k = 0; k < MODES; k++) {
    means[k][0] = 40.0 * cos(2.4 * (double)k) * sqrt((double)k / MODES);
    means[k][1] = 40.0 * sin(2.4 * (double)k) * sqrt((double)k / MODES);
  }
  return given != NULL && given->abi == RG_PLUGIN_ABI ? &plugin : NULL;
}
