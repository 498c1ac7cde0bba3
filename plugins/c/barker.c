/* A sampler in C: Metropolis-Hastings chains with the Barker proposal, which bends its moves towards higher
 * density and, unlike Langevin's, stays calm where gradients are large.
 *
 *   w_i ~ N(0, h^2);   y_i = x_i + w_i with probability 1 / (1 + exp(-w_i g_i(x))), else x_i - w_i,
 *
 * g the gradient of log pi; accepted with probability
 *
 *   min(1, pi(y) / pi(x) prod_i (1 + exp((x_i - y_i) g_i(x))) / (1 + exp((y_i - x_i) g_i(y))))
 *
 * In the warm-up h follows log h += (k + 1)^-0.6 (acceptance - target), acceptance the mean of all chains at
 * move k; then it stays.
 *
 * Source: Livingstone & Zanella (2022), J. R. Stat. Soc. B 84, 496; acceptance 0.4: Vogrinc, Livingstone &
 * Zanella (2023), Biometrika 110, 579.
 *
 *   cc -std=c11 -O2 -fPIC -shared -fvisibility=hidden -I../../include barker.c -o barker.so -lm
 *
 * It shows: a component that holds a target; evaluation on the threads of the host where the target allows it;
 * chains, weights, statistics, scalars and flags; a state that is saved and taken up with the same bits; a
 * second component, barker-unsaved, without these two slots, whose resumed runs begin again.
 *
 * Every step has a random stream of its own, given by the call: the state holds no random numbers, and
 * a run goes on from a saved state as if it had never stopped. */
#include <retrograde_plugin.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Set once, by the entry function. */
static const rg_host *host;

/* A coordinate beyond this has left every range where a density has mass. */
static const double FAR = 1e50;

typedef struct {
  void *target;
  const rg_target_vtable *eval;
  size_t dim, chains;
  uint64_t warmup, thin;
  double scale, acceptance, start_mean, start_sd;
} barker;

/* What the next step needs, and nothing else. Numbers of chains and moves first, then the arrays: x (chains
 * x dim), its log densities (chains) and gradients (chains x dim). */
typedef struct {
  size_t n_draws;
  uint64_t done;
  double log_h;
  double accepted;  /* sum of acceptance probabilities after the warm-up */
  double refused;  /* moves to where the density could not be evaluated */
  double *x, *logp, *grad;
} chain_run;

static uint64_t moves(const barker *b, size_t n_draws) { return b->warmup + n_draws / b->chains * b->thin; }

/* --- evaluation ------------------------------------------------------------------------------------- */

typedef struct {
  const barker *b;
  const double *x;
  double *logp, *grad;
} work;

static rg_status block(void *user, rg_call *call, size_t row0, size_t rows) {
  const work *w = user;
  const size_t d = w->b->dim;
  return w->b->eval->eval(w->b->target, call, rows, d, w->x + row0 * d, w->logp + row0, w->grad + row0 * d);
}

/* A target that may be split is evaluated by blocks, on the threads of the host. */
static rg_status evaluate(const barker *b, rg_call *call, const double *x, double *logp, double *grad) {
  work w = {b, x, logp, grad};
  if ((b->eval->caps & RG_CAP_ROWWISE) && b->eval->threading == RG_THREAD_CONCURRENT)
    return host->for_rows(call, b->chains, block, &w);
  return block(&w, call, 0, b->chains);
}

/* log(1 + exp(a)). */
static double softplus(double a) { return (a > 0.0 ? a : 0.0) + log1p(exp(-fabs(a))); }

/* --- a run -------------------------------------------------------------------------------------------- */

static void end(void *object, void *run) {
  (void)object;
  free(run);
}

/* The run and its arrays, in one piece. */
static chain_run *allocate(const barker *b) {
  const size_t numbers = b->chains * (2 * b->dim + 1);
  chain_run *run = calloc(1, sizeof *run + numbers * sizeof(double));
  if (run == NULL) return NULL;
  run->x = (double *)(run + 1);
  run->logp = run->x + b->chains * b->dim;
  run->grad = run->logp + b->chains;
  return run;
}

