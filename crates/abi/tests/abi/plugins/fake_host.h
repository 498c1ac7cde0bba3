/* A host for tests of plugins, small enough to be seen through: C11 and C++17. It keeps what a plugin says and
 * hands over, splits rows into blocks of five and runs them last to first, and draws random numbers that depend
 * on the key of the call, the count of fills, the row and the column only. */
#ifndef FAKE_HOST_H
#define FAKE_HOST_H

#include <retrograde_plugin.h>

#include <dlfcn.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fake_failures;

/* Notes a failed check, and goes on. */
#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
static void bad(const char *format, ...) {
  va_list args;
  va_start(args, format);
  fputs("FAILED: ", stdout);
  vprintf(format, args);
  putchar('\n');
  va_end(args);
  fake_failures++;
}

/* That got is want, to a relative tolerance (absolute below 1). NaN is near nothing. */
static void near(const char *what, double got, double want, double tolerance) {
  const double scale = fabs(want) > 1.0 ? fabs(want) : 1.0;
  if (!(fabs(got - want) <= tolerance * scale)) bad("%s: %.15g, expected %.15g", what, got, want);
}

typedef struct fake_block {
  struct fake_block *next;
} fake_block;

/* What a sampler handed over. */
typedef struct {
  size_t rows, d, chains, emitted, stats;
  double *x;
  int weighted, flags;
  double acceptance, progress;
  char keys[512];
} fake_sink;

typedef struct {
  uint64_t key, fills, row0;
  rg_status said;
  char text[512], refused[32]; /* the key given to cfg_refuse */
  fake_block *blocks;
  fake_sink *sink; /* in `step` only */
  int cancelled;
} fake_call;

static fake_call fake_new(uint64_t key) {
  fake_call c;
  memset(&c, 0, sizeof c);
  c.key = key;
  return c;
}
/* To hand to a plugin. */
static rg_call *raw(fake_call *c) { return (rg_call *)c; }
static fake_call *of(rg_call *c) { return (fake_call *)c; }

static void fake_done(fake_call *c) {
  while (c->blocks != NULL) {
    fake_block *next = c->blocks->next;
    free(c->blocks);
    c->blocks = next;
  }
}

static fake_call fake_entry; /* what is said without a call */

static void fake_log(rg_call *c, int32_t level, const char *text) {
  (void)c;
  printf("log %d: %s\n", (int)level, text);
}
static rg_status fake_fail(rg_call *c, rg_status code, const char *text) {
  fake_call *call = c == NULL ? &fake_entry : of(c);
  call->said = code;
  snprintf(call->text, sizeof call->text, "%s", text);
  return code;
}
static int32_t fake_cancelled(rg_call *c) { return of(c)->cancelled; }
static void *fake_scratch(rg_call *c, size_t bytes, size_t align) {
  /* One block of malloc each, so that a checker of memory sees its ends. */
  fake_block *block = (fake_block *)malloc(sizeof(fake_block) + 8 + bytes);
  (void)align; /* 16 is enough for the plugins here */
  if (block == NULL) return NULL;
  block->next = of(c)->blocks;
  of(c)->blocks = block;
  return (char *)block + 16;
}

static uint64_t fake_mix(uint64_t z) {
  z += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}
static uint64_t fake_bits(const fake_call *c, uint64_t row, uint64_t column) {
  return fake_mix(fake_mix(fake_mix(c->key + 1) ^ (c->fills << 20)) ^ fake_mix((row << 24) + column));
}
static double fake_open(uint64_t bits) { return ((double)(bits >> 12) + 0.5) * 0x1p-52; }

