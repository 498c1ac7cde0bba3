/* For test.c: a small host, and what tests need of it. */
#ifndef TEST_H
#define TEST_H

#include <retrograde_plugin.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition, ...)                        \
  do {                                               \
    if (!(condition)) {                              \
      fprintf(stderr, "%s:%d: ", __FILE__, __LINE__); \
      fprintf(stderr, __VA_ARGS__);                  \
      fprintf(stderr, "\n");                         \
      exit(1);                                       \
    }                                                \
  } while (0)

struct rg_cfg {
  const rg_component *component;
  const char *key; /* set to `value` in place of its default */
  double value;
};

struct rg_call {
  uint64_t random;
  char said[512];
  void *memory[64];
  size_t blocks;
  /* What a sampler emitted, the last batch. */
  double *draws;
  size_t rows, cols;
};

static rg_status t_fail(rg_call *call, rg_status code, const char *text) {
  if (call != NULL) snprintf(call->said, sizeof call->said, "%s", text);
  return code;
}

static void t_log(rg_call *call, int32_t level, const char *text) {
  (void)call, (void)level;
  fprintf(stderr, "%s\n", text);
}

static int32_t t_cancelled(rg_call *call) {
  (void)call;
  return 0;
}

static void *t_scratch(rg_call *call, size_t bytes, size_t align) {
  (void)align;
  CHECK(call->blocks < 64, "too many blocks of scratch in one call");
  return call->memory[call->blocks++] = malloc(bytes + 1);
}

/* Splitmix64 (Steele, Lea & Flood 2014). */
static uint64_t t_next(rg_call *call) {
  uint64_t z = call->random += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

static void t_u64(rg_call *call, uint64_t *out, size_t n) {
  for (size_t i = 0; i < n; i++) out[i] = t_next(call);
}

static void t_uniform(rg_call *call, size_t n, size_t d, double *out) {
  for (size_t i = 0; i < n * d; i++) out[i] = ((double)(t_next(call) >> 11) + 0.5) / 9007199254740992.0;
}

static void t_normal(rg_call *call, size_t n, size_t d, double *out) {
  for (size_t i = 0; i < n * d; i++) {
    double u[2];
    t_uniform(call, 1, 2, u);
    out[i] = sqrt(-2.0 * log(u[0])) * cos(6.283185307179586 * u[1]);
  }
}

static rg_status t_rows(rg_call *call, size_t n, rg_rows_fn f, void *user) { return f(user, call, 0, n); }

static rg_status t_f64(rg_call *call, const rg_cfg *cfg, const char *key, double *out) {
  if (cfg->key != NULL && strcmp(cfg->key, key) == 0) {
    *out = cfg->value;
    return RG_OK;
  }
  for (size_t i = 0; i < cfg->component->n_params; i++)
    if (strcmp(cfg->component->params[i]->name, key) == 0) {
      *out = strtod(cfg->component->params[i]->default_toml, NULL);
      return RG_OK;
    }
  return t_fail(call, RG_ERR_NOT_FOUND, key);
}

static rg_status t_i64(rg_call *call, const rg_cfg *cfg, const char *key, int64_t *out) {
  double value = 0.0;
  const rg_status status = t_f64(call, cfg, key, &value);
  *out = (int64_t)value;
  return status;
}

static rg_status t_refuse(rg_call *call, const char *key, const char *given, const char *allowed) {
  snprintf(call->said, sizeof call->said, "`%s` is %s: it must be %s", key, given, allowed);
  return RG_ERR_CONFIG;
}

static rg_status t_progress(rg_call *call, double fraction) {
  (void)call;
  CHECK(fraction >= 0.0 && fraction <= 1.0, "progress is %g", fraction);
  return RG_OK;
}

static rg_status t_emit_stats(rg_call *call, size_t n, size_t d, const double *x, const double *log_w, size_t k,
                              const char *const *names, const double *const *stats) {
  (void)log_w, (void)k, (void)names, (void)stats;
  call->draws = realloc(call->draws, (n * d + 1) * sizeof(double));
  CHECK(call->draws != NULL, "no memory");
  memcpy(call->draws, x, n * d * sizeof(double));
  call->rows = n;
  call->cols = d;
  return RG_OK;
}

static rg_status t_emit(rg_call *call, size_t n, size_t d, const double *x, const double *log_w) {
  return t_emit_stats(call, n, d, x, log_w, 0, NULL, NULL);
}

static rg_host t_host;

/* The component of the plugin. */
static const rg_component *component(void) {
  t_host.struct_size = sizeof t_host;
  t_host.abi = RG_PLUGIN_ABI;
  t_host.minor = RG_PLUGIN_MINOR;
  t_host.name = "test";
  t_host.version = "0";
  t_host.log = t_log;
  t_host.fail = t_fail;
  t_host.cancelled = t_cancelled;
  t_host.scratch = t_scratch;
  t_host.rng_u64 = t_u64;
  t_host.rng_uniform = t_uniform;
  t_host.rng_normal = t_normal;
  t_host.for_rows = t_rows;
  t_host.cfg_f64 = t_f64;
  t_host.cfg_i64 = t_i64;
  t_host.cfg_refuse = t_refuse;
  t_host.progress = t_progress;
  t_host.emit = t_emit;
  t_host.emit_stats = t_emit_stats;
  const rg_plugin *plugin = retrograde_plugin_v1(&t_host);
  CHECK(plugin != NULL && plugin->n_components == 1, "it is no plugin of one component");
  return plugin->components[0];
}

static rg_call begin(uint64_t seed) {
  rg_call call = {0};
  call.random = seed;
  return call;
}

static void finish(rg_call *call) {
  while (call->blocks > 0) free(call->memory[--call->blocks]);
}

/* Makes the component, with its defaults or with `key` set to `value`. */
static rg_status make(rg_call *call, const char *key, double value, const rg_deps *deps, rg_ref *made) {
  const rg_component *c = component();
  const rg_cfg cfg = {c, key, value};
  made->object = NULL;
  made->vtable = c->vtable;
  return c->create(&t_host, call, &cfg, deps, made);
}

/* The same, which must succeed. */
static rg_ref made(const char *key, double value, const rg_deps *deps) {
  rg_call call = begin(0);
  rg_ref made;
  const rg_status status = make(&call, key, value, deps, &made);
  CHECK(status == RG_OK, "create: status %d, %s", (int)status, call.said);
  return made;
}

/* `key` set to `value` must be refused, with its name in the words. */
static inline void refused(const char *key, double value, const rg_deps *deps) {
  rg_call call = begin(0);
  rg_ref made;
  const rg_status status = make(&call, key, value, deps, &made);
  CHECK(status == RG_ERR_CONFIG && strstr(call.said, key) != NULL, "%s = %g: status %d, %s", key, value,
        (int)status, call.said);
}

/* How many standard errors the mean of n numbers, each to `power`, is from `truth`. */
static inline double off(const double *x, size_t n, int power, double truth) {
  double sum = 0.0, squares = 0.0;
  for (size_t i = 0; i < n; i++) {
    const double v = pow(x[i], power);
    sum += v;
    squares += v * v;
  }
  const double mean = sum / (double)n, variance = squares / (double)n - mean * mean;
  return (mean - truth) / sqrt(variance / (double)n);
}

#endif
