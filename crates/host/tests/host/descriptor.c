/* One plugin, whose every part can be spoilt by a macro. As it stands it is sound; it is compiled without
 * warnings, because each variant leaves something unused. OF is the kind of its component. */
#include <retrograde_plugin.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The plugin. */
#ifndef PLUGIN_SIZE
#define PLUGIN_SIZE sizeof(rg_plugin)
#endif
#ifndef ABI
#define ABI RG_PLUGIN_ABI
#endif
#ifndef NAME
#define NAME "demo"
#endif
#ifndef VERSION
#define VERSION "0.1.0"
#endif
#ifndef LICENSE
#define LICENSE "MIT"
#endif
#ifndef COMPONENTS
#define COMPONENTS components
#endif
#ifndef N_COMPONENTS
#define N_COMPONENTS 1
#endif
#ifndef SECOND
#define SECOND &component
#endif

/* Its component. */
#ifndef COMPONENT_SIZE
#define COMPONENT_SIZE sizeof(rg_component)
#endif
#ifndef FIRST
#define FIRST &component
#endif
#ifndef OF
#define OF 1
#endif
#ifndef KIND
#define KIND OF
#endif
#ifndef NEEDS
#define NEEDS 0
#endif
#ifndef COMPONENT
#define COMPONENT "well"
#endif
#ifndef COMPONENT_VERSION
#define COMPONENT_VERSION NULL
#endif
#ifndef DOC
#define DOC "A well"
#endif
#ifndef PARAMS
#define PARAMS params
#endif
#ifndef N_PARAMS
#define N_PARAMS 1
#endif
#ifndef SCHEMA
#define SCHEMA NULL
#endif
#ifndef TABLE
#define TABLE &table
#endif
#ifndef CREATE
#define CREATE create
#endif

/* Its parameter. */
#ifndef PARAM_SIZE
#define PARAM_SIZE sizeof(rg_param)
#endif
#ifndef PARAM
#define PARAM "depth"
#endif
#ifndef PARAM_DOC
#define PARAM_DOC "Depth of the well"
#endif
#ifndef TYPE
#define TYPE RG_TYPE_F64
#endif
#ifndef REQUIRED
#define REQUIRED 0
#endif
#ifndef DEFAULT
#define DEFAULT "1.5"
#endif
#ifndef MIN
#define MIN 0.0
#endif
#ifndef MAX
#define MAX 10.0
#endif
#ifndef CHOICES
#define CHOICES NULL
#endif

/* Its table. */
#ifndef SLOTS
#define SLOTS
#endif
#ifndef TABLE_SIZE
#define TABLE_SIZE(type) sizeof(type)
#endif
#ifndef DIM
#define DIM 2
#endif
#ifndef NOISE
#define NOISE 2
#endif
#ifndef T_END
#define T_END 1.0
#endif
#ifndef OUTPUTS
#define OUTPUTS 3
#endif

/* What happens in it. */
#ifndef ENTRY
#define ENTRY return &plugin;
#endif
#ifndef MAKE
#define MAKE
#endif

extern char long_text[(1 << 20) + 2];
extern const rg_component component;
extern const char *const no_choices[1], *const choices[3], *const bad_choices[2];
const rg_plugin *retrograde_plugin_v1(const rg_host *given);

char long_text[(1 << 20) + 2];
const char *const no_choices[1] = {NULL};
const char *const choices[3] = {"round", "square", NULL};
const char *const bad_choices[2] = {"round\xff", NULL};

static const rg_host *host;

#ifdef EXTRA
EXTRA
#endif

static rg_status dim(void *object, rg_call *call, size_t *d) {
  (void)object, (void)call;
  *d = DIM;
  return RG_OK;
}

static rg_status eval(void *object, rg_call *call, size_t n, size_t d, const double *x, double *logp, double *grad) {
  (void)call;
  const double depth = *(const double *)object;
  for (size_t i = 0; i < n; i++) {
    double sum = 0.0;
    for (size_t j = 0; j < d; j++) {
      const double v = x[i * d + j];
      sum -= 0.5 * depth * v * v;
      if (grad != NULL) grad[i * d + j] = -depth * v;
    }
    if (logp != NULL) logp[i] = sum;
  }
  return RG_OK;
}

