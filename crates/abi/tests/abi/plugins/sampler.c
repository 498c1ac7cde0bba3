/* Checks a sampler of a plugin on a normal law in the plane: sampler FILE COMPONENT SAVES
 *
 * Means and variances of independent chains against the law, runs that are saved and taken up after each of their
 * steps against runs that are not (SAVES is 1; with 0 there must be no slots for it), and what is refused. */
#include "fake_host.h"

/* --- the target: N(m, C), precision P ------------------------------------------------------------------ */

static const double MEAN[2] = {1.0, -0.5}, P[2][2] = {{2.0, -1.2}, {-1.2, 1.5}};
static size_t calls, largest;

static rg_status normal_dim(void *o, rg_call *c, size_t *d) {
  (void)o, (void)c;
  *d = 2;
  return RG_OK;
}
static rg_status normal_eval(void *o, rg_call *c, size_t n, size_t d, const double *x, double *logp, double *grad) {
  (void)o, (void)c;
  calls++;
  if (n > largest) largest = n;
  for (size_t i = 0; i < n; i++) {
    const double a = x[i * d] - MEAN[0], b = x[i * d + 1] - MEAN[1];
    const double g = P[0][0] * a + P[0][1] * b, h = P[1][0] * a + P[1][1] * b;
    if (logp != NULL) logp[i] = -0.5 * (a * g + b * h);
    if (grad != NULL) grad[i * d] = -g, grad[i * d + 1] = -h;
  }
  return RG_OK;
}
static rg_status failing_eval(void *o, rg_call *c, size_t n, size_t d, const double *x, double *logp, double *grad) {
  (void)o, (void)n, (void)d, (void)x, (void)logp, (void)grad;
  return fake_fail(c, RG_ERR_NUMERIC, "the target broke down");
}
static rg_status empty_eval(void *o, rg_call *c, size_t n, size_t d, const double *x, double *logp, double *grad) {
  (void)o, (void)c, (void)x;
  for (size_t i = 0; logp != NULL && i < n; i++) logp[i] = -INFINITY;
  for (size_t k = 0; grad != NULL && k < n * d; k++) grad[k] = 0.0;
  return RG_OK;
}

static rg_target_vtable normal;

/* --- running ----------------------------------------------------------------------------------------------- */

static const rg_component *component;
static rg_deps deps;
static rg_ref target;

static rg_ref make(const char *const *given) { return fake_make(component, given, &deps); }
static const rg_sampler_vtable *of_made(const rg_ref *made) { return (const rg_sampler_vtable *)made->vtable; }

static void *begin(const rg_ref *made, size_t n) {
  fake_call call = fake_new(1000);
  void *run = NULL;
  if (of_made(made)->start(made->object, raw(&call), n, &run) != RG_OK) fake_stop("start", call.text);
  fake_done(&call);
  return run;
}

/* The step of that number, with its own key. */
static int advance(const rg_ref *made, void *run, size_t number, fake_sink *sink) {
  fake_call call = fake_new(2000 + number);
  int32_t done = 7;
  call.sink = sink;
  if (of_made(made)->step(made->object, raw(&call), run, &done) != RG_OK) fake_stop("step", call.text);
  if (done != 0 && done != 1) bad("done is %d", (int)done);
  fake_done(&call);
  return done;
}

static void *save(const rg_ref *made, const void *run, size_t *size) {
  fake_call call = fake_new(1);
  size_t need = 0;
  char one = 'x';
  if (of_made(made)->save(made->object, raw(&call), run, NULL, 0, size) != RG_OK || *size == 0) bad("size of a state");
  if (of_made(made)->save(made->object, raw(&call), run, &one, 1, &need) != RG_OK || one != 'x' || need != *size)
    bad("a buffer that is too small");
  void *buf = malloc(*size);
  if (of_made(made)->save(made->object, raw(&call), run, buf, *size, &need) != RG_OK || need != *size) bad("save");
  return buf;
}

static rg_status take_up(const rg_ref *made, const void *buf, size_t size, void **run, fake_call *call) {
  *run = NULL;
  return of_made(made)->load(made->object, raw(call), buf, size, run);
}