static rg_status start(void *object, rg_call *call, size_t n_draws, void **made) {
  const barker *b = object;
  if (n_draws == 0 || n_draws % b->chains != 0) {
    char given[32], allowed[64];
    snprintf(given, sizeof given, "%zu", b->chains);
    snprintf(allowed, sizeof allowed, "a divisor of the number of draws, %zu", n_draws);
    return host->cfg_refuse(call, "chains", given, allowed);
  }
  const uint64_t each = n_draws / b->chains;
  if (b->thin > (UINT64_MAX - b->warmup) / each)
    return host->fail(call, RG_ERR_CONFIG, "`thin` or `warmup` is so large that the moves cannot be counted");
  chain_run *run = allocate(b);
  if (run == NULL) return host->fail(call, RG_ERR_MEMORY, "no memory for the chains");
  run->n_draws = n_draws;
  run->log_h = log(b->scale) - log((double)b->dim) / 6.0;
  host->rng_normal(call, b->chains, b->dim, run->x);
  for (size_t k = 0; k < b->chains * b->dim; k++) run->x[k] = b->start_mean + b->start_sd * run->x[k];
  rg_status status = evaluate(b, call, run->x, run->logp, run->grad);
  for (size_t i = 0; status == RG_OK && i < b->chains; i++) {
    int fine = isfinite(run->logp[i]);
    for (size_t j = 0; j < b->dim; j++) fine = fine && isfinite(run->grad[i * b->dim + j]);
    if (!fine)
      status = host->fail(call, RG_ERR_NUMERIC,
                          "a chain starts where the log density or its gradient is not finite: choose `start_mean` "
                          "and `start_sd` so that all start where there is mass");
  }
  if (status != RG_OK) {
    free(run);
    return status;
  }
  *made = run;
  return RG_OK;
}

/* One move of every chain. Writes the mean acceptance probability. */
static rg_status sweep(const barker *b, rg_call *call, chain_run *run, double *mean) {
  const size_t n = b->chains, d = b->dim;
  double *y = host->scratch(call, n * d * sizeof(double), 8);
  double *u = host->scratch(call, n * (d + 1) * sizeof(double), 8);
  double *logp = host->scratch(call, n * sizeof(double), 8);
  double *grad = host->scratch(call, n * d * sizeof(double), 8);
  if (y == NULL || u == NULL || logp == NULL || grad == NULL)
    return host->fail(call, RG_ERR_MEMORY, "no memory for a move");
  host->rng_normal(call, n, d, y);
  host->rng_uniform(call, n, d + 1, u);
  const double h = exp(run->log_h);
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < d; j++) {
      const size_t k = i * d + j;
      const double w = h * y[k];
      /* u < 1 / (1 + exp(-w g)), without overflow. */
      const int keep = log(u[i * (d + 1) + j]) < -softplus(-w * run->grad[k]);
      y[k] = run->x[k] + (keep ? w : -w);
    }
  const rg_status status = evaluate(b, call, y, logp, grad);
  if (status != RG_OK) return status;
  double sum = 0.0;
  for (size_t i = 0; i < n; i++) {
    double ratio = logp[i] - run->logp[i];
    int near = 1;
    for (size_t j = 0; j < d; j++) {
      const size_t k = i * d + j;
      const double w = y[k] - run->x[k];
      ratio += softplus(-w * run->grad[k]) - softplus(w * grad[k]);
      near = near && fabs(y[k]) < FAR;
    }
    if (isnan(ratio) || logp[i] == INFINITY || !near) {
      run->refused += 1.0;
      continue;
    }
    sum += ratio >= 0.0 ? 1.0 : exp(ratio);
    if (log(u[i * (d + 1) + d]) < ratio) {
      memcpy(run->x + i * d, y + i * d, d * sizeof(double));
      memcpy(run->grad + i * d, grad + i * d, d * sizeof(double));
      run->logp[i] = logp[i];
    }
  }
  *mean = sum / (double)n;
  return RG_OK;
}

