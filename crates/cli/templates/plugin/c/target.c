/* my-component: a density. Write here what it is, and where it comes from.
 *
 *   log p(x) = -|x|^2 / (2 s^2),   grad log p(x) = -x / s^2
 *
 * Replace parameters, `eval` and the known answers in test.c by your own. */
#include <retrograde_plugin.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* What the functions get as their first argument. */
typedef struct {
  size_t dim;
  double scale;
} my_target;

static rg_status dim(void *object, rg_call *call, size_t *d) {
  (void)call;
  *d = ((const my_target *)object)->dim;
  return RG_OK;
}

/* x and grad are n x d. An output that is NULL is not wanted; the others are written whole: -INFINITY where
 * there is no mass, and a gradient of 0 there. */
static rg_status eval(void *object, rg_call *call, size_t n, size_t d, const double *x, double *logp,
                      double *grad) {
  const my_target *t = object;
  const double precision = 1.0 / (t->scale * t->scale);
  (void)call;
  for (size_t i = 0; i < n; i++, x += d) {
    double square = 0.0;
    for (size_t j = 0; j < d; j++) square += x[j] * x[j];
    const double value = -0.5 * precision * square;
    if (logp != NULL) logp[i] = value;
    if (grad != NULL)
      for (size_t j = 0; j < d; j++) grad[i * d + j] = value == -INFINITY ? 0.0 : -precision * x[j];
  }
  return RG_OK;
}

static void destroy(void *object) { free(object); }

/* Checks what the declared ranges cannot, computes what every call needs. */
static rg_status create(const rg_host *host, rg_call *call, const rg_cfg *cfg, const rg_deps *deps,
                        rg_ref *made) {
  int64_t d = 0;
  double scale = 0.0;
  (void)deps;
  rg_status status = host->cfg_i64(call, cfg, "dim", &d);
  if (status == RG_OK) status = host->cfg_f64(call, cfg, "scale", &scale);
  if (status != RG_OK) return status;
  if (!(scale > 0.0 && isfinite(1.0 / (scale * scale)))) {
    char given[32];
    snprintf(given, sizeof given, "%g", scale);
    return host->cfg_refuse(call, "scale", given, "above 0, its inverse square finite");
  }
  my_target *t = malloc(sizeof *t);
  if (t == NULL) return host->fail(call, RG_ERR_MEMORY, "no memory for the target");
  t->dim = (size_t)d;
  t->scale = scale;
  made->object = t;
  return RG_OK;
}

static const rg_target_vtable table = {
    .struct_size = sizeof table,
    /* Row by row, without random numbers, on any threads at once: leave out what is not so. */
    .caps = RG_CAP_ROWWISE | RG_CAP_DETERMINISTIC | RG_CAP_GRADIENT,
    .threading = RG_THREAD_CONCURRENT,
    .destroy = destroy,
    .dim = dim,
    .eval = eval,
};

static const rg_param p_dim = {sizeof p_dim, "dim", "Dimension", RG_TYPE_I64, 0, "2", 1.0, 10000.0, NULL};
static const rg_param p_scale = {sizeof p_scale, "scale", "Standard deviation s of each coordinate, > 0",
                                 RG_TYPE_F64, 0, "1.0", 0.0, INFINITY, NULL};
static const rg_param *const params[] = {&p_dim, &p_scale};

static const rg_component component_table = {
    .struct_size = sizeof component_table,
    .kind = RG_KIND_TARGET,
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

RG_EXPORT const rg_plugin *retrograde_plugin_v1(const rg_host *host) {
  return host != NULL && host->abi == RG_PLUGIN_ABI ? &plugin : NULL;
}
