/* my-component: a score. Write here what it is, and where it comes from.
 *
 *   grad log p_t(x) = -x / (a^2 s^2 + C),   X_t = a X_0 + sqrt(C) z,   X_0 ~ N(0, s^2 I)
 *
 * As it stands it is the exact score of normal data under a process whose law of X_t given X_0 is linear
 * with numbers a(t) and C(t): replace parameters, `eval` and the known answers in test.c by your own, for
 * example by a network that was trained elsewhere. */
#include <retrograde_plugin.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* What the functions get as their first argument. A component may keep its parts. */
typedef struct {
  size_t dim;
  double variance;
  void *process;
  const rg_process_vtable *of;
} my_score;

static rg_status dim(void *object, rg_call *call, size_t *d) {
  (void)call;
  *d = ((const my_score *)object)->dim;
  return RG_OK;
}

/* t is one time for all rows (ts = 0) or one a row (ts = 1); x and s are n x d. */
static rg_status eval(void *object, rg_call *call, size_t n, size_t d, const double *t, size_t ts,
                      const double *x, double *s) {
  const my_score *score = object;
  double variance = 1.0;
  for (size_t i = 0; i < n; i++) {
    if (i == 0 || ts != 0) {
      double alpha = 0.0, sigma2 = 0.0;
      const rg_status status = score->of->linear(score->process, call, d, t[i * ts], &alpha, &sigma2);
      if (status != RG_OK) return status;
      variance = alpha * alpha * score->variance + sigma2;
    }
    for (size_t j = 0; j < d; j++) s[i * d + j] = -x[i * d + j] / variance;
  }
  return RG_OK;
}

static void destroy(void *object) { free(object); }

static rg_status create(const rg_host *host, rg_call *call, const rg_cfg *cfg, const rg_deps *deps,
                        rg_ref *made) {
  double sd = 0.0;
  const rg_status status = host->cfg_f64(call, cfg, "data_sd", &sd);
  if (status != RG_OK) return status;
  if (!(sd > 0.0 && isfinite(sd * sd))) {
    char given[32];
    snprintf(given, sizeof given, "%g", sd);
    return host->cfg_refuse(call, "data_sd", given, "a number above 0");
  }
  const rg_process_vtable *of = deps->process->vtable;
  if ((of->caps & RG_CAP_LINEAR) == 0 || (of->caps & RG_CAP_WARPED) != 0)
    return host->fail(call, RG_ERR_UNSUPPORTED,
                      "it needs a process with a linear law and one number for a and C: choose another");
  my_score *score = malloc(sizeof *score);
  if (score == NULL) return host->fail(call, RG_ERR_MEMORY, "no memory for the score");
  score->dim = deps->dim;
  score->variance = sd * sd;
  score->process = deps->process->object;
  score->of = of;
  made->object = score;
  return RG_OK;
}

static const rg_score_vtable table = {
    .struct_size = sizeof table,
    .caps = RG_CAP_ROWWISE | RG_CAP_DETERMINISTIC,
    .threading = RG_THREAD_CONCURRENT,
    .destroy = destroy,
    .dim = dim,
    .eval = eval,
};

static const rg_param p_sd = {sizeof p_sd, "data_sd", "Standard deviation s of the data, > 0",
                              RG_TYPE_F64, 0, "1.0", 0.0, INFINITY, NULL};
static const rg_param *const params[] = {&p_sd};

static const rg_component component_table = {
    .struct_size = sizeof component_table,
    .kind = RG_KIND_SCORE,
    .needs = RG_NEEDS_TARGET | RG_NEEDS_PROCESS,
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