static void fake_u64(rg_call *c, uint64_t *out, size_t n) {
  for (size_t i = 0; i < n; i++) out[i] = fake_bits(of(c), 0, i);
  of(c)->fills++;
}
static void fake_uniform(rg_call *c, size_t n, size_t d, double *out) {
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < d; j++) out[i * d + j] = fake_open(fake_bits(of(c), of(c)->row0 + i, j));
  of(c)->fills++;
}
static void fake_normal(rg_call *c, size_t n, size_t d, double *out) {
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < d; j++) {
      const double u = fake_open(fake_bits(of(c), of(c)->row0 + i, 2 * j));
      const double v = fake_open(fake_bits(of(c), of(c)->row0 + i, 2 * j + 1));
      out[i * d + j] = sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
    }
  of(c)->fills++;
}

static rg_status fake_rows_or_jobs(rg_call *c, size_t n, size_t size, rg_rows_fn rows, rg_job_fn job, void *user) {
  rg_status first = RG_OK;
  const size_t blocks = (n + size - 1) / size;
  for (size_t b = blocks; b-- > 0;) { /* backwards, so that nothing may lean on the order */
    fake_call child = fake_new(of(c)->key);
    const size_t row0 = b * size;
    child.fills = of(c)->fills + 1000 + (job != NULL ? b * 1000 : 0);
    child.row0 = of(c)->row0 + row0;
    child.cancelled = of(c)->cancelled;
    const rg_status status = job != NULL ? job(user, raw(&child), b)
                                         : rows(user, raw(&child), row0, n - row0 < size ? n - row0 : size);
    if (status != RG_OK) {
      first = status;
      of(c)->said = child.said;
      memcpy(of(c)->text, child.text, sizeof child.text);
    }
    fake_done(&child);
  }
  of(c)->fills += 1000000;
  return first;
}
static rg_status fake_for_rows(rg_call *c, size_t n, rg_rows_fn f, void *user) {
  return fake_rows_or_jobs(c, n, 5, f, NULL, user);
}
static rg_status fake_for_jobs(rg_call *c, size_t n, rg_job_fn f, void *user) {
  return fake_rows_or_jobs(c, n, 1, NULL, f, user);
}
static rg_status fake_tell(rg_call *c, rg_frame *frame) {
  frame->key0 = of(c)->key;
  frame->fills = of(c)->fills;
  frame->row0 = of(c)->row0;
  frame->threads = 1;
  return RG_OK;
}
static rg_status fake_seek(rg_call *c, const rg_frame *frame) {
  of(c)->key = frame->key0;
  of(c)->fills = frame->fills;
  of(c)->row0 = frame->row0;
  return RG_OK;
}

/* --- parameters: "key=value" texts, and the defaults that the component declares ---------------------- */

typedef struct {
  const rg_component *component;
  const char *const *given; /* ended by NULL */
  double list[16];
  char text[256];
} fake_cfg;

static fake_cfg *cfg_of(const rg_cfg *cfg) { return (fake_cfg *)(uintptr_t)cfg; }