static fake_sink all(const rg_ref *made, size_t n, int through_saved) {
  fake_sink sink;
  memset(&sink, 0, sizeof sink);
  void *run = begin(made, n);
  for (size_t k = 0; !advance(made, run, k, &sink); k++) {
    if (!through_saved) continue;
    size_t size = 0;
    void *buf = save(made, run, &size);
    of_made(made)->end(made->object, run);
    fake_call call = fake_new(1);
    if (take_up(made, buf, size, &run, &call) != RG_OK) fake_stop("load", call.text);
    size_t again = 0;
    void *second = save(made, run, &again);
    if (again != size || memcmp(buf, second, size) != 0) bad("what is saved, taken up and saved is another");
    free(second);
    free(buf);
  }
  of_made(made)->end(made->object, run);
  return sink;
}

/* Mean and variance of each coordinate, and the covariance, of independent draws. */
static void law(const fake_sink *s) {
  const double det = P[0][0] * P[1][1] - P[0][1] * P[1][0];
  const double C[3] = {P[1][1] / det, P[0][0] / det, -P[0][1] / det};
  const double n = (double)s->rows;
  for (int q = 0; q < 5; q++) {
    double mean = 0.0, square = 0.0;
    for (size_t i = 0; i < s->rows; i++) {
      const double a = s->x[2 * i] - MEAN[0], b = s->x[2 * i + 1] - MEAN[1];
      const double v = q == 0 ? a : q == 1 ? b : q == 2 ? a * a : q == 3 ? b * b : a * b;
      mean += v / n;
      square += v * v / n;
    }
    const double score = (mean - (q < 2 ? 0.0 : C[q - 2])) / sqrt((square - mean * mean) / n);
    if (!(fabs(score) < 4.5)) bad("moment %d is %.1f standard errors off", q, score);
  }
}