/* What a person must know at the end. */
static rg_status sum_up(const barker *b, rg_call *call, const chain_run *run) {
  const double kept = (double)(run->done - b->warmup);
  const double acceptance = run->accepted / kept;
  rg_status status = host->emit_scalar(call, "acceptance", acceptance);
  if (status == RG_OK) status = host->emit_scalar(call, "step_size", exp(run->log_h));
  if (status == RG_OK && (acceptance < 0.05 || acceptance > 0.95)) {
    char text[128];
    snprintf(text, sizeof text, "%.3g of the proposals were accepted, where 0.4 is best", acceptance);
    status = host->flag(call, RG_SEVERITY_WARNING, "acceptance", text,
                        acceptance < 0.5 ? "a longer `warmup`, or a smaller `scale`"
                                         : "a longer `warmup`, or a larger `scale`");
  }
  if (status == RG_OK && run->refused > 0.0) {
    char text[160];
    snprintf(text, sizeof text,
             "%.0f proposals were refused since the density there is no number, or they went too far", run->refused);
    status = host->flag(call, RG_SEVERITY_NOTE, "refused", text, "look at the target where it is not finite");
  }
  return status;
}

static rg_status step(void *object, rg_call *call, void *state, int32_t *done) {
  const barker *b = object;
  chain_run *run = state;
  const uint64_t all = moves(b, run->n_draws);
  if (run->done == 0) {
    /* Chains that leave one draw each are independent draws. */
    rg_status status = host->set_chains(call, run->n_draws == b->chains ? 1 : b->chains);
    if (status == RG_OK)
      status = host->flag(call, RG_SEVERITY_NOTE, "no_log_z",
                          "A Markov chain gives no estimate of log Z, and mode weights are right only if chains "
                          "travelled between the modes",
                          "use a sampler such as smc where log Z or mode weights matter");
    if (status != RG_OK) return status;
  }
  double acceptance = 0.0;
  rg_status status = sweep(b, call, run, &acceptance);
  if (status != RG_OK) return status;
  if (run->done < b->warmup)
    run->log_h += pow((double)(run->done + 1), -0.6) * (acceptance - b->acceptance);
  else
    run->accepted += acceptance;
  run->done++;
  if (run->done > b->warmup && (run->done - b->warmup) % b->thin == 0) {
    const char *const names[1] = {"lp"};
    const double *const stats[1] = {run->logp};
    status = host->emit_stats(call, b->chains, b->dim, run->x, NULL, 1, names, stats);
    if (status != RG_OK) return status;
  }
  *done = run->done == all;
  if (*done && (status = sum_up(b, call, run)) != RG_OK) return status;
  return host->progress(call, (double)run->done / (double)all);
}

static rg_status rows(void *object, rg_call *call, size_t n_draws, size_t *rows) {
  (void)call, (void)n_draws;
  *rows = ((const barker *)object)->chains;
  return RG_OK;
}

/* --- saving ------------------------------------------------------------------------------------------ */

/* Ahead of the arrays; all members are 8 bytes long, and so there are no gaps. `mark` also tells a machine of
 * the other byte order. */
typedef struct {
  uint64_t mark, dim, chains, warmup, thin, n_draws, done;
  double scale, target, start_mean, start_sd, log_h, accepted, refused;
} saved;

static const uint64_t MARK = UINT64_C(0x5247424b52303031); /* RGBKR001 */

/* What the state of this sampler with these parameters begins with. */
static saved head(const barker *b, size_t n_draws) {
  const saved s = {.mark = MARK,
                   .dim = b->dim,
                   .chains = b->chains,
                   .warmup = b->warmup,
                   .thin = b->thin,
                   .n_draws = n_draws,
                   .scale = b->scale,
                   .target = b->acceptance,
                   .start_mean = b->start_mean,
                   .start_sd = b->start_sd};
  return s;
}

static size_t saved_size(const barker *b) {
  return sizeof(saved) + b->chains * (2 * b->dim + 1) * sizeof(double);
}