/* The value of a declared parameter as text, NULL after a failure. */
static const char *fake_value(rg_call *c, const rg_cfg *raw_cfg, const char *key, int32_t type, rg_status *status) {
  const fake_cfg *cfg = cfg_of(raw_cfg);
  char why[256];
  *status = RG_OK;
  for (size_t i = 0; i < cfg->component->n_params; i++) {
    const rg_param *p = cfg->component->params[i];
    if (strcmp(p->name, key) != 0) continue;
    if (p->type != type) {
      snprintf(why, sizeof why, "`%s` is of type %d, not %d", key, (int)p->type, (int)type);
      *status = fake_fail(c, RG_ERR_PLUGIN, why);
      return NULL;
    }
    for (const char *const *g = cfg->given; g != NULL && *g != NULL; g++)
      if (strncmp(*g, key, strlen(key)) == 0 && (*g)[strlen(key)] == '=') return *g + strlen(key) + 1;
    if (p->default_toml == NULL) *status = fake_fail(c, RG_ERR_CONFIG, "a required parameter is missing");
    return p->default_toml;
  }
  snprintf(why, sizeof why, "`%s` is no parameter of it", key);
  *status = fake_fail(c, RG_ERR_NOT_FOUND, why);
  return NULL;
}
static rg_status fake_f64(rg_call *c, const rg_cfg *cfg, const char *key, double *out) {
  rg_status status;
  const char *text = fake_value(c, cfg, key, RG_TYPE_F64, &status);
  if (text != NULL) *out = strtod(text, NULL);
  return status;
}
static rg_status fake_i64(rg_call *c, const rg_cfg *cfg, const char *key, int64_t *out) {
  rg_status status;
  const char *text = fake_value(c, cfg, key, RG_TYPE_I64, &status);
  if (text != NULL) *out = strtoll(text, NULL, 10);
  return status;
}
static rg_status fake_bool(rg_call *c, const rg_cfg *cfg, const char *key, int32_t *out) {
  rg_status status;
  const char *text = fake_value(c, cfg, key, RG_TYPE_BOOL, &status);
  if (text != NULL) *out = strcmp(text, "true") == 0;
  return status;
}
static rg_status fake_str(rg_call *c, const rg_cfg *cfg, const char *key, const char **out) {
  rg_status status;
  const char *text = fake_value(c, cfg, key, RG_TYPE_STR, &status);
  if (text != NULL) {
    snprintf(cfg_of(cfg)->text, sizeof cfg_of(cfg)->text, "%s", *text == '"' ? text + 1 : text);
    cfg_of(cfg)->text[strcspn(cfg_of(cfg)->text, "\"")] = '\0';
    *out = cfg_of(cfg)->text;
  }
  return status;
}
static rg_status fake_f64s(rg_call *c, const rg_cfg *cfg, const char *key, const double **out, size_t *n) {
  rg_status status;
  const char *text = fake_value(c, cfg, key, RG_TYPE_F64S, &status);
  if (text != NULL) {
    char *end;
    *n = 0;
    for (text++; *text != ']' && *n < 16; text = end + (*end == ','))
      cfg_of(cfg)->list[(*n)++] = strtod(text, &end);
    *out = cfg_of(cfg)->list;
  }
  return status;
}
static rg_status fake_toml(rg_call *c, const rg_cfg *cfg, const char **out) {
  (void)c;
  snprintf(cfg_of(cfg)->text, sizeof cfg_of(cfg)->text, "n = %zu\n", cfg_of(cfg)->component->n_params);
  *out = cfg_of(cfg)->text;
  return RG_OK;
}
static rg_status fake_refuse(rg_call *c, const char *key, const char *given, const char *allowed) {
  char text[400];
  snprintf(text, sizeof text, "`%s` is %s: it must be %s", key, given, allowed);
  fake_fail(c, RG_ERR_CONFIG, text);
  snprintf(of(c)->refused, sizeof of(c)->refused, "%s", key);
  return RG_ERR_CONFIG;
}
static rg_status fake_read_file(rg_call *c, const char *path, const uint8_t **out, size_t *n) {
  static const uint8_t bytes[3] = {'a', 0, 'b'};
  if (strcmp(path, "there.bin") != 0) return fake_fail(c, RG_ERR_NOT_FOUND, "no such file");
  *out = bytes;
  *n = sizeof bytes;
  return RG_OK;
}

/* --- what a sampler hands over --------------------------------------------------------------------------- */

