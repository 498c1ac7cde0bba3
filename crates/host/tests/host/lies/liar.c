/* A target and a sampler that can lie: one lie for each -D. Without any they keep all that they say.
 *
 * The target is a standard normal law in three dimensions, the sampler draws from it directly. */
#include <retrograde_plugin.h>

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef LIE_ABORT_IN_SAMPLER
#include <stdio.h>
#endif

static const rg_host *host;

/* A lie of arrays is told in batches of AT rows, or in all that it can be told in. */
#ifdef AT
#define HERE(any) (n == (AT))
#else
#define HERE(any) (any)
#endif

/* --- the target --------------------------------------------------------------------------------------- */

enum { DIM = 3 };

static double one(const double *x, double *grad) {
  double sum = 0.0;
  for (int j = 0; j < DIM; j++) {
    sum -= 0.5 * x[j] * x[j];
    if (grad != NULL) grad[j] = -x[j];
  }
  return sum;
}

static volatile double shared[DIM];
static volatile int sink;

static rg_status eval(void *object, rg_call *call, size_t n, size_t d, const double *x, double *logp,
                      double *grad) {
  (void)object, (void)call;
#ifdef LIE_CODE
  if (n > 1) return 99;
#endif
#ifdef LIE_SILENT
  if (n > 1) return RG_ERR_NUMERIC;
#endif
#ifdef LIE_CRASH
  static volatile uintptr_t nowhere = 8;
  if (n > 1) *(volatile int *)nowhere = 1;
#endif
#ifdef LIE_ABORT
  if (n > 1) abort();
#endif
#ifdef LIE_EXIT
  if (n > 1) exit(7);
#endif
#ifdef LIE_HANG
  while (n > 1) sink++;
#endif
#ifdef LIE_NAN_CRASH
  for (size_t k = 0; k < n * d; k++)
    if (isnan(x[k])) abort();
#endif
#ifdef LIE_LEAK
  char *kept = malloc(24);
  if (kept == NULL) return RG_ERR_MEMORY;
  memset(kept, (int)n, 24);
  sink = ((volatile char *)kept)[7];
#endif
  for (size_t i = 0; i < n; i++) {
    const double *row = x + i * d;
    double *g = grad == NULL ? NULL : grad + i * d;
#ifdef LIE_NO_GRADIENT
    g = NULL;
#endif
    double value;
#ifdef LIE_STATIC
    /* A place for all: between writing and reading there is time for others to write. */
    for (int j = 0; j < DIM; j++) shared[j] = row[j];
    for (int spin = 0; spin < 300; spin++) sink++;
    double copy[DIM];
    for (int j = 0; j < DIM; j++) copy[j] = shared[j];
    value = one(copy, g);
#else
    value = one(row, g);
#endif
#ifdef LIE_ROWS
    value += n > 100 ? 1e-12 : 0.0;
#endif
#ifdef LIE_PLACE
    if (i == 5) value += 1e-9;
#endif
#ifdef LIE_RNG
    double z;
    host->rng_normal(call, 1, 1, &z);
    value += 1e-9 * z;
#endif
#ifdef LIE_RAND
    value += 1e-9 * rand();
#endif
#ifdef LIE_ADDS
    if (logp != NULL) {
      logp[i] += value;
      continue;
    }
#endif
#ifdef LIE_GRADIENT
    if (g != NULL) g[1] *= 1.001;
#endif
#ifdef LIE_UNWRITTEN
    if (i == 7 && g != NULL) continue;
#endif
    if (logp != NULL) logp[i] = value;
  }
#ifdef LIE_BEYOND
  if (grad != NULL && HERE(n > 1)) grad[n * d] = 1.0;
#endif
#ifdef LIE_BEFORE
  if (logp != NULL && HERE(n > 1)) logp[-1] = 1.0;
#endif
#ifdef LIE_INPUT
  if (n > 0 && HERE(n > 3)) ((double *)(uintptr_t)x)[n > 3 ? 3 * d : 0] = 0.0;
#endif
  return RG_OK;
}

static rg_status dim(void *object, rg_call *call, size_t *d) {
  (void)object, (void)call;
  *d = DIM;
  return RG_OK;
}

static rg_status hvp(void *object, rg_call *call, size_t n, size_t d, const double *x, const double *v,
                     double *out) {
  (void)object, (void)call;
  for (size_t k = 0; k < n * d; k++) {
    out[k] = -v[k] + 0.0 * x[k];
#ifdef LIE_HVP
    out[k] *= 0.99;
#endif
  }
  return RG_OK;
}

static void destroy(void *object) {
#ifdef LIE_LEAK_OBJECT
  (void)object;
#else
  free(object);
#endif
}

static rg_status create(const rg_host *h, rg_call *call, const rg_cfg *cfg, const rg_deps *deps, rg_ref *made) {
  (void)h, (void)call, (void)cfg, (void)deps;
#ifdef LIE_CRASH_CREATE
  *(volatile int *)8 = 1;
#endif
#ifdef LIE_NULL_TABLE
  made->vtable = NULL;
#endif
#ifdef LIE_NULL_OBJECT
  return RG_OK;
#endif
  made->object = malloc(128);
  return made->object == NULL ? h->fail(call, RG_ERR_MEMORY, "no memory") : RG_OK;
}

#ifdef LIE_FORGETS_GRADIENT
#define GRADIENT 0
#else
#define GRADIENT RG_CAP_GRADIENT
#endif