static rg_status save(void *object, rg_call *call, const void *state, void *buf, size_t cap, size_t *need) {
  const barker *b = object;
  const chain_run *run = state;
  (void)call;
  *need = saved_size(b);
  if (buf == NULL || cap < *need) return RG_OK;
  saved s = head(b, run->n_draws);
  s.done = run->done;
  s.log_h = run->log_h;
  s.accepted = run->accepted;
  s.refused = run->refused;
  memcpy(buf, &s, sizeof s);
  memcpy((char *)buf + sizeof s, run->x, *need - sizeof s); /* the arrays lie one after the other */
  return RG_OK;
}

static rg_status load(void *object, rg_call *call, const void *buf, size_t len, void **made) {
  const barker *b = object;
  saved s;
  const char *wrong = NULL;
  if (len != saved_size(b)) {
    wrong = "its length is another";
  } else {
    memcpy(&s, buf, sizeof s);
    saved expected = head(b, (size_t)s.n_draws);
    expected.done = s.done;
    expected.log_h = s.log_h;
    expected.accepted = s.accepted;
    expected.refused = s.refused;
    if (s.mark != MARK)
      wrong = "it does not begin as one";
    else if (memcmp(&s, &expected, sizeof s) != 0)
      wrong = "it was written with other parameters";
    else if (s.n_draws == 0 || s.n_draws % b->chains != 0 ||
             b->thin > (UINT64_MAX - b->warmup) / (s.n_draws / b->chains) ||
             s.done >= moves(b, (size_t)s.n_draws) || !isfinite(s.log_h))
      wrong = "its counters are none of a run";
  }
  if (wrong != NULL) {
    char why[160];
    snprintf(why, sizeof why, "the saved state is not one of this sampler: %s", wrong);
    return host->fail(call, RG_ERR_IO, why);
  }
  chain_run *run = allocate(b);
  if (run == NULL) return host->fail(call, RG_ERR_MEMORY, "no memory for the chains");
  run->n_draws = (size_t)s.n_draws;
  run->done = s.done;
  run->log_h = s.log_h;
  run->accepted = s.accepted;
  run->refused = s.refused;
  memcpy(run->x, (const char *)buf + sizeof s, len - sizeof s);
  *made = run;
  return RG_OK;
}

/* --- the tables -------------------------------------------------------------------------------------- */

static void destroy(void *object) { free(object); }

static rg_status read_count(rg_call *call, const rg_cfg *cfg, const char *key, uint64_t *out) {
  int64_t value = 0;
  const rg_status status = host->cfg_i64(call, cfg, key, &value);
  *out = (uint64_t)value; /* the declared range has no negative numbers */
  return status;
}

static rg_status create(const rg_host *h, rg_call *call, const rg_cfg *cfg, const rg_deps *deps, rg_ref *made) {
  barker made_here = {0}, *b = &made_here;
  uint64_t chains = 0;
  rg_status status = read_count(call, cfg, "chains", &chains);
  if (status == RG_OK) status = read_count(call, cfg, "warmup", &b->warmup);
  if (status == RG_OK) status = read_count(call, cfg, "thin", &b->thin);
  if (status == RG_OK) status = h->cfg_f64(call, cfg, "scale", &b->scale);
  if (status == RG_OK) status = h->cfg_f64(call, cfg, "acceptance", &b->acceptance);
  if (status == RG_OK) status = h->cfg_f64(call, cfg, "start_mean", &b->start_mean);
  if (status == RG_OK) status = h->cfg_f64(call, cfg, "start_sd", &b->start_sd);
  if (status != RG_OK) return status;
  b->chains = (size_t)chains;
  char given[32], allowed[96];
  if (!(b->scale > 0.0 && b->scale < INFINITY)) {
    snprintf(given, sizeof given, "%g", b->scale);
    return h->cfg_refuse(call, "scale", given, "above 0 and finite");
  }
  if (!(b->acceptance > 0.0 && b->acceptance < 1.0)) {
    snprintf(given, sizeof given, "%g", b->acceptance);
    return h->cfg_refuse(call, "acceptance", given, "above 0 and below 1");
  }
  if (deps == NULL || deps->target == NULL)
    return h->fail(call, RG_ERR_CONFIG, "it needs a target, and the job has none");
  b->target = deps->target->object;
  b->eval = deps->target->vtable;
  b->dim = deps->dim;
  if (b->dim == 0 || b->chains > SIZE_MAX / 64 / b->dim) {
    snprintf(given, sizeof given, "%zu", b->chains);
    snprintf(allowed, sizeof allowed, "fewer: that many points of dimension %zu cannot be held", b->dim);
    return h->cfg_refuse(call, "chains", given, allowed);
  }
  barker *kept = malloc(sizeof *kept);
  if (kept == NULL) return h->fail(call, RG_ERR_MEMORY, "no memory for the sampler");
  *kept = *b;
  made->object = kept;
  return RG_OK;
}

