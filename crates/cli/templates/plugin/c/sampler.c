/* my-component: a sampler. Write here what it does, and where it comes from.
 *
 *   x' = x + s z,   z ~ N(0, I),   accepted with probability min(1, p(x') / p(x))
 *
 * As it stands it is random-walk Metropolis (Metropolis et al. 1953): replace parameters, state and `step`
 * by your own, and keep the tests. */
#include <retrograde_plugin.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Set once, by the entry function. */
static const rg_host *host;

/* What the functions get as their first argument. A component may keep its parts. */
typedef struct {
  size_t dim;
  double scale;
  uint64_t moves;
  void *target;
  const rg_target_vtable *of;
} my_sampler;

/* What the next step needs, and nothing else: it is what a checkpoint holds. Random numbers are not part of
 * it, for every step has its own. x (n x dim) and log densities (n) follow in the same block. */
typedef struct {
  uint64_t n, done;
  double numbers[];
} state;

static size_t numbers_of(const my_sampler *s, uint64_t n) { return (size_t)n * (s->dim + 1); }

static size_t bytes_of(const my_sampler *s, uint64_t n) {
  return sizeof(state) + numbers_of(s, n) * sizeof(double);
}

typedef struct {
  const my_sampler *s;
  const double *x;
  double *logp;
} work;

static rg_status block(void *user, rg_call *call, size_t row0, size_t rows) {
  const work *w = user;
  const size_t d = w->s->dim;
  return w->s->of->eval(w->s->target, call, rows, d, w->x + row0 * d, w->logp + row0, NULL);
}

/* On the threads of the host, where the target may be split. */
static rg_status evaluate(const my_sampler *s, rg_call *call, size_t n, const double *x, double *logp) {
  work w = {s, x, logp};
  const int split = (s->of->caps & RG_CAP_ROWWISE) != 0 && s->of->threading == RG_THREAD_CONCURRENT;
  return split ? host->for_rows(call, n, block, &w) : block(&w, call, 0, n);
}

static rg_status start(void *object, rg_call *call, size_t n, void **run) {
  const my_sampler *s = object;
  state *made = n < SIZE_MAX / 16 / (s->dim + 1) ? malloc(bytes_of(s, n)) : NULL;
  if (made == NULL) return host->fail(call, RG_ERR_MEMORY, "no memory for the chains");
  made->n = n;
  made->done = 0;
  host->rng_normal(call, n, s->dim, made->numbers);
  const rg_status status = evaluate(s, call, n, made->numbers, made->numbers + n * s->dim);
  if (status != RG_OK) {
    free(made);
    return status;
  }
  *run = made;
  return RG_OK;
}

static rg_status step(void *object, rg_call *call, void *run, int32_t *done) {
  const my_sampler *s = object;
  state *now = run;
  const size_t n = (size_t)now->n, d = s->dim;
  double *x = now->numbers, *logp = x + n * d;
  double *moved = host->scratch(call, n * d * sizeof(double), 8);
  double *value = host->scratch(call, n * sizeof(double), 8);
  double *u = host->scratch(call, n * sizeof(double), 8);
  if (moved == NULL || value == NULL || u == NULL)
    return host->fail(call, RG_ERR_MEMORY, "no memory for a move");
  host->rng_normal(call, n, d, moved);
  host->rng_uniform(call, n, 1, u);
  for (size_t k = 0; k < n * d; k++) moved[k] = x[k] + s->scale * moved[k];
  rg_status status = evaluate(s, call, n, moved, value);
  if (status != RG_OK) return status;
  for (size_t i = 0; i < n; i++)
    if (log(u[i]) < value[i] - logp[i]) { /* false where there is no number */
      memcpy(x + i * d, moved + i * d, d * sizeof(double));
      logp[i] = value[i];
    }
  now->done++;
  *done = now->done >= s->moves;
  status = host->progress(call, (double)now->done / (double)s->moves);
  if (status != RG_OK || !*done) return status;
  const char *const names[] = {"lp"};
  const double *const stats[] = {logp};
  return host->emit_stats(call, n, d, x, NULL, 1, names, stats);
}

static void end(void *object, void *run) {
  (void)object;
  free(run);
}

static rg_status save(void *object, rg_call *call, const void *run, void *buf, size_t cap, size_t *need) {
  const state *now = run;
  const size_t bytes = bytes_of(object, now->n);
  (void)call;
  *need = bytes;
  if (cap >= bytes) memcpy(buf, now, bytes);
  return RG_OK;
}

static rg_status load(void *object, rg_call *call, const void *buf, size_t len, void **run) {
  const my_sampler *s = object;
  state head = {0, 0};
  if (len >= sizeof head) memcpy(&head, buf, sizeof head);
  if (len < sizeof head || head.n >= SIZE_MAX / 16 / (s->dim + 1) || len != bytes_of(s, head.n) ||
      head.done > s->moves)
    return host->fail(call, RG_ERR_IO, "the saved state is not one of this sampler with these parameters");
  state *made = malloc(len);
  if (made == NULL) return host->fail(call, RG_ERR_MEMORY, "no memory for the chains");
  memcpy(made, buf, len);
  *run = made;
  return RG_OK;
}

static void destroy(void *object) { free(object); }

static rg_status create(const rg_host *h, rg_call *call, const rg_cfg *cfg, const rg_deps *deps,
                        rg_ref *made) {
  double scale = 0.0;
  int64_t moves = 0;
  rg_status status = h->cfg_f64(call, cfg, "scale", &scale);
  if (status == RG_OK) status = h->cfg_i64(call, cfg, "moves", &moves);
  if (status != RG_OK) return status;
  if (!(scale > 0.0 && isfinite(scale))) {
    char given[32];
    snprintf(given, sizeof given, "%g", scale);
    return h->cfg_refuse(call, "scale", given, "a number above 0");
  }
  my_sampler *s = malloc(sizeof *s);
  if (s == NULL) return h->fail(call, RG_ERR_MEMORY, "no memory for the sampler");
  s->dim = deps->dim;
  s->scale = scale;
  s->moves = (uint64_t)moves;
  s->target = deps->target->object;
  s->of = deps->target->vtable;
  made->object = s;
  return RG_OK;
}

static const rg_sampler_vtable table = {
    .struct_size = sizeof table,
    .threading = RG_THREAD_CONCURRENT,
    .destroy = destroy,
    .start = start,
    .step = step,
    .end = end,
    .save = save,
    .load = load,
};

static const rg_param p_scale = {sizeof p_scale, "scale", "Standard deviation s of a move, > 0",
                                 RG_TYPE_F64, 0, "1.0", 0.0, INFINITY, NULL};
static const rg_param p_moves = {sizeof p_moves, "moves", "Moves; every chain leaves its last point",
                                 RG_TYPE_I64, 0, "1000", 1.0, 1e12, NULL};
static const rg_param *const params[] = {&p_scale, &p_moves};

static const rg_component component_table = {
    .struct_size = sizeof component_table,
    .kind = RG_KIND_SAMPLER,
    .needs = RG_NEEDS_TARGET | RG_NEEDS_DENSITY,
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