static rg_status score_eval(void *object, rg_call *call, size_t n, size_t d, const double *t, size_t ts,
                            const double *x, double *s) {
  (void)t, (void)ts;
  return eval(object, call, n, d, x, NULL, s);
}

static rg_status n_outputs(void *object, rg_call *call, size_t *k) {
  (void)object, (void)call;
  *k = OUTPUTS;
  return RG_OK;
}

static rg_status output_name(void *object, rg_call *call, size_t i, char *buf, size_t cap, size_t *need) {
  (void)object, (void)call;
  *need = 2;
  if (cap >= 2) buf[0] = (char)('a' + (int)i), buf[1] = 0;
  return RG_OK;
}

static rg_status outputs(void *object, rg_call *call, size_t n, size_t d, size_t k, const double *x, double *out) {
  (void)object, (void)call, (void)d, (void)x;
  for (size_t i = 0; i < n * k; i++) out[i] = 0.0;
  return RG_OK;
}

static rg_status info(void *object, rg_call *call, size_t *d, size_t *m, double *t_end) {
  (void)object, (void)call;
  *d = DIM;
  *m = NOISE;
  *t_end = T_END;
  return RG_OK;
}

static rg_status drift(void *object, rg_call *call, size_t n, size_t d, const double *t, size_t ts,
                       const double *x, double *f) {
  return score_eval(object, call, n, d, t, ts, x, f);
}

static rg_status apply_g(void *object, rg_call *call, size_t n, size_t d, size_t m, const double *t, size_t ts,
                         const double *x, const double *z, double *out) {
  (void)object, (void)call, (void)m, (void)t, (void)ts, (void)x;
  memcpy(out, z, n * d * sizeof *out);
  return RG_OK;
}

static rg_status apply_ggt(void *object, rg_call *call, size_t n, size_t d, const double *t, size_t ts,
                           const double *x, const double *v, double *out) {
  return apply_g(object, call, n, d, d, t, ts, x, v, out);
}

static rg_status ref_sample(void *object, rg_call *call, size_t n, size_t d, double *x) {
  (void)object;
  host->rng_normal(call, n, d, x);
  return RG_OK;
}

static rg_status linear(void *object, rg_call *call, size_t d, double t, double *alpha, double *sigma2) {
  (void)object, (void)call, (void)d;
  *alpha = exp(-t);
  *sigma2 = -expm1(-2.0 * t);
  return RG_OK;
}

static rg_status support(void *object, rg_call *call, double *low, double *high) {
  (void)object, (void)call;
#ifdef SUPPORT
  const double ends[2] = SUPPORT;
#else
  const double ends[2] = {0.0, 1.0};
#endif
  *low = ends[0];
  *high = ends[1];
  return RG_OK;
}

static rg_status move(void *object, rg_call *call, size_t n, size_t d, double s, double t, const double *a,
                      double *b) {
  (void)object, (void)call, (void)s, (void)t;
  memcpy(b, a, n * d * sizeof *b);
  return RG_OK;
}

static rg_status move2(void *object, rg_call *call, size_t n, size_t d, double s, double t, const double *a,
                       const double *b, double *c) {
  (void)b;
  return move(object, call, n, d, s, t, a, c);
}

static rg_status move3(void *object, rg_call *call, size_t n, size_t d, double s, double t, const double *a,
                       const double *b, double *c, double *e) {
  (void)e;
  return move2(object, call, n, d, s, t, a, b, c);
}

static rg_status one(void *object, rg_call *call, size_t n, double s, double t, const double *a, const double *b,
                     double *c) {
  return move2(object, call, n, 1, s, t, a, b, c);
}

static rg_status hvp(void *object, rg_call *call, size_t n, size_t d, const double *x, const double *v, double *out) {
  return move2(object, call, n, d, 0.0, 0.0, x, v, out);
}

static rg_status warp(void *object, rg_call *call, size_t n, size_t d, const double *x, double *y, double *log_det) {
  (void)log_det;
  return move(object, call, n, d, 0.0, 0.0, x, y);
}