/* The object does not change, so that it may be used on any threads; what changes is in the run. */
#define SLOTS                                                                                               \
  .struct_size = sizeof(rg_sampler_vtable), .threading = RG_THREAD_CONCURRENT, .destroy = destroy,          \
  .start = start, .step = step, .end = end, .rows = rows

static const rg_sampler_vtable with_state = {SLOTS, .save = save, .load = load};
static const rg_sampler_vtable without_state = {SLOTS};

static const rg_param p_chains = {sizeof p_chains, "chains",
                                  "Chains, a divisor of the number of draws, which they share evenly", RG_TYPE_I64, 0,
                                  "4", 1.0, 1e9, NULL};
static const rg_param p_warmup = {sizeof p_warmup, "warmup", "Moves of each chain before the first draw, in which "
                                  "the scale is adapted", RG_TYPE_I64, 0, "1000", 0.0, 1e15, NULL};
static const rg_param p_thin = {sizeof p_thin, "thin", "Moves from a draw to the next", RG_TYPE_I64, 0, "1", 1.0, 1e9,
                                NULL};
static const rg_param p_scale = {sizeof p_scale, "scale", "Standard deviation of a move of one coordinate, > 0, to "
                                 "begin with; in d dimensions it is divided by the sixth root of d", RG_TYPE_F64, 0,
                                 "1.0", 0.0, INFINITY, NULL};
static const rg_param p_acceptance = {sizeof p_acceptance, "acceptance", "Acceptance that the warm-up aims at, above "
                                      "0 and below 1", RG_TYPE_F64, 0, "0.4", 0.0, 1.0, NULL};
static const rg_param p_mean = {sizeof p_mean, "start_mean", "Mean of the normal law that chains start from",
                                RG_TYPE_F64, 0, "0.0", -1e30, 1e30, NULL};
static const rg_param p_sd = {sizeof p_sd, "start_sd", "Standard deviation of that law", RG_TYPE_F64, 0, "1.0", 0.0,
                              1e30, NULL};
static const rg_param *const params[] = {&p_chains, &p_warmup, &p_thin, &p_scale, &p_acceptance, &p_mean, &p_sd};

#define COMPONENT(its_name, its_doc, its_table)                                                             \
  {                                                                                                         \
    .struct_size = sizeof(rg_component), .kind = RG_KIND_SAMPLER,                                           \
    .needs = RG_NEEDS_TARGET | RG_NEEDS_DENSITY | RG_NEEDS_GRADIENT, .name = its_name, .doc = its_doc,      \
    .params = params, .n_params = sizeof params / sizeof params[0], .vtable = its_table, .create = create   \
  }

static const rg_component saves = COMPONENT("barker", "Markov chains with the Barker proposal", &with_state);
static const rg_component forgets =
    COMPONENT("barker-unsaved", "The same without saved states: a resumed run begins again", &without_state);
static const rg_component *const components[] = {&saves, &forgets};

static const rg_plugin plugin = {
    .struct_size = sizeof plugin,
    .abi = RG_PLUGIN_ABI,
    .minor = RG_PLUGIN_MINOR,
    .name = "chains",
    .version = "0.1.0",
    .license = "MIT OR Apache-2.0",
    .components = components,
    .n_components = sizeof components / sizeof components[0],
};

RG_EXPORT const rg_plugin *retrograde_plugin_v1(const rg_host *given) {
  host = given;
  return host != NULL && host->abi == RG_PLUGIN_ABI ? &plugin : NULL;
}