static const rg_target_vtable target = {
    .struct_size = sizeof target,
    .caps = RG_CAP_ROWWISE | RG_CAP_DETERMINISTIC | GRADIENT,
    .threading = RG_THREAD_CONCURRENT,
    .destroy = destroy,
    .dim = dim,
    .eval = eval,
#ifndef LIE_FORGETS_GRADIENT
    .hvp = hvp,
#endif
};

/* --- the sampler -------------------------------------------------------------------------------------- */

/* Draws are independent normal numbers with the moments of the target that it is checked with; a running
 * offset, which is 0 unless it is lost, shows whether a state was saved. */
typedef struct {
  size_t n, done;
  double last;
} run;

static size_t dimension;

static rg_status start(void *object, rg_call *call, size_t n, void **made) {
  (void)object;
  if (n == 0) return host->fail(call, RG_ERR_CONFIG, "it gives at least one draw");
  run *r = calloc(1, sizeof *r);
  if (r == NULL) return host->fail(call, RG_ERR_MEMORY, "no memory");
  r->n = n;
  *made = r;
  return RG_OK;
}

static rg_status step(void *object, rg_call *call, void *state, int32_t *done) {
  run *r = state;
  (void)object;
#ifdef LIE_ABORT_IN_SAMPLER
  fprintf(stderr, "liar: something is rotten\n");
  abort();
#endif
  const size_t part = (r->n + 9) / 10, rows = r->n - r->done < part ? r->n - r->done : part;
  double *x = host->scratch(call, rows * dimension * sizeof(double), 8);
  if (x == NULL) return host->fail(call, RG_ERR_MEMORY, "no memory");
  host->rng_normal(call, rows, dimension, x);
  /* Equal correlations of 1/2: a common part and one of each. */
  for (size_t i = 0; i < rows; i++) {
    double *row = x + i * dimension, common = 0.0;
    host->rng_normal(call, 1, 1, &common);
    for (size_t j = 0; j < dimension; j++) row[j] = 0.5 + 0.70710678118654752440 * (row[j] + common);
    /* What comes before has a say in the last bits. */
    row[0] += 1e-12 * r->last;
    r->last = row[0];
  }
#ifdef LIE_LAW
  for (size_t k = 0; k < rows * dimension; k++) x[k] += 1.0;
#endif
  r->done += rows;
  *done = r->done == r->n;
#ifdef LIE_DONE
  *done = 2;
#endif
#ifdef LIE_SHORT
  return rows > 1 ? host->emit(call, rows - 1, dimension, x, NULL) : RG_OK;
#else
  return host->emit(call, rows, dimension, x, NULL);
#endif
}

static void end(void *object, void *state) {
  (void)object;
#ifndef LIE_LEAK_RUN
  free(state);
#else
  (void)state;
#endif
}

static rg_status save(void *object, rg_call *call, const void *state, void *buf, size_t cap, size_t *need) {
  (void)object, (void)call;
  *need = sizeof(run);
  if (buf == NULL || cap < *need) return RG_OK;
  memcpy(buf, state, sizeof(run));
#ifdef LIE_LOSES
  ((run *)buf)->last = 0.0;
#endif
#ifdef LIE_SAVES_BEYOND
  ((char *)buf)[*need] = 1;
#endif
  return RG_OK;
}

static rg_status load(void *object, rg_call *call, const void *buf, size_t len, void **made) {
  (void)object;
  run *r = malloc(sizeof *r);
  if (r == NULL || len != sizeof *r) return host->fail(call, RG_ERR_IO, "no state of this sampler");
  memcpy(r, buf, len);
  *made = r;
  return RG_OK;
}

static rg_status create_sampler(const rg_host *h, rg_call *call, const rg_cfg *cfg, const rg_deps *deps,
                                rg_ref *made) {
  (void)h, (void)call, (void)cfg;
  dimension = deps->dim;
  made->object = &dimension;
  return RG_OK;
}

static const rg_sampler_vtable sampler = {
    .struct_size = sizeof sampler,
    .threading = RG_THREAD_CONCURRENT,
    .start = start,
    .step = step,
    .end = end,
    .save = save,
    .load = load,
};

#ifdef LIE_HANG_IN_LOADING
__attribute__((constructor)) static void stuck(void) {
  for (;;) sink++;
}
#endif

/* --- the plugin --------------------------------------------------------------------------------------- */

static const rg_component its_target = {
    .struct_size = sizeof its_target,
    .kind = RG_KIND_TARGET,
    .name = "normal",
    .doc = "Standard normal law",
    .vtable = &target,
    .create = create,
};
static const rg_component its_sampler = {
    .struct_size = sizeof its_sampler,
    .kind = RG_KIND_SAMPLER,
    .needs = RG_NEEDS_TARGET,
    .name = "direct",
    .doc = "Independent draws",
    .vtable = &sampler,
    .create = create_sampler,
};
static const rg_component *const components[] = {&its_target, &its_sampler};

static const rg_plugin plugin = {
    .struct_size = sizeof plugin,
    .abi = RG_PLUGIN_ABI,
    .minor = RG_PLUGIN_MINOR,
    .name = "liar",
    .version = "1.0.0",
    .license = "MIT",
    .components = components,
    .n_components = 2,
};

__attribute__((visibility("default"))) const rg_plugin *retrograde_plugin_v1(const rg_host *given) {
#ifdef LIE_ABORT_IN_ENTRY
  abort();
#endif
  host = given;
  return &plugin;
}