static rg_status unwarp(void *object, rg_call *call, size_t n, size_t d, const double *y, double *x) {
  return move(object, call, n, d, 0.0, 0.0, y, x);
}

static rg_status start(void *object, rg_call *call, size_t n_draws, void **run) {
  (void)call, (void)n_draws;
  *run = object;
  return RG_OK;
}

static rg_status step(void *object, rg_call *call, void *run, int32_t *done) {
  (void)object, (void)call, (void)run;
  *done = 1;
  return RG_OK;
}

static void end(void *object, void *run) { (void)object, (void)run; }

static rg_status save(void *object, rg_call *call, const void *run, void *buf, size_t cap, size_t *need) {
  (void)object, (void)call, (void)run, (void)buf, (void)cap;
  *need = 0;
  return RG_OK;
}

static rg_status load(void *object, rg_call *call, const void *buf, size_t len, void **run) {
  (void)buf, (void)len;
  return start(object, call, 0, run);
}

#if !defined(CAPS) && OF == 2
#define CAPS RG_CAP_G_CONST_X
#elif !defined(CAPS)
#define CAPS 0
#endif
#ifndef CLASS
#define CLASS RG_THREAD_CONCURRENT
#endif
#ifndef RESERVED
#define RESERVED 0
#endif
#define HEAD(type) \
  .struct_size = TABLE_SIZE(type), .caps = CAPS, .threading = CLASS, .reserved = RESERVED, .destroy = free

/* Later ones win over earlier ones, which is what SLOTS is for. */
#if OF == 2
static const rg_process_vtable table = {HEAD(rg_process_vtable),
                                          .info = info,
                                          .drift = drift,
                                          .apply_g = apply_g,
                                          .apply_ggt = apply_ggt,
                                          .ref_sample = ref_sample,
                                          .ref_eval = eval,
                                          .support = support,
                                          SLOTS};
#elif OF == 3
static const rg_score_vtable table = {HEAD(rg_score_vtable), .dim = dim, .eval = score_eval, SLOTS};
#elif OF == 4
static const rg_sampler_vtable table = {HEAD(rg_sampler_vtable), .start = start, .step = step, .end = end, SLOTS};
#elif defined(NEWER)
/* That of a later version: two slots more. */
static const struct {
  rg_target_vtable first;
  void *later[2];
} table = {{HEAD(rg_target_vtable), .dim = dim, .eval = eval, SLOTS}, {&long_text, &long_text}};
#else
static const rg_target_vtable table = {HEAD(rg_target_vtable), .dim = dim, .eval = eval, SLOTS};
#endif

static rg_status create(const rg_host *h, rg_call *call, const rg_cfg *cfg, const rg_deps *deps, rg_ref *made) {
  double depth = 1.0;
  (void)h, (void)call, (void)cfg, (void)deps;
  MAKE
  double *object = malloc(sizeof *object);
  if (object == NULL) return RG_ERR_MEMORY;
  *object = depth;
  made->object = object;
  return RG_OK;
}

static const rg_param param = {PARAM_SIZE, PARAM, PARAM_DOC, TYPE, REQUIRED, DEFAULT, MIN, MAX, CHOICES};
static const rg_param *const params[] = {&param, &param};
static const rg_param *const no_params[] = {NULL};

const rg_component component = {COMPONENT_SIZE, KIND,     NEEDS,  COMPONENT, COMPONENT_VERSION, DOC,
                                PARAMS,         N_PARAMS, SCHEMA, TABLE,     CREATE};
static const rg_component *const components[] = {FIRST, SECOND};

static const rg_plugin plugin = {PLUGIN_SIZE, ABI,     RG_PLUGIN_MINOR, NAME,
                                 VERSION,     LICENSE, COMPONENTS,      N_COMPONENTS};

#ifdef MARK
/* Leaves a byte in a file. */
static void mark(void) {
  FILE *file = fopen(MARK, "a");
  if (file != NULL) fputc('x', file), fclose(file);
}
#endif

#ifdef CONSTRUCTOR
__attribute__((constructor)) static void constructor(void) { mark(); }
#endif

const rg_plugin *retrograde_plugin_v1(const rg_host *given) {
  host = given;
  memset(long_text, 'x', sizeof long_text - 1);
  ENTRY
}