static fake_sink *fake_sink_of(rg_call *c) {
  if (of(c)->sink == NULL) fake_fail(c, RG_ERR_UNSUPPORTED, "in `step` of a sampler only");
  return of(c)->sink;
}
static rg_status fake_progress(rg_call *c, double fraction) {
  fake_sink *sink = fake_sink_of(c);
  if (sink == NULL) return RG_ERR_UNSUPPORTED;
  sink->progress = fraction;
  return RG_OK;
}
static rg_status fake_set_chains(rg_call *c, size_t chains) {
  fake_sink *sink = fake_sink_of(c);
  if (sink == NULL) return RG_ERR_UNSUPPORTED;
  if (sink->rows > 0) return fake_fail(c, RG_ERR_ARG, "chains are set before the first draw");
  sink->chains = chains;
  return RG_OK;
}
static rg_status fake_emit(rg_call *c, size_t n, size_t d, const double *x, const double *log_w) {
  fake_sink *sink = fake_sink_of(c);
  if (sink == NULL) return RG_ERR_UNSUPPORTED;
  sink->x = (double *)realloc(sink->x, (sink->rows + n) * d * sizeof(double));
  memcpy(sink->x + sink->rows * d, x, n * d * sizeof(double));
  sink->rows += n;
  sink->d = d;
  sink->weighted = log_w != NULL;
  sink->emitted++;
  return RG_OK;
}
static rg_status fake_emit_stats(rg_call *c, size_t n, size_t d, const double *x, const double *log_w, size_t k,
                                 const char *const *names, const double *const *stats) {
  const rg_status status = fake_emit(c, n, d, x, log_w);
  for (size_t j = 0; status == RG_OK && j < k; j++)
    for (size_t i = 0; i < n; i++)
      if (!isfinite(stats[j][i])) bad("the statistic %s is not finite", names[j]);
  if (status == RG_OK) of(c)->sink->stats = k;
  return status;
}
static void fake_note(rg_call *c, const char *key) {
  fake_sink *sink = of(c)->sink;
  if (sink == NULL) return;
  const size_t at = strlen(sink->keys);
  snprintf(sink->keys + at, sizeof sink->keys - at, "%s ", key);
}
static rg_status fake_scalar(rg_call *c, const char *key, double value) {
  fake_sink *sink = fake_sink_of(c);
  if (sink == NULL) return RG_ERR_UNSUPPORTED;
  if (strcmp(key, "acceptance") == 0) sink->acceptance = value;
  fake_note(c, key);
  return RG_OK;
}
static rg_status fake_record(rg_call *c, const char *table, size_t n, const char *const *columns,
                             const double *values) {
  if (fake_sink_of(c) == NULL) return RG_ERR_UNSUPPORTED;
  (void)n, (void)columns, (void)values;
  fake_note(c, table);
  return RG_OK;
}
static int fake_flags; /* outside of a step */
static rg_status fake_flag(rg_call *c, int32_t severity, const char *key, const char *text, const char *advice) {
  (void)severity, (void)text, (void)advice;
  fake_flags++;
  if (of(c)->sink != NULL) of(c)->sink->flags++;
  fake_note(c, key);
  return RG_OK;
}

static const rg_host *fake_host(void) {
  static rg_host h;
  h.struct_size = sizeof h;
  h.abi = RG_PLUGIN_ABI;
  h.minor = RG_PLUGIN_MINOR;
  h.name = "fake";
  h.version = "0";
  h.log = fake_log;
  h.fail = fake_fail;
  h.cancelled = fake_cancelled;
  h.scratch = fake_scratch;
  h.rng_u64 = fake_u64;
  h.rng_uniform = fake_uniform;
  h.rng_normal = fake_normal;
  h.for_rows = fake_for_rows;
  h.for_jobs = fake_for_jobs;
  h.tell = fake_tell;
  h.seek = fake_seek;
  h.cfg_f64 = fake_f64;
  h.cfg_i64 = fake_i64;
  h.cfg_bool = fake_bool;
  h.cfg_str = fake_str;
  h.cfg_f64s = fake_f64s;
  h.cfg_toml = fake_toml;
  h.cfg_refuse = fake_refuse;
  h.read_file = fake_read_file;
  h.progress = fake_progress;
  h.set_chains = fake_set_chains;
  h.emit = fake_emit;
  h.emit_stats = fake_emit_stats;
  h.emit_scalar = fake_scalar;
  h.record = fake_record;
  h.flag = fake_flag;
  return &h;
}

/* --- loading ------------------------------------------------------------------------------------------------ */

static void fake_stop(const char *what, const char *detail) {
  printf("FAILED: %s: %s\n", what, detail);
  exit(1);
}