int main(int argc, char **argv) {
  if (argc < 4) fake_stop("usage", "sampler FILE COMPONENT SAVES");
  component = fake_find(fake_load(argv[1]), argv[2]);
  const int saves = argv[3][0] == '1';
  if (component->kind != RG_KIND_SAMPLER) fake_stop("kind", "it is no sampler");
  if (component->needs != (RG_NEEDS_TARGET | RG_NEEDS_DENSITY | RG_NEEDS_GRADIENT)) bad("needs %u", component->needs);
  normal.struct_size = sizeof normal;
  normal.caps = RG_CAP_ROWWISE | RG_CAP_DETERMINISTIC | RG_CAP_GRADIENT;
  normal.threading = RG_THREAD_CONCURRENT;
  normal.dim = normal_dim;
  normal.eval = normal_eval;
  target.object = &normal;
  target.vtable = &normal;
  deps.struct_size = sizeof deps;
  deps.dim = 2;
  deps.target = &target;

  /* Independent draws, one a chain. */
  const char *const wide[] = {"chains=8000", "warmup=120", "start_sd=2.0", NULL};
  rg_ref made = make(wide);
  size_t rows = 0;
  fake_call call = fake_new(5);
  if (of_made(&made)->rows(made.object, raw(&call), 8000, &rows) != RG_OK || rows != 8000) bad("%zu rows", rows);
  fake_sink sink = all(&made, 8000, 0);
  if (sink.rows != 8000 || sink.d != 2 || sink.weighted || sink.stats != 1 || sink.chains != 1)
    bad("%zu draws of %zu, %zu chains", sink.rows, sink.d, sink.chains);
  if (strstr(sink.keys, "no_log_z") == NULL || strstr(sink.keys, "acceptance") == NULL) bad("keys %s", sink.keys);
  near("acceptance", sink.acceptance, 0.4, 0.05);
  near("progress", sink.progress, 1.0, 0.0);
  law(&sink);
  if (largest > 5) bad("a target that may be split was evaluated %zu rows at a time", largest);

  /* A run with as many chains is refused where they are no divisor. */
  void *run = NULL;
  if (of_made(&made)->start(made.object, raw(&call), 8001, &run) != RG_ERR_CONFIG ||
      strstr(call.text, "`chains` is 8000") == NULL)
    bad("8001 draws of 8000 chains: %s", call.text);
  of_made(&made)->destroy(made.object);

  /* Long chains, thinned; saved and taken up after each step. */
  const char *const few[] = {"chains=6", "warmup=11", "thin=3", NULL};
  made = make(few);
  fake_sink straight = all(&made, 60, 0);
  if (straight.rows != 60 || straight.chains != 6 || straight.emitted != 10) bad("%zu draws", straight.rows);
  if ((of_made(&made)->save != NULL) != saves || (of_made(&made)->load != NULL) != saves) bad("slots of saving");
  if (saves) {
    fake_sink broken = all(&made, 60, 1);
    if (broken.rows != 60 || memcmp(broken.x, straight.x, 120 * sizeof(double)) != 0 ||
        broken.acceptance != straight.acceptance)
      bad("a run that was saved and taken up has other draws");
    free(broken.x);

    /* States that are none. */
    run = begin(&made, 60);
    size_t size = 0;
    char *buf = (char *)save(&made, run, &size);
    of_made(&made)->end(made.object, run);
    for (size_t cut = 0; cut < size; cut += 7)
      if (take_up(&made, buf, cut, &run, &call) != RG_ERR_IO || run != NULL) bad("%zu of %zu bytes are taken", cut, size);
    for (size_t k = 0; k < 12 * 8; k += 8) { /* the numbers of its head but those that the run changes */
      const int changes = k == 6 * 8;
      buf[k + 1] ^= 0x55;
      const rg_status status = take_up(&made, buf, size, &run, &call);
      if (status == RG_OK) of_made(&made)->end(made.object, run);
      if (k / 8 < 11 && !changes && k != 5 * 8 && status == RG_OK) bad("byte %zu may be anything", k + 1);
      buf[k + 1] ^= 0x55;
    }
    if (take_up(&made, buf, size, &run, &call) != RG_OK) bad("the state itself: %s", call.text);
    of_made(&made)->end(made.object, run);
    const char *const other[] = {"chains=6", "warmup=12", "thin=3", NULL};
    rg_ref another = make(other);
    if (take_up(&another, buf, size, &run, &call) != RG_ERR_IO || strstr(call.text, "other parameters") == NULL)
      bad("the state of other parameters: %s", call.text);
    of_made(&another)->destroy(another.object);
    free(buf);
  }

  /* The same draws where the target may not be split. */
  normal.threading = RG_THREAD_SERIAL;
  largest = 0;
  fake_sink whole = all(&made, 60, 0);
  if (memcmp(whole.x, straight.x, 120 * sizeof(double)) != 0) bad("a target that is not split gives other draws");
  if (largest != 6) bad("a serial target was evaluated %zu rows at a time, not 6", largest);
  normal.threading = RG_THREAD_CONCURRENT;

  /* What a target says is handed on, and starts without mass are refused. */
  normal.eval = failing_eval;
  if (of_made(&made)->start(made.object, raw(&call), 60, &run) != RG_ERR_NUMERIC ||
      strstr(call.text, "broke down") == NULL)
    bad("a target that fails: %s", call.text);
  normal.eval = empty_eval;
  if (of_made(&made)->start(made.object, raw(&call), 60, &run) != RG_ERR_NUMERIC ||
      strstr(call.text, "start_mean") == NULL)
    bad("a start without mass: %s", call.text);
  normal.eval = normal_eval;
  of_made(&made)->destroy(made.object);
  const char *const wrong[] = {"scale=0.0", NULL};
  if (fake_try(component, wrong, &deps, &call, &made) != RG_ERR_CONFIG || strstr(call.text, "`scale` is 0") == NULL ||
      strcmp(call.refused, "scale") != 0)
    bad("scale = 0: %s", call.text);
  deps.target = NULL;
  if (fake_try(component, NULL, &deps, &call, &made) != RG_ERR_CONFIG) bad("a sampler without a target is made");
  fake_done(&call);
  free(sink.x), free(straight.x), free(whole.x);
  return fake_report();
}