static int fake_is_name(const char *name, char also) {
  if (name == NULL || *name < 'a' || *name > 'z') return 0;
  for (; *name != '\0'; name++)
    if (!((*name >= 'a' && *name <= 'z') || (*name >= '0' && *name <= '9') || *name == also)) return 0;
  return 1;
}

/* What a table must say whatever it is of. */
static void fake_look(const rg_plugin *p) {
  if (p->struct_size != sizeof *p || p->abi != RG_PLUGIN_ABI) bad("size or version of the plugin's table");
  if (!fake_is_name(p->name, '-')) bad("the plugin's name");
  if (p->version == NULL || *p->version < '0' || *p->version > '9') bad("the plugin's version");
  for (size_t i = 0; i < p->n_components; i++) {
    const rg_component *c = p->components[i];
    if (c->struct_size != sizeof *c) bad("size of a component's table");
    if (!fake_is_name(c->name, '-')) bad("the name of component %zu", i);
    if (c->doc == NULL || strlen(c->doc) < 10) bad("%s says nothing of itself", c->name);
    if (c->vtable == NULL || c->create == NULL) bad("%s has no table or no create", c->name);
    for (size_t k = 0; k < c->n_params; k++) {
      const rg_param *q = c->params[k];
      if (q->struct_size != sizeof *q) bad("size of a parameter's table");
      if (!fake_is_name(q->name, '_')) bad("the name of parameter %zu of %s", k, c->name);
      if (q->doc == NULL || strlen(q->doc) < 5) bad("%s.%s says nothing of itself", c->name, q->name);
      if ((q->default_toml == NULL) != (q->required != 0)) bad("%s.%s: a default or required", c->name, q->name);
      if (q->default_toml != NULL && (q->type == RG_TYPE_F64 || q->type == RG_TYPE_I64)) {
        const double value = strtod(q->default_toml, NULL);
        if (!(value >= q->min && value <= q->max)) bad("%s.%s: the default is out of range", c->name, q->name);
      }
    }
  }
}

/* The plugin of a file. */
static const rg_plugin *fake_load(const char *file) {
  typedef const rg_plugin *(*entry_fn)(const rg_host *);
  void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) fake_stop("dlopen", dlerror());
  entry_fn entry;
  *(void **)&entry = dlsym(library, "retrograde_plugin_v1");
  if (entry == NULL) fake_stop("dlsym", dlerror());
  const rg_plugin *plugin = entry(fake_host());
  if (plugin == NULL) fake_stop("the entry refused", fake_entry.text);
  if (entry(fake_host()) != plugin) bad("a second call of the entry gives another table");
  fake_look(plugin);
  return plugin;
}

static const rg_component *fake_find(const rg_plugin *plugin, const char *name) {
  for (size_t i = 0; i < plugin->n_components; i++)
    if (strcmp(plugin->components[i]->name, name) == 0) return plugin->components[i];
  fake_stop("no component", name);
  return NULL;
}

/* Makes a component; `call` holds the reason if it fails. */
static rg_status fake_try(const rg_component *component, const char *const *given, const rg_deps *deps,
                          fake_call *call, rg_ref *made) {
  fake_cfg cfg;
  memset(&cfg, 0, sizeof cfg);
  cfg.component = component;
  cfg.given = given;
  made->object = NULL;
  made->vtable = component->vtable;
  return component->create(fake_host(), raw(call), (const rg_cfg *)&cfg, deps, made);
}

static rg_ref fake_make(const rg_component *component, const char *const *given, const rg_deps *deps) {
  fake_call call = fake_new(1);
  rg_ref made;
  if (fake_try(component, given, deps, &call, &made) != RG_OK) fake_stop("create", call.text);
  if (made.object == NULL || made.vtable == NULL) fake_stop("create", "it made nothing");
  fake_done(&call);
  return made;
}

/* For the end of main. */
static int fake_report(void) {
  if (fake_failures == 0) puts("all is well");
  return fake_failures == 0 ? 0 : 1;
}

#endif
